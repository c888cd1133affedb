//! Statements: what they may hold, how they come back, and how they are found.

use std::time::Duration;

use belvedere_storage::Timestamp;
use http::Method;
use serde_json::{Value, json};

use super::{Examined, agent, encoded, said};

/// A statement that has everything.
fn whole() -> Value {
    json!({
        "actor": {"objectType": "Agent", "name": "Ada", "mbox": "mailto:ada@example.org"},
        "verb": {"id": "http://example.org/verbs/answered", "display": {"en-US": "answered"}},
        "object": {"objectType": "Activity", "id": "http://example.org/q", "definition": {
            "name": {"en": "Q"}, "description": {"en": "?"}, "type": "http://example.org/types/q",
            "moreInfo": "http://example.org/more", "interactionType": "choice", "correctResponsesPattern": ["a"],
            "choices": [{"id": "a", "description": {"en": "A"}}, {"id": "b"}],
            "extensions": {"http://example.org/x": null}}},
        "result": {"score": {"scaled": 0.5, "raw": 5, "min": 0, "max": 10}, "success": true, "completion": false,
            "response": "a", "duration": "PT30S", "extensions": {"http://example.org/x": ""}},
        "context": {"registration": "16fd2706-8baf-433b-82eb-8c7fada847da",
            "instructor": {"objectType": "Agent", "mbox": "mailto:teacher@example.org"},
            "team": {"objectType": "Group", "mbox": "mailto:team@example.org"},
            "contextActivities": {"parent": {"id": "http://example.org/quiz"}}, "revision": "1", "platform": "p",
            "language": "en-US",
            "statement": {"objectType": "StatementRef", "id": "16fd2706-8baf-433b-82eb-8c7fada847da"},
            "extensions": {"http://example.org/x": {}}},
        "timestamp": "2013-05-18T05:32:34.804Z",
        "attachments": [{"usageType": "http://example.org/u", "display": {"en": "d"}, "description": {"en": "d"},
            "contentType": "text/plain; charset=ascii", "length": 27,
            "sha2": "495395e777cd98da653df9615d09c0fd6bb2f8d4788394cd53c56a3bfdcd848a",
            "fileUrl": "http://example.org/file"}],
    })
}

