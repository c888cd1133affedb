use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Extension;
use axum::routing::get;
use belvedere_kernel::Tasks;
use belvedere_storage::testing::run;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{ClientAddress, Peer, ServerLimits, TrustedProxies, serve};

fn routes() -> Router {
    Router::new()
        .route("/", get(|| async { "here" }))
        .route("/large", get(|| async { "x".repeat(64 << 20) }))
        .route(
            "/who",
            get(async |Extension(peer): Extension<Peer>, Extension(client): Extension<ClientAddress>| {
                format!("{} {}", peer.0.ip(), client.0)
            }),
        )
        .route(
            "/slow",
            get(|| async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                "done"
            }),
        )
        .route(
            "/stuck",
            get(|| async {
                tokio::time::sleep(Duration::from_secs(60)).await;
                "never"
            }),
        )
}

async fn start(limits: ServerLimits) -> (SocketAddr, Tasks) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = Tasks::default();
    serve(routes(), listener, &tasks, limits);
    (address, tasks)
}

/// Sends `request` and reads until the server closes the connection.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_client_that_sends_its_head_too_slowly_is_cut_off() {
    run(async {
        let limits = ServerLimits { header_timeout: Duration::from_millis(200), ..ServerLimits::default() };
        let (address, tasks) = start(limits).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let started = Instant::now();
        let (mut reader, mut writer) = stream.split();
        let drip = async {
            for byte in b"GET / HTTP/1.1\r\nhost: slow.example\r\n".iter().cycle() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if writer.write_all(&[*byte]).await.is_err() {
                    break;
                }
            }
        };
        let closed = async {
            let mut answer = Vec::new();
            let _ = reader.read_to_end(&mut answer).await;
        };
        tokio::select! { () = drip => {}, () = closed => {} }
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(190) && took < Duration::from_secs(30), "{took:?}");
        tasks.stop();
    });
}

#[test]
fn an_idle_connection_is_closed_and_a_used_one_kept() {
    run(async {
        let limits = ServerLimits { header_timeout: Duration::from_millis(300), ..ServerLimits::default() };
        let (address, tasks) = start(limits).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut answer = [0_u8; 1_024];
        for _ in 0..3 {
            stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
            let length = stream.read(&mut answer).await.unwrap();
            assert!(String::from_utf8_lossy(&answer[..length]).ends_with("here"));
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        let idle = tokio::time::timeout(Duration::from_secs(3), stream.read(&mut answer)).await.unwrap();
        assert_eq!(idle.unwrap(), 0);
        tasks.stop();
    });
}

#[test]
fn stopping_finishes_what_is_in_flight_and_accepts_nothing_more() {
    run(async {
        let (address, tasks) = start(ServerLimits::default()).await;
        let in_flight = async { exchange(address, "GET /slow HTTP/1.1\r\nhost: h\r\n\r\n").await };
        let stop = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            tasks.stop();
        };
        let (answer, ()) = tokio::join!(in_flight, stop);
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("done"), "{answer}");
        tokio::time::timeout(Duration::from_secs(3), tasks.ended()).await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    });
}

#[test]
fn stopping_does_not_wait_for_ever() {
    run(async {
        let limits = ServerLimits { shutdown_timeout: Duration::from_millis(200), ..ServerLimits::default() };
        let (address, tasks) = start(limits).await;
        let in_flight = async { exchange(address, "GET /stuck HTTP/1.1\r\nhost: h\r\n\r\n").await };
        let stop = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            tasks.stop();
            tokio::time::timeout(Duration::from_secs(3), tasks.ended()).await.unwrap();
        };
        let (answer, ()) = tokio::join!(in_flight, stop);
        assert_eq!(answer, "");
    });
}

#[test]
fn connections_beyond_the_limit_wait_for_a_free_place() {
    run(async {
        let (address, tasks) = start(ServerLimits { connections_max: 1, ..ServerLimits::default() }).await;
        let first = TcpStream::connect(address).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        let waiting =
            tokio::time::timeout(Duration::from_millis(200), second.read_to_string(&mut answer)).await;
        assert!(waiting.is_err(), "{answer}");
        drop(first);
        second.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("here"), "{answer}");
        tasks.stop();
    });
}

#[test]
fn heads_beyond_the_limits_are_refused() {
    run(async {
        let (address, tasks) = start(ServerLimits::default()).await;
        let large = format!("GET / HTTP/1.1\r\nhost: h\r\nx-large: {}\r\n\r\n", "x".repeat(32 << 10));
        let many = format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", "x-many: 1\r\n".repeat(200));
        for request in [large, many] {
            let answer = exchange(address, &request).await;
            assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        }
        tasks.stop();
    });
}

#[test]
fn a_client_that_does_not_read_its_answer_is_cut_off() {
    run(async {
        let limits = ServerLimits {
            write_timeout: Duration::from_millis(200),
            connections_max: 1,
            ..ServerLimits::default()
        };
        let (address, tasks) = start(limits).await;
        let mut greedy = TcpStream::connect(address).await.unwrap();
        greedy.write_all(b"GET /large HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
        // The only place is free again although the first client keeps its connection open.
        let answer = tokio::time::timeout(
            Duration::from_secs(5),
            exchange(address, "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"),
        );
        assert!(answer.await.unwrap().ends_with("here"));
        drop(greedy);
        tasks.stop();
    });
}

#[test]
fn requests_know_the_peer_and_the_client_behind_a_trusted_proxy() {
    run(async {
        let limits = ServerLimits {
            trusted_proxies: TrustedProxies::parse(&["127.0.0.0/8"]).unwrap(),
            ..ServerLimits::default()
        };
        let request =
            "GET /who HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-forwarded-for: 203.0.113.9\r\n\r\n";
        for (limits, expected) in
            [(limits, "127.0.0.1 203.0.113.9"), (ServerLimits::default(), "127.0.0.1 127.0.0.1")]
        {
            let (address, tasks) = start(limits).await;
            let answer = exchange(address, request).await;
            assert!(answer.ends_with(expected), "{answer}");
            tasks.stop();
        }
    });
}
