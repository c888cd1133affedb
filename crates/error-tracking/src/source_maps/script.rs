//! Generated scripts: what stands at a position, and what the original of a function was called.

use super::decode::{Named, SourceMap};

/// How far back a function's head is looked for, in mapped positions.
const TOKENS_BACK_MAX: usize = 20_000;

/// How much of the end of a script is looked through for the reference to its map, in bytes.
const REFERENCE_BYTES_MAX: usize = 64 << 10;

/// The longest reference that is no map itself, in bytes.
const URL_BYTES_MAX: usize = 2_000;

/// A generated script, with the places of its lines.
#[derive(Debug)]
pub(crate) struct Script {
    text: Box<str>,
    /// Where each line begins.
    lines: Vec<u32>,
}

impl Script {
    pub(crate) fn new(text: String) -> Self {
        let begins = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1);
        let lines = std::iter::once(0).chain(begins).filter_map(|at| u32::try_from(at).ok()).collect();
        Self { text: text.into(), lines }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn weight(&self) -> usize {
        self.text.len() + self.lines.len() * 4 + 64
    }

    /// Where the last `//# sourceMappingURL=` points, unless it is longer than an address should be.
    pub(crate) fn map_reference(&self) -> Option<&str> {
        let start = self.text.len().saturating_sub(REFERENCE_BYTES_MAX);
        let end = &self.text[self.text.ceil_char_boundary(start)..];
        let reference = ["//# sourceMappingURL=", "//@ sourceMappingURL="]
            .iter()
            .filter_map(|mark| end.rfind(mark).map(|at| &end[at + mark.len()..]))
            .next()?;
        let reference = reference.split(['\n', '\r', ' ', '\'', '"']).next()?.trim();
        (!reference.is_empty() && reference.len() <= URL_BYTES_MAX).then_some(reference)
    }

    /// The map that the script holds itself, as `data:application/json;..;base64,`.
    pub(crate) fn inline_map(&self) -> Option<&str> {
        let at = self.text.rfind("//# sourceMappingURL=data:application/json")?;
        let (_, data) = self.text[at..].split_once("base64,")?;
        data.split(|character: char| character.is_whitespace()).next().filter(|data| !data.is_empty())
    }

    /// The line before and from a position (from 0, in UTF-16 units).
    fn around(&self, line: u32, column: u32) -> Option<(&str, &str)> {
        let start = *self.lines.get(line as usize)? as usize;
        let end = self.lines.get(line as usize + 1).map_or(self.text.len(), |next| *next as usize);
        let text = self.text.get(start..end)?;
        if text.is_ascii() {
            return text.split_at_checked(column as usize);
        }
        let mut left = column as usize;
        for (at, character) in text.char_indices() {
            if left == 0 {
                return Some(text.split_at(at));
            }
            left = left.checked_sub(character.len_utf16())?;
        }
        (left == 0).then_some((text, ""))
    }

    /// The identifier that begins at a position (from 0, in UTF-16 units).
    fn identifier_at(&self, line: u32, column: u32) -> Option<&str> {
        let (_, rest) = self.around(line, column)?;
        let end = rest.find(|character: char| !is_identifier(character)).unwrap_or(rest.len());
        rest.get(..end).filter(|identifier| !identifier.is_empty())
    }

    /// Whether the identifier at a position is being given to a function or class there: `function a(`, `class a{`,
    /// `a=function`, `a=(..)=>`, `a=class`, or the method `a(..){`.
    fn is_declared_at(&self, line: u32, column: u32) -> bool {
        let Some((before, after)) = self.around(line, column) else { return false };
        let before = before.trim_end();
        if ["function", "function*", "class"].iter().any(|word| before.ends_with(word)) {
            return true;
        }
        let rest = after.trim_start_matches(is_identifier).trim_start();
        match rest.strip_prefix('=').or_else(|| rest.strip_prefix(':')) {
            Some(value) => {
                let value = value.trim_start().trim_start_matches("async").trim_start();
                let is_arrow = value.trim_start_matches(is_identifier).trim_start().starts_with("=>");
                value.starts_with("function")
                    || value.starts_with("class")
                    || value.starts_with('(')
                    || is_arrow
            }
            None => false,
        }
    }
}

