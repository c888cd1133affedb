//! Which keys of a payload hold what must not be stored.
//!
//! Keys are compared by their letters and digits alone, without regard to case (`X-Api-Key`, `apiKey` and `api_key` are
//! one), but where their words begin and end is remembered, so that `auth` is found in `basic_auth` and not in `author`.
//! One Aho-Corasick automaton (Aho and Corasick 1975) looks for all words at once.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

/// Letters and digits.
const SYMBOLS: usize = 36;

/// What is to be done with the value of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyClass<'a> {
    /// Nothing is known of it.
    Plain,
    /// It may be what looks like a random number elsewhere: an id in hexadecimal digits.
    Id,
    /// It is a version, which may look like an IP address.
    Version,
    /// It is a secret.
    Secret(Secret<'a>),
    /// The project says that it is to be left alone.
    Safe,
}

/// How the value of a secret key is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Secret<'a> {
    /// The name of the rule.
    pub(crate) rule: &'a str,
    /// Text alone is a secret, not numbers, lists and objects: for words with other meanings, such as `tokens`.
    pub(crate) only_text: bool,
    /// A path is not a secret: the variable `PWD`.
    pub(crate) not_paths: bool,
}

/// Where in a key a word must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Anywhere,
    /// Its end is the end of a word.
    WordEnd,
    /// It is a word.
    Word,
    /// It is the last word.
    LastWord,
    /// It is all there is.
    Whole,
}
use Place::{Anywhere, LastWord, Whole, Word, WordEnd};

#[derive(Debug)]
enum Meaning {
    Id,
    Version,
    Secret { rule: String, only_text: bool, not_paths: bool, not_before: &'static [&'static str] },
    Safe,
}

#[derive(Debug)]
struct Pattern {
    len: usize,
    place: Place,
    meaning: Meaning,
}

/// What follows a word that usually means a secret and makes it harmless.
const HARMLESS_AUTH: &[&str] = &[
    "backend", "domain", "enabled", "error", "fail", "flow", "level", "method", "mode", "provider",
    "required", "result", "scheme", "server", "service", "source", "state", "status", "strategy", "success",
    "time", "type", "ur", "0",
];
const HARMLESS_COOKIE: &[&str] = &["banner", "consent", "domain", "name", "path", "policy"];
const HARMLESS_PASSWORD: &[&str] =
    &["change", "expire", "field", "less", "length", "policy", "reset", "strength", "update"];
const HARMLESS_TOKEN: &[&str] = &[
    "budget", "class", "count", "endpoint", "error", "expir", "index", "kind", "len", "limit", "name", "pos",
    "status", "ttl", "type", "ur", "usage",
];

