//! The rules of the house that no compiler checks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Crates that must not know each other; they meet through kernel traits in `App::init`.
const SLICES: [&str; 8] = [
    "accounts",
    "alerting",
    "audit",
    "business-intelligence",
    "error-tracking",
    "learning-analytics",
    "privacy",
    "xapi",
];

/// What each of our crates may depend on among our crates, besides the slices' common ground.
fn allowed(crate_name: &str) -> Option<Vec<&'static str>> {
    let ground = vec!["storage", "kernel"];
    Some(match crate_name {
        "migrations" | "xtask" | "error-client" => vec![],
        "storage" => vec!["migrations"],
        "kernel" => vec!["storage"],
        "jobs" | "intake" | "event-store" => ground,
        "error-tracking" => [ground, vec!["jobs", "event-store", "error-client"]].concat(),
        "business-intelligence" | "xapi" => [ground, vec!["jobs", "event-store"]].concat(),
        "learning-analytics" => [ground, vec!["event-store"]].concat(),
        name if SLICES.contains(&name) => [ground, vec!["jobs"]].concat(),
        "app" => {
            [ground, vec!["jobs", "intake", "event-store", "migrations", "error-client"], SLICES.to_vec()]
                .concat()
        }
        "http" | "dashboard" => [ground, vec!["intake", "event-store"], SLICES.to_vec()].concat(),
        "api" => vec!["app", "http", "dashboard"],
        "event-transfer" => [ground, vec!["event-store"]].concat(),
        "worker" | "scheduler" => vec!["app"],
        "events" => [ground, vec!["app", "event-transfer"]].concat(),
        "tests" => return None,
        unknown => {
            panic!("crate {unknown} has no place in the house: say in tests/tidy.rs what it may depend on")
        }
    })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file under version control, or about to be, with its text; binary files left out.
fn sources() -> Vec<(String, String)> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(root()).output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let files = list
        .lines()
        .filter_map(|path| Some((path.to_owned(), std::fs::read_to_string(root().join(path)).ok()?)));
    let files: Vec<_> = files.collect();
    assert!(files.len() > 50, "git lists only {} files", files.len());
    files
}

