//! Addresses and paths of scripts and sources, in the forms in which they are compared and shown.

/// The longest path that is kept, in characters.
const PATH_CHARS_MAX: usize = 512;

/// Where a source lies, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourcePath {
    /// As the map names it, made absolute: `webpack:///./src/pay.ts`, `~/src/pay.ts`.
    pub(crate) whole: String,
    /// Without the bundler's prefix: `src/pay.ts`.
    pub(crate) file: String,
    /// Without its ending, and inside a package from the package's name on: `src/pay`.
    pub(crate) module: String,
    /// Whether it is a package's or the bundler's own code.
    pub(crate) is_library: bool,
}

/// The names under which a script's upload may be known, the most exact first: the address itself and `~/path`.
pub(crate) fn upload_names(path: &str) -> Vec<String> {
    let path = path.split(['?', '#']).next().unwrap_or(path);
    if path.is_empty() || path.starts_with('<') {
        return Vec::new();
    }
    if path.starts_with("~/") {
        return vec![path.to_owned()];
    }
    let below_host = match path.split_once("://") {
        Some((_, rest)) => rest.find('/').map(|slash| &rest[slash..]),
        None if path.starts_with('/') => Some(path),
        None => None,
    };
    match below_host {
        Some(below) => vec![path.to_owned(), format!("~{below}")],
        None => vec![path.to_owned(), format!("~/{}", path.trim_start_matches("./"))],
    }
}

/// `reference` as it is meant in a file at `base`: absolute ones stay as they are.
pub(crate) fn join(base: &str, reference: &str) -> String {
    if reference.contains("://") || reference.starts_with("~/") || reference.starts_with("data:") {
        return reference.to_owned();
    }
    // The host, or `~`, stays; what follows is steps.
    let (root, below) = match base.split_once("://") {
        Some((scheme, rest)) => {
            let slash = rest.find('/').unwrap_or(rest.len());
            (&base[..scheme.len() + 3 + slash], &rest[slash..])
        }
        None if base.starts_with("~/") => ("~", &base[1..]),
        None => ("", base),
    };
    if reference.starts_with('/') {
        return format!("{root}{reference}");
    }
    let mut steps: Vec<&str> = below.split('/').collect();
    steps.pop();
    let is_rooted = !root.is_empty() || below.starts_with('/');
    steps.retain(|step| !step.is_empty());
    for step in reference.split('/') {
        match step {
            "" | "." => {}
            // Bundlers count from places above what was uploaded.
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    format!("{root}{}{}", if is_rooted { "/" } else { "" }, steps.join("/"))
}

/// A source's path as a map at `map_url` names it.
pub(crate) fn source_path(path: &str, map_url: &str) -> SourcePath {
    let is_absolute = path.starts_with('/') || path.contains("://") || has_drive(path);
    let whole = if is_absolute { path.to_owned() } else { join(map_url, path) };
    let whole = whole.replace('\\', "/");
    let shown = whole.split(['?', '#']).next().unwrap_or_default();
    let shown = match shown.split_once("://") {
        Some((scheme, rest)) => {
            let below = rest.find('/').map_or(rest, |slash| &rest[slash + 1..]);
            // Bundlers name the package where a host would stand; the rest is what its sources are called.
            if matches!(scheme, "file") { rest } else { below }
        }
        None => shown.strip_prefix("~/").unwrap_or(shown),
    };
    let shown = without_steps(shown);
    let is_library =
        ["node_modules/", "/~/", "(webpack)", "webpack/bootstrap", "webpack/runtime", "external "]
            .iter()
            .any(|mark| shown.contains(mark))
            || whole.contains("/~/") && !whole.starts_with("~/");
    let file: String = shown.chars().take(PATH_CHARS_MAX).collect();
    let inside = file.rsplit_once("node_modules/").map_or(file.as_str(), |(_, inside)| inside);
    let module = without_ending(inside.trim_start_matches('/')).to_owned();
    SourcePath { whole: whole.chars().take(PATH_CHARS_MAX).collect(), module, file, is_library }
}

fn has_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic())
}

/// Without `.` and `..`, of which some bundlers leave more than there are folders.
fn without_steps(path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "." => {}
            "" if !steps.is_empty() => {}
            ".." if steps.last().is_some_and(|last| !last.is_empty()) => drop(steps.pop()),
            ".." => {}
            step => steps.push(step),
        }
    }
    steps.join("/")
}

