//! Source maps as `sentry-cli` uploads them, byte by byte as it sends them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use belvedere_accounts::Scope;
use belvedere_error_tracking::{ASSEMBLE_JOB, SourceMapService, SourceMaps};
use belvedere_jobs::{JobError, JobHandler, JobRunner, JobRunnerConfig, RunningJob};
use belvedere_kernel::Tasks;
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::codecs::CODECS;
use super::house::{Answer, House, request, with_token};

const BOUNDARY: &str = "------------------------yUroNyXRsJHbUSmHNBCngD";

fn bundle() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/source_maps/bundle.sysb");
    std::fs::read(path).unwrap()
}

fn sha1(content: &[u8]) -> String {
    Sha1::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let (_, encode) = CODECS.iter().find(|(token, _)| *token == "gzip").unwrap();
    encode(&mut &*content)
}

/// A form with these parts: name, file name, content.
fn form(parts: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, content) in parts {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend([head.as_bytes(), content, b"\r\n"].concat());
    }
    body.extend(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

async fn post_form(house: &House, token: &str, uri: &str, body: Vec<u8>) -> Answer {
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", kind.as_str())];
    house.send(request(Method::POST, uri, &headers, Body::from(body))).await
}

async fn post_json(house: &House, token: &str, uri: &str, body: &Value) -> Answer {
    house.send(with_token(Method::POST, uri, token, body.to_string())).await
}

/// Does assemblies, as a worker would.
struct Assemble(Arc<SourceMapService>);

#[async_trait]
impl JobHandler for Assemble {
    async fn run(&self, job: &RunningJob) -> Result<(), JobError> {
        let organisation = job.payload["organisation"].as_str().unwrap().parse().unwrap();
        self.0.run_assembly(organisation, job.payload["key"].as_str().unwrap()).await.unwrap();
        Ok(())
    }
}

/// Asks until the wish is not waiting any more.
async fn wait_for(house: &House, token: &str, uri: &str, wish: &Value) -> Value {
    let mut runner = JobRunner::new(house.jobs.clone(), JobRunnerConfig::default());
    runner.register(ASSEMBLE_JOB, Arc::new(Assemble(house.source_maps.clone())));
    let tasks = Tasks::default();
    tasks.spawn("jobs", runner.run(tasks.clone()));
    for _ in 0..1_000 {
        let answer = post_json(house, token, uri, wish).await.json();
        if !matches!(answer["state"].as_str().unwrap(), "created" | "assembling") {
            tasks.stop();
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no worker did it");
}

#[test]
fn a_bundle_goes_up_as_the_tool_sends_it_and_comes_out_in_the_api() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read, Scope::Write]).await;
        let base = format!("/api/0/organizations/{}", house.first.organisation.slug);
        let options = house.send(with_token(Method::GET, &format!("{base}/chunk-upload/"), &token, "")).await;
        let expected = json!({
            "url": format!("https://belvedere.example{base}/chunk-upload/"), "chunkSize": 1 << 20,
            "chunksPerRequest": 4, "maxFileSize": 100 << 20, "maxRequestSize": 4 << 20, "concurrency": 2,
            "hashAlgorithm": "sha1", "compression": ["gzip"],
            "accept": ["release_files", "sources", "artifact_bundles", "artifact_bundles_v2"],
        });
        assert_eq!(options.json(), expected);

        let content = bundle();
        let (first, second) = content.split_at(1_500);
        let wish = json!({
            "checksum": sha1(&content), "chunks": [sha1(first), sha1(second)],
            "projects": [house.first.project.slug], "version": "shop@1.0.0",
        });
        let assemble = format!("{base}/artifactbundle/assemble/");
        let asked = post_json(&house, &token, &assemble, &wish).await;
        let missing =
            json!({"state": "not_found", "missingChunks": [sha1(first), sha1(second)], "detail": null});
        assert_eq!(asked.json(), missing);
        let parts: [(&str, &str, &[u8]); 2] =
            [("file_gzip", &sha1(first), &gzip(first)), ("file", &sha1(second), second)];
        let sent = post_form(&house, &token, &format!("{base}/chunk-upload/"), form(&parts)).await;
        assert_eq!((sent.status, sent.text.as_str()), (StatusCode::OK, ""));
        let created = post_json(&house, &token, &assemble, &wish).await.json();
        assert_eq!(created, json!({"state": "created", "missingChunks": [], "detail": null}));
        let done = wait_for(&house, &token, &assemble, &wish).await;
        assert_eq!(done, json!({"state": "ok", "missingChunks": [], "detail": null}));
        let get = async |uri: &str| house.send(with_token(Method::GET, uri, &token, "")).await;
        let list = get("/api/v1/source_maps?query=shop%40").await.json();
        assert_eq!(
            (&list["items"][0]["files"], &list["items"][0]["release"]),
            (&json!(2), &json!("shop@1.0.0"))
        );
        assert_eq!(list["items"][0]["debug_ids"], json!(["9c4cb8aa-72e9-571d-a188-195453d1898f"]));
        let uri = format!("/api/v1/source_maps/{}", list["items"][0]["id"].as_str().unwrap());
        assert_eq!(get(&uri).await.json()["listed_files"][1]["url"], "~/app.js.map");
        assert_eq!(get("/api/v1/source_maps/storage").await.json()["bundles"], 1);
        assert_eq!(house.audit_entries("source_maps_uploaded").await.len(), 1);

        // Another project of the organisation, and another organisation, have no such bundle.
        let second = house.second_project().await;
        let elsewhere =
            format!("/api/v1/source_maps/{}?project={}", list["items"][0]["id"].as_str().unwrap(), second.id);
        let stranger = house.token_of(&house.stranger().await, &[Scope::Read, Scope::Write]).await;
        for (method, uri, token) in [
            (Method::GET, elsewhere.clone(), &token),
            (Method::DELETE, elsewhere, &token),
            (Method::DELETE, format!("{uri}?project={}", house.project()), &stranger),
        ] {
            assert_eq!(
                house.send(with_token(method, &uri, token, "")).await.status,
                StatusCode::NOT_FOUND,
                "{uri}"
            );
        }
        let reader = house.token(&[Scope::Read]).await;
        let uri = format!("{uri}?project={}", house.project());
        let delete = |token: &str| with_token(Method::DELETE, &uri, token, "");
        assert_eq!(house.send(delete(&reader)).await.status, StatusCode::FORBIDDEN);
        assert_eq!(house.send(delete(&token)).await.status, StatusCode::NO_CONTENT);
        assert_eq!(house.send(delete(&token)).await.status, StatusCode::NOT_FOUND);
    });
}

