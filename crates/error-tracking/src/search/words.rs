//! Text as words, cut the same for what is stored and for what is looked for, whatever the database. No I/O.
//!
//! A word is a run of letters and digits in lower case. A name such as `PaymentDeclined` is that word and, after it,
//! its parts `payment` and `declined`, so that each of them is found.

/// The longest word, in characters; what follows is cut off.
const WORD_CHARS_MAX: usize = 64;

/// The most words of one field of an issue.
const WORDS_MAX: usize = 250;

/// Words that must follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Phrase {
    /// In their order; never empty.
    pub(crate) words: Vec<String>,
    /// Whether the last one may go on.
    pub(crate) is_open: bool,
}

/// The words of a field, with the parts of names.
pub(crate) fn words_of(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for run in runs(text) {
        push_run(&mut words, run);
        if words.len() >= WORDS_MAX {
            words.truncate(WORDS_MAX);
            break;
        }
    }
    words
}

/// What `text` looks for; `None` if it has no letter or digit. The last word may go on.
pub(crate) fn phrase_of(text: &str) -> Option<Phrase> {
    let mut runs: Vec<&str> = runs(text).collect();
    let last = runs.pop()?;
    let mut words = Vec::new();
    for run in runs {
        push_run(&mut words, run);
    }
    words.push(lower(last));
    Some(Phrase { words, is_open: true })
}

/// A number that is the same for texts that differ only in words with digits: in ids, times and amounts.
pub(crate) fn hash_of(texts: &[&str]) -> i64 {
    // FNV-1a, 64 bits.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for run in texts.iter().flat_map(|text| runs(text)) {
        if run.bytes().any(|byte| byte.is_ascii_digit()) {
            continue;
        }
        for byte in run.bytes().chain([b' ']) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    i64::from_le_bytes(hash.to_le_bytes())
}

fn runs(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_alphanumeric()).filter(|run| !run.is_empty())
}

fn push_run(words: &mut Vec<String>, run: &str) {
    words.push(lower(run));
    let parts = parts(run);
    if parts.len() > 1 {
        words.extend(parts.into_iter().map(lower));
    }
}

fn lower(word: &str) -> String {
    word.chars().take(WORD_CHARS_MAX).flat_map(char::to_lowercase).collect()
}

/// `HTTPServerError` as `HTTP`, `Server`, `Error`.
fn parts(run: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let characters: Vec<(usize, char)> = run.char_indices().collect();
    for window in characters.windows(2) {
        let [(before_at, before), (at, here)] = window else { continue };
        let rises = before.is_lowercase() && here.is_uppercase();
        let begins = before.is_uppercase() && here.is_lowercase() && *before_at > start;
        if rises {
            parts.push(&run[start..*at]);
            start = *at;
        } else if begins {
            parts.push(&run[start..*before_at]);
            start = *before_at;
        }
    }
    parts.push(&run[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_and_so_are_their_parts() {
        assert_eq!(words_of("TypeError: can't read"), ["typeerror", "type", "error", "can", "t", "read"]);
        assert_eq!(words_of("HTTPServerError42"), ["httpservererror42", "http", "server", "error42"]);
        assert_eq!(words_of("snake_case src/app.js"), ["snake", "case", "src", "app", "js"]);
        assert_eq!(words_of("ÄrgerError"), ["ärgererror", "ärger", "error"]);
        assert_eq!(words_of(" .,;\0"), Vec::<String>::new());
    }

    #[test]
    fn fields_and_words_have_an_end() {
        assert_eq!(words_of(&"a ".repeat(10_000)).len(), 250);
        assert_eq!(words_of(&"x".repeat(10_000))[0].len(), 64);
    }

    #[test]
    fn a_phrase_follows_what_is_stored_and_is_open_at_its_end() {
        let phrase = phrase_of("TypeError: cannot Prop").unwrap();
        assert_eq!(phrase.words, ["typeerror", "type", "error", "cannot", "prop"]);
        assert!(phrase.is_open);
        assert_eq!(phrase_of("PaymentDecl").unwrap().words, ["paymentdecl"]);
        assert_eq!(phrase_of("?!"), None);
    }

    #[test]
    fn the_hash_passes_over_what_varies() {
        let one = hash_of(&["order 4711 of shop7 failed"]);
        assert_eq!(one, hash_of(&["order 12 of shop9 failed"]));
        assert_ne!(one, hash_of(&["order 12 of shop9 succeeded"]));
        assert_ne!(hash_of(&["ab", "c"]), hash_of(&["a", "bc"]));
    }
}
