//! How long digestion takes, stage by stage: `cargo test --release -p belvedere-error-tracking -- --ignored speed --nocapture`.

use std::time::Instant;

use belvedere_kernel::{Delivery, HandlerError, ProjectId, Removal, ScrubRules};
use belvedere_storage::testing::TestDatabase;
use bytes::Bytes;
use serde_json::Value;

use super::fakes::{Bench, PROJECT, delivery};
use crate::digest::Digester;
use crate::encoding::decode_body;
use crate::envelope::parse_outline;
use crate::event::{Arrival, describe, normalise, parse_measured};
use crate::grouping::group;
use crate::grouping_rules::{GroupingContext, Ruling};

/// How many events are measured.
const EVENTS: u32 = 10_000;

/// How many are in one batch.
const BATCH: usize = 500;

struct NoRules;

impl ScrubRules for NoRules {
    fn scrub(&self, _: ProjectId, _: &mut Value) -> Vec<Removal> {
        Vec::new()
    }
}

fn fixture(name: &str) -> Vec<u8> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/sentry/");
    std::fs::read(format!("{directory}{name}")).unwrap()
}

/// Gzipped envelopes of the 23 KB Python error, each with its own id.
fn deliveries(count: u32) -> Vec<Delivery> {
    use std::io::Write;

    let event: Value = serde_json::from_slice(&fixture("big_python_error.json")).unwrap();
    (0..count)
        .map(|number| {
            let id = format!(
                "{:032x}",
                u128::from(number) * 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835 % u128::MAX + 1
            );
            let mut event = event.clone();
            event["event_id"] = id.as_str().into();
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            let envelope = format!("{{\"event_id\":\"{id}\"}}\n{{\"type\":\"event\"}}\n{event}\n");
            gzip.write_all(envelope.as_bytes()).unwrap();
            let body = Bytes::from(gzip.finish().unwrap());
            Delivery { encoding: Some("gzip".to_owned()), body, ..delivery("sentry.envelope", b"") }
        })
        .collect()
}

#[test]
#[ignore = "a measurement, for release builds"]
fn speed_of_each_stage() {
    let deliveries: Vec<Delivery> = deliveries(200).into_iter().cycle().take(4_000).collect();
    let mut micros = [0_u128; 8];
    let context = GroupingContext::default();
    let mut digester = Digester::try_new(&NoRules, &context).unwrap();
    let mut compressor = zstd::bulk::Compressor::new(1).unwrap();
    let mut sizes = (0, 0, 0);
    for delivery in &deliveries {
        let mut start = Instant::now();
        let mut lap = |stage: usize| {
            micros[stage] += start.elapsed().as_nanos();
            start = Instant::now();
        };
        let body = decode_body(delivery.encoding.as_deref(), &delivery.body, 1 << 20).unwrap();
        lap(0);
        let outline = parse_outline(&body).unwrap();
        let raw = &body[outline.items[0].payload.clone()];
        lap(1);
        let (event, extent) = parse_measured(raw).unwrap();
        lap(2);
        let arrival = Arrival {
            received_at: delivery.received_at,
            raw: Some(raw),
            extent: Some(extent),
            ..Arrival::default()
        };
        let event = normalise(event, &arrival).unwrap();
        lap(3);
        let grouping = group(&event.payload, &Ruling::default());
        let description = describe(&event.payload);
        lap(4);
        let json = serde_json::to_vec(&event.payload).unwrap();
        lap(5);
        let packed = compressor.compress(&json).unwrap();
        lap(6);
        sizes = (delivery.body.len(), json.len(), packed.len());
        drop((event, grouping, description));
        lap(7);
    }
    let names = ["decode", "outline", "parse", "normalise", "group", "serialise", "compress", "drop"];
    for (name, nanos) in names.into_iter().zip(micros) {
        eprintln!("{name:>10} {:>7.1} us", nanos as f64 / 1e3 / deliveries.len() as f64);
    }
    eprintln!("{:>10} {:>7.1} us", "sum", micros.iter().sum::<u128>() as f64 / 1e3 / deliveries.len() as f64);
    eprintln!("bytes: body {}, json {}, packed {}", sizes.0, sizes.1, sizes.2);
    let start = Instant::now();
    for delivery in &deliveries {
        let body = decode_body(delivery.encoding.as_deref(), &delivery.body, 1 << 20).unwrap();
        let outline = parse_outline(&body).unwrap();
        let raw = &body[outline.items[0].payload.clone()];
        let (event, extent) = parse_measured(raw).unwrap();
        let arrival = Arrival {
            received_at: delivery.received_at,
            raw: Some(raw),
            extent: Some(extent),
            ..Arrival::default()
        };
        digester.digest(PROJECT, event, &arrival).unwrap();
    }
    eprintln!("{:>10} {:>7.1} us", "digest", start.elapsed().as_micros() as f64 / deliveries.len() as f64);
}

async fn measure(db: TestDatabase) {
    let bench = Bench::new(db);
    let handlers = bench.errors.intake_handlers();
    let deliveries = deliveries(EVENTS);
    let (mut prepare, mut store) = (0, 0);
    let cpu = cpu_micros();
    for batch in deliveries.chunks(BATCH) {
        let start = Instant::now();
        let prepared = handlers[0].prepare(batch.to_vec()).await.unwrap();
        prepare += start.elapsed().as_micros();
        let start = Instant::now();
        let stored: Result<_, HandlerError> = bench.db.write(async |tx| prepared.batch.store(tx).await).await;
        store += start.elapsed().as_micros();
        assert_eq!(stored.unwrap().tallies[0].quantity, BATCH as u64);
    }
    let events = f64::from(EVENTS);
    eprintln!(
        "prepare {:.1} us, store {:.1} us, together {:.0} events/s, CPU {:.1} us an event",
        prepare as f64 / events,
        store as f64 / events,
        events * 1e6 / (prepare + store) as f64,
        (cpu_micros() - cpu) as f64 / events,
    );
}

/// CPU time of this process, from `/proc/self/stat` (fields 14 and 15, in hundredths of a second).
fn cpu_micros() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<u64> = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|text| text.parse().ok())
        .collect();
    fields.iter().sum::<u64>() * 10_000
}

#[test]
#[ignore = "a measurement, for release builds"]
fn speed_on_sqlite() {
    belvedere_storage::testing::run(async { measure(TestDatabase::sqlite().await).await });
}

#[test]
#[ignore = "a measurement, for release builds"]
fn speed_on_postgres() {
    belvedere_storage::testing::run(async {
        if let Some(db) = TestDatabase::postgres().await {
            measure(db).await;
        }
    });
}
