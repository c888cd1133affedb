//! The requirements that ADL numbers for record stores (XAPI-00001 to XAPI-00336), each met in both versions.
//!
//! Their texts are of <https://github.com/adlnet/xapi-lrs-conformance-requirements>; the cases are our own.

mod documents;
mod statements;

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::super::house::{Answer, request};
use super::{ONE, TWO, Tool};

/// The sections of the specification, and the numbers of their requirements.
const SECTIONS: &[(&str, &[(u16, u16)])] = &[
    ("Data 2.2 Formatting", &[(1, 15)]),
    ("Data 2.3 Statement lifecycle", &[(16, 20)]),
    ("Data 2.4 Statement properties", &[(21, 107)]),
    ("Data 2.5 Retrieval of statements", &[(108, 114)]),
    ("Data 2.6 Signed statements", &[(115, 117)]),
    ("Data 4 Special data types", &[(118, 124)]),
    ("Communication 1 Requests", &[(125, 135), (138, 138), (336, 336)]),
    ("Communication 2.1 Statements", &[(142, 181)]),
    ("Communication 2.2 Documents", &[(182, 186)]),
    ("Communication 2.3 State", &[(187, 235)]),
    ("Communication 2.4 Agents", &[(236, 249)]),
    ("Communication 2.5 Activities", &[(250, 254)]),
    ("Communication 2.6 Agent profiles", &[(255, 284)]),
    ("Communication 2.7 Activity profiles", &[(285, 314)]),
    ("Communication 2.8 About", &[(315, 321)]),
    ("Communication 3 Validation", &[(322, 333)]),
];

/// Requirements that no request can show to be met, and why.
const WITHOUT_CASE: &[(u16, &str)] = &[
    (223, "a DELETE of states has no `since`"),
    (224, "a parameter is always text"),
    (225, "a parameter is always text"),
    (226, "a parameter is always text"),
    (228, "a parameter is always text"),
    (276, "a parameter is always text"),
    (277, "a parameter is always text"),
    (305, "a parameter is always text"),
    (306, "a parameter is always text"),
    (307, "a parameter is always text"),
    (320, "extensions of About are a choice, and there are none"),
    (329, "a failure of the server is not made by a request"),
];

/// A record store that is asked in one version, and what has been seen of it.
struct Examined {
    tool: Tool,
    version: &'static str,
    met: BTreeSet<u16>,
    failures: Vec<String>,
}

impl Examined {
    async fn new(version: &'static str) -> Self {
        Self { tool: Tool::all().await, version, met: BTreeSet::new(), failures: Vec::new() }
    }

    /// Notes that a case of these requirements is as it should be, or not.
    fn note(&mut self, ids: &[u16], is_met: bool, what: &str) {
        self.met.extend(ids);
        if !is_met {
            self.failures.push(format!("{} {ids:?}: {what}", self.version));
        }
    }

    async fn send(&self, method: &Method, uri: &str, headers: &[(&str, &str)], body: String) -> Answer {
        self.tool.send(method.clone(), uri, self.version, headers, body).await
    }

    /// Sends a request that must be answered with `status`.
    async fn expect(
        &mut self,
        ids: &[u16],
        (method, uri): (Method, &str),
        headers: &[(&str, &str)],
        body: impl Into<String>,
        status: u16,
    ) -> Answer {
        let answer = self.send(&method, uri, headers, body.into()).await;
        let what = format!("{method} {uri} is answered {}, not {status}: {}", answer.status, answer.text);
        self.note(ids, answer.status.as_u16() == status, &what);
        answer
    }

    async fn get(&mut self, ids: &[u16], uri: &str, status: u16) -> Answer {
        self.expect(ids, (Method::GET, uri), &[], "", status).await
    }

    async fn post(&mut self, ids: &[u16], body: &Value, status: u16) -> Answer {
        self.expect(ids, (Method::POST, "/xapi/statements"), &[], body.to_string(), status).await
    }

    /// Stores a statement; its id, and how it comes back.
    async fn stored(&mut self, statement: &Value) -> (String, Value) {
        let answer = self.post(&[], statement, 200).await;
        let id = answer.json()[0].as_str().unwrap_or_default().to_owned();
        let found = self.get(&[], &format!("/xapi/statements?statementId={id}"), 200).await;
        (id, found.json())
    }

    /// The statements of a list.
    async fn listed(&mut self, ids: &[u16], query: &str) -> Vec<Value> {
        let found = self.get(ids, &format!("/xapi/statements?{query}"), 200).await.json();
        found["statements"].as_array().cloned().unwrap_or_default()
    }
}

