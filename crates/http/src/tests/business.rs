//! Revenue through the API, and what is said of the business.

use belvedere_accounts::Scope;
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::house::{Answer, House, with_token};

async fn get(house: &House, token: &str, path: &str) -> Answer {
    house.send(with_token(Method::GET, &format!("/api/v1/business/{path}"), token, "")).await
}

async fn post(house: &House, token: &str, path: &str, body: impl Into<String>) -> Answer {
    house.send(with_token(Method::POST, &format!("/api/v1/business/{path}"), token, body.into())).await
}

/// The house's clock stands at 2026-11-23T12:04:05Z.
fn entry(number: u32, customer: &str, kind: &str, at: &str, minor: u32, currency: &str) -> Value {
    json!({
        "id": format!("e{number}"), "customer": customer, "subscription": format!("s-{customer}"), "kind": kind,
        "at": at, "plan": "=pro", "amount_minor": minor, "currency": currency,
    })
}

#[test]
fn what_is_recorded_shows_in_all_answers() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read, Scope::Admin]).await;
        assert_eq!(get(&house, &token, "revenue").await.json(), Value::Null);
        let entries = json!({"entries": [
            entry(1, "learner-1", "started", "2026-10-10T10:00:00Z", 1_000, "EUR"),
            entry(2, "learner-2", "started", "2026-11-02T10:00:00Z", 3_000, "EUR"),
            {"id": "e3", "customer": "learner-1", "kind": "order", "at": "2026-11-03T10:00:00Z", "amount_minor": 500},
            {"id": "e4", "customer": "learner-1", "kind": "rented", "at": "2026-11-03T10:00:00Z"},
        ]});
        let answer = post(&house, &token, "subscriptions", entries.to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
        assert_eq!(
            answer.json(),
            json!({"taken": 2, "repeated": 0, "refused": 2, "errors": [
                {"line": 3, "field": "currency", "why": "is missing"},
                {"line": 4, "field": "kind", "why": "must be one of trial_started, started, updated, renewed, \
                    payment_failed, cancelled, order, refund"},
            ]})
        );
        let file = "id,customer,subscription,kind,at,plan,amount,currency\n\
                    e5,learner-1,s-learner-1,updated,2026-11-05T10:00:00Z,=pro,20.00,EUR\n\
                    e6,learner-1,s-learner-1,updated,never,=pro,20.00,EUR\n\
                    e7,learner-2,,order,2026-11-06T10:00:00Z,,7.50,EUR\n";
        let answer = post(&house, &token, "subscriptions/import", file).await;
        assert_eq!(
            answer.json(),
            json!({"taken": 2, "repeated": 0, "refused": 1, "errors": [
                {"line": 3, "field": "at", "why": "must be an instant such as 2026-11-29T10:00:00Z"},
            ]})
        );
        assert_eq!(post(&house, &token, "subscriptions/import", file).await.json()["repeated"], 2);
        let revenue = get(&house, &token, "revenue?period=month").await.json();
        let value = |key: &str| revenue[key]["value"].as_f64().unwrap();
        assert_eq!((value("monthly_recurring_revenue"), value("customers")), (5_000.0, 2.0));
        assert_eq!(
            (value("new_mrr"), value("expansion_mrr"), value("one_off_revenue")),
            (3_000.0, 1_000.0, 750.0)
        );
        assert_eq!(revenue["monthly_recurring_revenue"]["before"], 1_000.0);
        assert!(revenue["lifetime_value"]["definition"].as_str().unwrap().contains("gross margin"));
        let movements = get(&house, &token, "revenue/movements?periods=2").await.json();
        assert_eq!(movements["periods"][1]["net_new_minor"], 4_000);
        let plans = get(&house, &token, "revenue/plans").await.json();
        assert_eq!(
            plans,
            json!({"currency": "EUR", "plans": [{"plan": "=pro", "mrr_minor": 5_000, "subscribers": 2}]})
        );
        let cohorts = get(&house, &token, "revenue/cohorts?periods=2").await.json();
        assert_eq!(cohorts["cohorts"][0]["mrr_minor"], json!([1_000, 2_000]));
        let metrics = get(&house, &token, "metrics?period=quarter").await.json();
        assert_eq!(metrics["revenue"]["customers"]["value"], 2.0);
        assert_eq!(metrics["user_acquisition"]["total_users"]["value"], 0.0);
        assert_eq!(metrics["conversion_funnel"]["visitors"]["value"], 0.0);
        let learning = &metrics["learning"];
        assert_eq!(
            (&learning["struggling"]["learners"], &learning["ai_tutor_effectiveness"]),
            (&json!(0), &Value::Null)
        );
        assert_eq!(get(&house, &token, "now").await.json(), json!({"people": 0, "minutes": 5}));
        let changes = get(&house, &token, "changes").await.json();
        assert_eq!((&changes["changes"], &changes["until"]), (&json!([]), &json!("2026-11-23T12:04:05Z")));
    });
}

