//! Real SDKs and what they recorded, against the real `api` on a socket.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::api::{Api, Directory, Start, agent, free_port, get, send_numbered};

#[test]
fn an_error_of_the_rust_sdk_is_a_grouped_issue() {
    let directory = Directory::new();
    let api = Api::start(&directory.0);
    let mut options = sentry::ClientOptions::default();
    options.release = Some("codeland@4.12.0".into());
    options.environment = Some("production".into());
    let options = sentry::apply_defaults((api.text("dsn"), options).into());
    let client = Arc::new(sentry::Client::with_options(options));
    let hub = sentry::Hub::new(Some(client), Arc::default());
    hub.configure_scope(|scope| {
        scope.set_tag("course", "rust-101");
        scope.set_user(Some(sentry::User { id: Some("learner-7".to_owned()), ..sentry::User::default() }));
    });
    let error = "lesson".parse::<u32>().unwrap_err();
    let id = hub.capture_error(&error).simple().to_string();
    let event = api.eventually("the event is found", |api| {
        let (status, event) = api.get(&format!("/api/v1/events/{id}"));
        (status == 200).then_some(event)
    });
    assert_eq!(event["release"], "codeland@4.12.0");
    assert_eq!(event["environment"], "production");
    assert!(event["subject"].is_i64(), "{event}");
    assert!(!event["payload"].to_string().contains("learner-7"), "the raw user id is in the payload");

    hub.capture_error(&error);
    let issue = api.eventually("both events are one issue", |api| {
        let issues = api.pages("/api/v1/issues?limit=10");
        (issues.len() == 1 && issues[0]["events"] == 2).then(|| issues[0].clone())
    });
    assert_eq!(issue["title"], "ParseIntError: invalid digit found in string");
    assert_eq!(issue["subjects"], 1);
}

#[test]
fn every_recorded_request_is_accepted_and_every_event_in_it_is_stored() {
    let directory = Directory::new();
    let api = Api::start(&directory.0);
    let (key, project) = api.key_and_project();
    let agent = agent();
    let mut expected = Vec::new();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sentry");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(body) = std::fs::read(path.with_extension("body")) else { continue };
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let about: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        // The recorded key becomes this server's, in the address, in headers and (uncompressed) in bodies.
        let recorded = "8f1d3c5e7a9b4c2d8e6f0a1b2c3d4e5f";
        let adapt = |text: &str| text.replace(recorded, &key);
        let basic = |name: &str| {
            name.replace(
                "OGYxZDNjNWU3YTliNGMyZDhlNmYwYTFiMmMzZDRlNWY6",
                &BASE64_STANDARD.encode(format!("{key}:")),
            )
        };
        let is_tunnel = path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("_tunnel"));
        let mut request = agent.post(format!("{}{}", api.address(), adapt(about["path"].as_str().unwrap())));
        for (name, value) in about["headers"].as_object().unwrap() {
            request = request.header(name, basic(&adapt(value.as_str().unwrap())));
        }
        let body = if is_tunnel { adapt_tunnel(&body, &about, recorded, &key, api.address()) } else { body };
        let mut response = request.send(&body[..]).unwrap();
        let answer = response.body_mut().read_to_string().unwrap();
        let status = response.status().as_u16();
        assert!((200..300).contains(&status), "{}: {status} {answer}", path.display());
        let items: Vec<_> =
            about["items"].as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect();
        if let (true, Some(id)) = (items.contains(&"event"), about["event_id"].as_str()) {
            assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["id"], id, "{}", path.display());
            expected.push(id.to_owned());
        }
    }
    assert!(expected.len() > 30, "only {} recorded events", expected.len());
    for id in expected {
        let event = api.eventually("the event is stored", |api| {
            let (status, event) = api.get(&format!("/api/v1/events/{id}?project={project}"));
            (status == 200).then_some(event)
        });
        assert!(!event["title"].as_str().unwrap().is_empty(), "{id} has no title");
    }
    let tallies = api.eventually("what is not processed yet is counted", |api| {
        let (_, pipeline) = api.get(&format!("/api/v1/pipeline?project={project}"));
        pipeline.to_string().contains("replay_event").then_some(pipeline)
    });
    for item in ["session", "transaction", "check_in", "log", "span", "feedback", "attachment"] {
        assert!(tallies.to_string().contains(&format!("\"{item}\"")), "{item} is not counted in {tallies}");
    }
    assert_eq!(tallies["set_aside"], 0, "something was set aside: {tallies}");
}

