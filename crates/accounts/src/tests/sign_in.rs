use std::time::Duration;

use belvedere_kernel::Actor;
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{StorageError, Timestamp};

use super::{DAY, PASSWORD, World, browser, browser_at, message, secret};
use crate::store::guesses;
use crate::{
    AccountsError, AccountsService, ClientInfo, Members as _, PasswordChange, Permission, ProfileChange,
    Role, SignIn as _,
};

belvedere_storage::database_tests!(
    a_link_signs_in_once,
    a_link_expires_after_a_quarter_of_an_hour,
    two_uses_of_a_link_at_once_make_one_session,
    a_password_signs_in_and_an_unknown_account_looks_like_a_wrong_password,
    guesses_at_an_account_are_slowed_down_also_across_processes,
    guesses_from_an_address_are_slowed_down_whatever_the_accounts,
    guesses_made_at_once_are_counted_before_they_are_looked_at,
    the_table_of_guesses_is_swept_and_bounded,
    a_session_ends_when_it_is_idle_and_at_its_age,
    signing_out_ends_one_session_or_all,
    a_new_password_ends_every_session_and_begins_one,
    a_person_has_at_most_fifty_sessions,
    a_denial_is_recorded,
);

const WRONG: &str = "e-mail address or password is wrong";

async fn guess(accounts: &AccountsService, email: &str, password: &str, client: &ClientInfo) -> String {
    message(accounts.sign_in_with_password(email, password, client).await)
}

