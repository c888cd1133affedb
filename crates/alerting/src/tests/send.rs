use belvedere_storage::database_tests;

use super::*;

database_tests!(
    a_notice_is_one_signed_delivery_to_whom_it_concerns,
    the_same_notice_is_told_once,
    nobody_is_told_of_what_was_rolled_back,
    what_fails_is_tried_again_under_the_same_id,
    deliveries_to_who_is_down_die_and_can_be_sent_again,
    a_worker_that_dies_after_sending_is_repeated_under_the_same_id,
    who_is_gone_is_not_asked_again,
    redirects_are_not_followed_and_answers_are_cut,
    few_are_in_flight_at_one_time_and_all_arrive,
    addresses_are_checked_when_they_are_connected_to,
);

async fn a_notice_is_one_signed_delivery_to_whom_it_concerns(db: TestDatabase) {
    let world = World::new(db).await;
    let (endpoint, secret) = world.endpoint().await;
    let other = NewEndpoint { url: world.url(), kinds: vec![NoticeKind::IssueNew] };
    world.alerting.create_endpoint(PROJECT, other, &by()).await.unwrap();
    let elsewhere = NewEndpoint { url: world.url(), kinds: vec![MILESTONE] };
    world.alerting.create_endpoint(ProjectId(8), elsewhere, &by()).await.unwrap();
    world.notify(&[notice("first", 318)]).await;
    world.pass(2);
    world.work().await;
    let received = world.received();
    assert_eq!(received.len(), 1, "{received:?}");
    let [delivery] = world.deliveries(endpoint).await.try_into().unwrap();
    assert_eq!(received[0].path, "/hook");
    assert_eq!(received[0].header("content-type"), "application/json");
    assert_eq!(received[0].header("webhook-id"), format!("msg_{}", delivery.id));
    let timestamp = START.as_seconds() + 2;
    assert_eq!(received[0].header("webhook-timestamp"), timestamp.to_string());
    let signature = secret.sign(received[0].header("webhook-id"), timestamp, &received[0].body);
    assert_eq!(received[0].header("webhook-signature"), signature);
    let body = json!({
        "type": "learning.milestone", "timestamp": "2026-11-29T12:00:00Z", "project": 7,
        "data": {"subject": 318, "rule": "first_lesson"},
    });
    assert_eq!(received[0].json(), body);
    assert_eq!(delivery.state, DeliveryState::Delivered);
    assert_eq!((delivery.attempts, delivery.last_status, delivery.next_at), (1, Some(200), None));
    assert_eq!(delivery.last_answer.as_deref(), Some("thanks"));
    assert_eq!(delivery.settled_at, Some(world.clock.now()));
}

async fn the_same_notice_is_told_once(db: TestDatabase) {
    let world = World::new(db).await;
    let (endpoint, _) = world.endpoint().await;
    world.notify(&[notice("a", 1), notice("a", 1), notice("b", 1)]).await;
    world.work().await;
    world.notify(&[notice("a", 1)]).await;
    world.work().await;
    assert_eq!(world.received().len(), 2);
    assert_eq!(world.deliveries(endpoint).await.len(), 2);
}

async fn nobody_is_told_of_what_was_rolled_back(db: TestDatabase) {
    let world = World::new(db).await;
    let (endpoint, _) = world.endpoint().await;
    let given_up = world.db.write::<(), StorageError, _>(async |tx| {
        world.alerting.notify_in(tx, PROJECT, &[notice("a", 1)]).await?;
        Err(StorageError::corrupt("given up"))
    });
    assert!(given_up.await.is_err());
    world.work().await;
    assert!(world.received().is_empty() && world.deliveries(endpoint).await.is_empty());
}

async fn what_fails_is_tried_again_under_the_same_id(db: TestDatabase) {
    let world = World::new(db).await;
    let (endpoint, _) = world.endpoint().await;
    world.answer_next((StatusCode::INTERNAL_SERVER_ERROR, "out of order"));
    world.answer_next((StatusCode::TOO_MANY_REQUESTS, [("retry-after", "60")]));
    world.notify(&[notice("a", 1)]).await;
    world.work().await;
    let delivery = world.deliveries(endpoint).await.remove(0);
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Pending, 1));
    assert_eq!((delivery.last_status, delivery.last_answer.as_deref()), (Some(500), Some("out of order")));
    let pause = delivery.next_at.unwrap().since(START);
    assert!((3_750..=6_250).contains(&pause.as_millis()), "{pause:?}");
    // Not before its time, then as late as the receiver asks for.
    world.pass(3);
    world.work().await;
    assert_eq!(world.received().len(), 1);
    world.pass(4);
    world.work().await;
    assert_eq!(world.received().len(), 2);
    assert_eq!(world.deliveries(endpoint).await[0].next_at.unwrap().since(world.clock.now()).as_secs(), 60);
    world.pass(60);
    world.work().await;
    let received = world.received();
    let ids: Vec<&str> = received.iter().map(|it| it.header("webhook-id")).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let delivery = world.deliveries(endpoint).await.remove(0);
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Delivered, 3));
    world.pass(86_400);
    world.work().await;
    assert_eq!(world.received().len(), 3);
}

