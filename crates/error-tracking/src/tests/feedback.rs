use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_kernel::{Actor, KeyOwner, Vault, VaultError};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Id, PageRequest, Tx, database_tests, query_sql};
use serde_json::{Value, json};

use super::fakes::{Bench, OTHER_PROJECT, PROJECT, delivery, envelope, event_id, tallies};
use crate::attachment::Attachments;
use crate::feedback::{
    ChangeFeedback, Contact, Feedback, FeedbackAct, FeedbackId, FeedbackStatus, FeedbackSummary,
    ListFeedback, RevealContact,
};
use crate::retention::Retention;
use crate::{ErrorTracking, ListIssues};

database_tests!(
    what_people_say_is_found_beside_the_error,
    a_report_before_its_event_is_found_once_the_event_is_there,
    names_and_addresses_are_sealed_and_revealing_is_written_down,
    feedback_is_resolved_assigned_and_deleted_with_its_files,
    lists_filter_by_status_and_text_page_by_page,
    feedback_of_another_project_does_not_exist,
);

/// Writes the owner before the reversed text.
struct FakeVault;

#[async_trait]
impl Vault for FakeVault {
    async fn seal_in(&self, _: &Tx, owner: KeyOwner, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut sealed = format!("{owner:?}|").into_bytes();
        sealed.extend(plain.iter().map(|byte| byte ^ 0x55));
        Ok(sealed)
    }

    async fn open(&self, owner: KeyOwner, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let owner = format!("{owner:?}|");
        let plain = sealed.strip_prefix(owner.as_bytes()).ok_or(VaultError::Tampered)?;
        Ok(plain.iter().map(|byte| byte ^ 0x55).collect())
    }
}

fn bench(db: TestDatabase) -> Bench {
    let bench = Bench::new(db);
    Bench { errors: bench.errors.with_vault(Arc::new(FakeVault)), ..bench }
}

fn feedback(number: u32, message: &str, about: Option<u32>) -> String {
    let event = json!({
        "event_id": event_id(number),
        "contexts": {"feedback": {
            "message": message,
            "name": "Ada Byron",
            "contact_email": "ada@example.com",
            "url": "https://shop.example/basket",
            "associated_event_id": about.map(event_id),
        }},
        "tags": {"feature": "checkout"},
    });
    format!("{{}}\n{{\"type\":\"feedback\"}}\n{event}")
}

fn report(about: u32, comments: &str) -> String {
    let report =
        json!({"event_id": event_id(about), "name": "Ada", "email": "ada@example.com", "comments": comments});
    format!("{{\"event_id\":\"{}\"}}\n{{\"type\":\"user_report\"}}\n{report}", event_id(about))
}

fn error(number: u32) -> String {
    envelope(&json!({"event_id": event_id(number), "exception": [{"type": "A"}]}))
}

fn all() -> ListFeedback {
    ListFeedback { project: PROJECT, status: None, issue: None, text: None, page: PageRequest::first(50) }
}

async fn list(bench: &Bench, query: ListFeedback) -> Vec<FeedbackSummary> {
    bench.errors.list_feedback(query).await.unwrap().items
}

fn change(feedback: Vec<FeedbackId>, act: FeedbackAct) -> ChangeFeedback {
    ChangeFeedback {
        actor: Actor::System("test"),
        organisation: Id::from_bytes([1; 16]),
        project: PROJECT,
        feedback,
        act,
        request_id: None,
    }
}

