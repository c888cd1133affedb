use std::collections::{BTreeMap, HashMap};

use belvedere_storage::StorageError;

use super::apply::forget_rules;
use super::store::PreviewedEvent;
use super::{Preview, PreviewGroup, PreviewPart, RuleSet, resolve_title};
use crate::IssueId;
use crate::digest::unpack;
use crate::grouping::group;

/// How many groups, and parts of a group, are named.
const NAMED_MAX: usize = 10;

/// What would become of one event.
pub(super) struct Outcome {
    pub(super) issue: IssueId,
    title: String,
    /// Its hash by the rules that hold, and by the others; `None` if they leave it out.
    now: Option<[u8; 16]>,
    pub(super) then: Option<[u8; 16]>,
}

/// Groups stored events by the rules that hold and by others.
pub(super) fn judge(
    events: Vec<PreviewedEvent>,
    holding: &RuleSet,
    draft: &RuleSet,
) -> Result<Vec<Outcome>, StorageError> {
    let mut outcomes = Vec::with_capacity(events.len());
    for stored in events {
        let mut event = unpack(&stored.payload)?.event;
        let mut hash_by = |rules: &RuleSet| {
            forget_rules(&mut event);
            let ruling = rules.apply(&mut event);
            let title = ruling.title.as_ref().map(|title| resolve_title(title, &event));
            (ruling.ignored_by.is_none().then(|| group(&event, &ruling).hash), title)
        };
        let (now, _) = hash_by(holding);
        let (then, title) = hash_by(draft);
        outcomes.push(Outcome { issue: stored.issue, title: title.unwrap_or(stored.title), now, then });
    }
    Ok(outcomes)
}

/// The issue that an event would come under: one that there is, or a new one with this hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Destination {
    Issue(IssueId),
    New([u8; 16]),
}

impl Destination {
    fn issue(self) -> Option<IssueId> {
        match self {
            Self::Issue(issue) => Some(issue),
            Self::New(_) => None,
        }
    }
}

/// Sums up what would become of events. `known` are the issues that hashes lead to, `titles` those of the issues.
///
/// An event whose hash stays the same stays in its issue, whatever brought it there. Others go where their new hash
/// leads, or where it leads events that stay.
pub(super) fn sum_up(
    outcomes: &[Outcome],
    known: &HashMap<[u8; 16], IssueId>,
    titles: &HashMap<IssueId, String>,
) -> Preview {
    let staying: HashMap<[u8; 16], IssueId> = outcomes
        .iter()
        .filter_map(|outcome| Some((outcome.then.filter(|_| outcome.now == outcome.then)?, outcome.issue)))
        .collect();
    let mut before: BTreeMap<IssueId, u64> = BTreeMap::new();
    let mut flows: BTreeMap<(Destination, IssueId), (u64, &str)> = BTreeMap::new();
    let mut ignored: BTreeMap<&str, u64> = BTreeMap::new();
    let mut preview = Preview { events: outcomes.len() as u64, ..Preview::default() };
    for outcome in outcomes {
        *before.entry(outcome.issue).or_default() += 1;
        let Some(hash) = outcome.then else {
            preview.ignored += 1;
            *ignored.entry(&outcome.title).or_default() += 1;
            continue;
        };
        let destination = if outcome.now == outcome.then {
            Destination::Issue(outcome.issue)
        } else {
            match staying.get(&hash).or_else(|| known.get(&hash)) {
                Some(issue) => Destination::Issue(*issue),
                None => Destination::New(hash),
            }
        };
        if destination.issue() != Some(outcome.issue) {
            preview.moved += 1;
        }
        flows.entry((destination, outcome.issue)).or_insert((0, &outcome.title)).0 += 1;
    }
    let title_of = |issue: IssueId| titles.get(&issue).cloned().unwrap_or_default();
    let mut joins: BTreeMap<Destination, Vec<PreviewPart>> = BTreeMap::new();
    let mut splits: BTreeMap<IssueId, Vec<PreviewPart>> = BTreeMap::new();
    let mut names: BTreeMap<Destination, &str> = BTreeMap::new();
    for ((destination, issue), (events, title)) in &flows {
        names.entry(*destination).or_insert(title);
        let from = PreviewPart { issue: Some(*issue), title: title_of(*issue), events: *events };
        joins.entry(*destination).or_default().push(from);
        let title = destination.issue().map_or_else(|| (*title).to_owned(), title_of);
        let to = PreviewPart { issue: destination.issue(), title, events: *events };
        splits.entry(*issue).or_default().push(to);
    }
    preview.issues_before = before.len() as u64;
    preview.issues_after = joins.len() as u64;
    let group = |issue: Option<IssueId>, title: String, mut parts: Vec<PreviewPart>| {
        parts
            .sort_by(|left, right| right.events.cmp(&left.events).then_with(|| left.title.cmp(&right.title)));
        parts.truncate(NAMED_MAX);
        PreviewGroup { issue, title, parts }
    };
    preview.joins = joins
        .into_iter()
        .filter(|(_, parts)| parts.len() > 1)
        .take(NAMED_MAX)
        .map(|(destination, parts)| {
            let new = names.get(&destination).copied().unwrap_or_default().to_owned();
            group(destination.issue(), destination.issue().map_or(new, title_of), parts)
        })
        .collect();
    preview.splits = splits
        .into_iter()
        .filter(|(_, parts)| parts.len() > 1)
        .take(NAMED_MAX)
        .map(|(issue, parts)| group(Some(issue), title_of(issue), parts))
        .collect();
    let mut ignored: Vec<PreviewPart> = ignored
        .into_iter()
        .map(|(title, events)| PreviewPart { issue: None, title: title.to_owned(), events })
        .collect();
    ignored.sort_by_key(|group| std::cmp::Reverse(group.events));
    ignored.truncate(NAMED_MAX);
    preview.ignored_events = ignored;
    preview
}
