use belvedere_storage::{database_tests, execute_sql};

use super::*;
use crate::store;

database_tests!(
    endpoints_are_made_changed_and_deleted_with_an_entry_each,
    what_cannot_be_an_endpoint_is_refused,
    other_projects_have_no_such_endpoint,
    a_disabled_endpoint_waits_and_a_deleted_one_takes_its_deliveries_along,
    both_secrets_sign_for_a_day,
    a_ping_is_delivered_like_anything_else,
    an_erased_learner_is_in_no_delivery,
    the_oldest_are_dropped_and_counted_where_too_many_wait,
    what_is_too_large_is_counted,
    old_deliveries_go_and_lost_jobs_come_back,
    every_failed_statement_leaves_all_or_nothing,
);

async fn endpoints_are_made_changed_and_deleted_with_an_entry_each(db: TestDatabase) {
    let world = World::new(db).await;
    let url = "https://hooks.example.org/T0/secret".to_owned();
    let kinds = vec![NoticeKind::IssueNew, MILESTONE, MILESTONE];
    let new = NewEndpoint { url: url.clone(), kinds };
    let (made, secret) = world.alerting.create_endpoint(PROJECT, new, &by()).await.unwrap();
    assert_eq!(made.kinds, [MILESTONE, NoticeKind::IssueNew]);
    assert_eq!((made.url.as_str(), made.is_enabled, made.created_at), (url.as_str(), true, START));
    assert!(secret.reveal().starts_with("whsec_"));
    assert_eq!(world.alerting.list_endpoints(PROJECT).await.unwrap(), std::slice::from_ref(&made));
    let rows = query_sql(world.db.read(), "SELECT secret_sealed FROM alerting_endpoint", []).await.unwrap();
    let sealed: Vec<u8> = rows[0].try_get("", "secret_sealed").unwrap();
    assert_eq!(sealed, secret.as_bytes().iter().map(|byte| !byte).collect::<Vec<u8>>());
    let change = EndpointChange {
        kinds: Some(vec![NoticeKind::LearnerStruggling]),
        is_enabled: Some(false),
        ..EndpointChange::default()
    };
    let changed = world.alerting.change_endpoint(PROJECT, made.id, change, &by()).await.unwrap();
    assert_eq!(world.alerting.find_endpoint(PROJECT, made.id).await.unwrap(), Some(changed.clone()));
    assert_eq!((changed.url, changed.is_enabled), (url, false));
    world.alerting.delete_endpoint(PROJECT, made.id, &by()).await.unwrap();
    assert_eq!(world.alerting.list_endpoints(PROJECT).await.unwrap(), []);
    assert_eq!(world.actions(), ["webhook_created", "webhook_changed", "webhook_deleted"]);
    let entries = world.entries.0.lock().unwrap();
    assert!(entries.iter().all(|entry| entry.actor == by().actor && entry.project == Some(PROJECT)));
    assert_eq!(entries[0].detail["host"], "hooks.example.org");
    assert!(entries.iter().all(|entry| !entry.detail.to_string().contains("secret")));
}

async fn what_cannot_be_an_endpoint_is_refused(db: TestDatabase) {
    let world = World::new(db).await;
    let refused = async |url: &str, kinds: Vec<NoticeKind>| {
        let new = NewEndpoint { url: url.to_owned(), kinds };
        match world.cautious().create_endpoint(PROJECT, new, &by()).await {
            Err(AlertingError::Invalid { field, .. }) => field,
            other => panic!("{url}: {other:?}"),
        }
    };
    for url in [
        "http://hooks.example.org/",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://a@b.example/",
        "https://[::1]/",
    ] {
        assert_eq!(refused(url, vec![MILESTONE]).await, "url");
    }
    assert_eq!(refused("https://hooks.example.org/", Vec::new()).await, "kinds");
    for _ in 0..ENDPOINTS_MAX {
        world.endpoint().await;
    }
    assert_eq!(refused("https://hooks.example.org/", vec![MILESTONE]).await, "url");
    let cursor = PageRequest::new(10, Some("x~y".to_owned().into()));
    let endpoint = world.alerting.list_endpoints(PROJECT).await.unwrap()[0].id;
    let page = world.alerting.list_deliveries(PROJECT, endpoint, cursor).await;
    assert!(matches!(page, Err(AlertingError::Invalid { field: "cursor", .. })));
}

