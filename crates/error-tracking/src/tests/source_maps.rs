use std::path::PathBuf;
use std::sync::Arc;

use belvedere_jobs::JobQueue;
use belvedere_kernel::{Actor, InProcessBus, Organisation, ProjectId};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Id, PageRequest, database_tests};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::fakes::{Bench, OTHER_PROJECT, PROJECT, at, delivery, envelope, event_id};
use crate::source_maps::archive::tests::bundle;
use crate::{
    AssembleBundle, Assembly, AssemblyState, BundleId, DeleteBundle, ErrorTracking, ErrorTrackingService,
    ListBundles, ListIssues, NewChunk, SourceMapError, SourceMapLimits, SourceMapService, SourceMaps,
};

database_tests!(
    a_real_upload_resolves_a_real_error,
    maps_never_cross_projects,
    scripts_without_debug_ids_are_found_by_release_and_address,
    a_map_without_contents_takes_the_uploaded_source,
    frames_say_why_they_could_not_be_mapped,
    chunks_are_checked_and_limited,
    a_wish_is_answered_as_clients_expect_it,
    what_is_wrong_with_a_bundle_is_said,
    bundles_are_listed_searched_and_deleted,
    an_assembly_that_was_interrupted_starts_over,
    what_is_old_is_swept,
);

const ORGANISATION: Id<Organisation> = Id::from_bytes([3; 16]);
const DEBUG_ID: &str = "9c4cb8aa-72e9-571d-a188-195453d1898f";

pub(super) struct Maps {
    pub(super) bench: Bench,
    pub(super) maps: SourceMapService,
}

impl Maps {
    pub(super) fn new(db: TestDatabase, limits: SourceMapLimits) -> Self {
        let mut bench = Bench::new(db);
        bench.errors = ErrorTrackingService::new(
            bench.db.database(),
            bench.clock.clone(),
            Arc::new(super::fakes::FakeGate),
            Arc::new(super::fakes::FakeScrubber),
            bench.audit.clone(),
        )
        .with_source_map_limits(limits);
        let jobs = JobQueue::new(bench.db.database(), bench.clock.clone(), Arc::new(InProcessBus::default()));
        let maps = bench.errors.source_maps(jobs);
        Self { bench, maps }
    }

    async fn upload_chunk(&self, content: &[u8]) -> Result<String, SourceMapError> {
        let checksum = sha1(content);
        let chunk =
            NewChunk { organisation: ORGANISATION, checksum: checksum.clone(), content: content.to_vec() };
        self.maps.store_chunk(chunk).await.map(|()| checksum)
    }

    /// Uploads a bundle as the tool does and runs the job; where it stands after that.
    pub(super) async fn upload(
        &self,
        projects: &[ProjectId],
        release: Option<&str>,
        content: &[u8],
    ) -> Assembly {
        let mut chunks = Vec::new();
        for chunk in content.chunks(1_000) {
            chunks.push(self.upload_chunk(chunk).await.unwrap());
        }
        let wish = wish(projects, release, content, chunks);
        let asked = self.maps.assemble(wish.clone()).await.unwrap();
        if asked.state != AssemblyState::Created {
            return asked;
        }
        for (organisation, key) in self.assembly_jobs().await {
            self.maps.run_assembly(organisation, &key).await.unwrap();
        }
        self.maps.assemble(wish).await.unwrap()
    }

    /// What the queued jobs ask for.
    async fn assembly_jobs(&self) -> Vec<(Id<Organisation>, String)> {
        let jobs = payloads(&self.bench.db, "source_maps.assemble").await;
        jobs.iter()
            .map(|job| {
                (
                    job["organisation"].as_str().unwrap().parse().unwrap(),
                    job["key"].as_str().unwrap().to_owned(),
                )
            })
            .collect()
    }

    pub(super) async fn bundles(&self, project: ProjectId) -> Vec<BundleId> {
        let query = ListBundles { project, text: None, page: PageRequest::first(50) };
        self.maps.list_bundles(query).await.unwrap().items.iter().map(|bundle| bundle.id).collect()
    }

