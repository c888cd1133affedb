//! What was answered 200 is stored exactly once, however often the process is killed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::api::{Api, Directory, Start, agent, free_port, send_numbered};

const KILLS: u32 = 20;
const SENDERS: usize = 6;

#[test]
fn every_acknowledged_event_is_stored_exactly_once_across_twenty_kills() {
    let directory = Directory::new();
    let port = free_port();
    let start = || Api::start_with(&Start { data: &directory.0, port, environment: &[], arguments: &[] });
    let mut api = Some(start());
    let first = api.as_ref().unwrap();
    let (key, project) = first.key_and_project();
    let address = first.address().to_owned();
    let (next, stop, acknowledged) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                let agent = agent();
                while !stop.load(Ordering::SeqCst) {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if send_numbered(&agent, &address, &key, &project, number) == Some(200) {
                        acknowledged.lock().unwrap().push(number);
                    } else {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                }
            });
        }
        let mut waits = (1_u64..).map(|round| Duration::from_millis(20 + round * 7_919 % 230));
        for _ in 0..KILLS {
            std::thread::sleep(waits.next().unwrap());
            api.take().unwrap().kill();
            api = Some(start());
        }
        stop.store(true, Ordering::SeqCst);
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(
        acknowledged.len() > 200,
        "only {} events were acknowledged: too few to show anything",
        acknowledged.len()
    );
    let api = api.unwrap();
    api.assert_stored_exactly_once(&acknowledged);
}
