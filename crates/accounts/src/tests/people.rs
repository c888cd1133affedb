use std::time::Duration;

use belvedere_storage::PageRequest;
use belvedere_storage::testing::TestDatabase;

use super::{DAY, PASSWORD, World, browser, message, secret};
use crate::{
    AcceptInvite, Accounts as _, ApiTokens as _, Member, Members as _, NewApiToken, NewInvite, Principal,
    ProfileChange, Rights, Role, RoleChange, Scope, SignIn as _,
};

belvedere_storage::database_tests!(
    an_invited_person_joins_once_with_the_given_role,
    an_invitation_expires_is_replaced_and_is_withdrawn,
    somebody_with_an_account_joins_a_second_organisation_by_their_password,
    nobody_raises_their_own_role,
    only_owners_make_and_unmake_owners,
    the_last_owner_stays,
    a_new_role_ends_sessions_and_takes_back_what_it_may_not_give_out,
    a_member_who_leaves_loses_everything_at_once,
    people_change_their_own_name_and_address,
    names_and_addresses_are_not_readable_in_the_database,
    members_are_listed_in_pages,
);

fn invite(email: &str, role: Role) -> NewInvite {
    NewInvite { email: email.to_owned(), role }
}

async fn members(world: &World, owner: &Principal) -> Vec<(String, String, Role)> {
    let page = world.accounts.list_members(owner, PageRequest::first(10)).await.unwrap();
    page.items.into_iter().map(|member| (member.name, member.email, member.role)).collect()
}

fn row(name: &str, email: &str, role: Role) -> (String, String, Role) {
    (name.to_owned(), email.to_owned(), role)
}

async fn an_invited_person_joins_once_with_the_given_role(db: TestDatabase) {
    let (world, first, owner) = World::started(db).await;
    world.acts().await;
    world.tick();
    let link =
        world.accounts.invite(&owner, invite("ada@example.org", Role::Analyst), &browser()).await.unwrap();
    assert_eq!(link.invite.expires_at.to_string(), "2026-11-30T12:00:00.001Z");
    assert_eq!((link.invite.organisation.clone(), link.invite.role), (first.organisation, Role::Analyst));
    let shown = world.accounts.find_invite(&link.secret.0).await.unwrap().unwrap();
    assert_eq!((shown.id, shown.email.as_str()), (link.invite.id, "ada@example.org"));

    let accept =
        AcceptInvite { secret: link.secret.clone(), name: "Ada".to_owned(), password: secret("short") };
    let refused = world.accounts.accept_invite(accept.clone(), &browser()).await;
    assert_eq!(message(refused), "password: must have 12 to 200 characters, has 5");
    let accept = AcceptInvite { password: secret(PASSWORD), ..accept };
    let session = world.accounts.accept_invite(accept.clone(), &browser()).await.unwrap();
    let ada = world.principal(&session).await;
    assert_eq!((ada.name.as_str(), ada.rights.clone()), ("Ada", Rights::Role(Role::Analyst)));
    let again = world.accounts.accept_invite(accept, &browser()).await;
    assert_eq!(message(again), "the link was used before or has expired");
    assert_eq!(world.accounts.find_invite(&link.secret.0).await.unwrap().map(|invite| invite.email), None);
    world.accounts.sign_in_with_password("ADA@example.org", PASSWORD, &browser()).await.unwrap();
    let expected = [row("Owner", "", Role::Owner), row("Ada", "ada@example.org", Role::Analyst)];
    assert_eq!(members(&world, &owner).await, expected);
    let refused = world.accounts.invite(&owner, invite("Ada@Example.org", Role::Admin), &browser()).await;
    assert_eq!(message(refused), "email: already a member");
    let expected = [
        "member_invited success by user",
        "member_added success by user",
        "authn_login_success success by user",
        "authn_login_fail failure by anonymous",
        "authn_login_success success by user",
    ];
    assert_eq!(world.acts().await, expected);
}

