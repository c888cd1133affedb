//! The client as services use it, against a server that remembers.

mod speed;

use std::convert::Infallible;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use sea_orm::{ConnectionTrait, Database, DatabaseBackend, Statement};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use crate::testing::{Directory, PATIENCE, Server, config, eventually};
use crate::{
    Breadcrumb, ClientConfig, ErrorClient, ErrorContext, ErrorGuard, Hub, KnownError, Level, RequestLayer,
    RouteRate, SentryFutureExt, SlowQueries, User, observe_queries,
};

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().unwrap().block_on(future)
}

fn started(server: &Server) -> ErrorGuard {
    ErrorClient::detached(config(server.dsn(), None)).unwrap()
}

fn events(client: &ErrorClient, server: &Server) -> Vec<Value> {
    assert!(client.flush(PATIENCE));
    server.events()
}

fn bad_number() -> std::num::ParseIntError {
    "seven".parse::<u32>().unwrap_err()
}

#[test]
fn an_error_arrives_with_all_that_is_known_about_it() {
    let server = Server::start([]);
    let mut config = ClientConfig { stack_traces: true, ..config(server.dsn(), None) };
    config.environment = "production".to_owned();
    config.release = Some("lessons@4.12.0".to_owned());
    config.service = Some("lessons".to_owned());
    config.known_errors = vec![KnownError::message("*known*")];
    let client = ErrorClient::detached(config).unwrap();
    client.set_user(Some(User {
        id: "7".to_owned(),
        username: Some("ada".to_owned()),
        role: Some("learner".to_owned()),
        email: Some("ada@example.org".to_owned()),
    }));
    client
        .add_breadcrumb(Breadcrumb { message: Some("opened lesson 4".to_owned()), ..Breadcrumb::default() });
    let context = ErrorContext::new("lessons", "open").with("lesson", 4);
    let id = client.capture_error(&bad_number(), &context).unwrap();
    assert_eq!(client.capture_message("a known one", None), None);
    client.capture_message("all is well", None).unwrap();
    let events = events(&client, &server);
    assert_eq!(events.len(), 2);
    let event = &events[0];
    assert_eq!(event["event_id"], id.simple().to_string());
    assert_eq!(event["environment"], "production");
    assert_eq!(event["release"], "lessons@4.12.0");
    assert_eq!(event["tags"], json!({"feature": "lessons", "action": "open", "service": "lessons"}));
    assert_eq!(event["extra"], json!({"lesson": 4}));
    assert_eq!(event["user"], json!({"id": "7", "username": "ada", "role": "learner"}));
    assert_eq!(event["breadcrumbs"]["values"][0]["message"], "opened lesson 4");
    let exception = &event["exception"]["values"][0];
    assert_eq!(exception["type"], "ParseIntError");
    let frames = exception["stacktrace"]["frames"].as_array().unwrap();
    assert!(
        frames
            .iter()
            .any(|frame| frame["function"].as_str().is_some_and(|it| it.contains("arrives_with_all")))
    );
    assert_eq!(events[1]["level"], "info");
}

#[test]
fn outside_production_the_user_has_an_address() {
    let server = Server::start([]);
    let client = started(&server);
    let email = Some("ada@example.org".to_owned());
    client.set_user(Some(User { id: "7".to_owned(), email, ..User::default() }));
    client.capture_message("hello", Level::Warning).unwrap();
    assert_eq!(events(&client, &server)[0]["user"], json!({"id": "7", "email": "ada@example.org"}));
}

