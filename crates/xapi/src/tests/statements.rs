use std::collections::HashMap;

use belvedere_storage::testing::TestDatabase;
use bytes::Bytes;

use super::*;
use crate::statement::{Format, VOIDED};

belvedere_storage::database_tests!(
    a_statement_comes_back_as_it_was_sent,
    a_repetition_is_stored_once_and_another_statement_of_the_id_is_refused,
    a_batch_is_stored_whole_or_not_at_all,
    filters_find_what_fits_and_nothing_else,
    a_list_goes_on_where_it_ended,
    random_statements_are_found_by_every_filter_as_by_looking_at_all,
    voided_statements_are_hidden_whichever_comes_first,
    a_statement_is_found_by_what_it_is_about,
    writers_share_commits_without_locking_each_other_out,
    files_belong_to_statements,
    activities_are_brought_together,
    statements_are_events_too,
    a_key_may_be_kept_to_its_own_statements,
);

async fn a_statement_comes_back_as_it_was_sent(db: TestDatabase) {
    let world = World::new(db);
    let sent = r#"{"id":"39E24CC4-69af-4b01-a824-1fdc6ea8a3af","actor":{"objectType":"Group","name":"Crew","account":{"homePage":"http://h","name":"crew"},"member":[{"name":"Ada","mbox":"mailto:Ada@example.org"}]},"verb":{"id":"http://v","display":{"en":"did \u0001"}},"object":{"id":"http://a","definition":{"extensions":{"http://x":[1.50,null,{"z":1,"a":2}]}}},"result":{"score":{"raw":1e2}},"context":{"contextActivities":{"parent":{"id":"http://p"}}},"timestamp":"2026-11-28T12:00:00+01:00"}"#;
    assert_eq!(world.store(sent).await.unwrap().new, 1);
    let found = world.list(StatementQuery::default()).await.remove(0);
    let sent = Json::parse(sent.as_bytes(), 16).unwrap();
    for key in ["id", "actor", "verb", "object", "result", "timestamp"] {
        assert_eq!(found.get(key).map(ToString::to_string), sent.get(key).map(ToString::to_string), "{key}");
    }
    let parent = found.get("context").unwrap().get("contextActivities").unwrap().get("parent").unwrap();
    assert_eq!(parent.to_string(), r#"[{"id":"http://p"}]"#);
    assert_eq!(found.text_of("version"), Some("2.0.0"));
    assert_eq!(found.text_of("stored"), Some("2026-11-28T12:00:00Z"));
    assert_eq!(
        found.get("authority").unwrap().to_string(),
        r#"{"objectType":"Agent","name":"key 1","account":{"homePage":"https://belvedere.example","name":"key 1"}}"#
    );
    let entries = world.entries.0.lock().unwrap();
    let written: Vec<_> = entries.iter().filter(|it| it.action == "xapi_records_written").collect();
    assert_eq!((written.len(), &written[0].detail["statements"]), (1, &1.into()));
}

async fn a_repetition_is_stored_once_and_another_statement_of_the_id_is_refused(db: TestDatabase) {
    let world = World::new(db);
    let one = statement(1, "ada", "did", "x");
    assert_eq!(world.store(&one).await.unwrap().new, 1);
    assert_eq!(world.store(&one).await.unwrap(), StoredStatements { ids: vec![id_text(1)], new: 0 });
    // What the store gave back is the same statement.
    let given = world.find(1, false).await.unwrap().to_string();
    assert_eq!(world.store(&given).await.unwrap().new, 0);
    let other = statement(1, "ada", "did", "y");
    assert!(matches!(world.store(&other).await, Err(XapiError::Conflict(id)) if id == id_text(1)));
    assert_eq!(world.list(StatementQuery::default()).await.len(), 1);
}

async fn a_batch_is_stored_whole_or_not_at_all(db: TestDatabase) {
    let world = World::new(db);
    world.store(&statement(1, "ada", "did", "x")).await.unwrap();
    let batch = format!("[{},{}]", statement(2, "ada", "did", "x"), statement(1, "bob", "did", "x"));
    assert!(matches!(world.store(&batch).await, Err(XapiError::Conflict(_))));
    let batch = format!("[{},{{}}]", statement(2, "ada", "did", "x"));
    let error = world.store(&batch).await.unwrap_err().to_string();
    assert_eq!(error, "/1/actor: is required");
    let batch = format!("[{0},{0}]", statement(2, "ada", "did", "x"));
    assert!(world.store(&batch).await.unwrap_err().to_string().starts_with("/1/id"));
    assert_eq!(world.ids(StatementQuery::default()).await, [1]);
    let batch = format!("[{},{}]", statement(1, "ada", "did", "x"), statement(3, "ada", "did", "x"));
    assert_eq!(
        world.store(&batch).await.unwrap(),
        StoredStatements { ids: vec![id_text(1), id_text(3)], new: 1 }
    );
    assert_eq!(world.store("[]").await.unwrap().new, 0);
}

async fn filters_find_what_fits_and_nothing_else(db: TestDatabase) {
    let world = World::new(db);
    let registration = "16fd2706-8baf-433b-82eb-8c7fada847da";
    let with_context = format!(
        r#"{{"id":"{}","actor":{{"mbox":"mailto:ada@example.org"}},"verb":{{"id":"http://v/did"}},"object":{{"id":"http://a/x"}},"context":{{"registration":"{registration}","instructor":{{"mbox":"mailto:bob@example.org"}},"contextActivities":{{"grouping":[{{"id":"http://a/course"}}]}}}}}}"#,
        id_text(1)
    );
    let group = format!(
        r#"{{"id":"{}","actor":{{"objectType":"Group","member":[{{"mbox":"mailto:ada@example.org"}}]}},"verb":{{"id":"http://v/met"}},"object":{{"objectType":"Agent","mbox":"mailto:bob@example.org"}}}}"#,
        id_text(2)
    );
    let sub = format!(
        r#"{{"id":"{}","actor":{{"mbox":"mailto:eve@example.org"}},"verb":{{"id":"http://v/planned"}},"object":{{"objectType":"SubStatement","actor":{{"mbox":"mailto:ada@example.org"}},"verb":{{"id":"http://v/did"}},"object":{{"id":"http://a/x"}}}}}}"#,
        id_text(3)
    );
    for body in [with_context, group, sub] {
        world.store(&body).await.unwrap();
    }
    let by = |change: fn(&mut StatementQuery)| {
        let mut query = StatementQuery::default();
        change(&mut query);
        world.ids(query)
    };
    assert_eq!(by(|_| {}).await, [3, 2, 1]);
    assert_eq!(by(|it| it.ascending = true).await, [1, 2, 3]);
    assert_eq!(by(|it| it.agent = Some(mailbox("ada"))).await, [2, 1]);
    assert_eq!(by(|it| it.agent = Some(mailbox("bob"))).await, [2]);
    assert_eq!(by(|it| (it.agent, it.related_agents) = (Some(mailbox("bob")), true)).await, [2, 1]);
    assert_eq!(by(|it| (it.agent, it.related_agents) = (Some(mailbox("ada")), true)).await, [3, 2, 1]);
    assert_eq!(by(|it| it.agent = Some(mailbox("nobody"))).await, [0_u8; 0]);
    assert_eq!(by(|it| it.verb = Some("http://v/did".to_owned())).await, [1]);
    assert_eq!(by(|it| it.activity = Some("http://a/x".to_owned())).await, [1]);
    assert_eq!(
        by(|it| (it.activity, it.related_activities) = (Some("http://a/x".to_owned()), true)).await,
        [3, 1]
    );
    assert_eq!(by(|it| it.activity = Some("http://a/course".to_owned())).await, [0_u8; 0]);
    assert_eq!(
        by(|it| (it.activity, it.related_activities) = (Some("http://a/course".to_owned()), true)).await,
        [1]
    );
    let mut query = StatementQuery { registration: crate::value::uuid(registration), ..Default::default() };
    assert_eq!(world.ids(query.clone()).await, [1]);
    query.verb = Some("http://v/met".to_owned());
    assert_eq!(world.ids(query).await, [0_u8; 0]);
    let both = |verb: &str| StatementQuery {
        agent: Some(mailbox("ada")),
        verb: Some(format!("http://v/{verb}")),
        ..Default::default()
    };
    assert_eq!(world.ids(both("met")).await, [2]);
    assert_eq!(world.ids(both("planned")).await, [0_u8; 0]);
    let authority = Ifi::Account { home_page: HOME.to_owned(), name: "key 1".to_owned() };
    let query = StatementQuery { agent: Some(authority), related_agents: true, ..Default::default() };
    assert_eq!(world.ids(query).await, [3, 2, 1]);
    // Each was stored a microsecond after the other.
    let at = |micros: i64| Some(Timestamp::from_micros(START.as_micros() + micros));
    assert_eq!(world.ids(StatementQuery { since: at(0), ..Default::default() }).await, [3, 2]);
    assert_eq!(world.ids(StatementQuery { until: at(0), ..Default::default() }).await, [1]);
    assert_eq!(world.ids(StatementQuery { since: at(0), until: at(1), ..Default::default() }).await, [2]);
    let other = Reader { client: Client { project: ProjectId(2), ..client(1) }, ..reader() };
    assert_eq!(
        world.service.list_statements(&other, StatementQuery::default()).await.unwrap().statements.len(),
        0
    );
    let ids = StatementQuery { format: Format::Ids, limit: Some(1), ..Default::default() };
    assert_eq!(
        world.list(ids).await[0].get("actor").unwrap().to_string(),
        r#"{"mbox":"mailto:eve@example.org"}"#
    );
}

async fn a_list_goes_on_where_it_ended(db: TestDatabase) {
    let world = World::new(db);
    for number in 1..=10 {
        world
            .store(&statement(number, if number % 3 == 0 { "bob" } else { "ada" }, "did", "x"))
            .await
            .unwrap();
    }
    for ascending in [false, true] {
        for agent in [None, Some(mailbox("ada"))] {
            let query =
                StatementQuery { limit: Some(3), ascending, agent: agent.clone(), ..Default::default() };
            let mut found = world.service.list_statements(&reader(), query).await.unwrap();
            let mut ids: Vec<String> = Vec::new();
            let mut pages = 0;
            loop {
                pages += 1;
                let of = |text: &String| {
                    Json::parse(text.as_bytes(), 9).unwrap().text_of("id").unwrap().to_owned()
                };
                ids.extend(found.statements.iter().map(of));
                let Some(more) = &found.more else { break };
                // What comes in meanwhile is on no page of a list that goes back in time.
                if pages == 1 && !ascending {
                    world
                        .store(&statement(100 + u8::from(agent.is_some()), "ada", "did", "x"))
                        .await
                        .unwrap();
                }
                let stranger = Reader { client: client(2), ..reader() };
                assert!(world.service.list_more(&stranger, more).await.unwrap().is_none());
                found = world.service.list_more(&reader(), more).await.unwrap().unwrap();
            }
            let mut expected: Vec<String> =
                (1..=10).filter(|it| agent.is_none() || it % 3 != 0).map(id_text).collect();
            if ascending {
                expected.extend([id_text(100), id_text(101)]);
            } else {
                expected.reverse();
                if agent.is_some() {
                    expected.insert(0, id_text(100));
                }
            }
            assert_eq!(ids, expected, "{ascending} {agent:?}");
        }
    }
    assert!(world.service.list_more(&reader(), "nonsense").await.unwrap().is_none());
}

async fn random_statements_are_found_by_every_filter_as_by_looking_at_all(db: TestDatabase) {
    let world = World::new(db);
    let mut seed = 7_u32;
    let mut random = |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) % below
    };
    let mut all: Vec<(u8, u32, u32, u32)> = Vec::new();
    let mut number = 0;
    while number < 240 {
        let mut batch = Vec::new();
        for _ in 0..1 + random(12) {
            let (actor, verb, activity) = (random(5), random(3), random(4));
            all.push((number, actor, verb, activity));
            batch.push(statement(number, &format!("a{actor}"), &format!("v{verb}"), &format!("x{activity}")));
            number += 1;
        }
        world.store(&format!("[{}]", batch.join(","))).await.unwrap();
    }
    for _ in 0..60 {
        let (actor, verb, activity) = (random(6), random(4), random(5));
        let mut query = StatementQuery {
            ascending: random(2) == 0,
            limit: Some(1 + random(60) as usize),
            ..Default::default()
        };
        let mut expected: Vec<_> = all.clone();
        if random(2) == 0 {
            query.agent = Some(mailbox(&format!("a{actor}")));
            expected.retain(|it| it.1 == actor);
        }
        if random(2) == 0 {
            query.verb = Some(format!("http://v/v{verb}"));
            expected.retain(|it| it.2 == verb);
        }
        if random(2) == 0 {
            query.activity = Some(format!("http://a/x{activity}"));
            query.related_activities = random(2) == 0;
            expected.retain(|it| it.3 == activity);
        }
        if !query.ascending {
            expected.reverse();
        }
        let expected: Vec<u8> = expected.iter().take(query.limit.unwrap()).map(|it| it.0).collect();
        assert_eq!(world.ids(query.clone()).await, expected, "{query:?}");
    }
}

