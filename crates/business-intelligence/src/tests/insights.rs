use std::time::Duration;

use belvedere_event_store::{Event, EventStore, EventStoreError};
use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;
use serde_json::json;

use super::{PROJECT, World, at};
use crate::BusinessError;
use crate::calendar::Calendar;
use crate::insight::*;

database_tests!(
    an_insight_is_kept_changed_and_deleted,
    what_cannot_be_kept_is_refused_by_its_field,
    a_board_has_insights_in_their_order,
    a_link_shows_its_board_until_it_is_revoked_or_expires,
    answers_are_those_of_the_events,
    a_public_answer_has_no_row_about_few,
    values_and_formulas_are_those_of_the_events,
    a_public_answer_has_no_value_of_few,
    the_sizes_of_a_live_cohort_are_those_of_its_weeks,
    a_live_cohort_follows_its_rule_and_a_static_one_keeps_its_people,
    conditions_go_together_as_the_rule_says,
    who_is_erased_leaves_static_cohorts,
    boards_insights_and_cohorts_of_projects_are_apart,
    a_failed_write_leaves_a_board_as_it_was,
);

const NOW: &str = "2026-04-15T12:00:00Z";
const OTHER: ProjectId = ProjectId(2);

fn trend(event: &str) -> Question {
    Question::Trend(TrendQuestion { event: event.to_owned(), ..TrendQuestion::default() })
}

fn funnel() -> FunnelQuestion {
    let steps = ["page_view", "Signed Up", "paid"].map(str::to_owned).to_vec();
    FunnelQuestion { steps, ..FunnelQuestion::default() }
}

impl World {
    async fn keep(&self, name: &str, question: Question) -> Result<Insight, BusinessError> {
        let new = NewInsight { name: name.to_owned(), question };
        self.service.create_insight(PROJECT, new, &self.by()).await
    }

    async fn board(&self, name: &str) -> Board {
        self.service.create_board(PROJECT, name, Vec::new(), &self.by()).await.unwrap()
    }

    async fn cohort(&self, name: &str, is_static: bool, rule: serde_json::Value) -> Cohort {
        let rule = serde_json::from_value(rule).unwrap();
        let new = NewCohort { name: name.to_owned(), rule, is_static };
        self.service.create_cohort(PROJECT, new, &self.by()).await.unwrap()
    }

    async fn happen(&self, events: &[Event]) {
        let appended = self.db.write(async |tx| {
            self.events.append_in(tx, PROJECT, events).await?;
            Ok::<_, EventStoreError>(())
        });
        appended.await.unwrap();
    }

    /// Of 20 people all saw a page, 12 signed up an hour later and 6 paid a day after that; the first 17 are on the plan
    /// `free`, the others on `pro`.
    async fn visitors(&self) {
        let mut events = Vec::new();
        for person in 0..20_u8 {
            let mut add = |name: &str, hours: u64, number: u8| {
                let came = at("2026-04-10T10:00:00Z");
                let mut id = [0; 16];
                (id[0], id[1]) = (person + 1, number);
                let mut event = Event::new(id, came.plus(Duration::from_secs(hours * 3_600)), name);
                event.subject = Some(SubjectId(i64::from(person) + 1));
                event.plan = Some(if person < 17 { "free" } else { "pro" }.to_owned());
                event.value = Some(f64::from(person));
                event.props = json!({ "team": if person < 10 { "red" } else { "blue" } }).to_string();
                events.push(event);
            };
            add("page_view", 0, 1);
            if person < 12 {
                add("Signed Up", 1, 2);
            }
            if person < 6 {
                add("paid", 25, 3);
            }
        }
        self.happen(&events).await;
    }

    async fn answer(&self, question: &Question, is_public: bool) -> Answer {
        let calendar = Calendar::find("Europe/Amsterdam").unwrap();
        let people = match question.cohort() {
            Some(cohort) => Some(self.service.find_people(PROJECT, cohort).await.unwrap()),
            None => None,
        };
        let queries = &*self.service.parts.queries;
        let asking =
            Asking { queries, project: PROJECT, calendar: &calendar, now: at(NOW), people, is_public };
        asking.answer(question).await.unwrap()
    }