#[test]
fn tables_are_files_without_formulas() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read, Scope::Admin]).await;
        let entries =
            json!({"entries": [entry(1, "learner-1", "started", "2026-10-10T10:00:00Z", 1_000, "EUR")]});
        post(&house, &token, "subscriptions", entries.to_string()).await;
        let file = get(&house, &token, "revenue/plans?format=csv").await;
        assert_eq!(file.header("content-type"), "text/csv; charset=utf-8; header=present");
        assert_eq!(file.header("content-disposition"), "attachment; filename=\"revenue-plans.csv\"");
        assert_eq!(file.text, "plan,currency,mrr_minor,subscribers\r\n'=pro,EUR,1000,1\r\n");
        for (path, head) in [
            ("revenue?format=csv", "number,value,before,change,definition\r\ntotal_revenue,"),
            ("metrics?format=csv", "number,value,before,change,definition\r\ntotal_users,"),
            ("metrics?format=csv&table=numbers", "number,value,before,change,definition\r\ntotal_users,"),
            ("metrics?format=csv&table=channels", "channel,people,converted,conversion_rate\r\n"),
            ("metrics?format=csv&table=landing_pages", "path,people,converted,conversion_rate\r\n"),
            (
                "metrics?format=csv&table=funnel",
                "step,people,people_before\r\nvisitors,0,0\r\nsignups,0,0\r\n",
            ),
            ("metrics?format=csv&table=features_by_cohort", "week,people,feature,adopted\r\n"),
            (
                "metrics?format=json&table=retention",
                "{\"columns\":[\"week\",\"people\",\"weeks_later\",\"returned\"],",
            ),
            ("changes?format=csv", "number,dimension,segment,value,before,delta\r\n"),
            ("revenue/movements?format=csv&periods=1", "from,until,currency,start_mrr_minor,"),
            ("revenue/cohorts?format=csv", "cohort,periods_later,currency,mrr_minor,customers\r\n"),
        ] {
            let file = get(&house, &token, path).await;
            assert!(file.text.starts_with(head), "{path}: {}", file.text);
        }
        for path in ["metrics?format=csv&table=odd", "revenue?format=csv&table=channels"] {
            let wrong = get(&house, &token, path).await;
            assert_eq!(
                (wrong.status, &wrong.json()["field"]),
                (StatusCode::BAD_REQUEST, &json!("table")),
                "{path}"
            );
        }
    });
}

#[test]
fn rates_are_needed_and_rules_can_be_set() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read, Scope::Admin]).await;
        let entries = json!({"entries": [
            entry(1, "learner-1", "started", "2026-11-20T10:00:00Z", 1_000, "EUR"),
            entry(2, "learner-2", "started", "2026-11-21T10:00:00Z", 1_000, "USD"),
        ]});
        post(&house, &token, "subscriptions", entries.to_string()).await;
        let answer = get(&house, &token, "revenue").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.json()["detail"], "currency: revenue is in EUR, USD; name the one to convert to");
        let answer = get(&house, &token, "revenue?currency=EUR").await;
        assert_eq!(answer.status, StatusCode::CONFLICT);
        assert_eq!(answer.json()["detail"], "there is no rate from USD to EUR for 2026-11-21");
        let rates = json!({"rates": [
            {"day": "2026-11-21", "from": "USD", "to": "EUR", "rate": "0.8"},
            {"day": "2026-11-23", "from": "USD", "to": "EUR", "rate": "0.9"},
        ]});
        assert_eq!(post(&house, &token, "rates", rates.to_string()).await.json(), json!({"taken": 2}));
        let revenue = get(&house, &token, "revenue?currency=EUR").await.json();
        assert_eq!(revenue["monthly_recurring_revenue"]["value"], 1_900.0);
        assert_eq!(revenue["fx_mrr"]["value"], 100.0);
        let wrong = json!({"rates": [{"day": "2026-11-31", "from": "USD", "to": "EUR", "rate": "0.8"}]});
        let answer = post(&house, &token, "rates", wrong.to_string()).await;
        assert_eq!(answer.json()["detail"], "day: of rate 1 must be a day such as 2026-11-29");
        let mut rules = get(&house, &token, "rules").await.json();
        assert_eq!((&rules["churn_at"], &rules["group_minutes"]), (&json!("cancellation"), &json!(60)));
        rules["churn_at"] = json!("period_end");
        let uri = "/api/v1/business/rules";
        let answer = house.send(with_token(Method::PUT, uri, &token, rules.to_string())).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert_eq!(get(&house, &token, "rules").await.json(), rules);
    });
}

#[test]
fn who_may_not_change_may_read_and_what_is_off_is_not_there() {
    run(async {
        let mut house = House::new().await;
        let reader = house.token(&[Scope::Read]).await;
        assert_eq!(get(&house, &reader, "metrics").await.status, StatusCode::OK);
        for (path, body) in [("subscriptions", r#"{"entries":[]}"#), ("rates", r#"{"rates":[]}"#)] {
            assert_eq!(post(&house, &reader, path, body).await.status, StatusCode::FORBIDDEN);
        }
        for (path, field) in [
            ("metrics?period=year", "period"),
            ("metrics?period=day&from=2026-11-01T00:00:00Z&until=2026-11-02T00:00:00Z", "period"),
            ("metrics?from=2026-11-01T00:00:00Z", "until"),
            ("metrics?from=2026-11-02T00:00:00Z&until=2026-11-01T00:00:00Z", "until"),
            ("metrics?gross_margin=2", "gross_margin"),
            ("metrics?format=xml", "format"),
            ("revenue?currency=EURO", "currency"),
        ] {
            let answer = get(&house, &reader, path).await;
            assert_eq!(
                (answer.status, &answer.json()["field"]),
                (StatusCode::BAD_REQUEST, &json!(field)),
                "{path}"
            );
        }
        house.state.features.business_intelligence = false;
        assert_eq!(get(&house, &reader, "metrics").await.status, StatusCode::NOT_FOUND);
    });
}