    /// Takes an event in and reads it back.
    pub(super) async fn take_in(&self, project: ProjectId, event: &Value) -> Value {
        let id = event["event_id"].as_str().unwrap().to_owned();
        let mut arrived = delivery("sentry.envelope", envelope(event).as_bytes());
        arrived.project = project;
        let (_, rejected) = self.bench.take_in("sentry.envelope", vec![arrived]).await.unwrap();
        assert_eq!(rejected, []);
        self.bench.errors.find_event(project, &id).await.unwrap().unwrap().payload
    }
}

pub(super) async fn payloads(db: &TestDatabase, kind: &str) -> Vec<Value> {
    use sea_orm::{ConnectionTrait, Statement};
    let connection = db.read();
    let sql = format!("SELECT payload FROM jobs_job WHERE kind = '{kind}' ORDER BY id");
    let rows = connection
        .query_all_raw(Statement::from_string(connection.get_database_backend(), sql))
        .await
        .unwrap();
    rows.iter()
        .map(|row| serde_json::from_str(&row.try_get_by_index::<String>(0).unwrap()).unwrap())
        .collect()
}

fn sha1(content: &[u8]) -> String {
    Sha1::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn wish(
    projects: &[ProjectId],
    release: Option<&str>,
    content: &[u8],
    chunks: Vec<String>,
) -> AssembleBundle {
    AssembleBundle {
        actor: Actor::Token(Id::from_bytes([9; 16])),
        organisation: ORGANISATION,
        projects: projects.to_vec(),
        checksum: sha1(content),
        chunks,
        release: release.map(str::to_owned),
        dist: None,
        request_id: Some("r-1".to_owned()),
    }
}

pub(super) fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/source_maps").join(name);
    std::fs::read(path).unwrap()
}

/// The event that `@sentry/node` sent from the minified bundle.
pub(super) fn real_event() -> Value {
    let envelope = fixture("event.envelope");
    let payload = envelope.split(|byte| *byte == b'\n').nth(2).unwrap();
    serde_json::from_slice(payload).unwrap()
}

/// `function file:line:column in_app | source line` of each frame of the only exception.
pub(super) fn frames(event: &Value) -> Vec<String> {
    let frames = event.pointer("/exception/values/0/stacktrace/frames").unwrap().as_array().unwrap();
    frames
        .iter()
        .map(|frame| {
            format!(
                "{} {}:{}:{}{} | {}",
                frame["function"].as_str().unwrap_or("-"),
                frame["filename"].as_str().unwrap_or("-"),
                frame["lineno"],
                frame["colno"],
                if frame["in_app"] == true { "" } else { " library" },
                frame["context_line"].as_str().unwrap_or("-").trim(),
            )
        })
        .collect()
}

fn whys(event: &Value) -> Vec<Value> {
    let frames = event.pointer("/exception/values/0/stacktrace/frames").unwrap().as_array().unwrap();
    frames.iter().filter_map(|frame| frame.pointer("/data/unmapped").cloned()).collect()
}