    async fn table(&self, question: &Question) -> Vec<serde_json::Value> {
        let calendar = Calendar::find("Europe/Amsterdam").unwrap();
        let table = self.answer(question, false).await.table(question, &calendar).json();
        table["rows"].as_array().unwrap().clone()
    }
}

async fn an_insight_is_kept_changed_and_deleted(db: TestDatabase) {
    let world = World::new(db, NOW);
    let kept = world.keep("  Signups ", trend("Signed Up")).await.unwrap();
    assert_eq!((kept.name.as_str(), kept.created_at, kept.created_by.is_some()), ("Signups", at(NOW), true));
    assert_eq!(world.service.find_insight(PROJECT, kept.id).await.unwrap(), kept);
    world.clock.advance(Duration::from_secs(60));
    let change = InsightChange { name: None, question: Some(Question::Funnel(funnel())) };
    let changed = world.service.change_insight(PROJECT, kept.id, change, &world.by()).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.question.kind()), ("Signups", "funnel"));
    assert_eq!(changed.changed_at, at("2026-04-15T12:01:00Z"));
    // Its own name is no other's.
    let change = InsightChange { name: Some("Signups".to_owned()), question: None };
    world.service.change_insight(PROJECT, kept.id, change, &world.by()).await.unwrap();
    world.keep("Another", trend("")).await.unwrap();
    let names: Vec<_> =
        world.service.list_insights(PROJECT).await.unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["Another", "Signups"]);
    world.service.delete_insight(PROJECT, kept.id, &world.by()).await.unwrap();
    let gone = world.service.find_insight(PROJECT, kept.id).await.unwrap_err();
    assert!(matches!(gone, BusinessError::NotFound("insight")), "{gone}");
    assert_eq!(
        world.entries.actions(),
        ["insight_created", "insight_changed", "insight_changed", "insight_created", "insight_deleted"]
    );
}

async fn what_cannot_be_kept_is_refused_by_its_field(db: TestDatabase) {
    let world = World::new(db, NOW);
    world.keep("Signups", trend("Signed Up")).await.unwrap();
    let why = async |name: &str, question| world.keep(name, question).await.unwrap_err().to_string();
    for (name, question, expected) in [
        (" ", trend(""), "name: must have 1 to 100 characters on one line"),
        ("a\nb", trend(""), "name: must have 1 to 100 characters on one line"),
        (&"x".repeat(101), trend(""), "name: must have 1 to 100 characters on one line"),
        ("Signups", trend(""), "name: there is one called \"Signups\" already"),
        (
            "For ada@example.org",
            trend(""),
            "name: holds what the project's rules call personal data; it is not kept",
        ),
        (
            "Ada",
            trend("ada@example.org"),
            "question: holds what the project's rules call personal data; it is not kept",
        ),
        ("Path", Question::Path(PathQuestion::default()), "event: must be given"),
    ] {
        assert_eq!(why(name, question).await, expected);
    }
    let cohort = Some(CohortId::from_bytes([7; 16]));
    let question = Question::Trend(TrendQuestion { cohort, ..TrendQuestion::default() });
    assert_eq!(why("Cohort", question).await, "cohort: there is no such cohort here");
    for number in 1..INSIGHTS_MAX {
        world.keep(&number.to_string(), trend("")).await.unwrap();
    }
    assert_eq!(why("One more", trend("")).await, "name: there are 200 already; delete one first");
}

