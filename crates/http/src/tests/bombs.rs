use std::convert::Infallible;
use std::pin::Pin;
use std::process::Command;
use std::task::{Context, Poll};

use axum::body::Body;
use belvedere_storage::testing::run;
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::{Frame, SizeHint};
use tokio::task::JoinSet;

use super::codecs::{CODECS, zeroes};
use super::house::{House, request, send};

/// A body that is copied piece by piece as it is read, as from a socket.
struct Arriving(Bytes);

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.0.len().min(16 << 10);
        let piece = self.0.split_to(length);
        Poll::Ready((length > 0).then(|| Ok(Frame::data(Bytes::copy_from_slice(&piece)))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

/// What the bombs may add to the memory of the process.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

/// A size of this process in bytes, as Linux counts it: `VmRSS` is what is resident now, `VmHWM` the most that ever was.
fn memory_bytes(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
    value.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

/// The part that runs in a process of its own, whose memory is not that of other tests.
#[test]
#[ignore = "started by sixty_four_bombs_at_once_stay_within_the_memory_bound"]
fn sixty_four_bombs_at_once() {
    run(async {
        let house = House::new().await;
        let router = house.router();
        let uri = format!("/api/{}/envelope/?sentry_key={}", house.project(), house.key());
        let bombs = CODECS.map(|(token, encode)| (token, Bytes::from(encode(&mut zeroes(200 << 20)))));
        // One request first: what every request needs once is no part of the answer, nor is the size of the program.
        let plain = request(Method::POST, &uri, &[], Body::from("{}\n"));
        send(&house.router(), plain).await;
        let before = memory_bytes("VmRSS");
        let mut sent = JoinSet::new();
        for (token, bomb) in bombs.iter().cycle().take(64) {
            let body = Body::new(Arriving(bomb.clone()));
            let request = request(Method::POST, &uri, &[("content-encoding", *token)], body);
            let router = router.clone();
            sent.spawn(async move { send(&router, request).await.status });
        }
        while let Some(status) = sent.join_next().await {
            assert_eq!(status.unwrap(), StatusCode::PAYLOAD_TOO_LARGE);
        }
        println!("growth bytes: {}", memory_bytes("VmHWM").saturating_sub(before));
    });
}

#[test]
#[cfg(target_os = "linux")]
fn sixty_four_bombs_at_once_stay_within_the_memory_bound() {
    let name = "tests::bombs::sixty_four_bombs_at_once";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{output}\n{}", String::from_utf8_lossy(&child.stderr));
    let growth = output.lines().find_map(|line| line.split_once("growth bytes: ")).unwrap().1;
    assert!(growth.parse::<u64>().unwrap() < GROWTH_BYTES_MAX, "{growth}");
}