async fn a_real_upload_resolves_a_real_error(db: TestDatabase) {
    let maps = Maps::new(db, SourceMapLimits::default());
    let made = maps.upload(&[PROJECT], Some("shop@1.0.0"), &fixture("bundle.sysb")).await;
    assert_eq!((made.state, made.detail.as_deref()), (AssemblyState::Ok, None));
    let event = maps.take_in(PROJECT, &real_event()).await;
    assert_eq!(
        frames(&event)[5..],
        [
            "Object.? src/main.ts:21:17 | const eventId = order(process.argv[2] ?? 'none');",
            "order src/main.ts:14:5 | payFor(['keyboard', 'mouse']);",
            "payFor src/checkout.ts:25:19 | return checkout.total();",
            "Checkout.total src/checkout.ts:14:16 | total += applyDiscount(article);",
            "applyDiscount src/pricing.ts:8:37 | const percent = article.discount!.percent;",
        ]
    );
    let last = event.pointer("/exception/values/0/stacktrace/frames/9").unwrap();
    assert_eq!(
        last["pre_context"],
        json!([
            "  price: number;",
            "  discount?: { percent: number };",
            "}",
            "",
            "export function applyDiscount(article: Article): number {",
        ])
    );
    assert_eq!(last["post_context"], json!(["  return article.price * (1 - percent / 100);", "}"]));
    assert_eq!((&last["module"], &last["abs_path"]), (&json!("src/pricing"), &json!("~/src/pricing.ts")));
    assert_eq!(last["data"], json!({"sourcemap": "~/app.js.map", "resolved_with": "debug_id"}));
    // The frames as they came are kept.
    let raw = event.pointer("/exception/values/0/raw_stacktrace/frames/9").unwrap();
    assert_eq!((&raw["function"], &raw["lineno"], &raw["colno"]), (&json!("p"), &json!(3), &json!(524)));
    let issues = maps.bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items;
    assert_eq!(issues[0].culprit, "src/pricing.ts in applyDiscount");
    let acts: Vec<_> = maps
        .bench
        .audit
        .0
        .lock()
        .unwrap()
        .iter()
        .map(|entry| (entry.action, entry.actor, entry.project))
        .collect();
    assert_eq!(acts, [("source_maps_uploaded", Actor::Token(Id::from_bytes([9; 16])), Some(PROJECT))]);
}

async fn maps_never_cross_projects(db: TestDatabase) {
    let maps = Maps::new(db, SourceMapLimits::default());
    maps.upload(&[OTHER_PROJECT], Some("shop@1.0.0"), &fixture("bundle.sysb")).await;
    let event = maps.take_in(PROJECT, &real_event()).await;
    assert!(frames(&event)[9].starts_with("p /srv/shop/dist/app.js:3:524 | var u=Object.create;"));
    assert_eq!(whys(&event), vec![json!({"why": "no_map", "debug_id": DEBUG_ID}); 5]);
    let mut by_release = real_event();
    by_release["debug_meta"] = json!(null);
    by_release["event_id"] = json!(event_id(7));
    let event = maps.take_in(PROJECT, &by_release).await;
    assert!(frames(&event)[9].starts_with("p /srv/shop"));
    let [bundle] = maps.bundles(OTHER_PROJECT).await[..] else { panic!() };
    assert_eq!(maps.maps.find_bundle(PROJECT, bundle).await.unwrap(), None);
    let delete = DeleteBundle {
        actor: Actor::System("test"),
        organisation: ORGANISATION,
        project: PROJECT,
        bundle,
        request_id: None,
    };
    assert!(!maps.maps.delete_bundle(delete).await.unwrap());
    assert_eq!(maps.bundles(OTHER_PROJECT).await.len(), 1);
}

/// A script of one line, `boom()` at column 1, mapped to line 7 of `pay.ts`.
fn plain_map(contents: Value) -> Vec<u8> {
    json!({"version": 3, "sources": ["../src/pay.ts"], "sourcesContent": contents, "names": ["explode"], "mappings": "AAMAA"})
        .to_string()
        .into_bytes()
}

const SOURCE: &str = "1\n2\n3\n4\n5\n6\nexplode();\n8\n";

fn plain_event(number: u32, path: &str, release: &str, dist: Option<&str>) -> Value {
    json!({
        "event_id": event_id(number), "platform": "javascript", "release": release, "dist": dist,
        "exception": {"values": [{"type": "Error", "value": "x", "stacktrace": {"frames": [
            {"function": "t", "filename": path, "abs_path": path, "lineno": 1, "colno": 1, "in_app": true},
        ]}}]},
    })
}