async fn a_board_has_insights_in_their_order(db: TestDatabase) {
    let world = World::new(db, NOW);
    let (service, by) = (&world.service, world.by());
    let first = world.keep("First", trend("a")).await.unwrap().id;
    let second = world.keep("Second", trend("b")).await.unwrap().id;
    let id = world.board("Product").await.id;
    let half = |insight| Tile { insight, width: TileWidth::Half };
    service.pin_insight(PROJECT, id, half(first), &by).await.unwrap();
    service.pin_insight(PROJECT, id, half(second), &by).await.unwrap();
    // It is there already.
    let full = Tile { insight: first, width: TileWidth::Full };
    assert_eq!(service.pin_insight(PROJECT, id, full, &by).await.unwrap().tiles, [half(first), half(second)]);
    let change = BoardChange { name: Some("The product".to_owned()), tiles: Some(vec![half(second), full]) };
    service.change_board(PROJECT, id, change, &by).await.unwrap();
    let found = service.find_board(PROJECT, id).await.unwrap();
    assert_eq!((found.name.as_str(), found.tiles), ("The product", vec![half(second), full]));
    let tiles = |tiles| BoardChange { name: None, tiles: Some(tiles) };
    let why =
        async |change| service.change_board(PROJECT, id, change, &world.by()).await.unwrap_err().to_string();
    assert_eq!(
        why(tiles(vec![half(first), full])).await,
        "tiles: number 2 is an insight that is there already"
    );
    let unknown = InsightId::from_bytes([9; 16]);
    assert_eq!(why(tiles(vec![half(unknown)])).await, "tiles: number 1 is no insight here");
    assert_eq!(why(tiles(vec![half(first); TILES_MAX + 1])).await, "tiles: must be at most 24");
    service.delete_insight(PROJECT, second, &by).await.unwrap();
    assert_eq!(service.find_board(PROJECT, id).await.unwrap().tiles, [full]);
    service.delete_board(PROJECT, id, &by).await.unwrap();
    assert_eq!(service.list_boards(PROJECT).await.unwrap(), []);
    assert_eq!(service.list_insights(PROJECT).await.unwrap().len(), 1);
    let actions = world.entries.actions();
    assert_eq!(
        actions[2..],
        [
            "dashboard_created",
            "dashboard_changed",
            "dashboard_changed",
            "dashboard_changed",
            "insight_deleted",
            "dashboard_deleted"
        ]
    );
    for number in 0..BOARDS_MAX {
        world.board(&number.to_string()).await;
    }
    let full = service.create_board(PROJECT, "One more", Vec::new(), &by).await.unwrap_err().to_string();
    assert_eq!(full, "name: there are 50 already; delete one first");
}

async fn a_link_shows_its_board_until_it_is_revoked_or_expires(db: TestDatabase) {
    let world = World::new(db, NOW);
    let (service, by) = (&world.service, world.by());
    let insight = world.keep("Shown", trend("a")).await.unwrap();
    world.keep("Not shown", trend("b")).await.unwrap();
    let board = world.board("Product").await;
    let tile = Tile { insight: insight.id, width: TileWidth::Full };
    service.pin_insight(PROJECT, board.id, tile, &by).await.unwrap();
    let past = service.create_link(PROJECT, board.id, Some(at(NOW)), &by).await.unwrap_err();
    assert_eq!(past.to_string(), "expires_at: must be in the future");
    let (link, secret) = service.create_link(PROJECT, board.id, None, &by).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let tomorrow = Some(at("2026-04-16T12:00:00Z"));
    let (short, short_secret) = service.create_link(PROJECT, board.id, tomorrow, &by).await.unwrap();
    assert_eq!(secret.reveal().len(), 64);
    assert_ne!(secret, short_secret);
    let shared = service.find_shared(link.id, secret.reveal()).await.unwrap().unwrap();
    assert_eq!((shared.project, shared.time_zone.as_str()), (PROJECT, "Europe/Amsterdam"));
    assert_eq!((shared.board.tiles, shared.insights), (vec![tile], vec![insight]));
    // Neither a wrong secret nor another link's shows anything.
    for wrong in ["", "0", short_secret.reveal(), &secret.reveal().to_uppercase()] {
        assert_eq!(service.find_shared(link.id, wrong).await.unwrap(), None, "{wrong}");
    }
    let unknown = LinkId::from_bytes([1; 16]);
    assert_eq!(service.find_shared(unknown, secret.reveal()).await.unwrap(), None);
    assert!(service.find_shared(short.id, short_secret.reveal()).await.unwrap().is_some());
    world.clock.advance(Duration::from_secs(86_400));
    assert_eq!(service.find_shared(short.id, short_secret.reveal()).await.unwrap(), None);
    assert_eq!(service.list_links(PROJECT, board.id).await.unwrap(), [link.clone(), short]);
    service.revoke_link(PROJECT, board.id, link.id, &by).await.unwrap();
    assert_eq!(service.find_shared(link.id, secret.reveal()).await.unwrap(), None);
    let again = service.revoke_link(PROJECT, board.id, link.id, &by).await.unwrap_err();
    assert!(matches!(again, BusinessError::NotFound("link")), "{again}");
    let actions = world.entries.actions();
    assert_eq!(actions[4..], ["dashboard_link_created", "dashboard_link_created", "dashboard_link_revoked"]);
    for _ in 1..LINKS_MAX {
        service.create_link(PROJECT, board.id, None, &by).await.unwrap();
    }
    let full = service.create_link(PROJECT, board.id, None, &by).await.unwrap_err().to_string();
    assert_eq!(full, "links: there are 10 already; revoke one first");
    let last = service.list_links(PROJECT, board.id).await.unwrap().pop().unwrap();
    service.delete_board(PROJECT, board.id, &by).await.unwrap();
    assert_eq!(service.find_shared(last.id, "0").await.unwrap(), None);
}

