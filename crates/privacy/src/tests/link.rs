//! From anonymous to known.

use belvedere_kernel::{IdentityLink, IdentityLinks};

use super::*;

belvedere_storage::database_tests!(
    an_unknown_user_takes_over_what_the_visitor_did,
    a_known_user_keeps_the_subject_and_the_visitor_comes_to_it,
    links_of_one_batch_hold_in_their_order_and_across_batches,
    several_visitors_come_to_one_user_and_no_user_is_stolen,
    without_consent_nothing_is_linked,
    whoever_refuses_is_somebody_of_a_day,
    a_link_is_seen_by_another_process_within_five_seconds,
    a_link_that_fails_at_any_statement_leaves_nothing,
    known_links_need_no_statement_and_many_need_few,
    an_erased_link_leads_nowhere_and_is_forgotten_everywhere,
);

fn visitor(id: &str) -> RawPerson {
    RawPerson::new(P1, Identity { anonymous_id: text(id), ..Identity::default() })
}

fn link(anonymous_id: &str, user_id: &str) -> IdentityLink {
    IdentityLink { project: P1, anonymous_id: anonymous_id.to_owned(), user_id: user_id.to_owned() }
}

impl House {
    /// Links and then admits, as one batch.
    async fn batch(&self, links: &[IdentityLink], people: &[RawPerson]) -> Vec<i64> {
        batch(&self.db, &self.privacy, links, people).await.unwrap()
    }
}

async fn batch(
    db: &Database,
    privacy: &PrivacyService,
    links: &[IdentityLink],
    people: &[RawPerson],
) -> Result<Vec<i64>, StorageError> {
    let admitted = db.write(async |tx| {
        privacy.link_in(tx, links).await?;
        privacy.admit(tx, people).await
    });
    Ok(admitted.await?.iter().map(|admitted| admitted.subject.unwrap().0).collect())
}

async fn an_unknown_user_takes_over_what_the_visitor_did(db: TestDatabase) {
    let house = House::with_consent(db).await;
    assert_eq!(house.subjects(&[visitor("v1"), visitor("v2")]).await, [1, 2]);
    assert_eq!(house.reveal(1).await.unwrap().anonymous_id, text("v1"));
    let mut ada = person(P1, "ada");
    ada.identity.email = text("ada@example.com");
    assert_eq!(house.batch(&[link("v1", "ada")], &[ada, visitor("v1")]).await, [1, 1]);
    let identity = house.reveal(1).await.unwrap();
    assert_eq!((identity.id, identity.anonymous_id), (text("ada"), text("v1")));
    assert_eq!(identity.email, text("ada@example.com"));
    // Whatever door she comes through, in this process or another.
    assert_eq!(house.subjects(&[person(P1, "ada"), visitor("v2")]).await, [1, 2]);
    let other = house.other_process();
    let elsewhere = admit(&house.db, &other, &[visitor("v1"), person(P1, "ada")]).await.unwrap();
    assert!(elsewhere.iter().all(|admitted| admitted.subject == Some(SubjectId(1))));
}

async fn a_known_user_keeps_the_subject_and_the_visitor_comes_to_it(db: TestDatabase) {
    let house = House::with_consent(db).await;
    assert_eq!(house.subjects(&[person(P1, "ada"), visitor("v1")]).await, [1, 2]);
    for _ in 0..2 {
        // Again and again, as pages do it.
        assert_eq!(house.batch(&[link("v1", "ada")], &[visitor("v1"), person(P1, "ada")]).await, [1, 1]);
    }
    // A user id of the same letters as the visitor's is somebody else.
    assert_eq!(house.subjects(&[person(P1, "v1"), visitor("v1")]).await, [3, 1]);
    assert_eq!(house.count("SELECT COUNT(*) FROM privacy_link").await, 1);
}

