use proptest::prelude::*;

use super::people::{restore, template};
use super::references::References;
use super::*;

fn json(text: &str) -> Json {
    Json::parse(text.as_bytes(), 32).unwrap()
}

const GOOD: &str = r#"{"id":"39e24cc4-69af-4b01-a824-1fdc6ea8a3af",
"actor":{"objectType":"Group","name":"Crew","member":[{"name":"Ada","mbox":"mailto:ada@example.org"},{"objectType":"Agent","account":{"homePage":"http://example.org","name":"bob"}}]},
"verb":{"id":"http://adlnet.gov/expapi/verbs/answered","display":{"en-US":"answered"}},
"object":{"objectType":"Activity","id":"http://example.org/q1","definition":{"name":{"en":"Q"},"description":{"de":"?"},"type":"http://adlnet.gov/expapi/activities/cmi.interaction","moreInfo":"http://example.org/more","interactionType":"choice","correctResponsesPattern":["a[,]b"],"choices":[{"id":"a","description":{"en":"A"}},{"id":"b"}],"extensions":{"http://x":null}}},
"result":{"score":{"scaled":0.5,"raw":5,"min":0,"max":10},"success":true,"completion":false,"response":"a","duration":"PT30S","extensions":{"http://x":[null]}},
"context":{"registration":"16fd2706-8baf-433b-82eb-8c7fada847da","instructor":{"mbox_sha1sum":"cd9b00a5611f94eaa7b1661edab976068e364975"},"team":{"objectType":"Group","account":{"homePage":"http://example.org","name":"crew"},"member":[{"openid":"http://id.example.org/c"}]},"contextActivities":{"parent":{"id":"http://example.org/quiz"},"grouping":[{"id":"http://example.org/course"}]},"revision":"1","platform":"p","language":"en-US","statement":{"objectType":"StatementRef","id":"16fd2706-8baf-433b-82eb-8c7fada847da"},"extensions":{"tag:a,2020:b":1}},
"timestamp":"2026-11-28T12:00:00.000Z","stored":"2026-11-28T12:00:00Z","version":"1.0.0","authority":{"mbox":"mailto:lrs@example.org"},
"attachments":[{"usageType":"http://u","display":{"en":"d"},"description":{"en":"d"},"contentType":"text/plain; charset=utf-8","length":3,"sha2":"ab","fileUrl":"http://f"}]}"#;

const SUB: &str = r#"{"actor":{"mbox":"mailto:a@b.c"},"verb":{"id":"http://v"},"object":{"objectType":"SubStatement","actor":{"mbox":"mailto:s@b.c"},"verb":{"id":"http://w"},"object":{"id":"http://inner"},"context":{"contextActivities":{"other":[{"id":"http://other"}]}}}}"#;

fn check(json: Json, version: Version) -> Result<Statement, Invalid> {
    Statement::check(json, version, &Path::Root)
}

#[test]
fn statements_that_follow_every_rule_are_taken_in_both_versions() {
    for version in [Version::One, Version::Two] {
        check(json(GOOD), version).unwrap();
        check(json(SUB), version).unwrap();
    }
}

/// Puts `value` at a pointer; `-` takes what is there away.
fn changed(base: &str, pointer: &str, value: &str) -> Json {
    fn put(json: &mut Json, steps: &[&str], value: &str) {
        let Some((step, rest)) = steps.split_first() else {
            *json = self::json(value);
            return;
        };
        let step = step.replace("~1", "/");
        if rest.is_empty() && value == "-" {
            json.remove(&step).unwrap();
            return;
        }
        if let Json::List(items) = json {
            return put(&mut items[step.parse::<usize>().unwrap()], rest, value);
        }
        if json.get(&step).is_none() {
            json.set(&step, Json::Null);
        }
        put(json.get_mut(&step).unwrap(), rest, value);
    }
    let mut changed = json(base);
    let steps: Vec<&str> = pointer.split('/').skip(1).collect();
    put(&mut changed, &steps, value);
    changed
}

