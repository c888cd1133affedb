use belvedere_kernel::{Actor, User};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Id, database_tests};

use super::fakes::{Bench, OTHER_PROJECT, PROJECT};
use crate::search::{SaveSearch, SavedSearch, Search, SearchEditor, SearchOwner};
use crate::{ErrorTrackingError, IssueSort};

database_tests!(
    searches_are_kept_changed_and_deleted_with_audit_entries,
    personal_searches_are_their_owners_alone,
    one_search_of_an_owner_is_the_default,
    searches_have_limits_and_hold_no_personal_data,
);

fn user(number: u8) -> Id<User> {
    Id::from_bytes([number; 16])
}

fn editor(number: u8, may_share: bool) -> SearchEditor {
    SearchEditor {
        actor: Actor::User(user(number)),
        user: Some(user(number)),
        may_share,
        organisation: Id::from_bytes([9; 16]),
        project: PROJECT,
        request_id: Some("01R".to_owned()),
    }
}

fn shared(name: &str, query: &str) -> SaveSearch {
    SaveSearch {
        editor: editor(1, true),
        id: None,
        owner: SearchOwner::Shared,
        name: name.to_owned(),
        query: query.to_owned(),
        sort: IssueSort::Trend,
        is_default: false,
    }
}

async fn save(bench: &Bench, search: SaveSearch) -> SavedSearch {
    bench.search.save_search(search).await.unwrap().unwrap()
}

async fn names(bench: &Bench, by: u8) -> Vec<String> {
    let list = bench.search.list_saved_searches(PROJECT, Some(user(by))).await.unwrap();
    list.into_iter().map(|search| search.name).collect()
}

async fn searches_are_kept_changed_and_deleted_with_audit_entries(db: TestDatabase) {
    let bench = Bench::new(db);
    let saved = save(&bench, shared(" Crashes ", "is:unresolved level:fatal")).await;
    assert_eq!(
        (saved.name.as_str(), saved.sort, saved.owner),
        ("Crashes", IssueSort::Trend, SearchOwner::Shared)
    );
    let change = SaveSearch { id: Some(saved.id), sort: IssueSort::Events, ..shared("Fatal", "level:fatal") };
    save(&bench, change).await;
    let list = bench.search.list_saved_searches(PROJECT, None).await.unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!(
        (list[0].name.as_str(), list[0].query.as_str(), list[0].sort),
        ("Fatal", "level:fatal", IssueSort::Events)
    );
    assert_eq!(bench.search.list_saved_searches(OTHER_PROJECT, None).await.unwrap(), []);

    let elsewhere = SearchEditor { project: OTHER_PROJECT, ..editor(1, true) };
    assert!(!bench.search.delete_search(elsewhere.clone(), saved.id).await.unwrap());
    let change = SaveSearch { editor: elsewhere, id: Some(saved.id), ..shared("Mine", "") };
    assert_eq!(bench.search.save_search(change).await.unwrap(), None);
    assert!(bench.search.delete_search(editor(1, true), saved.id).await.unwrap());
    assert!(!bench.search.delete_search(editor(1, true), saved.id).await.unwrap());
    let entries = bench.audit.0.lock().unwrap();
    let actions: Vec<_> = entries.iter().map(|entry| entry.action).collect();
    assert_eq!(actions, ["saved_search_created", "saved_search_changed", "saved_search_deleted"]);
    assert_eq!(entries[0].target.as_ref().unwrap().id, saved.id.to_string());
}

async fn personal_searches_are_their_owners_alone(db: TestDatabase) {
    let bench = Bench::new(db);
    let own = SaveSearch { owner: SearchOwner::Personal(user(1)), ..shared("Mine", "assigned:me") };
    let own = save(&bench, own).await;
    save(&bench, shared("Ours", "")).await;
    assert_eq!(names(&bench, 1).await, ["Mine", "Ours"]);
    assert_eq!(names(&bench, 2).await, ["Ours"]);
    assert!(!bench.search.delete_search(editor(2, true), own.id).await.unwrap());
    let stolen = SaveSearch { editor: editor(2, true), id: Some(own.id), ..shared("Stolen", "") };
    assert_eq!(bench.search.save_search(stolen).await.unwrap(), None);
    let for_another = SaveSearch { owner: SearchOwner::Personal(user(2)), ..shared("Gift", "") };
    assert_eq!(bench.search.save_search(for_another).await.unwrap(), None);
    // Who may not share keeps their own.
    let reader = SaveSearch { editor: editor(2, false), ..shared("Not allowed", "") };
    assert_eq!(bench.search.save_search(reader.clone()).await.unwrap(), None);
    let reader = SaveSearch { owner: SearchOwner::Personal(user(2)), name: "Mine".to_owned(), ..reader };
    assert!(bench.search.save_search(reader).await.unwrap().is_some());
    assert_eq!(names(&bench, 2).await, ["Mine", "Ours"]);
}

async fn one_search_of_an_owner_is_the_default(db: TestDatabase) {
    let bench = Bench::new(db);
    for name in ["A", "B"] {
        save(&bench, SaveSearch { is_default: true, ..shared(name, "") }).await;
    }
    let own = SaveSearch { owner: SearchOwner::Personal(user(1)), is_default: true, ..shared("C", "") };
    save(&bench, own).await;
    let list = bench.search.list_saved_searches(PROJECT, Some(user(1))).await.unwrap();
    let defaults: Vec<_> = list.iter().filter(|it| it.is_default).map(|it| it.name.as_str()).collect();
    assert_eq!(defaults, ["B", "C"]);
}

async fn searches_have_limits_and_hold_no_personal_data(db: TestDatabase) {
    let bench = Bench::new(db);
    let refused = async |search: SaveSearch| match bench.search.save_search(search).await {
        Err(ErrorTrackingError::InvalidQuery(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(shared("  ", "")).await, "name: must have 1 to 60 characters on one line");
    assert_eq!(refused(shared(&"n".repeat(61), "")).await, "name: must have 1 to 60 characters on one line");
    assert_eq!(refused(shared("n", &"x".repeat(1_001))).await, "query: must have at most 1000 characters");
    assert_eq!(
        refused(shared("n", "hunter2")).await,
        "query: holds what the project's rules call personal data; it is not kept"
    );
    for number in 0..100 {
        save(&bench, shared(&format!("n{number}"), "")).await;
    }
    assert_eq!(refused(shared("n7", "")).await, "name: there is a saved search \"n7\" already");
    assert_eq!(
        refused(shared("one more", "")).await,
        "there are 100 saved searches already; delete one first"
    );
}
