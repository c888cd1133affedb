//! States and profiles.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::super::TWO;
use super::{Examined, agent, encoded};

/// Numbers of requirements for GET, PUT, POST and DELETE; 0 where there is none.
type Four = [u16; 4];

/// Names and values of a query.
type Parameters = Vec<(&'static str, String)>;

const METHODS: [Method; 4] = [Method::GET, Method::PUT, Method::POST, Method::DELETE];

/// A resource of documents, and its requirements.
struct Resource {
    path: &'static str,
    id: &'static str,
    needs: &'static [&'static str],
    accepted: Four,
    /// Without each of `needs`.
    without: &'static [Four],
    without_id: Four,
    wrong_agent: Four,
    wrong_registration: Four,
    wrong_since: u16,
    one: &'static [u16],
    ids: &'static [u16],
    since: &'static [u16],
    deleted: &'static [u16],
    endpoint: &'static [u16],
    post_new: u16,
    merge: u16,
    merge_kind: u16,
    merge_json: &'static [u16],
}

const RESOURCES: &[Resource] = &[
    Resource {
        path: "/xapi/activities/state",
        id: "stateId",
        needs: &["activityId", "agent"],
        accepted: [188, 190, 189, 187],
        without: &[[208, 210, 209, 207], [213, 215, 214, 212]],
        without_id: [0, 206, 211, 0],
        wrong_agent: [197, 199, 198, 196],
        wrong_registration: [201, 203, 202, 200],
        wrong_since: 204,
        one: &[192, 217],
        ids: &[193],
        since: &[195, 221, 222],
        deleted: &[191, 216],
        endpoint: &[230, 231],
        post_new: 233,
        merge: 234,
        merge_kind: 232,
        merge_json: &[229, 235],
    },
    Resource {
        path: "/xapi/agents/profile",
        id: "profileId",
        needs: &["agent"],
        accepted: [274, 273, 272, 271],
        without: &[[261, 264, 263, 262]],
        without_id: [0, 267, 266, 265],
        wrong_agent: [258, 257, 256, 255],
        wrong_registration: [0; 4],
        wrong_since: 260,
        one: &[259, 269],
        ids: &[270],
        since: &[268, 275],
        deleted: &[271],
        endpoint: &[282, 283],
        post_new: 280,
        merge: 279,
        merge_kind: 278,
        merge_json: &[281, 284],
    },
    Resource {
        path: "/xapi/activities/profile",
        id: "profileId",
        needs: &["activityId"],
        accepted: [290, 293, 292, 291],
        without: &[[296, 299, 298, 297]],
        without_id: [0, 302, 301, 300],
        wrong_agent: [304, 0, 0, 0],
        wrong_registration: [0; 4],
        wrong_since: 295,
        one: &[288],
        ids: &[289],
        since: &[294, 303],
        deleted: &[285],
        endpoint: &[311, 312, 286, 287],
        post_new: 310,
        merge: 308,
        merge_kind: 309,
        merge_json: &[313, 314],
    },
];

pub(super) async fn all(examined: &mut Examined) {
    for resource in RESOURCES {
        refusals(examined, resource).await;
        life(examined, resource).await;
        concurrency(examined, resource).await;
    }
    registrations(examined).await;
}

impl Resource {
    fn uri(&self, parameters: &[(&str, &str)]) -> String {
        let pairs: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        format!("{}?{}", self.path, pairs.join("&"))
    }

    /// The parameters of a document of its own, named by `of`.
    fn parameters(&self, of: &str) -> Vec<(&'static str, String)> {
        let value = |name: &str| match name {
            "agent" => agent(of).to_string(),
            _ => format!("http://example.org/{of}"),
        };
        let needs = self.needs.iter().map(|name| (*name, value(name)));
        needs.chain([(self.id, "one".to_owned())]).collect()
    }

    fn of(&self, of: &str) -> String {
        let parameters = self.parameters(of);
        let parameters: Vec<(&str, &str)> =
            parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.uri(&parameters)
    }

    fn list(&self, of: &str) -> String {
        let uri = self.of(of);
        uri.split_once(&format!("&{}=", self.id)).map(|(uri, _)| uri.to_owned()).unwrap_or(uri)
    }
}

