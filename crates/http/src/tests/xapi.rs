//! The record store over HTTP: versions, credentials, parameters, statuses and headers.

mod requirements;

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use belvedere_accounts::{ClientInfo, NewXapiKey, XapiKeys, XapiScope};
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::house::{Answer, House, request, send, with_token};

const ID: &str = "39e24cc4-69af-4b01-a824-1fdc6ea8a3af";
const TWO: &str = "2.0.0";
const ONE: &str = "1.0.3";

fn statement() -> Value {
    json!({
        "actor": {"mbox": "mailto:ada@example.org", "name": "Ada"},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/completed", "display": {"en": "completed"}},
        "object": {"id": "http://example.org/lesson", "definition": {"name": {"en": "Lesson"}}},
    })
}

struct Tool {
    house: House,
    authorization: String,
}

impl Tool {
    async fn new(scopes: &[XapiScope]) -> Self {
        let house = House::new().await;
        let new = NewXapiKey { project: house.project(), label: "tool".to_owned(), scopes: scopes.to_vec() };
        let (key, secret) =
            house.accounts.create_xapi_key(&house.owner(), new, &ClientInfo::default()).await.unwrap();
        let authorization =
            format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{}", key.public_key, secret.0)));
        Self { house, authorization }
    }

    async fn all() -> Self {
        Self::new(&[XapiScope::All]).await
    }

    async fn send(
        &self,
        method: Method,
        uri: &str,
        version: &str,
        more: &[(&str, &str)],
        body: String,
    ) -> Answer {
        let mut headers =
            vec![("authorization", self.authorization.as_str()), ("content-type", "application/json")];
        if !version.is_empty() {
            headers.push(("x-experience-api-version", version));
        }
        headers.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        headers.extend(more);
        self.house.send(request(method, uri, &headers, body)).await
    }

    async fn get(&self, uri: &str) -> Answer {
        self.send(Method::GET, uri, TWO, &[], String::new()).await
    }

    async fn post(&self, body: &Value) -> Answer {
        self.send(Method::POST, "/xapi/statements", TWO, &[], body.to_string()).await
    }
}

#[test]
fn statements_go_in_and_come_out() {
    run(async {
        let tool = Tool::all().await;
        let answer = tool.post(&json!([statement(), statement()])).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(answer.headers["x-experience-api-version"], TWO);
        assert!(answer.headers.contains_key("x-experience-api-consistent-through"));
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
        let ids = answer.json();
        let one = tool.get(&format!("/xapi/statements?statementId={}", ids[0].as_str().unwrap())).await;
        assert_eq!(one.json()["actor"], statement()["actor"]);
        assert_eq!(one.headers["last-modified"], "Mon, 23 Nov 2026 12:04:05 GMT");
        let page = tool.get("/xapi/statements?limit=1").await;
        assert_eq!(page.headers["last-modified"], "Mon, 23 Nov 2026 12:04:05 GMT");
        let page = page.json();
        assert_eq!(page["statements"][0]["id"], ids[1]);
        let rest = tool.get(page["more"].as_str().unwrap()).await.json();
        assert_eq!((&rest["statements"][0]["id"], &rest["more"]), (&ids[0], &json!("")));
        let agent = "%7B%22mbox%22%3A%22mailto%3Aada%40example.org%22%7D";
        let found = tool.get(&format!("/xapi/statements?agent={agent}&format=ids")).await.json();
        assert_eq!(found["statements"][0]["actor"], json!({"mbox": "mailto:ada@example.org"}));
        let person = tool.get(&format!("/xapi/agents?agent={agent}")).await.json();
        assert_eq!(person["name"], json!(["Ada"]));
        let activity = tool.get("/xapi/activities?activityId=http://example.org/lesson").await.json();
        assert_eq!(activity["definition"]["name"]["en"], "Lesson");
        let head = tool.send(Method::HEAD, "/xapi/statements", TWO, &[], String::new()).await;
        assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));

        let put = |body: Value, version| {
            let uri = format!("/xapi/statements?statementId={ID}");
            let tool = &tool;
            async move { tool.send(Method::PUT, &uri, version, &[], body.to_string()).await.status }
        };
        assert_eq!(put(statement(), ONE).await, StatusCode::NO_CONTENT);
        assert_eq!(put(statement(), TWO).await, StatusCode::NO_CONTENT);
        let mut other = statement();
        other["object"]["id"] = "http://example.org/other".into();
        assert_eq!(put(other, TWO).await, StatusCode::CONFLICT);
        assert_eq!(put(json!([statement()]), TWO).await, StatusCode::BAD_REQUEST);
        let mut known = statement();
        known["id"] = ID.into();
        assert_eq!(tool.post(&known).await.status, StatusCode::NO_CONTENT);
        let wrong = tool.post(&json!({"actor": 1})).await;
        assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
        assert_eq!(wrong.json()["detail"], "/actor: must be an object");
    });
}