async fn other_projects_have_no_such_endpoint(db: TestDatabase) {
    let world = World::new(db).await;
    let (endpoint, _) = world.endpoint().await;
    world.notify(&[notice("a", 1)]).await;
    let delivery = world.deliveries(endpoint).await[0].id;
    let (other, alerting) = (ProjectId(8), &world.alerting);
    let change = EndpointChange { is_enabled: Some(false), ..EndpointChange::default() };
    let page = PageRequest::first(10);
    assert_eq!(alerting.find_endpoint(other, endpoint).await.unwrap(), None);
    let answers = [
        alerting.change_endpoint(other, endpoint, change, &by()).await.err(),
        alerting.delete_endpoint(other, endpoint, &by()).await.err(),
        alerting.rotate_secret(other, endpoint, &by()).await.err(),
        alerting.ping(other, endpoint, &by()).await.err(),
        alerting.list_deliveries(other, endpoint, page).await.err(),
        alerting.resend(other, endpoint, delivery, &by()).await.err(),
    ];
    for answer in answers {
        assert!(matches!(answer, Some(AlertingError::NotFound(_))), "{answer:?}");
    }
    assert_eq!(world.actions(), ["webhook_created"]);
}

async fn a_disabled_endpoint_waits_and_a_deleted_one_takes_its_deliveries_along(db: TestDatabase) {
    let world = World::new(db).await;
    let (endpoint, _) = world.endpoint().await;
    let enable = async |is_enabled: bool| {
        let change = EndpointChange { is_enabled: Some(is_enabled), ..EndpointChange::default() };
        world.alerting.change_endpoint(PROJECT, endpoint, change, &by()).await.unwrap();
    };
    world.notify(&[notice("a", 1)]).await;
    enable(false).await;
    world.notify(&[notice("b", 1)]).await;
    world.work().await;
    assert!(world.received().is_empty());
    assert!(matches!(
        world.alerting.ping(PROJECT, endpoint, &by()).await,
        Err(AlertingError::Invalid { field: "is_enabled", .. })
    ));
    enable(true).await;
    world.work().await;
    assert_eq!(world.received().len(), 1);
    world.notify(&[notice("c", 1)]).await;
    world.alerting.delete_endpoint(PROJECT, endpoint, &by()).await.unwrap();
    world.work().await;
    assert_eq!(world.received().len(), 1);
    let left = query_sql(world.db.read(), "SELECT id FROM alerting_delivery", []).await.unwrap();
    assert!(left.is_empty());
}

async fn both_secrets_sign_for_a_day(db: TestDatabase) {
    let world = World::new(db).await;
    let (endpoint, old) = world.endpoint().await;
    let new = world.alerting.rotate_secret(PROJECT, endpoint, &by()).await.unwrap();
    assert_ne!(new, old);
    world.notify(&[notice("a", 1)]).await;
    world.work().await;
    world.pass(86_400);
    world.notify(&[notice("b", 1)]).await;
    world.work().await;
    let expected = |received: &Received, secrets: &[&SigningSecret]| {
        let at = received.header("webhook-timestamp").parse().unwrap();
        let sign = |secret: &&SigningSecret| secret.sign(received.header("webhook-id"), at, &received.body);
        secrets.iter().map(sign).collect::<Vec<_>>().join(" ")
    };
    let received = world.received();
    assert_eq!(received[0].header("webhook-signature"), expected(&received[0], &[&new, &old]));
    assert_eq!(received[1].header("webhook-signature"), expected(&received[1], &[&new]));
    assert_eq!(world.actions(), ["webhook_created", "webhook_secret_rotated"]);
}

async fn a_ping_is_delivered_like_anything_else(db: TestDatabase) {
    let world = World::new(db).await;
    let (endpoint, _) = world.endpoint().await;
    let delivery = world.alerting.ping(PROJECT, endpoint, &by()).await.unwrap();
    let second = world.alerting.ping(PROJECT, endpoint, &by()).await.unwrap();
    world.work().await;
    let received = world.received();
    assert_eq!(received.len(), 2);
    assert_eq!((&received[0].json()["type"], &received[0].json()["data"]), (&json!("ping"), &json!({})));
    let ids: Vec<DeliveryId> = world.deliveries(endpoint).await.iter().map(|it| it.id).collect();
    assert!(ids.contains(&delivery) && ids.contains(&second));
    assert_eq!(world.actions(), ["webhook_created", "webhook_tested", "webhook_tested"]);
}