fn adapt_tunnel(body: &[u8], about: &Value, recorded: &str, key: &str, address: &str) -> Vec<u8> {
    use std::io::{Read, Write};
    let is_gzip = about["headers"]["content-encoding"] == "gzip";
    let mut text = Vec::new();
    if is_gzip {
        flate2::read::GzDecoder::new(body).read_to_end(&mut text).unwrap();
    } else {
        text.extend_from_slice(body);
    }
    let end = text.iter().position(|byte| *byte == b'\n').unwrap();
    let head = String::from_utf8(text[..end].to_vec()).unwrap().replace(recorded, key);
    assert!(head.contains(key) && !address.is_empty());
    let text = [head.as_bytes(), &text[end..]].concat();
    if !is_gzip {
        return text;
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_restart_keeps_everything_and_an_interrupt_ends_cleanly() {
    let directory = Directory::new();
    let api = Api::start(&directory.0);
    let (key, project) = api.key_and_project();
    let agent = agent();
    for number in 0..50 {
        assert_eq!(send_numbered(&agent, api.address(), &key, &project, number), Some(200));
    }
    assert!(api.interrupt().success(), "an interrupt is not a failure");
    let api = Api::start(&directory.0);
    assert_eq!(api.key_and_project(), (key, project), "the project is the same after a restart");
    api.eventually("all fifty are there", |api| (api.stored_event_ids().len() == 50).then_some(()));
}

#[test]
fn another_organisations_token_or_none_finds_nothing() {
    let directory = Directory::new();
    let api = Api::start(&directory.0);
    for path in ["/api/v1/issues", "/api/v1/projects", "/api/v1/pipeline", "/api/v1/audit"] {
        assert_eq!(get(api.address(), "bel_wrong", path).0, 401, "{path}");
    }
    let (status, problem) = api.get("/api/v1/issues?project=99");
    assert_eq!(status, 404, "{problem}");
    let (status, _) = api.get("/api/v1/issues/01J00000000000000000000000");
    assert_eq!(status, 404);
}

#[test]
fn a_component_that_is_switched_off_answers_404_and_counts_what_it_drops() {
    let directory = Directory::new();
    let environment = [("BELVEDERE_FEATURES_ERROR_TRACKING", "false")];
    let api = Api::start_with(&Start {
        data: &directory.0,
        port: free_port(),
        environment: &environment,
        arguments: &[],
    });
    assert_eq!(api.get("/api/v1/issues").0, 404);
    let (key, project) = api.key_and_project();
    assert_eq!(send_numbered(&agent(), api.address(), &key, &project, 1), Some(404));
    api.eventually("the event is counted as dropped by choice", |api| {
        let (_, pipeline) = api.get(&format!("/api/v1/pipeline?project={project}"));
        pipeline.to_string().contains("switched_off").then_some(())
    });
    assert_eq!(api.get("/readyz").0, 200);
}

#[test]
fn the_demonstration_fills_a_project_that_says_what_it_is() {
    let directory = Directory::new();
    let api = Api::start(&directory.0);
    let mut player = std::process::Command::new(crate::api::binary("xtask"));
    player.args(["demo", "--events", "300", "--data"]).arg(&directory.0);
    assert!(player.status().unwrap().success());
    api.eventually("all errors are counted", |api| {
        let issues = api.pages("/api/v1/issues?project=demo&limit=50");
        // A run of a job that failed is an issue too, whenever it is judged.
        let of_job = |issue: &&serde_json::Value| issue["title"].as_str().unwrap().contains("weekly-digest");
        let issues: Vec<_> = issues.iter().filter(|issue| !of_job(issue)).collect();
        (issues.iter().map(|issue| issue["events"].as_u64().unwrap()).sum::<u64>() == 300).then_some(())
    });
    let projects = api.pages("/api/v1/projects?");
    let demo = projects.iter().find(|project| project["slug"] == "demo").unwrap();
    assert_eq!(demo["is_demo"], true);
    let (_, mine) = api.get("/api/v1/issues?project=1");
    assert_eq!(mine["items"], serde_json::json!([]), "the first project stays empty");
}
