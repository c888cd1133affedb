//! The shape of an SQL statement: the same for all its values.

/// As much of a statement as is kept.
const BYTES_MAX: usize = 2_000;

/// The statement with literals replaced by `?`, comments and surplus white space left out, and lists of values
/// collapsed, so that it names no data and statements that differ in data alone are the same.
///
/// Knows the quoting of SQLite and PostgreSQL: `'..'` with doubled quotes, `E'..'` with backslashes, `$tag$..$tag$`,
/// names in `".."`, `` `..` `` and `[..]`.
pub(crate) fn shape(sql: &str) -> String {
    let mut shape = Shape { rest: sql, out: String::with_capacity(sql.len().min(BYTES_MAX)) };
    while shape.out.len() < BYTES_MAX && shape.step() {}
    let mut out = shape.out;
    let mut end = out.len().min(BYTES_MAX);
    while !out.is_char_boundary(end) {
        end -= 1;
    }
    out.truncate(end);
    collapse(out.trim_end())
}

struct Shape<'a> {
    rest: &'a str,
    out: String,
}

impl<'a> Shape<'a> {
    /// Reads one element; `false` at the end.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else { return false };
        let rest = self.rest;
        match first {
            it if it.is_whitespace() => {
                self.skip(rest.find(|it: char| !it.is_whitespace()).unwrap_or(rest.len()));
                self.space();
            }
            '-' if rest.starts_with("--") => self.skip(rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => self.skip(rest.find("*/").map_or(rest.len(), |at| at + 2)),
            '\'' => self.literal(quoted(rest, '\'', false)),
            '"' => self.keep(quoted(rest, '"', false)),
            '`' => self.keep(quoted(rest, '`', false)),
            '$' => self.dollar(),
            it if it.is_ascii_digit() => self.number(),
            it if it.is_alphabetic() || it == '_' => self.word(),
            it => self.keep(it.len_utf8()),
        }
        true
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn keep(&mut self, bytes: usize) {
        let (kept, rest) = self.rest.split_at(bytes);
        self.out.push_str(kept);
        self.rest = rest;
    }

    fn literal(&mut self, bytes: usize) {
        self.skip(bytes);
        self.out.push('?');
    }

    fn space(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with(' ') {
            self.out.push(' ');
        }
    }

    /// A name or key word, or the letter before a literal such as `E'..'`.
    fn word(&mut self) {
        let end = self.rest.find(|it: char| !(it.is_alphanumeric() || matches!(it, '_' | '$')));
        let end = end.unwrap_or(self.rest.len());
        let is_prefix = matches!(self.rest[..end].to_ascii_lowercase().as_str(), "e" | "b" | "x" | "n");
        if is_prefix && self.rest[end..].starts_with('\'') {
            let escapes = self.rest[..end].eq_ignore_ascii_case("e");
            self.literal(end + quoted(&self.rest[end..], '\'', escapes));
        } else {
            self.keep(end);
        }
    }

    fn number(&mut self) {
        let end = self.rest.find(|it: char| !(it.is_alphanumeric() || matches!(it, '.' | '_')));
        self.literal(end.unwrap_or(self.rest.len()));
    }

    /// A parameter such as `$1`, or a literal between two `$tag$`.
    fn dollar(&mut self) {
        let after = &self.rest[1..];
        if after.starts_with(|it: char| it.is_ascii_digit()) {
            let digits = after.find(|it: char| !it.is_ascii_digit()).unwrap_or(after.len());
            return self.literal(1 + digits);
        }
        let tag = after.find('$').map(|at| &self.rest[..at + 2]);
        let is_tag = |tag: &&str| tag.chars().all(|it| it.is_alphanumeric() || matches!(it, '_' | '$'));
        match tag.filter(is_tag) {
            Some(tag) => {
                let inner = &self.rest[tag.len()..];
                self.literal(inner.find(tag).map_or(self.rest.len(), |at| at + 2 * tag.len()));
            }
            None => self.keep(1),
        }
    }
}

/// The length of the quoted text that `text` begins with; all of it if the quote is not closed.
fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, it)) = characters.next() {
        if escapes && it == '\\' {
            characters.next();
        } else if it == quote {
            if characters.peek().is_some_and(|(_, next)| *next == quote) {
                characters.next();
            } else {
                return at + quote.len_utf8();
            }
        }
    }
    text.len()
}

/// `(?, ?, ?)` becomes `(?)`, and a list of such lists one of them.
fn collapse(statement: &str) -> String {
    let mut out = String::with_capacity(statement.len());
    let mut rest = statement;
    while let Some(at) = rest.find('?') {
        out.push_str(&rest[..=at]);
        rest = &rest[at + 1..];
        while let Some(next) = rest.trim_start().strip_prefix(',').map(str::trim_start) {
            let Some(next) = next.strip_prefix('?') else { break };
            rest = next;
        }
        if out.ends_with("(?") {
            while let Some(next) = rest.strip_prefix(')').map(str::trim_start)
                && let Some(next) = next.strip_prefix(',').map(str::trim_start)
                && let Some(next) = next.strip_prefix("(?")
            {
                rest = next;
                while let Some(next) = rest.trim_start().strip_prefix(',').map(str::trim_start) {
                    let Some(next) = next.strip_prefix('?') else { break };
                    rest = next;
                }
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_replaced_and_everything_else_stays() {
        for (sql, expected) in [
            ("SELECT 1", "SELECT ?"),
            ("SELECT * FROM t1 WHERE a = 'x''y' AND b > 4.5e3", "SELECT * FROM t1 WHERE a = ? AND b > ?"),
            ("select \"name 1\", `b 2` from \"T\"", "select \"name 1\", `b 2` from \"T\""),
            ("SELECT a\n  FROM t -- ada@example.org\n WHERE b=$1", "SELECT a FROM t WHERE b=?"),
            ("/* secret 7 */ SELECT E'it\\'s' || x'AB' || $tag$ a $ b $tag$", "SELECT ? || ? || ?"),
            ("SELECT a FROM t WHERE b IN (1, 2, 3)", "SELECT a FROM t WHERE b IN (?)"),
            (
                "INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y'), ($3, $4) RETURNING id",
                "INSERT INTO t (a, b) VALUES (?) RETURNING id",
            ),
            ("SELECT 'not closed", "SELECT ?"),
            ("SELECT größe FROM t WHERE name = 'ä'", "SELECT größe FROM t WHERE name = ?"),
            ("UPDATE t SET a = ?, b = ? WHERE id = ?", "UPDATE t SET a = ?, b = ? WHERE id = ?"),
            ("", ""),
        ] {
            assert_eq!(shape(sql), expected);
        }
    }

    #[test]
    fn long_statements_are_cut() {
        assert_eq!(shape(&"ab, ".repeat(10_000)).len(), BYTES_MAX - 1);
        assert!(shape(&"ä".repeat(10_000)).len() <= BYTES_MAX);
    }

    proptest! {
        #[test]
        fn no_value_survives_whatever_it_holds(value in "[^']{1,20}", number in 1_000_000_u32..) {
            let sql = format!("SELECT a FROM t WHERE b = '{value}' AND c = {number} AND d = $$a{number}$$");
            prop_assert_eq!(shape(&sql), "SELECT a FROM t WHERE b = ? AND c = ? AND d = ?");
        }

        #[test]
        fn any_text_has_a_shape(sql in ".{0,200}") {
            prop_assert!(shape(&sql).len() <= BYTES_MAX + 4);
        }
    }
}