async fn what_people_say_is_found_beside_the_error(db: TestDatabase) {
    let bench = bench(db);
    let bodies = [
        error(1),
        feedback(2, "The button\ndoes nothing", Some(1)),
        report(1, "It broke"),
        report(1, "It broke"),
    ];
    let (stored, rejected) = bench.take_in_envelopes(&bodies).await;
    assert_eq!(rejected, []);
    assert_eq!(
        tallies(&stored),
        [
            ("event", "stored", "", 1),
            ("feedback", "stored", "", 1),
            ("user_report", "dropped", "duplicate", 1),
            ("user_report", "stored", "", 1)
        ]
    );
    let issue = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items.remove(0).id;
    let said = list(&bench, ListFeedback { issue: Some(issue), ..all() }).await;
    let mut messages: Vec<_> =
        said.iter().map(|said| (said.source.as_str(), said.message.as_str())).collect();
    messages.sort_unstable();
    assert_eq!(messages, [("feedback", "The button\ndoes nothing"), ("user_report", "It broke")]);
    assert!(said.iter().all(|said| said.has_event && said.issue == Some(issue) && said.has_contact));
    let widget = said.iter().find(|said| said.source == "feedback").unwrap();
    let whole = bench.errors.find_feedback(PROJECT, widget.id).await.unwrap().unwrap();
    assert_eq!(whole.summary, *widget);
    assert_eq!(whole.payload["tags"], json!([["feature", "checkout"]]));
    assert_eq!(widget.url.as_deref(), Some("https://shop.example/basket"));
}

async fn a_report_before_its_event_is_found_once_the_event_is_there(db: TestDatabase) {
    let bench = bench(db);
    bench.take_in_envelopes(&[report(1, "It broke")]).await;
    let said = list(&bench, all()).await.remove(0);
    assert_eq!((said.has_event, said.issue), (false, None));
    assert_eq!(said.associated_event_id, Some(event_id(1)));
    bench.take_in_envelopes(&[error(1)]).await;
    let issue = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items.remove(0).id;
    let beside = || list(&bench, ListFeedback { issue: Some(issue), ..all() });
    assert_eq!(beside().await.len(), 1);
    assert_eq!(bench.errors.sweep(&|| false).await.unwrap().associated, 1);
    assert_eq!(bench.errors.sweep(&|| false).await.unwrap().associated, 0);
    let beside = beside().await;
    assert_eq!((beside.len(), beside[0].has_event, beside[0].issue), (1, true, Some(issue)));
}

async fn names_and_addresses_are_sealed_and_revealing_is_written_down(db: TestDatabase) {
    let bench = bench(db);
    bench.take_in_envelopes(&[feedback(1, "Write to ada@example.com", None)]).await;
    let said = list(&bench, all()).await.remove(0);
    assert!(!said.message.contains("ada@example.com"), "{}", said.message);
    let sql = "SELECT message, search_text, url, contact, payload FROM error_feedback";
    let row = query_sql(bench.db.read(), sql, []).await.unwrap().remove(0);
    let contact: Vec<u8> = row.try_get_by_index(3).unwrap();
    assert!(!String::from_utf8_lossy(&contact).contains("ada@"));
    let payload: Vec<u8> = row.try_get_by_index(4).unwrap();
    let payload = crate::digest::unpack(&payload).unwrap().event.to_string();
    assert!(!payload.contains("ada@example.com") && !payload.contains("Ada Byron"), "{payload}");
    let reveal = |project| RevealContact {
        actor: Actor::System("test"),
        organisation: Id::from_bytes([1; 16]),
        project,
        feedback: said.id,
        request_id: None,
    };
    assert_eq!(bench.errors.reveal_contact(reveal(OTHER_PROJECT)).await.unwrap(), None);
    assert_eq!(bench.audit.0.lock().unwrap().len(), 0);
    let contact = bench.errors.reveal_contact(reveal(PROJECT)).await.unwrap();
    let expected = Contact { name: Some("Ada Byron".to_owned()), email: Some("ada@example.com".to_owned()) };
    assert_eq!(contact, Some(expected));
    assert_eq!(bench.audit.0.lock().unwrap()[0].action, "sensitive_read");
}

