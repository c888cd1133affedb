//! What names, slugs, e-mail addresses, time zones and passwords may look like.

use std::collections::HashSet;

use crate::{AccountsError, Scope};

const NAME_CHARS_MAX: usize = 100;
const SLUG_LEN_MAX: usize = 50;
/// RFC 5321, section 4.5.3.1: a path of 256 octets less its angle brackets.
const EMAIL_LEN_MAX: usize = 254;
/// RFC 5321, section 4.5.3.1.1.
const LOCAL_PART_LEN_MAX: usize = 64;
const TIME_ZONE_LEN_MAX: usize = 64;
const PASSWORD_CHARS_MIN: usize = 12;
const PASSWORD_CHARS_MAX: usize = 200;
const PASSWORD_DISTINCT_MIN: usize = 5;
const RATE_LIMIT_MAX: u32 = 1_000_000;

/// A name or label for people: 1 to 100 characters on one line, surrounding blanks cut off.
pub(crate) fn name(field: &'static str, text: &str) -> Result<String, AccountsError> {
    let text = text.trim();
    let count = text.chars().count();
    if count == 0 || count > NAME_CHARS_MAX {
        return Err(AccountsError::invalid(
            field,
            format!("must have 1 to {NAME_CHARS_MAX} characters, has {count}"),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(AccountsError::invalid(
            field,
            "must not contain line breaks or other control characters",
        ));
    }
    Ok(text.to_owned())
}

/// The given slug, or one made of `name`: lower-case ASCII letters and digits, other runs replaced by one hyphen.
pub(crate) fn slug(given: Option<&str>, name: &str, otherwise: &str) -> Result<String, AccountsError> {
    let Some(slug) = given else { return Ok(slug_of(name, otherwise)) };
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if slug.is_empty() || slug.len() > SLUG_LEN_MAX || !slug.bytes().all(|byte| is_word(byte) || byte == b'-')
    {
        let why = format!("must have 1 to {SLUG_LEN_MAX} lower-case letters (a to z), digits and hyphens");
        return Err(AccountsError::invalid("slug", why));
    }
    if slug.starts_with('-') || slug.ends_with('-') {
        return Err(AccountsError::invalid("slug", "must neither begin nor end with a hyphen"));
    }
    Ok(slug.to_owned())
}

fn slug_of(name: &str, otherwise: &str) -> String {
    let mut slug = String::new();
    for letter in name.to_lowercase().chars() {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() == SLUG_LEN_MAX {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { otherwise.to_owned() } else { slug.to_owned() }
}

/// An e-mail address, as strictly as is useful without sending to it: something, one `@`, a domain of labels.
pub(crate) fn email(field: &'static str, text: &str) -> Result<String, AccountsError> {
    let text = text.trim();
    if text.len() > EMAIL_LEN_MAX {
        return Err(AccountsError::invalid(field, format!("must have at most {EMAIL_LEN_MAX} characters")));
    }
    let is_plain = !text.chars().any(|letter| letter.is_control() || letter.is_whitespace());
    let is_address = text.split_once('@').is_some_and(|(local, domain)| {
        let is_local = !local.is_empty() && local.len() <= LOCAL_PART_LEN_MAX;
        is_local && !domain.contains('@') && domain.split('.').all(is_label)
    });
    if is_plain && is_address {
        Ok(text.to_owned())
    } else {
        Err(AccountsError::invalid(field, "must be an e-mail address such as ada@example.org"))
    }
}

/// A label of a domain name, internationalised ones included (RFC 1034, section 3.5; RFC 6531).
fn is_label(label: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || !letter.is_ascii();
    (1..=63).contains(&label.len())
        && label.chars().all(is_letter)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// The name of a time zone in the form of the IANA database, such as `America/Argentina/Ushuaia` or `Etc/GMT+3`.
/// Only the form is looked at.
pub(crate) fn time_zone(text: &str) -> Result<String, AccountsError> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'-');
    let is_part = |part: &str| {
        part.starts_with(|letter: char| letter.is_ascii_alphabetic()) && part.bytes().all(is_letter)
    };
    if text.len() <= TIME_ZONE_LEN_MAX && text.split('/').count() <= 3 && text.split('/').all(is_part) {
        Ok(text.to_owned())
    } else {
        Err(AccountsError::invalid(
            "time_zone",
            "must be the name of an IANA time zone such as Europe/Berlin or UTC",
        ))
    }
}

/// A new password: long enough, not one key held down, and not the e-mail address. (After NIST SP 800-63B: length
/// instead of rules of composition.)
pub(crate) fn password(field: &'static str, password: &str, email: &str) -> Result<(), AccountsError> {
    let count = password.chars().count();
    if !(PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX).contains(&count) {
        let why = format!("must have {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters, has {count}");
        return Err(AccountsError::invalid(field, why));
    }
    if password.chars().collect::<HashSet<_>>().len() < PASSWORD_DISTINCT_MIN {
        let why = format!("must have at least {PASSWORD_DISTINCT_MIN} different characters");
        return Err(AccountsError::invalid(field, why));
    }
    if password.trim().eq_ignore_ascii_case(email.trim()) {
        return Err(AccountsError::invalid(field, "must not be the e-mail address"));
    }
    Ok(())
}

/// A rate limit in requests per minute.
pub(crate) fn rate_limit(limit: Option<u32>) -> Result<Option<i64>, AccountsError> {
    if limit.is_some_and(|limit| !(1..=RATE_LIMIT_MAX).contains(&limit)) {
        let why = format!("must be 1 to {RATE_LIMIT_MAX}, or nothing for unlimited");
        return Err(AccountsError::invalid("rate_limit_per_minute", why));
    }
    Ok(limit.map(i64::from))
}

/// At least one scope, in the order of their declaration and once each.
pub(crate) fn scopes(scopes: &[Scope]) -> Result<Vec<Scope>, AccountsError> {
    let scopes: Vec<Scope> = Scope::ALL.into_iter().filter(|scope| scopes.contains(scope)).collect();
    if scopes.is_empty() {
        Err(AccountsError::invalid("scopes", "must have at least one"))
    } else {
        Ok(scopes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why<T: std::fmt::Debug>(result: Result<T, AccountsError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn names_are_trimmed_and_short_and_on_one_line() {
        assert_eq!(name("name", "  Grüße & Küsse ").unwrap(), "Grüße & Küsse");
        assert_eq!(why(name("name", "   ")), "name: must have 1 to 100 characters, has 0");
        assert_eq!(why(name("label", &"ü".repeat(101))), "label: must have 1 to 100 characters, has 101");
        assert_eq!(
            why(name("name", "one\ntwo")),
            "name: must not contain line breaks or other control characters"
        );
    }

    #[test]
    fn a_slug_is_made_of_the_name_where_none_is_given() {
        assert_eq!(slug(None, "My project", "project").unwrap(), "my-project");
        assert_eq!(slug(None, " --Ünïcode 2.0!-- ", "project").unwrap(), "n-code-2-0");
        assert_eq!(slug(None, "日本語", "project").unwrap(), "project");
        assert_eq!(slug(None, &"ab ".repeat(30), "project").unwrap(), "ab-".repeat(16) + "ab");
        assert_eq!(slug(Some("web-2"), "x", "project").unwrap(), "web-2");
        for bad in ["", "Web", "a_b", "ä", "a/b", &"a".repeat(51)] {
            let expected = "slug: must have 1 to 50 lower-case letters (a to z), digits and hyphens";
            assert_eq!(why(slug(Some(bad), "x", "project")), expected, "{bad}");
        }
        assert_eq!(why(slug(Some("-a"), "x", "project")), "slug: must neither begin nor end with a hyphen");
    }

    #[test]
    fn e_mail_addresses_have_a_local_part_and_a_domain() {
        for good in ["ada@example.org", " ada+test@mail.example.org ", "o'neil@exämple.de", "root@localhost"]
        {
            assert_eq!(email("email", good).unwrap(), good.trim());
        }
        for bad in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "ada@@b.c",
            "a@b@c.d",
            "a d@b.c",
            "ada@a..b",
            "ada@-a.b",
            "a\n@b.c",
        ] {
            assert_eq!(
                why(email("email", bad)),
                "email: must be an e-mail address such as ada@example.org",
                "{bad}"
            );
        }
        assert_eq!(
            why(email("email", &format!("a@{}", "b.".repeat(130)))),
            "email: must have at most 254 characters"
        );
        assert!(email("email", &format!("{}@b.c", "a".repeat(65))).is_err());
    }

    #[test]
    fn time_zones_have_the_form_of_the_iana_database() {
        for good in
            ["UTC", "Europe/Berlin", "America/Argentina/Ushuaia", "Etc/GMT+3", "America/Port-au-Prince"]
        {
            assert_eq!(time_zone(good).unwrap(), good);
        }
        for bad in
            ["", "/", "Europe/", "+01:00", "Europe/Ber lin", "../etc/passwd", "a/b/c/d", &"a".repeat(65)]
        {
            let expected = "time_zone: must be the name of an IANA time zone such as Europe/Berlin or UTC";
            assert_eq!(why(time_zone(bad)), expected, "{bad}");
        }
    }

    #[test]
    fn passwords_are_long_varied_and_not_the_e_mail_address() {
        let email = "ada.lovelace@example.org";
        assert!(password("new", "correct horse", email).is_ok());
        assert!(password("new", "ünïcödé pass", email).is_ok());
        assert_eq!(why(password("new", "short", email)), "new: must have 12 to 200 characters, has 5");
        assert_eq!(
            why(password("new", &"abcdef".repeat(40), email)),
            "new: must have 12 to 200 characters, has 240"
        );
        assert_eq!(
            why(password("new", "abababababab", email)),
            "new: must have at least 5 different characters"
        );
        assert_eq!(
            why(password("new", "Ada.Lovelace@Example.ORG", email)),
            "new: must not be the e-mail address"
        );
    }

    #[test]
    fn rate_limits_and_scopes_are_bounded() {
        assert_eq!(rate_limit(None).unwrap(), None);
        assert_eq!(rate_limit(Some(1_000_000)).unwrap(), Some(1_000_000));
        assert!(rate_limit(Some(0)).is_err() && rate_limit(Some(1_000_001)).is_err());
        assert_eq!(scopes(&[Scope::Admin, Scope::Read, Scope::Read]).unwrap(), [Scope::Read, Scope::Admin]);
        assert_eq!(why(scopes(&[])), "scopes: must have at least one");
    }
}