async fn a_link_signs_in_once(db: TestDatabase) {
    let (world, first, _) = World::started(db).await;
    world.acts().await;
    let link = world.accounts.create_sign_in_link(first.owner).await.unwrap();
    let session = world.accounts.sign_in_with_link(&link.0, &browser()).await.unwrap();
    assert_eq!(session.expires_at.to_string(), "2027-02-21T12:00:00Z");
    let principal = world.principal(&session).await;
    assert_eq!((principal.actor, principal.organisation), (Actor::User(first.owner), first.organisation.id));
    assert_eq!(principal.name, "Owner");
    assert_eq!(principal.csrf.as_ref().unwrap().len(), 43);
    assert_eq!(world.principal(&session).await, principal);
    for bad in [link.0.as_str(), "", "A".repeat(43).as_str(), &session.secret.0] {
        let refused = world.accounts.sign_in_with_link(bad, &browser()).await;
        assert_eq!(message(refused), "the link was used before or has expired");
    }
    let details = world.details("authn_login_success success by user").await;
    assert_eq!(details, [r#" request-1 {"address":"192.0.2.7","method":"link","user_agent":"Browser/1.0"}"#]);
    let acts = world.acts().await;
    let failure = "authn_login_fail failure by anonymous";
    let expected = [
        "sign_in_link_created success by system",
        "authn_login_success success by user",
        failure,
        failure,
        failure,
        failure,
    ];
    assert_eq!(acts, expected);
}

async fn a_link_expires_after_a_quarter_of_an_hour(db: TestDatabase) {
    let (world, first, _) = World::started(db).await;
    let early = world.accounts.create_sign_in_link(first.owner).await.unwrap();
    let late = world.accounts.create_sign_in_link(first.owner).await.unwrap();
    world.clock.advance(Duration::from_secs(899));
    assert_eq!(message(world.accounts.sign_in_with_link(&early.0, &browser()).await), "done");
    world.clock.advance(Duration::from_secs(1));
    let refused = world.accounts.sign_in_with_link(&late.0, &browser()).await;
    assert_eq!(message(refused), "the link was used before or has expired");
}

async fn two_uses_of_a_link_at_once_make_one_session(db: TestDatabase) {
    let (world, first, _) = World::started(db).await;
    let link = world.accounts.create_sign_in_link(first.owner).await.unwrap();
    let (client, other) = (browser(), world.another_process());
    let (one, two) = tokio::join!(
        world.accounts.sign_in_with_link(&link.0, &client),
        other.sign_in_with_link(&link.0, &client)
    );
    assert_eq!([one.is_ok(), two.is_ok()].into_iter().filter(|is_ok| *is_ok).count(), 1);
}

async fn a_password_signs_in_and_an_unknown_account_looks_like_a_wrong_password(db: TestDatabase) {
    let (world, first, owner) = World::started(db).await;
    let (_, ada) = world.join(&owner, "ada@example.org", Role::Member).await;
    world.acts().await;
    let session =
        world.accounts.sign_in_with_password(" Ada@Example.ORG ", PASSWORD, &browser()).await.unwrap();
    assert_eq!(world.principal(&session).await.actor, ada.actor);
    let known = guess(&world.accounts, "ada@example.org", "Correct horse battery", &browser()).await;
    let unknown = guess(&world.accounts, "nobody@example.org", PASSWORD, &browser()).await;
    let rubbish = guess(&world.accounts, "", "", &ClientInfo::default()).await;
    assert_eq!([known, unknown, rubbish], [WRONG; 3]);
    let Actor::User(user) = ada.actor else { panic!("not a person") };
    let with = |target: String| {
        format!(
            r#"{target} request-1 {{"address":"192.0.2.7","method":"password","user_agent":"Browser/1.0"}}"#
        )
    };
    let expected =
        [with(format!("user {user}")), with(String::new()), r#"  {"method":"password"}"#.to_owned()];
    assert_eq!(world.details("authn_login_fail failure by anonymous").await, expected);
    let organisations = world
        .column("SELECT organisation FROM test_audit WHERE act LIKE 'authn_login_fail%' ORDER BY number")
        .await;
    assert_eq!(organisations, [first.organisation.id.to_string(), String::new(), String::new()]);
}

async fn guesses_at_an_account_are_slowed_down_also_across_processes(db: TestDatabase) {
    let (world, _, owner) = World::started(db).await;
    world.join(&owner, "ada@example.org", Role::Member).await;
    let ada = async |process: &AccountsService, password: &str, address: &str| {
        guess(process, "ada@example.org", password, &browser_at(address)).await
    };
    world.acts().await;
    for number in 1..=6 {
        assert_eq!(ada(&world.accounts, "wrong password", &format!("198.51.100.{number}")).await, WRONG);
    }
    // From now on even the right password must wait, from wherever and after a restart.
    let restarted = world.another_process();
    assert_eq!(ada(&restarted, PASSWORD, "203.0.113.1").await, "too many attempts; try again in 1 s");
    assert_eq!(ada(&restarted, PASSWORD, "203.0.113.1").await, "too many attempts; try again in 1 s");
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(ada(&restarted, "wrong password", "203.0.113.2").await, WRONG);
    assert_eq!(ada(&restarted, PASSWORD, "203.0.113.2").await, "too many attempts; try again in 2 s");
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(ada(&restarted, PASSWORD, "203.0.113.2").await, "done");
    // The account starts afresh.
    for _ in 0..5 {
        assert_eq!(ada(&restarted, "wrong password", "203.0.113.3").await, WRONG);
    }
    assert_eq!(ada(&restarted, PASSWORD, "203.0.113.3").await, "done");

    let denials = world.column("SELECT act FROM test_audit WHERE act LIKE '%denied%'").await;
    assert_eq!(denials, ["authn_login_fail_max denied by anonymous"; 2], "one entry a pause");
    let counted = world
        .column("SELECT detail FROM test_audit WHERE detail LIKE '%refused_before%' ORDER BY number")
        .await;
    let counted: Vec<_> =
        counted.iter().map(|detail| detail.split("refused_before").nth(1).unwrap()).collect();
    assert_eq!(counted, [r#"":2,"user_agent":"Browser/1.0"}"#, r#"":1,"user_agent":"Browser/1.0"}"#]);
}

async fn guesses_from_an_address_are_slowed_down_whatever_the_accounts(db: TestDatabase) {
    let (world, first, _) = World::started(db).await;
    let guesser = browser_at("2001:db8:1:2::1");
    for number in 1..=21 {
        assert_eq!(guess(&world.accounts, &format!("{number}@example.org"), "x", &guesser).await, WRONG);
    }
    let neighbour = browser_at("2001:db8:1:2:ffff::2");
    assert_eq!(
        guess(&world.accounts, "22@example.org", "x", &neighbour).await,
        "too many attempts; try again in 1 s"
    );
    let refused = world.accounts.sign_in_with_link("x", &neighbour).await;
    assert_eq!(message(refused), "too many attempts; try again in 1 s");
    assert_eq!(guess(&world.accounts, "22@example.org", "x", &browser_at("2001:db8:1:3::1")).await, WRONG);
    // A link that works is no guess.
    let link = world.accounts.create_sign_in_link(first.owner).await.unwrap();
    assert_eq!(message(world.accounts.sign_in_with_link(&link.0, &guesser).await), "done");
    world.clock.advance(DAY + Duration::from_secs(1));
    for number in 1..=20 {
        assert_eq!(guess(&world.accounts, &format!("{number}@example.org"), "x", &guesser).await, WRONG);
    }
}

async fn guesses_made_at_once_are_counted_before_they_are_looked_at(db: TestDatabase) {
    let (world, _, owner) = World::started(db).await;
    world.join(&owner, "ada@example.org", Role::Member).await;
    let other = world.another_process();
    let (client, mut looked_at, mut refused) = (browser(), 0, 0);
    let one = |process| guess(process, "ada@example.org", "wrong password", &client);
    let (a, o) = (&world.accounts, &other);
    let answers =
        tokio::join!(one(a), one(o), one(a), one(o), one(a), one(o), one(a), one(o), one(a), one(o));
    let answers = [
        answers.0, answers.1, answers.2, answers.3, answers.4, answers.5, answers.6, answers.7, answers.8,
        answers.9,
    ];
    for answer in answers {
        if answer == WRONG {
            looked_at += 1;
        } else {
            assert_eq!(answer, "too many attempts; try again in 1 s");
            refused += 1;
        }
    }
    assert_eq!((looked_at, refused), (6, 4));
}

async fn the_table_of_guesses_is_swept_and_bounded(db: TestDatabase) {
    let world = World::new(db).await;
    let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
    let filled = world.db.write(async |tx| {
        for number in 0..10_u8 {
            let row = guesses::lock_in(tx, &[number], at(0)).await?;
            let forget_at = at(i64::from(number) * 10);
            guesses::save_in(tx, crate::entity::guess::Model { failures: 3, forget_at, ..row }).await?;
        }
        Ok::<_, StorageError>(())
    });
    filled.await.unwrap();
    let left = async || {
        world.column("SELECT CAST(forget_at / 1000000 AS TEXT) FROM accounts_guess ORDER BY forget_at").await
    };
    world.db.write(async |tx| guesses::sweep_in(tx, at(30), 100).await).await.unwrap();
    assert_eq!(left().await, ["40", "50", "60", "70", "80", "90"]);
    world.db.write(async |tx| guesses::sweep_in(tx, at(30), 4).await).await.unwrap();
    assert_eq!(left().await, ["60", "70", "80", "90"]);
    let forgotten = world.db.write(async |tx| guesses::lock_in(tx, &[9], at(90)).await).await.unwrap();
    assert_eq!(forgotten.failures, 0, "past its time, though not yet swept");
}

async fn a_session_ends_when_it_is_idle_and_at_its_age(db: TestDatabase) {
    let (world, _, owner) = World::started(db).await;
    let (used, _) = world.join(&owner, "ada@example.org", Role::Member).await;
    let (idle, _) = world.join(&owner, "bob@example.org", Role::Member).await;
    let is_live = async |secret: &crate::Secret| {
        world.accounts.authenticate_session(&secret.0).await.unwrap().is_some()
    };
    world.clock.advance(14 * DAY);
    assert!(is_live(&used.secret).await);
    world.clock.advance(Duration::from_secs(1));
    assert!(!is_live(&idle.secret).await, "idle for more than 14 days");
    for _ in 0..7 {
        world.clock.advance(10 * DAY);
        assert!(is_live(&used.secret).await);
    }
    world.clock.advance(6 * DAY - Duration::from_secs(2));
    assert!(is_live(&used.secret).await);
    world.clock.advance(Duration::from_secs(1));
    assert!(!is_live(&used.secret).await, "90 days old");
}

async fn signing_out_ends_one_session_or_all(db: TestDatabase) {
    let (world, _, owner) = World::started(db).await;
    let (one, ada) = world.join(&owner, "ada@example.org", Role::Member).await;
    let sign_in =
        async || world.accounts.sign_in_with_password("ada@example.org", PASSWORD, &browser()).await.unwrap();
    let (two, three) = (sign_in().await, sign_in().await);
    assert_ne!(world.principal(&two).await.csrf, world.principal(&three).await.csrf);
    world.acts().await;
    world.accounts.sign_out(&one.secret.0, &browser()).await.unwrap();
    world.accounts.sign_out(&one.secret.0, &browser()).await.unwrap();
    assert_eq!(world.accounts.authenticate_session(&one.secret.0).await.unwrap(), None);
    world.principal(&two).await;
    world.accounts.sign_out_everywhere(&ada, &browser()).await.unwrap();
    for session in [two, three] {
        assert_eq!(world.accounts.authenticate_session(&session.secret.0).await.unwrap(), None);
    }
    assert_eq!(world.acts().await, ["session_expired success by user"; 2]);
}

async fn a_new_password_ends_every_session_and_begins_one(db: TestDatabase) {
    let (world, first, owner) = World::started(db).await;
    let (accounts, client) = (&world.accounts, browser());
    let new = PasswordChange { current: None, new: secret("a new long password") };
    let refused = accounts.set_password(&owner, new.clone(), &client).await;
    assert_eq!(message(refused), "email: is wanted before a password, to sign in with");
    let profile = ProfileChange { email: Some("owner@example.org".to_owned()), ..ProfileChange::default() };
    accounts.update_self(&owner, profile, &client).await.unwrap();
    accounts.set_password(&owner, new, &client).await.unwrap();
    let old =
        accounts.sign_in_with_password("owner@example.org", "a new long password", &client).await.unwrap();
    let unused_link = accounts.create_sign_in_link(first.owner).await.unwrap();

    let change =
        |current: Option<&str>, new: &str| PasswordChange { current: current.map(secret), new: secret(new) };
    let refused = accounts.set_password(&owner, change(None, "another long one"), &client).await;
    assert_eq!(message(refused), "current: is wanted");
    let refused =
        accounts.set_password(&owner, change(Some("not the password"), "another long one"), &client).await;
    assert_eq!(message(refused), WRONG);
    let refused = accounts.set_password(&owner, change(Some("a new long password"), "short"), &client).await;
    assert_eq!(message(refused), "new: must have 12 to 200 characters, has 5");
    world.acts().await;
    let change = change(Some("a new long password"), "another long one");
    let session = accounts.set_password(&owner, change, &client).await.unwrap();
    assert_eq!(world.acts().await, ["authn_password_change success by user"]);
    assert_ne!(session.secret, old.secret);
    assert_eq!(accounts.authenticate_session(&old.secret.0).await.unwrap(), None);
    assert_eq!(world.principal(&session).await.actor, owner.actor);
    let refused = accounts.sign_in_with_link(&unused_link.0, &client).await;
    assert_eq!(message(refused), "the link was used before or has expired");
    assert_eq!(guess(accounts, "owner@example.org", "a new long password", &client).await, WRONG);
    assert_eq!(guess(accounts, "owner@example.org", "another long one", &client).await, "done");
}

async fn a_person_has_at_most_fifty_sessions(db: TestDatabase) {
    let (world, first, _) = World::started(db).await;
    let mut sessions = Vec::new();
    for _ in 0..50 {
        world.clock.advance(Duration::from_secs(1));
        let link = world.accounts.create_sign_in_link(first.owner).await.unwrap();
        sessions.push(world.accounts.sign_in_with_link(&link.0, &browser()).await.unwrap());
    }
    world.principal(&sessions[0]).await;
    world.clock.advance(Duration::from_secs(1));
    world.sign_in_by_link(first.owner).await;
    assert_eq!(world.accounts.authenticate_session(&sessions[0].secret.0).await.unwrap(), None);
    world.principal(&sessions[1]).await;
    world.clock.advance(91 * DAY);
    world.sign_in_by_link(first.owner).await;
    assert_eq!(
        world.column("SELECT CAST(COUNT(*) AS TEXT) FROM accounts_session").await,
        ["1"],
        "the rest has expired"
    );
}

async fn a_denial_is_recorded(db: TestDatabase) {
    let (world, _, owner) = World::started(db).await;
    let (_, ada) = world.join(&owner, "ada@example.org", Role::Member).await;
    let Err(AccountsError::Forbidden(permission)) = ada.require(Permission::ManageKeys) else {
        panic!("not refused")
    };
    world.accounts.record_denied(&ada, permission, &browser()).await.unwrap();
    let details = world.details("authz_fail denied by user").await;
    let expected =
        r#" request-1 {"address":"192.0.2.7","permission":"manage_keys","user_agent":"Browser/1.0"}"#;
    assert_eq!(details, [expected]);
}