async fn an_erased_learner_is_in_no_delivery(db: TestDatabase) {
    let world = World::new(db).await;
    let (endpoint, _) = world.endpoint().await;
    world.notify(&[notice("a", 1), notice("b", 2), notice("c", 1)]).await;
    let data = world.alerting.subject_data();
    let exported = data.export(PROJECT, SubjectId(1), None).await.unwrap();
    assert_eq!((exported.records.len(), exported.next), (2, None));
    assert_eq!(exported.records[0]["body"]["data"]["subject"], 1);
    assert_eq!(data.count(PROJECT, SubjectId(1)).await.unwrap(), 2);
    assert_eq!(data.erase(ProjectId(8), SubjectId(1)).await.unwrap(), 0);
    assert_eq!(data.erase(PROJECT, SubjectId(1)).await.unwrap(), 2);
    assert_eq!(data.erase(PROJECT, SubjectId(1)).await.unwrap(), 0);
    assert_eq!(data.count(PROJECT, SubjectId(1)).await.unwrap(), 0);
    world.work().await;
    let received = world.received();
    assert_eq!((received.len(), &received[0].json()["data"]["subject"]), (1, &json!(2)));
    assert_eq!(world.deliveries(endpoint).await.len(), 1);
    assert_eq!(world.actions(), ["webhook_created", "webhook_subject_erased"]);
    // More than a page, each once.
    let many: Vec<Notice> = (0..250).map(|number| notice(&number.to_string(), 3)).collect();
    world.notify(&many).await;
    let (mut after, mut ids) = (None, std::collections::BTreeSet::new());
    loop {
        let page = data.export(PROJECT, SubjectId(3), after).await.unwrap();
        ids.extend(page.records.iter().map(|record| record["id"].to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(ids.len(), 250);
}

async fn the_oldest_are_dropped_and_counted_where_too_many_wait(db: TestDatabase) {
    let world = World::new(db).await;
    let (endpoint, _) = world.endpoint().await;
    for number in 0..5 {
        world.notify(&[notice(&number.to_string(), number)]).await;
        world.pass(1);
    }
    let drop = async |keep: u64| {
        world
            .db
            .write::<_, StorageError, _>(async |tx| store::drop_oldest(tx, endpoint, keep).await)
            .await
            .unwrap()
    };
    assert_eq!((drop(5).await, drop(3).await), (0, 2));
    let left: Vec<Timestamp> = world.deliveries(endpoint).await.iter().map(|it| it.created_at).collect();
    let at = |seconds: u64| START.plus(Duration::from_secs(seconds));
    assert_eq!(left, [at(4), at(3), at(2)]);
    // At the real limit, by way of the front.
    let many: Vec<Notice> = (0..10_000).map(|number| notice(&format!("m{number}"), number)).collect();
    world.notify(&many).await;
    let endpoint = world.alerting.find_endpoint(PROJECT, endpoint).await.unwrap().unwrap();
    assert_eq!((endpoint.waiting, endpoint.dropped), (10_000, 3));
}

async fn what_is_too_large_is_counted(db: TestDatabase) {
    let world = World::new(db).await;
    let (endpoint, _) = world.endpoint().await;
    let large = Notice { data: json!({ "text": "a".repeat(64 << 10) }), ..notice("a", 1) };
    world.notify(&[large, notice("b", 1)]).await;
    world.work().await;
    let endpoint = world.alerting.find_endpoint(PROJECT, endpoint).await.unwrap().unwrap();
    assert_eq!((world.received().len(), endpoint.dropped), (1, 1));
}

async fn old_deliveries_go_and_lost_jobs_come_back(db: TestDatabase) {
    let world = World::new(db).await;
    let (endpoint, _) = world.endpoint().await;
    world.notify(&[notice("a", 1)]).await;
    world
        .db
        .write::<_, StorageError, _>(async |tx| execute_sql(tx, "DELETE FROM jobs_job", []).await)
        .await
        .unwrap();
    world.work().await;
    assert!(world.received().is_empty());
    world.pass(301);
    world.alerting.sweep(|| false).await.unwrap();
    world.work().await;
    assert_eq!(world.received().len(), 1);
    world.pass(29 * 86_400);
    world.alerting.sweep(|| false).await.unwrap();
    assert_eq!(world.deliveries(endpoint).await.len(), 1);
    world.pass(86_400);
    world.alerting.sweep(|| false).await.unwrap();
    assert_eq!(world.deliveries(endpoint).await.len(), 0);
}

async fn every_failed_statement_leaves_all_or_nothing(db: TestDatabase) {
    let world = World::new(db).await;
    let (endpoint, _) = world.endpoint().await;
    for n in 0.. {
        world.db.faults().fail_after(n);
        let notices = [notice("a", 1)];
        let told = world
            .db
            .write::<_, StorageError, _>(async |tx| world.alerting.notify_in(tx, PROJECT, &notices).await)
            .await;
        let is_through = world.db.faults().take_unused();
        assert_eq!(told.is_ok(), is_through, "after {n} statements");
        let count = world.deliveries(endpoint).await.len();
        assert_eq!((count, world.jobs.count_jobs().await.unwrap().waiting), (count, count as u64));
        assert_eq!(count, usize::from(is_through));
        if is_through {
            assert!(n >= 4, "{n} statements are too few");
            break;
        }
    }
}