#[test]
fn uploads_of_strangers_readers_and_bombs_are_refused() {
    run(async {
        let house = House::new().await;
        let slug = house.first.organisation.slug.clone();
        let base = format!("/api/0/organizations/{slug}");
        let token = house.token(&[Scope::Write]).await;
        let reader = house.token(&[Scope::Read]).await;
        let them = house.stranger().await;
        let stranger = house.token_of(&them, &[Scope::Write]).await;
        let upload = format!("{base}/chunk-upload/");
        let chunk = |content: &[u8]| form(&[("file", &sha1(content), content)]);
        assert_eq!(post_form(&house, &reader, &upload, chunk(b"x")).await.status, StatusCode::FORBIDDEN);
        assert_eq!(post_form(&house, &stranger, &upload, chunk(b"x")).await.status, StatusCode::NOT_FOUND);
        let bomb = gzip(&vec![0; 64 << 20]);
        let five = form(&[("file", sha1(b"x").as_str(), b"x" as &[u8]); 5]);
        for (body, status, detail) in [
            (
                form(&[("file_gzip", &sha1(b"x"), &bomb)]),
                413,
                "file_gzip: unpacks to more than 1048576 bytes",
            ),
            (form(&[("file_gzip", &sha1(b"x"), b"no gzip")]), 400, "file_gzip: is not gzip"),
            (
                form(&[("file", &sha1(b"y"), b"x")]),
                400,
                "file: the name of a chunk must be the SHA-1 of its content, and is not",
            ),
            (form(&[("other", &sha1(b"x"), b"x")]), 400, "file: parts must be called file or file_gzip"),
            (five, 400, "more than 4 parts"),
            (
                b"nothing".to_vec(),
                400,
                "the body is not multipart/form-data with the boundary that its type names",
            ),
            (vec![0; 5 << 20], 413, "body is larger than 4259840 bytes"),
        ] {
            let answer = post_form(&house, &token, &upload, body).await;
            assert_eq!((answer.status.as_u16(), answer.json()["detail"].as_str().unwrap()), (status, detail));
            assert_eq!(answer.header("content-type"), "application/json");
        }
        // A project of another organisation is none.
        let theirs = house.project_of(&them).await;
        let wish =
            |project: &str| json!({"checksum": sha1(b"x"), "chunks": [sha1(b"x")], "projects": [project]});
        let assemble = format!("{base}/artifactbundle/assemble/");
        for project in [theirs.slug.as_str(), &theirs.id.to_string(), "nothing"] {
            assert_eq!(
                post_json(&house, &token, &assemble, &wish(project)).await.status,
                StatusCode::NOT_FOUND
            );
        }
        let nobody =
            post_json(&house, &token, &assemble, &json!({"checksum": sha1(b"x"), "chunks": []})).await;
        assert_eq!(nobody.json()["detail"], "projects: must name 1 to 20 projects");
    });
}

#[test]
fn old_tools_assemble_by_release_and_debug_files_are_refused_in_words() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Write]).await;
        let (slug, project) = (house.first.organisation.slug.clone(), house.first.project.slug.clone());
        let wish = json!({"checksum": sha1(b"x"), "chunks": [sha1(b"x")], "projects": [project]});
        let uri = format!("/api/0/organizations/{slug}/releases/shop%401.0%2Bx/assemble/");
        let answer = post_json(&house, &token, &uri, &wish).await;
        assert_eq!(
            answer.json(),
            json!({"state": "not_found", "missingChunks": [sha1(b"x")], "detail": null})
        );
        let uri = format!("/api/0/projects/{slug}/{project}/files/difs/assemble/");
        let body = json!({sha1(b"x"): {"name": "a.so", "debug_id": null, "chunks": []}});
        let answer = post_json(&house, &token, &uri, &body).await.json();
        assert_eq!(answer[sha1(b"x")]["state"], "error");
        assert!(answer[sha1(b"x")]["detail"].as_str().unwrap().contains("not used here yet"));
    });
}