#[test]
fn versions_credentials_and_scopes_decide() {
    run(async {
        let tool = Tool::new(&[XapiScope::StatementsWrite, XapiScope::State]).await;
        let about = tool.house.send(request(Method::GET, "/xapi/about", &[], "")).await;
        assert_eq!(about.json()["version"][0], TWO);
        for (version, status, answered) in [
            ("2.0.0", 200, TWO),
            ("1.0.3", 200, ONE),
            ("1.0", 200, ONE),
            ("1.0.0", 200, ONE),
            ("", 400, TWO),
            ("0.95", 400, TWO),
            ("3.0.0", 400, TWO),
        ] {
            let body = statement().to_string();
            let answer = tool.send(Method::POST, "/xapi/statements", version, &[], body).await;
            assert_eq!(answer.status.as_u16(), status, "{version}");
            assert_eq!(answer.headers["x-experience-api-version"], answered);
        }
        for wrong in ["", "Basic !!!", "Basic Og==", "Bearer x", &format!("{}x", tool.authorization)] {
            let answer = tool
                .send(Method::GET, "/xapi/statements", TWO, &[("authorization", wrong)], String::new())
                .await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{wrong}");
            assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Basic"));
        }
        assert_eq!(tool.get("/xapi/statements").await.status, StatusCode::FORBIDDEN);
        assert_eq!(tool.get("/xapi/activities?activityId=http://x").await.status, StatusCode::FORBIDDEN);
        assert_eq!(tool.house.audit_entries("authz_fail").await.len(), 2);
        let answer = tool.send(Method::DELETE, "/xapi/statements", TWO, &[], String::new()).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.headers["x-experience-api-version"], TWO);
        let answer = tool.get("/xapi/nothing").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        let answer = tool.house.send(request(Method::OPTIONS, "/xapi/statements", &[], "")).await;
        assert_eq!(answer.headers["access-control-allow-methods"], "GET,HEAD,PUT,POST,DELETE");
    });
}

