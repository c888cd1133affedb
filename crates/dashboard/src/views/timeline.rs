//! The timeline of an issue in sentences.

use belvedere_error_tracking::{Activity, ActivityKind, Condition};
use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;
use serde_json::Value;

use crate::views::issues::{event_href, issue_href};
use crate::wording::{Ago, At, Count};

/// An entry as it is shown.
#[derive(Debug)]
pub(crate) struct TimelineEntry {
    /// Of a comment, for its forms.
    pub(crate) id: String,
    pub(crate) who: String,
    /// What they did, after their name.
    pub(crate) what: String,
    /// What the sentence is about, where there is a page of it.
    pub(crate) href: Option<String>,
    pub(crate) label: String,
    pub(crate) comment: Option<String>,
    pub(crate) is_edited: bool,
    /// Whether the visitor wrote the comment.
    pub(crate) is_own: bool,
    pub(crate) at: Ago,
}

impl TimelineEntry {
    /// `name` gives the name of the member with an id; `visitor` is the visitor's own.
    pub(crate) fn new(
        project: ProjectId,
        entry: &Activity,
        name: impl Fn(&str) -> String,
        visitor: Option<&str>,
        now: Timestamp,
    ) -> Self {
        let who = match (entry.actor_kind.as_str(), &entry.actor_id) {
            ("user", Some(id)) => name(id),
            ("token", _) => "An API token".to_owned(),
            _ => String::new(),
        };
        let (what, href, label) = sentence(project, entry, &name, !who.is_empty());
        let is_own = entry.actor_kind == "user" && entry.actor_id.as_deref() == visitor && visitor.is_some();
        Self {
            id: entry.id.map(|id| id.to_string()).unwrap_or_default(),
            who,
            what,
            href,
            label,
            comment: entry.comment.clone(),
            is_edited: entry.edited_at.is_some(),
            is_own,
            at: Ago { at: entry.at, now },
        }
    }
}

fn text<'a>(detail: &'a Value, key: &str) -> Option<&'a str> {
    detail.get(key)?.as_str()
}

/// What an entry says, with what it links to.
fn sentence(
    project: ProjectId,
    entry: &Activity,
    name: impl Fn(&str) -> String,
    has_actor: bool,
) -> (String, Option<String>, String) {
    let detail = &entry.detail;
    let event = text(detail, "event_id").map(|id| (event_href(project, id), "event".to_owned()));
    let said = |what: String| (what, None, String::new());
    let with_event = |what: String| match event.clone() {
        Some((href, label)) => (what, Some(href), label),
        None => (what, None, String::new()),
    };
    match entry.kind {
        ActivityKind::Status => said(status_sentence(detail)),
        ActivityKind::Regression => {
            let release = text(detail, "release").map(|release| format!(" in {release}")).unwrap_or_default();
            with_event(format!("Came back{release}"))
        }
        ActivityKind::Woken => with_event("No longer ignored: what it waited for has come".to_owned()),
        ActivityKind::Escalation => with_event("Escalated: far more frequent than before".to_owned()),
        ActivityKind::Assignment => {
            let rule = text(detail, "rule").map(|rule| format!(" by the rule {rule}")).unwrap_or_default();
            let is_suggestion = detail.get("is_suggestion").and_then(Value::as_bool).unwrap_or(false);
            said(match text(detail, "user") {
                Some(user) if is_suggestion => format!("{} owns this{rule}", name(user)),
                Some(user) if has_actor => format!("assigned it to {}", name(user)),
                Some(user) => format!("Assigned to {}{rule}", name(user)),
                None => "assigned it to nobody".to_owned(),
            })
        }
        ActivityKind::Comment => said(String::new()),
        ActivityKind::Merge => {
            let issues =
                detail.get("issues").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let named: Vec<String> = issues
                .iter()
                .map(|issue| {
                    let number = issue.get("number").and_then(Value::as_i64).unwrap_or(0);
                    format!("#{number} {}", text(issue, "title").unwrap_or_default())
                })
                .collect();
            said(format!("merged into it: {}", named.join("; ")))
        }
        ActivityKind::Unmerge => {
            let number = detail.get("number").and_then(Value::as_i64).unwrap_or(0);
            let href = text(detail, "issue").map(|issue| issue_href(project, issue));
            let what = match text(detail, "direction") {
                Some("out_of") => "split it off",
                _ => "split off",
            };
            (what.to_owned(), href, format!("#{number}"))
        }
        ActivityKind::Release => {
            said(format!("First seen in {}", text(detail, "release").unwrap_or_default()))
        }
        ActivityKind::FirstSeen => {
            let release = text(detail, "release").map(|release| format!(" in {release}")).unwrap_or_default();
            said(format!("First seen{release}"))
        }
    }
}

