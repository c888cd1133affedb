//! Source maps (ECMA-426) as tables to look positions up in.
//!
//! Anybody who may upload wrote them, so every count is limited before memory is taken for it.

use std::collections::HashSet;

use serde::Deserialize;

/// The most mapped positions of one map: a bundle of about 10 MB. Each takes 24 bytes.
const TOKENS_MAX: usize = 3_000_000;

/// The most sources of one map.
const SOURCES_MAX: usize = 100_000;

/// The most names of one map.
const NAMES_MAX: usize = 1_000_000;

/// How deep index maps may nest; the standard allows one level, some tools make two.
const DEPTH_MAX: usize = 4;

/// The most sections of one index map.
const SECTIONS_MAX: usize = 10_000;

/// "No source" and "no name" in a token.
const NONE: u32 = u32::MAX;

/// Why bytes are not a source map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidMap {
    /// It is not the JSON of a source map.
    #[error("not the JSON of a source map (line {line}, column {column})")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A version other than 3.
    #[error("version {0} of the format; only 3 is known")]
    Version(u64),
    /// `mappings` cannot be read.
    #[error("damaged mappings at byte {0}")]
    Mappings(usize),
    /// There is too much of something.
    #[error("more than {max} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// A section that only refers to another file.
    #[error("a section refers to another file")]
    SectionUrl,
}

/// One mapped position; lines and columns from 0, columns in UTF-16 units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token {
    line: u32,
    column: u32,
    source: u32,
    source_line: u32,
    source_column: u32,
    name: u32,
}

/// A source that a map leads to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Source {
    /// As the map names it, `sourceRoot` included.
    pub(crate) path: String,
    pub(crate) content: Option<Box<str>>,
    /// Whether the map says that it is somebody else's code.
    pub(crate) is_ignored: bool,
}

/// A source map, decoded.
#[derive(Debug, Default)]
pub(crate) struct SourceMap {
    tokens: Vec<Token>,
    sources: Vec<Source>,
    names: Vec<Box<str>>,
}

/// Where a generated position comes from.
#[derive(Debug, PartialEq)]
pub(crate) struct Origin<'a> {
    pub(crate) source: &'a Source,
    /// From 1.
    pub(crate) line: u32,
    /// From 1.
    pub(crate) column: u32,
}

/// A name and where in the generated file it stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    pub(crate) name: &'a str,
    /// From 0.
    pub(crate) line: u32,
    /// From 0, in UTF-16 units.
    pub(crate) column: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMap {
    version: Option<u64>,
    mappings: Option<String>,
    sources: Option<Vec<Option<String>>>,
    source_root: Option<String>,
    sources_content: Option<Vec<Option<Box<str>>>>,
    names: Option<Vec<Box<str>>>,
    ignore_list: Option<Vec<u32>>,
    /// What the list was called before it was standardised.
    #[serde(rename = "x_google_ignoreList")]
    old_ignore_list: Option<Vec<u32>>,
    sections: Option<Vec<RawSection>>,
}

#[derive(Deserialize)]
struct RawSection {
    offset: RawOffset,
    map: Option<Box<RawMap>>,
}

#[derive(Deserialize, Clone, Copy)]
struct RawOffset {
    line: u32,
    column: u32,
}