async fn voided_statements_are_hidden_whichever_comes_first(db: TestDatabase) {
    let world = World::new(db);
    world.store(&statement(1, "ada", "did", "x")).await.unwrap();
    world.store(&about(2, "admin", VOIDED, 1)).await.unwrap();
    world.store(&about(3, "admin", VOIDED, 4)).await.unwrap();
    world.store(&statement(4, "ada", "did", "x")).await.unwrap();
    let both = format!("[{},{}]", about(5, "admin", VOIDED, 6), statement(6, "ada", "did", "x"));
    world.store(&both).await.unwrap();
    for voided in [1, 4, 6] {
        assert!(
            world.find(voided, false).await.is_none() && world.find(voided, true).await.is_some(),
            "{voided}"
        );
    }
    // What voids cannot be voided.
    world.store(&about(7, "admin", VOIDED, 2)).await.unwrap();
    assert!(world.find(2, false).await.is_some());
    assert_eq!(world.ids(StatementQuery::default()).await, [7, 5, 3, 2]);
    // Who asks for what was voided is told that it was.
    let query = StatementQuery { agent: Some(mailbox("ada")), ..Default::default() };
    assert_eq!(world.ids(query).await, [7, 5, 3, 2]);
    let entries = world.entries.0.lock().unwrap();
    assert_eq!(entries.iter().filter(|it| it.detail["voided"] != serde_json::json!([])).count(), 4);
}

