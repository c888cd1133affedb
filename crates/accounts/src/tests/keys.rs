use std::time::Duration;

use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Id, PageRequest};

use super::{World, browser, message};
use crate::{AccountsError, IngestKeyChange, IngestKeyInfo, IngestKeys as _, NewIngestKey};

belvedere_storage::database_tests!(
    a_key_is_found_until_it_is_revoked,
    a_change_by_another_process_is_seen_within_five_seconds,
    a_key_that_was_unknown_is_found_as_soon_as_it_is_made,
    known_keys_work_while_the_database_is_away,
    a_key_is_limited_to_a_rate_and_to_origins,
    keys_are_listed_newest_first_in_pages,
    a_project_has_at_most_a_hundred_working_keys,
);

fn new_key(first: &crate::FirstSteps, label: &str) -> NewIngestKey {
    let project = first.project.id;
    NewIngestKey {
        project,
        label: label.to_owned(),
        rate_limit_per_minute: None,
        allowed_origins: Vec::new(),
    }
}

async fn a_key_is_found_until_it_is_revoked(db: TestDatabase) {
    let (world, first, owner) = World::started(db).await;
    let (accounts, key) = (&world.accounts, &first.key);
    assert_eq!(accounts.find_ingest_key(&key.public_key).await.unwrap().as_deref(), Some(key));
    world.acts().await;
    accounts.revoke_ingest_key(&owner, key.id, &browser()).await.unwrap();
    assert_eq!(accounts.find_ingest_key(&key.public_key).await.unwrap(), None);
    accounts.revoke_ingest_key(&owner, key.id, &browser()).await.unwrap();
    assert_eq!(world.acts().await, ["ingest_key_revoked success by user"]);
    for malformed in
        ["", "x", &key.public_key.to_uppercase(), &format!("{}0", key.public_key), "ü".repeat(16).as_str()]
    {
        assert_eq!(accounts.find_ingest_key(malformed).await.unwrap(), None, "{malformed}");
    }
}

async fn a_change_by_another_process_is_seen_within_five_seconds(db: TestDatabase) {
    let (world, first, owner) = World::started(db).await;
    let public_key = &first.key.public_key;
    assert!(world.accounts.find_ingest_key(public_key).await.unwrap().is_some());
    world.another_process().revoke_ingest_key(&owner, first.key.id, &browser()).await.unwrap();
    world.clock.advance(Duration::from_millis(3_999));
    assert!(world.accounts.find_ingest_key(public_key).await.unwrap().is_some());
    world.clock.advance(Duration::from_millis(1_001));
    assert_eq!(world.accounts.find_ingest_key(public_key).await.unwrap(), None);
}

async fn a_key_that_was_unknown_is_found_as_soon_as_it_is_made(db: TestDatabase) {
    let (world, first, owner) = World::started(db).await;
    let unknown = "0123456789abcdef0123456789abcdef";
    assert_eq!(world.accounts.find_ingest_key(unknown).await.unwrap(), None);
    let key = world.accounts.create_ingest_key(&owner, new_key(&first, "Web"), &browser()).await.unwrap();
    // As if the random digits had come out like this.
    world
        .execute(&format!("UPDATE accounts_ingest_key SET public_key = '{unknown}' WHERE label = 'Web'"))
        .await;
    let change = IngestKeyChange {
        key: key.id,
        label: None,
        rate_limit_per_minute: Some(Some(5)),
        allowed_origins: None,
    };
    world.accounts.update_ingest_key(&owner, change, &browser()).await.unwrap();
    let found = world.accounts.find_ingest_key(unknown).await.unwrap().unwrap();
    assert_eq!((found.id, found.rate_limit_per_minute), (key.id, Some(5)));
}

async fn known_keys_work_while_the_database_is_away(db: TestDatabase) {
    let (world, first, _) = World::started(db).await;
    let public_key = &first.key.public_key;
    assert!(world.accounts.find_ingest_key(public_key).await.unwrap().is_some());
    world.db.close().await.unwrap();
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(20));
        assert_eq!(world.accounts.find_ingest_key(public_key).await.unwrap().as_deref(), Some(&first.key));
        let unknown = world.accounts.find_ingest_key("0123456789abcdef0123456789abcdef").await;
        assert!(
            matches!(&unknown, Err(AccountsError::Storage(error)) if error.is_transient()),
            "{unknown:?}"
        );
    }
}

