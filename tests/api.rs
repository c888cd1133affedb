//! A real `api` process for a test, with a data directory of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A directory that is gone with its owner.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        let name = belvedere_storage::Id::<()>::generate(belvedere_storage::Timestamp::EPOCH).to_string();
        let path = std::env::temp_dir().join(format!("belvedere-system-{name}"));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What `--json` says of a server that is ready.
pub(crate) struct Api {
    child: Child,
    pub(crate) ready: Value,
}

/// How to start `api`.
pub(crate) struct Start<'a> {
    pub(crate) data: &'a Path,
    pub(crate) port: u16,
    pub(crate) environment: &'a [(&'a str, &'a str)],
    pub(crate) arguments: &'a [&'a str],
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// The path of a binary of this workspace, built once per test run.
pub(crate) fn binary(name: &str) -> PathBuf {
    static BUILD: Once = Once::new();
    BUILD.call_once(|| {
        let packages = ["api", "worker", "scheduler", "xtask"].iter().flat_map(|name| ["--package", name]);
        let mut build = Command::new(env!("CARGO"));
        build.arg("build").args(packages).args(["--package", "belvedere-error-client"]);
        build.args(["--bins", "--example", "embed_client"]);
        // What cargo tells a test of its package would make build scripts run again.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
                build.env_remove(name);
            }
        }
        assert!(build.status().unwrap().success());
    });
    // The test binary lies in `target/debug/deps`.
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join(name)
}

impl Api {
    /// Starts `api` on a free port and waits until it is ready.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(&Start { data, port: free_port(), environment: &[], arguments: &[] })
    }

    pub(crate) fn start_with(start: &Start<'_>) -> Self {
        Self::spawn(Command::new(binary("api")), start)
    }

    /// Starts `api` by a command that runs the one given as its further arguments.
    pub(crate) fn start_inside(wrapper: &[&str], start: &Start<'_>) -> Self {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(binary("api"));
        Self::spawn(command, start)
    }

    fn spawn(mut command: Command, start: &Start<'_>) -> Self {
        command
            .args(["--first-steps", "--json", "--port"])
            .arg(start.port.to_string())
            .arg("--data")
            .arg(start.data);
        command
            .args(start.arguments)
            .env("BELVEDERE_LOG_FILTER", "warn")
            .envs(start.environment.iter().copied());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let ready =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("api printed {line:?}: {error}"));
        // Drained, so that the process never blocks on a full pipe.
        std::thread::spawn(move || std::io::copy(&mut output.take(1 << 20), &mut std::io::sink()));
        Self { child, ready }
    }

    /// The process's number.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.ready[key].as_str().unwrap_or_else(|| panic!("{key} is missing in {}", self.ready))
    }

    /// `http://host:port`.
    pub(crate) fn address(&self) -> &str {
        self.text("address")
    }

    /// The public key of the first project's DSN, and the project's number.
    pub(crate) fn key_and_project(&self) -> (String, String) {
        let rest = self.text("dsn").strip_prefix("http://").unwrap();
        let (key, rest) = rest.split_once('@').unwrap();
        (key.to_owned(), rest.rsplit_once('/').unwrap().1.to_owned())
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Interrupts the server as Ctrl-C does and waits for its end.
    pub(crate) fn interrupt(mut self) -> std::process::ExitStatus {
        assert!(
            Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap().success()
        );
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "api does not end after an interrupt");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Calls the API with the first token.
    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        get(self.address(), self.text("api_token"), path)
    }

    /// Every event id of the first project, through the API, sorted.
    pub(crate) fn stored_event_ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        for issue in self.pages("/api/v1/issues?limit=200") {
            let events =
                self.pages(&format!("/api/v1/issues/{}/events?limit=200", issue["id"].as_str().unwrap()));
            ids.extend(events.iter().map(|event| event["event_id"].as_str().unwrap().to_owned()));
        }
        ids.sort();
        ids
    }

    /// Waits until every event of `numbers` is stored; each must be there once, and the issues' counts must be exact.
    pub(crate) fn assert_stored_exactly_once(&self, numbers: &[u64]) {
        let ids = self.eventually("every acknowledged event is stored and counted", |api| {
            let (ids, counted) = (api.stored_event_ids(), api.counted_events());
            let is_there = |number: &u64| ids.binary_search(&numbered_id(*number)).is_ok();
            (ids.len() as u64 == counted && numbers.iter().all(is_there)).then_some(ids)
        });
        let twice: Vec<_> = ids.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(twice.is_empty(), "stored more than once: {twice:?}");
    }

    fn counted_events(&self) -> u64 {
        self.pages("/api/v1/issues?limit=200").iter().map(|issue| issue["events"].as_u64().unwrap()).sum()
    }

    /// All items of all pages of a list.
    pub(crate) fn pages(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let (status, mut page) = self.get(&format!("{path}{cursor}"));
            assert_eq!(status, 200, "{page}");
            items.append(page["items"].as_array_mut().unwrap());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    /// Waits until `condition` gives a value.
    pub(crate) fn eventually<T>(&self, what: &str, condition: impl FnMut(&Self) -> Option<T>) -> T {
        let mut condition = condition;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(value) = condition(self) {
                return value;
            }
            assert!(Instant::now() < deadline, "not within 60 s: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(20)));
    config.build().into()
}

pub(crate) fn get(address: &str, token: &str, path: &str) -> (u16, Value) {
    let request = agent().get(format!("{address}{path}")).header("authorization", format!("Bearer {token}"));
    let mut response = request.call().unwrap();
    let body = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

/// Sends one event of a given number as an envelope; the status, or `None` when the connection broke.
pub(crate) fn send_numbered(
    agent: &ureq::Agent,
    address: &str,
    key: &str,
    project: &str,
    number: u64,
) -> Option<u16> {
    send(agent, &format!("{address}/api/{project}/envelope/"), key, &numbered_envelope(number, 0))
}

/// Sends an envelope; the status, or `None` when the connection broke.
pub(crate) fn send(agent: &ureq::Agent, address: &str, key: &str, body: &str) -> Option<u16> {
    let auth = format!("Sentry sentry_key={key}, sentry_version=7");
    agent
        .post(address)
        .header("x-sentry-auth", auth)
        .send(body)
        .ok()
        .map(|response| response.status().as_u16())
}

/// One event of a given number, made larger by some bytes.
pub(crate) fn numbered_envelope(number: u64, padding: usize) -> String {
    let id = numbered_id(number);
    let padding = "x".repeat(padding);
    let event = format!(
        r#"{{"event_id":"{id}","platform":"python","extra":{{"padding":"{padding}"}},"exception":{{"values":[{{"type":"E{}","value":"v"}}]}}}}"#,
        number % 7
    );
    format!("{{\"event_id\":\"{id}\"}}\n{{\"type\":\"event\",\"length\":{}}}\n{event}\n", event.len())
}

pub(crate) fn numbered_id(number: u64) -> String {
    format!("{:032x}", number + 1)
}
