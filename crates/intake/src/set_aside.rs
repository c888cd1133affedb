use std::collections::BTreeSet;

use belvedere_kernel::{Delivery, ItemOutcome, KeyOwner, ProjectId, Tally};
use belvedere_storage::{Id, Timestamp, Tx};

use crate::model::SetAside;
use crate::tally::{Tallies, TallyKey};
use crate::{IntakeError, IntakeParts, store};

/// Deliveries of one project that are kept aside; beyond that the oldest goes.
const ROWS_MAX: u64 = 10_000;
/// Their bytes.
const BYTES_MAX: u64 = 256 << 20;
/// How many of the oldest are looked at in one transaction to make room.
const EVICTED_MAX: u64 = 500;
const REASON_CHARS_MAX: usize = 1_000;
const KIND_CHARS_MAX: usize = 64;

/// A delivery that is to be set aside.
pub(crate) struct NewSetAside {
    pub(crate) project: ProjectId,
    pub(crate) kind: String,
    /// For people, in a sentence.
    pub(crate) reason: String,
    /// For the tally, in a word.
    pub(crate) word: &'static str,
    pub(crate) tries: u32,
    pub(crate) received_at: Timestamp,
    /// The delivery as it lay in the spool.
    pub(crate) bytes: Vec<u8>,
}

impl NewSetAside {
    pub(crate) fn of(
        delivery: &Delivery,
        reason: &str,
        word: &'static str,
        tries: u32,
    ) -> Result<Self, IntakeError> {
        Ok(Self {
            project: delivery.project,
            kind: clean(&delivery.kind, KIND_CHARS_MAX),
            reason: clean(reason, REASON_CHARS_MAX),
            word,
            tries,
            received_at: delivery.received_at,
            bytes: delivery.encode()?,
        })
    }

    /// Bytes from the spool that are not a delivery.
    pub(crate) fn unreadable(bytes: &[u8], reason: &str, now: Timestamp) -> Self {
        Self {
            project: ProjectId(0),
            kind: "unknown".to_owned(),
            reason: clean(reason, REASON_CHARS_MAX),
            word: "undecodable",
            tries: 1,
            received_at: now,
            bytes: bytes.to_vec(),
        }
    }
}

/// Text that every database and page takes.
fn clean(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Sets deliveries aside in the caller's transaction, makes room for them, and counts both.
pub(crate) async fn set_aside_in(
    tx: &Tx,
    parts: &IntakeParts,
    new: &[NewSetAside],
    tallies: &mut Tallies,
) -> Result<(), IntakeError> {
    let now = parts.clock.now();
    let mut projects = BTreeSet::new();
    for delivery in new {
        let row = SetAside {
            id: Id::generate(now),
            project: delivery.project,
            kind: delivery.kind.clone(),
            reason: delivery.reason.clone(),
            tries: delivery.tries,
            received_at: delivery.received_at,
            set_aside_at: now,
            replayed_at: None,
            size_bytes: delivery.bytes.len() as u64,
        };
        count(tallies, &row, ItemOutcome::SetAside, delivery.word, now);
        let sealed = parts.vault.seal_in(tx, KeyOwner::System, &delivery.bytes).await?;
        store::insert_set_aside(tx, row, sealed).await?;
        projects.insert(delivery.project);
    }
    for project in projects {
        make_room(tx, project, tallies, now).await?;
    }
    Ok(())
}

async fn make_room(
    tx: &Tx,
    project: ProjectId,
    tallies: &mut Tallies,
    now: Timestamp,
) -> Result<(), IntakeError> {
    let (mut rows, mut bytes) = store::measure_set_aside(tx, project).await?;
    if rows <= ROWS_MAX && bytes <= BYTES_MAX {
        return Ok(());
    }
    for oldest in store::list_oldest_set_aside(tx, project, EVICTED_MAX).await? {
        // The newest stays, however large it is.
        if rows <= 1 || (rows <= ROWS_MAX && bytes <= BYTES_MAX) {
            break;
        }
        if !store::delete_set_aside(tx, project, oldest.id).await? {
            continue; // another worker has made room with it meanwhile, and counted it
        }
        rows -= 1;
        bytes = bytes.saturating_sub(oldest.size_bytes);
        if oldest.replayed_at.is_none() {
            count(tallies, &oldest, ItemOutcome::Dropped, "set_aside_overflow", now);
        }
    }
    Ok(())
}

fn count(tallies: &mut Tallies, row: &SetAside, outcome: ItemOutcome, reason: &'static str, now: Timestamp) {
    let tally = Tally { project: row.project, item: row.kind.clone(), outcome, reason, quantity: 1 };
    *tallies.entry(TallyKey::of(&tally, now)).or_default() += 1;
}
