use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value};

use super::Version;
use super::name::{Language, file_name, function_name, module_name};

/// The longest line of source that counts: longer ones are minified.
const CONTEXT_CHARS_MAX: usize = 120;

/// Beginnings of modules, or of functions where there are no modules, of the clients themselves.
const CLIENTS: [&str; 7] = [
    "sentry_sdk.",
    "io.sentry.",
    "Sentry\\",
    "sentry_core::",
    "sentry::",
    "sentry_panic::",
    "sentry_backtrace::",
];

/// What of a frame counts.
pub(super) struct Line {
    /// `frame: module or file | function | line of source`, as far as they are known and mean something.
    pub(super) text: String,
    /// The place and the function, whatever was called in it; `None` without a function's name.
    pub(super) function_key: Option<u64>,
    /// The function's name, with Go's module before it, where aborting is done by functions.
    pub(super) native: Option<String>,
    pub(super) in_app: bool,
}

/// What of a frame counts; nothing for a frame of the client and one that has neither a name nor a place.
pub(super) fn line_of(frame: &Map<String, Value>, platform: &str, version: Version) -> Option<Line> {
    let text =
        |key: &str| frame.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let language = Language::of(text("platform").unwrap_or(platform), version);
    let file = text("filename").or_else(|| text("abs_path"));
    let is_sdk = text("module").is_some_and(|module| module.starts_with("sentry_sdk"))
        || [file, text("abs_path")].into_iter().flatten().any(|path| path.contains("/@sentry/"))
        || version >= Version::Two && is_of_client(text("module"), text("function"));
    if is_sdk {
        return None;
    }
    let context = text("context_line").and_then(|line| source_line(line, language));
    let is_mapped =
        frame.get("data").and_then(|data| data.get("sourcemap")).is_some_and(|map| !map.is_null());
    let name =
        text("function").and_then(|function| function_name(function, text("module"), language, version));
    // Names that a source map gives vary with how the call was written; the line is what was meant.
    let is_function_left_out = is_mapped && context.is_some() && language == Language::JavaScript;
    let place = match text("module") {
        Some(module) => Some(module_name(module, language, version)),
        None => file
            .filter(|file| !is_remote(file) && !text("abs_path").is_some_and(is_remote))
            .and_then(|file| file_name(file, language, version)),
    };
    let place = place.or_else(|| {
        let package = text("package")
            .filter(|_| (name.is_none() || is_function_left_out) && language == Language::Native)?;
        file_name(package, language, version)
    });
    let function_key = name.as_ref().filter(|_| version >= Version::Two).map(|name| {
        let mut hasher = DefaultHasher::new();
        (&place, name).hash(&mut hasher);
        hasher.finish()
    });
    let native = match (language, &name) {
        (Language::Native, Some(name)) => Some(name.clone()),
        (Language::Go, Some(name)) => Some(match text("module") {
            Some(module) => format!("{module}.{name}"),
            None => name.clone(),
        }),
        _ => None,
    };
    let function = name.filter(|_| !is_function_left_out);
    let mut line = String::new();
    for part in [place, function, context].into_iter().flatten() {
        line.push_str(if line.is_empty() { "frame: " } else { " | " });
        line.push_str(&part);
    }
    let in_app = frame.get("in_app").and_then(Value::as_bool) == Some(true);
    (!line.is_empty()).then_some(Line { text: line, function_key, native, in_app })
}

fn is_of_client(module: Option<&str>, function: Option<&str>) -> bool {
    let place = module.or(function).unwrap_or_default();
    CLIENTS.iter().any(|client| place.starts_with(client))
}

fn source_line(line: &str, language: Language) -> Option<String> {
    if !matches!(
        language,
        Language::JavaScript
            | Language::Python
            | Language::Php
            | Language::Ruby
            | Language::Go
            | Language::Elixir
    ) {
        return None;
    }
    let collapsed = line.split_whitespace().collect::<Vec<_>>().join(" ");
    (collapsed.chars().count() <= CONTEXT_CHARS_MAX).then_some(collapsed)
}

/// Whether a script came from somewhere that says nothing about what it is.
fn is_remote(path: &str) -> bool {
    ["http://", "https://", "blob:", "data:", "file://", "applewebdata:", "eval at"]
        .iter()
        .any(|prefix| path.starts_with(prefix))
        || matches!(path, "<anonymous>" | "[native code]" | "<unknown>" | "?" | "native")
}