impl SourceMap {
    /// Reads a map or an index map.
    ///
    /// # Errors
    /// [`InvalidMap`] with what is wrong.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, InvalidMap> {
        let json = without_guard(bytes);
        let raw: RawMap = serde_json::from_slice(json)
            .map_err(|error| InvalidMap::Json { line: error.line(), column: error.column() })?;
        let mut map = Self::default();
        map.add(raw, RawOffset { line: 0, column: 0 }, 0)?;
        let key = |token: &Token| (token.line, token.column);
        if !map.tokens.is_sorted_by_key(key) {
            map.tokens.sort_by_key(key);
        }
        map.tokens.shrink_to_fit();
        Ok(map)
    }

    fn add(&mut self, raw: RawMap, offset: RawOffset, depth: usize) -> Result<(), InvalidMap> {
        if let Some(version) = raw.version.filter(|version| *version != 3) {
            return Err(InvalidMap::Version(version));
        }
        if let Some(sections) = raw.sections {
            if depth == DEPTH_MAX {
                return Err(InvalidMap::TooMany { what: "levels of index maps", max: DEPTH_MAX });
            }
            if sections.len() > SECTIONS_MAX {
                return Err(InvalidMap::TooMany { what: "sections", max: SECTIONS_MAX });
            }
            for section in sections {
                let inner = section.map.ok_or(InvalidMap::SectionUrl)?;
                // Columns are moved in the first line of a section only.
                let line = section.offset.line.saturating_add(offset.line);
                let column = section.offset.column.saturating_add(if section.offset.line == 0 {
                    offset.column
                } else {
                    0
                });
                self.add(*inner, RawOffset { line, column }, depth + 1)?;
            }
            return Ok(());
        }
        let (sources, names) = (raw.sources.unwrap_or_default(), raw.names.unwrap_or_default());
        if self.sources.len() + sources.len() > SOURCES_MAX {
            return Err(InvalidMap::TooMany { what: "sources", max: SOURCES_MAX });
        }
        if self.names.len() + names.len() > NAMES_MAX {
            return Err(InvalidMap::TooMany { what: "names", max: NAMES_MAX });
        }
        let base = Base {
            offset,
            source: u32::try_from(self.sources.len()).unwrap_or(NONE),
            sources: sources.len(),
            name: u32::try_from(self.names.len()).unwrap_or(NONE),
            names: names.len(),
        };
        decode_mappings(raw.mappings.unwrap_or_default().as_bytes(), &base, &mut self.tokens)?;
        let root = raw.source_root.unwrap_or_default();
        let mut contents = raw.sources_content.unwrap_or_default().into_iter();
        let ignored: HashSet<usize> = [raw.ignore_list, raw.old_ignore_list]
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|index| usize::try_from(index).ok())
            .collect();
        for (index, path) in sources.into_iter().enumerate() {
            self.sources.push(Source {
                path: with_root(&root, path.unwrap_or_default()),
                content: contents.next().flatten(),
                is_ignored: ignored.contains(&index),
            });
        }
        self.names.extend(names);
        Ok(())
    }

    /// Where the code at `line` (from 1) and `column` (from 1) of the generated file comes from.
    pub(crate) fn find(&self, line: u32, column: u32) -> Option<Origin<'_>> {
        let token = self.tokens.get(self.index_at(line, column)?)?;
        let source = self.sources.get(token.source as usize)?;
        Some(Origin {
            source,
            line: token.source_line.saturating_add(1),
            column: token.source_column.saturating_add(1),
        })
    }

    /// The name that the map gives to what stands at `line` and `column` (from 1), with where its token begins.
    pub(crate) fn name_at(&self, line: u32, column: u32) -> Option<Named<'_>> {
        self.named(self.index_at(line, column)?)
    }

    /// The named tokens before `line` and `column` (from 1), the nearest first, of the `tokens_max` nearest tokens.
    pub(crate) fn names_before(
        &self,
        line: u32,
        column: u32,
        tokens_max: usize,
    ) -> impl Iterator<Item = Named<'_>> {
        let end = self.index_at(line, column).map_or(0, |index| index + 1);
        (end.saturating_sub(tokens_max)..end).rev().filter_map(|index| self.named(index))
    }

    fn named(&self, index: usize) -> Option<Named<'_>> {
        let token = self.tokens.get(index)?;
        let name = self.names.get(token.name as usize)?;
        Some(Named { name, line: token.line, column: token.column })
    }

    /// The last token of the line that is not behind the position.
    fn index_at(&self, line: u32, column: u32) -> Option<usize> {
        let place = (line.checked_sub(1)?, column.checked_sub(1)?);
        let index =
            self.tokens.partition_point(|token| (token.line, token.column) <= place).checked_sub(1)?;
        (self.tokens.get(index)?.line == place.0).then_some(index)
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn weight(&self) -> usize {
        let sources: usize = self
            .sources
            .iter()
            .map(|source| source.path.len() + source.content.as_ref().map_or(0, |text| text.len()) + 64)
            .sum();
        let names: usize = self.names.iter().map(|name| name.len() + 32).sum();
        self.tokens.len() * size_of::<Token>() + sources + names + 256
    }
}