type BuiltIn = (&'static str, Place, &'static [&'static str], &'static [&'static str]);

/// Rule, place, words, what must not follow.
const SECRETS: &[BuiltIn] = &[
    ("password", Anywhere, &["password"], HARMLESS_PASSWORD),
    ("password", Anywhere, &["passwd", "passphrase", "passcode", "mysqlpwd"], &[]),
    ("secret", WordEnd, &["secret", "secrets", "secretkey"], &["santa"]),
    (
        "api_key",
        Anywhere,
        &[
            "accesskey",
            "accountkey",
            "apikey",
            "authkey",
            "encryptionkey",
            "functionskey",
            "masterkey",
            "sharedkey",
            "signingkey",
            "subscriptionkey",
        ],
        &[],
    ),
    ("private_key", Anywhere, &["privatekey", "sshkey"], &[]),
    ("auth", Word, &["auth", "oauth"], HARMLESS_AUTH),
    ("authorization", Anywhere, &["authorization"], &["endpoint", "server", "ur"]),
    ("credentials", Anywhere, &["credential"], &["type"]),
    ("token", WordEnd, &["token"], HARMLESS_TOKEN),
    ("token", Word, &["bearer", "jwt"], &[]),
    ("session", Anywhere, &["sessionid", "sessionkey", "sessid"], &[]),
    ("session", Whole, &["connectsid", "sid"], &[]),
    ("csrf", Anywhere, &["csrf", "xsrf"], &[]),
    ("cookie", Anywhere, &["cookie"], HARMLESS_COOKIE),
    (
        "credit_card",
        Anywhere,
        &["cardnumber", "cardnum", "creditcard", "ccnumber"],
        &["brand", "form", "type"],
    ),
    ("credit_card", WordEnd, &["cardno"], &[]),
    ("credit_card", Word, &["cvc", "cvv", "iban"], &[]),
    ("ssn", Anywhere, &["socialsecurity"], &[]),
    ("ssn", Word, &["ssn"], &[]),
    ("otp", Word, &["otp", "totp", "mfacode"], &[]),
    ("signature", Anywhere, &["amzsignature", "googsignature", "hubsignature"], &[]),
    ("signature", Whole, &["sig"], &[]),
    ("ip", Anywhere, &["clientip", "connectingip", "forwardedfor", "realip", "remoteaddr", "remoteip"], &[]),
    ("ip", Whole, &["forwarded"], &[]),
    // Who has signed in, as web servers (RFC 3875, section 4.1.11) and proxies hand it on.
    (
        "user",
        Anywhere,
        &["remoteuser", "forwardeduser", "forwardedpreferredusername", "oidcidentity"],
        &["agent", "count"],
    ),
];

/// The same, where only text is a secret.
const SECRET_TEXTS: &[BuiltIn] = &[
    ("password", Word, &["pass"], &["ed"]),
    ("session", Whole, &["session"], &[]),
    ("token", WordEnd, &["tokens"], &[]),
];

const VERSIONS: &[&str] = &["build", "release", "version", "versions"];
const IDS: &[&str] = &[
    "codeid",
    "debugid",
    "eventid",
    "parentspanid",
    "profileid",
    "profilerid",
    "replayid",
    "segmentid",
    "spanid",
    "traceid",
];

/// The built-in rules and a project's own, ready to be asked.
#[derive(Debug)]
pub(crate) struct KeyRules {
    patterns: Vec<Pattern>,
    /// For each state the next one by symbol.
    next: Vec<[u16; SYMBOLS]>,
    /// For each state the patterns that end there.
    ends: Vec<Vec<u16>>,
}

impl KeyRules {
    /// The built-in rules alone.
    pub(crate) fn built_in() -> Arc<Self> {
        static BUILT_IN: LazyLock<Arc<KeyRules>> = LazyLock::new(|| Arc::new(KeyRules::new(&[], &[])));
        Arc::clone(&BUILT_IN)
    }

    /// Rules by which, beside the built-in ones, keys that contain one of `scrub` are secret and those that are one of
    /// `safe` are not. Both hold lower-case letters and digits, at most 64 each.
    pub(crate) fn new(scrub: &[String], safe: &[String]) -> Self {
        let mut rules = Self { patterns: Vec::new(), next: vec![[0; SYMBOLS]], ends: vec![Vec::new()] };
        for word in safe {
            rules.add(word, Whole, Meaning::Safe);
        }
        for word in scrub {
            let rule = format!("project:{word}");
            rules.add(
                word,
                Anywhere,
                Meaning::Secret { rule, only_text: false, not_paths: false, not_before: &[] },
            );
        }
        for (only_text, list) in [(false, SECRETS), (true, SECRET_TEXTS)] {
            for (rule, place, words, not_before) in list {
                for word in *words {
                    let rule = (*rule).to_owned();
                    rules.add(
                        word,
                        *place,
                        Meaning::Secret { rule, only_text, not_paths: false, not_before },
                    );
                }
            }
        }
        let rule = "password".to_owned();
        rules.add(
            "pwd",
            WordEnd,
            Meaning::Secret { rule, only_text: false, not_paths: true, not_before: &[] },
        );
        for word in VERSIONS {
            rules.add(word, LastWord, Meaning::Version);
        }
        for word in IDS {
            rules.add(word, Whole, Meaning::Id);
        }
        rules.link();
        rules
    }

    /// Puts a word into the trie.
    fn add(&mut self, word: &str, place: Place, meaning: Meaning) {
        let mut state = 0;
        for symbol in word.bytes().filter_map(symbol_of) {
            let known = usize::from(self.next[state][symbol]);
            state = if known != 0 {
                known
            } else {
                let new = self.next.len();
                // 200 words of 64 and the built-in ones are fewer than 2^16.
                let Ok(number) = u16::try_from(new) else { return };
                self.next.push([0; SYMBOLS]);
                self.ends.push(Vec::new());
                self.next[state][symbol] = number;
                new
            };
        }
        if let Ok(number) = u16::try_from(self.patterns.len()) {
            self.patterns.push(Pattern { len: word.len(), place, meaning });
            self.ends[state].push(number);
        }
    }

    /// Makes the trie an automaton: where a word does not go on, the longest suffix that begins another one does.
    fn link(&mut self) {
        let mut fallback = vec![0_u16; self.next.len()];
        let mut queue: VecDeque<u16> = self.next[0].iter().copied().filter(|state| *state != 0).collect();
        while let Some(state) = queue.pop_front() {
            let back = usize::from(fallback[usize::from(state)]);
            let inherited = self.ends[back].clone();
            self.ends[usize::from(state)].extend(inherited);
            for symbol in 0..SYMBOLS {
                let child = self.next[usize::from(state)][symbol];
                let other = self.next[back][symbol];
                if child == 0 {
                    self.next[usize::from(state)][symbol] = other;
                } else {
                    fallback[usize::from(child)] = other;
                    queue.push_back(child);
                }
            }
        }
    }

    /// What is to be done with the value of `key`.
    pub(crate) fn classify(&self, key: &[u8]) -> KeyClass<'_> {
        let mut best = KeyClass::Plain;
        let mut state = 0_usize;
        for (index, byte) in key.iter().enumerate() {
            let Some(symbol) = symbol_of(*byte) else { continue };
            state = usize::from(self.next[state][symbol]);
            for pattern in &self.ends[state] {
                let pattern = &self.patterns[usize::from(*pattern)];
                if pattern.fits(key, index + 1) {
                    best = stronger(best, pattern.class());
                }
            }
        }
        best
    }
}

impl Pattern {
    /// Whether the word, which was found up to `end` of `key`, is where it must be.
    fn fits(&self, key: &[u8], end: usize) -> bool {
        let is_letter = |byte: &u8| symbol_of(*byte).is_some();
        let letters = key[..end].iter().enumerate().rev().filter(|(_, byte)| is_letter(byte));
        let start = letters.map(|(index, _)| index).nth(self.len - 1).unwrap_or(0);
        let ends_key = || !key[end..].iter().any(is_letter);
        let in_place = match self.place {
            Anywhere => true,
            WordEnd => is_boundary(key, end),
            Word => is_boundary(key, end) && is_boundary(key, start),
            LastWord => ends_key() && is_boundary(key, start),
            Whole => ends_key() && !key[..start].iter().any(is_letter),
        };
        in_place
            && match self.meaning {
                Meaning::Secret { not_before, .. } => {
                    !not_before.iter().any(|word| continues_with(&key[end..], word))
                }
                _ => true,
            }
    }

    fn class(&self) -> KeyClass<'_> {
        match &self.meaning {
            Meaning::Id => KeyClass::Id,
            Meaning::Version => KeyClass::Version,
            Meaning::Secret { rule, only_text, not_paths, .. } => {
                KeyClass::Secret(Secret { rule, only_text: *only_text, not_paths: *not_paths })
            }
            Meaning::Safe => KeyClass::Safe,
        }
    }
}

fn stronger<'a>(left: KeyClass<'a>, right: KeyClass<'a>) -> KeyClass<'a> {
    let rank = |class: &KeyClass<'_>| match class {
        KeyClass::Plain => 0,
        KeyClass::Id => 1,
        KeyClass::Version => 2,
        KeyClass::Secret(Secret { only_text: true, .. }) => 3,
        KeyClass::Secret(Secret { not_paths: true, .. }) => 4,
        KeyClass::Secret(_) => 5,
        KeyClass::Safe => 6,
    };
    if rank(&right) > rank(&left) { right } else { left }
}

