//! The table of cases: for every platform which events are one issue and which are not; and what never matters.

use std::collections::HashMap;

use belvedere_storage::Timestamp;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::group;
use crate::event::{Arrival, normalise};
use crate::grouping_rules::Ruling;

/// Events of one platform and the letter of the group that each belongs to, one letter an event.
#[derive(Deserialize)]
struct Case {
    about: String,
    platform: String,
    groups: String,
    events: Vec<Value>,
}

/// Frames as `app|sys ; place ; function ; source line`, outermost first: a place is a path if there is a slash
/// in it, else a module, or what stands before a colon: `module:` or `package:`; `-` is nothing.
fn frame(text: &str) -> Value {
    let mut parts = text.split(" ; ").map(str::trim);
    let mut frame = Map::new();
    frame.insert("in_app".to_owned(), (parts.next() == Some("app")).into());
    match parts.next().unwrap_or("-") {
        "-" => {}
        place => {
            let (key, place) = match place.split_once(':') {
                Some((key @ ("package" | "module"), place)) => (key, place),
                _ if place.contains('/') => ("abs_path", place),
                _ => ("module", place),
            };
            frame.insert(key.to_owned(), place.into());
        }
    }
    for key in ["function", "context_line"] {
        if let Some(value) = parts.next().filter(|value| *value != "-") {
            frame.insert(key.to_owned(), value.into());
        }
    }
    frame.into()
}

/// Writes out the short forms: lists of texts named `frames` anywhere in an event.
fn write_out(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(write_out),
        Value::Object(object) => {
            let is_short = |frames: &Value| frames.get(0).is_some_and(Value::is_string);
            if let Some(Value::Array(frames)) = object.get("frames").filter(|frames| is_short(frames)) {
                let frames: Vec<Value> = frames.iter().map(|text| frame(text.as_str().unwrap())).collect();
                object.remove("frames");
                object.insert("stacktrace".to_owned(), json!({"frames": frames}));
            }
            object.values_mut().for_each(write_out);
        }
        _ => {}
    }
}

fn hash(event: &Value) -> [u8; 16] {
    let arrival = Arrival { received_at: Timestamp::from_micros(1), ..Arrival::default() };
    group(&normalise(event.clone(), &arrival).unwrap().payload, &Ruling::default()).hash
}

#[test]
fn events_fall_into_the_groups_that_are_written_down() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("partition.json")).unwrap();
    assert!(cases.len() > 60, "only {} cases", cases.len());
    for case in cases {
        assert_eq!(case.groups.len(), case.events.len(), "{}", case.about);
        let mut letters: HashMap<[u8; 16], char> = HashMap::new();
        let mut found = String::new();
        for mut event in case.events {
            write_out(&mut event);
            event["platform"] = case.platform.as_str().into();
            let next = char::from(b'A' + u8::try_from(letters.len()).unwrap());
            found.push(*letters.entry(hash(&event)).or_insert(next));
        }
        assert_eq!(found, case.groups, "{}: {}", case.platform, case.about);
    }
}

const PLATFORMS: [&str; 12] = [
    "python",
    "javascript",
    "node",
    "java",
    "csharp",
    "php",
    "ruby",
    "go",
    "rust",
    "cocoa",
    "elixir",
    "dart",
];

/// A crash in `way.last()`, with everything that must not matter made of `noise`.
fn crash(platform: &str, way: &[String], noise: u64) -> Value {
    let directory = format!("/srv/release-{noise}/app");
    let frames: Vec<Value> = way
        .iter()
        .enumerate()
        .map(|(index, function)| {
            let number = noise.wrapping_mul(31).wrapping_add(index as u64);
            json!({
                "function": function, "in_app": true, "filename": format!("{directory}/shop.x"),
                "abs_path": format!("{directory}/shop.x"), "lineno": number % 9_999 + 1, "colno": number % 97,
                "instruction_addr": format!("{number:#x}"), "image_addr": format!("{:#x}", number / 2),
                "vars": {"id": number},
            })
        })
        .collect();
    json!({"platform": platform, "exception": [
        {"type": "Fault", "value": format!("order {noise} at {noise:#x}"), "stacktrace": {"frames": frames}},
    ]})
}

/// What a crash may end with beside the function that crashed.
const MACHINERY: [&[&str]; 4] = [
    &[],
    &["raise", "abort"],
    &["core::panicking::panic_fmt", "rust_begin_unwind"],
    &["objc_exception_throw", "abort", "__pthread_kill"],
];

fn functions(names: &[u8]) -> Vec<String> {
    names.iter().map(|name| format!("do_{}", char::from(b'a' + name % 26))).collect()
}

proptest! {
    #[test]
    fn lines_addresses_directories_and_ids_never_change_the_group(
        platform in proptest::sample::select(&PLATFORMS[..]),
        way in proptest::collection::vec(any::<u8>(), 1..12),
        first in any::<u64>(),
        second in any::<u64>(),
    ) {
        let way = functions(&way);
        prop_assert_eq!(hash(&crash(platform, &way, first)), hash(&crash(platform, &way, second)));
    }

    #[test]
    fn the_depth_of_a_recursion_never_changes_the_group(
        platform in proptest::sample::select(&PLATFORMS[..]),
        cycle in 1_usize..5,
        depths in (0_usize..12, 0_usize..12),
        end in 0_usize..5,
    ) {
        // `main` calls a circle of functions, and the one at `end` fails after some rounds.
        let circle: Vec<String> = (0..cycle).map(|index| format!("turn_{}", char::from(b'a' + index as u8))).collect();
        let way = |rounds: usize| {
            let mut way = vec!["main".to_owned()];
            way.extend(circle.iter().cycle().take(rounds * cycle + end % cycle + 1).cloned());
            way
        };
        prop_assert_eq!(
            hash(&crash(platform, &way(depths.0), 1)),
            hash(&crash(platform, &way(depths.1), 2))
        );
    }

    #[test]
    fn two_crashing_functions_are_always_two_groups(
        platform in proptest::sample::select(&PLATFORMS[..]),
        way in proptest::collection::vec(any::<u8>(), 0..8),
        crashing in ("[a-z]{3,12}", "[a-z]{3,12}"),
        machinery in proptest::sample::select(&MACHINERY[..]),
        noise in any::<u64>(),
    ) {
        let (first, second) = (format!("fail_{}", crashing.0), format!("fail_{}", crashing.1));
        prop_assume!(first != second);
        let event = |last: String| {
            let mut way = functions(&way);
            way.push(last);
            if matches!(platform, "rust" | "cocoa") {
                way.extend(machinery.iter().map(|name| (*name).to_owned()));
            }
            crash(platform, &way, noise)
        };
        prop_assert_ne!(hash(&event(first)), hash(&event(second)));
    }

    #[test]
    fn an_id_in_a_message_never_changes_the_group(
        words in "[a-z]{2,9} [a-z]{2,9}",
        ids in (any::<u64>(), any::<u64>()),
        shape in 0_usize..6,
    ) {
        let event = |id: u64| {
            let id = match shape {
                0 => id.to_string(),
                1 => format!("order-{id}"),
                2 => format!("{id:#x}"),
                3 => format!("job_{id}"),
                4 => format!("{:08x}-1111-4222-8333-{:012x}", id as u32, id >> 16),
                _ => format!("user{id}@shop.example.com"),
            };
            json!({"platform": "python", "message": format!("{words} {id} failed")})
        };
        prop_assert_eq!(hash(&event(ids.0)), hash(&event(ids.1)));
    }
}
