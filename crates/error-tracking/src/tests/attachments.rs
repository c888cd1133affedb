use std::time::Duration;

use belvedere_kernel::Actor;
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Id, database_tests};
use serde_json::json;

use super::fakes::{Bench, OTHER_PROJECT, PROJECT, delivery, event_id, tallies};
use crate::attachment::{AttachmentFormat, Attachments, DeleteAttachment};
use crate::envelope::{NewItem, compose};
use crate::limits::{ChangeLimits, Limits, ProjectLimits};
use crate::retention::{Retention, Swept};

database_tests!(
    files_come_back_as_they_were_sent_under_a_harmless_name,
    a_file_is_seen_only_while_its_event_is_stored,
    the_same_file_sent_again_is_one,
    files_of_an_event_and_of_a_project_are_limited,
    a_deleted_file_is_gone_and_written_down,
    a_file_of_another_project_does_not_exist,
);

/// An envelope with files and, if it is wanted, the event that they belong to.
fn with_files(number: u32, has_event: bool, files: &[(&str, &[u8])]) -> Vec<u8> {
    let event = json!({"event_id": event_id(number), "exception": [{"type": "A"}]}).to_string();
    let mut items = Vec::new();
    if has_event {
        items.push(NewItem { headers: json!({"type": "event"}), payload: event.as_bytes() });
    }
    items.extend(files.iter().map(|(name, payload)| NewItem {
        headers: json!({"type": "attachment", "filename": name, "content_type": "text/html"}),
        payload,
    }));
    compose(event_id(number).parse().unwrap(), items)
}

async fn take(bench: &Bench, body: &[u8]) -> Vec<(String, String, String, u64)> {
    let (stored, rejected) =
        bench.take_in("sentry.envelope", vec![delivery("sentry.envelope", body)]).await.unwrap();
    assert_eq!(rejected, []);
    let counted = tallies(&stored).into_iter();
    counted.map(|(item, what, why, n)| (item.to_owned(), what.to_owned(), why.to_owned(), n)).collect()
}

fn counted(item: &str, outcome: &str, reason: &str, quantity: u64) -> (String, String, String, u64) {
    (item.to_owned(), outcome.to_owned(), reason.to_owned(), quantity)
}

async fn set(bench: &Bench, limits: ProjectLimits) {
    let change = ChangeLimits {
        actor: Actor::System("test"),
        organisation: Id::from_bytes([1; 16]),
        project: PROJECT,
        limits,
        request_id: None,
    };
    bench.errors.change_limits(change).await.unwrap();
}

async fn files_come_back_as_they_were_sent_under_a_harmless_name(db: TestDatabase) {
    let bench = Bench::new(db);
    let image = [&b"\x89PNG\r\n\x1a\n"[..], &[7; 600_000]].concat();
    let log = b"a line\n".repeat(50_000);
    let files: [(&str, &[u8]); 3] =
        [("../../shot.png", &image), ("app.log", &log), ("view-hierarchy.json", b"{\"windows\":[]}")];
    assert_eq!(
        take(&bench, &with_files(1, true, &files)).await,
        [counted("attachment", "stored", "", 3), counted("event", "stored", "", 1)]
    );
    let listed = bench.errors.list_attachments(PROJECT, &event_id(1)).await.unwrap();
    let seen: Vec<_> = listed.iter().map(|file| (file.name.as_str(), file.format, file.size_bytes)).collect();
    assert_eq!(
        seen,
        [
            ("app.log", AttachmentFormat::Text, 350_000),
            ("shot.png", AttachmentFormat::Png, 600_008),
            ("view-hierarchy.json", AttachmentFormat::Json, 14)
        ]
    );
    // sha256 of {"windows":[]}
    assert_eq!(listed[2].sha256, {
        use sha2::Digest;
        let digest = sha2::Sha256::digest(b"{\"windows\":[]}");
        digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    });
    assert_eq!(listed[1].content_type, "text/html");
    for (file, bytes) in [(&listed[0], &log), (&listed[1], &image)] {
        let read = bench.errors.read_attachment(PROJECT, file.id).await.unwrap().unwrap();
        assert_eq!((&read.info, read.bytes == *bytes), (file, true));
    }
    let storage = bench.errors.sum_storage(PROJECT).await.unwrap();
    let files = storage.iter().find(|sum| sum.kind.as_str() == "attachment").unwrap();
    assert_eq!(files.items, 3);
    assert!((600_000..610_000).contains(&files.bytes), "{files:?}");
}

