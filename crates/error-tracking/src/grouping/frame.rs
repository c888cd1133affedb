use serde_json::{Map, Value};

/// The longest line of source that counts: longer ones are minified.
const CONTEXT_CHARS_MAX: usize = 120;

/// What of a frame counts: `module or file | function | line of source`, as far as they are known and mean something.
pub(super) fn line_of(frame: &Map<String, Value>, platform: &str) -> Option<String> {
    let text =
        |key: &str| frame.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let platform = text("platform").unwrap_or(platform);
    let file = text("filename").or_else(|| text("abs_path"));
    let is_sdk = text("module").is_some_and(|module| module.starts_with("sentry_sdk"))
        || [file, text("abs_path")].into_iter().flatten().any(|path| path.contains("/@sentry/"));
    if is_sdk {
        return None;
    }
    let context = text("context_line").and_then(|line| source_line(line, platform));
    let is_mapped =
        frame.get("data").and_then(|data| data.get("sourcemap")).is_some_and(|map| !map.is_null());
    // Names that a source map gives vary with how the call was written; the line is what was meant.
    let function = if is_mapped && context.is_some() && is_javascript(platform) {
        None
    } else {
        text("function").and_then(|function| function_name(function, platform))
    };
    let place = match text("module") {
        Some(module) => Some(module_name(module, platform)),
        None => file
            .filter(|file| !is_remote(file) && !text("abs_path").is_some_and(is_remote))
            .and_then(|file| file_name(file, platform)),
    };
    let place = place.or_else(|| {
        let package = text("package").filter(|_| function.is_none() && is_native(platform))?;
        file_name(package, platform)
    });
    let parts: Vec<String> = [place, function, context].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("frame: {}", parts.join(" | ")))
}

fn is_javascript(platform: &str) -> bool {
    matches!(platform, "javascript" | "node")
}

fn is_native(platform: &str) -> bool {
    matches!(platform, "native" | "c" | "cpp" | "rust" | "objc" | "cocoa" | "swift" | "other")
}

fn source_line(line: &str, platform: &str) -> Option<String> {
    if !matches!(platform, "javascript" | "node" | "python" | "php" | "ruby" | "go") {
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

/// The last part of a path, in lower case, without the hash that a bundler puts into it.
fn file_name(path: &str, platform: &str) -> Option<String> {
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let name = path.rsplit(['/', '\\']).find(|part| !part.is_empty())?;
    let name = if is_javascript(platform) { without_hashes(name) } else { name.to_owned() };
    let name = if platform == "php" { name.split('\0').next().unwrap_or_default().to_owned() } else { name };
    (!name.is_empty()).then(|| name.to_lowercase())
}

/// `main.3f2a9b1c.js` and `index-DiwrgT4a.js` become `main.js` and `index.js`.
fn without_hashes(name: &str) -> String {
    let mut kept = String::with_capacity(name.len());
    for part in name.split_inclusive(['.', '-']) {
        let word = part.trim_end_matches(['.', '-']);
        if !kept.is_empty() && is_hash(word) {
            kept.pop();
            kept.push_str(&part[word.len()..]);
        } else {
            kept.push_str(part);
        }
    }
    kept
}

fn is_hash(word: &str) -> bool {
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    let is_hexadecimal = word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_mixed = word.bytes().skip(1).any(|byte| byte.is_ascii_uppercase());
    let is_base_64 = word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    has_digit && (is_hexadecimal || is_base_64) || is_mixed && is_base_64
}

fn module_name(module: &str, platform: &str) -> String {
    match platform {
        "java" => {
            // Proxies and lambdas get new names in every process.
            for marker in
                ["$$Lambda", "$$EnhancerBy", "$$FastClassBy", "$$SpringCGLIB", "_$$_javassist", "$$_jvst"]
            {
                if let Some((class, _)) = module.split_once(marker) {
                    return format!("{class}{marker}");
                }
            }
            without_numbers_after(
                module,
                &["GeneratedMethodAccessor", "GeneratedConstructorAccessor", "$Proxy", "__"],
            )
        }
        "javascript" | "node" => without_hashes(module),
        "php" => module.split('\0').next().unwrap_or_default().to_owned(),
        _ => module.to_owned(),
    }
}

/// Drops the digits that follow any of `markers`.
fn without_numbers_after(text: &str, markers: &[&str]) -> String {
    let mut cleaned = text.to_owned();
    for marker in markers {
        let mut from = 0;
        while let Some(at) = cleaned[from..].find(marker) {
            from += at + marker.len();
            let digits = cleaned[from..].bytes().take_while(u8::is_ascii_digit).count();
            cleaned.replace_range(from..from + digits, "");
        }
    }
    cleaned
}

/// A function's name without what varies from build to build or call to call; nothing if it is no name.
fn function_name(function: &str, platform: &str) -> Option<String> {
    let name = match platform {
        "javascript" | "node" => javascript_function(function),
        "java" => without_numbers_after(function, &["lambda$", "access$", "$lambda-", "fn__", "eval"])
            .trim_end_matches(|c: char| c.is_ascii_digit() || c == '$')
            .to_owned(),
        "php" => match function.split_once("{closure") {
            Some((before, _)) => format!("{}{{closure}}", before.split('\0').next().unwrap_or_default()),
            None => function.split('\0').next().unwrap_or_default().to_owned(),
        },
        "ruby" => ruby_function(function),
        "go" => go_function(function),
        "csharp" => dotnet_function(function),
        _ if is_native(platform) => native_function(function),
        _ => function.to_owned(),
    };
    let name = name.trim();
    (!matches!(name, "" | "?" | "<unknown>" | "<anonymous>" | "anonymous" | "[native code]" | "<redacted>"))
        .then(|| name.to_owned())
}

/// The method alone: receivers vary with how it was called (`Object.pay`, `Basket.pay`, `async pay`, `pay [as onClick]`).
fn javascript_function(function: &str) -> String {
    let name = function.split(" [as ").next().unwrap_or(function);
    let name = name.trim_start_matches("async ").trim_start_matches("new ");
    if name.contains('/') {
        // A bundler's wrapper around a module.
        return String::new();
    }
    name.rsplit('.').next().unwrap_or(name).to_owned()
}

/// Compiled templates are named `_app_views_users_show_html_erb__1234_56`.
fn ruby_function(function: &str) -> String {
    match function.split_once("__") {
        Some((name, numbers))
            if function.starts_with("_app_")
                && numbers.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'_' | b'-')) =>
        {
            name.to_owned()
        }
        _ => function.to_owned(),
    }
}

