use serde_json::{Map, Value};

use super::{Action, Field, FrameChange, Matcher, Rule, RuleSet};
use crate::event::clean;
use crate::grouping::{IN_GROUPING, resolve, tag_of};

/// What a frame was marked as before a rule changed it.
const ORIGINAL_IN_APP: &str = "in_app_before_rules";

/// The most rules that are named as having changed frames.
const FRAME_RULES_MAX: usize = 10;

/// The longest title, in characters.
const TITLE_CHARS_MAX: usize = 512;

/// What the rules of a project have to say about an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ruling {
    pub(crate) fingerprint: Option<ChosenFingerprint>,
    /// The title, with its variables.
    pub(crate) title: Option<String>,
    /// The rules that changed frames, at most 10.
    pub(crate) frame_rules: Vec<String>,
    /// The rule by which the event is not wanted.
    pub(crate) ignored_by: Option<String>,
}

/// A fingerprint and the rule that chose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChosenFingerprint {
    pub(crate) parts: Vec<String>,
    pub(crate) rule: String,
}

impl Ruling {
    /// Whether the rules had a hand in the grouping.
    pub(crate) fn decides(&self) -> bool {
        self.fingerprint.is_some() || !self.frame_rules.is_empty()
    }
}

/// A title with the event's values in it.
pub(crate) fn resolve_title(title: &str, event: &Value) -> String {
    clean(&resolve(title, event), TITLE_CHARS_MAX)
}

impl RuleSet {
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Marks frames as the rules say and tells the rest. `event` is in the stored shape.
    pub(crate) fn apply(&self, event: &mut Value) -> Ruling {
        let mut ruling = Ruling::default();
        for rule in self.rules.iter().filter(|rule| rule.changes_frames()) {
            if change_frames(rule, event) && ruling.frame_rules.len() < FRAME_RULES_MAX {
                ruling.frame_rules.push(rule.text.clone());
            }
        }
        let deciding = self.rules.iter().find(|rule| !rule.changes_frames() && holds_for_event(rule, event));
        let Some(rule) = deciding else { return ruling };
        for action in &rule.actions {
            match action {
                Action::Fingerprint(parts) => {
                    let (parts, rule) = (parts.clone(), rule.text.clone());
                    ruling.fingerprint = Some(ChosenFingerprint { parts, rule });
                }
                Action::Title(title) => ruling.title = Some(title.clone()),
                Action::Ignore => ruling.ignored_by = Some(rule.text.clone()),
                Action::Frame(_) => {}
            }
        }
        ruling
    }
}

/// Takes the marks of rules off a stored event's frames.
pub(crate) fn forget_rules(event: &mut Value) {
    for_each_frame(event, &mut |frame| {
        frame.remove(IN_GROUPING);
        if let Some(original) = frame.remove(ORIGINAL_IN_APP) {
            frame.insert("in_app".to_owned(), original);
        }
    });
}

/// Does what a rule says to the frames that it is about; whether that changed any.
fn change_frames(rule: &Rule, event: &mut Value) -> bool {
    let platform = event.get("platform").and_then(Value::as_str).unwrap_or_default().to_owned();
    let (of_frame, of_event): (Vec<_>, Vec<_>) =
        rule.matchers.iter().partition(|matcher| matcher.field.is_of_frame());
    if !of_event.iter().all(|matcher| holds(matcher, &values_of_event(&matcher.field, event))) {
        return false;
    }
    let mut has_changed = false;
    for_each_frame(event, &mut |frame| {
        let is_meant =
            of_frame.iter().all(|matcher| holds(matcher, &values_of_frame(&matcher.field, frame, &platform)));
        if !is_meant {
            return;
        }
        for action in &rule.actions {
            let Action::Frame(change) = action else { continue };
            has_changed |= change_frame(frame, *change);
        }
    });
    has_changed
}

fn change_frame(frame: &mut Map<String, Value>, change: FrameChange) -> bool {
    match change {
        FrameChange::InApp(in_app) => {
            let former = frame.insert("in_app".to_owned(), in_app.into()).unwrap_or(Value::Null);
            let has_changed = former != Value::Bool(in_app);
            if has_changed {
                frame.entry(ORIGINAL_IN_APP).or_insert(former);
            }
            has_changed
        }
        FrameChange::InGrouping(false) => frame.insert(IN_GROUPING.to_owned(), false.into()).is_none(),
        FrameChange::InGrouping(true) => frame.remove(IN_GROUPING).is_some(),
    }
}

