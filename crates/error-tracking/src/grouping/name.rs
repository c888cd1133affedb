use super::Version;
use super::native;

/// Whose rules for names hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    JavaScript,
    Python,
    Java,
    Dotnet,
    Php,
    Ruby,
    Go,
    Elixir,
    Dart,
    Native,
    Other,
}

impl Language {
    /// The language of a platform in Sentry's words.
    pub(super) fn of(platform: &str, version: Version) -> Self {
        match platform {
            "javascript" | "node" => Self::JavaScript,
            "python" => Self::Python,
            "java" => Self::Java,
            "csharp" => Self::Dotnet,
            "php" => Self::Php,
            "ruby" => Self::Ruby,
            "go" => Self::Go,
            "native" | "c" | "cpp" | "rust" | "objc" | "cocoa" | "swift" | "other" => Self::Native,
            _ if version == Version::One => Self::Other,
            "browser" | "deno" | "bun" | "react-native" | "typescript" => Self::JavaScript,
            "kotlin" | "android" | "scala" | "clojure" | "groovy" => Self::Java,
            "dotnet" | "fsharp" | "vb" => Self::Dotnet,
            "elixir" | "erlang" => Self::Elixir,
            "dart" | "flutter" => Self::Dart,
            "zig" | "nim" | "d" => Self::Native,
            _ => Self::Other,
        }
    }
}

/// The last part of a path, in lower case, without the hash that a bundler puts into it.
pub(super) fn file_name(path: &str, language: Language, version: Version) -> Option<String> {
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let name = path.rsplit(['/', '\\']).find(|part| !part.is_empty())?;
    let name = match language {
        Language::JavaScript => without_hashes(name),
        Language::Php => compiled_view(name.split('\0').next().unwrap_or_default(), version),
        _ => name.to_owned(),
    };
    (!name.is_empty()).then(|| name.to_lowercase())
}

/// A compiled template is named by a hash of its path, which changes with every directory it is deployed to.
fn compiled_view(name: &str, version: Version) -> String {
    match name.strip_suffix(".php") {
        Some(hash)
            if version >= Version::Two
                && hash.len() >= 32
                && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            "<compiled view>.php".to_owned()
        }
        _ => name.to_owned(),
    }
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

/// A module's name without what a program makes up while it runs.
pub(super) fn module_name(module: &str, language: Language, version: Version) -> String {
    match language {
        Language::Java => java_module(module, version),
        Language::JavaScript => without_hashes(module),
        Language::Php => module.split('\0').next().unwrap_or_default().to_owned(),
        Language::Dotnet if version >= Version::Two => dotnet_module(module),
        _ => module.to_owned(),
    }
}

/// Proxies and lambdas get new names in every process.
fn java_module(module: &str, version: Version) -> String {
    for marker in ["$$Lambda", "$$EnhancerBy", "$$FastClassBy", "$$SpringCGLIB", "_$$_javassist", "$$_jvst"] {
        if let Some((class, _)) = module.split_once(marker) {
            return format!("{class}{marker}");
        }
    }
    if version >= Version::Two {
        for marker in [
            "$HibernateProxy$",
            "$ByteBuddy$",
            "$MockitoMock$",
            "_$$_Weld",
            "_Accessor_",
            "$$ExternalSynthetic",
        ] {
            if let Some((class, _)) = module.split_once(marker) {
                return format!("{class}{marker}");
            }
        }
    }
    let markers = ["GeneratedMethodAccessor", "GeneratedConstructorAccessor", "$Proxy", "__"];
    let module = without_numbers_after(module, &markers);
    if version >= Version::Two {
        return without_numbers_after(&module, &["$eval", "GeneratedSerializationConstructorAccessor"]);
    }
    module
}

/// ``Repository`1[[Shop.Basket, Shop]]`` becomes `Repository`, `Shop.Cart+<PayAsync>d__12` becomes `Shop.Cart+PayAsync`.
fn dotnet_module(module: &str) -> String {
    let module = module.split("[[").next().unwrap_or(module);
    let mut name = String::with_capacity(module.len());
    let mut rest = module;
    while let Some(at) = rest.find(['`', '<']) {
        name.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if rest.as_bytes()[at] == b'`' {
            rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
            continue;
        }
        let Some((inner, generated)) = after.split_once('>') else {
            name.push_str(&rest[at..]);
            return name;
        };
        name.push_str(inner);
        // `d__12`, `c__DisplayClass3_0`, `c`.
        let end = generated.find(['.', '+', '/']).unwrap_or(generated.len());
        rest = &generated[end..];
    }
    name.push_str(rest);
    name.trim_end_matches(['+', '/']).to_owned()
}

