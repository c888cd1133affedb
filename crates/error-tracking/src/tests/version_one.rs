//! The first version of the grouping rules keeps giving the hashes it gave: issues of that time are found by them.

use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Dialect, Id, StorageError, database_tests};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};

use super::fakes::{Bench, FakeScrubber, PROJECT, delivery, envelope, event_id, now};
use super::fixtures::events_of_real_sdks;
use crate::digest::Digester;
use crate::event::Arrival;
use crate::grouping_rules::GroupingContext;
use crate::{ErrorTracking, IssueId, ListIssues};

database_tests!(an_issue_of_the_first_version_keeps_collecting_its_events);

/// Frames of every platform whose names the first version cleaned, or did not.
fn frames() -> Vec<Value> {
    let mut events = Vec::new();
    for (platform, module, function) in [
        ("javascript", "", "Object.pay"),
        ("javascript", "", "HTMLButtonElement.<anonymous>"),
        ("node", "app:main.3f2a9b1c", "async Basket.pay [as onClick]"),
        ("java", "com.acme.Shop$$EnhancerBySpringCGLIB$$1ea0eb8b", "lambda$main$0"),
        ("java", "com.acme.Shop$$Lambda$14/0x0000000800c8", "run"),
        ("java", "sun.reflect.GeneratedMethodAccessor123", "invoke"),
        ("kotlin", "com.acme.MainKt$main$1", "invokeSuspend"),
        ("csharp", "Shop.Cart+<PayAsync>d__12", "MoveNext"),
        ("csharp", "Shop.Cart", "<>c__DisplayClass3_0.<Run>b__0"),
        ("php", "", "App\\{closure:/srv/app/a.php:12}"),
        ("php", "", "App\\Base@anonymous\u{0}/srv/a.php:3$0::run"),
        ("ruby", "", "_app_views_users_show_html_erb__1234_56"),
        ("ruby", "", "block (2 levels) in Shop#pay"),
        ("go", "main", "(*Server).Handle.func1.2"),
        ("go", "main", "Map[...].Each-fm"),
        ("rust", "", "depot::import::{{closure}}::h0123456789abcdef"),
        ("native", "", "void ns::(anonymous namespace)::run<int>(std::vector<int> const&) const"),
        ("native", "", "0x00007ff4a4709910"),
        ("cocoa", "", "-[ShopCart payWith:]"),
        ("cocoa", "", "closure #1 in Checkout.pay()"),
        ("elixir", "Elixir.Shop.Checkout", "anonymous fn/1 in Shop.Checkout.pay/2"),
        ("dart", "", "Shop.pay.<anonymous closure>"),
        ("python", "shop.views", "<lambda>"),
    ] {
        let mut inner =
            json!({"function": function, "in_app": true, "package": "/usr/lib/libshop.so", "lineno": 3});
        if !module.is_empty() {
            inner["module"] = module.into();
        }
        let outer = json!({"function": "main", "filename": "src/main.x", "in_app": true});
        let frames = json!([outer, inner, inner, outer, inner]);
        events.push(json!({"platform": platform, "exception": [{"type": "Fault", "value": "of 17", "stacktrace": {"frames": frames}}]}));
    }
    let group = |id: u32, parent: Option<u32>, kind: &str, is_group: bool| json!({"type": kind, "value": format!("row {id}"), "mechanism": {"exception_id": id, "parent_id": parent, "is_exception_group": is_group}});
    events.push(json!({"platform": "python", "exception": [
        group(2, Some(0), "KeyError", false), group(1, Some(0), "ValueError", false), group(0, None, "ExceptionGroup", true),
    ]}));
    events.push(json!({"platform": "native", "threads": [
        {"id": 1, "stacktrace": {"frames": [{"function": "wait"}]}},
        {"id": 2, "crashed": true, "stacktrace": {"frames": [{"function": "main"}, {"function": "abort"}]}},
    ]}));
    events
        .push(json!({"logentry": {"formatted": "customer cus_NffrFeUfNV2Hib of job_4711 left after 17 s"}}));
    events.push(json!({"logentry": {"formatted": format!("{} 17 and 4711", "words ".repeat(170))}}));
    events.push(json!({"csp": {"effective-directive": "img-src", "blocked-uri": "http://evil.example"}, "logger": "csp"}));
    events.push(json!({"message": "m", "tags": {"a": "b"}, "transaction": "/pay", "fingerprint": ["{{ tags.a }}", "{{ stack.abs_path }}", "{{ default }}"]}));
    events
}