async fn answers_are_those_of_the_events(db: TestDatabase) {
    let world = World::new(db, NOW);
    world.visitors().await;
    let rows = world.table(&Question::Funnel(funnel())).await;
    assert_eq!(
        rows,
        [
            json!([1, "page_view", 20, 1.0, 1.0, null]),
            json!([2, "Signed Up", 12, 0.6, 0.6, 3600.0]),
            json!([3, "paid", 6, 0.3, 0.5, 86400.0]),
        ]
    );
    let by = Some("plan".to_owned());
    let rows = world.table(&Question::Funnel(FunnelQuestion { by: by.clone(), ..funnel() })).await;
    assert_eq!(rows.len(), 9);
    assert_eq!(rows[3], json!(["free", 1, "page_view", 17, 1.0, 1.0, null]));
    assert_eq!(rows[7], json!(["pro", 2, "Signed Up", 0, 0.0, 0.0, null]));
    let question = TrendQuestion {
        event: "page_view".to_owned(),
        measure: Counted::People,
        unit: Every::Month,
        by,
        ..TrendQuestion::default()
    };
    let rows = world.table(&Question::Trend(question)).await;
    // Thirty days up to the 15th of April begin in March.
    assert_eq!(
        rows,
        [
            json!(["2026-03-17", "free", 0]),
            json!(["2026-04-01", "free", 17]),
            json!(["2026-03-17", "pro", 0]),
            json!(["2026-04-01", "pro", 3]),
        ]
    );
    let rows = world.table(&Question::Retention(RetentionQuestion::default())).await;
    assert_eq!(rows, [json!(["2026-04-06", 20, 0, 20, 1.0]), json!(["2026-04-06", 20, 1, 0, 0.0])]);
    let event = "Signed Up".to_owned();
    let question = PathQuestion { event, direction: Way::Previous, ..PathQuestion::default() };
    let rows = world.table(&Question::Path(question)).await;
    assert_eq!(rows[0], json!([1, "Signed Up", null, 12, 12, 1.0]));
}

async fn a_public_answer_has_no_row_about_few(db: TestDatabase) {
    let world = World::new(db, NOW);
    world.visitors().await;
    let by = Some("plan".to_owned());
    let Answer::Funnel(shown) =
        world.answer(&Question::Funnel(FunnelQuestion { by: by.clone(), ..funnel() }), true).await
    else {
        panic!("a funnel is answered as one")
    };
    // All, and the 17 of the plan free; not the 3 of the plan pro.
    let people: Vec<u64> = shown.groups.iter().map(|group| group.steps[0].subjects).collect();
    assert_eq!(people, [20, 17]);
    let question = Question::Trend(TrendQuestion { by, ..TrendQuestion::default() });
    let Answer::Trend { whole, parts } = world.answer(&question, true).await else {
        panic!("a trend is answered as one")
    };
    assert_eq!((whole.series[0].events, parts.unwrap().series.len()), (38, 1));
}