/// `main.(*Server).Handle.func1.2` becomes `main.(*Server).Handle`.
fn go_function(function: &str) -> String {
    match function.find(".func") {
        Some(at) if function[at + 5..].bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => {
            function[..at].to_owned()
        }
        _ => function.to_owned(),
    }
}

/// `<LoadAsync>d__12.MoveNext` becomes `LoadAsync`, `<Main>b__0_1` becomes `Main`, ``List`1`` becomes `List`.
fn dotnet_function(function: &str) -> String {
    let name = function.split('`').next().unwrap_or(function);
    match name.split_once('<').and_then(|(_, rest)| rest.split_once('>')) {
        Some((inner, _)) if !inner.is_empty() => inner.to_owned(),
        _ => name.to_owned(),
    }
}

/// The qualified name alone, without return type, parameters, type arguments, closure numbers and symbol hashes.
fn native_function(function: &str) -> String {
    let function = match function.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => name,
        _ => function,
    };
    // `<Type as Trait>::method`
    if let Some(inner) = function.strip_prefix('<')
        && let Some(end) = matching_end(inner)
        && let Some(method) = inner[end + 1..].strip_prefix("::")
    {
        let kind = inner[..end].split(" as ").next().unwrap_or_default();
        return format!("{}::{}", native_function(kind), native_function(method));
    }
    let mut name = String::with_capacity(function.len());
    let mut depth = 0_usize;
    let mut rest = function;
    while let Some(character) = rest.chars().next() {
        if depth == 0 {
            if let Some(after) = rest.strip_prefix("(anonymous namespace)") {
                name.push_str("(anonymous)");
                rest = after;
                continue;
            }
            if let Some(symbol) = rest
                .strip_prefix("operator")
                .filter(|symbol| !symbol.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
            {
                let length = symbol.find(|c: char| !"<>=()[]+-*/%^&|~!,".contains(c)).unwrap_or(symbol.len());
                let length =
                    if symbol.starts_with("()") { 2 } else { symbol[..length].find('(').unwrap_or(length) };
                name.push_str("operator");
                name.push_str(&symbol[..length]);
                rest = &symbol[length..];
                continue;
            }
        }
        match character {
            '<' | '(' => depth += 1,
            '>' if name.ends_with('-') && depth == 0 => name.push('>'),
            '>' | ')' => depth = depth.saturating_sub(1),
            '#' if depth == 0 => {
                let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
                rest = &rest[1 + digits..];
                continue;
            }
            _ if depth == 0 => name.push(character),
            _ => {}
        }
        rest = &rest[character.len_utf8()..];
    }
    // Two manglings of one thing.
    let mut name = name.replace("{{closure}}", "{closure}");
    while name.contains("::::") {
        name = name.replace("::::", "::");
    }
    let name = name.trim_end_matches([':', ' ']).trim_end_matches(" const");
    // A return type stands before the name.
    name.rsplit(' ').next().unwrap_or(name).to_owned()
}

