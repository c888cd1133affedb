//! Headless Chromium under chromedriver (W3C WebDriver over HTTP), to see when pages are painted.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::client::Client;
use crate::process::{find_program, root};
use crate::servers::free_port;

/// A browser of its own profile; gone when dropped.
pub(super) struct Browser {
    driver: Child,
    host: String,
    session: String,
    profile: PathBuf,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.call("DELETE", "", &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

impl Browser {
    pub(super) fn start() -> Result<Self> {
        let chromium = find_program(&["chromium", "chromium-browser", "google-chrome"]);
        let (chromium, driver) =
            chromium.zip(find_program(&["chromedriver"])).context("chromium and chromedriver are needed")?;
        let port = free_port()?;
        let mut command = Command::new(driver);
        command.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null());
        let driver = command.spawn().context("cannot start chromedriver")?;
        let profile = root().join(format!("target/bench-browser-{port}"));
        let mut browser = Self { driver, host: format!("127.0.0.1:{port}"), session: String::new(), profile };
        let arguments = json!([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--window-size=1280,1000",
            format!("--user-data-dir={}", browser.profile.display()),
        ]);
        let wanted = json!({"capabilities": {"alwaysMatch": {"browserName": "chrome",
            "goog:chromeOptions": {"binary": chromium, "args": arguments}}}});
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match browser.send("POST", "/session", &wanted) {
                Ok(answer) => {
                    browser.session =
                        answer["sessionId"].as_str().context("chromedriver gave no session")?.to_owned();
                    return Ok(browser);
                }
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let headers = "content-type: application/json; charset=utf-8\r\n";
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let response = Client::connect(&self.host)?.send(method, path, headers, body.as_bytes())?;
        let value = response.json()?["value"].clone();
        if response.status != 200 {
            bail!("{method} {path}: {value}");
        }
        Ok(value)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        self.send(method, &format!("/session/{}{path}", self.session), body)
    }

    /// Keeps a cookie `name=value` for a server.
    pub(super) fn keep(&self, address: &str, cookie: &str) -> Result<()> {
        let (name, value) = cookie.split_once('=').context("not a cookie")?;
        self.call("POST", "/url", &json!({ "url": address }))?;
        self.call("POST", "/cookie", &json!({ "cookie": { "name": name, "value": value, "path": "/" } }))?;
        Ok(())
    }

    /// Milliseconds from the beginning of the navigation to the first paint of content.
    pub(super) fn first_paint_ms(&self, address: &str) -> Result<f64> {
        self.call("POST", "/url", &json!({ "url": address }))?;
        let script = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null";
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let painted = self.call("POST", "/execute/sync", &json!({ "script": script, "args": [] }))?;
            if let Some(ms) = painted.as_f64() {
                return Ok(ms);
            }
            if Instant::now() >= deadline {
                bail!("{address} was not painted in 10 s");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