/// Whether the letters and digits of `rest` begin with `word`.
fn continues_with(rest: &[u8], word: &str) -> bool {
    let mut letters = rest.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase);
    word.bytes().all(|byte| letters.next() == Some(byte))
}

fn symbol_of(byte: u8) -> Option<usize> {
    match byte {
        b'a'..=b'z' => Some(usize::from(byte - b'a')),
        b'A'..=b'Z' => Some(usize::from(byte - b'A')),
        b'0'..=b'9' => Some(usize::from(byte - b'0') + 26),
        _ => None,
    }
}

/// Whether one word ends and another begins before `key[index]`: at a sign, between letters and digits, and at the
/// humps of `camelCase` and `HTTPServer`.
fn is_boundary(key: &[u8], index: usize) -> bool {
    let (Some(before), Some(after)) = (index.checked_sub(1).map(|before| key[before]), key.get(index)) else {
        return true;
    };
    if !before.is_ascii_alphanumeric() || !after.is_ascii_alphanumeric() {
        return true;
    }
    if before.is_ascii_digit() != after.is_ascii_digit() {
        return true;
    }
    after.is_ascii_uppercase()
        && (before.is_ascii_lowercase() || key.get(index + 1).is_some_and(u8::is_ascii_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule_of(key: &str) -> Option<String> {
        match KeyRules::new(&[], &[]).classify(key.as_bytes()) {
            KeyClass::Secret(secret) => Some(secret.rule.to_owned()),
            _ => None,
        }
    }

    #[test]
    fn secret_keys_are_known_in_every_spelling() {
        for (rule, keys) in [
            (
                "password",
                "password Password userPassword new_password2 passwd db_pwd DB_PASS passphrase mysql_pwd",
            ),
            ("secret", "secret client_secret clientSecret clientsecret SECRET_KEY aws.secrets secretKey"),
            ("api_key", "api_key apikey X-Api-Key AWS_ACCESS_KEY_ID Ocp-Apim-Subscription-Key"),
            ("private_key", "private_key privateKey rsaPrivateKey"),
            ("auth", "auth basic_auth X-Auth oauth2 PHP_AUTH_USER"),
            ("authorization", "Authorization Proxy-Authorization HTTP_AUTHORIZATION"),
            ("credentials", "credentials awsCredentials X-Amz-Credential"),
            (
                "token",
                "token access_token accesstoken stripeToken idToken refresh-token bearer X-Amz-Security-Token",
            ),
            ("session", "session sessionid session_id PHPSESSID JSESSIONID connect.sid sid"),
            ("csrf", "csrfmiddlewaretoken X-CSRFToken xsrf-token"),
            ("cookie", "cookie Cookies Set-Cookie cookie_jar"),
            ("credit_card", "card[number] cardNumber credit_card cc_number cvv CVC2 iban"),
            ("ssn", "ssn user_ssn userSSN social_security_number"),
            ("ip", "X-Forwarded-For HTTP_X_REAL_IP CF-Connecting-IP REMOTE_ADDR True-Client-IP forwarded"),
            ("user", "REMOTE_USER Remote-User HTTP_X_FORWARDED_USER X-Amzn-Oidc-Identity"),
        ] {
            for key in keys.split(' ') {
                // Several rules may know a key; that one does is what counts.
                assert!(rule_of(key).is_some(), "{key} is not known, expected {rule}");
            }
            assert_eq!(rule_of(keys.split(' ').next().unwrap()).as_deref(), Some(rule));
        }
    }

    #[test]
    fn harmless_keys_are_not_mistaken() {
        let keys = "author authored_by authority coauthors authenticated auth_method authType auth0_domain \
            secretary secretariat tokenizer tokenize token_count tokenType max_token_limit compass bypass_cache \
            passed passenger session_duration sessions obsession cookie_consent password_reset_url passwordless \
            discard card cardinality dashboard_id number assassin inside reside_at residence sidebar pid \
            monkey keyboard api_version forwarding message filename cvs topology optional lesson assignment \
            remote_user_agent remoteUserCount";
        for key in keys.split_whitespace() {
            assert_eq!(rule_of(key), None, "{key}");
        }
    }

    #[test]
    fn versions_and_ids_have_their_own_classes() {
        let rules = KeyRules::new(&[], &[]);
        for key in ["version", "app_version", "kernelVersion", "build"] {
            assert_eq!(rules.classify(key.as_bytes()), KeyClass::Version, "{key}");
        }
        assert_eq!(rules.classify(b"version_of"), KeyClass::Plain);
        assert_eq!(rules.classify(b"trace_id"), KeyClass::Id);
        assert_eq!(rules.classify(b"my_trace_id"), KeyClass::Plain);
    }

    #[test]
    fn a_projects_words_come_first() {
        let rules = KeyRules::new(&["matrikel".to_owned()], &["authkeytype".to_owned()]);
        let KeyClass::Secret(secret) = rules.classify(b"Matrikel-Nummer") else { panic!("not secret") };
        assert_eq!(secret.rule, "project:matrikel");
        assert_eq!(rules.classify(b"auth_key_type"), KeyClass::Safe);
        assert!(matches!(rules.classify(b"auth_key"), KeyClass::Secret(_)));
    }
}
