//! A statement that fails leaves everything as it was.

use belvedere_storage::testing::TestDatabase;

use super::{PASSWORD, World, browser, new_project, secret};
use crate::{
    AcceptInvite, Accounts as _, AccountsError, ApiTokens as _, Members as _, NewApiToken, NewInvite, Role,
    Scope, SignIn as _,
};

belvedere_storage::database_tests!(
    a_first_start_that_fails_anywhere_leaves_nothing_and_can_be_repeated,
    a_project_that_fails_anywhere_leaves_nothing_and_no_gap,
    a_token_that_fails_anywhere_leaves_nothing,
    an_invitation_whose_acceptance_fails_anywhere_can_still_be_accepted,
);

/// Fails the nth statement of `work` for every n: the state must be as before each time, and change when none fails.
async fn fail_everywhere<T>(
    world: &World,
    statements_at_least: u32,
    mut work: impl AsyncFnMut() -> Result<T, AccountsError>,
) -> T {
    let before = world.state().await;
    for statement in 0..200 {
        world.db.faults().fail_after(statement);
        let result = work().await;
        if world.db.faults().take_unused() {
            assert!(statement >= statements_at_least, "only {statement} statements could fail");
            assert_ne!(world.state().await, before);
            return result.expect("nothing has failed");
        }
        assert!(matches!(result, Err(AccountsError::Storage(_))), "statement {statement} failed unnoticed");
        assert_eq!(world.state().await, before, "after statement {statement}");
    }
    panic!("the work never ends");
}

async fn a_first_start_that_fails_anywhere_leaves_nothing_and_can_be_repeated(db: TestDatabase) {
    let world = World::new(db).await;
    assert_eq!(world.state().await, "0 0 0 0 0 0 0 0 0 0 0");
    let first = fail_everywhere(&world, 12, async || world.accounts.first_steps().await).await;
    assert_eq!((first.is_new, first.project.id.0), (true, 1));
    assert_eq!(world.state().await, "1 1 1 1 1 0 0 0 0 4 1");
}

async fn a_project_that_fails_anywhere_leaves_nothing_and_no_gap(db: TestDatabase) {
    let (world, _, owner) = World::started(db).await;
    let create = async || world.accounts.create_project(&owner, new_project("Web"), &browser()).await;
    let project = fail_everywhere(&world, 8, create).await;
    assert_eq!(project.id.0, 2);
}

async fn a_token_that_fails_anywhere_leaves_nothing(db: TestDatabase) {
    let (world, _, owner) = World::started(db).await;
    let new = NewApiToken { label: "CI".to_owned(), scopes: vec![Scope::Read], expires_at: None };
    let create = async || world.accounts.create_api_token(&owner, new.clone(), &browser()).await;
    let (_, token) = fail_everywhere(&world, 5, create).await;
    assert!(world.accounts.authenticate_token(&token.0).await.unwrap().is_some());
}

async fn an_invitation_whose_acceptance_fails_anywhere_can_still_be_accepted(db: TestDatabase) {
    let (world, _, owner) = World::started(db).await;
    let new = NewInvite { email: "ada@example.org".to_owned(), role: Role::Member };
    let link = world.accounts.invite(&owner, new, &browser()).await.unwrap();
    let accept = AcceptInvite { secret: link.secret, name: "Ada".to_owned(), password: secret(PASSWORD) };
    let work = async || world.accounts.accept_invite(accept.clone(), &browser()).await;
    let session = fail_everywhere(&world, 10, work).await;
    assert_eq!(world.principal(&session).await.name, "Ada");
}
