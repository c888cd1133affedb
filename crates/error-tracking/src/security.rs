//! What browsers report about the policies of a page: Content Security Policy, Expect-CT, Expect-Staple, key pinning.
//!
//! Sources: CSP 3, section 5 (<https://www.w3.org/TR/CSP3/#reporting>) for `application/csp-report` and
//! `csp-violation`; the Reporting API for `application/reports+json`; RFC 9163, section 3 for `expect-ct-report`; RFC 7469,
//! section 3 for pins.
//!
//! A report becomes an event in Sentry's JSON: the attribute named by its kind holds it with lower-case names, its title
//! is the message, and directive and blocked host make the group.

use serde_json::{Map, Value, json};

use crate::event::clean;

/// The most reports of one body that become events.
pub(crate) const REPORTS_MAX: usize = 20;

/// The most bytes of a body with reports.
pub(crate) const REPORTS_BYTES_MAX: usize = 256 << 10;

/// The longest text that is kept of a report, in characters.
const TEXT_CHARS_MAX: usize = 4_096;

/// The most certificates and pins that are kept of a report.
const LIST_MAX: usize = 20;

/// Beginnings of addresses of browser extensions, which violate policies of every page.
const EXTENSIONS: [&str; 6] = [
    "chrome-extension",
    "moz-extension",
    "safari-extension",
    "safari-web-extension",
    "ms-browser-extension",
    "webkit-masked-url",
];

/// What is known of a report beside its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReportContext {
    /// From `?sentry_release=`.
    pub(crate) release: Option<String>,
    /// From `?sentry_environment=`.
    pub(crate) environment: Option<String>,
    /// The browser.
    pub(crate) user_agent: Option<String>,
}

/// What was in a body.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Reports {
    /// Each report that is understood, as an event.
    pub(crate) events: Vec<Value>,
    /// How many reports are about browser extensions.
    pub(crate) of_extensions: u64,
    /// How many are of a kind that is not kept.
    pub(crate) of_other_kinds: u64,
    /// How many came after the limit.
    pub(crate) left_out: u64,
}

/// The reports of a body, one or a list; `None` if it is no JSON or has none.
pub(crate) fn read_reports(body: &[u8], context: &ReportContext) -> Option<Reports> {
    if body.len() > REPORTS_BYTES_MAX {
        return None;
    }
    let mut reports = Reports::default();
    let list = match serde_json::from_slice(body).ok()? {
        Value::Array(list) => list,
        Value::Object(report) => vec![Value::Object(report)],
        _ => return None,
    };
    if list.is_empty() {
        return None;
    }
    for report in list {
        let Value::Object(report) = report else {
            reports.of_other_kinds += 1;
            continue;
        };
        let Some((kind, report)) = recognise(report) else {
            reports.of_other_kinds += 1;
            continue;
        };
        if kind == Kind::Csp && is_of_extension(&report) {
            reports.of_extensions += 1;
        } else if reports.events.len() == REPORTS_MAX {
            reports.left_out += 1;
        } else {
            reports.events.push(event_of(kind, report, context));
        }
    }
    Some(reports)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Csp,
    ExpectCt,
    ExpectStaple,
    Pins,
}

impl Kind {
    /// The attribute of the event, as Sentry names it.
    fn attribute(self) -> &'static str {
        match self {
            Self::Csp => "csp",
            Self::ExpectCt => "expectct",
            Self::ExpectStaple => "expectstaple",
            Self::Pins => "hpkp",
        }
    }

    fn logger(self) -> &'static str {
        match self {
            Self::Csp => "csp",
            Self::ExpectCt => "expect-ct",
            Self::ExpectStaple => "expect-staple",
            Self::Pins => "hpkp",
        }
    }
}