/// Servers put a line that is no script before JSON, so that it cannot be included as one (`)]}'`).
fn without_guard(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.starts_with(b")]}") {
        let line = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
        return &bytes[line..];
    }
    bytes
}

fn with_root(root: &str, path: String) -> String {
    let is_absolute = path.starts_with('/') || path.contains("://");
    if root.is_empty() || is_absolute {
        return path;
    }
    format!("{}/{path}", root.trim_end_matches('/'))
}

/// What the numbers of a section count from.
struct Base {
    offset: RawOffset,
    source: u32,
    sources: usize,
    name: u32,
    names: usize,
}

/// Decodes `mappings`: lines end with `;`, segments with `,`; each segment has 1, 4 or 5 numbers, each relative to the
/// one before of its kind.
fn decode_mappings(mappings: &[u8], base: &Base, tokens: &mut Vec<Token>) -> Result<(), InvalidMap> {
    let mut line: u32 = 0;
    // Column, source, line and column in it, name.
    let mut state = [0_i64; 5];
    let mut at = 0;
    while at < mappings.len() {
        match mappings[at] {
            b';' => {
                line = line.checked_add(1).ok_or(InvalidMap::Mappings(at))?;
                state[0] = 0;
                at += 1;
                continue;
            }
            b',' => {
                at += 1;
                continue;
            }
            _ => {}
        }
        let start = at;
        let mut fields = 0;
        while at < mappings.len() && !matches!(mappings[at], b',' | b';') {
            let place = state.get_mut(fields).ok_or(InvalidMap::Mappings(at))?;
            *place += read_vlq(mappings, &mut at)?;
            fields += 1;
        }
        if !matches!(fields, 1 | 4 | 5) || state.iter().any(|value| !(0..i64::from(NONE)).contains(value)) {
            return Err(InvalidMap::Mappings(start));
        }
        let number = |value: i64| u32::try_from(value).unwrap_or(NONE);
        let within = |value: i64, count: usize, first: u32| {
            let is_known = usize::try_from(value).is_ok_and(|value| value < count);
            if is_known { number(value + i64::from(first)) } else { NONE }
        };
        let column = number(state[0]);
        tokens.push(Token {
            line: line.saturating_add(base.offset.line),
            column: if line == 0 { column.saturating_add(base.offset.column) } else { column },
            source: if fields == 1 { NONE } else { within(state[1], base.sources, base.source) },
            source_line: number(state[2]),
            source_column: number(state[3]),
            name: if fields == 5 { within(state[4], base.names, base.name) } else { NONE },
        });
        if tokens.len() > TOKENS_MAX {
            return Err(InvalidMap::TooMany { what: "mappings", max: TOKENS_MAX });
        }
    }
    Ok(())
}

/// One number: base64 digits of 5 bits, the lowest first, the sixth bit says that more follow, the very lowest is the
/// sign.
fn read_vlq(mappings: &[u8], at: &mut usize) -> Result<i64, InvalidMap> {
    let start = *at;
    let mut value = 0_i64;
    let mut shift = 0;
    loop {
        let digit = mappings.get(*at).copied().and_then(base64_digit).ok_or(InvalidMap::Mappings(*at))?;
        *at += 1;
        value |= i64::from(digit & 31) << shift;
        if digit & 32 == 0 {
            break;
        }
        shift += 5;
        // Numbers have 32 bits, the sign included.
        if shift > 30 {
            return Err(InvalidMap::Mappings(start));
        }
    }
    Ok(if value & 1 == 1 { -(value >> 1) } else { value >> 1 })
}