#[test]
fn a_monitored_function_passes_its_result_on_and_reports_its_error() {
    let server = Server::start([]);
    let client = started(&server);
    let fine: Result<u32, std::num::ParseIntError> =
        client.with_performance_monitoring_sync("count", None, || Ok(7));
    assert_eq!(fine, Ok(7));
    let failed: Result<(), _> =
        run(client.with_performance_monitoring("load", None, async { Err(bad_number()) }));
    assert_eq!(failed, Err(bad_number()));
    let alike: Result<(), anyhow::Error> =
        client.with_performance_monitoring_sync("parse", None, || Err(anyhow::anyhow!("no such lesson")));
    assert_eq!(alike.unwrap_err().to_string(), "no such lesson");
    let events = events(&client, &server);
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["tags"]["monitored"], "load");
    assert_eq!(events[0]["exception"]["values"][0]["type"], "ParseIntError");
    assert_eq!(events[1]["exception"]["values"][0]["value"], "no such lesson");
    let transactions = server.transactions();
    let seen: Vec<_> = transactions
        .iter()
        .map(|it| (it["transaction"].as_str().unwrap(), it["contexts"]["trace"]["status"].as_str().unwrap()))
        .collect();
    assert_eq!(seen, [("count", "ok"), ("load", "unknown_error"), ("parse", "unknown_error")]);
    let trace = &transactions[0]["contexts"]["trace"];
    assert!(trace["data"]["took_ms"].is_f64() && trace["data"]["profile.turns"] == 1, "{trace}");
    // The error hangs on its transaction.
    assert_eq!(events[0]["contexts"]["trace"]["span_id"], transactions[1]["contexts"]["trace"]["span_id"]);
}

#[test]
fn a_function_within_another_is_its_span() {
    let server = Server::start([]);
    let client = started(&server);
    let inner = || client.with_performance_monitoring_sync("inner", None, || Ok::<_, Infallible>(1));
    let Ok(one) = client.with_performance_monitoring_sync("outer", None, inner);
    assert_eq!(one, 1);
    assert!(client.flush(PATIENCE));
    let transactions = server.transactions();
    assert_eq!(transactions.len(), 1);
    assert_eq!(transactions[0]["spans"][0]["description"], "inner");
}

#[test]
fn a_function_that_takes_too_long_is_reported_while_it_runs_and_goes_on_to_its_end() {
    let server = Server::start([]);
    let client = started(&server);
    let limit = Some(Duration::from_millis(5));
    let warned = || {
        let is_warning = |event: &Value| event["level"] == "warning";
        server.events().iter().any(is_warning).then_some(())
    };
    let result = client.with_performance_monitoring_sync("slow", limit, || {
        eventually("the warning arrives while the function runs", warned);
        Ok::<_, Infallible>("done")
    });
    assert_eq!(result, Ok("done"));
    let sent = events(&client, &server);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0]["message"], "slow takes longer than 5ms and goes on");
    let message = sent[1]["message"].as_str().unwrap();
    assert!(message.starts_with("slow took ") && message.ends_with(", longer than 5ms"), "{message}");
    assert_eq!(sent[0]["fingerprint"], sent[1]["fingerprint"]);

    let result = run(client.with_performance_monitoring("slow async", limit, async {
        for _ in 0..1_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if events(&client, &server).len() == 3 {
                return Ok::<_, Infallible>("done");
            }
        }
        Ok("never warned")
    }));
    assert_eq!(result, Ok("done"));
    assert_eq!(events(&client, &server)[2]["message"], "slow async takes longer than 5ms and goes on");
    assert_eq!(server.transactions()[1]["contexts"]["trace"]["status"], "deadline_exceeded");
}

#[test]
fn a_panic_is_reported_as_fatal_and_goes_on() {
    let server = Server::start([]);
    let client = started(&server);
    let call = || {
        client.with_performance_monitoring_sync("fall", None, || -> Result<(), Infallible> { panic!("fell") })
    };
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"fell"));
    let future = client.with_performance_monitoring("fall async", None, async {
        tokio::task::yield_now().await;
        let text = String::from("fell again");
        if text.is_empty() { Ok::<(), Infallible>(()) } else { panic!("{text}") }
    });
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(future))).unwrap_err();
    assert_eq!(panic.downcast_ref::<String>().unwrap(), "fell again");
    let events = events(&client, &server);
    let values: Vec<_> = events
        .iter()
        .map(|event| {
            (event["level"].as_str().unwrap(), event["exception"]["values"][0]["value"].as_str().unwrap())
        })
        .collect();
    assert_eq!(values, [("fatal", "fell"), ("fatal", "fell again")]);
    assert_eq!(events[1]["exception"]["values"][0]["mechanism"]["handled"], false);
    let status = |at: usize| server.transactions()[at]["contexts"]["trace"]["status"].clone();
    assert_eq!((status(0), status(1)), (json!("internal_error"), json!("internal_error")));
}