/// The type of an exception without what varies from process to process and build to build.
pub(super) fn type_name(kind: &str) -> String {
    let kind = match kind.split_once("@anonymous") {
        Some((class, _)) => return format!("{class}@anonymous"),
        None => kind.split('\0').next().unwrap_or(kind),
    };
    if kind.contains('`') {
        return dotnet_module(kind);
    }
    if kind.contains("$$") || kind.contains("$Proxy") {
        return java_module(kind, Version::Two);
    }
    match kind
        .find("0x")
        .filter(|at| kind[at + 2..].bytes().take(4).filter(u8::is_ascii_hexdigit).count() == 4)
    {
        Some(at) => {
            let digits = kind[at + 2..].bytes().take_while(u8::is_ascii_hexdigit).count();
            format!("{}<hex>{}", &kind[..at], &kind[at + 2 + digits..])
        }
        None => kind.to_owned(),
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
pub(super) fn function_name(
    function: &str,
    module: Option<&str>,
    language: Language,
    version: Version,
) -> Option<String> {
    let name = match (language, version) {
        (Language::JavaScript, _) => javascript_function(function),
        (Language::Java, _) => {
            without_numbers_after(function, &["lambda$", "access$", "$lambda-", "fn__", "eval"])
                .trim_end_matches(|c: char| c.is_ascii_digit() || c == '$')
                .to_owned()
        }
        (Language::Php, Version::One) => php_function(function),
        (Language::Php, _) => without_template_hash(&php_function(&php_anonymous_method(function))),
        (Language::Ruby, Version::One) => ruby_template(function, &["_app_"]),
        (Language::Ruby, _) => ruby_function(function),
        (Language::Go, Version::One) => go_function(function),
        (Language::Go, _) => go_function(&go_plain(function)).trim_end_matches('.').to_owned(),
        (Language::Dotnet, Version::One) => dotnet_function(function),
        (Language::Dotnet, _) => dotnet_method(function, module),
        (Language::Elixir, Version::Two) => elixir_function(function),
        (Language::Dart, Version::Two) => dart_function(function),
        (Language::Native, _) => native::function_name(function, version),
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

fn php_function(function: &str) -> String {
    match function.split_once("{closure") {
        Some((before, _)) => format!("{}{{closure}}", before.split('\0').next().unwrap_or_default()),
        None => function.split('\0').next().unwrap_or_default().to_owned(),
    }
}

/// `Base@anonymous\0/srv/a.php:3$0::run` becomes `Base@anonymous::run`.
fn php_anonymous_method(function: &str) -> String {
    match function.split_once("@anonymous") {
        Some((class, rest)) => match rest.rsplit_once("::") {
            Some((_, method)) => format!("{class}@anonymous::{method}"),
            None => format!("{class}@anonymous"),
        },
        None => function.to_owned(),
    }
}

/// Compiled templates of PHP are classes and functions named by a hash.
fn without_template_hash(function: &str) -> String {
    for marker in ["__TwigTemplate_", "content_", "Latte_Template_"] {
        if let Some(at) = function.find(marker) {
            let hash = &function[at + marker.len()..];
            let length = hash.bytes().take_while(|byte| byte.is_ascii_hexdigit()).count();
            if length >= 10 {
                return format!("{}{}", &function[..at + marker.len()], &hash[length..]);
            }
        }
    }
    function.to_owned()
}

/// Compiled templates are named `_app_views_users_show_html_erb__1234_56`.
fn ruby_template(function: &str, prefixes: &[&str]) -> String {
    match function.split_once("__") {
        Some((name, numbers))
            if prefixes.iter().any(|prefix| function.starts_with(prefix))
                && numbers.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'_' | b'-')) =>
        {
            name.to_owned()
        }
        _ => function.to_owned(),
    }
}

/// `block (2 levels) in Shop#pay` becomes `Shop#pay`: blocks are part of where they stand.
fn ruby_function(function: &str) -> String {
    let mut name = function;
    while let Some(within) =
        ["block ", "rescue in ", "ensure in ", "in "].into_iter().find_map(|prefix| name.strip_prefix(prefix))
    {
        name = match within.split_once("levels) ") {
            Some((number, rest)) if number.starts_with('(') => rest,
            _ => within,
        };
    }
    let name = if name.is_empty() { function } else { name };
    ruby_template(name, &["_"])
}

/// Without type arguments and what the compiler appends to wrappers and parts of a function.
fn go_plain(function: &str) -> String {
    let function = match (function.find('['), function.rfind(']')) {
        (Some(open), Some(close)) if open < close => {
            format!("{}{}", &function[..open], &function[close + 1..])
        }
        _ => function.to_owned(),
    };
    let mut name = function.strip_suffix("-fm").unwrap_or(&function);
    for marker in [".gowrap", ".deferwrap", "-range", ".func"] {
        while let Some(at) = name.rfind(marker) {
            let rest = &name[at + marker.len()..];
            if rest.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
                break;
            }
            name = &name[..at];
        }
    }
    name.to_owned()
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

/// What the programmer called the method that a compiler took apart: state machines, lambdas, local functions.
fn dotnet_method(function: &str, module: Option<&str>) -> String {
    // The module has the name of the method already: `Shop.Cart+<PayAsync>d__12`.
    if function == "MoveNext" && module.is_some_and(|module| module.contains('<')) {
        return String::new();
    }
    // `<Run>g__Check|3_0` is the local function `Check`.
    if let Some((_, local)) = function.split_once(">g__") {
        return local.split('|').next().unwrap_or(local).to_owned();
    }
    // `<>c__DisplayClass3_0.<Run>b__0`
    let mut rest = function;
    while let Some((_, after)) = rest.split_once('<') {
        match after.split_once('>') {
            Some((inner, generated))
                if !inner.is_empty() && (generated.starts_with("b__") || generated.starts_with("d__")) =>
            {
                return inner.to_owned();
            }
            Some((_, generated)) => rest = generated,
            None => break,
        }
    }
    // `void Shop.Cart.Pay(Basket basket)+() => { }` of enhanced stack traces.
    let name = function.split(")+(").next().unwrap_or(function);
    let name = name.split(")+MoveNext").next().unwrap_or(name);
    let name = if name.len() < function.len() { format!("{name})") } else { name.to_owned() };
    name.split('`').next().unwrap_or(&name).to_owned()
}

/// `anonymous fn/1 in Shop.pay/2` and `-pay/2-fun-0-` become `Shop.pay/2` and `pay/2`.
fn elixir_function(function: &str) -> String {
    if let Some((before, name)) = function.split_once(" in ")
        && before.starts_with("anonymous fn")
    {
        return name.to_owned();
    }
    match function
        .strip_prefix('-')
        .and_then(|rest| rest.split_once("-fun-").or(rest.split_once("-inlined-")))
    {
        Some((name, _)) => name.to_owned(),
        None => function.to_owned(),
    }
}

/// Closures are part of the function that they stand in.
fn dart_function(function: &str) -> String {
    if function == "<asynchronous suspension>" {
        return String::new();
    }
    let mut name = function.trim_start_matches("new ");
    for closure in [".<anonymous closure>", ".<fn>", ".<<anonymous closure>>"] {
        name = name.split(closure).next().unwrap_or(name);
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cleaned(function: &str, platform: &str) -> Option<String> {
        function_name(function, None, Language::of(platform, Version::Two), Version::Two)
    }

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
            ("kotlin", "invoke$lambda-3", Some("invoke$lambda-")),
            ("clojure", "fn__4711", Some("fn__")),
            ("php", "App\\{closure:/srv/app/a.php:12}", Some("App\\{closure}")),
            ("php", "class@anonymous\0/srv/app/a.php:12$0", Some("class@anonymous")),
            ("php", "App\\Base@anonymous\0/srv/a.php:3$0::run", Some("App\\Base@anonymous::run")),
            ("php", "__TwigTemplate_0f3a9b1c2d4e5f60::doDisplay", Some("__TwigTemplate_::doDisplay")),
            ("php", "content_for", Some("content_for")),
            ("ruby", "_app_views_users_show_html_erb__1234_56", Some("_app_views_users_show_html_erb")),
            ("ruby", "_engines_shop_views_show_html_haml__12_-3", Some("_engines_shop_views_show_html_haml")),
            ("ruby", "block (2 levels) in Shop#pay", Some("Shop#pay")),
            ("ruby", "rescue in block in pay", Some("pay")),
            ("go", "main.(*Server).Handle.func1.2", Some("main.(*Server).Handle")),
            ("go", "Map[...].Each-fm", Some("Map.Each")),
            ("go", "main.glob..func1", Some("main.glob")),
            ("go", "run.gowrap1", Some("run")),
            ("csharp", "<LoadAsync>d__12.MoveNext", Some("LoadAsync")),
            ("csharp", "<>c__DisplayClass3_0.<Run>b__0", Some("Run")),
            ("csharp", "<Run>g__Check|3_0", Some("Check")),
            ("csharp", "Find`1", Some("Find")),
            ("csharp", "void Cart.Pay(Basket basket)+() => { }", Some("void Cart.Pay(Basket basket)")),
            ("elixir", "anonymous fn/1 in Shop.Checkout.pay/2", Some("Shop.Checkout.pay/2")),
            ("elixir", "-pay/2-fun-0-", Some("pay/2")),
            ("elixir", "Shop.Checkout.pay/2", Some("Shop.Checkout.pay/2")),
            ("dart", "Shop.pay.<anonymous closure>", Some("Shop.pay")),
            ("dart", "Shop.pay.<fn>.<fn>", Some("Shop.pay")),
            ("dart", "<asynchronous suspension>", None),
            ("python", "<lambda>", Some("<lambda>")),
        ] {
            assert_eq!(cleaned(function, platform).as_deref(), name, "{function}");
        }
    }

    #[test]
    fn modules_and_files_lose_what_varies() {
        for (platform, module, name) in [
            ("java", "com.acme.Shop$$EnhancerBySpringCGLIB$$1ea0eb8b", "com.acme.Shop$$EnhancerBy"),
            ("java", "com.acme.Shop$$Lambda$14/0x0000000800c8", "com.acme.Shop$$Lambda"),
            ("java", "com.acme.Shop$HibernateProxy$aB3xY", "com.acme.Shop$HibernateProxy$"),
            ("java", "com.acme.Shop_$$_jvst5f3_0", "com.acme.Shop_$$_jvst"),
            ("java", "sun.reflect.GeneratedMethodAccessor123", "sun.reflect.GeneratedMethodAccessor"),
            ("java", "com.sun.proxy.$Proxy42", "com.sun.proxy.$Proxy"),
            ("clojure", "shop.core$fn__4711", "shop.core$fn__"),
            ("clojure", "shop.core$eval12$fn__4711", "shop.core$eval$fn__"),
            ("csharp", "Shop.Cart+<PayAsync>d__12", "Shop.Cart+PayAsync"),
            ("csharp", "Shop.Cart+<>c__DisplayClass3_0", "Shop.Cart"),
            ("csharp", "Shop.Repository`1[[Shop.Basket, Shop, Version=1.0.0.0]]", "Shop.Repository"),
            ("csharp", "Shop.Pair`2+Half", "Shop.Pair+Half"),
        ] {
            assert_eq!(
                module_name(module, Language::of(platform, Version::Two), Version::Two),
                name,
                "{module}"
            );
        }
        for (platform, path, name) in [
            ("node", "/srv/web/static/js/main.3f2a9b1c.js", "main.js"),
            ("node", "app:///assets/index-DiwrgT4a.js?v=2", "index.js"),
            ("node", "C:\\shop\\UserPage.mjs", "userpage.mjs"),
            ("php", "/srv/storage/views/0f3a9b1c2d4e5f600f3a9b1c2d4e5f600f3a9b1c.php", "<compiled view>.php"),
            ("native", "/usr/lib/libShop.so.1.2", "libshop.so.1.2"),
        ] {
            let language = Language::of(platform, Version::Two);
            assert_eq!(file_name(path, language, Version::Two).as_deref(), Some(name), "{path}");
        }
    }

    #[test]
    fn types_lose_what_varies() {
        for (kind, name) in [
            ("App\\Fault@anonymous\0/srv/a.php:3$0", "App\\Fault@anonymous"),
            ("Shop.Fault`1[[System.Int32]]", "Shop.Fault"),
            ("com.acme.Fault$$EnhancerByCGLIB$$12", "com.acme.Fault$$EnhancerBy"),
            ("<Fault at 0x7f3a9b1c>", "<Fault at <hex>>"),
            ("Error0x", "Error0x"),
            ("KeyError", "KeyError"),
        ] {
            assert_eq!(type_name(kind), name, "{kind}");
        }
    }

    proptest! {
        #[test]
        fn any_name_gets_an_answer(
            text in "(::|<|>|\\(|\\)|operator|#|[0-9]|a|ä| as | in | -> |const|->|-\\[|\\]|\\{|\\}|__|\\$|`|\\+|@|\\.func|\\.cold|block |0x|\u{0}){0,20}",
            platform in proptest::sample::select(vec![
                "native", "java", "php", "ruby", "go", "csharp", "node", "python", "elixir", "dart", "x",
            ]),
            is_first in any::<bool>(),
        ) {
            let version = if is_first { Version::One } else { Version::Two };
            let language = Language::of(platform, version);
            let _ = function_name(&text, Some("a<b>c"), language, version);
            let _ = module_name(&text, language, version);
            let _ = file_name(&text, language, version);
            let _ = type_name(&text);
        }
    }
}
