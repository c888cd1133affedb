/// Whether `text` matches `pattern`, in which `*` stands for any number of characters; upper and lower case differ.
///
/// Linear in practice: after a mismatch only the latest `*` takes one more character.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut read) = (0, 0);
    let mut retry = None;
    while read < text.len() {
        if pattern.get(at) == Some(&b'*') {
            retry = Some((at + 1, read));
            at += 1;
        } else if pattern.get(at) == Some(&text[read]) {
            at += 1;
            read += 1;
        } else if let Some((after_star, taken)) = retry {
            retry = Some((after_star, taken + 1));
            at = after_star;
            read = taken + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_anything_and_everything_else_for_itself() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("*", "anything", true),
            ("/health*", "/healthz", true),
            ("/health*", "/wealth", false),
            ("GET /orders/*/items", "GET /orders/{id}/items", true),
            ("GET /orders/*/items", "GET /orders/{id}/item", false),
            ("*timed out*", "the request timed out after 3 s", true),
            ("*a*b*c", "aXbXbc", true),
            ("*a*b*c", "aXbXcb", false),
            ("exact", "exactly", false),
            ("Größe *", "Größe 4", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn many_stars_do_not_take_long() {
        assert!(!matches(&"*a".repeat(40), &format!("{}b", "a".repeat(4_000))));
    }
}