#[test]
fn parameters_must_be_known_single_and_well_formed() {
    run(async {
        let tool = Tool::all().await;
        for query in [
            "statementid=1",
            "Agent=1",
            "limit=1&limit=1",
            "unknown=1",
            "limit=-1",
            "limit=x",
            "format=Exact",
            "ascending=1",
            "attachments=yes",
            "since=yesterday",
            "until=2026-11-28T00:00:00-00:00",
            "registration=1",
            "verb=did",
            "activity=a%20b",
            "agent=%7B%7D",
            "agent=ada",
            "statementId=1",
            &format!("statementId={ID}&voidedStatementId={ID}"),
            &format!("statementId={ID}&limit=1"),
        ] {
            let answer = tool.get(&format!("/xapi/statements?{query}")).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        }
        assert_eq!(
            tool.get(&format!("/xapi/statements?statementId={ID}")).await.status,
            StatusCode::NOT_FOUND
        );
        assert_eq!(tool.get("/xapi/statements?more=abc").await.status, StatusCode::NOT_FOUND);
        for uri in [
            "/xapi/activities",
            "/xapi/agents",
            "/xapi/activities/state?stateId=1",
            "/xapi/agents/profile",
            "/xapi/activities?activityId=x",
        ] {
            assert_eq!(tool.get(uri).await.status, StatusCode::BAD_REQUEST, "{uri}");
        }
        let post = |kind: &'static str, body: &'static str| {
            let tool = &tool;
            async move {
                tool.send(Method::POST, "/xapi/statements", TWO, &[("content-type", kind)], body.to_owned())
                    .await
                    .status
            }
        };
        assert_eq!(post("text/plain", "{}").await, StatusCode::BAD_REQUEST);
        assert_eq!(post("application/json", "{").await, StatusCode::BAD_REQUEST);
        assert_eq!(post("application/json", "").await, StatusCode::BAD_REQUEST);
        let many = Value::Array(vec![json!({}); 1_001]);
        assert_eq!(tool.post(&many).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    });
}

#[test]
fn an_alternate_request_is_taken_apart_in_version_one_only() {
    run(async {
        let tool = Tool::all().await;
        let form = format!(
            "Authorization={}&X-Experience-API-Version=1.0.3&Content-Type=application/json&statementId={ID}&content={}",
            tool.authorization.replace(' ', "+").replace('=', "%3D"),
            statement().to_string().replace('+', "%2B")
        );
        let send = |uri: &'static str, headers: Vec<(&'static str, &'static str)>, body: String| {
            tool.house.send(request(Method::POST, uri, &headers, body))
        };
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let answer = send("/xapi/statements?method=PUT", vec![kind], form.clone()).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{answer:?}");
        let get = form.replace("&content", "&unused").split("&unused").next().unwrap().to_owned();
        let answer = send("/xapi/statements?method=GET", vec![kind], get).await;
        assert_eq!(answer.json()["id"], ID);
        let version = ("x-experience-api-version", "2.0.0");
        let answer = send("/xapi/statements?method=PUT", vec![kind, version], form.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        let answer = send("/xapi/statements?method=PUT", vec![kind], form.replace("1.0.3", "2.0.0")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        let answer = send("/xapi/statements?method=PUT&statementId=1", vec![kind], form).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    });
}

#[test]
fn documents_have_entity_tags_and_conditions() {
    run(async {
        let tool = Tool::all().await;
        let agent = "%7B%22mbox%22%3A%22mailto%3Aada%40example.org%22%7D";
        for (uri, name) in [
            (format!("/xapi/activities/state?activityId=http://x&agent={agent}"), "stateId"),
            ("/xapi/activities/profile?activityId=http://x".to_owned(), "profileId"),
            (format!("/xapi/agents/profile?agent={agent}"), "profileId"),
        ] {
            let one = format!("{uri}&{name}=d");
            let send = |method: Method,
                        version: &'static str,
                        headers: Vec<(&'static str, String)>,
                        body: &'static str| {
                let (tool, one) = (&tool, &one);
                async move {
                    let headers: Vec<(&str, &str)> =
                        headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                    tool.send(method, one, version, &headers, body.to_owned()).await
                }
            };
            assert_eq!(send(Method::GET, TWO, vec![], "").await.status, StatusCode::NOT_FOUND);
            assert_eq!(send(Method::PUT, TWO, vec![], "{\"a\":1}").await.status, StatusCode::NO_CONTENT);
            let found = send(Method::GET, ONE, vec![], "").await;
            assert_eq!(
                (found.text.as_str(), &found.headers["content-type"]),
                ("{\"a\":1}", &"application/json".parse().unwrap())
            );
            let tag = found.headers["etag"].to_str().unwrap().to_owned();
            assert!(tag.len() == 42 && tag.starts_with('"') && found.headers.contains_key("last-modified"));
            assert_eq!(send(Method::PUT, TWO, vec![], "{}").await.status, StatusCode::CONFLICT);
            let of_one = send(Method::PUT, ONE, vec![], "{\"a\":1}").await.status;
            assert_eq!(of_one, if name == "stateId" { StatusCode::NO_CONTENT } else { StatusCode::CONFLICT });
            let wrong = vec![("if-match", "\"1234\"".to_owned())];
            assert_eq!(send(Method::PUT, TWO, wrong, "{}").await.status, StatusCode::PRECONDITION_FAILED);
            assert_eq!(send(Method::POST, TWO, vec![], "{\"b\":2}").await.status, StatusCode::NO_CONTENT);
            assert_eq!(send(Method::GET, TWO, vec![], "").await.text, "{\"a\":1,\"b\":2}");
            assert_eq!(
                send(Method::PUT, TWO, vec![("if-match", tag)], "{}").await.status,
                StatusCode::PRECONDITION_FAILED
            );
            assert_eq!(send(Method::POST, TWO, vec![], "[]").await.status, StatusCode::BAD_REQUEST);
            assert_eq!(tool.get(&uri).await.json(), json!(["d"]));
            assert_eq!(send(Method::DELETE, TWO, vec![], "").await.status, StatusCode::NO_CONTENT);
            assert_eq!(tool.get(&uri).await.json(), json!([]));
            let without = tool.send(Method::PUT, &uri, TWO, &[], "{}".to_owned()).await.status;
            assert_eq!(without, StatusCode::BAD_REQUEST);
        }
    });
}

#[test]
fn attached_files_come_in_parts_and_go_out_in_parts() {
    run(async {
        let tool = Tool::all().await;
        let sha2 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let mut statement = statement();
        statement["attachments"] = json!([{"usageType": "http://u", "display": {"en": "d"}, "contentType": "text/plain", "length": 3, "sha2": sha2}]);
        let body = format!(
            "--xx\r\nContent-Type: application/json\r\n\r\n{statement}\r\n--xx\r\nContent-Type: text/plain\r\n\
             Content-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {sha2}\r\n\r\nabc\r\n--xx--\r\n"
        );
        let kind = [("content-type", "multipart/mixed; boundary=xx")];
        let answer = tool.send(Method::POST, "/xapi/statements", TWO, &kind, body.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let found = tool.get("/xapi/statements?attachments=true").await;
        assert!(found.headers["content-type"].to_str().unwrap().starts_with("multipart/mixed; boundary="));
        assert!(
            found.text.contains(&format!("X-Experience-API-Hash: {sha2}\r\n\r\nabc\r\n--")),
            "{}",
            found.text
        );
        let plain = tool.post(&statement).await;
        assert_eq!(plain.status, StatusCode::BAD_REQUEST);
        for version in [ONE, TWO] {
            for (other, status) in [
                (body.replace("\r\n\r\nabc", "\r\n\r\nabd"), StatusCode::BAD_REQUEST),
                (body.replace("\"length\":3", "\"length\":4"), StatusCode::OK),
            ] {
                let answer = tool.send(Method::POST, "/xapi/statements", version, &kind, other).await;
                assert_eq!(answer.status, status, "{answer:?}");
            }
        }
    });
}

#[test]
fn keys_are_made_listed_and_revoked_by_the_api() {
    run(async {
        let tool = Tool::all().await;
        let token = tool.house.token(&[belvedere_accounts::Scope::Admin]).await;
        let body = json!({"label": "LMS", "scopes": ["statements/write", "state"]}).to_string();
        let made = tool.house.send(with_token(Method::POST, "/api/v1/xapi_keys", &token, body)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        let made = made.json();
        assert_eq!(made["endpoint"], "https://belvedere.example/xapi/");
        let user = format!("{}:{}", made["public_key"].as_str().unwrap(), made["secret"].as_str().unwrap());
        let basic = format!("Basic {}", BASE64_STANDARD.encode(user));
        let post = || {
            let headers = [
                ("authorization", basic.as_str()),
                ("content-type", "application/json"),
                ("x-experience-api-version", TWO),
            ];
            tool.house.send(request(Method::POST, "/xapi/statements", &headers, statement().to_string()))
        };
        assert_eq!(post().await.status, StatusCode::OK);
        let listed = tool.house.send(with_token(Method::GET, "/api/v1/xapi_keys", &token, "")).await.json();
        assert_eq!(listed["items"].as_array().unwrap().len(), 2);
        // Both were made at the same instant, so either may come first.
        let lms = listed["items"].as_array().unwrap().iter().find(|key| key["label"] == "LMS").unwrap();
        assert_eq!(lms["scopes"], json!(["statements/write", "state"]));
        assert!(!listed.to_string().contains("secret"));
        let uri = format!("/api/v1/xapi_keys/{}", made["id"].as_str().unwrap());
        let revoked = tool.house.send(with_token(Method::DELETE, &uri, &token, "")).await;
        assert_eq!(revoked.status, StatusCode::NO_CONTENT);
        assert_eq!(post().await.status, StatusCode::UNAUTHORIZED);
        let body = json!({"label": "LMS", "scopes": ["everything"]}).to_string();
        let refused = tool.house.send(with_token(Method::POST, "/api/v1/xapi_keys", &token, body)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    });
}

#[test]
fn a_key_over_its_limit_is_told_when_to_come_again() {
    run(async {
        let mut tool = Tool::all().await;
        tool.house.state.xapi_limits.requests_per_minute = Some(2);
        let router = tool.house.router();
        let ask = async |method: Method, version: &str, authorization: &str| {
            let headers = [
                ("authorization", authorization),
                ("content-type", "application/json"),
                ("x-experience-api-version", version),
            ];
            send(&router, request(method, "/xapi/statements", &headers, statement().to_string())).await
        };
        let key = tool.authorization.as_str();
        for version in [ONE, TWO] {
            assert_eq!(ask(Method::POST, version, key).await.status, StatusCode::OK);
        }
        for version in [ONE, TWO] {
            let over = ask(Method::POST, version, key).await;
            assert_eq!((over.status, over.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "30"));
            assert_eq!(over.header("x-experience-api-version"), version);
            assert!(over.headers.contains_key("x-experience-api-consistent-through"));
        }
        let stranger = ask(Method::GET, TWO, "Basic Og==").await;
        assert_eq!(stranger.status, StatusCode::UNAUTHORIZED, "who is nobody has no limit");
        tool.house.clock.advance(Duration::from_secs(30));
        assert_eq!(ask(Method::GET, TWO, key).await.status, StatusCode::OK);
        assert_eq!(ask(Method::GET, TWO, key).await.status, StatusCode::TOO_MANY_REQUESTS);
        let found = tool.get("/xapi/statements").await.json();
        assert_eq!(
            found["statements"].as_array().unwrap().len(),
            2,
            "nothing of a refused request is stored"
        );
    });
}

#[test]
fn a_store_that_is_switched_off_is_not_there() {
    run(async {
        let mut tool = Tool::all().await;
        tool.house.state.features.xapi = false;
        for uri in ["/xapi/about", "/xapi/statements"] {
            assert_eq!(tool.get(uri).await.status, StatusCode::NOT_FOUND, "{uri}");
        }
    });
}
