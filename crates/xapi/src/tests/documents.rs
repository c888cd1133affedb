use belvedere_storage::testing::TestDatabase;
use bytes::Bytes;

use super::*;

belvedere_storage::database_tests!(
    documents_are_put_found_merged_and_deleted,
    of_two_writers_on_one_state_one_wins,
    states_are_listed_and_deleted_together,
);

fn state(registration: Option<u8>) -> DocumentOwner {
    let registration = registration.map(id);
    DocumentOwner::State { activity: "http://a/x".to_owned(), agent: mailbox("ada"), registration }
}

fn put(content: &'static str, needs_condition: ConditionRule) -> DocumentChange {
    let content = Bytes::from_static(content.as_bytes());
    DocumentChange::Put { content_type: "application/json".to_owned(), content, needs_condition }
}

fn merge(content: &'static str) -> DocumentChange {
    DocumentChange::Merge {
        content_type: "application/json".to_owned(),
        content: Bytes::from_static(content.as_bytes()),
    }
}

impl World {
    async fn change(
        &self,
        owner: DocumentOwner,
        document: &str,
        condition: Condition,
        change: DocumentChange,
    ) -> Result<(), XapiError> {
        let id = document.to_owned();
        self.service.change_document(ChangeDocument { client: client(1), owner, id, condition, change }).await
    }

    async fn document(&self, owner: &DocumentOwner, id: &str) -> Option<String> {
        let found = self.service.find_document(ProjectId(1), owner, id).await.unwrap()?;
        Some(String::from_utf8(found.content.to_vec()).unwrap())
    }
}

fn if_match(tag: &str) -> Condition {
    Condition { if_match: Some(vec![tag.to_owned()]), if_none_match: None }
}

fn if_none_match(tag: &str) -> Condition {
    Condition { if_match: None, if_none_match: Some(vec![tag.to_owned()]) }
}