/// The kind of a report and its attributes, named `like_this`.
fn recognise(mut report: Map<String, Value>) -> Option<(Kind, Map<String, Value>)> {
    for (key, kind) in [
        ("csp-report", Kind::Csp),
        ("expect-ct-report", Kind::ExpectCt),
        ("expect-staple-report", Kind::ExpectStaple),
    ] {
        if let Some(Value::Object(inner)) = report.remove(key) {
            return Some((kind, unify(inner)));
        }
    }
    if report.contains_key("known-pins") {
        return Some((Kind::Pins, unify(report)));
    }
    if report.get("type").and_then(Value::as_str) == Some("csp-violation")
        && let Some(Value::Object(body)) = report.remove("body")
    {
        let mut violation = unify(body);
        if let Some(url) = report.remove("url") {
            violation.entry("document_uri").or_insert(url);
        }
        return Some((Kind::Csp, violation));
    }
    None
}

/// Names of the Reporting API and of the older form as one, texts and lists within limits.
fn unify(report: Map<String, Value>) -> Map<String, Value> {
    let mut unified = Map::new();
    for (name, value) in report {
        let mut plain = String::with_capacity(name.len() + 4);
        let mut before = '-';
        for letter in name.chars().take(64) {
            let begins_word = letter.is_ascii_uppercase() && before.is_ascii_lowercase();
            before = letter;
            if letter == '-' {
                plain.push('_');
            } else if begins_word {
                plain.push('_');
                plain.push(letter.to_ascii_lowercase());
            } else {
                plain.push(letter.to_ascii_lowercase());
            }
        }
        let plain = match plain.as_str() {
            "blocked_url" => "blocked_uri".to_owned(),
            "document_url" => "document_uri".to_owned(),
            "sample" => "script_sample".to_owned(),
            _ => plain,
        };
        let value = match value {
            Value::String(text) => clean(&text, TEXT_CHARS_MAX).into(),
            Value::Array(mut list) => {
                list.truncate(LIST_MAX);
                list.into()
            }
            other => other,
        };
        unified.insert(plain, value);
    }
    unified
}

fn text<'a>(report: &'a Map<String, Value>, key: &str) -> &'a str {
    report.get(key).and_then(Value::as_str).map(str::trim).unwrap_or_default()
}

fn is_of_extension(report: &Map<String, Value>) -> bool {
    ["source_file", "blocked_uri", "document_uri"]
        .into_iter()
        .any(|key| EXTENSIONS.iter().any(|extension| text(report, key).starts_with(extension)))
}

/// The directive that was violated, without its values.
fn directive(report: &Map<String, Value>) -> String {
    let told = Some(text(report, "effective_directive")).filter(|directive| !directive.is_empty());
    let told = told.unwrap_or_else(|| text(report, "violated_directive"));
    told.split_whitespace().next().unwrap_or_default().to_ascii_lowercase()
}

/// What was blocked, as far as it says something: a host, `self` for the page's own, or a word such as `inline`.
fn blocked(report: &Map<String, Value>) -> String {
    let blocked = text(report, "blocked_uri");
    if blocked.is_empty() {
        return "self".to_owned();
    }
    match host_of(blocked) {
        Some(host) if Some(host) == host_of(text(report, "document_uri")) => "self".to_owned(),
        Some(host) => host.to_ascii_lowercase(),
        // `inline`, `eval`, `wasm-eval`, `data`, or the same with more behind a colon.
        None => blocked
            .split(':')
            .next()
            .unwrap_or(blocked)
            .chars()
            .take(100)
            .collect::<String>()
            .to_ascii_lowercase(),
    }
}

fn host_of(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    (!host.is_empty()).then_some(host)
}