fn is_identifier(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$' | '\u{200c}' | '\u{200d}')
}

/// A position in a generated script, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// What the original of the function `minified` is called, which runs at `position` and was called from `caller`.
///
/// In this order: the name that the map gives to what the caller calls; the name at the nearest declaration of the
/// function before the position; `None` if the map knows neither. A function without a name can only be one that
/// the bundler wrote into the call.
pub(crate) fn original_function(
    map: &SourceMap,
    script: Option<&Script>,
    minified: &str,
    position: Position,
    caller: Option<(Position, &SourceMap, Option<&Script>)>,
) -> Option<String> {
    let (receiver, method) = split_name(minified);
    if method.is_empty() {
        return caller.and_then(|(place, map, script)| name_of_inlined(map, script?, place));
    }
    let called = caller.and_then(|(place, map, script)| name_of_call(map, script, method, place));
    let name = called.or_else(|| name_of_declaration(map, script?, method, position));
    // A receiver is a class, which may have been renamed as well; `Object` and the like say nothing.
    let class = receiver
        .filter(|receiver| !matches!(*receiver, "Object" | "Function" | "Module" | "Window" | "global"))
        .and_then(|receiver| name_of_declaration(map, script?, receiver, position));
    match (class, name) {
        (Some(class), Some(name)) => Some(format!("{class}.{name}")),
        (Some(class), None) => Some(format!("{class}.{method}")),
        (None, name) => name,
    }
}

/// The receiver and the name alone, of `async a.b [as c]`, `new a`, `Object.a`.
fn split_name(function: &str) -> (Option<&str>, &str) {
    let name = function.split(" [as ").next().unwrap_or(function);
    let name = name.trim_start_matches("async ").trim_start_matches("new ").trim();
    let (receiver, method) = match name.rsplit_once('.') {
        Some((receiver, method)) => (receiver.rsplit('.').next(), method),
        None => (None, name),
    };
    let is_name = !method.is_empty() && method.chars().all(is_identifier);
    (receiver.filter(|receiver| !receiver.is_empty()), if is_name { method } else { "" })
}

fn name_of_call(map: &SourceMap, script: Option<&Script>, method: &str, place: Position) -> Option<String> {
    let named = map.name_at(place.line, place.column)?;
    let is_meant = match script {
        Some(script) => script.identifier_at(named.line, named.column) == Some(method),
        // Without the script only an exact hit is trusted: an engine points at the name that it calls.
        None => is_hit(&named, place),
    };
    is_meant.then(|| named.name.to_owned())
}

/// The name of what was called before the function was written into the call: `pay(1)` becomes `(function(e){..})(1)`.
/// Engines point at the parenthesis of such a call, and minifiers give it the name that stood there.
fn name_of_inlined(map: &SourceMap, script: &Script, place: Position) -> Option<String> {
    let named = map.name_at(place.line, place.column)?;
    let (_, rest) = script.around(named.line, named.column)?;
    (is_hit(&named, place) && rest.starts_with('(')).then(|| named.name.to_owned())
}

/// Whether a name stands at the very place, whose line and column count from one.
fn is_hit(named: &Named<'_>, place: Position) -> bool {
    (named.line, named.column) == (place.line - 1, place.column - 1)
}

