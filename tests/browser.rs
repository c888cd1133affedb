//! A person's way through the pages, in headless Chromium over WebDriver.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::{Api, Directory, agent, free_port, send_numbered};

/// A browser under the control of chromedriver (W3C WebDriver over HTTP).
struct Browser {
    driver: Child,
    session: String,
    agent: ureq::Agent,
    _profile: Directory,
}

fn installed(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    names
        .iter()
        .find_map(|name| std::env::split_paths(&path).map(|it| it.join(name)).find(|file| file.is_file()))
}

impl Browser {
    /// `None`, said aloud, where there is no browser; a failure under CI.
    fn start() -> Option<Self> {
        let chromium = installed(&["chromium", "chromium-browser", "google-chrome"]);
        let (Some(chromium), Some(driver)) = (chromium, installed(&["chromedriver"])) else {
            assert!(std::env::var_os("CI").is_none(), "no browser: no suite may be left out under CI");
            eprintln!("LEFT OUT: browser test, because chromium and chromedriver are not installed");
            return None;
        };
        let port = free_port();
        let mut driver = Command::new(driver);
        driver.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null());
        let driver = driver.spawn().unwrap();
        let profile = Directory::new();
        let address = format!("http://127.0.0.1:{port}");
        let arguments = json!([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,1000",
            format!("--user-data-dir={}", profile.0.display()),
        ]);
        let capabilities = json!({"capabilities": {"alwaysMatch": {"browserName": "chrome",
            "goog:chromeOptions": {"binary": chromium, "args": arguments}}}});
        let agent = agent();
        let deadline = Instant::now() + Duration::from_secs(30);
        let session = loop {
            match agent.post(format!("{address}/session")).send_json(&capabilities) {
                Ok(mut response) => {
                    let answer: Value = response.body_mut().read_json().unwrap();
                    let id = answer["value"]["sessionId"].as_str();
                    break format!(
                        "{address}/session/{}",
                        id.unwrap_or_else(|| panic!("no session: {answer}"))
                    );
                }
                Err(error) => assert!(Instant::now() < deadline, "chromedriver does not answer: {error}"),
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        Some(Self { driver, session, agent, _profile: profile })
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let mut response = self.agent.post(format!("{}{path}", self.session)).send_json(body).unwrap();
        let answer: Value = response.body_mut().read_json().unwrap();
        assert!(answer["value"]["error"].is_null(), "{path} {body}: {answer}");
        answer["value"].clone()
    }

    fn open(&self, address: &str) {
        self.post("/url", &json!({"url": address}));
    }

    /// The value of a JavaScript expression on the page.
    fn evaluate(&self, expression: &str) -> Value {
        self.post("/execute/sync", &json!({"script": format!("return {expression};"), "args": []}))
    }

    fn click(&self, selector: &str) {
        let element = self.post("/element", &json!({"using": "css selector", "value": selector}));
        let id = element.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        self.post(&format!("/element/{id}/click"), &json!({}));
    }

    /// Waits until an expression is true.
    fn wait_for(&self, expression: &str) -> Duration {
        let started = Instant::now();
        while self.evaluate(expression) != json!(true) {
            let waited = started.elapsed();
            assert!(waited < Duration::from_secs(30), "not true within 30 s: {expression}\n{}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        }
        started.elapsed()
    }

    fn text(&self) -> String {
        self.evaluate("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }
}

impl Browser {
    /// Presses a key on the page.
    fn press(&self, key: &str) {
        let keys = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        self.post("/actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": keys}]}));
    }

    /// Writes into a field.
    fn write(&self, selector: &str, text: &str) {
        let element = self.post("/element", &json!({"using": "css selector", "value": selector}));
        let id = element.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        self.post(&format!("/element/{id}/value"), &json!({ "text": text }));
    }

    /// Waits for a text on the page.
    fn wait_for_text(&self, text: &str) {
        self.wait_for(&format!("document.body.innerText.includes({})", json!(text)));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

#[test]
fn a_person_signs_in_by_the_link_sees_an_issue_arrive_and_opens_it() {
    let Some(browser) = Browser::start() else { return };
    let directory = Directory::new();
    let api = Api::start(&directory.0);
    let (key, project) = api.key_and_project();

    browser.open(api.text("sign_in"));
    browser.click("button[type=submit]");
    browser.wait_for("location.pathname !== '/' && !location.pathname.startsWith('/sign-in') || document.querySelector('nav') !== null");
    browser.open(&format!("{}/projects/{project}/issues", api.address()));
    browser.evaluate("window.sameDocument = true");
    assert!(!browser.text().contains("E1: v"), "{}", browser.text());
    browser.wait_for("document.querySelector('[data-live-state=open]') !== null");

    assert_eq!(send_numbered(&agent(), api.address(), &key, &project, 1), Some(200));
    let waited = browser.wait_for("document.body.innerText.includes('E1')");
    eprintln!("the issue appeared {waited:?} after its event was accepted");
    assert_eq!(browser.evaluate("window.sameDocument === true"), json!(true), "the page was reloaded");

    browser.click("[data-issue] a");
    browser.wait_for("/\\/issues\\/[0-9A-Z]{26}/.test(location.pathname)");
    let text = browser.text();
    assert!(text.contains("E1") && text.contains("python"), "{text}");
    assert_eq!(browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), json!(true));
}

#[test]
fn an_issue_lives_from_its_arrival_to_its_deletion() {
    let Some(browser) = Browser::start() else { return };
    let directory = Directory::new();
    let api = Api::start(&directory.0);
    let (key, project) = api.key_and_project();
    let mut sent = 0_u32;
    let mut send = |release: &str| {
        sent += 1;
        let event = json!({"event_id": format!("{sent:032x}"), "platform": "python", "release": release,
            "exception": {"values": [{"type": "CheckoutError", "value": "basket is empty"}]}});
        let address = format!("{}/api/{project}/store/", api.address());
        assert_eq!(crate::api::send(&agent(), &address, &key, &event.to_string()), Some(200));
    };
    browser.open(api.text("sign_in"));
    browser.click("button[type=submit]");
    browser.wait_for("document.querySelector('nav') !== null");
    let list = format!("{}/projects/{project}/issues", api.address());
    browser.open(&list);
    browser.wait_for("document.querySelector('[data-live-state=open]') !== null");
    send("shop@1.0.0");
    browser.wait_for_text("CheckoutError");

    // Assigned to the only member there is.
    browser.click("[data-issue] a.open");
    browser.wait_for_text("Timeline");
    browser.evaluate("(document.querySelector('#assigned_to').selectedIndex = 1)");
    browser.click("button[value=assign]");
    browser.wait_for_text("assigned it to");

    browser.write("#comment", "Only with <b>empty</b> baskets.");
    browser.click("form.comment button");
    browser.wait_for_text("Only with <b>empty</b> baskets.");

    // Resolved in its release; an event of the same release changes nothing.
    browser.click(".split details > summary");
    browser.click("button[value='resolve:release']");
    browser.wait_for_text("resolved it unless a release after shop@1.0.0 has it");
    send("shop@1.0.0");
    browser.wait_for("document.querySelector('[data-part=issue] b').innerText === '2'");
    browser.open(&format!("{list}?status=resolved"));
    browser.wait_for_text("CheckoutError");

    // A later one brings it back.
    browser.open(&format!("{list}?status=regressed"));
    browser.wait_for("document.querySelector('[data-live-state=open]') !== null");
    assert!(!browser.text().contains("CheckoutError"), "{}", browser.text());
    send("shop@1.1.0");
    browser.wait_for_text("CheckoutError");
    assert!(browser.text().contains("regressed"), "{}", browser.text());
    browser.click("[data-issue] a.open");
    browser.wait_for_text("Came back in shop@1.1.0");
    assert!(browser.text().contains("after shop@1.0.0"), "{}", browser.text());

    // Ignored from the list, picked by keyboard.
    browser.open(&list);
    browser.press("j");
    browser.press("x");
    browser.wait_for("document.querySelector('[data-picked]').innerText === '1 picked'");
    browser.evaluate(
        "(document.querySelector('[data-bulk] button[value=ignore]').closest('details').open = true)",
    );
    browser.click("[data-bulk] button[value=ignore]");
    browser.wait_for_text("Ignored.");
    browser.open(&format!("{list}?status=ignored"));
    browser.wait_for_text("CheckoutError");

    // Deleted for good, after a question.
    browser.click("[data-issue] a.open");
    browser.wait_for_text("Timeline");
    browser.evaluate("(document.querySelector('button[value=delete]').closest('details').open = true)");
    browser.evaluate("(window.confirm = () => true)");
    browser.click("form.triage button[value=delete]");
    browser.wait_for_text("Deleted.");
    browser.open(&format!("{list}?status=all"));
    browser.wait_for_text("Nothing at all");
    assert!(!browser.text().contains("CheckoutError"), "{}", browser.text());
}

#[test]
fn a_teacher_follows_learners_and_judges_a_flag() {
    let Some(browser) = Browser::start() else { return };
    let directory = Directory::new();
    let api = Api::start(&directory.0);
    let (key, project) = api.key_and_project();
    let base = format!("{}/projects/{project}/learning", api.address());
    let send = |events: Value| {
        let door = format!("{}/api/{project}/learning/events?sentry_key={key}", api.address());
        let mut response = agent().post(door).send(events.to_string()).unwrap();
        let answer: Value = response.body_mut().read_json().unwrap();
        assert_eq!(answer["errors"], json!([]));
    };
    browser.open(api.text("sign_in"));
    browser.click("button[type=submit]");
    browser.wait_for("document.querySelector('nav') !== null");

    browser.open(&format!("{base}/live"));
    browser.evaluate("window.sameDocument = true");
    browser.wait_for("document.querySelector('[data-live-state=open]') !== null");
    assert!(browser.text().contains("Nothing in the last 30 minutes"), "{}", browser.text());
    let attempt = |number: usize| {
        json!({"event_type": "exercise_attempt", "user_id": "ada", "course_id": "rust", "lesson_id": "loops",
            "exercise_id": format!("loop-{number}"), "skills": ["loops"], "metadata": {"success": false, "duration": 40}})
    };
    send((0..12).map(attempt).collect());
    browser.wait_for_text("tried an exercise");
    browser.wait_for_text("of 12 attempts");
    assert_eq!(browser.evaluate("window.sameDocument === true"), json!(true), "the page was reloaded");

    browser.open(&format!("{base}/struggling"));
    browser.wait_for_text("three right answers in a row");
    browser.click("button[value=not_struggling]");
    browser.wait_for_text("0 right, 1 wrong");

    browser.open(&format!("{base}/courses"));
    browser.click("a.open");
    browser.wait_for("location.pathname.endsWith('/courses/rust')");
    browser.wait_for_text("loop-11");
    browser.open(&format!("{base}/learners"));
    browser.click("a.open");
    browser.wait_for("/\\/learners\\/[0-9]+$/.test(location.pathname)");
    let text = browser.text();
    assert!(text.contains("12") && text.contains("loops") && !text.contains("ada"), "{text}");
    assert_eq!(browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), json!(true));
}

#[test]
fn an_analyst_builds_a_funnel_pins_it_and_shares_the_dashboard() {
    let Some(browser) = Browser::start() else { return };
    let directory = Directory::new();
    let api = Api::start(&directory.0);
    let (key, project) = api.key_and_project();
    let of = |user: u32| {
        let event = |name: &str| json!({"type": "track", "messageId": format!("{name}-{user}"), "userId": format!("user-{user}"), "event": name});
        let seen = event("Course Seen");
        // Of 12 people 9 enrol.
        if user < 9 { vec![seen, event("Enrolled")] } else { vec![seen] }
    };
    let batch: Value = (0..12).flat_map(of).collect();
    let body = json!({"writeKey": key, "batch": batch}).to_string();
    let door = format!("{}/v1/batch", api.address());
    assert_eq!(agent().post(door).header("content-type", "text/plain").send(body).unwrap().status(), 200);

    browser.open(api.text("sign_in"));
    browser.click("button[type=submit]");
    browser.wait_for("document.querySelector('nav') !== null");
    let base = format!("{}/projects/{project}", api.address());
    let choose = |field: &str, value: &str| {
        let field = json!(field);
        browser.evaluate(&format!(
            "((select) => {{ select.value = {value}; select.dispatchEvent(new Event('change')); return true; }})\
             (document.querySelector({field}))",
            value = json!(value)
        ));
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        browser.open(&format!("{base}/insights/funnels"));
        if browser.evaluate("document.querySelector('#step-1 option[value=Enrolled]') !== null")
            == json!(true)
        {
            break;
        }
        assert!(Instant::now() < deadline, "the events do not arrive: {}", browser.text());
    }
    choose("#step-1", "Course Seen");
    browser.wait_for("new URLSearchParams(location.search).getAll('step')[0] === 'Course Seen'");
    choose("#step-2", "Enrolled");
    browser.wait_for_text("People by step");

    browser.click("#save > summary");
    browser.write("#save input[name=name]", "From seen to enrolled");
    browser.click("#save button[type=submit]");
    browser.wait_for_text("Saved.");
    browser.click("#pin > summary");
    browser.write("#new-board", "Product");
    browser.click("#pin .until button");
    browser.wait_for("/\\/dashboards\\/[0-9A-Z]{26}$/.test(location.pathname)");
    let numbers = "[...document.querySelectorAll('.tiles .card details.data tbody tr')].map((row) => row.innerText.split('\\t').join(' ')).join('|')";
    browser.evaluate("(document.querySelector('.tiles details.data').open = true)");
    let told = browser.evaluate(numbers);
    assert!(told.as_str().unwrap().starts_with("Course Seen 12 100 % 100 %"), "{told}");
    assert!(told.as_str().unwrap().contains("Enrolled 9 75 % 75 %"), "{told}");
    assert!(browser.text().contains("From seen to enrolled"), "{}", browser.text());
    assert_eq!(browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), json!(true));