async fn links_of_one_batch_hold_in_their_order_and_across_batches(db: TestDatabase) {
    let house = House::with_consent(db).await;
    let links = [link("v1", "ada"), link("v2", "ada"), link("v3", "bob"), link("v1", "bob")];
    let people = [visitor("v1"), person(P1, "ada"), visitor("v2"), person(P1, "bob"), visitor("v3")];
    assert_eq!(house.batch(&links, &people).await, [1, 1, 1, 2, 2]);
    assert_eq!(house.subjects(&people).await, [1, 1, 1, 2, 2]);
    // A visitor of an earlier batch and one of this: the first link decides whom the new user is.
    assert_eq!(house.subjects(&[visitor("w1")]).await, [3]);
    let links = [link("w1", "cem"), link("w2", "cem")];
    assert_eq!(house.batch(&links, &[person(P1, "cem"), visitor("w2"), visitor("w1")]).await, [3, 3, 3]);
}

async fn several_visitors_come_to_one_user_and_no_user_is_stolen(db: TestDatabase) {
    let house = House::with_consent(db).await;
    assert_eq!(house.subjects(&[visitor("phone"), visitor("laptop")]).await, [1, 2]);
    house.batch(&[link("phone", "ada")], &[]).await;
    house.batch(&[link("laptop", "ada")], &[]).await;
    let all = [visitor("phone"), visitor("laptop"), person(P1, "ada")];
    assert_eq!(house.subjects(&all).await, [1, 1, 1]);
    // Somebody else signs in at the laptop: a new person, and the laptop stays Ada's.
    assert_eq!(house.batch(&[link("laptop", "eve")], &[person(P1, "eve")]).await, [3]);
    assert_eq!(house.subjects(&all).await, [1, 1, 1]);
    // Nor does a link to an id that is a user's own name take that user away.
    assert_eq!(house.batch(&[link("ada", "eve")], &[person(P1, "ada"), person(P1, "eve")]).await, [1, 3]);
}

async fn without_consent_nothing_is_linked(db: TestDatabase) {
    let house = House::new(db);
    let people = [visitor("v1"), person(P1, "ada")];
    assert_eq!(house.batch(&[link("v1", "ada")], &people).await, [1, 2]);
    assert_eq!(house.count("SELECT COUNT(*) FROM privacy_link").await, 0);
    house.clock.advance(Duration::from_secs(86_400));
    assert_eq!(house.subjects(&people).await, [3, 4]);
    assert_eq!(house.count("SELECT COUNT(*) FROM privacy_subject WHERE identity IS NOT NULL").await, 0);
}

async fn whoever_refuses_is_somebody_of_a_day(db: TestDatabase) {
    let house = House::with_consent(db).await;
    let refusing = RawPerson { refuses_analytics: true, ..person(P1, "ada") };
    let admitted = house.admit(&[person(P1, "ada"), refusing.clone()]).await;
    let denied = Admitted { subject: Some(SubjectId(2)), analytics: false, detailed: false, location: false };
    assert_eq!((admitted[0].subject, admitted[1]), (Some(SubjectId(1)), denied));
    assert_eq!(house.reveal(2).await, None);
    house.clock.advance(Duration::from_secs(86_400));
    assert_eq!(house.subjects(&[refusing, person(P1, "ada")]).await, [3, 1]);
}

async fn a_link_is_seen_by_another_process_within_five_seconds(db: TestDatabase) {
    let house = House::with_consent(db).await;
    let other = house.other_process();
    assert_eq!(house.subjects(&[person(P1, "ada"), visitor("v1")]).await, [1, 2]);
    let seen = async || admit(&house.db, &other, &[visitor("v1")]).await.unwrap()[0].subject;
    assert_eq!(seen().await, Some(SubjectId(2)));
    house.batch(&[link("v1", "ada")], &[]).await;
    assert_eq!(house.subjects(&[visitor("v1")]).await, [1]);
    house.clock.advance(Duration::from_secs(5));
    assert_eq!(seen().await, Some(SubjectId(1)));
}

