use belvedere_kernel::ProjectId;
use belvedere_storage::PageRequest;
use belvedere_storage::testing::TestDatabase;

use super::{World, browser, message, new_project, with_role};
use crate::{
    Accounts as _, ApiTokens as _, IngestKeyChange, IngestKeys as _, Members as _, NewApiToken, NewIngestKey,
    NewOrganisation, OrganisationChange, ProjectChange, Role, RoleChange, Scope,
};

belvedere_storage::database_tests!(
    first_start_makes_an_organisation_with_owner_project_and_key_once,
    first_start_adds_what_is_missing,
    two_first_starts_at_once_make_one_organisation,
    project_numbers_are_dense_whatever_was_refused,
    another_organisations_things_are_not_found,
    a_project_changes_and_the_change_is_recorded,
    a_slug_is_unique_within_its_organisation_only,
    an_organisation_is_renamed_by_its_administrators,
    what_is_not_allowed_is_forbidden_by_name,
    the_project_for_belvederes_own_errors_is_made_once_and_never_first,
);

async fn first_start_makes_an_organisation_with_owner_project_and_key_once(db: TestDatabase) {
    let world = World::new(db).await;
    let first = world.accounts.first_steps().await.unwrap();
    assert!(first.is_new);
    assert_eq!(
        (first.organisation.name.as_str(), first.organisation.slug.as_str()),
        ("My organisation", "my-organisation")
    );
    assert_eq!((first.project.id, first.project.slug.as_str()), (ProjectId(1), "my-project"));
    assert_eq!((first.project.name.as_str(), first.project.time_zone.as_str()), ("My project", "UTC"));
    assert_eq!(first.project.created_at.to_string(), "2026-11-23T12:00:00Z");
    assert_eq!((first.key.project, first.key.public_key.len()), (ProjectId(1), 32));
    let acts = world.acts().await;
    let expected = ["organisation_created", "member_added", "project_created", "ingest_key_created"];
    assert_eq!(acts, expected.map(|act| format!("{act} success by system")));

    let again = world.another_process().first_steps().await.unwrap();
    assert_eq!(again, crate::FirstSteps { is_new: false, ..first });
    assert_eq!(world.acts().await, [""; 0]);
}

async fn first_start_adds_what_is_missing(db: TestDatabase) {
    let world = World::new(db).await;
    let new = NewOrganisation {
        name: "Made by hand".to_owned(),
        slug: Some("hand".to_owned()),
        owner_name: "Ada".to_owned(),
        owner_email: "ada@example.org".to_owned(),
    };
    let (organisation, owner) = world.accounts.create_organisation(new).await.unwrap();
    let first = world.accounts.first_steps().await.unwrap();
    assert_eq!((first.organisation, first.owner, first.is_new), (organisation, owner, true));
    assert_eq!(first.project.id, ProjectId(1));
    assert!(!world.accounts.first_steps().await.unwrap().is_new);
}

async fn two_first_starts_at_once_make_one_organisation(db: TestDatabase) {
    let world = World::new(db).await;
    let other = world.another_process();
    let (one, two) = tokio::join!(world.accounts.first_steps(), other.first_steps());
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(
        (one.organisation, one.project, one.key, one.owner),
        (two.organisation, two.project, two.key, two.owner)
    );
    assert_ne!(one.is_new, two.is_new);
}

async fn project_numbers_are_dense_whatever_was_refused(db: TestDatabase) {
    let (world, _, owner) = World::started(db).await;
    for (name, expected) in [("Web", "done"), ("Web", "slug: already in use"), ("App", "done")] {
        assert_eq!(
            message(world.accounts.create_project(&owner, new_project(name), &browser()).await),
            expected
        );
    }
    let projects = world.accounts.list_projects(&owner).await.unwrap();
    let shown: Vec<_> = projects.iter().map(|project| (project.id.0, project.slug.as_str())).collect();
    assert_eq!(shown, [(1, "my-project"), (2, "web"), (3, "app")]);
    assert_eq!(world.accounts.find_project(&owner, ProjectId(3)).await.unwrap().as_ref(), projects.last());
    assert_eq!(world.accounts.find_project(&owner, ProjectId(4)).await.unwrap(), None);
}