fn for_each_frame(event: &mut Value, act: &mut dyn FnMut(&mut Map<String, Value>)) {
    let mut visit = |holder: &mut Value| {
        let frames = holder.get_mut("stacktrace").and_then(|trace| trace.get_mut("frames"));
        for frame in frames.and_then(Value::as_array_mut).into_iter().flatten() {
            if let Value::Object(frame) = frame {
                act(frame);
            }
        }
    };
    for key in ["exception", "threads"] {
        let values = event.get_mut(key).and_then(|list| list.get_mut("values")).and_then(Value::as_array_mut);
        values.into_iter().flatten().for_each(&mut visit);
    }
    visit(event);
}

/// Whether a rule's conditions hold: those about the event, and those about frames for one frame together. A negated
/// condition about frames holds if it does for every frame.
fn holds_for_event(rule: &Rule, event: &Value) -> bool {
    let is_about_frame = |matcher: &&Matcher| matcher.field.is_of_frame() && matcher.field != Field::Family;
    let of_event = rule.matchers.iter().filter(|matcher| !is_about_frame(matcher));
    for matcher in of_event {
        if !holds(matcher, &values_of_event(&matcher.field, event)) {
            return false;
        }
    }
    let (negated, positive): (Vec<&Matcher>, Vec<&Matcher>) =
        rule.matchers.iter().filter(is_about_frame).partition(|matcher| matcher.is_negated);
    if negated.is_empty() && positive.is_empty() {
        return true;
    }
    let frames = frames_of(event);
    let of = |matcher: &Matcher, frame: &Map<String, Value>| {
        holds(matcher, &values_of_frame(&matcher.field, frame, ""))
    };
    negated.iter().all(|matcher| frames.iter().all(|frame| of(matcher, frame)))
        && (positive.is_empty()
            || frames.iter().any(|frame| positive.iter().all(|matcher| of(matcher, frame))))
}

fn frames_of(event: &Value) -> Vec<&Map<String, Value>> {
    let holders = ["exception", "threads"]
        .into_iter()
        .filter_map(|key| event.get(key)?.get("values")?.as_array())
        .flatten()
        .chain(Some(event));
    holders
        .filter_map(|holder| holder.get("stacktrace")?.get("frames")?.as_array())
        .flatten()
        .filter_map(Value::as_object)
        .collect()
}

/// Whether a condition holds for one of `values`.
fn holds(matcher: &Matcher, values: &[&str]) -> bool {
    let is_so = match &matcher.pattern {
        None => values.iter().all(|value| value.is_empty()),
        Some(pattern) => values.iter().any(|value| pattern.matches(value)),
    };
    is_so != matcher.is_negated
}

fn values_of_event<'a>(field: &Field, event: &'a Value) -> Vec<&'a str> {
    let of_exceptions = |key: &str| {
        let list = event.get("exception").and_then(|list| list.get("values")).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|exception| exception.get(key)?.as_str()).collect()
    };
    let attribute = |key: &str| event.get(key).and_then(Value::as_str).into_iter().collect();
    match field {
        Field::Type => of_exceptions("type"),
        Field::Value => of_exceptions("value"),
        Field::Message => {
            let message = event.get("logentry").and_then(|entry| entry.get("formatted")?.as_str());
            message.map_or_else(|| of_exceptions("value"), |message| vec![message])
        }
        Field::Level => attribute("level"),
        Field::Logger => attribute("logger"),
        Field::Transaction => attribute("transaction"),
        Field::Release => attribute("release"),
        Field::Environment => attribute("environment"),
        Field::Platform => attribute("platform"),
        Field::Family => vec![family(event.get("platform").and_then(Value::as_str).unwrap_or_default())],
        Field::Tag(tag) => tag_of(event, tag).into_iter().collect(),
        Field::Path | Field::Function | Field::Module | Field::Package | Field::App => Vec::new(),
    }
}

