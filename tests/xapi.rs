//! Learning tools against the real `api` on a socket.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::api::{Api, Directory, agent};

/// A learning tool with the first key.
struct Tool<'a> {
    api: &'a Api,
    authorization: String,
}

impl<'a> Tool<'a> {
    fn new(api: &'a Api) -> Self {
        let user = format!("{}:{}", api.text("xapi_key"), api.text("xapi_secret"));
        Self { api, authorization: format!("Basic {}", BASE64_STANDARD.encode(user)) }
    }

    fn get(&self, address: &str) -> (u16, Value) {
        let request = agent()
            .get(format!("{}{address}", self.api.address()))
            .header("authorization", &self.authorization)
            .header("x-experience-api-version", "2.0.0");
        let mut response = request.call().unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    fn post(&self, body: &Value) -> (u16, Value) {
        let request = agent()
            .post(format!("{}/xapi/statements", self.api.address()))
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .header("x-experience-api-version", "1.0.3");
        let mut response = request.send(body.to_string()).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

fn statement(number: usize) -> Value {
    json!({
        "actor": {"account": {"homePage": "https://lms.example", "name": format!("learner-{}", number % 3)}},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"},
        "object": {"id": format!("https://lms.example/lessons/{number}")},
    })
}

#[test]
fn a_statement_is_there_once_it_is_answered_even_if_the_server_is_killed_then() {
    let directory = Directory::new();
    let api = Api::start(&directory.0);
    let tool = Tool::new(&api);
    assert_eq!(api.text("xapi_endpoint"), format!("{}/xapi/", api.address()));
    let mut ids: Vec<String> = Vec::new();
    for number in 0..20 {
        let (status, answer) = tool.post(&statement(number));
        assert_eq!(status, 200, "{answer}");
        ids.push(answer[0].as_str().unwrap().to_owned());
        // A reader sees every earlier answer.
        let (status, found) = tool.get(&format!("/xapi/statements?statementId={}", ids[number]));
        assert_eq!((status, &found["object"]), (200, &statement(number)["object"]));
    }
    let batch: Vec<Value> = (20..70).map(statement).collect();
    let (status, answer) = tool.post(&Value::Array(batch));
    assert_eq!(status, 200, "{answer}");
    ids.extend(answer.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()));
    let secret = api.text("xapi_secret").to_owned();
    api.kill();

    let api = Api::start(&directory.0);
    assert_eq!(api.text("xapi_secret"), secret, "the first key goes on working");
    let tool = Tool::new(&api);
    let (_, found) = tool.get("/xapi/statements?ascending=true&limit=100");
    let stored: Vec<&str> =
        found["statements"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(stored, ids);
    let agent = "%7B%22account%22%3A%7B%22homePage%22%3A%22https%3A%2F%2Flms.example%22%2C%22name%22%3A%22learner-1%22%7D%7D";
    let (_, found) = tool.get(&format!("/xapi/statements?agent={agent}&limit=100"));
    assert_eq!(found["statements"].as_array().unwrap().len(), 23);
    // Every statement is an event as well.
    let (status, names) = api.get("/api/v1/events/names");
    assert_eq!(status, 200);
    assert!(names.to_string().contains("lesson_complete"), "{names}");
}