async fn another_organisations_things_are_not_found(db: TestDatabase) {
    let (world, first, owner) = World::started(db).await;
    let (_, eve) = world.strangers().await;
    let accounts = &world.accounts;
    let client = browser();
    let new = NewApiToken { label: "CI".to_owned(), scopes: vec![Scope::Read], expires_at: None };
    let (token, _) = accounts.create_api_token(&owner, new, &client).await.unwrap();
    world.acts().await;

    let (project, key) = (first.project.id, first.key.id);
    assert_eq!(accounts.find_project(&eve, project).await.unwrap(), None);
    assert_eq!(accounts.list_projects(&eve).await.unwrap(), []);
    let change = ProjectChange { project, name: Some("Mine".to_owned()), slug: None, time_zone: None };
    assert_eq!(
        message(accounts.update_project(&eve, change, &client).await),
        "there is no such project here"
    );
    let page = PageRequest::first(10);
    assert_eq!(
        message(accounts.list_ingest_keys(&eve, project, page.clone()).await),
        "there is no such project here"
    );
    let new = NewIngestKey {
        project,
        label: "x".to_owned(),
        rate_limit_per_minute: None,
        allowed_origins: Vec::new(),
    };
    assert_eq!(
        message(accounts.create_ingest_key(&eve, new, &client).await),
        "there is no such project here"
    );
    let change = IngestKeyChange {
        key,
        label: Some("x".to_owned()),
        rate_limit_per_minute: None,
        allowed_origins: None,
    };
    assert_eq!(
        message(accounts.update_ingest_key(&eve, change, &client).await),
        "there is no such ingest key here"
    );
    assert_eq!(
        message(accounts.revoke_ingest_key(&eve, key, &client).await),
        "there is no such ingest key here"
    );
    assert_eq!(
        message(accounts.revoke_api_token(&eve, token.id, &client).await),
        "there is no such API token here"
    );
    assert_eq!(accounts.list_api_tokens(&eve, page.clone()).await.unwrap().items, []);
    let change = RoleChange { user: first.owner, role: Role::Member };
    assert_eq!(message(accounts.set_role(&eve, change, &client).await), "there is no such member here");
    assert_eq!(
        message(accounts.remove_member(&eve, first.owner, &client).await),
        "there is no such member here"
    );
    assert_eq!(accounts.list_members(&eve, page).await.unwrap().items.len(), 1);
    assert_eq!(world.acts().await, [""; 0]);
    assert_eq!(accounts.find_project(&owner, project).await.unwrap(), Some(first.project));
}

async fn a_project_changes_and_the_change_is_recorded(db: TestDatabase) {
    let (world, first, owner) = World::started(db).await;
    world.acts().await;
    let change = ProjectChange {
        project: first.project.id,
        name: Some(" Shop ".to_owned()),
        slug: Some("shop".to_owned()),
        time_zone: Some("Europe/Berlin".to_owned()),
    };
    let zone = async || world.accounts.time_zone(first.project.id).await.unwrap().unwrap();
    assert_eq!(zone().await, "UTC");
    let changed = world.accounts.update_project(&owner, change, &browser()).await.unwrap();
    assert_eq!(zone().await, "Europe/Berlin");
    assert_eq!(
        (changed.name.as_str(), changed.slug.as_str(), changed.time_zone.as_str()),
        ("Shop", "shop", "Europe/Berlin")
    );
    assert_eq!(world.accounts.find_project(&owner, first.project.id).await.unwrap(), Some(changed));
    let details = world.details("project_updated success by user").await;
    let expected = r#"project 1 request-1 {"from":{"name":"My project","slug":"my-project","time_zone":"UTC"},"to":{"name":"Shop","slug":"shop","time_zone":"Europe/Berlin"}}"#;
    assert_eq!(details, [expected]);

    let bad = ProjectChange {
        project: first.project.id,
        name: None,
        slug: None,
        time_zone: Some("Mars".repeat(20)),
    };
    let expected = "time_zone: must be the name of an IANA time zone such as Europe/Berlin or UTC";
    assert_eq!(message(world.accounts.update_project(&owner, bad, &browser()).await), expected);
}