fn values_of_frame<'a>(field: &Field, frame: &'a Map<String, Value>, platform: &str) -> Vec<&'a str> {
    let attribute = |key: &str| frame.get(key).and_then(Value::as_str);
    match field {
        Field::Path => ["abs_path", "filename"].into_iter().filter_map(attribute).collect(),
        Field::Function => attribute("function").into_iter().collect(),
        Field::Module => attribute("module").into_iter().collect(),
        Field::Package => attribute("package").into_iter().collect(),
        Field::App => {
            let in_app = frame.get("in_app").and_then(Value::as_bool) == Some(true);
            vec![if in_app { "yes" } else { "no" }]
        }
        Field::Family => vec![family(attribute("platform").unwrap_or(platform))],
        _ => Vec::new(),
    }
}

/// Platforms in the families that Sentry's rules know.
fn family(platform: &str) -> &'static str {
    match platform {
        "javascript" | "node" | "browser" | "react-native" => "javascript",
        "native" | "c" | "cpp" | "rust" | "objc" | "cocoa" | "swift" => "native",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::parse::parse;
    use super::*;

    fn event() -> Value {
        json!({
            "platform": "python", "level": "error", "logger": "shop.db", "release": "shop@1",
            "tags": [["region", "eu-west"]],
            "exception": {"values": [
                {"type": "OSError", "value": "gone", "stacktrace": {"frames": [
                    {"module": "shop.db", "function": "connect", "abs_path": "/srv/shop/db.py", "in_app": true},
                    {"module": "vendor.pg", "function": "log_call", "abs_path": "/srv/vendor/pg.py", "in_app": true},
                ]}},
                {"type": "DatabaseUnavailable", "value": "db-1 is gone"},
            ]},
        })
    }

    fn ruling(rules: &str) -> Ruling {
        parse(rules).unwrap().apply(&mut event())
    }

    #[test]
    fn the_first_rule_whose_conditions_all_hold_decides() {
        for (rule, holds) in [
            ("error.type:DatabaseUnavailable tags.region:eu* -> ignore", true),
            ("error.type:OSError -> ignore", true),
            ("error.type:DatabaseUnavailable tags.region:us* -> ignore", false),
            ("!error.type:KeyError -> ignore", true),
            ("!error.type:OSError -> ignore", false),
            ("message:*gone -> ignore", true),
            ("logger:shop.* level:error release:shop@1 platform:python family:other -> ignore", true),
            ("tags.absent:* -> ignore", false),
            ("tags.absent:\"\" -> ignore", true),
            ("tags.region:\"\" -> ignore", false),
            ("function:connect module:shop.* -> ignore", true),
            ("function:connect module:vendor.* -> ignore", false),
            ("path:**/vendor/** app:yes -> ignore", true),
            ("!path:**/vendor/** -> ignore", false),
            ("!path:**/other/** -> ignore", true),
        ] {
            assert_eq!(ruling(rule).ignored_by, holds.then(|| rule.to_owned()), "{rule}");
        }
        let first = ruling("level:info -> ignore\nlevel:error -> fingerprint: a\nlevel:error -> ignore");
        assert_eq!(first.fingerprint.unwrap().parts, ["a"]);
        assert_eq!(first.ignored_by, None);
    }

    #[test]
    fn frames_are_marked_in_the_order_of_the_rules_and_back() {
        let rules = parse("path:**/vendor/** -> -app -group\nfunction:log_* -> +group\nfunction:connect error.type:KeyError -> -group").unwrap();
        let mut marked = event();
        let ruling = rules.apply(&mut marked);
        assert_eq!(ruling.frame_rules, ["path:**/vendor/** -> -app -group", "function:log_* -> +group"]);
        assert!(ruling.decides());
        let frames = &marked["exception"]["values"][0]["stacktrace"]["frames"];
        assert_eq!((&frames[0]["in_app"], &frames[1]["in_app"]), (&json!(true), &json!(false)));
        assert_eq!((frames[0].get(IN_GROUPING), frames[1].get(IN_GROUPING)), (None, None));
        forget_rules(&mut marked);
        assert_eq!(marked, event());
        // A rule that changes nothing has no hand in anything.
        assert_eq!(parse("function:connect -> +app").unwrap().apply(&mut event()), Ruling::default());
    }

    #[test]
    fn titles_hold_values_of_the_event() {
        let ruling = ruling("level:error -> title: \"Database in {{ tags.region }}\"");
        assert_eq!(resolve_title(&ruling.title.unwrap(), &event()), "Database in eu-west");
    }
}
