//! A server that answers by a script, and what tests do with it.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{ClientConfig, QueueConfig, RetryConfig};

/// What the server does with the next request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Status(u16, Vec<(&'static str, &'static str)>),
    /// Closes the connection without an answer.
    Close,
    /// Answers 200 when this much later; the client has given up by then.
    Slow(Duration),
}

#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Received {
    /// The payloads of all items of a type.
    pub(crate) fn items(&self, kind: &str) -> Vec<Value> {
        let lines: Vec<&str> = self.body.lines().skip(1).collect();
        let pairs = lines.chunks(2).filter(|pair| pair.len() == 2);
        pairs
            .filter(|pair| serde_json::from_str::<Value>(pair[0]).unwrap()["type"] == kind)
            .map(|pair| serde_json::from_str(pair[1]).unwrap())
            .collect()
    }
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Answer>>,
    /// Bodies with this text are answered with 500.
    poison: Mutex<Option<&'static str>>,
    received: Mutex<Vec<Received>>,
}

/// A server on a free port; it lives as long as the process, but answers only while it has an owner.
pub(crate) struct Server {
    port: u16,
    shared: Arc<Shared>,
}

impl Server {
    /// A server that follows `script` and answers 200 from then on.
    pub(crate) fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        Self::serve(listener, script)
    }

    /// The same at a port that was free a moment ago.
    pub(crate) fn start_at(port: u16) -> Self {
        Self::serve(TcpListener::bind(("127.0.0.1", port)).unwrap(), [])
    }

    fn serve(listener: TcpListener, script: impl IntoIterator<Item = Answer>) -> Self {
        let port = listener.local_addr().unwrap().port();
        let shared =
            Arc::new(Shared { script: Mutex::new(script.into_iter().collect()), ..Shared::default() });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (connection, serving) = (connection.unwrap(), Arc::clone(&serving));
                std::thread::spawn(move || serving.answer_all(connection));
            }
        });
        Self { port, shared }
    }

    /// Fails on bodies with `text` from now on.
    pub(crate) fn fail_on(&self, text: &'static str) {
        *self.shared.poison.lock().unwrap() = Some(text);
    }

    pub(crate) fn dsn(&self) -> String {
        dsn(self.port)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Every event that arrived, in order.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.received().iter().flat_map(|request| request.items("event")).collect()
    }

    pub(crate) fn transactions(&self) -> Vec<Value> {
        self.received().iter().flat_map(|request| request.items("transaction")).collect()
    }
}

impl Shared {
    /// Answers the requests of one connection until something ends it.
    fn answer_all(&self, connection: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(connection.try_clone().ok()?);
        let mut connection = connection;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
            let path = line.split(' ').nth(1)?.to_owned();
            let mut headers = BTreeMap::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).ok()?;
                let Some((name, value)) = line.trim_end().split_once(':') else { break };
                headers.insert(name.to_lowercase(), value.trim().to_owned());
            }
            let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
            reader.read_exact(&mut body).ok()?;
            if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
                let mut plain = Vec::new();
                flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
                body = plain;
            }
            let body = String::from_utf8(body).unwrap();
            let is_poison = self.poison.lock().unwrap().is_some_and(|poison| body.contains(poison));
            let answer = self.script.lock().unwrap().pop_front().unwrap_or(Answer::Status(200, Vec::new()));
            self.received.lock().unwrap().push(Received { path, headers, body });
            let (status, headers) = match answer {
                _ if is_poison => (500, Vec::new()),
                Answer::Status(status, headers) => (status, headers),
                Answer::Close => return connection.shutdown(Shutdown::Both).ok(),
                Answer::Slow(time) => {
                    std::thread::sleep(time);
                    (200, Vec::new())
                }
            };
            let headers: String =
                headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            // In one write: the rest of several would wait for the client's acknowledgement.
            let answer = format!("HTTP/1.1 {status} X\r\n{headers}content-length: 2\r\n\r\n{{}}");
            connection.write_all(answer.as_bytes()).ok()?;
        }
    }
}

pub(crate) fn dsn(port: u16) -> String {
    format!("http://0123456789abcdef0123456789abcdef@127.0.0.1:{port}/1")
}

/// A port at which nothing listens.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A directory that is gone with its owner.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("belvedere-client-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    /// The files below it that hold records.
    pub(crate) fn segments(&self) -> usize {
        fn count(directory: &std::path::Path) -> usize {
            let entries =
                std::fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path());
            entries
                .map(
                    |path| if path.is_dir() { count(&path) } else { usize::from(path.extension().is_some()) },
                )
                .sum()
        }
        count(&self.0)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A configuration with short pauses and without stacks.
pub(crate) fn config(dsn: String, directory: Option<&Directory>) -> ClientConfig {
    let pause = Duration::from_millis(10);
    ClientConfig {
        queue: directory.map(|directory| QueueConfig::new(&directory.0)),
        retry: RetryConfig { first: pause, max: pause },
        stack_traces: false,
        ..ClientConfig::new(dsn, "test")
    }
}

/// Waits until `condition` gives a value.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within 60 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Long enough for everything that a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
