//! The database goes away under load: the door keeps accepting, and nothing that was acknowledged is lost.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use belvedere_storage::{Database, DatabaseConfig};
use sea_orm::ConnectionTrait;

use crate::api::{Api, Directory, Start, agent, free_port, send_numbered};

const AWAY: Duration = Duration::from_secs(20);

/// Forwards connections to a server, or cuts and refuses them.
struct Proxy {
    port: u16,
    is_cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    fn start(target: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_cut = Arc::new(AtomicBool::new(false));
        let open = Arc::new(Mutex::new(Vec::new()));
        let (cut, connections) = (Arc::clone(&is_cut), Arc::clone(&open));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&target) else { continue };
                connections
                    .lock()
                    .unwrap()
                    .extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                pump(client.try_clone().unwrap(), server.try_clone().unwrap());
                pump(server, client);
            }
        });
        Self { port, is_cut, open }
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn restore(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count) = from.read(&mut buffer) {
            if count == 0 || to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}

#[test]
fn nothing_acknowledged_is_lost_while_the_database_is_away_for_twenty_seconds() {
    let Some(url) = belvedere_storage::testing::server_url("TEST_POSTGRES_URL", "PostgreSQL") else { return };
    let (before, rest) =
        url.split_once('@').expect("TEST_POSTGRES_URL has the form postgres://user@host:port/database");
    let (server, _) = rest.split_once('/').unwrap();
    let directory = Directory::new();
    let name = format!("system_{}", free_port());
    belvedere_storage::testing::run(async {
        let admin = Database::connect(&DatabaseConfig::new(&url)).await.unwrap();
        admin.read().execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
        let own = Database::connect(&DatabaseConfig::new(format!("{before}@{server}/{name}"))).await.unwrap();
        own.migrate().await.unwrap();
    });

    let proxy = Proxy::start(server.to_owned());
    let proxied = format!("{before}@127.0.0.1:{}/{name}", proxy.port);
    let environment =
        [("BELVEDERE_DATABASE_URL", proxied.as_str()), ("BELVEDERE_DATABASE_ACQUIRE_TIMEOUT_SECONDS", "1")];
    let api = Api::start_with(&Start {
        data: &directory.0,
        port: free_port(),
        environment: &environment,
        arguments: &[],
    });
    let (key, project) = api.key_and_project();
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let acknowledged = Mutex::new(Vec::new());
    let mut while_away = 0;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let agent = agent();
                while !stop.load(Ordering::SeqCst) {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if send_numbered(&agent, api.address(), &key, &project, number) == Some(200) {
                        acknowledged.lock().unwrap().push(number);
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
        }
        std::thread::sleep(Duration::from_secs(1));
        proxy.cut();
        let (started, before) = (Instant::now(), acknowledged.lock().unwrap().len());
        while started.elapsed() < AWAY {
            std::thread::sleep(Duration::from_millis(100));
        }
        while_away = acknowledged.lock().unwrap().len() - before;
        proxy.restore();
        std::thread::sleep(Duration::from_secs(1));
        stop.store(true, Ordering::SeqCst);
    });
    assert!(while_away > 1_000, "only {while_away} events were accepted while the database was away");
    let acknowledged = acknowledged.into_inner().unwrap();
    api.eventually("the API answers again", |api| (api.get("/api/v1/issues").0 == 200).then_some(()));
    api.assert_stored_exactly_once(&acknowledged);
    drop(api);
    belvedere_storage::testing::run(async {
        let admin = Database::connect(&DatabaseConfig::new(&url)).await.unwrap();
        admin.read().execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
    });
}
