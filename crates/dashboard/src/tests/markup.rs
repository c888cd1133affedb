//! Whatever is sent stays text.

use belvedere_error_tracking::Event;
use serde_json::Value;

use super::*;
use crate::views::event::EventView;

pub(super) const ATTACK: &str =
    r#""><script>alert(1)</script><img src=x onerror=alert(2)><a href='javascript:alert(3)'>{{7*7}}"#;

/// Every string of a value, keys included, with markup added.
fn poison(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(format!("{text}{ATTACK}")),
        Value::Array(items) => Value::Array(items.into_iter().map(poison).collect()),
        Value::Object(entries) => {
            let poisoned = entries.into_iter().flat_map(|(key, value)| {
                let value = poison(value);
                [(key.clone(), value.clone()), (format!("{key}{ATTACK}"), value)]
            });
            Value::Object(poisoned.collect())
        }
        scalar => scalar,
    }
}

/// Asserts that `html` has no element and no attribute that the templates do not have.
pub(super) fn assert_inert(html: &str, path: &str) {
    for part in [
        "<script>",
        // The templates have images of their own, but none like that.
        "<img src=x",
        "onerror=alert(2)>",
        "href='javascript",
        "href=\"javascript",
        "alert(1)</script>",
    ] {
        assert!(!html.contains(part), "{path}: {part}");
    }
    assert_confined(html, path);
}

/// Asserts that `html` needs nothing that the content security policy refuses.
fn assert_confined(html: &str, path: &str) {
    for tag in html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default()) {
        assert!(!tag.contains(" style="), "{path}: <{tag}>");
        assert!(!tag.starts_with("style"), "{path}: <{tag}>");
        let is_handler = tag.split_whitespace().any(|word| word.starts_with("on") && word.contains("=\""));
        assert!(!is_handler, "{path}: <{tag}>");
        assert!(!tag.starts_with("script") || tag.contains("src=\"/assets/"), "{path}: <{tag}>");
    }
}

#[tokio::test]
async fn pages_need_nothing_that_their_policy_refuses() {
    let site = Site::new(Role::Owner);
    for path in
        pages().into_iter().chain(["/sign-in".to_owned(), "/projects/8".to_owned(), "/projects/9".to_owned()])
    {
        let page = site.get(&path).await;
        assert_confined(page.text(), &path);
        assert_eq!(
            page.header("content-security-policy"),
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
             form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        );
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn an_event_full_of_markup_renders_as_text() {
    let site = Site::with(Role::Owner, |fake, _| {
        fake.comment = std::sync::Mutex::new(ATTACK.to_owned());
        fake.payload = poison(fakes::payload());
        fake.grouping_words = ATTACK.to_owned();
        let mut issues = fake.issues.lock().unwrap();
        for issue in issues.iter_mut() {
            issue.summary.title.push_str(ATTACK);
            issue.summary.culprit.push_str(ATTACK);
            issue.summary.platform.push_str(ATTACK);
            issue.first_release = Some(ATTACK.to_owned());
            issue.last_release = Some(ATTACK.to_owned());
            issue.grouping_reason.push_str(ATTACK);
            issue.grouping_values.push(ATTACK.to_owned());
            issue.triaged.regressed_in = Some(ATTACK.to_owned());
            issue.triaged.release_before_regression = Some(ATTACK.to_owned());
            issue.grouping_explanation.chosen_by.push_str(ATTACK);
            issue.grouping_explanation.left_out.push(ATTACK.to_owned());
        }
    });
    for path in pages() {
        assert_inert(site.get(&path).await.text(), &path);
    }
    let preview = site.post("/projects/7/settings/grouping", "action=preview&revision=3&rules=x").await;
    assert!(preview.text().contains("Would come together"));
    assert_inert(preview.text(), "preview of grouping rules");
    let page = site.get(&format!("/projects/7/issues/{}", issue_id(1))).await;
    assert!(
        page.text()
            .contains("report.push(out.result.trim() === c.expected);&#34;&#62;&#60;script&#62;alert(1)")
    );
    assert!(page.text().contains("{{7*7}}"));
    let raw = site.get(&format!("/projects/7/events/{EVENT}/raw")).await;
    assert_eq!(raw.header("content-security-policy"), "default-src 'none'; frame-ancestors 'none'; sandbox");
}

#[tokio::test]
async fn what_visitors_type_stays_text() {
    let site = Site::new(Role::Owner);
    let typed = crate::form::address(
        "/projects/7/issues",
        &[("q", ATTACK), ("environment", ATTACK), ("sort", ATTACK), ("status", ATTACK), ("done", ATTACK)],
    );
    assert_inert(site.get(&typed).await.text(), &typed);
    let typed = crate::form::address("/projects/7/audit", &[("action", ATTACK), ("actor", ATTACK)]);
    assert_inert(site.get(&typed).await.text(), &typed);
    let typed = crate::form::address("/sign-in", &[("next", ATTACK)]);
    assert_inert(site.get(&typed).await.text(), &typed);
}

#[tokio::test]
async fn payloads_of_any_shape_make_a_page() {
    use belvedere_error_tracking::ErrorTracking as _;
    use belvedere_kernel::ProjectId;

    let site = Site::new(Role::Owner);
    let event = site.fake.find_event(ProjectId(7), EVENT).await.unwrap().unwrap();
    let shapes = [
        Value::Null,
        Value::Bool(true),
        7.into(),
        (-1.5e300).into(),
        "text".into(),
        Value::Array(vec![Value::Null]),
        serde_json::json!({"values": {"values": []}}),
    ];
    let Value::Object(entries) = fakes::payload() else { panic!("the payload is an object") };
    for key in entries.keys() {
        for shape in &shapes {
            let mut payload = entries.clone();
            payload.insert(key.clone(), shape.clone());
            let view = EventView::new(&Event { payload: Value::Object(payload), ..event.clone() });
            assert_eq!(view.id, EVENT, "{key} as {shape}");
        }
    }
    let mut deep = Value::Null;
    for _ in 0..100 {
        deep = serde_json::json!({"values": [deep], "v": 1});
    }
    let view =
        EventView::new(&Event { payload: serde_json::json!({"exception": deep, "extra": deep}), ..event });
    assert_eq!(view.extra.len(), 2);
}