fn without_ending(path: &str) -> &str {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    match path[name..].rfind('.') {
        Some(dot) if dot > 0 => &path[..name + dot],
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scripts_are_looked_up_by_address_and_by_path() {
        for (path, names) in [
            (
                "https://shop.example/assets/main.js?v=3#x",
                &["https://shop.example/assets/main.js", "~/assets/main.js"][..],
            ),
            ("app:///dist/main.js", &["app:///dist/main.js", "~/dist/main.js"]),
            ("/srv/app/dist/main.js", &["/srv/app/dist/main.js", "~/srv/app/dist/main.js"]),
            ("main.js", &["main.js", "~/main.js"]),
            ("https://shop.example", &["https://shop.example", "~/https://shop.example"]),
            ("~/main.js", &["~/main.js"]),
            ("<anonymous>", &[]),
            ("", &[]),
        ] {
            assert_eq!(upload_names(path), names, "{path}");
        }
    }

    #[test]
    fn references_are_meant_from_where_they_stand() {
        for (base, reference, joined) in [
            ("~/assets/main.js", "main.js.map", "~/assets/main.js.map"),
            ("~/assets/main.js", "../maps/main.js.map", "~/maps/main.js.map"),
            ("~/main.js", "../../src/pay.ts", "~/src/pay.ts"),
            ("~/assets/main.js", "/maps/main.js.map", "~/maps/main.js.map"),
            ("https://shop.example/a/main.js", "./main.js.map", "https://shop.example/a/main.js.map"),
            ("https://shop.example/a/main.js", "/m.map", "https://shop.example/m.map"),
            ("https://shop.example", "m.map", "https://shop.example/m.map"),
            ("main.js", "main.js.map", "main.js.map"),
            ("/srv/app/main.js", "../x.ts", "/srv/x.ts"),
            ("~/main.js", "https://cdn.example/m.map", "https://cdn.example/m.map"),
        ] {
            assert_eq!(join(base, reference), joined, "{reference} in {base}");
        }
    }

    #[test]
    fn sources_are_shown_without_what_bundlers_put_before_them() {
        for (path, file, module, is_library) in [
            ("../src/pay.ts", "src/pay.ts", "src/pay", false),
            ("webpack:///./src/pay.ts", "src/pay.ts", "src/pay", false),
            ("webpack://shop/./src/pay.vue?a1b2", "src/pay.vue", "src/pay", false),
            (
                "webpack:///../node_modules/react-dom/cjs/react-dom.js",
                "node_modules/react-dom/cjs/react-dom.js",
                "react-dom/cjs/react-dom",
                true,
            ),
            ("webpack:///./~/lodash/map.js", "~/lodash/map.js", "~/lodash/map", true),
            ("webpack:///webpack/bootstrap", "webpack/bootstrap", "webpack/bootstrap", true),
            (
                "../../node_modules/@scope/kit/index.mjs",
                "node_modules/@scope/kit/index.mjs",
                "@scope/kit/index",
                true,
            ),
            ("/home/ci/shop/src/pay.ts", "/home/ci/shop/src/pay.ts", "home/ci/shop/src/pay", false),
            ("file:///home/ci/shop/pay.ts", "/home/ci/shop/pay.ts", "home/ci/shop/pay", false),
            ("https://shop.example/src/pay.ts?x", "src/pay.ts", "src/pay", false),
            ("C:\\shop\\src\\pay.ts", "C:/shop/src/pay.ts", "C:/shop/src/pay", false),
            ("turbopack:///[project]/app/page.tsx", "[project]/app/page.tsx", "[project]/app/page", false),
            ("", "assets", "assets", false),
        ] {
            let shown = source_path(path, "~/assets/main.js.map");
            assert_eq!(
                (shown.file.as_str(), shown.module.as_str(), shown.is_library),
                (file, module, is_library),
                "{path}"
            );
        }
        assert_eq!(source_path("../src/pay.ts", "~/assets/main.js.map").whole, "~/src/pay.ts");
    }

    proptest! {
        #[test]
        fn any_path_gets_an_answer(path in "(\\.|\\.\\.|/|~|a|ä|://|\\?|#|webpack:|C:|\\\\){0,12}", base in "(~|/|a|https://h|:){0,6}") {
            let shown = source_path(&path, &base);
            prop_assert!(!shown.file.split('/').any(|step| step == ".."));
            let _ = (upload_names(&path), join(&base, &path));
        }
    }
}