fn of_values(measure: Counted) -> TrendQuestion {
    TrendQuestion {
        event: "page_view".to_owned(),
        measure,
        unit: Every::Month,
        days: 30,
        ..TrendQuestion::default()
    }
}

/// The share of visitors who sign up, and with `B` in its place the average of their values.
fn rate(second: Counted) -> TrendQuestion {
    TrendQuestion {
        event: "Signed Up".to_owned(),
        measure: Counted::People,
        more: vec![SeriesQuestion { event: "page_view".to_owned(), measure: second, of: None }],
        formula: Some("A / B * 100".to_owned()),
        unit: Every::Month,
        ..TrendQuestion::default()
    }
}

async fn values_and_formulas_are_those_of_the_events(db: TestDatabase) {
    let world = World::new(db, NOW);
    world.visitors().await;
    // The values of April are 0 to 19; there are none in March.
    for (measure, march, april) in [
        (Counted::Sum, json!(0.0), 190.0),
        (Counted::Average, json!(null), 9.5),
        (Counted::Min, json!(null), 0.0),
        (Counted::Max, json!(null), 19.0),
        (Counted::Median, json!(null), 9.0),
        (Counted::P95, json!(null), 18.0),
    ] {
        let rows = world.table(&Question::Trend(of_values(measure))).await;
        assert_eq!(rows, [json!(["2026-03-17", march]), json!(["2026-04-01", april])], "{measure:?}");
    }
    let by = Some("plan".to_owned());
    let rows = world.table(&Question::Trend(TrendQuestion { by, ..of_values(Counted::Max) })).await;
    assert_eq!(rows[1], json!(["2026-04-01", "free", 16.0]));
    assert_eq!(rows[3], json!(["2026-04-01", "pro", 19.0]));
    let question = Question::Trend(rate(Counted::People));
    let answer = world.answer(&question, false).await;
    let table = answer.table(&question, &Calendar::find("Europe/Amsterdam").unwrap()).json();
    assert_eq!(table["columns"], json!(["month", "A", "B", "formula"]));
    assert_eq!(table["rows"], json!([["2026-03-17", 0.0, 0.0, null], ["2026-04-01", 12.0, 20.0, 60.0]]));
    let kept = world.keep("Rate", question.clone()).await.unwrap();
    assert_eq!(world.service.find_insight(PROJECT, kept.id).await.unwrap().question, question);
    let wrong =
        Question::Trend(TrendQuestion { formula: Some("A +".to_owned()), ..TrendQuestion::default() });
    let why = world.keep("Wrong", wrong).await.unwrap_err().to_string();
    assert!(why.starts_with("formula: at character 4"), "{why}");
}

async fn a_public_answer_has_no_value_of_few(db: TestDatabase) {
    let world = World::new(db, NOW);
    world.visitors().await;
    let lines = async |question: TrendQuestion| match world.answer(&Question::Trend(question), true).await {
        Answer::Lines(lines) => lines,
        other => panic!("{other:?}"),
    };
    let all = lines(of_values(Counted::Sum)).await;
    assert_eq!((all.whole.points[1], all.whole.total), (Some(190.0), Some(190.0)));
    // Without the three of the plan pro, nothing tells what theirs add up to.
    let by_plan = lines(TrendQuestion { by: Some("plan".to_owned()), ..of_values(Counted::Sum) }).await;
    assert_eq!((by_plan.whole.points[1], by_plan.whole.total), (None, Some(0.0)));
    assert_eq!(by_plan.parts.len(), 1);
    assert_eq!(by_plan.parts[0].points[1], Some(136.0));
    let few = json!({"match": "all", "conditions": [
        {"kind": "property", "property": "plan", "op": "is", "value": "pro", "days": 30}]});
    let cohort = Some(world.cohort("Pro", false, few).await.id);
    let of_few = lines(TrendQuestion { cohort, ..of_values(Counted::Max) }).await;
    assert_eq!((of_few.whole.points[1], of_few.whole.total), (None, None));
    let counted = lines(TrendQuestion { cohort, ..rate(Counted::People) }).await;
    assert_eq!(counted.whole.points[1], Some(0.0));
    let valued = lines(TrendQuestion { cohort, ..rate(Counted::Average) }).await;
    assert_eq!((valued.whole.points[1], valued.series[1][1]), (None, None));
    let open = lines(rate(Counted::Average)).await;
    assert_eq!((open.series.len(), open.series[1][1]), (2, Some(9.5)));
}

