use std::time::Duration;

use belvedere_kernel::Actor;
use belvedere_storage::PageRequest;
use belvedere_storage::testing::TestDatabase;

use super::{World, browser, message, with_role};
use crate::{ApiTokenInfo, ApiTokens as _, NewApiToken, Principal, Rights, Role, Scope, SignIn as _};

belvedere_storage::database_tests!(
    a_token_authenticates_with_its_scopes_until_it_is_revoked,
    a_token_expires,
    the_last_use_of_a_token_is_noted_once_a_minute,
    a_token_cannot_manage_tokens_and_bad_ones_are_refused,
);

fn new_token(scopes: &[Scope]) -> NewApiToken {
    NewApiToken { label: "CI".to_owned(), scopes: scopes.to_vec(), expires_at: None }
}

async fn listed(world: &World, owner: &Principal) -> Vec<ApiTokenInfo> {
    world.accounts.list_api_tokens(owner, PageRequest::first(10)).await.unwrap().items
}

async fn a_token_authenticates_with_its_scopes_until_it_is_revoked(db: TestDatabase) {
    let (world, first, owner) = World::started(db).await;
    world.acts().await;
    let new = new_token(&[Scope::Write, Scope::Read]);
    let (token, secret) = world.accounts.create_api_token(&owner, new, &browser()).await.unwrap();
    assert!(secret.0.starts_with("bel_") && secret.0.len() == 47, "{}", secret.0);
    assert_eq!(token.prefix, secret.0[..8]);
    let principal = world.accounts.authenticate_token(&secret.0).await.unwrap().unwrap();
    let expected = Principal {
        actor: Actor::Token(token.id),
        organisation: first.organisation.id,
        name: "CI".to_owned(),
        rights: Rights::Scopes(vec![Scope::Read, Scope::Write]),
        csrf: None,
    };
    assert_eq!(principal, expected);
    let used = ApiTokenInfo { last_used_at: Some(world.now()), ..token.clone() };
    assert_eq!(listed(&world, &owner).await, std::slice::from_ref(&used));

    world.accounts.revoke_api_token(&owner, token.id, &browser()).await.unwrap();
    assert_eq!(world.accounts.authenticate_token(&secret.0).await.unwrap(), None);
    world.accounts.revoke_api_token(&owner, token.id, &browser()).await.unwrap();
    assert_eq!(listed(&world, &owner).await, [ApiTokenInfo { revoked_at: Some(world.now()), ..used }]);
    assert_eq!(
        world.acts().await,
        ["authn_token_created success by user", "authn_token_revoked success by user"]
    );

    let stored = world.everything_stored().await;
    let holds = |text: &str| stored.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds(&secret.0[..8]), "the beginning is kept to recognise it by");
    assert!(!holds(&secret.0[8..]), "the secret itself is not");
}

async fn a_token_expires(db: TestDatabase) {
    let (world, _, owner) = World::started(db).await;
    let expires_at = world.now().plus(Duration::from_hours(1));
    let new = NewApiToken { expires_at: Some(expires_at), ..new_token(&[Scope::Read]) };
    let (_, secret) = world.accounts.create_api_token(&owner, new.clone(), &browser()).await.unwrap();
    world.clock.advance(Duration::from_secs(3_599));
    assert!(world.accounts.authenticate_token(&secret.0).await.unwrap().is_some());
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.accounts.authenticate_token(&secret.0).await.unwrap(), None);
    let refused = world.accounts.create_api_token(&owner, new, &browser()).await;
    assert_eq!(message(refused), "expires_at: must be in the future");
}

async fn the_last_use_of_a_token_is_noted_once_a_minute(db: TestDatabase) {
    let (world, _, owner) = World::started(db).await;
    let (_, secret) =
        world.accounts.create_api_token(&owner, new_token(&[Scope::Read]), &browser()).await.unwrap();
    for (seconds, noted) in
        [(0, "12:00:00"), (59, "12:00:00"), (1, "12:01:00"), (30, "12:01:00"), (31, "12:02:01")]
    {
        world.clock.advance(Duration::from_secs(seconds));
        world.accounts.authenticate_token(&secret.0).await.unwrap().unwrap();
        let last_used_at = listed(&world, &owner).await[0].last_used_at.unwrap();
        assert_eq!(last_used_at.to_string(), format!("2026-11-23T{noted}Z"));
    }
}

async fn a_token_cannot_manage_tokens_and_bad_ones_are_refused(db: TestDatabase) {
    let (world, _, owner) = World::started(db).await;
    let new = new_token(&Scope::ALL);
    let (_, secret) = world.accounts.create_api_token(&owner, new.clone(), &browser()).await.unwrap();
    let program = world.accounts.authenticate_token(&secret.0).await.unwrap().unwrap();
    for principal in [program, with_role(&owner, Role::Member)] {
        let refused = world.accounts.create_api_token(&principal, new.clone(), &browser()).await;
        assert_eq!(message(refused), "not allowed without the permission manage_tokens");
    }
    let refused = world.accounts.create_api_token(&owner, new_token(&[]), &browser()).await;
    assert_eq!(message(refused), "scopes: must have at least one");
    let unknown = format!("bel_{}", "A".repeat(43));
    for bad in ["", "bel_", &secret.0[4..], &secret.0[..46], &unknown] {
        assert_eq!(world.accounts.authenticate_token(bad).await.unwrap(), None, "{bad}");
    }
}