async fn refusals(examined: &mut Examined, resource: &Resource) {
    let good = resource.parameters("refused");
    let uri = |change: &dyn Fn(&mut Parameters)| {
        let mut parameters = good.clone();
        change(&mut parameters);
        let parameters: Vec<(&str, &str)> =
            parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        resource.uri(&parameters)
    };
    let mut cases: Vec<(Four, String)> = Vec::new();
    for (name, ids) in resource.needs.iter().zip(resource.without) {
        cases.push((*ids, uri(&|parameters| parameters.retain(|(other, _)| other != name))));
    }
    cases.push((resource.without_id, uri(&|parameters| parameters.retain(|(name, _)| *name != resource.id))));
    for wrong in ["true", "not JSON", "{}", r#"{"mbox":"a"}"#] {
        cases.push((
            resource.wrong_agent,
            uri(&|parameters| {
                parameters.retain(|(name, _)| *name != "agent");
                parameters.push(("agent", wrong.to_owned()));
            }),
        ));
    }
    for wrong in ["true", "39e24cc4-69af-4b01-a824"] {
        let with = uri(&|parameters| parameters.push(("registration", wrong.to_owned())));
        cases.push((resource.wrong_registration, with));
    }
    for (ids, uri) in cases {
        for (id, method) in ids.into_iter().zip(METHODS).filter(|(id, _)| *id != 0) {
            let headers: &[(&str, &str)] =
                if method == Method::PUT { &[("if-none-match", "*")] } else { &[] };
            examined.expect(&[12, id], (method, &uri), headers, "{\"a\":1}", 400).await;
        }
    }
    let since = format!("{}&since=yesterday", resource.list("refused"));
    examined.get(&[12, resource.wrong_since], &since, 400).await;
    if resource.id == "stateId" {
        examined.expect(&[205], (Method::DELETE, &since), &[], "", 400).await;
    }
    let found = examined.get(&[182], &resource.list("refused"), 200).await;
    examined.note(&[182], found.text == "[]", "a refused request leaves nothing");
}