/// Where it is changed, to what, and where the error is, if not there.
const WRONG: &[(&str, &str, &str)] = &[
    ("/id", "\"39e24cc4-69af-4b01-a824\"", ""),
    ("/id", "1", ""),
    ("/id", "null", ""),
    ("/Actor", "1", ""),
    ("/extra", "1", ""),
    ("/actor", "-", ""),
    ("/verb", "-", ""),
    ("/object", "-", ""),
    ("/actor", "\"a\"", ""),
    ("/actor", "{}", ""),
    ("/actor", r#"{"name":"x"}"#, ""),
    ("/actor", r#"{"mbox":"mailto:a@b","openid":"http://a"}"#, ""),
    ("/actor", r#"{"objectType":"agent","mbox":"mailto:a@b"}"#, "/actor/objectType"),
    ("/actor", r#"{"mbox":"a@b"}"#, "/actor/mbox"),
    ("/actor", r#"{"mbox":1}"#, "/actor/mbox"),
    ("/actor", r#"{"mbox_sha1sum":"xyz"}"#, "/actor/mbox_sha1sum"),
    ("/actor", r#"{"openid":"a"}"#, "/actor/openid"),
    ("/actor", r#"{"account":{"name":"x"}}"#, "/actor/account/homePage"),
    ("/actor", r#"{"account":{"homePage":"http://a"}}"#, "/actor/account/name"),
    ("/actor", r#"{"account":{"homePage":"a","name":"x"}}"#, "/actor/account/homePage"),
    ("/actor", r#"{"account":{"homePage":"http://a","name":1}}"#, "/actor/account/name"),
    ("/actor", r#"{"account":{"homePage":"http://a","name":"a","x":1}}"#, "/actor/account/x"),
    ("/actor", r#"{"mbox":"mailto:a@b","member":[]}"#, "/actor/member"),
    ("/actor/member", "-", ""),
    ("/actor/member", "{}", ""),
    ("/actor/member", "[]", ""),
    ("/actor/member/0/mbox", "-", "/actor/member/0"),
    ("/actor/member/0", r#"{"objectType":"Group","member":[]}"#, "/actor/member/0/member"),
    ("/actor/name", "1", ""),
    ("/verb/id", "-", ""),
    ("/verb/id", "\"answered\"", ""),
    ("/verb/Display", "{}", ""),
    ("/verb/display", "\"x\"", ""),
    ("/verb/display", "{}", ""),
    ("/verb/display", r#"{"a_b":"x"}"#, "/verb/display/a_b"),
    ("/verb/display", r#"{"en":1}"#, "/verb/display/en"),
    ("/object/objectType", "\"activity\"", ""),
    ("/object/id", "-", ""),
    ("/object/id", "\"q1\"", ""),
    ("/object/definition", "[]", ""),
    ("/object/definition/type", "\"t\"", ""),
    ("/object/definition/moreInfo", "\"m\"", ""),
    ("/object/definition/name", "\"n\"", ""),
    ("/object/definition/description", "null", ""),
    ("/object/definition/interactionType", "\"Choice\"", ""),
    ("/object/definition/interactionType", "-", ""),
    ("/object/definition/correctResponsesPattern", "\"a\"", ""),
    ("/object/definition/correctResponsesPattern", "[1]", "/object/definition/correctResponsesPattern/0"),
    ("/object/definition/choices", "{}", ""),
    ("/object/definition/choices/0/id", "1", ""),
    ("/object/definition/choices/0/id", "-", ""),
    ("/object/definition/choices/0/id", "\"b\"", "/object/definition/choices/1/id"),
    ("/object/definition/choices/0/x", "1", ""),
    (
        "/object/definition/scale",
        "[{\"id\":\"a\",\"description\":\"x\"}]",
        "/object/definition/scale/0/description",
    ),
    ("/object/definition/extensions", r#"{"x":1}"#, "/object/definition/extensions/x"),
    ("/object/definition/color", "1", ""),
    ("/object", r#"{"objectType":"StatementRef","id":"x"}"#, "/object/id"),
    (
        "/object",
        r#"{"objectType":"StatementRef","id":"39e24cc4-69af-4b01-a824-1fdc6ea8a3af","x":1}"#,
        "/object/x",
    ),
    ("/object", r#"{"objectType":"Person","mbox":"mailto:a@b"}"#, "/object/objectType"),
    ("/object", r#"{"objectType":"Agent"}"#, ""),
    ("/verb/id", "\"http://adlnet.gov/expapi/verbs/voided\"", "/object"),
    ("/result", "[]", ""),
    ("/result/score", "1", ""),
    ("/result/score/scaled", "1.01", ""),
    ("/result/score/scaled", "-1.01", ""),
    ("/result/score/scaled", "\"0\"", ""),
    ("/result/score/raw", "11", ""),
    ("/result/score/raw", "-1", ""),
    ("/result/score/min", "10", ""),
    ("/result/score/Raw", "1", ""),
    ("/result/success", "\"true\"", ""),
    ("/result/completion", "1", ""),
    ("/result/response", "1", ""),
    ("/result/duration", "\"30\"", ""),
    ("/result/duration", "30", ""),
    ("/result/extensions", "[]", ""),
    ("/result/success", "null", ""),
    ("/context", "[]", ""),
    ("/context/registration", "\"r\"", ""),
    ("/context/instructor", "{}", ""),
    ("/context/team", r#"{"mbox":"mailto:a@b"}"#, "/context/team/objectType"),
    ("/context/contextActivities", "[]", ""),
    ("/context/contextActivities", "{}", ""),
    ("/context/contextActivities/Parent", "[]", ""),
    ("/context/contextActivities/parent", "\"a\"", ""),
    ("/context/contextActivities/grouping/0/id", "\"a\"", ""),
    ("/context/contextActivities/grouping/0/objectType", "\"Agent\"", ""),
    ("/context/revision", "1", ""),
    ("/context/platform", "1", ""),
    ("/context/language", "\"e\"", ""),
    (
        "/context/statement",
        r#"{"id":"39e24cc4-69af-4b01-a824-1fdc6ea8a3af"}"#,
        "/context/statement/objectType",
    ),
    ("/context/extensions", r#"{"a b":1}"#, "/context/extensions/a b"),
    ("/context/unknown", "1", ""),
    ("/timestamp", "\"today\"", ""),
    ("/timestamp", "\"2026-11-28T12:00:00-00:00\"", ""),
    ("/timestamp", "1", ""),
    ("/stored", "\"today\"", ""),
    ("/version", "\"0.9\"", ""),
    ("/version", "\"1.1.0\"", ""),
    ("/authority", "{}", ""),
    ("/authority", r#"{"objectType":"Group","member":[{"mbox":"mailto:a@b"}]}"#, ""),
    ("/authority", r#"{"objectType":"Group","mbox":"mailto:a@b"}"#, ""),
    ("/attachments", "{}", ""),
    ("/attachments/0/usageType", "-", ""),
    ("/attachments/0/usageType", "\"u\"", ""),
    ("/attachments/0/display", "-", ""),
    ("/attachments/0/display", "\"d\"", ""),
    ("/attachments/0/description", "\"d\"", ""),
    ("/attachments/0/contentType", "-", ""),
    ("/attachments/0/contentType", "\"text\"", ""),
    ("/attachments/0/length", "-", ""),
    ("/attachments/0/length", "-1", ""),
    ("/attachments/0/length", "1.5", ""),
    ("/attachments/0/length", "\"3\"", ""),
    ("/attachments/0/sha2", "-", ""),
    ("/attachments/0/sha2", "\"\"", ""),
    ("/attachments/0/fileUrl", "\"f\"", ""),
    ("/attachments/0/x", "1", ""),
];

#[test]
fn every_broken_rule_is_named_with_its_place_in_both_versions() {
    for (pointer, value, place) in WRONG {
        for version in [Version::One, Version::Two] {
            let statement = changed(GOOD, pointer, value);
            let text = statement.to_string();
            let invalid =
                check(statement, version).expect_err(&format!("{pointer} = {value} was taken: {text}"));
            let place = if place.is_empty() { pointer } else { place };
            assert_eq!(invalid.pointer, *place, "{pointer} = {value}: {invalid}");
        }
    }
}

#[test]
fn sub_statements_have_rules_of_their_own() {
    for (pointer, value, place) in [
        ("/object/id", "\"39e24cc4-69af-4b01-a824-1fdc6ea8a3af\"", ""),
        ("/object/stored", "\"2026-11-28T12:00:00Z\"", ""),
        ("/object/version", "\"1.0.0\"", ""),
        ("/object/authority", r#"{"mbox":"mailto:a@b"}"#, ""),
        ("/object/object", r#"{"objectType":"SubStatement"}"#, ""),
        ("/object/actor", "-", ""),
        ("/object/verb/id", "\"v\"", ""),
        ("/object/context/revision", "1", ""),
        ("/object/timestamp", "\"x\"", ""),
    ] {
        let invalid = check(changed(SUB, pointer, value), Version::Two).unwrap_err();
        assert_eq!(invalid.pointer, if place.is_empty() { pointer } else { place });
    }
    for object in [
        r#"{"objectType":"Agent","mbox":"mailto:a@b"}"#,
        r#"{"objectType":"StatementRef","id":"39e24cc4-69af-4b01-a824-1fdc6ea8a3af"}"#,
    ] {
        let mut statement = changed(SUB, "/object/object", object);
        check(statement.clone(), Version::One).unwrap();
        statement.get_mut("object").unwrap().set("context", json(r#"{"platform":"p"}"#));
        assert_eq!(check(statement, Version::One).unwrap_err().pointer, "/object/context/platform");
    }
}

#[test]
fn people_of_the_context_belong_to_version_two() {
    let agents =
        r#"[{"objectType":"contextAgent","agent":{"mbox":"mailto:x@b"},"relevantTypes":["http://t"]}]"#;
    let groups =
        r#"[{"objectType":"contextGroup","group":{"objectType":"Group","member":[{"mbox":"mailto:y@b"}]}}]"#;
    for (pointer, value) in [("/context/contextAgents", agents), ("/context/contextGroups", groups)] {
        check(changed(GOOD, pointer, value), Version::Two).unwrap();
        assert_eq!(check(changed(GOOD, pointer, value), Version::One).unwrap_err().pointer, pointer);
    }
    for (pointer, value, place) in [
        ("/context/contextAgents", "{}", "/context/contextAgents"),
        (
            "/context/contextAgents",
            &agents.replace("contextAgent", "agent"),
            "/context/contextAgents/0/objectType",
        ),
        (
            "/context/contextAgents",
            &agents.replace("[\"http://t\"]", "[]"),
            "/context/contextAgents/0/relevantTypes",
        ),
        (
            "/context/contextAgents",
            &agents.replace("http://t", "t"),
            "/context/contextAgents/0/relevantTypes/0",
        ),
        (
            "/context/contextAgents",
            &agents.replace("\"mbox\":\"mailto:x@b\"", ""),
            "/context/contextAgents/0/agent",
        ),
        (
            "/context/contextGroups",
            &groups.replace("member", "members"),
            "/context/contextGroups/0/group/members",
        ),
        ("/context/contextGroups", "[{\"objectType\":\"contextGroup\"}]", "/context/contextGroups/0/group"),
    ] {
        assert_eq!(check(changed(GOOD, pointer, value), Version::Two).unwrap_err().pointer, place);
    }
    assert!(check(changed(GOOD, "/version", "\"2.0.0\""), Version::Two).is_ok());
    assert!(check(changed(GOOD, "/version", "\"2.0.0\""), Version::One).is_err());
}

#[test]
fn activities_of_the_context_become_arrays() {
    let statement = check(json(GOOD), Version::One).unwrap().json;
    let parent = statement.get("context").unwrap().get("contextActivities").unwrap().get("parent").unwrap();
    assert_eq!(parent.to_string(), r#"[{"id":"http://example.org/quiz"}]"#);
}

#[test]
fn people_leave_a_statement_and_come_back() {
    for text in [GOOD, SUB] {
        let statement = check(json(text), Version::Two).unwrap().json;
        let template = template(&statement);
        for secret in ["ada@", "Ada", "bob", "cd9b00", "id.example.org", "s@b.c"] {
            assert!(!template.text.contains(secret), "{secret} in {}", template.text);
        }
        let people = template.people.clone();
        let restored =
            restore(&template.text, |number| people.get(number).map(|person| person.text.as_str()));
        let (restored, mut sorted) = (json(&restored.unwrap()), [String::new(), String::new()]);
        compare::sorted(&restored, &mut sorted[0]);
        // The authority is not kept, and not hidden: the store sets its own.
        compare::sorted(&statement, &mut sorted[1]);
        assert_eq!(sorted[0], sorted[1]);
    }
    assert_eq!(restore("a\u{1}0", |_| Some("{}")), None);
    assert_eq!(restore("a\u{1}9\u{1}", |_| None), None);
}

#[test]
fn a_statement_is_found_by_what_it_refers_to() {
    let found = References::of(&check(json(GOOD), Version::One).unwrap().json);
    assert_eq!(found.people.len(), 2);
    assert_eq!(found.related_people.len(), 3);
    assert_eq!(found.verb, "http://adlnet.gov/expapi/verbs/answered");
    assert_eq!(found.activity.as_deref(), Some("http://example.org/q1"));
    assert_eq!(found.related_activities, ["http://example.org/quiz", "http://example.org/course"]);
    assert_eq!(found.registration, value::uuid("16fd2706-8baf-433b-82eb-8c7fada847da"));
    assert!(found.target.is_none() && !found.is_voiding);
    let found = References::of(&check(json(SUB), Version::One).unwrap().json);
    assert_eq!((found.people.len(), found.related_people.len(), found.activity), (1, 1, None));
    assert_eq!(found.related_activities, ["http://inner", "http://other"]);
}

#[test]
fn what_a_store_may_change_does_not_make_another_statement() {
    let text = |pointer, value| {
        compare::canonical(&check(changed(GOOD, pointer, value), Version::Two).unwrap().json)
    };
    let same = text("/id", "\"39e24cc4-69af-4b01-a824-1fdc6ea8a3aa\"");
    for (pointer, value) in [
        ("/stored", "\"2020-01-01T00:00:00Z\""),
        ("/authority", r#"{"mbox":"mailto:x@y"}"#),
        ("/version", "\"1.0.3\""),
        ("/timestamp", "\"2026-11-28T13:00:00+01:00\""),
        ("/verb/display", r#"{"de":"beantwortete"}"#),
        ("/object/definition", "{}"),
        ("/object/objectType", "-"),
        ("/result/score/scaled", "5e-1"),
        ("/result/duration", "\"PT30.004S\""),
        (
            "/actor/member",
            r#"[{"account":{"name":"bob","homePage":"http://example.org"}},{"mbox":"mailto:ada@example.org","name":"Ada"}]"#,
        ),
        ("/context/contextActivities/grouping", r#"{"id":"http://example.org/course"}"#),
    ] {
        assert_eq!(text(pointer, value), same, "{pointer}");
    }
    for (pointer, value) in [
        ("/timestamp", "\"2026-11-28T12:00:01Z\""),
        ("/result/score/raw", "6"),
        ("/result/duration", "\"PT30.01S\""),
        ("/object/id", "\"http://example.org/q2\""),
        ("/actor/name", "\"Other\""),
        ("/result/extensions", "{}"),
    ] {
        assert_ne!(text(pointer, value), same, "{pointer}");
    }
}

#[test]
fn definitions_are_brought_together() {
    let mut known = json(r#"{"name":{"en":"A"},"type":"http://t"}"#);
    assert!(activity::merge(&mut known, &json(r#"{"name":{"de":"B"},"type":"http://u","choices":[]}"#)));
    assert_eq!(known.to_string(), r#"{"name":{"en":"A","de":"B"},"type":"http://u","choices":[]}"#);
    assert!(!activity::merge(&mut known, &json(r#"{"name":{"en":"A"}}"#)));
}

proptest! {
    /// Whatever stands in the place of any member gets an answer, and what is taken survives being stored.
    #[test]
    fn any_value_at_any_place_gets_an_answer(
        place in 0..WRONG.len(),
        value in prop_oneof![
            Just("null"), Just("{}"), Just("[]"), Just("\"\""), Just("1e999"), Just("true"), Just("[{}]"),
            Just("{\"\":null}"), Just("\"http://x\""), Just("\"\\u0001\""), Just("{\"en\":\"\\u0002\"}"), Just("-"),
        ],
    ) {
        let pointer = WRONG[place].0;
        let exists = pointer.rsplit_once('/').is_some();
        let statement = if exists && value != "-" { changed(GOOD, pointer, value) } else { json(GOOD) };
        if let Ok(statement) = check(statement, Version::Two) {
            let template = template(&statement.json);
            let people = template.people.clone();
            let restored = restore(&template.text, |number| people.get(number).map(|person| person.text.as_str())).unwrap();
            prop_assert_eq!(
                compare::canonical(&json(&restored)),
                compare::canonical(&statement.json)
            );
        }
    }
}