#[test]
fn transactions_are_sampled_by_their_route() {
    let server = Server::start([]);
    let config = ClientConfig {
        environment: "production".to_owned(),
        traces_sample_rate: Some(0.0),
        routes: vec![RouteRate::new("check*", 1.0)],
        ..config(server.dsn(), None)
    };
    let client = ErrorClient::detached(config).unwrap();
    for name in ["health", "checkout", "lesson"] {
        let done: Result<(), Infallible> = client.with_performance_monitoring_sync(name, None, || Ok(()));
        assert_eq!(done, Ok(()));
    }
    assert!(client.flush(PATIENCE));
    let names: Vec<_> = server.transactions().iter().map(|it| it["transaction"].clone()).collect();
    assert_eq!(names, ["checkout"]);
}

fn request(path: &str) -> Request<()> {
    Request::get(path).header("x-request-id", format!("id{}", path.replace('/', "-"))).body(()).unwrap()
}

fn answer(status: StatusCode) -> Result<Response<()>, Infallible> {
    Ok(Response::builder().status(status).body(()).unwrap())
}

#[test]
fn concurrent_requests_never_see_each_others_users() {
    let server = Server::start([]);
    let client = started(&server);
    let reporter = client.client();
    let together = Arc::new(tokio::sync::Barrier::new(40));
    let service = RequestLayer::new(client.client()).layer(service_fn(move |request: Request<()>| {
        let (client, together) = (reporter.clone(), Arc::clone(&together));
        async move {
            let name = request.uri().path().rsplit('/').next().unwrap().to_owned();
            client.set_user(Some(User { id: name.clone(), ..User::default() }));
            client.add_breadcrumb(Breadcrumb { message: Some(name.clone()), ..Breadcrumb::default() });
            together.wait().await;
            tokio::task::yield_now().await;
            client.capture_message(format!("from {name}"), Level::Error).unwrap();
            answer(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }));
    run(async {
        let mut requests = tokio::task::JoinSet::new();
        for number in 0..40 {
            requests.spawn(service.clone().oneshot(request(&format!("/learners/user{number}"))));
        }
        while let Some(response) = requests.join_next().await {
            assert_eq!(response.unwrap().unwrap().status(), 500);
        }
    });
    let events = events(&client, &server);
    assert_eq!(events.len(), 40, "the answer 500 is not reported beside the handler's own error");
    for event in events {
        let name = event["user"]["id"].as_str().unwrap();
        assert_eq!(event["message"], format!("from {name}"));
        assert_eq!(event["tags"]["request_id"], format!("id-learners-{name}"));
        let breadcrumbs = event["breadcrumbs"]["values"].as_array().unwrap();
        assert_eq!(breadcrumbs.len(), 1);
        assert_eq!(breadcrumbs[0]["message"], name);
        assert_eq!(event["request"]["method"], "GET");
    }
}

#[test]
fn a_trace_goes_on_in_the_requests_that_a_handler_makes() {
    let server = Server::start([]);
    let client = started(&server);
    let reporter = client.client();
    let service = RequestLayer::new(client.client()).layer(service_fn(move |_: Request<()>| {
        let headers = reporter.trace_headers();
        async move { Ok::<_, Infallible>(Response::new(headers)) }
    }));
    let mut request = request("/lessons");
    let trace = "771a43a4192642f0b136d5159a501700-7c7a7a7a7a7a7a7a-1";
    request.headers_mut().insert("sentry-trace", trace.parse().unwrap());
    let headers = run(service.oneshot(request)).unwrap().into_body();
    let (_, sent_on) = headers.iter().find(|(name, _)| *name == "sentry-trace").unwrap();
    assert!(sent_on.starts_with("771a43a4192642f0b136d5159a501700-") && sent_on.ends_with("-1"), "{sent_on}");
    assert_ne!(sent_on, trace);
}

#[test]
fn requests_are_transactions_and_their_troubles_events() {
    let server = Server::start([]);
    let client = started(&server);
    let service = service_fn(async |request: Request<()>| match request.uri().path() {
        "/fall" => panic!("the handler fell"),
        "/broken" => Err("broken"),
        "/missing/7" => Ok(answer(StatusCode::NOT_FOUND).unwrap()),
        "/away" => Ok(answer(StatusCode::SERVICE_UNAVAILABLE).unwrap()),
        _ => Ok(answer(StatusCode::OK).unwrap()),
    });
    let layer = RequestLayer::new(client.client())
        .with_route(|extensions| extensions.get::<&'static str>().map(|route| (*route).to_owned()));
    let service = layer.layer(service);
    run(async {
        for path in ["/fine", "/missing/7", "/away", "/broken", "/fall"] {
            let service = service.clone();
            let mut request = request(path);
            if path == "/fine" {
                request.extensions_mut().insert("/{anything}");
                let trace = "771a43a4192642f0b136d5159a501700-7c7a7a7a7a7a7a7a-1";
                request.headers_mut().insert("sentry-trace", trace.parse().unwrap());
            }
            let mut alone = tokio::task::JoinSet::new();
            alone.spawn(service.oneshot(request));
            let answered = alone.join_next().await.unwrap();
            assert_eq!(answered.is_err(), path == "/fall");
        }
    });
    let events = events(&client, &server);
    let texts: Vec<_> = events
        .iter()
        .map(|event| event["message"].as_str().or(event["exception"]["values"][0]["value"].as_str()).unwrap())
        .collect();
    assert_eq!(texts, ["GET /away answers 503", "GET /broken ends without an answer", "the handler fell"]);
    assert!(events.iter().all(|event| event["transaction"].as_str().unwrap().starts_with("GET /")));
    let transactions = server.transactions();
    let seen: Vec<_> = transactions
        .iter()
        .map(|it| (it["transaction"].as_str().unwrap(), it["contexts"]["trace"]["status"].as_str().unwrap()))
        .collect();
    let expected = [
        ("GET /{anything}", "ok"),
        ("GET /missing/{id}", "not_found"),
        ("GET /away", "unavailable"),
        ("GET /broken", "internal_error"),
        ("GET /fall", "internal_error"),
    ];
    assert_eq!(seen, expected);
    let trace = &transactions[0]["contexts"]["trace"];
    assert_eq!(trace["trace_id"], "771a43a4192642f0b136d5159a501700");
    assert_eq!(trace["parent_span_id"], "7c7a7a7a7a7a7a7a");
    assert_eq!(trace["data"]["http.response.status_code"], 200);
}

#[test]
fn slow_queries_are_recorded_without_their_values() {
    let server = Server::start([]);
    let client = started(&server);
    let everything = SlowQueries { noted_from: Duration::ZERO, reported_from: Duration::ZERO };
    run(async {
        let mut connection = Database::connect("sqlite::memory:").await.unwrap();
        observe_queries(&client, &mut connection, everything);
        let work = async {
            connection.execute_unprepared("CREATE TABLE learner (id INTEGER, email TEXT)").await.unwrap();
            let insert = "INSERT INTO learner VALUES (?, ?), (8, 'bob@example.org')";
            let values = [7.into(), "ada@example.org".into()];
            let insert = Statement::from_sql_and_values(DatabaseBackend::Sqlite, insert, values);
            connection.execute_raw(insert).await.unwrap();
            for id in 0..3 {
                let select = format!("SELECT * FROM learner WHERE id = {id} -- secret");
                let select = Statement::from_string(DatabaseBackend::Sqlite, select);
                connection.query_all_raw(select).await.unwrap();
            }
            client.capture_error(&bad_number(), &ErrorContext::default()).unwrap();
            Ok::<_, Infallible>(())
        };
        client.with_performance_monitoring("learners", None, work).await.unwrap();
    });
    let events = events(&client, &server);
    let warnings: Vec<_> = events.iter().filter_map(|event| event["message"].as_str()).collect();
    assert!(warnings.contains(&"Slow query: INSERT INTO learner VALUES (?)"), "{warnings:?}");
    let selects =
        warnings.iter().filter(|it| **it == "Slow query: SELECT * FROM learner WHERE id = ?").count();
    assert_eq!(selects, 1, "one warning a minute for each statement: {warnings:?}");
    let error = events.iter().find(|event| event["exception"].is_object()).unwrap();
    let breadcrumbs = error["breadcrumbs"]["values"].as_array().unwrap();
    let selects =
        breadcrumbs.iter().filter(|it| it["message"] == "SELECT * FROM learner WHERE id = ?").count();
    assert_eq!(selects, 3);
    let spans = server.transactions()[0]["spans"].as_array().unwrap().clone();
    assert_eq!(spans.iter().filter(|span| span["op"] == "db").count(), breadcrumbs.len());
    let all: String = server.received().into_iter().map(|request| request.body).collect();
    for value in ["example.org", "secret", "(8,"] {
        assert!(!all.contains(value), "{value} was sent");
    }
}

#[test]
fn quick_queries_leave_no_trace() {
    let server = Server::start([]);
    let client = started(&server);
    run(async {
        let mut connection = Database::connect("sqlite::memory:").await.unwrap();
        let never = SlowQueries { noted_from: Duration::MAX, reported_from: Duration::MAX };
        observe_queries(&client, &mut connection, never);
        connection.execute_unprepared("CREATE TABLE t (id INTEGER)").await.unwrap();
    });
    client.capture_message("a message", None).unwrap();
    let events = events(&client, &server);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["breadcrumbs"], Value::Null);
}

#[test]
fn lines_of_level_error_are_events_and_the_clients_own_are_not() {
    use tracing_subscriber::layer::SubscriberExt;
    let server = Server::start([]);
    let client = started(&server);
    let subscriber = tracing_subscriber::registry().with(crate::tracing_layer());
    tracing::subscriber::with_default(subscriber, || {
        Hub::run(client.hub(), || {
            let error = bad_number();
            tracing::error!(target: "lessons", lesson = 4, error = &error as &dyn std::error::Error, "cannot open");
            tracing::warn!(target: "lessons", "only a warning");
            tracing::error!(target: "belvedere_error_client::transport", "a report is lost");
        });
    });
    let events = events(&client, &server);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["contexts"]["Rust Tracing Fields"]["lesson"], 4);
    assert!(events[0].to_string().contains("invalid digit found in string"), "{}", events[0]);
}

#[test]
fn two_clients_in_one_process_keep_apart() {
    let (first_server, second_server) = (Server::start([]), Server::start([]));
    let (first, second) = (started(&first_server), started(&second_server));
    let start = Barrier::new(2);
    std::thread::scope(|scope| {
        for (client, name) in [(first.client(), "first"), (second.client(), "second")] {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                for _ in 0..20 {
                    client.capture_message(name, None).unwrap();
                }
            });
        }
    });
    run(async { first.capture_message("bound elsewhere", None) }.bind_hub(second.hub())).unwrap();
    for (client, server, name) in [(&first, &first_server, "first"), (&second, &second_server, "second")] {
        let mut texts: Vec<_> = events(client, server).iter().map(|it| it["message"].clone()).collect();
        texts.retain(|text| text != "bound elsewhere");
        assert_eq!(texts, vec![json!(name); 20]);
    }
    assert_eq!(first_server.events().len(), 21);
}

#[test]
fn shutting_down_delivers_what_is_left() {
    let (server, directory) = (Server::start([]), Directory::new());
    let client = ErrorClient::detached(config(server.dsn(), Some(&directory))).unwrap();
    client.capture_message("a last word", Level::Fatal).unwrap();
    let reporter = client.client();
    assert!(run(client.shutdown()));
    assert_eq!(server.events().len(), 1);
    assert_eq!(directory.segments(), 0);
    assert_eq!(reporter.capture_message("too late", None), None);
}
