//! CSV after RFC 4180, safe to open in a spreadsheet.

use std::io::{self, BufRead};

/// The most bytes of a record: more than the longest event takes.
pub(crate) const RECORD_BYTES_MAX: usize = 1 << 20;

/// What a spreadsheet takes for the beginning of a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A text as a cell that no spreadsheet computes: one that begins like a formula gets an apostrophe before it, and so
/// does one that would be mistaken for such a cell.
pub(crate) fn guard(text: &str) -> String {
    let mut characters = text.chars();
    let is_risky = match characters.next() {
        Some('\'') => characters.next().is_some_and(|second| second == '\'' || FORMULA.contains(&second)),
        Some(first) => FORMULA.contains(&first),
        None => false,
    };
    if is_risky { format!("'{text}") } else { text.to_owned() }
}

/// The text of a cell that [`guard`] made, or of any other.
pub(crate) fn unguard(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.starts_with('\'') || rest.starts_with(FORMULA) => rest,
        _ => cell,
    }
}

/// Adds a cell, in quotes where it needs them.
pub(crate) fn push_cell(line: &mut String, cell: &str) {
    if cell.contains(['"', ',', '\n', '\r']) || cell.starts_with(' ') || cell.ends_with(' ') {
        line.push('"');
        line.push_str(&cell.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(cell);
    }
}

/// One record, with how many bytes and lines of the file it took.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) text: Vec<u8>,
    pub(crate) lines: u64,
}

/// Reads the next record: to the first line end that is not in quotes. An empty text is the end of the file.
pub(crate) fn read_record(reader: &mut impl BufRead) -> io::Result<Record> {
    let mut record = Record::default();
    let mut is_quoted = false;
    loop {
        let start = record.text.len();
        let count = reader.read_until(b'\n', &mut record.text)?;
        if count == 0 {
            return Ok(record);
        }
        record.lines += 1;
        let quotes = record.text.iter().skip(start).filter(|byte| **byte == b'"').count();
        is_quoted ^= quotes % 2 == 1;
        if !is_quoted || record.text.len() > RECORD_BYTES_MAX {
            return Ok(record);
        }
    }
}

/// The cells of a record.
pub(crate) fn cells(record: &str) -> Result<Vec<String>, &'static str> {
    let record = record.strip_suffix('\n').unwrap_or(record);
    let mut rest = record.strip_suffix('\r').unwrap_or(record);
    let mut cells = Vec::new();
    loop {
        let mut cell = String::new();
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = quoted;
            loop {
                let end = rest.find('"').ok_or("a quote is not closed")?;
                cell.push_str(rest.get(..end).unwrap_or_default());
                rest = rest.get(end + 1..).unwrap_or_default();
                match rest.strip_prefix('"') {
                    Some(more) => {
                        cell.push('"');
                        rest = more;
                    }
                    None => break,
                }
            }
            if !(rest.is_empty() || rest.starts_with(',')) {
                return Err("something follows a closed quote");
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            cell.push_str(rest.get(..end).unwrap_or_default());
            rest = rest.get(end..).unwrap_or_default();
        }
        cells.push(cell);
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Ok(cells),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_come_back_and_none_begins_like_a_formula() {
        let texts = [
            "",
            "plain",
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\tx",
            "\rx",
            "'",
            "''",
            "'=1",
            "''=1",
            "a,b",
            "say \"x\"",
            "two\nlines",
            " space ",
            "ß€",
        ];
        let mut line = String::new();
        for text in texts {
            let guarded = guard(text);
            assert!(!guarded.starts_with(FORMULA), "{guarded:?}");
            assert_eq!(unguard(&guarded), text);
            if !line.is_empty() {
                line.push(',');
            }
            push_cell(&mut line, &guarded);
            if line.is_empty() {
                line.push_str("\"\"");
            }
        }
        line.push_str("\r\n");
        let mut reader = line.as_bytes();
        let record = read_record(&mut reader).unwrap();
        assert_eq!(record.lines, 2);
        let read = cells(std::str::from_utf8(&record.text).unwrap()).unwrap();
        assert_eq!(read.iter().map(|cell| unguard(cell)).collect::<Vec<_>>(), texts);
        assert_eq!(unguard("'tis"), "'tis");
    }

    #[test]
    fn broken_quotes_are_refused() {
        assert_eq!(cells("a,\"b"), Err("a quote is not closed"));
        assert_eq!(cells("\"a\"b,c"), Err("something follows a closed quote"));
        assert_eq!(cells("a,,\n").unwrap(), ["a", "", ""]);
    }
}
