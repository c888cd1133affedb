use belvedere_storage::query_sql;
use belvedere_storage::testing::TestDatabase;
use bytes::Bytes;

use super::*;

belvedere_storage::database_tests!(
    nothing_in_the_tables_says_who_somebody_is,
    an_erased_person_is_an_anonymous_account_and_has_no_documents,
    a_person_is_everything_that_is_known_of_an_agent,
);

async fn with_documents(world: &World) {
    let state =
        DocumentOwner::State { activity: "http://a/x".to_owned(), agent: mailbox("ada"), registration: None };
    for owner in [state, DocumentOwner::Agent(mailbox("ada"))] {
        let content = Bytes::from_static(b"{\"note\":\"secret words\"}");
        let change = DocumentChange::Put {
            content_type: "application/json".to_owned(),
            content,
            needs_condition: ConditionRule::Optional,
        };
        let (id, condition) = ("d".to_owned(), Condition::default());
        world
            .service
            .change_document(ChangeDocument { client: client(1), owner, id, condition, change })
            .await
            .unwrap();
    }
}

async fn nothing_in_the_tables_says_who_somebody_is(db: TestDatabase) {
    let world = World::new(db);
    world.store(&statement(1, "ada", "did", "x")).await.unwrap();
    with_documents(&world).await;
    for (table, columns) in [
        ("xapi_statement", vec!["body", "people", "digest"]),
        ("xapi_agent", vec!["form", "sealed"]),
        ("xapi_document", vec!["content"]),
        ("xapi_posting", vec!["others"]),
        ("xapi_recent", vec!["postings"]),
    ] {
        for column in columns {
            for row in query_sql(world.db.read(), &format!("SELECT {column} FROM {table}"), []).await.unwrap()
            {
                let bytes: Vec<u8> = row.try_get_by_index(0).unwrap();
                for word in ["ada", "Name", "example.org", "secret"] {
                    let is_there = bytes.windows(word.len()).any(|part| part == word.as_bytes());
                    assert!(!is_there, "{table}.{column} has {word}");
                }
            }
        }
    }
}

async fn an_erased_person_is_an_anonymous_account_and_has_no_documents(db: TestDatabase) {
    let world = World::new(db);
    let team = statement(2, "bob", "did", "x").replace(
        "\"object\"",
        r#""context":{"team":{"objectType":"Group","member":[{"mbox":"mailto:ada@example.org"}]}},"object""#,
    );
    world.store(&statement(1, "ada", "did", "x")).await.unwrap();
    world.store(&team).await.unwrap();
    with_documents(&world).await;
    let data = world.service.subject_data();
    let names: Vec<&str> = data.iter().map(|it| it.name()).collect();
    assert_eq!(names, ["xapi statements", "xapi states", "xapi agent profiles"]);
    // Ada came first.
    let ada = subject(1);
    for (data, count) in data.iter().zip([2, 1, 1]) {
        assert_eq!(data.count(ProjectId(1), ada).await.unwrap(), count, "{}", data.name());
        let exported = data.export(ProjectId(1), ada, None).await.unwrap();
        assert_eq!(exported.records.len() as u64, count);
    }
    let exported = data[0].export(ProjectId(1), ada, None).await.unwrap();
    assert_eq!(exported.records[0]["actor"]["mbox"], "mailto:ada@example.org");
    for (data, count) in data.iter().zip([2, 1, 1]) {
        assert_eq!(data.erase(ProjectId(1), ada).await.unwrap(), count);
        assert_eq!(data.count(ProjectId(1), ada).await.unwrap(), 0);
        assert_eq!(data.erase(ProjectId(1), ada).await.unwrap(), 0);
        assert_eq!(data.export(ProjectId(1), ada, None).await.unwrap().records.len(), 0);
    }
    let nobody =
        r#"{"objectType":"Agent","account":{"homePage":"https://belvedere.example","name":"erased-1"}}"#;
    assert_eq!(world.find(1, false).await.unwrap().get("actor").unwrap().to_string(), nobody);
    let of_bob = world.find(2, false).await.unwrap();
    assert_eq!(of_bob.get("actor").unwrap().text_of("mbox"), Some("mailto:bob@example.org"));
    assert!(of_bob.get("context").unwrap().to_string().contains(nobody));
    let count =
        world.entries.0.lock().unwrap().iter().filter(|it| it.action == "xapi_subject_erased").count();
    assert_eq!(count, 3);
    // Who comes again is worded anew.
    world.store(&statement(3, "ada", "did", "x")).await.unwrap();
    assert_eq!(
        world.find(3, false).await.unwrap().get("actor").unwrap().text_of("mbox"),
        Some("mailto:ada@example.org")
    );
    assert_eq!(world.find(1, false).await.unwrap().get("actor").unwrap().to_string(), nobody);
}

async fn a_person_is_everything_that_is_known_of_an_agent(db: TestDatabase) {
    let world = World::new(db);
    world.store(&statement(1, "ada", "did", "x")).await.unwrap();
    world.store(&statement(2, "ada", "did", "x").replace("ada Name", "Ada L.")).await.unwrap();
    assert_eq!(
        world.service.find_person(ProjectId(1), &mailbox("ada")).await.unwrap(),
        r#"{"objectType":"Person","name":["ada Name","Ada L."],"mbox":["mailto:ada@example.org"]}"#
    );
    let account = Ifi::Account { home_page: "http://h".to_owned(), name: "n".to_owned() };
    assert_eq!(
        world.service.find_person(ProjectId(1), &account).await.unwrap(),
        r#"{"objectType":"Person","account":[{"homePage":"http://h","name":"n"}]}"#
    );
}