async fn the_sizes_of_a_live_cohort_are_those_of_its_weeks(db: TestDatabase) {
    let world = World::new(db, NOW);
    world.visitors().await;
    let signed_up = json!({"match": "all", "conditions": [
        {"kind": "did", "event": "Signed Up", "op": "at_least", "times": 1, "days": 3}]});
    let live = world.cohort("New", false, signed_up.clone()).await.id;
    let sizes = world.service.list_sizes(PROJECT, live).await.unwrap();
    assert_eq!(sizes.len(), WEEKS);
    let week = |place: usize| (sizes[place].week, sizes[place].until, sizes[place].size);
    assert_eq!(sizes[0].week, at("2026-01-25T23:00:00Z"));
    // They signed up on Friday the 10th: at the end of that week that is less than three days ago, by now it is more.
    assert_eq!(week(10), (at("2026-04-05T22:00:00Z"), at("2026-04-12T22:00:00Z"), Some(12)));
    assert_eq!(week(11), (at("2026-04-12T22:00:00Z"), at("2026-04-15T12:00:00.000001Z"), None));
    assert!(sizes[..10].iter().all(|it| it.size.is_none()));
    // What comes late counts where it belongs.
    let mut event = Event::new([201; 16], at("2026-04-12T10:00:00Z"), "Signed Up");
    event.subject = Some(SubjectId(30));
    world.happen(&[event]).await;
    assert_eq!(world.service.list_sizes(PROJECT, live).await.unwrap()[10].size, Some(13));
    let frozen = world.cohort("New of April", true, signed_up).await.id;
    assert_eq!(world.service.list_sizes(PROJECT, frozen).await.unwrap(), []);
}

async fn a_live_cohort_follows_its_rule_and_a_static_one_keeps_its_people(db: TestDatabase) {
    let world = World::new(db, NOW);
    world.visitors().await;
    let (service, by) = (&world.service, world.by());
    let payers = json!({"match": "all", "conditions": [
        {"kind": "did", "event": "paid", "op": "at_least", "times": 1, "days": 30}]});
    let live = world.cohort("Payers", false, payers.clone()).await;
    let frozen = world.cohort("Payers of April", true, payers).await;
    assert_eq!((live.size, frozen.size, live.shown_size()), (6, 6, Some(6)));
    let mut event = Event::new([200; 16], at("2026-04-14T10:00:00Z"), "paid");
    event.subject = Some(SubjectId(20));
    world.happen(&[event]).await;
    assert_eq!(service.find_people(PROJECT, live.id).await.unwrap().len(), 7);
    assert_eq!(service.find_people(PROJECT, frozen.id).await.unwrap().len(), 6);
    assert_eq!(service.find_cohort(PROJECT, live.id).await.unwrap().size, 6);
    assert_eq!(service.count_cohort(PROJECT, live.id).await.unwrap().size, 7);
    assert_eq!(service.count_cohort(PROJECT, frozen.id).await.unwrap().size, 6);
    assert_eq!(service.find_cohort(PROJECT, live.id).await.unwrap().size, 7);
    // Questions are about its people only.
    let question = FunnelQuestion { cohort: Some(frozen.id), ..funnel() };
    let rows = world.table(&Question::Funnel(question)).await;
    assert_eq!(rows[0], json!([1, "page_view", 6, 1.0, 1.0, null]));
    let question = TrendQuestion { unit: Every::Month, cohort: Some(live.id), ..TrendQuestion::default() };
    let rows = world.table(&Question::Trend(question)).await;
    assert_eq!(rows[1], json!(["2026-04-01", 20]));
    let rule = frozen.rule.clone();
    let change = CohortChange { name: None, rule: Some(rule.clone()) };
    let why = service.change_cohort(PROJECT, frozen.id, change.clone(), &by).await.unwrap_err().to_string();
    assert!(why.starts_with("rule: cannot be changed"), "{why}");
    let change = CohortChange { name: Some("Buyers".to_owned()), ..change };
    let changed = service.change_cohort(PROJECT, live.id, change, &by).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.size), ("Buyers", 7));
    service.delete_cohort(PROJECT, live.id, &by).await.unwrap();
    let gone = service.find_people(PROJECT, live.id).await.unwrap_err();
    assert!(matches!(gone, BusinessError::NotFound("cohort")), "{gone}");
    let few = world
        .cohort(
            "Few",
            false,
            json!({"match": "all", "conditions": [
                {"kind": "property", "property": "value", "op": "less", "value": "3", "days": 30}]}),
        )
        .await;
    assert_eq!((few.size, few.shown_size()), (3, None));
    assert_eq!(
        world.entries.actions(),
        ["cohort_created", "cohort_created", "cohort_changed", "cohort_deleted", "cohort_created"]
    );
}