    // The same numbers by a link, without a session, until it is revoked.
    browser.click("a[href$='/links']");
    browser.wait_for("location.pathname.endsWith('/links')");
    let links = browser.evaluate("location.href").as_str().unwrap().to_owned();
    browser.click("form.row-form button");
    browser.wait_for("document.querySelector('#address') !== null");
    let shared =
        browser.evaluate("document.querySelector('#address').innerText").as_str().unwrap().to_owned();
    let cookies = agent()
        .get(format!("{}/cookie", browser.session))
        .call()
        .unwrap()
        .body_mut()
        .read_json::<Value>()
        .unwrap();
    let session = cookies["value"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "belvedere_session")
        .unwrap()
        .clone();
    agent().delete(format!("{}/cookie/belvedere_session", browser.session)).call().unwrap();
    browser.open(&shared);
    browser.wait_for_text("Product");
    browser.evaluate("(document.querySelector('.tiles details.data').open = true)");
    assert!(
        browser.evaluate(numbers).as_str().unwrap().contains("Enrolled 9 75 % 75 %"),
        "{}",
        browser.text()
    );
    assert_eq!(browser.evaluate("document.querySelector('nav, form, script')"), Value::Null);
    browser.open(&base);
    browser.wait_for("location.pathname === '/sign-in'");
    browser.post("/cookie", &json!({ "cookie": session }));
    browser.open(&links);
    browser.evaluate("(window.confirm = () => true)");
    browser.click("form[action$='/revoke'] button");
    browser.wait_for_text("Revoked.");
    browser.open(&shared);
    browser.wait_for_text("Nothing here");
}