async fn deliveries_to_who_is_down_die_and_can_be_sent_again(db: TestDatabase) {
    let world = World::new(db).await;
    let (endpoint, _) = world.endpoint().await;
    let move_to = async |url: String| {
        let change = EndpointChange { url: Some(url), ..EndpointChange::default() };
        world.alerting.change_endpoint(PROJECT, endpoint, change, &by()).await.unwrap();
    };
    // Nobody listens there.
    move_to("http://127.0.0.1:1/".to_owned()).await;
    world.notify(&[notice("a", 1)]).await;
    for attempt in 1..=14 {
        let delivery = world.deliveries(endpoint).await.remove(0);
        assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Pending, attempt - 1));
        world.work().await;
        world.pass(6 * 3_600);
    }
    let delivery = world.deliveries(endpoint).await.remove(0);
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Dead, 14));
    assert_eq!(delivery.last_status, None);
    assert!(!delivery.last_answer.unwrap().is_empty());
    assert_eq!(world.alerting.list_endpoints(PROJECT).await.unwrap()[0].dead, 1);
    move_to(world.url()).await;
    world.work().await;
    assert!(world.received().is_empty());
    world.alerting.resend(PROJECT, endpoint, delivery.id, &by()).await.unwrap();
    world.work().await;
    assert_eq!(world.received().len(), 1);
    assert_eq!(world.received()[0].header("webhook-id"), format!("msg_{}", delivery.id));
    let again = world.deliveries(endpoint).await.remove(0);
    assert_eq!((again.state, again.attempts), (DeliveryState::Delivered, 1));
    assert_eq!(world.actions().last(), Some(&"webhook_resent"));
}

async fn a_worker_that_dies_after_sending_is_repeated_under_the_same_id(db: TestDatabase) {
    let world = World::new(db).await;
    let (endpoint, _) = world.endpoint().await;
    world.notify(&[notice("a", 1)]).await;
    // Claimed and sent, and never written down.
    let round = world.alerting.core.claim(endpoint).await.unwrap().unwrap();
    assert_eq!(world.alerting.core.send(&round).await.len(), 1);
    world.work().await;
    assert_eq!(world.received().len(), 1);
    world.pass(61);
    world.work().await;
    let received = world.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert_eq!(received[0].body, received[1].body);
    let delivery = world.deliveries(endpoint).await.remove(0);
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Delivered, 2));
}

async fn who_is_gone_is_not_asked_again(db: TestDatabase) {
    let world = World::new(db).await;
    let (endpoint, _) = world.endpoint().await;
    world.answer_next(StatusCode::GONE);
    world.notify(&[notice("a", 1)]).await;
    world.work().await;
    assert!(!world.alerting.find_endpoint(PROJECT, endpoint).await.unwrap().unwrap().is_enabled);
    assert_eq!(world.deliveries(endpoint).await[0].state, DeliveryState::Dead);
    assert_eq!(world.actions(), ["webhook_created", "webhook_changed"]);
    world.notify(&[notice("b", 1)]).await;
    world.pass(86_400);
    world.work().await;
    assert_eq!((world.received().len(), world.deliveries(endpoint).await.len()), (1, 1));
}

async fn redirects_are_not_followed_and_answers_are_cut(db: TestDatabase) {
    let world = World::new(db).await;
    let (endpoint, _) = world.endpoint().await;
    world.answer_next((StatusCode::FOUND, [("location", "/elsewhere")], "\u{1b}[2J".repeat(1 << 18)));
    world.notify(&[notice("a", 1)]).await;
    world.work().await;
    let received = world.received();
    assert_eq!((received.len(), received[0].path.as_str()), (1, "/hook"));
    let delivery = world.deliveries(endpoint).await.remove(0);
    assert_eq!((delivery.state, delivery.last_status), (DeliveryState::Pending, Some(302)));
    let answer = delivery.last_answer.unwrap();
    assert!(answer.len() <= 500 && answer.starts_with("[2J [2J") && !answer.contains('\u{1b}'), "{answer}");
}

async fn few_are_in_flight_at_one_time_and_all_arrive(db: TestDatabase) {
    let world = World::new(db).await;
    let (endpoint, _) = world.endpoint().await;
    let notices: Vec<Notice> = (0..11).map(|number| notice(&number.to_string(), number)).collect();
    world.notify(&notices).await;
    world.work().await;
    assert_eq!(world.received().len(), 11);
    let in_hand_max = world.receiver.lock().unwrap().in_hand_max;
    assert!((2..=4).contains(&in_hand_max), "{in_hand_max}");
    let deliveries = world.deliveries(endpoint).await;
    assert!(deliveries.iter().all(|it| it.state == DeliveryState::Delivered && it.attempts == 1));
}

async fn addresses_are_checked_when_they_are_connected_to(db: TestDatabase) {
    let world = World::new(db).await;
    let (plain, _) = world.endpoint().await;
    let url = format!("https://localhost:{}/hook", world.address.port());
    let new = NewEndpoint { url, kinds: vec![MILESTONE] };
    let (named, _) = world.cautious().create_endpoint(PROJECT, new, &by()).await.unwrap();
    world.notify(&[notice("a", 1)]).await;
    world.work_as(&world.cautious()).await;
    assert!(world.received().is_empty());
    for (endpoint, why) in [(plain, "must begin with https://"), (named.id, "not public")] {
        let delivery = world.deliveries(endpoint).await.remove(0);
        assert_eq!((delivery.state, delivery.last_status), (DeliveryState::Pending, None));
        assert!(delivery.last_answer.as_ref().unwrap().contains(why), "{delivery:?}");
    }
}