fn title(kind: Kind, report: &Map<String, Value>) -> String {
    let host =
        || Some(text(report, "hostname")).filter(|host| !host.is_empty()).unwrap_or("a host").to_owned();
    match kind {
        Kind::ExpectCt => format!("Expect-CT failed for '{}'", host()),
        Kind::ExpectStaple => format!("Expect-Staple failed for '{}'", host()),
        Kind::Pins => format!("Public key pinning failed for '{}'", host()),
        Kind::Csp => {
            let directive = directive(report);
            let what = ["-src-elem", "-src-attr", "-src"]
                .iter()
                .find_map(|end| directive.strip_suffix(end))
                .unwrap_or(&directive);
            let what = if what.is_empty() { "content" } else { what };
            match blocked(report).as_str() {
                "inline" => format!("Blocked inline '{what}'"),
                "eval" | "wasm-eval" => format!("Blocked eval by '{what}'"),
                "self" => format!("Blocked '{what}' from the page itself"),
                word @ ("data" | "blob" | "filesystem") => format!("Blocked '{what}' from '{word}:'"),
                from => format!("Blocked '{what}' from '{from}'"),
            }
        }
    }
}

fn event_of(kind: Kind, report: Map<String, Value>, context: &ReportContext) -> Value {
    let title = title(kind, &report);
    let level = if text(&report, "disposition") == "report" { "warning" } else { "error" };
    let mut event = json!({
        "platform": "other",
        "logger": kind.logger(),
        "level": level,
        "logentry": { "formatted": title },
    });
    let mut tags: Vec<(&str, String)> = Vec::new();
    match kind {
        Kind::Csp => {
            event["culprit"] = directive(&report).into();
            tags.push(("effective-directive", directive(&report)));
            tags.push(("blocked", blocked(&report)));
            let document = text(&report, "document_uri");
            if !document.is_empty() {
                event["request"] = json!({ "url": document });
            }
        }
        _ => tags.push(("hostname", text(&report, "hostname").to_owned())),
    }
    tags.retain(|(_, value)| !value.is_empty());
    event["tags"] = tags.into_iter().map(|(name, value)| json!([name, value])).collect();
    if let Some(agent) = &context.user_agent {
        event["request"]["headers"] = json!([["User-Agent", agent]]);
    }
    for (key, value) in [("release", &context.release), ("environment", &context.environment)] {
        if let Some(value) = value {
            event[key] = value.as_str().into();
        }
    }
    event[kind.attribute()] = report.into();
    event
}