async fn an_invitation_expires_is_replaced_and_is_withdrawn(db: TestDatabase) {
    let (world, _, owner) = World::started(db).await;
    let accounts = &world.accounts;
    let first = accounts.invite(&owner, invite("ada@example.org", Role::Member), &browser()).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let second = accounts.invite(&owner, invite("ada@example.org", Role::Admin), &browser()).await.unwrap();
    assert!(accounts.find_invite(&first.secret.0).await.unwrap().is_none(), "replaced by the second");
    let page = accounts.list_invites(&owner, PageRequest::first(10)).await.unwrap();
    assert_eq!(page.items.iter().map(|invite| invite.id).collect::<Vec<_>>(), [second.invite.id]);

    let third = accounts.invite(&owner, invite("bob@example.org", Role::Member), &browser()).await.unwrap();
    let (_, eve) = world.strangers().await;
    let refused = accounts.revoke_invite(&eve, third.invite.id, &browser()).await;
    assert_eq!(message(refused), "there is no such invitation here");
    accounts.revoke_invite(&owner, third.invite.id, &browser()).await.unwrap();
    assert!(accounts.find_invite(&third.secret.0).await.unwrap().is_none(), "withdrawn");

    world.clock.advance(7 * DAY - Duration::from_secs(1));
    assert!(accounts.find_invite(&second.secret.0).await.unwrap().is_some());
    world.clock.advance(Duration::from_secs(1));
    let accept = AcceptInvite { secret: second.secret, name: "Ada".to_owned(), password: secret(PASSWORD) };
    let refused = accounts.accept_invite(accept, &browser()).await;
    assert_eq!(message(refused), "the link was used before or has expired");
}

async fn somebody_with_an_account_joins_a_second_organisation_by_their_password(db: TestDatabase) {
    let (world, first, owner) = World::started(db).await;
    let (session, ada) = world.join(&owner, "ada@example.org", Role::Member).await;
    let (strangers, eve) = world.strangers().await;
    world.tick();
    let link =
        world.accounts.invite(&eve, invite("ada@example.org", Role::Auditor), &browser()).await.unwrap();
    let accept = AcceptInvite {
        secret: link.secret,
        name: "Ignored".to_owned(),
        password: secret("not her password"),
    };
    let refused = world.accounts.accept_invite(accept.clone(), &browser()).await;
    assert_eq!(message(refused), "e-mail address or password is wrong");
    let accept = AcceptInvite { password: secret(PASSWORD), ..accept };
    let there = world.accounts.accept_invite(accept, &browser()).await.unwrap();
    let there = world.principal(&there).await;
    assert_eq!((there.actor, there.organisation, there.name.as_str()), (ada.actor, strangers, "Ada"));
    assert_eq!(there.rights, Rights::Role(Role::Auditor));
    let slugs = world.accounts.list_organisations(&ada).await.unwrap();
    assert_eq!(
        slugs.iter().map(|one| one.slug.as_str()).collect::<Vec<_>>(),
        ["my-organisation", "strangers"]
    );

    let switched =
        world.accounts.switch_organisation(&session.secret.0, strangers, &browser()).await.unwrap();
    assert_eq!(world.principal(&switched).await.organisation, strangers);
    assert_eq!(switched.expires_at, session.expires_at);
    assert_eq!(world.accounts.authenticate_session(&session.secret.0).await.unwrap(), None);
    let home = first.organisation.id;
    world.accounts.remove_member(&owner, person(&there), &browser()).await.unwrap();
    let refused = world.accounts.switch_organisation(&switched.secret.0, home, &browser()).await;
    assert_eq!(message(refused), "there is no such organisation here");
}

fn person(principal: &Principal) -> belvedere_storage::Id<belvedere_kernel::User> {
    match principal.actor {
        belvedere_kernel::Actor::User(user) => user,
        other => panic!("not a person: {other:?}"),
    }
}

async fn nobody_raises_their_own_role(db: TestDatabase) {
    let (world, _, owner) = World::started(db).await;
    let (_, admin) = world.join(&owner, "ada@example.org", Role::Admin).await;
    let (_, member) = world.join(&owner, "bob@example.org", Role::Member).await;
    world.acts().await;
    for role in Role::ALL {
        let change = RoleChange { user: person(&member), role };
        let refused = world.accounts.set_role(&member, change, &browser()).await;
        assert_eq!(message(refused), "not allowed without the permission manage_members");
        let change = RoleChange { user: person(&admin), role };
        let refused = world.accounts.set_role(&admin, change, &browser()).await;
        assert_eq!(message(refused), "not allowed without the permission transfer_organisation");
    }
    assert_eq!(world.acts().await, [""; 0]);
}