async fn a_statement_is_found_by_what_it_is_about(db: TestDatabase) {
    let world = World::new(db);
    world.store(&about(1, "eve", "http://v/liked", 2)).await.unwrap();
    world.store(&about(2, "bob", "http://v/answered", 3)).await.unwrap();
    assert_eq!(
        world.ids(StatementQuery { agent: Some(mailbox("ada")), ..Default::default() }).await,
        [0_u8; 0]
    );
    world.store(&statement(3, "ada", "did", "x")).await.unwrap();
    world.store(&about(4, "tom", "http://v/liked", 1)).await.unwrap();
    let by = |agent: &str| StatementQuery { agent: Some(mailbox(agent)), ..Default::default() };
    assert_eq!(world.ids(by("ada")).await, [4, 3, 2, 1]);
    assert_eq!(world.ids(by("bob")).await, [4, 2, 1]);
    assert_eq!(world.ids(by("eve")).await, [4, 1]);
    assert_eq!(world.ids(by("tom")).await, [4]);
    let by = StatementQuery { verb: Some("http://v/did".to_owned()), ascending: true, ..Default::default() };
    assert_eq!(world.ids(by.clone()).await, [1, 2, 3, 4]);
    let after_first = StatementQuery { since: Some(START), ..by };
    assert_eq!(world.ids(after_first).await, [2, 3, 4]);
    let by = StatementQuery { activity: Some("http://a/x".to_owned()), limit: Some(2), ..Default::default() };
    assert_eq!(world.ids(by).await, [4, 3]);
}