/// The values that make the group of an event with a report, and what they are in words.
pub(crate) fn grouping_values(event: &Value) -> Option<(&'static str, Vec<String>)> {
    if let Some(report) = event.get("csp").and_then(Value::as_object) {
        let values = vec![
            "report: csp".to_owned(),
            format!("directive: {}", directive(report)),
            format!("blocked: {}", blocked(report)),
        ];
        return Some(("directive and host of a content security policy report", values));
    }
    [Kind::ExpectCt, Kind::ExpectStaple, Kind::Pins].into_iter().find_map(|kind| {
        let report = event.get(kind.attribute())?.as_object()?;
        let values =
            vec![format!("report: {}", kind.logger()), format!("host: {}", text(report, "hostname"))];
        Some(("kind and host of a report", values))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn csp(directive: &str, blocked: &str) -> Value {
        json!({"csp-report": {
            "document-uri": "https://shop.example/pay?x=1", "effective-directive": directive, "blocked-uri": blocked,
            "original-policy": "default-src 'self'", "disposition": "enforce",
        }})
    }

    fn read(report: &Value) -> Reports {
        read_reports(report.to_string().as_bytes(), &ReportContext::default()).unwrap()
    }

    #[test]
    fn titles_say_what_was_blocked_from_where() {
        for (directive, blocked, title) in [
            ("script-src", "https://evil.example/a.js", "Blocked 'script' from 'evil.example'"),
            ("script-src-elem", "http://CDN.example:8080/a.js", "Blocked 'script' from 'cdn.example'"),
            ("style-src-attr", "inline", "Blocked inline 'style'"),
            ("script-src", "eval", "Blocked eval by 'script'"),
            ("img-src", "data", "Blocked 'img' from 'data:'"),
            ("font-src", "data:font/woff2;base64,AAAA", "Blocked 'font' from 'data:'"),
            ("connect-src", "https://shop.example/api", "Blocked 'connect' from the page itself"),
            ("form-action", "https://pay.example", "Blocked 'form-action' from 'pay.example'"),
            ("", "", "Blocked 'content' from the page itself"),
        ] {
            let reports = read(&csp(directive, blocked));
            assert_eq!(reports.events[0]["logentry"]["formatted"], title, "{directive} {blocked}");
        }
    }

    #[test]
    fn both_forms_of_a_report_are_one_group() {
        let modern = json!([{"type": "csp-violation", "age": 3, "url": "https://shop.example/pay", "body": {
            "documentURL": "https://shop.example/pay", "effectiveDirective": "script-src-elem", "blockedURL": "https://evil.example/b.js",
            "originalPolicy": "default-src 'self'", "disposition": "report", "sample": "", "lineNumber": 7,
        }}]);
        let (modern, old) = (read(&modern), read(&csp("script-src-elem", "https://evil.example/a.js")));
        assert_eq!(modern.events[0]["level"], "warning");
        assert_eq!(old.events[0]["level"], "error");
        let values = grouping_values(&modern.events[0]).unwrap();
        assert_eq!(values.1, ["report: csp", "directive: script-src-elem", "blocked: evil.example"]);
        assert_eq!(grouping_values(&old.events[0]).unwrap(), values);
        assert_eq!(modern.events[0]["csp"]["line_number"], 7);
        assert_eq!(modern.events[0]["request"]["url"], "https://shop.example/pay");
    }

    #[test]
    fn reports_about_certificates_are_grouped_by_host() {
        for (report, title, kind) in [
            (
                json!({"expect-ct-report": {"hostname": "a.example", "port": 443, "scts": []}}),
                "Expect-CT failed for 'a.example'",
                "expect-ct",
            ),
            (
                json!({"expect-staple-report": {"hostname": "a.example", "response-status": "MISSING"}}),
                "Expect-Staple failed for 'a.example'",
                "expect-staple",
            ),
            (
                json!({"hostname": "a.example", "known-pins": ["pin-sha256=\"x\""], "port": 443}),
                "Public key pinning failed for 'a.example'",
                "hpkp",
            ),
        ] {
            let event = &read(&report).events[0];
            assert_eq!(event["logentry"]["formatted"], title);
            assert_eq!(
                grouping_values(event).unwrap().1,
                [format!("report: {kind}"), "host: a.example".to_owned()]
            );
        }
    }

    #[test]
    fn what_is_sent_with_the_address_is_taken_over() {
        let context = ReportContext {
            release: Some("shop@4.1.0".to_owned()),
            environment: Some("production".to_owned()),
            user_agent: Some("Firefox/140".to_owned()),
        };
        let event = &read_reports(csp("img-src", "x").to_string().as_bytes(), &context).unwrap().events[0];
        assert_eq!((&event["release"], &event["environment"]), (&json!("shop@4.1.0"), &json!("production")));
        assert_eq!(event["request"]["headers"], json!([["User-Agent", "Firefox/140"]]));
    }

    #[test]
    fn noise_and_excess_are_counted() {
        let report = |kind: &str, blocked: &str| json!({"type": kind, "body": {"effectiveDirective": "img-src", "blockedURL": blocked}});
        let mut list =
            vec![report("deprecation", "x"), report("csp-violation", "moz-extension://1/a.js"), json!(7)];
        list.extend(vec![report("csp-violation", "https://a.example"); 23]);
        let reports = read(&list.into());
        assert_eq!(
            (reports.events.len(), reports.of_extensions, reports.of_other_kinds, reports.left_out),
            (20, 1, 2, 3)
        );
        for nothing in ["", "[]", "7", "not json"] {
            assert_eq!(read_reports(nothing.as_bytes(), &ReportContext::default()), None, "{nothing}");
        }
    }

    proptest! {
        #[test]
        fn any_report_gets_an_answer(directive in ".{0,20}", blocked in "(http|://|@|:|/|data|ä|[a-z.]){0,9}") {
            let reports = read(&csp(&directive, &blocked));
            prop_assert!(grouping_values(&reports.events[0]).is_some());
        }
    }
}