async fn scripts_without_debug_ids_are_found_by_release_and_address(db: TestDatabase) {
    let maps = Maps::new(db, SourceMapLimits::default());
    let map = plain_map(json!([SOURCE]));
    let script =
        |url: &str, headers: Value| json!({"type": "minified_source", "url": url, "headers": headers});
    let content = bundle(&[
        ("1", script("~/assets/main.js", json!({"Sourcemap": "main.js.map"})), b"boom()"),
        ("2", json!({"type": "source_map", "url": "~/assets/main.js.map"}), &map),
        (
            "3",
            script("https://cdn.example/whole.js", json!({})),
            b"boom()\n//# sourceMappingURL=../assets/main.js.map",
        ),
        ("4", script("~/lost.js", json!({"Sourcemap": "lost.js.map"})), b"boom()"),
        ("5", script("~/bare.js", json!({})), b"boom()"),
    ]);
    let state = maps.upload(&[PROJECT], Some("shop@1"), &content).await;
    assert_eq!(state.detail, None);
    let resolved = "t src/pay.ts:7:1 | explode();";
    let mut number = 0;
    for (path, release, frame, why) in [
        ("https://shop.example/assets/main.js?v=1", "shop@1", resolved, None),
        ("app:///assets/main.js", "shop@1", resolved, None),
        ("https://cdn.example/whole.js", "shop@1", resolved, None),
        (
            "https://shop.example/lost.js",
            "shop@1",
            "t https://shop.example/lost.js:1:1 | -",
            Some(json!({"why": "no_map_file", "file": "~/lost.js.map", "release": "shop@1"})),
        ),
        (
            "https://shop.example/bare.js",
            "shop@1",
            "t https://shop.example/bare.js:1:1 | -",
            Some(json!({"why": "no_reference", "file": "~/bare.js"})),
        ),
        (
            "https://shop.example/new.js",
            "shop@1",
            "t https://shop.example/new.js:1:1 | -",
            Some(json!({"why": "no_file", "file": "~/new.js", "release": "shop@1"})),
        ),
        (
            "https://shop.example/assets/main.js",
            "shop@2",
            "t https://shop.example/assets/main.js:1:1 | -",
            None,
        ),
    ] {
        number += 1;
        let event = maps.take_in(PROJECT, &plain_event(number, path, release, None)).await;
        assert_eq!(
            (frames(&event), whys(&event)),
            (vec![frame.to_owned()], why.into_iter().collect()),
            "{path}"
        );
    }
    // Distributions: their own files first, those of none for all.
    let other = bundle(&[
        ("1", script("~/assets/main.js", json!({"Sourcemap": "main.js.map"})), b"boom()"),
        (
            "2",
            json!({"type": "source_map", "url": "~/assets/main.js.map"}),
            &plain_map(json!([SOURCE.replace("explode", "of dist 2")])),
        ),
    ]);
    let chunk = maps.upload_chunk(&other).await.unwrap();
    let mut dist_2 = wish(&[PROJECT], Some("shop@1"), &other, vec![chunk]);
    dist_2.dist = Some("2".to_owned());
    maps.maps.assemble(dist_2.clone()).await.unwrap();
    for (organisation, key) in maps.assembly_jobs().await {
        maps.maps.run_assembly(organisation, &key).await.unwrap();
    }
    for (number, dist, line) in
        [(20, None, "explode();"), (21, Some("2"), "of dist 2();"), (22, Some("3"), "explode();")]
    {
        let event =
            maps.take_in(PROJECT, &plain_event(number, "app:///assets/main.js", "shop@1", dist)).await;
        assert_eq!(frames(&event), [format!("t src/pay.ts:7:1 | {line}")], "{dist:?}");
    }
}

async fn a_map_without_contents_takes_the_uploaded_source(db: TestDatabase) {
    let maps = Maps::new(db, SourceMapLimits::default());
    let content = bundle(&[
        (
            "1",
            json!({"type": "minified_source", "url": "~/assets/main.js", "headers": {"sourcemap": "main.js.map"}}),
            b"boom()",
        ),
        ("2", json!({"type": "source_map", "url": "~/assets/main.js.map"}), &plain_map(json!(null))),
        ("3", json!({"type": "source", "url": "~/src/pay.ts"}), SOURCE.as_bytes()),
    ]);
    maps.upload(&[PROJECT], Some("shop@1"), &content).await;
    let event = maps.take_in(PROJECT, &plain_event(1, "app:///assets/main.js", "shop@1", None)).await;
    assert_eq!(frames(&event), ["t src/pay.ts:7:1 | explode();"]);
    // A script that holds its map itself needs no other file.
    let inline = {
        use base64::Engine;
        let map = base64::prelude::BASE64_STANDARD.encode(plain_map(json!([SOURCE])));
        format!("boom()\n//# sourceMappingURL=data:application/json;base64,{map}\n")
    };
    let content =
        bundle(&[("1", json!({"type": "minified_source", "url": "~/inline.js"}), inline.as_bytes())]);
    maps.upload(&[PROJECT], Some("shop@1"), &content).await;
    let event = maps.take_in(PROJECT, &plain_event(2, "app:///inline.js", "shop@1", None)).await;
    assert_eq!(frames(&event), ["t src/pay.ts:7:1 | explode();"]);
}

