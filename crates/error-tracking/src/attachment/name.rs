//! Names of files as clients give them, made harmless.

use crate::event::clean;

/// The longest name, in characters.
const NAME_CHARS_MAX: usize = 200;

/// The longest media type or kind, in characters.
const WORD_CHARS_MAX: usize = 100;

/// The last part of a path, on one line, without characters that change the direction of writing.
pub(super) fn clean_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown: String =
        last.chars().map(|character| if turns_text(character) { '\u{fffd}' } else { character }).collect();
    let cleaned = clean(&shown, NAME_CHARS_MAX);
    match cleaned.as_str() {
        "" | "." | ".." => "attachment".to_owned(),
        _ => cleaned,
    }
}

/// A media type or another word of a client, in ASCII.
pub(super) fn clean_word(word: &str) -> String {
    let word = clean(word, WORD_CHARS_MAX);
    word.chars().map(|character| if character.is_ascii() { character } else { '?' }).collect()
}

/// The controls of Unicode's bidirectional algorithm (UAX 9), with which `exe.txt` can be written `txt.exe`.
fn turns_text(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `attachment` with the name twice: in ASCII for old clients, and encoded as RFC 8187 says.
pub(super) fn disposition(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.() ".contains(c);
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let mut text = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''");
    for byte in name.bytes() {
        // The characters of `attr-char` that no parser mistakes for something else.
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_lose_their_paths_and_what_could_deceive() {
        for (name, cleaned) in [
            ("screenshot.png", "screenshot.png"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\ada\\dump.dmp", "dump.dmp"),
            ("a\r\nSet-Cookie: x=1", "a  Set-Cookie: x=1"),
            ("invoice\u{202e}fdp.exe", "invoice\u{fffd}fdp.exe"),
            ("", "attachment"),
            ("..", "attachment"),
            ("dir/", "attachment"),
            ("<script>alert(1)<", "<script>alert(1)<"),
        ] {
            assert_eq!(clean_name(name), cleaned, "{name:?}");
        }
        assert_eq!(clean_name(&"x".repeat(300)).chars().count(), 200);
        assert_eq!(clean_word("text/html; charset=ütf-8\n"), "text/html; charset=?tf-8");
    }

    #[test]
    fn a_disposition_names_the_file_twice() {
        assert_eq!(
            disposition("Größe \"1\".txt"),
            "attachment; filename=\"Gr__e _1_.txt\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%221%22.txt"
        );
    }

    proptest! {
        #[test]
        fn no_name_ends_a_header_or_a_parameter(name in any::<String>()) {
            let text = disposition(&clean_name(&name));
            prop_assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            prop_assert_eq!(text.matches('"').count(), 2);
            prop_assert_eq!(text.matches(';').count(), 2);
        }
    }
}
