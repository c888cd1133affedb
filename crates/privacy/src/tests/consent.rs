use belvedere_kernel::{ConsentPurpose, ConsentRecords, ConsentStatement, PersonRegister};

use super::*;

belvedere_storage::database_tests!(
    what_somebody_says_holds_before_what_holds_for_who_has_not_been_asked,
    of_two_words_at_once_a_refusal_counts_and_each_is_written_once,
    a_batch_of_people_who_said_something_needs_no_statement,
);

impl House {
    async fn register(&self, id: &str) -> SubjectId {
        let people = [person(P1, id)];
        let registered = self.db.write(async |tx| self.privacy.register(tx, &people).await).await.unwrap();
        registered[0].unwrap()
    }

    async fn say(&self, said: &[(SubjectId, ConsentPurpose, bool, &str)]) -> u64 {
        let statement = |(subject, purpose, is_granted, at): &(SubjectId, ConsentPurpose, bool, &str)| {
            let (subject, purpose, is_granted, at) = (*subject, *purpose, *is_granted, at.parse().unwrap());
            ConsentStatement { project: P1, subject, purpose, is_granted, at, source: "form" }
        };
        let statements: Vec<_> = said.iter().map(statement).collect();
        let recorded = async |tx: &Tx| self.privacy.record_consents_in(tx, &statements).await;
        self.db.write(recorded).await.unwrap()
    }
}

async fn what_somebody_says_holds_before_what_holds_for_who_has_not_been_asked(db: TestDatabase) {
    let house = House::new(db);
    let other = house.other_process();
    let ada = house.register("ada").await;
    let asked = [person(P1, "ada"), person(P1, "bob")];
    let before = admit(&house.db, &other, &asked).await.unwrap();
    assert!(before.iter().all(|admitted| !admitted.analytics && admitted.subject != Some(ada)));
    let at = "2026-11-23T11:00:00Z";
    let said = [(ada, ConsentPurpose::Analytics, true, at), (ada, ConsentPurpose::Location, true, at)];
    assert_eq!(house.say(&said).await, 2);
    let here = house.admit(&asked).await;
    let allowed = |it: &Admitted| (it.subject == Some(ada), it.analytics, it.location, it.detailed);
    assert_eq!(
        here.iter().map(allowed).collect::<Vec<_>>(),
        [(true, true, true, false), (false, false, false, false)]
    );
    assert!(!house.admit(&[person(P2, "ada")]).await[0].analytics, "she said it to one project");
    // Another process notices within five seconds.
    house.clock.advance(Duration::from_secs(5));
    let there = admit(&house.db, &other, &asked).await.unwrap();
    assert_eq!(there, here);
    // A refusal in what arrives counts before that.
    let refusing = RawPerson { refuses_analytics: true, ..person(P1, "ada") };
    assert!(!house.admit(&[refusing]).await[0].analytics);
    house.consent(P1, ConsentDefault { analytics: true, ..ConsentDefault::default() }).await;
    house.say(&[(ada, ConsentPurpose::Analytics, false, "2026-11-23T12:00:00Z")]).await;
    let after = house.admit(&asked).await;
    assert_eq!((after[0].analytics, after[1].analytics), (false, true));
    let entries = house.audit.0.lock().unwrap();
    let details: Vec<_> =
        entries.iter().filter(|it| it.action == "consents_recorded").map(|it| it.detail.clone()).collect();
    assert_eq!(
        details,
        [
            json!({"given": 2, "refused": 0, "withdrawn": 0}),
            json!({"given": 0, "refused": 0, "withdrawn": 1})
        ]
    );
}

async fn of_two_words_at_once_a_refusal_counts_and_each_is_written_once(db: TestDatabase) {
    let house = House::new(db);
    let ada = house.register("ada").await;
    let at = "2026-11-23T11:00:00Z";
    let said = [
        (ada, ConsentPurpose::Marketing, true, at),
        (ada, ConsentPurpose::Marketing, false, at),
        (ada, ConsentPurpose::Marketing, true, at),
        (ada, ConsentPurpose::Marketing, true, "2026-11-23T10:00:00Z"),
        (ada, ConsentPurpose::Detailed, false, at),
    ];
    assert_eq!(house.say(&said).await, 3);
    assert_eq!(house.say(&said).await, 0, "it is known");
    let data = house.privacy.consent_data();
    let records = data.export(P1, ada, None).await.unwrap();
    let states: Vec<_> =
        records.records.iter().map(|it| (it["purpose"].clone(), it["state"].clone())).collect();
    assert_eq!(
        states,
        [
            (json!("detailed"), json!("refused")),
            (json!("marketing"), json!("given")),
            (json!("marketing"), json!("withdrawn"))
        ]
    );
    assert_eq!(records.next, None);
    assert_eq!(data.erase(P1, ada).await.unwrap(), 3);
    assert_eq!((data.count(P1, ada).await.unwrap(), data.erase(P1, ada).await.unwrap()), (0, 0));
}

async fn a_batch_of_people_who_said_something_needs_no_statement(db: TestDatabase) {
    let house = House::with_consent(db).await;
    let people = [person(P1, "ada"), person(P1, "bob")];
    let ada = house.register("ada").await;
    house.say(&[(ada, ConsentPurpose::Location, true, "2026-11-23T11:00:00Z")]).await;
    house.admit(&people).await;
    let admitted = house.admit(&people).await;
    assert_eq!((admitted[0].location, admitted[1].location), (true, false));
    house.db.faults().fail_after(0);
    let again = house.db.write(async |tx| {
        let admitted = house.privacy.admit(tx, &people).await?;
        assert!(house.db.faults().take_unused());
        Ok::<_, StorageError>(admitted)
    });
    assert_eq!(again.await.unwrap(), admitted);
}