async fn frames_say_why_they_could_not_be_mapped(db: TestDatabase) {
    let maps = Maps::new(db, SourceMapLimits::default());
    let damaged = bundle(&[
        (
            "1",
            json!({"type": "minified_source", "url": "~/a.js", "headers": {"sourcemap": "a.js.map"}}),
            b"boom()",
        ),
        (
            "2",
            json!({"type": "source_map", "url": "~/a.js.map"}),
            br#"{"version":3,"sources":["a"],"mappings":"AAAAAAAA"}"#,
        ),
        (
            "3",
            json!({"type": "minified_source", "url": "~/b.js", "headers": {"sourcemap": "b.js.map"}}),
            b"boom()",
        ),
        ("4", json!({"type": "source_map", "url": "~/b.js.map"}), &plain_map(json!([SOURCE]))),
    ]);
    maps.upload(&[PROJECT], Some("shop@1"), &damaged).await;
    let event = maps.take_in(PROJECT, &plain_event(1, "app:///a.js", "shop@1", None)).await;
    assert_eq!(
        whys(&event),
        [json!({"why": "damaged_map", "map": "~/a.js.map", "detail": "damaged mappings at byte 5"})]
    );
    let mut event = plain_event(2, "app:///b.js", "shop@1", None);
    event["exception"]["values"][0]["stacktrace"]["frames"][0]["lineno"] = json!(99);
    assert_eq!(
        whys(&maps.take_in(PROJECT, &event).await),
        [json!({"why": "no_such_place", "map": "~/b.js.map"})]
    );
    let mut event = plain_event(3, "app:///b.js", "shop@1", None);
    event["exception"]["values"][0]["stacktrace"]["frames"][0]["colno"] = json!(null);
    assert_eq!(whys(&maps.take_in(PROJECT, &event).await), [json!({"why": "no_column"})]);
    // Nobody but JavaScript is concerned.
    let mut event = plain_event(4, "app:///a.js", "shop@1", None);
    event["platform"] = json!("python");
    assert_eq!(whys(&maps.take_in(PROJECT, &event).await), Vec::<Value>::new());
}

async fn chunks_are_checked_and_limited(db: TestDatabase) {
    let maps = Maps::new(db, SourceMapLimits { chunks_bytes_max: 2_000, ..SourceMapLimits::default() });
    let chunk =
        |checksum: String, content: Vec<u8>| NewChunk { organisation: ORGANISATION, checksum, content };
    let wrong = maps.maps.store_chunk(chunk(sha1(b"other"), b"content".to_vec())).await.unwrap_err();
    assert_eq!(wrong.to_string(), "file: the name of a chunk must be the SHA-1 of its content, and is not");
    let large = vec![b'x'; (1 << 20) + 1];
    let too_large = maps.maps.store_chunk(chunk(sha1(&large), large)).await.unwrap_err();
    assert_eq!(too_large.to_string(), "file: larger than 1048576 bytes");
    maps.upload_chunk(&[b'x'; 1_500]).await.unwrap();
    let full = maps.upload_chunk(&[b'y'; 1_500]).await.unwrap_err();
    assert!(matches!(full, SourceMapError::Full(_)), "{full}");
    // Another organisation has room of its own, and does not see what is not its.
    let other = Id::from_bytes([4; 16]);
    let theirs = NewChunk { organisation: other, checksum: sha1(b"theirs"), content: b"theirs".to_vec() };
    maps.maps.store_chunk(theirs).await.unwrap();
    let asked = maps.maps.assemble(wish(&[PROJECT], None, b"theirs", vec![sha1(b"theirs")])).await.unwrap();
    assert_eq!((asked.state, asked.missing_chunks), (AssemblyState::NotFound, vec![sha1(b"theirs")]));
}