async fn a_key_is_limited_to_a_rate_and_to_origins(db: TestDatabase) {
    let (world, first, owner) = World::started(db).await;
    world.acts().await;
    let new = NewIngestKey {
        rate_limit_per_minute: Some(600),
        allowed_origins: vec!["https://App.example.org".to_owned(), "https://*.example.org".to_owned()],
        ..new_key(&first, "Web")
    };
    let key = world.accounts.create_ingest_key(&owner, new.clone(), &browser()).await.unwrap();
    assert_eq!(key.allowed_origins, ["https://app.example.org", "https://*.example.org"]);
    let found = world.accounts.find_ingest_key(&key.public_key).await.unwrap().unwrap();
    assert_eq!((found.as_ref(), found.allows_origin("https://evil.example")), (&key, false));

    let change = IngestKeyChange {
        key: key.id,
        label: Some("App".to_owned()),
        rate_limit_per_minute: Some(None),
        allowed_origins: Some(Vec::new()),
    };
    let changed = world.accounts.update_ingest_key(&owner, change, &browser()).await.unwrap();
    let expected = IngestKeyInfo {
        label: "App".to_owned(),
        rate_limit_per_minute: None,
        allowed_origins: Vec::new(),
        ..key.clone()
    };
    assert_eq!(changed, expected);
    assert_eq!(world.accounts.find_ingest_key(&key.public_key).await.unwrap().as_deref(), Some(&expected));
    assert_eq!(
        world.acts().await,
        ["ingest_key_created success by user", "ingest_key_updated success by user"]
    );

    let bad = NewIngestKey { rate_limit_per_minute: Some(0), ..new.clone() };
    let expected = "rate_limit_per_minute: must be 1 to 1000000, or nothing for unlimited";
    assert_eq!(message(world.accounts.create_ingest_key(&owner, bad, &browser()).await), expected);
    let bad = NewIngestKey { label: String::new(), ..new };
    let expected = "label: must have 1 to 100 characters, has 0";
    assert_eq!(message(world.accounts.create_ingest_key(&owner, bad, &browser()).await), expected);
}

async fn keys_are_listed_newest_first_in_pages(db: TestDatabase) {
    let (world, first, owner) = World::started(db).await;
    for label in ["Web", "App"] {
        world.clock.advance(Duration::from_secs(1));
        world.accounts.create_ingest_key(&owner, new_key(&first, label), &browser()).await.unwrap();
    }
    let labels = |keys: &[IngestKeyInfo]| keys.iter().map(|key| key.label.clone()).collect::<Vec<_>>();
    let project = first.project.id;
    let page = world.accounts.list_ingest_keys(&owner, project, PageRequest::first(2)).await.unwrap();
    assert_eq!(labels(&page.items), ["App", "Web"]);
    assert!(page.next.is_some());
    let page =
        world.accounts.list_ingest_keys(&owner, project, PageRequest::new(2, page.next)).await.unwrap();
    assert_eq!((labels(&page.items), page.next), (vec!["First key".to_owned()], None));
    let astray = PageRequest::new(2, Some("nowhere".to_owned().into()));
    let refused = world.accounts.list_ingest_keys(&owner, project, astray).await;
    assert_eq!(message(refused), "after: is not a place in this list");
    assert_eq!(
        message(world.accounts.revoke_ingest_key(&owner, Id::from_bytes([9; 16]), &browser()).await),
        "there is no such ingest key here"
    );
}

async fn a_project_has_at_most_a_hundred_working_keys(db: TestDatabase) {
    let (world, first, owner) = World::started(db).await;
    for _ in 1..100 {
        world.accounts.create_ingest_key(&owner, new_key(&first, "Web"), &browser()).await.unwrap();
    }
    let refused = world.accounts.create_ingest_key(&owner, new_key(&first, "Web"), &browser()).await;
    assert_eq!(message(refused), "there are 100 ingest keys already, which is the most there may be");
    world.accounts.revoke_ingest_key(&owner, first.key.id, &browser()).await.unwrap();
    world.accounts.create_ingest_key(&owner, new_key(&first, "Web"), &browser()).await.unwrap();
}