/// Requirement, the place that is changed, and to what: `-` takes away what is there. All are refused.
const WRONG: &[(u16, &str, &[&str])] = &[
    (1, "/actor/name", &["null"]),
    (1, "/verb/display", &["null", r#"{"en":null}"#]),
    (1, "/context/registration", &["null"]),
    (1, "/object/definition/moreInfo", &["null"]),
    (3, "/actor", &["-"]),
    (4, "/verb", &["-"]),
    (5, "/object", &["-"]),
    (6, "/result/score/max", &[r#""one hundred""#, r#""10""#]),
    (6, "/result/success", &[r#""yes""#]),
    (6, "/result/completion", &[r#""false""#]),
    (7, "/verb/id", &[r#""""#]),
    (7, "/actor/mbox", &[r#""""#, r#""mailto:""#]),
    (7, "/object/id", &[r#""""#]),
    (8, "/Result", &["{}"]),
    (8, "/verb/Display", &["{}"]),
    (8, "/context/Platform", &[r#""p""#]),
    (9, "/actor/objectType", &[r#""agent""#]),
    (9, "/object/objectType", &[r#""activity""#]),
    (9, "/object/definition/interactionType", &[r#""Choice""#]),
    (10, "/extra", &["1"]),
    (10, "/result/grade", &["1"]),
    (10, "/context/contextActivities/sibling", &["[]"]),
    (11, "/verb/id", &[r#""answered""#]),
    (11, "/object/id", &[r#""example.org/q""#]),
    (11, "/object/definition/type", &[r#""q""#]),
    (11, "/object/definition/moreInfo", &[r#""more""#]),
    (13, "/verb/display", &[r#"{"a12345":"x"}"#, r#"{"de-419-DE":"x"}"#, r#"{"en_US":"x"}"#]),
    (22, "/timestamp", &[r#""today""#, "1", "{}"]),
    (25, "/attachments", &["{}", r#""a""#, "[1]"]),
    (29, "/context/registration", &["1", "{}"]),
    (30, "/context/registration", &[r#""AA97B177-9383-4934-8543-0F91A7A028368""#]),
    (30, "/context/statement/id", &[r#""MA97B177-9383-4934-8543-0F91A7A02836""#]),
    (44, "/verb/id", &["-", "1", r#""a b""#]),
    (45, "/verb/display", &[r#""answered""#, "{}", "[]", r#"{"en":1}"#]),
    (46, "/object/objectType", &[r#""Person""#, "1"]),
    (47, "/object/id", &["-", r#""q""#, "1"]),
    (48, "/object/definition", &[r#""q""#, "[]"]),
    (49, "/object/definition/interactionType", &[r#""essay""#, "1", "{}"]),
    (50, "/object/definition/correctResponsesPattern", &[r#""a""#, "[1]"]),
    (51, "/object/definition/steps", &["{}", "[1]", r#"[{"x":1}]"#]),
    (52, "/object/definition/target", &["{}", "[1]", r#"[{"x":1}]"#]),
    (53, "/object/definition/source", &["{}", "[1]", r#"[{"x":1}]"#]),
    (54, "/object/definition/scale", &["{}", "[1]", r#"[{"x":1}]"#]),
    (55, "/object/definition/choices", &["{}", "[1]", r#"[{"x":1}]"#]),
    (56, "/object/definition/name", &[r#""q""#, "{}", r#"{"a12345":"x"}"#]),
    (57, "/object/definition/extensions", &["[]", r#""x""#]),
    (58, "/object/definition/choices/0/id", &["-", r#""b""#, "1"]),
    (59, "/object/definition/description", &[r#""q""#, "{}", r#"{"a12345":"x"}"#]),
    (60, "/object/definition/type", &[r#""q""#, "1"]),
    (61, "/object/definition/moreInfo", &[r#""m""#, "1"]),
    (62, "/object/definition/choices/0/description", &[r#""a""#, r#"{"a12345":"x"}"#]),
    (63, "/object/definition/choices/0", &["1", r#""a""#, "[]"]),
    (64, "/object/definition/interactionType", &["-"]),
    (
        65,
        "/object",
        &[r#"{"mbox":"mailto:a@example.org"}"#, r#"{"member":[{"mbox":"mailto:a@example.org"}]}"#],
    ),
    (72, "/object", &[r#"{"objectType":"StatementRef"}"#, r#"{"objectType":"StatementRef","id":"1"}"#]),
    (73, "/object", &[r#"{"id":"16fd2706-8baf-433b-82eb-8c7fada847da"}"#]),
    (74, "/result/success", &[r#""true""#, "1"]),
    (75, "/result/completion", &[r#""true""#, "1"]),
    (76, "/result/response", &["1", "{}"]),
    (77, "/result/duration", &[r#""30""#, "30"]),
    (78, "/result/extensions", &["[]", r#""x""#, r#"{"x":1}"#]),
    (79, "/result/score", &["1", r#""5""#, "[]"]),
    (80, "/result/score/max", &[r#""a""#, "-1"]),
    (81, "/result/score/min", &[r#""a""#, "11"]),
    (82, "/result/score/raw", &[r#""a""#, "11", "-1"]),
    (83, "/result/score/scaled", &[r#""a""#, "1.01", "-1.01"]),
    (86, "/context/contextActivities", &[r#""a""#, "[]", "1"]),
    (87, "/context/registration", &[r#""r""#]),
    (87, "/context/instructor", &["{}", r#""teacher""#, r#"{"mbox":"t"}"#]),
    (
        88,
        "/context/team",
        &[r#"{"mbox":"mailto:t@example.org"}"#, r#"{"objectType":"Agent","mbox":"mailto:t@example.org"}"#],
    ),
    (89, "/context/revision", &["1", "{}"]),
    (90, "/context/platform", &["1", "{}"]),
    (91, "/context/language", &["1", r#""a12345""#, r#""de-419-DE""#]),
    (
        92,
        "/context/statement",
        &[r#"{"id":"16fd2706-8baf-433b-82eb-8c7fada847da"}"#, r#"{"objectType":"StatementRef"}"#],
    ),
    (93, "/context/contextActivities/Parent", &["[]"]),
    (
        94,
        "/context/contextActivities/parent",
        &[r#""quiz""#, "1", r#"[{"id":"http://example.org/a"},{"id":"a"}]"#],
    ),
    (95, "/context/contextActivities", &["{}"]),
    (102, "/attachments/0/length", &["-", r#""27""#, "2.7", "-1"]),
    (103, "/attachments/0/sha2", &["-", "1", r#""""#]),
    (104, "/attachments/0/fileUrl", &[r#""file""#, "1"]),
    (105, "/attachments/0/contentType", &["-", "1", r#""text""#]),
    (106, "/attachments/0/display", &["-", r#""d""#, "{}", r#"{"a12345":"x"}"#]),
    (107, "/attachments/0/usageType", &["-", r#""u""#, "1"]),
    (118, "/context/extensions", &[r#"{"x":1}"#]),
    (120, "/result/extensions", &["[]", "1", r#""x""#]),
    (121, "/object/definition/name", &[r#"{"a12345":"x"}"#, r#"{"":"x"}"#]),
    (
        123,
        "/timestamp",
        &[
            r#""01/011/2015""#,
            r#""2008-09-15T15:53:00.601-00""#,
            r#""2008-09-15T15:53:00.601-0000""#,
            r#""2008-09-15T15:53:00.601-00:00""#,
            r#""2008-13-15T15:53:00Z""#,
        ],
    ),
    (
        124,
        "/result/duration",
        &[r#""PA1H0M0S""#, r#""P4W1D""#, r#""should fail""#, "12345", "{}", r#""P""#, r#""PT""#],
    ),
];

/// What is wrong with whoever stands where an actor can.
const WRONG_AGENTS: &[(u16, &str)] = &[
    (31, r#"{"objectType":"Person","mbox":"mailto:a@example.org"}"#),
    (32, r#"{"objectType":1,"mbox":"mailto:a@example.org"}"#),
    (33, r#"{"objectType":"Agent","name":1,"mbox":"mailto:a@example.org"}"#),
    (34, r#"{"objectType":"Agent","name":"a"}"#),
    (34, r#"{"objectType":"Agent","mbox":"mailto:a@example.org","openid":"http://example.org"}"#),
    (
        35,
        r#"{"objectType":"Agent","mbox":"mailto:a@example.org","member":[{"mbox":"mailto:a@example.org"}]}"#,
    ),
    (36, r#"{"objectType":"Group","mbox":"mailto:a@example.org","member":{}}"#),
    (36, r#"{"objectType":"Group","member":[{"name":"a"}]}"#),
    (36, r#"{"objectType":"Group","member":[{"objectType":"Group","mbox":"mailto:a@example.org"}]}"#),
    (37, r#"{"objectType":"Group","name":"g"}"#),
    (37, r#"{"objectType":"Group","member":[]}"#),
    (37, r#"{"objectType":"Group","mbox":"mailto:a@example.org","openid":"http://example.org"}"#),
    (38, r#"{"objectType":"Agent","mbox":"a@example.org"}"#),
    (38, r#"{"objectType":"Agent","mbox":"mailto:a.example.org"}"#),
    (38, r#"{"objectType":"Agent","mbox":1}"#),
    (39, r#"{"objectType":"Agent","mbox_sha1sum":1}"#),
    (39, r#"{"objectType":"Agent","mbox_sha1sum":"xyz"}"#),
    (40, r#"{"objectType":"Agent","openid":"id"}"#),
    (41, r#"{"objectType":"Agent","account":"a"}"#),
    (42, r#"{"objectType":"Agent","account":{"name":"a"}}"#),
    (42, r#"{"objectType":"Agent","account":{"homePage":"example","name":"a"}}"#),
    (43, r#"{"objectType":"Agent","account":{"homePage":"http://example.org"}}"#),
    (43, r#"{"objectType":"Agent","account":{"homePage":"http://example.org","name":1}}"#),
];

/// What only a statement has.
const WRONG_ALONE: &[(u16, &str, &[&str])] = &[
    (24, "/authority", &["{}", "1", r#"{"objectType":"Activity","id":"http://example.org"}"#]),
    (27, "/id", &[r#""AA97B177-9383-4934-8543-0F91A7A028368""#, r#""""#]),
    (28, "/id", &["1", "{}"]),
    (98, "/authority", &[r#"{"objectType":"Group","member":[{"mbox":"mailto:a@example.org"}]}"#]),
    (
        100,
        "/authority",
        &[
            r#"{"objectType":"Group","member":[{"mbox":"mailto:a@example.org"},{"mbox":"mailto:b@example.org"},{"mbox":"mailto:c@example.org"}]}"#,
        ],
    ),
    (101, "/version", &[r#""0.9""#, r#""1.1""#, "1"]),
];

/// What only a sub-statement cannot have.
const WRONG_BELOW: &[(u16, &str, &str)] = &[
    (67, "/authority", r#"{"mbox":"mailto:a@example.org"}"#),
    (68, "/version", r#""1.0.0""#),
    (69, "/stored", r#""2013-05-18T05:32:34.804Z""#),
    (70, "/id", r#""16fd2706-8baf-433b-82eb-8c7fada847da""#),
    (
        71,
        "/object",
        r#"{"objectType":"SubStatement","actor":{"mbox":"mailto:a@example.org"},"verb":{"id":"http://v"},"object":{"id":"http://o"}}"#,
    ),
];

/// What is taken.
const RIGHT: &[(u16, &str, &[&str])] = &[
    (119, "/result/extensions", &[r#"{"http://x":null}"#, r#"{"http://x":""}"#, r#"{"http://x":{}}"#, "{}"]),
    (123, "/timestamp", &[r#""2008-09-15T15:53:00.601+00:00""#, r#""2008-09-15 15:53:00.601+00:00""#]),
    (
        124,
        "/result/duration",
        &[
            r#""PT1H0M0.1S""#,
            r#""PT4H35M59.14S""#,
            r#""PT16559.14S""#,
            r#""P3Y1M29DT4H35M59.14S""#,
            r#""P3Y""#,
            r#""P4W""#,
        ],
    ),
    (91, "/context/language", &[r#""en""#, r#""de-CH-1996""#, r#""zh-Hant-TW""#]),
    (
        93,
        "/context/contextActivities",
        &[
            r#"{"parent":[{"id":"http://a"}],"grouping":{"id":"http://b"},"category":[{"id":"http://c"}],"other":{"id":"http://d"}}"#,
        ],
    ),
];

fn changed(mut statement: Value, pointer: &str, value: &str) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = statement.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = serde_json::from_str(value).unwrap(),
        Value::Object(members) if value == "-" => drop(members.remove(key).unwrap()),
        Value::Object(members) => drop(members.insert(key.to_owned(), serde_json::from_str(value).unwrap())),
        _ => panic!("{pointer}"),
    }
    statement
}

fn below(mut statement: Value) -> Value {
    statement["objectType"] = "SubStatement".into();
    json!({"actor": agent("ada"), "verb": {"id": "http://example.org/verbs/planned"}, "object": statement})
}

pub(super) async fn formats(examined: &mut Examined) {
    examined.post(&[147], &whole(), 200).await;
    examined.post(&[66], &below(whole()), 200).await;
    for (id, pointer, values) in WRONG {
        for value in *values {
            let wrong = changed(whole(), pointer, value);
            examined.post(&[*id], &wrong, 400).await;
            examined.post(&[*id, 66], &below(wrong), 400).await;
        }
    }
    for (id, value) in WRONG_AGENTS {
        for pointer in ["/actor", "/context/instructor", "/object"] {
            let mut wrong = whole();
            if pointer == "/object" {
                wrong["context"]
                    .as_object_mut()
                    .unwrap()
                    .retain(|key, _| key != "revision" && key != "platform");
            }
            let wrong = changed(wrong, pointer, value);
            examined.post(&[*id], &wrong, 400).await;
            examined.post(&[*id, 66], &below(wrong), 400).await;
        }
    }
    for (id, pointer, values) in WRONG_ALONE {
        for value in *values {
            examined.post(&[*id], &changed(whole(), pointer, value), 400).await;
        }
    }
    for (id, pointer, value) in WRONG_BELOW {
        examined.post(&[*id], &below(changed(whole(), pointer, value)), 400).await;
    }
    for object in [agent("b"), json!({"objectType": "Group", "mbox": "mailto:g@example.org"})] {
        for (id, other) in [(84, "platform"), (85, "revision")] {
            let mut statement = changed(whole(), "/object", &object.to_string());
            statement["context"].as_object_mut().unwrap().remove(other);
            examined.post(&[id], &statement, 400).await;
        }
    }
    let mut unnamed = below(whole());
    unnamed["object"].as_object_mut().unwrap().remove("objectType");
    examined.post(&[73], &unnamed, 400).await;
    for (id, pointer, values) in RIGHT {
        for value in *values {
            examined.post(&[*id], &changed(whole(), pointer, value), 200).await;
            examined.post(&[*id], &below(changed(whole(), pointer, value)), 200).await;
        }
    }
    let post = (Method::POST, "/xapi/statements");
    let twice = said("ada", "did", "x").to_string().replacen(
        '{',
        r#"{"timestamp":"2013-05-18T05:32:34Z","timestamp":"2013-05-18T05:32:34Z","#,
        1,
    );
    examined.expect(&[21], post.clone(), &[], twice, 400).await;
    for wrong in ["1", "\"a\"", "{", "null", ""] {
        examined.expect(&[14], post.clone(), &[], wrong, 400).await;
    }
}

pub(super) async fn round_trips(examined: &mut Examined) {
    let mut statement = changed(whole(), "/result/score", r#"{"min":0.12123434,"raw":12.125,"max":45.45}"#);
    statement["timestamp"] = "2013-05-18T05:32:34.8041Z".into();
    statement["verb"]["display"]["de"] = "geübt 😀".into();
    let (id, found) = examined.stored(&statement).await;
    examined.note(&[2], found["result"]["score"] == statement["result"]["score"], "digits of numbers");
    examined.note(&[15], found["verb"] == statement["verb"], "letters beyond ASCII");
    let time = found["timestamp"].as_str().unwrap_or_default();
    examined.note(&[122], time.starts_with("2013-05-18T05:32:34.804"), time);
    examined.note(&[26, 29, 30], id.len() == 36 && found["id"] == id.as_str(), &id);
    let stored = found["stored"].as_str().unwrap_or_default();
    examined.note(&[23, 97], stored.parse::<Timestamp>().is_ok(), stored);
    examined.note(&[99], found["authority"]["account"]["homePage"].is_string(), "the authority");
    let parent = &found["context"]["contextActivities"]["parent"];
    examined.note(&[96], *parent == json!([{"id": "http://example.org/quiz"}]), &parent.to_string());
    let mut old = said("ada", "did", "x");
    old["version"] = "1.0.0".into();
    let (_, found) = examined.stored(&old).await;
    examined.note(&[330, 332], found["version"] == "1.0.0", &found.to_string());
}

pub(super) async fn voiding(examined: &mut Examined) {
    let void = |id: &str| {
        json!({"actor": agent("admin"), "verb": {"id": "http://adlnet.gov/expapi/verbs/voided"},
            "object": {"objectType": "StatementRef", "id": id}})
    };
    let (id, _) = examined.stored(&said("voided", "did", "x")).await;
    let (first, _) = examined.stored(&void(&id)).await;
    examined.get(&[18, 163], &format!("/xapi/statements?statementId={id}"), 404).await;
    let found =
        examined.get(&[19, 155, 157], &format!("/xapi/statements?voidedStatementId={id}"), 200).await.json();
    examined.note(&[155], found["id"] == id.as_str(), &found.to_string());
    let (second, _) = examined.stored(&void(&first)).await;
    examined.get(&[16], &format!("/xapi/statements?statementId={first}"), 200).await;
    examined.get(&[16], &format!("/xapi/statements?voidedStatementId={first}"), 404).await;
    let mut wrong = void(&id);
    wrong["object"] = json!({"id": "http://example.org/x"});
    examined.post(&[17, 20], &wrong, 400).await;
    let list = examined.listed(&[162], "limit=500").await;
    let has = |id: &str| list.iter().any(|it| it["id"] == id);
    examined.note(
        &[162, 163],
        has(&first) && has(&second) && !has(&id),
        "lists hide voided statements alone",
    );
}

pub(super) async fn storing(examined: &mut Examined) {
    let id = "fd41c918-b88b-4b20-a0a5-a4c32391aaa0";
    let uri = format!("/xapi/statements?statementId={id}");
    let statement = said("put", "did", "x").to_string();
    examined.expect(&[145], (Method::PUT, "/xapi/statements"), &[], statement.clone(), 400).await;
    examined.expect(&[143, 144], (Method::PUT, &uri), &[], statement, 204).await;
    let before = examined.get(&[156, 158], &uri, 200).await;
    examined.expect(&[142], (Method::PUT, &uri), &[], said("put", "did", "other").to_string(), 409).await;
    let after = examined.get(&[142], &uri, 200).await;
    examined.note(&[142], before.text == after.text, "a statement stays as it is");
    let batch = json!([said("batch", "did", "x"), said("batch", "did", "y")]);
    let ids = examined.post(&[146], &batch, 200).await.json();
    examined.note(&[146], ids.as_array().is_some_and(|ids| ids.len() == 2), &ids.to_string());
    let half = json!([said("half", "did", "x"), {"actor": 1}]);
    examined.post(&[326], &half, 400).await;
    let found = examined.listed(&[326], &format!("agent={}", encoded(&agent("half").to_string()))).await;
    examined.note(&[182, 326], found.is_empty(), "nothing of a refused batch is stored");
    examined
        .expect(
            &[127],
            (Method::POST, "/xapi/statements"),
            &[("content-type", "text/plain")],
            batch.to_string(),
            400,
        )
        .await;
    examined
        .expect(
            &[127],
            (Method::POST, "/xapi/statements"),
            &[("content-type", "multipart/form-data; boundary=x")],
            batch.to_string(),
            400,
        )
        .await;
}

/// A body of a statement that claims the file `abc`, and the file.
fn mixed() -> String {
    let sha2 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let mut statement = said("files", "did", "x");
    statement["attachments"] = json!([{"usageType": "http://u", "display": {"en": "d"}, "contentType": "text/plain",
        "length": 3, "sha2": sha2}]);
    format!(
        "--xx\r\nContent-Type:application/json\r\n\r\n{statement}\r\n--xx\r\nContent-Type:text/plain\r\n\
         Content-Transfer-Encoding:binary\r\nX-Experience-API-Hash:{sha2}\r\n\r\nabc\r\n--xx--\r\n"
    )
}

/// A body with a statement that is signed by `jws`, whose SHA-256 is `sha2`.
fn signed(jws: &str, sha2: &str) -> String {
    let mut statement = said("signed", "did", "x");
    statement["attachments"] = json!([{"usageType": "http://adlnet.gov/expapi/attachments/signature",
        "display": {"en": "d"}, "contentType": "application/octet-stream", "length": jws.len(), "sha2": sha2}]);
    format!(
        "--xx\r\nContent-Type:application/json\r\n\r\n{statement}\r\n--xx\r\nContent-Type:application/octet-stream\r\n\
         Content-Transfer-Encoding:binary\r\nX-Experience-API-Hash:{sha2}\r\n\r\n{jws}\r\n--xx--\r\n"
    )
}

pub(super) async fn attachments(examined: &mut Examined) {
    let post = (Method::POST, "/xapi/statements");
    let kind = [("content-type", "multipart/mixed; boundary=xx")];
    let good = mixed();
    examined.expect(&[129], post.clone(), &kind, good.clone(), 200).await;
    let part = good.split("\r\n--xx").nth(1).unwrap_or_default();
    for (id, wrong) in [
        (128, good.replace("\r\n--xx--", &format!("\r\n--xx{}\r\n--xx--", part.replace("Hash:b", "Hash:c")))),
        (129, format!("{}\r\n--xx--\r\n", good.split("\r\n--xx").next().unwrap_or_default())),
        (130, good.replacen("--xx\r\nContent-Type:application", "Content-Type:application", 1)),
        (132, good.replace("X-Experience-API-Hash", "X-Hash")),
        (132, good.replace("Hash:b", "Hash:c")),
        (133, good.replace("text/plain\r\n", "application/json\r\n").replace("\r\n\r\nabc", "\r\n\r\n{}")),
        (134, good.replacen("application/json", "text/plain", 1)),
        (135, good.replace("binary", "base64")),
        (138, good.replacen("Content-Type:application/json", "X-Type:application/json", 1)),
    ] {
        examined.expect(&[id], post.clone(), &kind, wrong, 400).await;
    }
    examined.expect(&[131], post.clone(), &[("content-type", "multipart/mixed")], good, 400).await;

    let (text, sha2) = ("not.a.jws", "3afaebbd6282fe0d70298fc46bfea08939c25f659b260bb0efa0c585888eadf9");
    let unsigned = signed(text, sha2);
    examined.expect(&[116], post.clone(), &kind, unsigned.clone(), 400).await;
    let alone =
        unsigned.split("\r\n\r\n").nth(1).and_then(|rest| rest.split("\r\n--xx").next()).unwrap_or_default();
    examined.expect(&[115], post.clone(), &[], alone, 400).await;
    for (jws, sha2) in [
        ("eyJhbGciOiJub25lIn0.e30.eA", "f8a6ff4c68aa4e342a079ce4dc2c5cf79ee2cf1df2369994d71c6e605df37f7f"),
        ("eyJhbGciOiJIUzI1NiJ9.e30.eA", "926e1bd1a0690389ab738fccb4df5dc98044254689e096d89f3e2fb87b4c5070"),
    ] {
        examined.expect(&[117], post.clone(), &kind, signed(jws, sha2), 400).await;
    }
}

pub(super) async fn filters(examined: &mut Examined) {
    let registration = "c24ee2c6-7d4c-4e4f-b3a4-0fb2ef9c10ad";
    let mut first = said("filter", "read", "one");
    first["context"] = json!({"registration": registration, "instructor": agent("tutor"),
        "contextActivities": {"grouping": [{"id": "http://example.org/all"}]}});
    first["actor"]["name"] = "Filter".into();
    first["verb"]["display"] = json!({"en-US": "read", "de-DE": "gelesen"});
    let (one, found) = examined.stored(&first).await;
    let since = found["stored"].as_str().unwrap_or_default().to_owned();
    examined.tool.house.clock.advance(Duration::from_secs(1));
    let (two, found) = examined.stored(&said("filter", "wrote", "two")).await;
    let until = found["stored"].as_str().unwrap_or_default().to_owned();
    let person = format!("agent={}", encoded(&agent("filter").to_string()));
    let tutor = format!("agent={}", encoded(&agent("tutor").to_string()));
    let activity = |name: &str| format!("activity={}", encoded(&format!("http://example.org/{name}")));
    let verb = format!("verb={}", encoded("http://example.org/verbs/wrote"));
    let (all, since, until) = (activity("all"), encoded(&since), encoded(&until));
    for (ids, query, expected) in [
        (&[154, 159, 164, 181][..], person.clone(), &[&two, &one][..]),
        (&[166], format!("{person}&ascending=true"), &[&one, &two]),
        (&[180], verb, &[&two]),
        (&[179], activity("one"), &[&one]),
        (&[178], format!("registration={registration}"), &[&one]),
        (&[177], all.clone(), &[]),
        (&[177], format!("{all}&related_activities=true"), &[&one]),
        (&[176], tutor.clone(), &[]),
        (&[176], format!("{tutor}&related_agents=true"), &[&one]),
        (&[175], format!("{person}&since={since}"), &[&two]),
        (&[174], format!("{person}&until={since}"), &[&one]),
        (&[174], format!("{person}&until={until}"), &[&two, &one]),
        (&[173], format!("{person}&limit=1"), &[&two]),
        (&[173], format!("{person}&limit=0"), &[&two, &one]),
        (&[112, 149], format!("agent={}", encoded(&agent("nobody").to_string())), &[]),
    ] {
        let found = examined.listed(ids, &query).await;
        let is_met = found.len() == expected.len()
            && found.iter().zip(expected).all(|(it, id)| it["id"] == id.as_str());
        examined.note(ids, is_met, &format!("{query} finds {} statements", found.len()));
    }
    pages(examined, &person, &[&one, &two]).await;
    formats_of_answers(examined, &person).await;
    for id in ["statementId", "voidedStatementId"] {
        let number = if id == "statementId" { 151 } else { 150 };
        let uri = format!("/xapi/statements?{id}={one}");
        for other in [
            person.as_str(),
            "limit=1",
            "ascending=true",
            "since=2013-05-18T05:32:34Z",
            "related_agents=true",
        ] {
            examined.get(&[number], &format!("{uri}&{other}"), 400).await;
        }
        let status = if id == "statementId" { 200 } else { 404 };
        examined.get(&[number], &format!("{uri}&format=ids&attachments=true"), status).await;
    }
    for wrong in [
        "verb=wrote",
        "activity=two",
        "agent=filter",
        "registration=1",
        "since=now",
        "until=1",
        "limit=x",
        "format=short",
        "statementId=1",
    ] {
        examined.get(&[12], &format!("/xapi/statements?{wrong}"), 400).await;
    }
}

async fn pages(examined: &mut Examined, person: &str, expected: &[&String; 2]) {
    let ids = [108, 110, 111, 113, 114];
    let first =
        examined.get(&ids, &format!("/xapi/statements?{person}&limit=1&ascending=true"), 200).await.json();
    examined.note(&ids, first["statements"][0]["id"] == expected[0].as_str(), &first.to_string());
    let more = first["more"].as_str().unwrap_or_default().to_owned();
    let next = examined.get(&ids, &more, 200).await.json();
    let is_next =
        next["statements"].as_array().is_some_and(|it| it.len() == 1 && it[0]["id"] == expected[1].as_str());
    examined.note(&ids, is_next, &next.to_string());
    examined.note(&[109], next["more"] == "", &next["more"].to_string());
}

async fn formats_of_answers(examined: &mut Examined, person: &str) {
    let first = format!("/xapi/statements?{person}&limit=1&ascending=true");
    let exact = examined.get(&[153, 160, 165, 168], &first, 200).await;
    let through = exact.header("x-experience-api-consistent-through").to_owned();
    examined.note(&[153, 160], through.parse::<Timestamp>().is_ok(), &through);
    let stored = exact.json()["statements"][0]["stored"].as_str().unwrap_or_default().parse::<Timestamp>();
    let is_after =
        stored.is_ok_and(|stored| through.parse::<Timestamp>().is_ok_and(|through| through >= stored));
    examined.note(&[152], is_after, &through);
    examined.note(&[165], exact.header("content-type") == "application/json", exact.header("content-type"));
    let wrong = examined.get(&[153], "/xapi/statements?limit=x", 400).await;
    examined.note(
        &[153],
        !wrong.header("x-experience-api-consistent-through").is_empty(),
        "refusals have it too",
    );
    let said_exactly = exact.json()["statements"][0].clone();
    let same = examined.get(&[170], &format!("{first}&format=exact"), 200).await.json();
    examined.note(&[168, 170], same["statements"][0] == said_exactly, &same.to_string());
    examined.note(&[170], said_exactly["actor"]["name"] == "Filter", &said_exactly.to_string());
    let ids = examined.get(&[171], &format!("{first}&format=ids"), 200).await.json();
    let actor = &ids["statements"][0]["actor"];
    examined.note(
        &[171],
        actor.get("name").is_none() && actor["mbox"] == "mailto:filter@example.org",
        &actor.to_string(),
    );
    let german = [("accept-language", "de-DE")];
    let canonical = format!("{first}&format=canonical");
    let canonical = examined.expect(&[169, 172], (Method::GET, &canonical), &german, "", 200).await.json();
    let display = &canonical["statements"][0]["verb"]["display"];
    examined.note(&[169, 172], *display == json!({"de-DE": "gelesen"}), &display.to_string());
    let files = format!("agent={}", encoded(&agent("files").to_string()));
    let with = examined.get(&[167], &format!("/xapi/statements?{files}&attachments=true"), 200).await;
    let is_mixed =
        with.header("content-type").starts_with("multipart/mixed") && with.text.contains("\r\n\r\nabc\r\n");
    examined.note(&[167], is_mixed, &with.text);
    let without = examined.get(&[161], &format!("/xapi/statements?{files}&attachments=false"), 200).await;
    let is_plain =
        without.header("content-type") == "application/json" && !without.text.contains("\r\n\r\nabc");
    examined.note(&[161], is_plain, &without.text);
}