async fn a_wish_is_answered_as_clients_expect_it(db: TestDatabase) {
    let maps = Maps::new(db, SourceMapLimits::default());
    let content = fixture("bundle.sysb");
    let chunks: Vec<String> = content.chunks(1_000).map(sha1).collect();
    let wish_for = |chunks: &[String]| wish(&[PROJECT], Some("shop@1.0.0"), &content, chunks.to_vec());
    let first = maps.maps.assemble(wish_for(&chunks)).await.unwrap();
    assert_eq!((first.state, &first.missing_chunks), (AssemblyState::NotFound, &chunks));
    maps.upload_chunk(&content[1_000..2_000]).await.unwrap();
    let second = maps.maps.assemble(wish_for(&chunks)).await.unwrap();
    assert_eq!(second.missing_chunks, [chunks[0].clone(), chunks[2].clone()]);
    assert_eq!(maps.maps.assemble(wish_for(&[])).await.unwrap().state, AssemblyState::NotFound);
    assert_eq!(maps.upload(&[PROJECT], Some("shop@1.0.0"), &content).await.state, AssemblyState::Ok);
    // Again: it is there, and nothing has to be uploaded; for another release it is another wish.
    assert_eq!(
        maps.maps.assemble(wish_for(&chunks)).await.unwrap(),
        Assembly { state: AssemblyState::Ok, missing_chunks: Vec::new(), detail: None }
    );
    assert_eq!(maps.upload(&[PROJECT], Some("shop@1.0.0"), &content).await.state, AssemblyState::Ok);
    assert_eq!(maps.bundles(PROJECT).await.len(), 1);
    assert_eq!(maps.upload(&[PROJECT], Some("shop@1.0.1"), &content).await.state, AssemblyState::Ok);
    assert_eq!(maps.bundles(PROJECT).await.len(), 2);
    for (change, why) in [
        (
            AssembleBundle { projects: Vec::new(), ..wish_for(&chunks) },
            "projects: must name 1 to 20 projects",
        ),
        (
            AssembleBundle { checksum: "x".to_owned(), ..wish_for(&chunks) },
            "checksum: must be a SHA-1 in 40 hexadecimal digits",
        ),
        (
            AssembleBundle { chunks: vec![chunks[0].clone(); 513], ..wish_for(&chunks) },
            "chunks: more than 512 chunks",
        ),
        (
            AssembleBundle { dist: Some("x".repeat(251)), ..wish_for(&chunks) },
            "dist: longer than 250 characters",
        ),
    ] {
        assert_eq!(maps.maps.assemble(change).await.unwrap_err().to_string(), why);
    }
}