fn packages() -> Vec<Value> {
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn short(name: &str) -> String {
    name.strip_prefix("belvedere-").unwrap_or(name).to_owned()
}

/// Names of a package's dependencies outside tests.
fn dependencies(package: &Value) -> BTreeSet<String> {
    let all = package["dependencies"].as_array().unwrap().iter();
    all.filter(|it| it["kind"].is_null()).map(|it| it["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn crates_depend_only_downwards_and_slices_never_on_each_other() {
    let packages = packages();
    let ours: BTreeSet<String> = packages.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect();
    for package in &packages {
        let name = short(package["name"].as_str().unwrap());
        let Some(allowed) = allowed(&name) else { continue };
        for dependency in dependencies(package).iter().filter(|it| ours.contains(*it)) {
            assert!(allowed.contains(&short(dependency).as_str()), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn http_is_served_and_sent_and_redis_is_spoken_in_one_place_only() {
    for package in packages() {
        let name = short(package["name"].as_str().unwrap());
        let dependencies = dependencies(&package);
        for server in ["hyper", "axum", "hyper-util"] {
            let may_serve = ["http", "dashboard", "api"].contains(&name.as_str());
            assert!(may_serve || !dependencies.contains(server), "{name} must not depend on {server}");
        }
        assert!(name == "jobs" || !dependencies.contains("fred"), "{name} must not depend on fred");
        let is_reporting = name == "error-client";
        assert!(is_reporting || !dependencies.contains("sentry"), "{name} must not depend on sentry");
        for client in ["ureq", "reqwest", "isahc", "curl"] {
            let may_send = is_reporting || name == "alerting";
            assert!(
                may_send || !dependencies.contains(client),
                "{name} must not send HTTP: it depends on {client}"
            );
        }
    }
    for (path, text) in sources() {
        let is_wakeup =
            path == "crates/jobs/src/wakeup.rs" || !path.ends_with(".rs") || path == "tests/tidy.rs";
        assert!(is_wakeup || !text.contains("fred::"), "{path} uses fred: only jobs/src/wakeup.rs may");
    }
}

#[test]
fn the_client_for_reports_needs_no_database() {
    let arguments =
        ["tree", "--offline", "--package", "belvedere-error-client", "--edges", "normal", "--prefix", "none"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(tree.contains("sentry-core "), "cannot read the tree: {tree}");
    for heavy in ["sea-orm", "sqlx", "belvedere-storage", "hyper", "axum"] {
        assert!(!tree.lines().any(|line| line.starts_with(heavy)), "belvedere-error-client pulls in {heavy}");
    }
}

#[test]
fn slices_keep_the_database_library_out_of_their_public_face() {
    for slice in SLICES {
        for file in ["lib.rs", "model.rs"] {
            let path = format!("crates/{slice}/src/{file}");
            if root().join(&path).is_file() {
                assert!(!read(&path).contains("sea_orm"), "{path} shows sea-orm types");
            }
        }
    }
}

#[test]
fn traits_have_at_most_twelve_methods_and_binaries_forty_lines() {
    for (path, text) in sources() {
        if path.starts_with("bins/") && path.ends_with("main.rs") {
            assert!(text.lines().count() <= 40, "{path} has more than 40 lines");
        }
        if !path.ends_with(".rs") || path == "tests/tidy.rs" {
            continue;
        }
        for part in text.split("\npub trait ").skip(1) {
            let body = part.split("\n}").next().unwrap_or_default();
            let methods = body.matches("\n    fn ").count() + body.matches("\n    async fn ").count();
            let name = part.split([':', ' ', '{', '<']).next().unwrap_or_default();
            assert!(methods <= 12, "{path}: trait {name} has {methods} methods");
        }
    }
}

#[test]
fn source_files_stay_short() {
    for (path, text) in sources() {
        let lines = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default().lines().count();
        let is_test = path.contains("tests");
        assert!(
            !path.ends_with(".rs") || is_test || lines <= 700,
            "{path} has {lines} lines: make it two files"
        );
    }
}

#[test]
fn every_direct_dependency_has_its_reason() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let architecture = read("ARCHITECTURE.md");
    for name in manifest["workspace"]["dependencies"].as_table().unwrap().keys() {
        let is_ours = name.starts_with("belvedere-");
        assert!(
            is_ours || architecture.contains(&format!("`{name}`")),
            "ARCHITECTURE.md does not say why {name} is there"
        );
    }
    let used: BTreeSet<String> = packages()
        .iter()
        .flat_map(|package| package["dependencies"].as_array().unwrap().clone())
        .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
        .collect();
    for name in manifest["workspace"]["dependencies"].as_table().unwrap().keys() {
        assert!(used.contains(name), "no crate uses the workspace dependency {name}");
    }
}

#[test]
fn architecture_stays_a_page_to_read_at_once() {
    assert!(read("ARCHITECTURE.md").lines().count() <= 200);
}

const DOCUMENTS: [&str; 11] = [
    "README.md",
    "ARCHITECTURE.md",
    "BENCHMARKS.md",
    "docs/business.md",
    "docs/events.md",
    "docs/insights.md",
    "docs/learning.md",
    "docs/sdks.md",
    "docs/tracking.md",
    "docs/webhooks.md",
    "docs/xapi.md",
];

#[test]
fn commands_in_the_documents_exist() {
    let binary = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "xtask", "--", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(binary.stdout).unwrap();
    let known: BTreeSet<&str> =
        help.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next()).collect();
    assert!(known.contains("start") && known.contains("test"), "cannot read the help: {help}");
    let mut seen = BTreeMap::new();
    for document in DOCUMENTS {
        for part in read(document).split("cargo xtask ").skip(1) {
            let command: String =
                part.chars().take_while(|it| it.is_ascii_lowercase() || *it == '-').collect();
            assert!(known.contains(command.as_str()), "{document}: `cargo xtask {command}` does not exist");
            seen.insert(command, document);
        }
    }
    assert!(
        seen.contains_key("start") && seen.contains_key("test"),
        "README.md does not show start and test"
    );
    let first_screen: Vec<String> = read("README.md").lines().take(25).map(str::to_owned).collect();
    for command in ["cargo xtask start", "cargo xtask test"] {
        assert!(
            first_screen.iter().any(|line| line.starts_with(command)),
            "{command} is not on the first screen"
        );
    }
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    for document in DOCUMENTS {
        let beside = root().join(document);
        for part in read(document).split("](").skip(1) {
            let target = part.split(')').next().unwrap_or_default();
            let is_elsewhere = target.starts_with("http") || target.starts_with('#');
            let path = beside.parent().unwrap_or(&beside).join(target);
            assert!(is_elsewhere || path.exists(), "{document} links to {target}");
        }
    }
}

#[test]
fn the_project_names_no_machine() {
    let signs = [["/ro", "ot/"].concat(), ["/wo", "rk/"].concat(), ["/tmp/", "scratch"].concat()];
    for (path, text) in sources() {
        for sign in &signs {
            assert!(!text.contains(sign.as_str()), "{path} contains {sign}");
        }
    }
}

#[test]
fn style_sheets_close_every_block() {
    for (path, text) in sources().into_iter().filter(|(path, _)| path.ends_with(".css")) {
        let mut depth = 0_i32;
        for (line, number) in text.lines().zip(1..) {
            for letter in line.chars() {
                depth += i32::from(letter == '{') - i32::from(letter == '}');
            }
            // Rules of a media query are indented; whatever begins a line stands outside all blocks.
            let is_outside = !line.starts_with([' ', '}']) && !line.is_empty();
            assert!(depth >= 0, "{path}:{number} closes a block that nothing opened");
            assert!(!is_outside || depth <= 1, "{path}:{number} stands in a block that was never closed");
        }
        assert!(depth == 0, "{path} leaves {depth} blocks open");
    }
}

#[test]
fn no_unfinished_work_is_left_in_the_sources() {
    let signs = [
        ["to", "do!("].concat(),
        ["unimple", "mented!("].concat(),
        ["FIX", "ME"].concat(),
        ["TO", "DO:"].concat(),
    ];
    for (path, text) in sources() {
        for sign in &signs {
            assert!(!text.contains(sign.as_str()), "{path} contains {sign}");
        }
    }
}