async fn feedback_is_resolved_assigned_and_deleted_with_its_files(db: TestDatabase) {
    let bench = bench(db);
    let body = format!(
        "{}\n{{\"type\":\"attachment\",\"length\":1,\"filename\":\"shot.png\"}}\nx\n",
        feedback(1, "Help", None)
    );
    let body = body.replacen("{}", &format!("{{\"event_id\":\"{}\"}}", event_id(1)), 1);
    let (stored, _) = bench.take_in_envelopes(&[body, feedback(2, "Other", None)]).await;
    assert_eq!(tallies(&stored), [("attachment", "stored", "", 1), ("feedback", "stored", "", 2)]);
    let said = list(&bench, all()).await;
    let first = said.iter().find(|said| said.message == "Help").unwrap();
    assert_eq!(bench.errors.list_attachments(PROJECT, &first.event_id).await.unwrap().len(), 1);
    let act = |act| bench.errors.change_feedback(change(vec![first.id], act));
    assert_eq!(act(FeedbackAct::SetStatus(FeedbackStatus::Resolved)).await.unwrap(), 1);
    assert_eq!(act(FeedbackAct::SetStatus(FeedbackStatus::Resolved)).await.unwrap(), 0);
    let ada = Id::from_bytes([9; 16]);
    assert_eq!(act(FeedbackAct::Assign(Some(ada))).await.unwrap(), 1);
    let now = bench.errors.find_feedback(PROJECT, first.id).await.unwrap().unwrap().summary;
    assert_eq!((now.status, now.assignee), (FeedbackStatus::Resolved, Some(ada)));
    assert_eq!(bench.errors.count_feedback(PROJECT, FeedbackStatus::Unresolved).await.unwrap(), 1);
    assert_eq!(act(FeedbackAct::Delete).await.unwrap(), 1);
    assert_eq!(list(&bench, all()).await.len(), 1);
    assert_eq!(bench.errors.list_attachments(PROJECT, &first.event_id).await.unwrap(), []);
    let rows = query_sql(bench.db.read(), "SELECT 1 FROM error_attachment_piece", []).await.unwrap();
    assert_eq!(rows.len(), 0);
    let actions: Vec<_> = bench.audit.0.lock().unwrap().iter().map(|entry| entry.action).collect();
    assert_eq!(actions, ["feedback_status_changed", "feedback_assigned", "feedback_deleted"]);
}

async fn lists_filter_by_status_and_text_page_by_page(db: TestDatabase) {
    let bench = bench(db);
    for number in 1..=5 {
        bench.take_in_envelopes(&[feedback(number, &format!("Größe {number} 100%"), None)]).await;
        bench.clock.advance(Duration::from_secs(1));
    }
    let messages =
        |said: &[FeedbackSummary]| said.iter().map(|said| said.message.clone()).collect::<Vec<_>>();
    let page =
        bench.errors.list_feedback(ListFeedback { page: PageRequest::first(3), ..all() }).await.unwrap();
    assert_eq!(messages(&page.items), ["Größe 5 100%", "Größe 4 100%", "Größe 3 100%"]);
    let rest = ListFeedback { page: PageRequest::new(3, page.next), ..all() };
    assert_eq!(messages(&list(&bench, rest).await), ["Größe 2 100%", "Größe 1 100%"]);
    for (text, found) in [("GRÖSSE", 0), ("GRÖßE 3", 1), ("100%", 5), ("1_0", 0), ("\0", 0)] {
        let query = ListFeedback { text: Some(text.to_owned()), ..all() };
        assert_eq!(list(&bench, query).await.len(), found, "{text:?}");
    }
    let resolved = ListFeedback { status: Some(FeedbackStatus::Resolved), ..all() };
    assert_eq!(list(&bench, resolved).await.len(), 0);
    let wrong = ListFeedback { page: PageRequest::new(3, Some("x".to_owned().into())), ..all() };
    assert!(bench.errors.list_feedback(wrong).await.is_err());
}

async fn feedback_of_another_project_does_not_exist(db: TestDatabase) {
    let bench = bench(db);
    bench
        .take_in("sentry.envelope", vec![delivery("sentry.envelope", feedback(1, "Help", None).as_bytes())])
        .await
        .unwrap();
    let said = list(&bench, all()).await.remove(0);
    assert_eq!(bench.errors.find_feedback(OTHER_PROJECT, said.id).await.unwrap(), None);
    assert_eq!(list(&bench, ListFeedback { project: OTHER_PROJECT, ..all() }).await.len(), 0);
    let foreign = ChangeFeedback { project: OTHER_PROJECT, ..change(vec![said.id], FeedbackAct::Delete) };
    assert_eq!(bench.errors.change_feedback(foreign).await.unwrap(), 0);
    assert_eq!(list(&bench, all()).await.len(), 1);
    let _: Value = bench.errors.find_feedback(PROJECT, said.id).await.unwrap().unwrap().payload;
}
