//! What people do in the product and pay for it, over four months.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::Random;
use crate::bench::rfc3339;
use crate::client::Client;

const DAY: u64 = 86_400;
/// How long ago the first people came.
const DAYS: u64 = 120;
const PEOPLE: u64 = 900;
/// Where people come from, with a campaign or a page that led here.
const CHANNELS: [(&str, &str); 6] = [
    ("newsletter", ""),
    ("", "https://www.google.com/"),
    ("", ""),
    ("youtube", ""),
    ("", "https://news.ycombinator.com/"),
    ("partner", ""),
];
const PAGES: [&str; 5] = ["/", "/courses", "/pricing", "/courses/rust", "/blog/first-steps"];
const FEATURES: [&str; 4] = ["playground", "tutor", "flash cards", "pair mode"];
/// Plan, price a month in euros.
const PLANS: [(&str, f64); 3] = [("starter", 9.0), ("pro", 29.0), ("team", 99.0)];
/// Events of a request.
const BATCH: usize = 100;
/// How long the server may take until the events can be asked about.
const ARRIVAL: Duration = Duration::from_secs(120);

/// Sends everything; how many events.
pub(super) fn send(client: &mut Client, key: &str, random: &mut Random, now: u64) -> Result<usize> {
    let mut events = Vec::new();
    for person in 0..PEOPLE {
        // More people come from month to month.
        let age = DAYS * DAY - (DAYS * DAY * (person * person / PEOPLE) / PEOPLE);
        live(&mut events, random, person, now.saturating_sub(age), now);
    }
    for some in events.chunks(BATCH) {
        let body = json!({ "writeKey": key, "batch": some, "sentAt": rfc3339(now) }).to_string();
        let response =
            client.send("POST", "/v1/batch", "content-type: application/json\r\n", body.as_bytes())?;
        if response.status != 200 {
            bail!("product events: status {}: {}", response.status, String::from_utf8_lossy(&response.body));
        }
    }
    Ok(events.len())
}

/// Keeps a cohort and four insights, and pins these to a dashboard, unless that was done before.
pub(super) fn keep(client: &mut Client, project: &str, token: &str) -> Result<()> {
    let path = |what: &str| format!("/api/v1/{what}?project={project}");
    let named = |list: &Value, name: &str| list.as_array().into_iter().flatten().any(|it| it["name"] == name);
    if named(&client.api("GET", &path("dashboards"), token, None)?, "Product") {
        return Ok(());
    }
    let deadline = Instant::now() + ARRIVAL;
    while !named(&client.api("GET", &path("events/names"), token, None)?["items"], "Subscription Started") {
        if Instant::now() > deadline {
            bail!("the product events cannot be asked about after {} s", ARRIVAL.as_secs());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    let rule = json!({"match": "all", "conditions": [
        {"kind": "did", "event": "Signed Up", "op": "at_least", "times": 1, "days": 90},
        {"kind": "did_not", "event": "Subscription Started", "days": 90}]});
    let cohort = json!({"project": project, "name": "Signed up, never paid", "rule": rule});
    client.api("POST", "/api/v1/cohorts", token, Some(&cohort))?;
    let insights = [
        ("Signups", "half", json!({"kind": "trend", "event": "Signed Up", "unit": "week", "days": 90})),
        (
            "From visit to subscription",
            "half",
            json!({"kind": "funnel", "steps": ["page_view", "Signed Up", "Subscription Started"],
                "window_days": 30, "days": 90}),
        ),
        ("Who comes again", "full", json!({"kind": "retention"})),
        ("After signing up", "full", json!({"kind": "path", "event": "Signed Up", "days": 90})),
    ];
    let mut tiles = Vec::new();
    for (name, width, question) in insights {
        let body = json!({"project": project, "name": name, "question": question});
        let made = client.api("POST", "/api/v1/insights", token, Some(&body))?;
        tiles.push(json!({"insight": made["id"], "width": width}));
    }
    let board = json!({"project": project, "name": "Product", "tiles": tiles});
    client.api("POST", "/api/v1/dashboards", token, Some(&board)).map(drop)
}

/// A person from the first visit on.
fn live(events: &mut Vec<Value>, random: &mut Random, person: u64, first: u64, now: u64) {
    let (source, referrer) = CHANNELS[(random.below(11) * person % 7 % 6) as usize];
    let mut add = |at: u64, kind: &str, name: &str, properties: Value| {
        if at >= now {
            return;
        }
        events.push(json!({
            "type": kind, "event": name, "name": name, "userId": format!("customer-{person}"),
            "messageId": format!("demo-{person}-{at}-{name}"), "timestamp": rfc3339(at), "properties": properties,
            "context": {
                "campaign": {"source": source, "name": if source.is_empty() { "" } else { "autumn" }},
                "page": {"path": PAGES[(person % 5) as usize], "referrer": referrer,
                         "url": format!("https://codeland.example{}", PAGES[(person % 5) as usize])},
                "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
            },
        }));
    };
    add(first, "page", "", json!({}));
    if random.below(100) < 55 {
        return;
    }
    let signed_up = first + 60 + random.below(2 * DAY);
    add(signed_up, "track", "Signed Up", json!({"plan": "free"}));
    // Interest wanes: of the days after it, ever fewer bring somebody back.
    let mut at = signed_up;
    while random.below(100) < 88 {
        at += DAY / 2 + random.below(4 * DAY);
        add(at, "page", "", json!({}));
        if random.below(100) < 40 {
            let feature = FEATURES[random.below(100) as usize * 4 / 160 % 4];
            add(at + 120, "track", "Feature Used", json!({ "feature": feature }));
        }
    }
    if random.below(100) < 60 {
        return;
    }
    let (plan, price) = PLANS[random.below(10) as usize * 3 / 14 % 3];
    let subscription = format!("sub-{person}");
    let terms = |price: f64, plan: &str| {
        json!({
            "subscription_id": subscription, "plan": plan, "price": price, "currency": "EUR", "interval": "month",
        })
    };
    add(
        signed_up + 600,
        "track",
        "Trial Started",
        json!({"subscription_id": subscription, "plan": plan, "trial": true}),
    );
    if random.below(100) < 35 {
        return;
    }
    let paid = signed_up + 14 * DAY;
    add(paid, "track", "Subscription Started", terms(price, plan));
    match random.below(10) {
        0 | 1 => add(
            paid + 20 * DAY + random.below(40 * DAY),
            "track",
            "Subscription Cancelled",
            json!({"subscription_id": subscription}),
        ),
        2 => add(paid + 25 * DAY, "track", "Subscription Updated", terms(99.0, "team")),
        3 => add(paid + 30 * DAY, "track", "Subscription Updated", terms(9.0, "starter")),
        _ => {}
    }
    if random.below(6) == 0 {
        add(
            paid + 3 * DAY,
            "track",
            "Order Completed",
            json!({"order_id": format!("o-{person}"), "total": 19.0, "currency": "EUR"}),
        );
    }
}