async fn what_is_wrong_with_a_bundle_is_said(db: TestDatabase) {
    let limits =
        SourceMapLimits { bundle_bytes_max: 400_000, project_bytes_max: 1_000, ..SourceMapLimits::default() };
    let maps = Maps::new(db, limits);
    let script = json!({"type": "minified_source", "url": "~/a.js"});
    let noise: Vec<u8> =
        (0..9_000_u64).flat_map(|number| (number * number * 0x9e37_79b9).to_le_bytes()).collect();
    for (content, why) in [
        (b"no zip".to_vec(), "not a bundle: no ZIP archive".to_owned()),
        (
            bundle(&[("../a", script.clone(), b"x")]),
            "the file name \"../a\" leads out of the bundle".to_owned(),
        ),
        (bundle(&[]), "there is no source map, script or source in the bundle".to_owned()),
        (
            bundle(&[("a", script.clone(), &vec![b' '; 4 << 20])]),
            "the file \"a\" unpacks to more than 100 times its size".to_owned(),
        ),
        (
            bundle(&[("a", script.clone(), &noise)]),
            "the project's room of 1000 bytes for source maps is used up; delete old bundles in its settings"
                .to_owned(),
        ),
        (vec![b'x'; 500_000], "the bundle has 500000 bytes; at most 400000 are taken here".to_owned()),
    ] {
        let made = maps.upload(&[PROJECT], None, &content).await;
        assert_eq!((made.state, made.detail), (AssemblyState::Error, Some(why)));
    }
    let chunk = maps.upload_chunk(b"something").await.unwrap();
    let mut lying = wish(&[PROJECT], None, b"something else", vec![chunk]);
    maps.maps.assemble(lying.clone()).await.unwrap();
    for (organisation, key) in maps.assembly_jobs().await {
        maps.maps.run_assembly(organisation, &key).await.unwrap();
    }
    let answer = maps.maps.assemble(lying.clone()).await.unwrap();
    assert_eq!(
        answer.detail.as_deref(),
        Some("the chunks together do not have the SHA-1 that was announced")
    );
    assert_eq!(maps.bundles(PROJECT).await, []);
    assert_eq!(maps.maps.count_storage(PROJECT).await.unwrap().bytes, 0);
    // After a while the same wish is tried again.
    maps.bench.clock.set(at("2026-11-23T12:41:00Z"));
    lying.request_id = None;
    assert_eq!(maps.maps.assemble(lying).await.unwrap().state, AssemblyState::Created);
}

async fn bundles_are_listed_searched_and_deleted(db: TestDatabase) {
    let maps = Maps::new(db, SourceMapLimits::default());
    maps.upload(&[PROJECT, OTHER_PROJECT], Some("shop@1.0.0"), &fixture("bundle.sysb")).await;
    maps.bench.clock.set(at("2026-11-23T12:35:00Z"));
    let second = bundle(&[("1", json!({"type": "minified_source", "url": "~/100%_other.js"}), b"x")]);
    maps.upload(&[PROJECT], Some("web@2"), &second).await;
    let find = async |text: &str| {
        let query =
            ListBundles { project: PROJECT, text: Some(text.to_owned()), page: PageRequest::first(1) };
        let page = maps.maps.list_bundles(query).await.unwrap();
        page.items.into_iter().map(|bundle| bundle.release.unwrap()).collect::<Vec<_>>()
    };
    for (text, releases) in [
        ("", &["web@2"][..]),
        ("shop@", &["shop@1.0.0"]),
        ("app.js", &["shop@1.0.0"]),
        ("100%_", &["web@2"]),
        ("1000_", &[]),
        (DEBUG_ID, &["shop@1.0.0"]),
        ("nothing", &[]),
        ("\0", &[]),
    ] {
        assert_eq!(find(text).await, releases, "{text}");
    }
    let first = ListBundles { project: PROJECT, text: None, page: PageRequest::first(1) };
    let page = maps.maps.list_bundles(first).await.unwrap();
    let next = ListBundles { project: PROJECT, text: None, page: PageRequest::new(1, page.next) };
    let page = maps.maps.list_bundles(next).await.unwrap();
    let [shop] = page.items.as_slice() else { panic!("{page:?}") };
    assert_eq!(
        (shop.files, shop.uploaded_by_kind.as_str(), shop.debug_ids.len(), &page.next),
        (2, "token", 1, &None)
    );
    let detail = maps.maps.find_bundle(PROJECT, shop.id).await.unwrap().unwrap();
    let files: Vec<_> =
        detail.listed_files.iter().map(|file| (file.kind.as_str(), file.url.as_str(), file.bytes)).collect();
    assert_eq!(files, [("script", "~/app.js", 1_482), ("map", "~/app.js.map", 2_589)]);
    let before = maps.maps.count_storage(PROJECT).await.unwrap();
    assert_eq!((before.bundles, before.bytes_max), (2, 2 << 30));

    let delete = DeleteBundle {
        actor: Actor::System("test"),
        organisation: ORGANISATION,
        project: PROJECT,
        bundle: shop.id,
        request_id: None,
    };
    assert!(maps.maps.delete_bundle(delete.clone()).await.unwrap());
    assert!(!maps.maps.delete_bundle(delete).await.unwrap());
    assert_eq!(maps.maps.find_bundle(PROJECT, shop.id).await.unwrap(), None);
    let acts: Vec<_> = maps.bench.audit.0.lock().unwrap().iter().map(|entry| entry.action).collect();
    assert_eq!(
        acts,
        ["source_maps_uploaded", "source_maps_uploaded", "source_maps_uploaded", "source_maps_deleted"]
    );
    let event = maps.take_in(PROJECT, &real_event()).await;
    assert_eq!(whys(&event).len(), 5, "a deleted map resolves nothing");
    maps.maps.sweep(&|| false).await.unwrap();
    assert_eq!(
        rows(&maps.bench.db, "error_artifact_piece").await,
        3,
        "the other project's two and the other bundle's one"
    );
    assert_eq!(maps.maps.count_storage(PROJECT).await.unwrap().bundles, 1);
    assert_eq!(maps.bundles(OTHER_PROJECT).await.len(), 1);
}