/// Where the bracket closes that was opened before `text`.
fn matching_end(text: &str) -> Option<usize> {
    let mut depth = 1_usize;
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        match character {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
        before = character;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn function_names_lose_what_varies() {
        for (platform, function, name) in [
            ("javascript", "HTMLButtonElement.<anonymous>", None),
            ("javascript", "Object.pay", Some("pay")),
            ("javascript", "async Basket.pay [as onClick]", Some("pay")),
            ("javascript", "new Basket", Some("Basket")),
            ("javascript", "Object../src/index.js", None),
            ("node", "?", None),
            ("java", "lambda$main$0", Some("lambda$main")),
            ("java", "access$100", Some("access")),
            ("java", "invoke$lambda-3", Some("invoke$lambda-")),
            ("php", "App\\{closure:/srv/app/a.php:12}", Some("App\\{closure}")),
            ("php", "class@anonymous\0/srv/app/a.php:12$0", Some("class@anonymous")),
            ("ruby", "_app_views_users_show_html_erb__1234_56", Some("_app_views_users_show_html_erb")),
            ("go", "main.(*Server).Handle.func1.2", Some("main.(*Server).Handle")),
            ("csharp", "<LoadAsync>d__12.MoveNext", Some("LoadAsync")),
            ("python", "<lambda>", Some("<lambda>")),
            (
                "native",
                "std::panic::catch_unwind::<std::rt::lang_start_internal::{closure#0}, isize>",
                Some("std::panic::catch_unwind"),
            ),
            (
                "native",
                "std::panicking::catch_unwind::do_call::<isize, X>",
                Some("std::panicking::catch_unwind::do_call"),
            ),
            (
                "native",
                "core::ops::function::FnOnce::call_once::h0123456789abcdef",
                Some("core::ops::function::FnOnce::call_once"),
            ),
            (
                "native",
                "<alloc::vec::Vec<T> as core::iter::FromIterator<T>>::from_iter",
                Some("alloc::vec::Vec::from_iter"),
            ),
            ("native", "depot::import::{{closure}}", Some("depot::import::{closure}")),
            (
                "native",
                "void ns::(anonymous namespace)::run<int>(std::vector<int> const&) const",
                Some("ns::(anonymous)::run"),
            ),
            ("native", "bool ns::operator<(A const&, A const&)", Some("ns::operator<")),
            ("native", "ns::Call::operator()(int)", Some("ns::Call::operator()")),
            ("native", "<unknown>", None),
        ] {
            assert_eq!(function_name(function, platform).as_deref(), name, "{function}");
        }
    }

    #[test]
    fn modules_and_files_lose_what_varies() {
        for (module, name) in [
            ("com.acme.Shop$$EnhancerBySpringCGLIB$$1ea0eb8b", "com.acme.Shop$$EnhancerBy"),
            ("com.acme.Shop$$Lambda$14/0x0000000800c8", "com.acme.Shop$$Lambda"),
            ("sun.reflect.GeneratedMethodAccessor123", "sun.reflect.GeneratedMethodAccessor"),
            ("com.sun.proxy.$Proxy42", "com.sun.proxy.$Proxy"),
            ("shop.core$fn__4711", "shop.core$fn__"),
        ] {
            assert_eq!(module_name(module, "java"), name, "{module}");
        }
        for (path, name) in [
            ("/srv/web/static/js/main.3f2a9b1c.js", "main.js"),
            ("app:///assets/index-DiwrgT4a.js?v=2", "index.js"),
            ("C:\\shop\\UserPage.mjs", "userpage.mjs"),
        ] {
            assert_eq!(file_name(path, "node").as_deref(), Some(name), "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_name_gets_an_answer(
            text in "(::|<|>|\\(|\\)|operator|#|[0-9]|a|ä| as | const|->|\\{|\\}|__|\\$|\\.func|\u{0}){0,20}",
            platform in proptest::sample::select(vec!["native", "java", "php", "ruby", "go", "csharp", "node", "python"]),
        ) {
            let _ = function_name(&text, platform);
            let _ = module_name(&text, platform);
            let _ = file_name(&text, platform);
        }
    }
}