async fn conditions_go_together_as_the_rule_says(db: TestDatabase) {
    let world = World::new(db, NOW);
    world.visitors().await;
    let signed_up = json!({"kind": "did", "event": "Signed Up", "op": "at_least", "times": 1, "days": 30});
    let not_paid = json!({"kind": "did_not", "event": "paid", "days": 30});
    let pro = json!({"kind": "property", "property": "plan", "op": "is", "value": "pro", "days": 30});
    let red = json!({"kind": "property", "property": "team", "op": "is", "value": "red", "days": 30});
    let seldom = json!({"kind": "did", "event": "", "op": "at_most", "times": 1, "days": 30});
    let recent = json!({"kind": "did", "event": "page_view", "op": "at_least", "times": 1, "days": 2});
    let all = async |name: &str, matching: &str, conditions: &[&serde_json::Value]| {
        let rule = json!({"match": matching, "conditions": conditions});
        world.cohort(name, false, rule).await.size
    };
    assert_eq!(all("1", "all", &[&signed_up, &not_paid]).await, 6);
    assert_eq!(all("2", "any", &[&signed_up, &pro]).await, 15);
    assert_eq!(all("3", "all", &[&signed_up, &pro]).await, 0);
    assert_eq!(all("4", "all", &[&red, &not_paid]).await, 4);
    // Whoever did one thing only.
    assert_eq!(all("5", "all", &[&seldom]).await, 8);
    assert_eq!(all("6", "all", &[&recent]).await, 0);
    let unknown = json!({"match": "all", "conditions": [
        {"kind": "did", "event": "Sgned Up", "op": "at_least", "times": 1, "days": 30}]});
    let new = NewCohort {
        name: "Typo".to_owned(),
        rule: serde_json::from_value(unknown).unwrap(),
        is_static: false,
    };
    let why = world.service.create_cohort(PROJECT, new, &world.by()).await.unwrap_err().to_string();
    assert!(why.contains("no event is named \"Sgned Up\""), "{why}");
}

async fn who_is_erased_leaves_static_cohorts(db: TestDatabase) {
    let world = World::new(db, NOW);
    world.visitors().await;
    let payers = json!({"match": "all", "conditions": [
        {"kind": "did", "event": "paid", "op": "at_least", "times": 1, "days": 30}]});
    let frozen = world.cohort("Payers", true, payers).await.id;
    let data = world.service.cohort_data();
    let records = data.export(PROJECT, SubjectId(1), None).await.unwrap().records;
    assert_eq!(records, [json!({"cohort": "Payers"})]);
    assert!(data.export(PROJECT, SubjectId(20), None).await.unwrap().records.is_empty());
    assert_eq!(data.count(PROJECT, SubjectId(1)).await.unwrap(), 1);
    assert_eq!(data.erase(PROJECT, SubjectId(1)).await.unwrap(), 1);
    world.events.erase_subject(PROJECT, SubjectId(1)).await.unwrap();
    assert_eq!(data.count(PROJECT, SubjectId(1)).await.unwrap(), 0);
    assert_eq!(data.erase(PROJECT, SubjectId(1)).await.unwrap(), 0);
    assert_eq!(data.erase(PROJECT, SubjectId(20)).await.unwrap(), 0);
    assert_eq!(world.service.find_people(PROJECT, frozen).await.unwrap().len(), 5);
    assert_eq!(world.service.find_cohort(PROJECT, frozen).await.unwrap().size, 5);
    assert_eq!(world.entries.actions(), ["cohort_created", "cohort_subject_erased"]);
}