pub(super) async fn rows(db: &TestDatabase, table: &str) -> i64 {
    use sea_orm::{ConnectionTrait, Statement};
    let connection = db.read();
    let sql = format!("SELECT COUNT(*) FROM {table}");
    let row = connection
        .query_one_raw(Statement::from_string(connection.get_database_backend(), sql))
        .await
        .unwrap();
    row.unwrap().try_get_by_index(0).unwrap()
}

async fn an_assembly_that_was_interrupted_starts_over(db: TestDatabase) {
    let maps = Maps::new(db, SourceMapLimits::default());
    let content = fixture("bundle.sysb");
    for chunk in content.chunks(1_000) {
        maps.upload_chunk(chunk).await.unwrap();
    }
    let wish = wish(&[PROJECT], None, &content, content.chunks(1_000).map(sha1).collect());
    maps.maps.assemble(wish.clone()).await.unwrap();
    let [(organisation, key)] = &maps.assembly_jobs().await[..] else { panic!() };
    for statements in [3, 5, 8, 11] {
        maps.bench.db.faults().fail_after(statements);
        let failed = maps.maps.run_assembly(*organisation, key).await;
        assert!(failed.is_err() && !maps.bench.db.faults().take_unused(), "{statements}");
        assert_eq!(maps.bundles(PROJECT).await, [], "nothing half made is seen");
        assert_eq!(maps.maps.assemble(wish.clone()).await.unwrap().state, AssemblyState::Assembling);
    }
    maps.maps.run_assembly(*organisation, key).await.unwrap();
    maps.maps.run_assembly(*organisation, key).await.unwrap();
    assert_eq!(maps.maps.assemble(wish).await.unwrap().state, AssemblyState::Ok);
    assert_eq!(maps.bundles(PROJECT).await.len(), 1);
    maps.maps.sweep(&|| false).await.unwrap();
    assert_eq!(rows(&maps.bench.db, "error_artifact_file").await, 2);
}

async fn what_is_old_is_swept(db: TestDatabase) {
    let maps = Maps::new(db, SourceMapLimits::default());
    for number in 0..40_u8 {
        maps.upload_chunk(&[number; 10]).await.unwrap();
    }
    maps.take_in(PROJECT, &real_event()).await;
    assert_eq!(
        (rows(&maps.bench.db, "error_upload_chunk").await, rows(&maps.bench.db, "error_unmapped").await),
        (40, 1)
    );
    maps.bench.clock.set(at("2026-11-24T13:00:00Z"));
    maps.upload_chunk(b"young").await.unwrap();
    maps.maps.sweep(&|| false).await.unwrap();
    assert_eq!(
        (rows(&maps.bench.db, "error_upload_chunk").await, rows(&maps.bench.db, "error_unmapped").await),
        (1, 1)
    );
    maps.bench.clock.set(at("2026-11-30T13:00:00Z"));
    maps.maps.sweep(&|| false).await.unwrap();
    assert_eq!(
        (rows(&maps.bench.db, "error_upload_chunk").await, rows(&maps.bench.db, "error_unmapped").await),
        (0, 0)
    );
}