fn base64_digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(map: &serde_json::Value) -> Result<SourceMap, InvalidMap> {
        SourceMap::parse(map.to_string().as_bytes())
    }

    fn place(map: &SourceMap, line: u32, column: u32) -> Option<(String, u32, u32)> {
        map.find(line, column).map(|origin| (origin.source.path.clone(), origin.line, origin.column))
    }

    /// `a` at 0:0 is `add` at 2:9, `b` at 0:5 is 3:2 without a name, 0:9 is nobody's; 1:4 is 1:2 of the second source.
    fn small() -> serde_json::Value {
        json!({
            "version": 3, "sourceRoot": "src/", "sources": ["a.ts", "/abs/b.ts"], "names": ["add"],
            "sourcesContent": ["one\ntwo", null], "mappings": "AAESA,KACP,I;ICFA", "ignoreList": [1],
        })
    }

    #[test]
    fn positions_lead_to_their_sources() {
        let map = parse(&small()).unwrap();
        let at = |line, column| place(&map, line, column);
        assert_eq!(at(1, 1), Some(("src/a.ts".to_owned(), 3, 10)));
        assert_eq!(at(1, 5), Some(("src/a.ts".to_owned(), 3, 10)));
        assert_eq!(at(1, 6), Some(("src/a.ts".to_owned(), 4, 3)));
        assert_eq!(at(1, 400), None, "a mapping without source ends what stands before it");
        assert_eq!(at(2, 4), None);
        assert_eq!(at(2, 5), Some(("/abs/b.ts".to_owned(), 2, 3)));
        assert_eq!(at(3, 1), None);
        assert_eq!(at(0, 1), None);
        assert_eq!(map.name_at(1, 3), Some(Named { name: "add", line: 0, column: 0 }));
        assert_eq!(map.name_at(1, 7), None);
        assert_eq!(map.names_before(1, 7, 10).count(), 1);
        assert_eq!(map.names_before(1, 7, 1).count(), 0);
        assert_eq!(map.find(1, 1).unwrap().source.content.as_deref(), Some("one\ntwo"));
        assert!(map.find(2, 5).unwrap().source.is_ignored);
    }

    #[test]
    fn index_maps_put_their_sections_one_behind_the_other() {
        let map = parse(&json!({"version": 3, "sections": [
            {"offset": {"line": 0, "column": 0}, "map": small()},
            {"offset": {"line": 2, "column": 10}, "map": {"version": 3, "sections": [
                {"offset": {"line": 0, "column": 1}, "map": small()},
                {"offset": {"line": 5, "column": 3}, "map": small()},
            ]}},
        ]}))
        .unwrap();
        assert_eq!(place(&map, 1, 6), Some(("src/a.ts".to_owned(), 4, 3)));
        assert_eq!(place(&map, 3, 11), None);
        assert_eq!(place(&map, 3, 12), Some(("src/a.ts".to_owned(), 3, 10)));
        assert_eq!(place(&map, 4, 5), Some(("/abs/b.ts".to_owned(), 2, 3)));
        assert_eq!(place(&map, 8, 4), Some(("src/a.ts".to_owned(), 3, 10)));
        assert_eq!(map.name_at(8, 4).map(|named| named.name), Some("add"));
    }

    #[test]
    fn what_is_no_map_says_why() {
        assert_eq!(SourceMap::parse(b"<html>").err(), Some(InvalidMap::Json { line: 1, column: 1 }));
        assert_eq!(parse(&json!({"version": 2, "mappings": ""})).err(), Some(InvalidMap::Version(2)));
        for (mappings, at) in
            [("AA", 0), ("AAAA,A!", 6), ("AAAAAA", 5), ("AADA", 0), ("AAAA,zzzzzzzzA", 5), ("g", 1), ("D", 0)]
        {
            let map = json!({"version": 3, "sources": ["a"], "names": [], "mappings": mappings});
            assert_eq!(parse(&map).err(), Some(InvalidMap::Mappings(at)), "{mappings}");
        }
        let mut nested = small();
        for _ in 0..5 {
            nested = json!({"version": 3, "sections": [{"offset": {"line": 0, "column": 0}, "map": nested}]});
        }
        assert_eq!(parse(&nested).err(), Some(InvalidMap::TooMany { what: "levels of index maps", max: 4 }));
        let deep =
            format!("{}{}", "{\"sections\":[{\"offset\":{\"line\":0,\"column\":0},\"map\":".repeat(500), "1");
        assert!(matches!(SourceMap::parse(deep.as_bytes()), Err(InvalidMap::Json { .. })));
        let by_address = json!({"sections": [{"offset": {"line": 0, "column": 0}, "url": "http://x/"}]});
        assert_eq!(parse(&by_address).err(), Some(InvalidMap::SectionUrl));
    }

    #[test]
    fn huge_maps_are_refused_before_they_take_memory() {
        let many = json!({"version": 3, "sources": ["a"], "mappings": "AAAA,".repeat(TOKENS_MAX + 1)});
        assert_eq!(parse(&many).err(), Some(InvalidMap::TooMany { what: "mappings", max: TOKENS_MAX }));
        let lines = json!({"version": 3, "sources": ["a"], "mappings": ";".repeat(TOKENS_MAX * 2)});
        assert!(parse(&lines).is_ok());
        let names = json!({"version": 3, "names": vec!["a"; NAMES_MAX + 1], "mappings": ""});
        assert_eq!(parse(&names).err(), Some(InvalidMap::TooMany { what: "names", max: NAMES_MAX }));
    }

    #[test]
    fn a_guard_line_and_indexes_beyond_the_lists_are_passed_over() {
        let guarded = format!(")]}}'\n{}", small());
        assert!(SourceMap::parse(guarded.as_bytes()).is_ok());
        let map = parse(&json!({"version": 3, "sources": ["a"], "names": [], "mappings": "ACAAA"})).unwrap();
        assert_eq!((place(&map, 1, 1), map.name_at(1, 1)), (None, None));
    }

    fn encode(value: i64) -> String {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut rest = if value < 0 { (-value) << 1 | 1 } else { value << 1 };
        let mut text = String::new();
        loop {
            let more = if rest > 31 { 32 } else { 0 };
            text.push(char::from(DIGITS[usize::try_from(rest & 31).unwrap() | more]));
            rest >>= 5;
            if rest == 0 {
                return text;
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_found_again(columns in proptest::collection::btree_map(0_i64..5_000, (0_i64..3, 0_i64..900, 0_i64..200), 1..40)) {
            let mut mappings = Vec::new();
            let mut before = [0, 0, 0, 0];
            for (column, (source, line, at)) in &columns {
                let now = [*column, *source, *line, *at];
                mappings.push(now.iter().zip(before).map(|(now, before)| encode(now - before)).collect::<String>());
                before = now;
            }
            let map = parse(&json!({"version": 3, "sources": ["0", "1", "2"], "mappings": mappings.join(",")})).unwrap();
            for (column, (source, line, at)) in &columns {
                let found = place(&map, 1, u32::try_from(*column).unwrap() + 1);
                let expected = (source.to_string(), u32::try_from(*line).unwrap() + 1, u32::try_from(*at).unwrap() + 1);
                prop_assert_eq!(found, Some(expected));
            }
        }

        #[test]
        fn any_mappings_get_an_answer(mappings in "[A-Za-z0-9+/,;!]{0,60}", line in 0_u32..4, column in 0_u32..100) {
            let map = json!({"version": 3, "sources": ["a"], "names": ["b"], "mappings": mappings});
            if let Ok(map) = parse(&map) {
                let _ = (map.find(line, column), map.name_at(line, column));
            }
        }
    }
}