async fn a_link_that_fails_at_any_statement_leaves_nothing(db: TestDatabase) {
    let house = House::with_consent(db).await;
    assert_eq!(house.subjects(&[visitor("v1"), visitor("v2"), person(P1, "known")]).await, [1, 2, 3]);
    let links = [link("v1", "ada"), link("v2", "known"), link("v3", "new")];
    let people = [visitor("v1"), visitor("v2"), visitor("v3"), person(P1, "new")];
    for failures in 0.. {
        house.db.faults().fail_after(failures);
        let result = batch(&house.db, &house.privacy, &links, &people).await;
        if house.db.faults().take_unused() {
            assert_eq!(result.unwrap(), [1, 3, 4, 4]);
            break;
        }
        result.unwrap_err();
        assert_eq!(house.count("SELECT COUNT(*) FROM privacy_link").await, 0);
        assert_eq!(house.subjects(&[visitor("v1"), visitor("v2")]).await, [1, 2]);
    }
    assert_eq!(house.subjects(&people).await, [1, 3, 4, 4]);
}

async fn known_links_need_no_statement_and_many_need_few(db: TestDatabase) {
    let house = House::with_consent(db).await;
    let links: Vec<_> = (0..200).map(|id| link(&format!("v{id}"), &format!("user-{id}"))).collect();
    // Settings, lock, look, and for the new users look, lock, look again (PostgreSQL only), keys, subjects, count; four
    // times links; commit.
    house.db.faults().fail_after(20);
    house.batch(&links, &[]).await;
    assert!(house.db.faults().take_unused());
    let visitors: Vec<_> = (0..200).map(|id| visitor(&format!("v{id}"))).collect();
    assert_eq!(house.subjects(&visitors).await, (1..=200).collect::<Vec<_>>());
    house.db.faults().fail_after(0);
    let again = house.db.write(async |tx| {
        house.privacy.link_in(tx, &links).await?;
        assert!(house.db.faults().take_unused());
        Ok::<_, StorageError>(())
    });
    again.await.unwrap();
}

async fn an_erased_link_leads_nowhere_and_is_forgotten_everywhere(db: TestDatabase) {
    let house = House::with_consent(db).await;
    let other = house.other_process();
    assert_eq!(house.subjects(&[person(P1, "ada"), person(P1, "bob")]).await, [1, 2]);
    let links = [link("v1", "ada"), link("v2", "ada"), link("w1", "bob")];
    let visitors = [visitor("v1"), visitor("v2"), visitor("w1")];
    assert_eq!(house.batch(&links, &visitors).await, [1, 1, 2]);
    let there = async || {
        admit(&house.db, &other, &visitors)
            .await
            .unwrap()
            .iter()
            .map(|it| it.subject.unwrap().0)
            .collect::<Vec<_>>()
    };
    assert_eq!(there().await, [1, 1, 2]);
    let (data, ada) = (house.privacy.link_data(), SubjectId(1));
    let exported = data.export(P1, ada, None).await.unwrap();
    let linked = json!({"linked_at": "2026-11-23T12:00:00Z"});
    assert_eq!((exported.records, exported.next), (vec![linked.clone(), linked], None));
    assert_eq!(data.count(P2, ada).await.unwrap(), 0);
    assert_eq!(data.erase(P2, ada).await.unwrap(), 0, "another project's number");
    assert_eq!((data.count(P1, ada).await.unwrap(), data.erase(P1, ada).await.unwrap()), (2, 2));
    assert_eq!((data.count(P1, ada).await.unwrap(), data.erase(P1, ada).await.unwrap()), (0, 0));
    let erasures: Vec<_> = {
        let entries = house.audit.0.lock().unwrap();
        let of_links = entries.iter().filter(|entry| entry.action == "links_erased");
        of_links.map(|entry| entry.detail.clone()).collect()
    };
    assert_eq!(erasures, [json!({"rows_deleted": 2})]);
    // Whoever comes with these ids is somebody new, here at once and in another process within a minute.
    assert_eq!(house.subjects(&visitors).await, [3, 4, 2]);
    house.clock.advance(Duration::from_secs(60));
    assert_eq!(there().await, [3, 4, 2]);
}