/// A hash and the event it belongs to, a line.
const HASHES: &str = include_str!("version_one.txt");

#[test]
fn the_first_version_gives_the_hashes_it_gave() {
    let context = GroupingContext::default();
    let mut digester = Digester::try_new(&FakeScrubber, &context).unwrap();
    let arrival = Arrival { received_at: now(), ..Arrival::default() };
    let made = frames().into_iter().enumerate().map(|(index, event)| (format!("made {index}"), event));
    let mut read = 0;
    for ((name, event), line) in events_of_real_sdks().into_iter().chain(made).zip(HASHES.lines()) {
        let grouping = digester.digest(PROJECT, event, &arrival).unwrap().grouping;
        let older = grouping.older_hash.unwrap();
        let hash = older.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        assert_eq!(format!("{hash} {name}"), line);
        assert_eq!(grouping.version, 2);
        assert_ne!(grouping.hash, older);
        read += 1;
    }
    assert_eq!(read, HASHES.lines().count());
    assert!(read > 50, "only {read} events");
}

/// Makes an issue as the first version would have.
async fn make_older_issue(bench: &Bench, number: u32, event: &Value) -> IssueId {
    bench.take_in_envelopes(&[envelope(&with_id(event, number))]).await;
    let id = bench.errors.find_event(PROJECT, &event_id(number)).await.unwrap().unwrap().issue;
    let mut digested = {
        let context = GroupingContext::default();
        let mut digester = Digester::try_new(&FakeScrubber, &context).unwrap();
        let arrival = Arrival { received_at: now(), ..Arrival::default() };
        digester.digest(PROJECT, event.clone(), &arrival).unwrap()
    };
    let older = Id::<()>::from_bytes(digested.grouping.older_hash.take().unwrap());
    let hash = Id::<()>::from_bytes(digested.grouping.hash);
    let (first, second) =
        if bench.db.database().dialect() == Dialect::Postgres { ("$1", "$2") } else { ("?", "?") };
    let text = format!(
        "UPDATE error_issue_hash SET version = 1, hash = {first} WHERE version = 2 AND hash = {second}"
    );
    bench
        .db
        .write(async |tx| {
            let statement =
                Statement::from_sql_and_values(tx.get_database_backend(), &text, [older.into(), hash.into()]);
            let changed = tx.execute_raw(statement).await?.rows_affected();
            assert_eq!(changed, 1);
            Ok::<_, StorageError>(())
        })
        .await
        .unwrap();
    id
}

fn with_id(event: &Value, number: u32) -> Value {
    let mut event = event.clone();
    event["event_id"] = event_id(number).into();
    event
}

async fn an_issue_of_the_first_version_keeps_collecting_its_events(db: TestDatabase) {
    let bench = Bench::new(db);
    let event = &frames()[0];
    let other = &frames()[3];
    let id = make_older_issue(&bench, 1, event).await;
    let bench = bench.restarted();
    // One process for all that follows: it asks for the older hash until it knows the new one.
    let handlers = bench.errors.intake_handlers();
    let handler = handlers.iter().find(|handler| handler.kind() == "sentry.envelope").unwrap();
    for batch in [[with_id(event, 2), with_id(event, 3)], [with_id(event, 4), with_id(other, 5)]] {
        let deliveries = batch.iter().map(|event| delivery("sentry.envelope", envelope(event).as_bytes()));
        let prepared = handler.prepare(deliveries.collect()).await.unwrap();
        bench.db.write(async |tx| prepared.batch.store(tx).await).await.unwrap();
    }
    let issues = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items;
    let mut counts: Vec<(IssueId, u64)> = issues.iter().map(|issue| (issue.id, issue.events)).collect();
    counts.sort_unstable_by_key(|(_, events)| *events);
    assert_eq!(counts.len(), 2);
    assert_eq!(counts[1], (id, 4));
    // From now on the new hash leads there: a third process finds it whether or not the older one is asked for.
    let rows = bench.db.database();
    let statement = Statement::from_string(
        rows.read().get_database_backend(),
        "SELECT issue_id FROM error_issue_hash WHERE version = 2",
    );
    let found: Vec<IssueId> = rows
        .read()
        .query_all_raw(statement)
        .await
        .unwrap()
        .iter()
        .map(|row| row.try_get_by_index(0).unwrap())
        .collect();
    assert!(found.contains(&id));
    assert_eq!(found.len(), 2);
}