async fn a_slug_is_unique_within_its_organisation_only(db: TestDatabase) {
    let (world, first, owner) = World::started(db).await;
    let (_, eve) = world.strangers().await;
    let theirs = world.accounts.create_project(&eve, new_project("My project"), &browser()).await.unwrap();
    assert_eq!((theirs.id, theirs.slug.as_str()), (ProjectId(2), "my-project"));
    let web = world.accounts.create_project(&owner, new_project("Web"), &browser()).await.unwrap();
    let change =
        ProjectChange { project: web.id, name: None, slug: Some(first.project.slug), time_zone: None };
    let refused = world.accounts.update_project(&owner, change.clone(), &browser()).await;
    assert_eq!(message(refused), "slug: already in use");
    let unchanged = ProjectChange { slug: Some("web".to_owned()), ..change };
    assert_eq!(world.accounts.update_project(&owner, unchanged, &browser()).await.unwrap(), web);
}

async fn an_organisation_is_renamed_by_its_administrators(db: TestDatabase) {
    let (world, first, owner) = World::started(db).await;
    world.strangers().await;
    let rename = |name: &str, slug: &str| OrganisationChange {
        name: Some(name.to_owned()),
        slug: Some(slug.to_owned()),
    };
    let renamed =
        world.accounts.update_organisation(&owner, rename("Acme", "acme"), &browser()).await.unwrap();
    assert_eq!((renamed.name.as_str(), renamed.slug.as_str()), ("Acme", "acme"));
    assert_eq!(world.accounts.find_organisation(&owner).await.unwrap(), Some(renamed.clone()));
    assert_eq!(world.accounts.list_organisations(&owner).await.unwrap(), [renamed]);
    let taken = world.accounts.update_organisation(&owner, rename("Acme", "strangers"), &browser()).await;
    assert_eq!(message(taken), "slug: already in use");
    let member = with_role(&owner, Role::Member);
    let refused = world.accounts.update_organisation(&member, rename("Mine", "mine"), &browser()).await;
    assert_eq!(message(refused), "not allowed without the permission manage_organisation");
    assert_eq!(first.organisation.slug, "my-organisation");
}

async fn what_is_not_allowed_is_forbidden_by_name(db: TestDatabase) {
    let (world, first, owner) = World::started(db).await;
    let (accounts, client) = (&world.accounts, browser());
    let analyst = with_role(&owner, Role::Analyst);
    world.acts().await;
    let forbidden = |what: &str| format!("not allowed without the permission {what}");
    let refused = accounts.create_project(&analyst, new_project("Web"), &client).await;
    assert_eq!(message(refused), forbidden("manage_projects"));
    let refused = accounts.list_ingest_keys(&analyst, first.project.id, PageRequest::first(1)).await;
    assert_eq!(message(refused), forbidden("view_keys"));
    assert_eq!(
        message(accounts.revoke_ingest_key(&analyst, first.key.id, &client).await),
        forbidden("manage_keys")
    );
    assert_eq!(
        message(accounts.list_api_tokens(&analyst, PageRequest::first(1)).await),
        forbidden("manage_tokens")
    );
    assert_eq!(
        message(accounts.remove_member(&analyst, first.key.id.cast(), &client).await),
        forbidden("manage_members")
    );
    assert_eq!(world.acts().await, [""; 0]);
}

async fn the_project_for_belvederes_own_errors_is_made_once_and_never_first(db: TestDatabase) {
    let world = World::new(db).await;
    assert_eq!(world.accounts.own_project().await.unwrap(), None);
    world.accounts.first_steps().await.unwrap();
    world.acts().await;
    let other = world.another_process();
    let (one, two) = tokio::join!(world.accounts.own_project(), other.own_project());
    let (project, key) = one.unwrap().unwrap();
    assert_eq!(two.unwrap().unwrap(), (project.clone(), key.clone()));
    assert_eq!((project.id, project.slug.as_str()), (ProjectId(2), "belvedere-itself"));
    assert_eq!(project.name, "Belvedere itself");
    assert_eq!(key.project, project.id);
    let expected = ["project_created", "ingest_key_created"];
    assert_eq!(world.acts().await, expected.map(|act| format!("{act} success by system")));

    let owner = crate::Principal::system("test", project.organisation);
    world.accounts.revoke_ingest_key(&owner, key.id, &browser()).await.unwrap();
    assert_eq!(world.accounts.own_project().await.unwrap(), None, "a revoked key is not replaced");
}
