use std::time::Duration;

use belvedere_storage::PageRequest;
use belvedere_storage::testing::TestDatabase;

use super::{World, browser, message};
use crate::{FirstSteps, NewXapiKey, XapiKeys as _, XapiScope};

belvedere_storage::database_tests!(
    an_xapi_key_opens_its_project_with_its_secret_until_it_is_revoked,
    an_xapi_key_needs_a_scope_a_label_and_a_project_of_ours,
);

fn new_key(first: &FirstSteps, scopes: &[XapiScope]) -> NewXapiKey {
    NewXapiKey { project: first.project.id, label: "LMS".to_owned(), scopes: scopes.to_vec() }
}

async fn an_xapi_key_opens_its_project_with_its_secret_until_it_is_revoked(db: TestDatabase) {
    let (world, first, owner) = World::started(db).await;
    world.acts().await;
    let new = new_key(&first, &[XapiScope::State, XapiScope::StatementsWrite]);
    let (key, secret) = world.accounts.create_xapi_key(&owner, new, &browser()).await.unwrap();
    assert_eq!(key.scopes, [XapiScope::StatementsWrite, XapiScope::State]);
    assert!(secret.0.starts_with("bxs_"));
    for _ in 0..2 {
        let found = world.accounts.authenticate_xapi_key(&key.public_key, &secret.0).await.unwrap();
        assert_eq!(found.as_deref(), Some(&key));
    }
    assert!(key.allows(&[XapiScope::State]) && !key.allows(&[XapiScope::StatementsRead, XapiScope::Profile]));
    for (public_key, secret) in [(key.public_key.as_str(), "bxs_x"), (&"0".repeat(32), &secret.0), ("x", "y")]
    {
        assert!(world.accounts.authenticate_xapi_key(public_key, secret).await.unwrap().is_none());
    }
    let listed =
        world.accounts.list_xapi_keys(&owner, first.project.id, PageRequest::first(10)).await.unwrap();
    assert_eq!(listed.items, std::slice::from_ref(&key));
    world.clock.advance(Duration::from_secs(1));
    for _ in 0..2 {
        world.accounts.revoke_xapi_key(&owner, key.id, &browser()).await.unwrap();
    }
    assert!(world.accounts.authenticate_xapi_key(&key.public_key, &secret.0).await.unwrap().is_none());
    world.accounts.record_xapi_denied(&key, &browser()).await.unwrap();
    assert_eq!(
        world.acts().await,
        [
            "xapi_key_created success by user",
            "xapi_key_revoked success by user",
            "authz_fail denied by system"
        ]
    );
}

async fn an_xapi_key_needs_a_scope_a_label_and_a_project_of_ours(db: TestDatabase) {
    let (world, first, owner) = World::started(db).await;
    let create = async |new| message(world.accounts.create_xapi_key(&owner, new, &browser()).await);
    assert_eq!(create(new_key(&first, &[])).await, "scopes: must have at least one");
    let unnamed = NewXapiKey { label: String::new(), ..new_key(&first, &[XapiScope::All]) };
    assert_eq!(create(unnamed).await, "label: must have 1 to 100 characters, has 0");
    let elsewhere =
        NewXapiKey { project: belvedere_kernel::ProjectId(99), ..new_key(&first, &[XapiScope::All]) };
    assert_eq!(create(elsewhere).await, "there is no such project here");
    assert!("everything".parse::<XapiScope>().is_err());
}