fn status_sentence(detail: &Value) -> String {
    let condition = detail.get("condition").and_then(|condition| {
        serde_json::from_value::<Condition>(condition.clone())
            .ok()
            .map(|condition| condition_text(&condition))
    });
    let until = text(detail, "until").and_then(|until| until.parse().ok()).map(until_text);
    let how = condition.or(until).map(|how| format!(" {how}")).unwrap_or_default();
    match text(detail, "to") {
        Some("resolved") => format!("resolved it{how}"),
        Some("ignored") => format!("ignored it{how}"),
        Some("archived") => format!("archived it{how}"),
        _ => "reopened it".to_owned(),
    }
}

/// `until 23 Nov 2026, ..`, as plain text.
pub(crate) fn until_text(until: Timestamp) -> String {
    let plain = At(until).to_string();
    let inner = plain.split_once('>').and_then(|(_, rest)| rest.split_once('<')).map(|(inner, _)| inner);
    format!("until {}", inner.unwrap_or_default())
}

/// What an issue waits for, after its state.
pub(crate) fn condition_text(condition: &Condition) -> String {
    match condition {
        Condition::AfterRelease { version, .. } => format!("unless a release after {version} has it"),
        Condition::Total { counted, more, .. } => format!("until {} more {}", Count(*more), counted.as_str()),
        Condition::Within { counted, at_least, minutes } => {
            format!(
                "until {} {} within {} minutes",
                Count(*at_least),
                counted.as_str(),
                Count(u64::from(*minutes))
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use belvedere_storage::Id;
    use serde_json::json;

    use super::*;

    fn entry(kind: ActivityKind, detail: Value) -> Activity {
        Activity {
            id: None,
            at: Timestamp::EPOCH,
            kind,
            actor_kind: "system".to_owned(),
            actor_id: None,
            detail,
            comment: None,
            edited_at: None,
        }
    }

    fn says(kind: ActivityKind, detail: Value) -> String {
        let name = |id: &str| format!("<{id}>");
        TimelineEntry::new(ProjectId(1), &entry(kind, detail), name, None, Timestamp::EPOCH).what
    }

    #[test]
    fn entries_are_sentences() {
        let resolved = json!({"to": "resolved", "condition": {"kind": "after_release", "version": "shop@2.0.0",
            "first_seen": "2026-11-23T12:00:00Z"}});
        assert_eq!(
            says(ActivityKind::Status, resolved),
            "resolved it unless a release after shop@2.0.0 has it"
        );
        let within = json!({"to": "ignored", "condition": {"kind": "within", "counted": "subjects", "at_least": 1000,
            "minutes": 60}});
        assert_eq!(says(ActivityKind::Status, within), "ignored it until 1,000 subjects within 60 minutes");
        let until = json!({"to": "ignored", "until": "2026-11-23T12:00:00Z"});
        assert_eq!(says(ActivityKind::Status, until), "ignored it until 23 Nov 2026, 12:00:00 UTC");
        assert_eq!(says(ActivityKind::Regression, json!({"release": "2.1"})), "Came back in 2.1");
        assert_eq!(
            says(ActivityKind::Assignment, json!({"user": "u", "rule": "path:a"})),
            "Assigned to <u> by the rule path:a"
        );
        let merged = json!({"issues": [{"number": 3, "title": "A"}, {"number": 4, "title": "B"}]});
        assert_eq!(says(ActivityKind::Merge, merged), "merged into it: #3 A; #4 B");
        assert_eq!(says(ActivityKind::FirstSeen, json!({"release": null})), "First seen");
    }

    #[test]
    fn only_ones_own_comments_can_be_changed() {
        let id: Id<()> = Id::from_bytes([3; 16]);
        let mine = Activity {
            actor_kind: "user".to_owned(),
            actor_id: Some(id.to_string()),
            comment: Some("hello".to_owned()),
            ..entry(ActivityKind::Comment, Value::Null)
        };
        let own = |visitor: Option<&str>| {
            TimelineEntry::new(ProjectId(1), &mine, str::to_owned, visitor, Timestamp::EPOCH).is_own
        };
        assert!(own(Some(&id.to_string())));
        assert!(!own(Some("other")) && !own(None));
    }
}
