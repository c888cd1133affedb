//! What the client costs: `cargo test --release -p belvedere-error-client -- --ignored --nocapture --test-threads 1 speed`.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{bad_number, run};
use crate::queue::{Importance, Queue};
use crate::testing::{Directory, PATIENCE, Server, config};
use crate::{Breadcrumb, ClientConfig, ErrorClient, ErrorContext, QueueConfig, RequestLayer, User};

/// Median and 99th percentile of `count` calls.
fn measure(what: &str, count: usize, mut call: impl FnMut()) {
    let mut times: Vec<Duration> = (0..count)
        .map(|_| {
            let started = Instant::now();
            call();
            started.elapsed()
        })
        .collect();
    times.sort();
    let micros = |at: usize| times[at].as_secs_f64() * 1e6;
    println!("{what}: p50 {:.1} us, p99 {:.1} us", micros(count / 2), micros(count * 99 / 100));
}

#[test]
#[ignore = "a measurement"]
fn speed_of_captures() {
    let server = Server::start([]);
    let context = ErrorContext::new("lessons", "open").with("lesson", 4);
    for (what, stack_traces, has_queue) in [
        ("in memory", false, false),
        ("into the queue", false, true),
        ("into the queue, with its stack", true, true),
    ] {
        let directory = Directory::new();
        let queue = has_queue.then(|| QueueConfig::new(&directory.0));
        let config = ClientConfig { stack_traces, queue, ..config(server.dsn(), None) };
        let client = ErrorClient::detached(config).unwrap();
        client.set_user(Some(User { id: "7".to_owned(), ..User::default() }));
        for number in 0..20 {
            client.add_breadcrumb(Breadcrumb {
                message: Some(format!("step {number}")),
                ..Breadcrumb::default()
            });
        }
        let error = bad_number();
        measure(&format!("capture_error {what}"), 500, || {
            black_box(client.capture_error(&error, &context));
            // Deliveries run beside it, as in a service; they must not pile up.
            std::thread::sleep(Duration::from_micros(500));
        });
        let started = Instant::now();
        assert!(client.flush(PATIENCE));
        println!("  delivered {:.1} ms after the last", started.elapsed().as_secs_f64() * 1e3);
    }
}

#[test]
#[ignore = "a measurement"]
fn speed_of_requests() {
    const REQUESTS: u32 = 200_000;
    let server = Server::start([]);
    let bare = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let request = || Request::get("/lessons/17/steps/3").header("host", "lessons.example").body(()).unwrap();
    let time = |what: &str, each: &mut dyn FnMut(Request<()>)| {
        let started = Instant::now();
        (0..REQUESTS).for_each(|_| each(request()));
        println!("{what}: {:.2} us a request", started.elapsed().as_secs_f64() * 1e6 / f64::from(REQUESTS));
    };
    run(async {
        let handle = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            let mut service = bare;
            time("without the layer", &mut |request| {
                black_box(handle.block_on(service.ready()).map(|it| handle.block_on(it.call(request))))
                    .unwrap()
                    .unwrap();
            });
            for rate in [0.0, 0.1, 1.0] {
                let config = ClientConfig { traces_sample_rate: Some(rate), ..config(server.dsn(), None) };
                let client = ErrorClient::detached(config).unwrap();
                let mut service = RequestLayer::new(client.client()).layer(bare);
                time(&format!("with the layer, {rate} sampled"), &mut |request| {
                    black_box(handle.block_on(service.ready()).map(|it| handle.block_on(it.call(request))))
                        .unwrap()
                        .unwrap();
                });
                // What the server could not take that fast is counted, not waited for.
                let _ = client.close(Duration::from_secs(1));
            }
        });
    });
}

#[test]
#[ignore = "a measurement"]
fn speed_of_the_queue() {
    for (what, importance, count) in [
        ("errors, no fsync", Importance::Error, 20_000_u32),
        ("fatal, each with fsync", Importance::Fatal, 1_000),
    ] {
        for bytes in [1 << 10, 8 << 10] {
            let directory = Directory::new();
            let config =
                QueueConfig { bytes_max: 1 << 30, records_max: 100_000, ..QueueConfig::new(&directory.0) };
            let mut queue = Queue::open(config).unwrap();
            let payload = vec![b'x'; bytes];
            let started = Instant::now();
            for _ in 0..count {
                queue.append(importance, &payload, |_| panic!("nothing is dropped")).unwrap();
            }
            let appended = started.elapsed().as_secs_f64();
            let started = Instant::now();
            while let Some(ticket) = queue.first(&Importance::ALL, None) {
                black_box(queue.read(ticket).unwrap().unwrap());
                queue.remove(ticket);
            }
            let taken = started.elapsed().as_secs_f64();
            let per_second = |seconds: f64| f64::from(count) / seconds;
            println!(
                "{what}, {} KB: {:.0}/s in, {:.0}/s out",
                bytes >> 10,
                per_second(appended),
                per_second(taken)
            );
        }
    }
}