async fn writers_share_commits_without_locking_each_other_out(db: TestDatabase) {
    let world = Arc::new(World::new(db));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..64_u32 {
        let world = Arc::clone(&world);
        writers.spawn(async move {
            for turn in 0..4_u32 {
                let body = format!(
                    r#"{{"actor":{{"mbox":"mailto:w{}@example.org"}},"verb":{{"id":"http://v/did"}},"object":{{"id":"http://a/{}","definition":{{"name":{{"en":"turn {turn}","x-w{writer}":"w"}}}}}}}}"#,
                    writer % 7,
                    turn % 2
                );
                assert_eq!(world.store(&body).await.unwrap().new, 1);
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let mut count = 0;
    let mut found = world.service.list_statements(&reader(), StatementQuery::default()).await.unwrap();
    loop {
        count += found.statements.len();
        let Some(more) = &found.more else { break };
        found = world.service.list_more(&reader(), more).await.unwrap().unwrap();
    }
    assert_eq!(count, 256);
    let activity = world.service.find_activity(ProjectId(1), "http://a/1").await.unwrap();
    assert_eq!(activity.matches("x-w").count(), 64);
    let commits = world.entries.0.lock().unwrap().len();
    assert!(commits < 256, "{commits} commits");
}

async fn files_belong_to_statements(db: TestDatabase) {
    let world = World::new(db);
    // SHA-256 of "abc".
    let sha2 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let with_file = |sha2: &str, url: &str| {
        let claim = format!(
            r#","attachments":[{{"usageType":"http://u","display":{{"en":"d"}},"contentType":"text/plain","length":3,"sha2":"{sha2}"{url}}}]}}"#
        );
        statement(1, "ada", "did", "x").strip_suffix('}').unwrap().to_owned() + &claim
    };
    let store = async |version, body: String, files: &[(&str, &'static [u8])]| {
        let body = Json::parse(body.as_bytes(), 32).unwrap();
        let files: HashMap<String, Bytes> =
            files.iter().map(|(sha2, content)| ((*sha2).to_owned(), Bytes::from_static(content))).collect();
        world
            .service
            .store_statements(StoreStatements { client: client(1), version, body, id: None, files })
            .await
    };
    let message = |result: Result<StoredStatements, XapiError>| result.unwrap_err().to_string();
    let claim = with_file(sha2, "");
    let abc: &[(&str, &'static [u8])] = &[(sha2, b"abc")];
    for version in [Version::One, Version::Two] {
        for (body, files, why) in [
            (claim.clone(), &[][..], "missing"),
            (claim.clone(), &[(sha2, &b"abd"[..])], "is not the SHA-2"),
            (statement(1, "ada", "did", "x"), abc, "no statement claims"),
        ] {
            let refused = message(store(version, body, files).await);
            assert!(refused.contains(why), "{refused}");
        }
    }
    // The digest says which file is meant; the length is the word of the statement.
    store(Version::One, claim.replace("\"length\":3", "\"length\":2"), abc).await.unwrap();
    let query = StatementQuery { attachments: true, ..Default::default() };
    let found = world.service.list_statements(&reader(), query).await.unwrap();
    let expected = File {
        sha2: sha2.to_owned(),
        content_type: "text/plain".to_owned(),
        content: Bytes::from_static(b"abc"),
    };
    assert_eq!(found.files, [expected]);
    let elsewhere = with_file(sha2, r#","fileUrl":"http://f""#).replace(&id_text(1), &id_text(2));
    store(Version::Two, elsewhere, &[]).await.unwrap();
}

async fn activities_are_brought_together(db: TestDatabase) {
    let world = World::new(db);
    let with = |number: u8, definition: &str| {
        statement(number, "ada", "did", "x")
            .replace("\"http://a/x\"", &format!("\"http://a/x\",\"definition\":{definition}"))
    };
    world.store(&with(1, r#"{"name":{"en":"One"},"type":"http://t"}"#)).await.unwrap();
    world.store(&with(2, r#"{"name":{"de":"Eins"},"moreInfo":"http://m"}"#)).await.unwrap();
    assert_eq!(
        world.service.find_activity(ProjectId(1), "http://a/x").await.unwrap(),
        r#"{"objectType":"Activity","id":"http://a/x","definition":{"name":{"en":"One","de":"Eins"},"type":"http://t","moreInfo":"http://m"}}"#
    );
    assert_eq!(
        world.service.find_activity(ProjectId(1), "http://a/y").await.unwrap(),
        r#"{"objectType":"Activity","id":"http://a/y"}"#
    );
    let german = Reader { languages: "de".to_owned(), ..reader() };
    let query =
        StatementQuery { format: Format::Canonical, limit: Some(1), ascending: true, ..Default::default() };
    let found = world.service.list_statements(&german, query).await.unwrap().statements.remove(0);
    assert!(
        found.contains(r#""definition":{"name":{"de":"Eins"},"type":"http://t","moreInfo":"http://m"}"#),
        "{found}"
    );
    // The exact form is still what was sent.
    assert!(
        world
            .find(1, false)
            .await
            .unwrap()
            .to_string()
            .contains(r#"{"name":{"en":"One"},"type":"http://t"}"#)
    );
}

async fn statements_are_events_too(db: TestDatabase) {
    let world = World::new(db);
    let verb = |number, verb: &str| {
        statement(number, "ada", "did", "x")
            .replace("http://v/did", &format!("http://adlnet.gov/expapi/verbs/{verb}"))
    };
    let batch = [verb(1, "experienced"), verb(2, "answered"), verb(3, "completed"), verb(4, "terminated")];
    world.store(&format!("[{}]", batch.join(","))).await.unwrap();
    world.store(&verb(2, "answered")).await.unwrap();
    assert_eq!(world.event_names().await, ["exercise_attempt", "lesson_complete", "lesson_start"]);
}

async fn a_key_may_be_kept_to_its_own_statements(db: TestDatabase) {
    let world = World::new(db);
    world.store(&statement(1, "ada", "did", "x")).await.unwrap();
    world.store_by(client(2), &statement(2, "ada", "did", "x")).await.unwrap();
    let mine = Reader { client: client(2), only_mine: true, languages: String::new() };
    for query in
        [StatementQuery::default(), StatementQuery { agent: Some(mailbox("ada")), ..Default::default() }]
    {
        let found = world.service.list_statements(&mine, query).await.unwrap();
        assert_eq!(found.statements.len(), 1);
        assert!(found.statements[0].contains(&id_text(2)));
    }
    let one =
        |number| OneStatement { id: id(number), is_voided: false, format: Format::Exact, attachments: false };
    assert!(world.service.find_statement(&mine, one(1)).await.unwrap().is_none());
    assert!(world.service.find_statement(&mine, one(2)).await.unwrap().is_some());
}