async fn boards_insights_and_cohorts_of_projects_are_apart(db: TestDatabase) {
    let world = World::new(db, NOW);
    world.visitors().await;
    let (service, by) = (&world.service, world.by());
    let insight = world.keep("Signups", trend("a")).await.unwrap().id;
    let board = world.board("Product").await.id;
    let everybody = json!({"kind": "did", "event": "", "op": "at_least", "times": 1, "days": 30});
    let cohort = world.cohort("All", true, json!({"match": "any", "conditions": [everybody]})).await.id;
    let (link, _) = service.create_link(PROJECT, board, None, &by).await.unwrap();
    assert_eq!(service.list_insights(OTHER).await.unwrap(), []);
    assert_eq!(service.list_boards(OTHER).await.unwrap(), []);
    assert_eq!(service.list_cohorts(OTHER).await.unwrap(), []);
    let theirs = service.create_board(OTHER, "Product", Vec::new(), &by).await.unwrap().id;
    let tile = Tile { insight, width: TileWidth::Half };
    let why = service.pin_insight(OTHER, theirs, tile, &by).await.unwrap_err().to_string();
    assert_eq!(why, "tiles: number 1 is no insight here");
    for result in [
        service.find_insight(OTHER, insight).await.map(drop),
        service.change_insight(OTHER, insight, InsightChange::default(), &by).await.map(drop),
        service.delete_insight(OTHER, insight, &by).await,
        service.find_board(OTHER, board).await.map(drop),
        service.change_board(OTHER, board, BoardChange::default(), &by).await.map(drop),
        service.pin_insight(OTHER, board, tile, &by).await.map(drop),
        service.delete_board(OTHER, board, &by).await,
        service.list_links(OTHER, board).await.map(drop),
        service.create_link(OTHER, board, None, &by).await.map(drop),
        service.revoke_link(OTHER, board, link.id, &by).await,
        service.revoke_link(OTHER, theirs, link.id, &by).await,
        service.find_cohort(OTHER, cohort).await.map(drop),
        service.find_people(OTHER, cohort).await.map(drop),
        service.count_cohort(OTHER, cohort).await.map(drop),
        service.change_cohort(OTHER, cohort, CohortChange::default(), &by).await.map(drop),
        service.delete_cohort(OTHER, cohort, &by).await,
    ] {
        assert!(matches!(result, Err(BusinessError::NotFound(_))), "{result:?}");
    }
}

async fn a_failed_write_leaves_a_board_as_it_was(db: TestDatabase) {
    let world = World::new(db, NOW);
    let tile = async |name: &str| {
        let insight = world.keep(name, trend("a")).await.unwrap().id;
        Tile { insight, width: TileWidth::Half }
    };
    let (first, second) = (tile("First").await, tile("Second").await);
    let id = world.board("Product").await.id;
    world.service.pin_insight(PROJECT, id, first, &world.by()).await.unwrap();
    for passing in 0.. {
        world.db.faults().fail_after(passing);
        let change = BoardChange { name: Some("Other".to_owned()), tiles: Some(vec![second, first]) };
        let result = world.service.change_board(PROJECT, id, change, &world.by()).await;
        if world.db.faults().take_unused() {
            assert_eq!(result.unwrap().tiles, [second, first]);
            break;
        }
        assert!(result.unwrap_err().to_string().contains("database"));
        let board = world.service.find_board(PROJECT, id).await.unwrap();
        assert_eq!((board.name.as_str(), board.tiles.as_slice()), ("Product", &[first][..]));
    }
    assert_eq!(world.service.find_board(PROJECT, id).await.unwrap().name, "Other");
}
