use std::time::Duration;

use belvedere_kernel::ProjectId;
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;
use serde_json::json;

use super::{PROJECT, World, at};
use crate::BusinessError;
use crate::feature_flag::*;
use crate::insight::PropertyOp;

database_tests!(
    a_flag_is_made_changed_and_deleted,
    a_flag_that_cannot_be_kept_is_refused_by_its_field,
    what_is_asked_often_follows_a_change,
    flags_of_projects_are_apart_and_as_many_as_may_be,
    a_failed_write_leaves_a_flag_as_it_was,
);

const NOW: &str = "2026-04-15T12:00:00Z";
const OTHER: ProjectId = ProjectId(2);

fn new(key: &str) -> NewFlag {
    NewFlag {
        key: key.to_owned(),
        note: "For teams".to_owned(),
        is_active: true,
        share_percent: 25,
        conditions: vec![FlagCondition {
            property: "plan".to_owned(),
            op: PropertyOp::Is,
            value: Some("team".to_owned()),
        }],
        payload: Some("{\"colour\": \"green\"}".to_owned()),
    }
}

impl World {
    async fn flag(&self, key: &str) -> Result<FeatureFlag, BusinessError> {
        self.service.create_flag(PROJECT, new(key), &self.by()).await
    }

    async fn keys(&self, project: ProjectId) -> Vec<String> {
        self.service.list_flags(project).await.unwrap().into_iter().map(|flag| flag.key).collect()
    }
}

async fn a_flag_is_made_changed_and_deleted(db: TestDatabase) {
    let world = World::new(db, NOW);
    let made = world.flag("new-editor").await.unwrap();
    assert_eq!(
        (made.number, made.version, made.created_at, made.created_by.is_some()),
        (1, 1, at(NOW), true)
    );
    assert_eq!(world.service.find_flag(PROJECT, "new-editor").await.unwrap(), made);
    world.flag("Beta").await.unwrap();
    assert_eq!(world.keys(PROJECT).await, ["Beta", "new-editor"]);

    world.clock.advance(Duration::from_secs(60));
    let change = FlagChange { share_percent: Some(50), payload: Some(None), ..FlagChange::default() };
    let changed = world.service.change_flag(PROJECT, "new-editor", change, &world.by()).await.unwrap();
    let expected = FeatureFlag {
        share_percent: 50,
        payload: None,
        version: 2,
        changed_at: at("2026-04-15T12:01:00Z"),
        ..made
    };
    assert_eq!(changed, expected);
    assert_eq!(world.service.find_flag(PROJECT, "new-editor").await.unwrap(), expected);
    // What changes nothing is no change.
    let again = FlagChange { share_percent: Some(50), ..FlagChange::default() };
    let same = world.service.change_flag(PROJECT, "new-editor", again, &world.by()).await.unwrap();
    assert_eq!(same, expected);

    world.service.delete_flag(PROJECT, "new-editor", &world.by()).await.unwrap();
    assert_eq!(world.keys(PROJECT).await, ["Beta"]);
    let gone = world.service.delete_flag(PROJECT, "new-editor", &world.by()).await.unwrap_err();
    assert!(matches!(gone, BusinessError::NotFound("feature flag")), "{gone}");
    let acts =
        ["feature_flag_created", "feature_flag_created", "feature_flag_changed", "feature_flag_deleted"];
    assert_eq!(world.entries.actions(), acts);
}

async fn a_flag_that_cannot_be_kept_is_refused_by_its_field(db: TestDatabase) {
    let world = World::new(db, NOW);
    world.flag("new-editor").await.unwrap();
    let why = async |new: NewFlag| {
        world.service.create_flag(PROJECT, new, &world.by()).await.unwrap_err().to_string()
    };
    assert_eq!(why(new("new-editor")).await, "key: there is a flag with this one already");
    let personal = "holds what the project's rules call personal data; it is not kept";
    let told = NewFlag { note: "for ada@example.com".to_owned(), ..new("a") };
    assert_eq!(why(told).await, format!("note: {personal}"));
    let mut about = new("b");
    about.conditions[0].value = Some("ada@example.com".to_owned());
    assert_eq!(why(about).await, format!("conditions: {personal}"));
    let change = FlagChange { share_percent: Some(101), ..FlagChange::default() };
    let wrong = world.service.change_flag(PROJECT, "new-editor", change, &world.by()).await.unwrap_err();
    assert_eq!(wrong.to_string(), "share_percent: must be from 0 to 100");
    assert_eq!(world.keys(PROJECT).await, ["new-editor"]);
}

async fn what_is_asked_often_follows_a_change(db: TestDatabase) {
    let world = World::new(db, NOW);
    let now = async || world.service.flags_now(PROJECT).await.unwrap().len();
    assert_eq!(now().await, 0);
    world.flag("new-editor").await.unwrap();
    assert_eq!(now().await, 1);
    // Asked again, nothing is read.
    world.db.faults().fail_after(0);
    assert_eq!(now().await, 1);
    assert!(world.db.faults().take_unused());
    // Another process changes it: this one notices within five seconds.
    let sql = "DELETE FROM bi_feature_flag";
    let deleted = async |tx: &belvedere_storage::Tx| belvedere_storage::execute_sql(tx, sql, []).await;
    world.db.write(deleted).await.unwrap();
    assert_eq!(now().await, 1);
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(now().await, 0);
}

async fn flags_of_projects_are_apart_and_as_many_as_may_be(db: TestDatabase) {
    let world = World::new(db, NOW);
    for number in 0..FLAGS_MAX {
        world.flag(&format!("flag-{number:03}")).await.unwrap();
    }
    let full = world.flag("one-more").await.unwrap_err();
    assert_eq!(full.to_string(), "key: there are 200 flags already; delete one first");
    let other = world.service.create_flag(OTHER, new("one-more"), &world.by()).await.unwrap();
    assert_eq!(other.number, 1);
    assert_eq!(world.keys(OTHER).await, ["one-more"]);
    let missing = world.service.find_flag(PROJECT, "one-more").await.unwrap_err();
    assert!(matches!(missing, BusinessError::NotFound(_)));
    let missing = world.service.delete_flag(OTHER, "flag-001", &world.by()).await.unwrap_err();
    assert!(matches!(missing, BusinessError::NotFound(_)));
    assert_eq!(world.keys(PROJECT).await.len(), FLAGS_MAX);
}

async fn a_failed_write_leaves_a_flag_as_it_was(db: TestDatabase) {
    let world = World::new(db, NOW);
    let before = world.flag("new-editor").await.unwrap();
    let change = FlagChange { is_active: Some(false), ..FlagChange::default() };
    for failures in 0.. {
        world.db.faults().fail_after(failures);
        let changed = world.service.change_flag(PROJECT, "new-editor", change.clone(), &world.by()).await;
        let is_whole = world.db.faults().take_unused();
        let now = world.service.find_flag(PROJECT, "new-editor").await.unwrap();
        if is_whole {
            assert_eq!((changed.unwrap(), now.is_active), (now, false));
            break;
        }
        changed.unwrap_err();
        assert_eq!(now, before);
        assert_eq!(world.service.flags_now(PROJECT).await.unwrap()[0], before);
    }
    assert_eq!(json!(world.entries.actions().last()), json!("feature_flag_changed"));
}
