/// The longest pattern, in characters.
pub(super) const PATTERN_CHARS_MAX: usize = 200;

/// The most wildcards of a pattern.
pub(super) const WILDCARDS_MAX: usize = 8;

/// How much of a value is looked at, in characters.
const VALUE_CHARS_MAX: usize = 1_024;

/// A pattern: `*` stands for any characters, `?` for one; the case of letters does not matter. In a pattern for paths
/// `*` stays within a directory and `**` does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    parts: Vec<Part>,
    is_path: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Letter(char),
    Any,
    /// Any number of characters that are no slash.
    Within,
    /// Any number of characters.
    Across,
}

impl Pattern {
    /// The pattern of a text, or why it is none.
    pub(super) fn parse(text: &str, is_path: bool) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the pattern is empty; write \"\" around an empty value or * for any".to_owned());
        }
        if text.chars().count() > PATTERN_CHARS_MAX {
            return Err(format!("the pattern is longer than {PATTERN_CHARS_MAX} characters"));
        }
        let mut parts = Vec::with_capacity(text.len());
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            parts.push(match letter {
                '?' => Part::Any,
                '*' if letters.next_if_eq(&'*').is_some() => {
                    while letters.next_if_eq(&'*').is_some() {}
                    Part::Across
                }
                '*' if is_path => Part::Within,
                '*' => Part::Across,
                '\\' if is_path => Part::Letter('/'),
                other => Part::Letter(lower(other)),
            });
        }
        let wildcards = parts.iter().filter(|part| matches!(part, Part::Within | Part::Across)).count();
        if wildcards > WILDCARDS_MAX {
            return Err(format!("the pattern has more than {WILDCARDS_MAX} wildcards"));
        }
        Ok(Self { parts, is_path })
    }

    /// Whether the whole of `value` is as the pattern says; a path also with a slash before it.
    pub(super) fn matches(&self, value: &str) -> bool {
        self.run(value.chars())
            || self.is_path && !value.starts_with('/') && self.run("/".chars().chain(value.chars()))
    }

    /// Follows all places in the pattern that the letters so far may have led to.
    fn run(&self, letters: impl Iterator<Item = char>) -> bool {
        let mut places = vec![0];
        self.skip_wildcards(&mut places);
        let mut next = Vec::new();
        for letter in letters.take(VALUE_CHARS_MAX) {
            let letter = if self.is_path && letter == '\\' { '/' } else { lower(letter) };
            next.clear();
            for place in &places {
                let follows = match self.parts.get(*place) {
                    Some(Part::Letter(wanted)) if *wanted == letter => place + 1,
                    Some(Part::Any) => place + 1,
                    Some(Part::Across) => *place,
                    Some(Part::Within) if letter != '/' => *place,
                    _ => continue,
                };
                if !next.contains(&follows) {
                    next.push(follows);
                }
            }
            if next.is_empty() {
                return false;
            }
            std::mem::swap(&mut places, &mut next);
            self.skip_wildcards(&mut places);
        }
        places.contains(&self.parts.len())
    }

    /// A wildcard may stand for nothing.
    fn skip_wildcards(&self, places: &mut Vec<usize>) {
        let mut at = 0;
        while at < places.len() {
            let place = places[at];
            if matches!(self.parts.get(place), Some(Part::Within | Part::Across))
                && !places.contains(&(place + 1))
            {
                places.push(place + 1);
            }
            at += 1;
        }
    }
}

fn lower(letter: char) -> char {
    if letter.is_ascii() {
        letter.to_ascii_lowercase()
    } else {
        letter.to_lowercase().next().unwrap_or(letter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_whole_values() {
        for (pattern, is_path, value, matches) in [
            ("KeyError", false, "keyerror", true),
            ("KeyError", false, "KeyErrors", false),
            ("*Error", false, "shop.KeyError", true),
            ("Key?rror", false, "KeyÄrror", true),
            ("*a*b*", false, "xxaxxbxx", true),
            ("*a*b*", false, "xxbxxaxx", false),
            ("a*", false, "a/b", true),
            ("src/*.rs", true, "src/lib.rs", true),
            ("src/*.rs", true, "src/store/read.rs", false),
            ("src/**.rs", true, "src/store/read.rs", true),
            ("**/vendor/**", true, "vendor/jquery.js", true),
            ("**/vendor/**", true, "C:\\shop\\vendor\\jquery.js", true),
            ("**/vendor/**", true, "/srv/vendors/jquery.js", false),
            ("*", false, "", true),
            ("?", false, "", false),
        ] {
            let parsed = Pattern::parse(pattern, is_path).unwrap();
            assert_eq!(parsed.matches(value), matches, "{pattern} {value}");
        }
    }

    #[test]
    fn patterns_have_limits() {
        assert_eq!(
            Pattern::parse(&"a".repeat(201), false).unwrap_err(),
            "the pattern is longer than 200 characters"
        );
        assert_eq!(
            Pattern::parse(&"*a".repeat(9), false).unwrap_err(),
            "the pattern has more than 8 wildcards"
        );
        assert!(Pattern::parse("", false).unwrap_err().starts_with("the pattern is empty"));
    }

    proptest! {
        #[test]
        fn a_value_matches_itself_and_what_surrounds_it(value in "[a-zA-Zäß0-9 /.]{1,40}", before in ".{0,9}", after in ".{0,9}") {
            prop_assert!(Pattern::parse(&value, false).unwrap().matches(&value));
            let around = format!("{before}{value}{after}");
            let pattern = format!("*{value}*");
            prop_assert!(Pattern::parse(&pattern, false).unwrap().matches(&around));
        }
    }
}