async fn a_file_is_seen_only_while_its_event_is_stored(db: TestDatabase) {
    let bench = Bench::new(db);
    take(&bench, &with_files(1, false, &[("early.txt", b"1")])).await;
    take(&bench, &with_files(2, false, &[("never.txt", b"2")])).await;
    assert_eq!(bench.errors.list_attachments(PROJECT, &event_id(1)).await.unwrap(), []);
    take(&bench, &with_files(1, true, &[])).await;
    let listed = bench.errors.list_attachments(PROJECT, &event_id(1)).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(bench.errors.sweep(&|| false).await.unwrap(), Swept::default());
    bench.clock.advance(Duration::from_secs(3_601));
    let swept = bench.errors.sweep(&|| false).await.unwrap();
    assert_eq!(swept, Swept { attachments: 1, ..Swept::default() });
    assert_eq!(bench.errors.list_attachments(PROJECT, &event_id(1)).await.unwrap(), listed);
    // What names no event at all is counted and left out.
    let nameless = b"{}\n{\"type\":\"attachment\",\"length\":1}\nx\n";
    assert_eq!(take(&bench, nameless).await, [counted("attachment", "dropped", "no_event", 1)]);
}

async fn the_same_file_sent_again_is_one(db: TestDatabase) {
    let bench = Bench::new(db);
    let files: [(&str, &[u8]); 3] = [("a.txt", b"1"), ("a.txt", b"1"), ("a.txt", b"2")];
    let body = with_files(1, true, &files);
    let first = take(&bench, &body).await;
    assert_eq!(
        first[..2],
        [counted("attachment", "dropped", "duplicate", 1), counted("attachment", "stored", "", 2)]
    );
    let again = take(&bench, &body).await;
    assert_eq!(
        again,
        [counted("attachment", "dropped", "duplicate", 3), counted("event", "dropped", "duplicate", 1)]
    );
}

async fn files_of_an_event_and_of_a_project_are_limited(db: TestDatabase) {
    let bench = Bench::new(db);
    let names: Vec<String> = (0..41).map(|number| format!("{number}.txt")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
    let counts = take(&bench, &with_files(1, true, &files)).await;
    assert_eq!(
        counts[..2],
        [counted("attachment", "dropped", "too_many_items", 21), counted("attachment", "stored", "", 20)]
    );
    let binary: Vec<u8> = (128..=255).collect();
    set(&bench, ProjectLimits { attachment_bytes_max: 200, ..ProjectLimits::default() }).await;
    let counts = take(&bench, &with_files(2, true, &[("a", &[1; 60]), ("b", &binary), ("c", b"x")])).await;
    // The files of the first event take 110 bytes, `a` shrinks to some 20 and `b` does not.
    assert_eq!(
        counts[..2],
        [counted("attachment", "dropped", "quota", 1), counted("attachment", "stored", "", 2)]
    );
    let entries = bench.audit.0.lock().unwrap();
    assert_eq!(entries.iter().map(|entry| entry.action).collect::<Vec<_>>(), ["limits_changed"]);
}

async fn a_deleted_file_is_gone_and_written_down(db: TestDatabase) {
    let bench = Bench::new(db);
    take(&bench, &with_files(1, true, &[("a.txt", b"1")])).await;
    let file = bench.errors.list_attachments(PROJECT, &event_id(1)).await.unwrap().remove(0);
    let delete = |project| DeleteAttachment {
        actor: Actor::System("test"),
        organisation: Id::from_bytes([1; 16]),
        project,
        attachment: file.id,
        request_id: None,
    };
    assert!(!bench.errors.delete_attachment(delete(OTHER_PROJECT)).await.unwrap());
    assert!(bench.errors.delete_attachment(delete(PROJECT)).await.unwrap());
    assert!(!bench.errors.delete_attachment(delete(PROJECT)).await.unwrap());
    assert_eq!(bench.errors.read_attachment(PROJECT, file.id).await.unwrap(), None);
    let entries = bench.audit.0.lock().unwrap();
    let written: Vec<_> = entries.iter().map(|entry| (entry.action, entry.detail["event"].clone())).collect();
    assert_eq!(written, [("attachment_deleted", json!(event_id(1)))]);
}

async fn a_file_of_another_project_does_not_exist(db: TestDatabase) {
    let bench = Bench::new(db);
    take(&bench, &with_files(1, true, &[("a.txt", b"1")])).await;
    let file = bench.errors.list_attachments(PROJECT, &event_id(1)).await.unwrap().remove(0);
    assert_eq!(bench.errors.list_attachments(OTHER_PROJECT, &event_id(1)).await.unwrap(), []);
    assert_eq!(bench.errors.read_attachment(OTHER_PROJECT, file.id).await.unwrap(), None);
    assert_eq!(bench.errors.list_attachments(PROJECT, "no id").await.unwrap(), []);
}