/// Percent-encoded text.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn agent(name: &str) -> Value {
    json!({"objectType": "Agent", "mbox": format!("mailto:{name}@example.org")})
}

fn said(actor: &str, verb: &str, activity: &str) -> Value {
    json!({
        "actor": agent(actor),
        "verb": {"id": format!("http://example.org/verbs/{verb}"), "display": {"en-US": verb}},
        "object": {"id": format!("http://example.org/{activity}")},
    })
}

#[test]
fn every_numbered_requirement_is_met_in_both_versions() {
    run(async {
        let mut failures = Vec::new();
        let mut met = BTreeMap::new();
        for version in [ONE, TWO] {
            let mut examined = Examined::new(version).await;
            statements::formats(&mut examined).await;
            statements::round_trips(&mut examined).await;
            statements::voiding(&mut examined).await;
            statements::storing(&mut examined).await;
            statements::attachments(&mut examined).await;
            statements::filters(&mut examined).await;
            documents::all(&mut examined).await;
            agents_and_activities(&mut examined).await;
            requests(&mut examined).await;
            failures.append(&mut examined.failures);
            met.insert(version, examined.met);
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        let document = include_str!("../../../../../docs/xapi.md");
        let without: BTreeSet<u16> = WITHOUT_CASE.iter().map(|(id, _)| *id).collect();
        for (section, ranges) in SECTIONS {
            let ids: Vec<u16> = ranges.iter().flat_map(|(first, last)| *first..=*last).collect();
            for version in [ONE, TWO] {
                let missing: Vec<_> =
                    ids.iter().filter(|id| !met[version].contains(id) && !without.contains(id)).collect();
                assert!(missing.is_empty(), "{section}, {version}: no case for {missing:?}");
            }
            let shown = ids.iter().filter(|id| !without.contains(id)).count();
            let row = format!("| {section} | {} | {shown} |", ids.len());
            assert!(document.contains(&row), "docs/xapi.md has no line {row}");
        }
    });
}

async fn agents_and_activities(examined: &mut Examined) {
    let ada = encoded(&agent("person").to_string());
    let found = examined.get(&[236, 245, 247], &format!("/xapi/agents?agent={ada}"), 200).await.json();
    let alone = json!({"objectType": "Person", "mbox": ["mailto:person@example.org"]});
    examined.note(&[237, 239, 244, 247], found == alone, &found.to_string());
    let mut named = said("person", "did", "x");
    named["actor"]["name"] = "Ada".into();
    examined.post(&[], &named, 200).await;
    named["actor"]["name"] = "Ada L.".into();
    examined.post(&[], &named, 200).await;
    let found = examined.get(&[248], &format!("/xapi/agents?agent={ada}"), 200).await.json();
    let mut names: Vec<&str> = found["name"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    names.sort_unstable();
    examined.note(&[238, 246, 248], names == ["Ada", "Ada L."], &found.to_string());
    for (id, key, value) in [
        (240, "mbox_sha1sum", json!("cd9b00a5611f94eaa7b1661edab976068e364975")),
        (241, "openid", json!("http://id.example.org/ada")),
        (242, "account", json!({"homePage": "http://example.org", "name": "ada"})),
    ] {
        let uri = format!("/xapi/agents?agent={}", encoded(&json!({ key: value.clone() }).to_string()));
        let found = examined.get(&[id], &uri, 200).await.json();
        examined.note(&[id], found[key] == json!([value]), &found.to_string());
    }
    examined.get(&[243], "/xapi/agents", 400).await;
    for wrong in ["ada", "{}", "[]", r#"{"mbox":"ada"}"#] {
        examined.get(&[12, 249], &format!("/xapi/agents?agent={}", encoded(wrong)), 400).await;
    }

    examined.get(&[250], "/xapi/activities", 400).await;
    examined.get(&[12], "/xapi/activities?activityId=course", 400).await;
    for (language, name) in [("en", "Course"), ("de", "Kurs")] {
        let mut statement = said("ada", "did", "course");
        statement["object"]["definition"] = json!({"name": {language: name}});
        examined.post(&[], &statement, 200).await;
    }
    let uri = format!("/xapi/activities?activityId={}", encoded("http://example.org/course"));
    let found = examined.get(&[251, 252, 253], &uri, 200).await.json();
    let both = json!({"en": "Course", "de": "Kurs"});
    examined.note(&[251, 254], found["definition"]["name"] == both, &found.to_string());
}

/// Heads, headers, versions, credentials, forms, and what About says.
async fn requests(examined: &mut Examined) {
    let version = examined.version;
    let about = examined.get(&[315, 319], "/xapi/about", 200).await;
    let versions = about.json()["version"].clone();
    let all: Vec<&str> =
        versions.as_array().map(|all| all.iter().filter_map(Value::as_str).collect()).unwrap_or_default();
    examined.note(&[317, 318], all.contains(&"1.0.3"), &about.text);
    let known = |text: &&str| text.starts_with("1.0.") || version == TWO && *text == "2.0.0";
    examined.note(&[316], all.iter().all(known), &about.text);
    let without = examined.tool.send(Method::GET, "/xapi/about", "", &[], String::new()).await;
    examined.note(&[321], without.status == StatusCode::OK, "About needs no version");

    let ada = encoded(&agent("ada").to_string());
    let resources = [
        "/xapi/about".to_owned(),
        "/xapi/statements?limit=2".to_owned(),
        format!("/xapi/activities?activityId={}", encoded("http://example.org/course")),
        format!("/xapi/agents?agent={ada}"),
        format!("/xapi/activities/state?activityId={}&agent={ada}", encoded("http://example.org/course")),
        format!("/xapi/activities/profile?activityId={}", encoded("http://example.org/course")),
        format!("/xapi/agents/profile?agent={ada}"),
    ];
    for uri in &resources {
        let got = examined.get(&[], uri, 200).await;
        let head = examined.expect(&[125, 126], (Method::HEAD, uri), &[], "", 200).await;
        let is_same = head.text.is_empty() && head.header("content-type") == got.header("content-type");
        examined.note(&[125], is_same, &format!("HEAD {uri}"));
        examined.note(&[333], got.header("x-experience-api-version") == version, uri);
        if uri.starts_with("/xapi/about") {
            continue;
        }
        for wrong in ["", "0.9", "1.1.0", "3.0.0", "two"] {
            let answer = examined.tool.send(Method::GET, uri, wrong, &[], String::new()).await;
            let what = format!("{uri} with the version {wrong:?}");
            examined.note(&[321, 331], answer.status == StatusCode::BAD_REQUEST, &what);
        }
        let with = if uri.contains('?') { format!("{uri}&unknown=1") } else { format!("{uri}?unknown=1") };
        examined.get(&[324], &with, 400).await;
    }
    for (name, other) in [("activityId", "activityid"), ("agent", "Agent"), ("limit", "Limit")] {
        for uri in resources.iter().filter(|uri| uri.contains(&format!("{name}="))) {
            let uri = uri.replace(&format!("{name}="), &format!("{other}="));
            examined.get(&[325], &uri, 400).await;
        }
    }

    let form = format!(
        "Authorization={}&X-Experience-API-Version={version}&Content-Type=application/json&content={}",
        encoded(&examined.tool.authorization),
        encoded(&said("form", "did", "x").to_string())
    );
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let answer =
        examined.tool.house.send(request(Method::POST, "/xapi/statements?method=POST", &kind, form)).await;
    let status = if version == ONE { 200 } else { 400 };
    examined.note(&[336], answer.status.as_u16() == status, &format!("alternate request: {}", answer.text));
    let form = format!(
        "Authorization={}&X-Experience-API-Version={version}&limit=1",
        encoded(&examined.tool.authorization)
    );
    let answer =
        examined.tool.house.send(request(Method::POST, "/xapi/statements?method=GET", &kind, form)).await;
    let is_met =
        answer.status.as_u16() == status && (version == TWO || answer.json()["statements"].is_array());
    examined.note(&[148, 336], is_met, &format!("alternate request: {}", answer.text));

    let text = said("ä", "did", "x").to_string();
    let mut bytes = text.into_bytes();
    bytes[3] = 0xff;
    let headers = [
        ("authorization", examined.tool.authorization.as_str()),
        ("content-type", "application/json"),
        ("x-experience-api-version", version),
    ];
    let wrong = request(Method::POST, "/xapi/statements", &headers, Body::from(bytes));
    let answer = examined.tool.house.send(wrong).await;
    examined.note(&[15], answer.status == StatusCode::BAD_REQUEST, "what is not UTF-8");

    let mut small = examined.tool.house.state.clone();
    small.limits.body_bytes_max = 200;
    std::mem::swap(&mut small, &mut examined.tool.house.state);
    examined.post(&[328], &said("ada", "did", &"x".repeat(300)), 413).await;
    std::mem::swap(&mut small, &mut examined.tool.house.state);
    let reader = Tool::new(&[belvedere_accounts::XapiScope::StatementsRead]).await;
    let body = said("ada", "did", "x").to_string();
    let answer = reader.send(Method::POST, "/xapi/statements", version, &[], body).await;
    examined.note(&[323, 327], answer.status == StatusCode::FORBIDDEN, "a key without the scope");
}