async fn life(examined: &mut Examined, resource: &Resource) {
    let [get, put, post, delete] = resource.accepted;
    let (uri, list) = (resource.of("life"), resource.list("life"));
    let new = [("if-none-match", "*")];
    examined.expect(&[put], (Method::PUT, &uri), &new, r#"{"a":{"b":1},"c":2}"#, 204).await;
    examined.expect(resource.endpoint, (Method::GET, &uri), &[], "", 200).await;
    let found = examined.get(&[get], &uri, 200).await.json();
    examined.note(resource.one, found == json!({"a": {"b": 1}, "c": 2}), &found.to_string());
    let ids = [post, resource.merge, 183, 184, 185, 186];
    examined.expect(&ids, (Method::POST, &uri), &[], r#"{"a":{"d":3},"e":4}"#, 204).await;
    let found = examined.get(&ids, &uri, 200).await.json();
    examined.note(&ids, found == json!({"a": {"d": 3}, "c": 2, "e": 4}), &found.to_string());
    for wrong in ["{", "[1]", "1", ""] {
        examined.expect(resource.merge_json, (Method::POST, &uri), &[], wrong, 400).await;
    }
    let text = [("content-type", "text/plain")];
    examined.expect(&[resource.merge_kind], (Method::POST, &uri), &text, "text", 400).await;
    let after = examined.get(&[182], &uri, 200).await.json();
    examined.note(&[182], after == found, "a refused request changes nothing");

    let other = resource.of("posted");
    examined.expect(&[resource.post_new], (Method::POST, &other), &[], "{\"a\":1}", 204).await;
    let found = examined.get(&[resource.post_new], &other, 200).await;
    examined.note(&[resource.post_new], found.text == "{\"a\":1}", &found.text);
    let broken = resource.of("broken");
    examined.expect(resource.merge_json, (Method::POST, &broken), &[], "{\"a\":", 400).await;
    examined.get(&[182], &broken, 404).await;
    let plain = resource.of("plain");
    examined.expect(&[resource.post_new], (Method::POST, &plain), &text, "text", 204).await;
    examined.expect(&[resource.merge_kind], (Method::POST, &plain), &[], "{\"a\":1}", 400).await;

    let before = examined.tool.house.state.clock.now().to_string();
    examined.tool.house.clock.advance(Duration::from_secs(60));
    let late = uri.replace("=one", "=two");
    examined.expect(&[put], (Method::PUT, &late), &new, "{\"late\":true}", 204).await;
    let found = examined.get(resource.ids, &list, 200).await.json();
    let mut ids: Vec<&str> =
        found.as_array().map(|ids| ids.iter().filter_map(Value::as_str).collect()).unwrap_or_default();
    ids.sort_unstable();
    examined.note(resource.ids, ids == ["one", "two"], &found.to_string());
    let since = format!("{list}&since={}", encoded(&before));
    let found = examined.get(resource.since, &since, 200).await.json();
    examined.note(resource.since, found == json!(["two"]), &found.to_string());
    let mut deleted = vec![delete];
    deleted.extend(resource.deleted);
    examined.expect(&deleted, (Method::DELETE, &uri), &[], "", 204).await;
    examined.get(&deleted, &uri, 404).await;
}

async fn concurrency(examined: &mut Examined, resource: &Resource) {
    let uri = resource.of("tags");
    examined.expect(&[322], (Method::PUT, &uri), &[("if-none-match", "*")], "{\"a\":1}", 204).await;
    let found = examined.get(&[322], &uri, 200).await;
    let tag = found.header("etag").to_owned();
    let is_tag = tag.len() == 42 && tag.starts_with('"') && tag.ends_with('"');
    examined.note(&[322], is_tag, &format!("{tag} of {uri}"));
    examined.expect(&[322], (Method::PUT, &uri), &[("if-none-match", "*")], "{\"a\":2}", 412).await;
    for method in [Method::PUT, Method::POST, Method::DELETE] {
        if examined.version == TWO || method == Method::PUT {
            examined.expect(&[322], (method, &uri), &[("if-match", "\"1234\"")], "{\"a\":2}", 412).await;
        }
    }
    if examined.version == TWO || resource.id == "profileId" {
        let refused = examined.expect(&[322], (Method::PUT, &uri), &[], "{\"a\":2}", 409).await;
        examined.note(&[322], !refused.text.is_empty(), "a conflict is explained");
    }
    if examined.version != TWO && resource.id == "profileId" {
        let unsaid = resource.of("unsaid");
        examined.expect(&[322], (Method::PUT, &unsaid), &[], "{}", 400).await;
        examined.get(&[322], &unsaid, 404).await;
    }
    let found = examined.get(&[182, 322], &uri, 200).await;
    examined.note(&[182, 322], found.text == "{\"a\":1}", &found.text);
    examined.expect(&[322], (Method::PUT, &uri), &[("if-match", &tag)], "{\"a\":2}", 204).await;
    let found = examined.get(&[322], &uri, 200).await;
    let tag = found.header("etag").to_owned();
    examined.note(&[322], found.text == "{\"a\":2}", &found.text);
    examined.expect(&[322], (Method::DELETE, &uri), &[("if-match", &tag)], "", 204).await;
}

/// States of a registration are apart, and all states of somebody are deleted together.
async fn registrations(examined: &mut Examined) {
    let state = &RESOURCES[0];
    let of = "&registration=16fd2706-8baf-433b-82eb-8c7fada847da";
    let (uri, list) = (state.of("registered"), state.list("registered"));
    let registered = format!("{uri}{of}");
    let new = [("if-none-match", "*")];
    examined.expect(&[], (Method::PUT, &uri), &new, "{\"of\":\"all\"}", 204).await;
    examined.expect(&[218], (Method::PUT, &registered), &new, "{\"of\":\"one\"}", 204).await;
    examined.expect(&[227], (Method::POST, &registered), &[], "{\"more\":1}", 204).await;
    let found = examined.get(&[220], &registered, 200).await.json();
    examined.note(&[220, 227], found == json!({"of": "one", "more": 1}), &found.to_string());
    examined.expect(&[219], (Method::DELETE, &registered), &[], "", 204).await;
    examined.get(&[219], &registered, 404).await;
    examined.get(&[219], &uri, 200).await;
    examined.expect(&[194], (Method::DELETE, &list), &[], "", 204).await;
    let found = examined.get(&[194], &list, 200).await;
    examined.note(&[194], found.text == "[]", &found.text);
}