async fn only_owners_make_and_unmake_owners(db: TestDatabase) {
    let (world, first, owner) = World::started(db).await;
    world.tick();
    let (_, admin) = world.join(&owner, "ada@example.org", Role::Admin).await;
    world.tick();
    let (_, member) = world.join(&owner, "bob@example.org", Role::Member).await;
    let needs_owner = "not allowed without the permission transfer_organisation";
    let (accounts, client) = (&world.accounts, browser());
    let up = RoleChange { user: person(&member), role: Role::Owner };
    assert_eq!(message(accounts.set_role(&admin, up, &client).await), needs_owner);
    let down = RoleChange { user: first.owner, role: Role::Member };
    assert_eq!(message(accounts.set_role(&admin, down, &client).await), needs_owner);
    assert_eq!(message(accounts.remove_member(&admin, first.owner, &client).await), needs_owner);
    assert_eq!(message(accounts.invite(&admin, invite("x@y.z", Role::Owner), &client).await), needs_owner);

    world.acts().await;
    accounts.set_role(&owner, up, &client).await.unwrap();
    let details = world.details("privilege_permissions_changed success by user").await;
    assert_eq!(details, [format!(r#"user {} request-1 {{"from":"member","to":"owner"}}"#, up.user)]);
    let aside = RoleChange { user: person(&admin), role: Role::PrivacyOfficer };
    accounts.set_role(&owner, aside, &client).await.unwrap();
    let expected = [
        row("Owner", "", Role::Owner),
        row("Ada", "ada@example.org", Role::PrivacyOfficer),
        row("Ada", "bob@example.org", Role::Owner),
    ];
    assert_eq!(members(&world, &owner).await, expected);
}

async fn the_last_owner_stays(db: TestDatabase) {
    let (world, first, owner) = World::started(db).await;
    let (accounts, client) = (&world.accounts, browser());
    let refusal = "the last owner can neither leave nor be given another role";
    let down = RoleChange { user: first.owner, role: Role::Admin };
    assert_eq!(message(accounts.set_role(&owner, down, &client).await), refusal);
    assert_eq!(message(accounts.remove_member(&owner, first.owner, &client).await), refusal);
    let (_, second) = world.join(&owner, "ada@example.org", Role::Owner).await;
    accounts.remove_member(&owner, first.owner, &client).await.unwrap();
    assert_eq!(message(accounts.remove_member(&second, person(&second), &client).await), refusal);
    assert_eq!(members(&world, &second).await, [row("Ada", "ada@example.org", Role::Owner)]);
}

async fn a_new_role_ends_sessions_and_takes_back_what_it_may_not_give_out(db: TestDatabase) {
    let (world, _, owner) = World::started(db).await;
    let (accounts, client) = (&world.accounts, browser());
    let (session, admin) = world.join(&owner, "ada@example.org", Role::Admin).await;
    let new = NewApiToken { label: "CI".to_owned(), scopes: vec![Scope::Admin], expires_at: None };
    let (_, hers) = accounts.create_api_token(&admin, new.clone(), &client).await.unwrap();
    let (_, owners) = accounts.create_api_token(&owner, new, &client).await.unwrap();
    let link = accounts.invite(&admin, invite("bob@example.org", Role::Admin), &client).await.unwrap();

    let change = RoleChange { user: person(&admin), role: Role::Member };
    accounts.set_role(&owner, change, &client).await.unwrap();
    assert_eq!(accounts.authenticate_session(&session.secret.0).await.unwrap(), None);
    assert_eq!(accounts.authenticate_token(&hers.0).await.unwrap(), None);
    assert!(accounts.authenticate_token(&owners.0).await.unwrap().is_some());
    assert!(accounts.find_invite(&link.secret.0).await.unwrap().is_none());
    let session = accounts.sign_in_with_password("ada@example.org", PASSWORD, &client).await.unwrap();
    assert_eq!(world.principal(&session).await.rights, Rights::Role(Role::Member));
}

async fn a_member_who_leaves_loses_everything_at_once(db: TestDatabase) {
    let (world, _, owner) = World::started(db).await;
    let (accounts, client) = (&world.accounts, browser());
    let (session, admin) = world.join(&owner, "ada@example.org", Role::Admin).await;
    let new = NewApiToken { label: "CI".to_owned(), scopes: vec![Scope::Read], expires_at: None };
    let (_, token) = accounts.create_api_token(&admin, new, &client).await.unwrap();
    let link = accounts.create_sign_in_link(person(&admin)).await.unwrap();
    world.acts().await;
    accounts.remove_member(&admin, person(&admin), &client).await.unwrap();
    assert_eq!(world.acts().await, ["member_removed success by user"]);
    assert_eq!(accounts.authenticate_session(&session.secret.0).await.unwrap(), None);
    assert_eq!(accounts.authenticate_token(&token.0).await.unwrap(), None);
    let refused = accounts.sign_in_with_link(&link.0, &client).await;
    assert_eq!(message(refused), "the link was used before or has expired");
    let refused = accounts.sign_in_with_password("ada@example.org", PASSWORD, &client).await;
    assert_eq!(message(refused), "e-mail address or password is wrong");
    assert_eq!(message(accounts.create_sign_in_link(person(&admin)).await), "there is no such member here");
}

async fn people_change_their_own_name_and_address(db: TestDatabase) {
    let (world, _, owner) = World::started(db).await;
    let (accounts, client) = (&world.accounts, browser());
    let (_, ada) = world.join(&owner, "ada@example.org", Role::Member).await;
    let change = ProfileChange {
        name: Some("Grace".to_owned()),
        email: Some("grace@example.org".to_owned()),
        password: None,
    };
    let changed = accounts.update_self(&owner, change.clone(), &client).await.unwrap();
    assert_eq!(
        (changed.name.as_str(), changed.email.as_str(), changed.role),
        ("Grace", "grace@example.org", Role::Owner)
    );
    let found: Option<Member> = accounts.find_self(&owner).await.unwrap();
    assert_eq!(found, Some(changed));

    assert_eq!(message(accounts.update_self(&ada, change.clone(), &client).await), "password: is wanted");
    let wrong = ProfileChange { password: Some(secret("not her password")), ..change.clone() };
    assert_eq!(
        message(accounts.update_self(&ada, wrong, &client).await),
        "e-mail address or password is wrong"
    );
    let taken = ProfileChange { password: Some(secret(PASSWORD)), ..change.clone() };
    assert_eq!(message(accounts.update_self(&ada, taken.clone(), &client).await), "email: already in use");
    let free = ProfileChange { email: Some("ada@new.example".to_owned()), ..taken };
    accounts.update_self(&ada, free, &client).await.unwrap();
    accounts.sign_in_with_password("ada@new.example", PASSWORD, &client).await.unwrap();
    let refused = accounts.sign_in_with_password("ada@example.org", PASSWORD, &client).await;
    assert_eq!(message(refused), "e-mail address or password is wrong");
    let program = Principal::system("test", owner.organisation);
    assert_eq!(
        message(accounts.update_self(&program, change, &client).await),
        "there is no such person here"
    );
    assert_eq!(accounts.find_self(&program).await.unwrap(), None);
}

async fn names_and_addresses_are_not_readable_in_the_database(db: TestDatabase) {
    let (world, _, owner) = World::started(db).await;
    let (session, _) = world.join(&owner, "ada.lovelace@example.org", Role::Member).await;
    let link = world
        .accounts
        .invite(&owner, invite("bob.babbage@example.org", Role::Member), &browser())
        .await
        .unwrap();
    let wrong = world.accounts.sign_in_with_password("eve.unknown@example.org", PASSWORD, &browser()).await;
    assert_eq!(message(wrong), "e-mail address or password is wrong");
    world.execute("DELETE FROM test_audit").await;
    let stored = world.everything_stored().await;
    let holds = |text: &str| stored.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("$argon2id$v=19$m=19456,t=2,p=1$"), "the search sees what is stored");
    for text in ["lovelace", "babbage", "eve.unknown", PASSWORD, &session.secret.0, &link.secret.0] {
        assert!(!holds(text), "{text} is readable");
    }
}

async fn members_are_listed_in_pages(db: TestDatabase) {
    let (world, _, owner) = World::started(db).await;
    for email in ["ada@example.org", "bob@example.org"] {
        world.clock.advance(Duration::from_secs(1));
        world.join(&owner, email, Role::Member).await;
    }
    let emails = |members: &[Member]| members.iter().map(|member| member.email.clone()).collect::<Vec<_>>();
    let page = world.accounts.list_members(&owner, PageRequest::first(2)).await.unwrap();
    assert_eq!(emails(&page.items), ["", "ada@example.org"]);
    let page = world.accounts.list_members(&owner, PageRequest::new(2, page.next)).await.unwrap();
    assert_eq!((emails(&page.items), page.next), (vec!["bob@example.org".to_owned()], None));
}