async fn documents_are_put_found_merged_and_deleted(db: TestDatabase) {
    let world = World::new(db);
    for owner in
        [state(None), DocumentOwner::Activity("http://a/x".to_owned()), DocumentOwner::Agent(mailbox("ada"))]
    {
        let none = Condition::default;
        let refused = world.change(owner.clone(), "d", none(), put("{}", ConditionRule::Always)).await;
        assert!(matches!(refused, Err(XapiError::Invalid { what: "If-Match", .. })));
        assert_eq!(world.document(&owner, "d").await, None);
        world
            .change(owner.clone(), "d", none(), put(r#"{"a":1,"b":{"c":2}}"#, ConditionRule::ToReplace))
            .await
            .unwrap();
        let found = world.service.find_document(ProjectId(1), &owner, "d").await.unwrap().unwrap();
        // SHA-1 of the content.
        assert_eq!(found.etag, "16be4a9144e466af829be8ada8db705fdf83381f");
        let refused = world.change(owner.clone(), "d", none(), put("{}", ConditionRule::ToReplace)).await;
        assert!(matches!(refused, Err(XapiError::Unconditional)));
        let refused = world.change(owner.clone(), "d", none(), put("{}", ConditionRule::Always)).await;
        assert!(matches!(refused, Err(XapiError::Unconditional)));
        let refused =
            world.change(owner.clone(), "d", if_none_match("*"), put("{}", ConditionRule::ToReplace)).await;
        assert!(matches!(refused, Err(XapiError::PreconditionFailed)));
        let refused =
            world.change(owner.clone(), "d", if_match("1234"), put("{}", ConditionRule::ToReplace)).await;
        assert!(matches!(refused, Err(XapiError::PreconditionFailed)));
        world.change(owner.clone(), "d", none(), merge(r#"{"b":3,"d":[1.0]}"#)).await.unwrap();
        assert_eq!(world.document(&owner, "d").await.unwrap(), r#"{"a":1,"b":3,"d":[1.0]}"#);
        let found = world.service.find_document(ProjectId(1), &owner, "d").await.unwrap().unwrap();
        world
            .change(owner.clone(), "d", if_match(&found.etag), put("[1]", ConditionRule::ToReplace))
            .await
            .unwrap();
        assert!(matches!(
            world.change(owner.clone(), "d", none(), merge("{}")).await,
            Err(XapiError::Invalid { .. })
        ));
        assert!(matches!(
            world.change(owner.clone(), "n", none(), merge("[]")).await,
            Err(XapiError::Invalid { .. })
        ));
        world.change(owner.clone(), "d", none(), put("{}", ConditionRule::Optional)).await.unwrap();
        let refused = world.change(owner.clone(), "d", if_match("x"), DocumentChange::Delete).await;
        assert!(matches!(refused, Err(XapiError::PreconditionFailed)));
        world.change(owner.clone(), "d", none(), DocumentChange::Delete).await.unwrap();
        assert_eq!(world.document(&owner, "d").await, None);
        world.change(owner.clone(), "d", none(), DocumentChange::Delete).await.unwrap();
    }
    let refused = world.change(state(None), "d", if_match("*"), put("{}", ConditionRule::Optional)).await;
    assert!(matches!(refused, Err(XapiError::PreconditionFailed)));
}

async fn of_two_writers_on_one_state_one_wins(db: TestDatabase) {
    let world = World::new(db);
    for _ in 0..10 {
        let (one, other) = tokio::join!(
            world.change(state(None), "d", if_none_match("*"), put(r#"{"by":1}"#, ConditionRule::Optional)),
            world.change(state(None), "d", if_none_match("*"), put(r#"{"by":2}"#, ConditionRule::Optional)),
        );
        let winners = [&one, &other].into_iter().filter(|it| it.is_ok()).count();
        let losers =
            [&one, &other].into_iter().filter(|it| matches!(it, Err(XapiError::PreconditionFailed))).count();
        assert_eq!((winners, losers), (1, 1));
        let expected = if one.is_ok() { r#"{"by":1}"# } else { r#"{"by":2}"# };
        assert_eq!(world.document(&state(None), "d").await.unwrap(), expected);
        let etag = crate::documents::etag(expected.as_bytes());
        let (one, other) = tokio::join!(
            world.change(state(None), "d", if_match(&etag), put(r#"{"then":1}"#, ConditionRule::Optional)),
            world.change(state(None), "d", if_match(&etag), put(r#"{"then":2}"#, ConditionRule::Optional)),
        );
        assert_eq!([one, other].iter().filter(|it| it.is_ok()).count(), 1);
        world.change(state(None), "d", Condition::default(), DocumentChange::Delete).await.unwrap();
    }
}

async fn states_are_listed_and_deleted_together(db: TestDatabase) {
    let world = World::new(db);
    let none = Condition::default;
    world.change(state(None), "a", none(), put("1", ConditionRule::Optional)).await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(60));
    world.change(state(Some(1)), "b", none(), put("2", ConditionRule::Optional)).await.unwrap();
    world.change(state(Some(2)), "c", none(), put("3", ConditionRule::Optional)).await.unwrap();
    let list = async |owner: &DocumentOwner, since| {
        world.service.list_documents(ProjectId(1), owner, since).await.unwrap().0
    };
    assert_eq!(list(&state(None), None).await, ["a", "b", "c"]);
    assert_eq!(list(&state(Some(1)), None).await, ["b"]);
    assert_eq!(list(&state(None), Some(START)).await, ["b", "c"]);
    assert_eq!(world.document(&state(None), "b").await, None);
    assert_eq!(world.document(&state(Some(1)), "b").await.unwrap(), "2");
    world.change(state(Some(1)), "", none(), DocumentChange::Delete).await.unwrap();
    assert_eq!(list(&state(None), None).await, ["a", "c"]);
    world.change(state(None), "", none(), DocumentChange::Delete).await.unwrap();
    assert_eq!(list(&state(None), None).await, Vec::<String>::new());
    let stranger = DocumentOwner::Agent(mailbox("nobody"));
    assert_eq!(list(&stranger, None).await, Vec::<String>::new());
}