fn name_of_declaration(map: &SourceMap, script: &Script, name: &str, position: Position) -> Option<String> {
    map.names_before(position.line, position.column, TOKENS_BACK_MAX)
        .find(|named| {
            script.identifier_at(named.line, named.column) == Some(name)
                && script.is_declared_at(named.line, named.column)
        })
        .map(|named| named.name.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// `function p(e){return e.x}var s=class{t(r){return p(r)}};new s().t(1)`, made by hand: names at `p` (9) and `s` (29),
    /// and at the calls of both (49, 60).
    fn small() -> (SourceMap, Script) {
        let text = "function p(e){return e.x}var s=class{t(r){return p(r)}};new s().t(1)\n//# sourceMappingURL=a.js.map\n";
        let map = json!({
            "version": 3, "sources": ["a.ts"], "names": ["price", "Checkout"],
            // Columns 9, 29, 49, 60.
            "mappings": "SAAAA,oBAAAC,oBAAAD,WAAAC",
        });
        (SourceMap::parse(map.to_string().as_bytes()).unwrap(), Script::new(text.to_owned()))
    }

    fn at(column: u32) -> Position {
        Position { line: 1, column }
    }

    #[test]
    fn functions_are_named_by_their_call_or_their_declaration() {
        let (map, script) = small();
        let name = |minified: &str, column, caller: Option<u32>| {
            let caller = caller.map(|column| (at(column), &map, Some(&script)));
            original_function(&map, Some(&script), minified, at(column), caller)
        };
        assert_eq!(name("p", 23, Some(50)).as_deref(), Some("price"), "by the call");
        assert_eq!(name("p", 23, None).as_deref(), Some("price"), "by the declaration");
        assert_eq!(name("s.t", 50, Some(65)).as_deref(), Some("Checkout.t"), "the class alone was renamed");
        assert_eq!(name("new s", 50, None).as_deref(), Some("Checkout"));
        assert_eq!(name("q", 23, Some(50)), None, "another function is called there");
        assert_eq!(name("Object.?", 23, Some(50)), None);
        assert_eq!(name("?", 23, Some(50)), None);
        let blind = |caller| original_function(&map, None, "p", at(23), Some((at(caller), &map, None)));
        assert_eq!(blind(50).as_deref(), Some("price"), "without the script an exact hit counts");
        assert_eq!(blind(52), None);
    }

    #[test]
    fn functions_written_into_their_call_are_named_by_it() {
        let script = Script::new("!function(){null.x}();t.map(e=>e.x)\n".to_owned());
        let map = json!({
            "version": 3, "sources": ["a.ts"], "names": ["payFor", "map"],
            // Columns 19 (the parenthesis of the call) and 24.
            "mappings": "mBAAAA,KAAAC",
        });
        let map = SourceMap::parse(map.to_string().as_bytes()).unwrap();
        let name = |minified: &str, script, caller| {
            original_function(&map, script, minified, at(17), Some((at(caller), &map, script)))
        };
        for anonymous in ["?", "<anonymous>", "", "Object.?"] {
            assert_eq!(name(anonymous, Some(&script), 20).as_deref(), Some("payFor"), "{anonymous}");
        }
        assert_eq!(name("?", Some(&script), 21), None, "the name stands elsewhere");
        assert_eq!(
            name("?", Some(&script), 25),
            None,
            "what is called there has a name, this is given to it"
        );
        assert_eq!(name("p", Some(&script), 20), None, "a function with a name is not written into a call");
        assert_eq!(name("?", None, 20), None, "without the script nothing says what stands there");
    }

    #[test]
    fn the_reference_to_the_map_is_the_last_one() {
        let (_, script) = small();
        assert_eq!(script.map_reference(), Some("a.js.map"));
        assert_eq!(Script::new("x".to_owned()).map_reference(), None);
        let inline = Script::new(
            "x\n//# sourceMappingURL=data:application/json;charset=utf-8;base64,e30=\n//# debugId=1"
                .to_owned(),
        );
        assert_eq!(inline.inline_map(), Some("e30="));
        assert_eq!(script.inline_map(), None);
    }

    #[test]
    fn columns_count_utf_16_units() {
        let script = Script::new("a\n'ä😀';beta()".to_owned());
        assert_eq!(script.identifier_at(1, 6), Some("beta"));
        assert_eq!(script.identifier_at(1, 3), None, "inside a pair");
        assert_eq!(script.identifier_at(0, 0), Some("a"));
        assert_eq!(script.identifier_at(7, 0), None);
        assert_eq!(script.identifier_at(1, 99), None);
    }

    proptest! {
        #[test]
        fn any_script_gets_an_answer(text in "(a|=|\\(|function |😀|\\n| |class |:|=>){0,12}", name in "(a|\\.|new |async |\\?| \\[as ){0,5}", line in 1_u32..4, column in 1_u32..30) {
            let (map, _) = small();
            let script = Script::new(text);
            let position = Position { line, column };
            let _ = original_function(&map, Some(&script), &name, position, Some((position, &map, Some(&script))));
        }
    }
}
