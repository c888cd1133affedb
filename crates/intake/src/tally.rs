use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use belvedere_kernel::{ItemOutcome, ProjectId, Tally};
use belvedere_storage::{StorageError, Timestamp, Tx};

use crate::store;

/// Different counts of a project in one hour, beyond which items are counted as `other`: item types are named by
/// clients, and a client may name a new one every time.
const NAMES_MAX: usize = 500;
/// Keys that this process remembers to be counted already.
const KNOWN_MAX: usize = 20_000;
/// Characters of an item's name.
const ITEM_CHARS_MAX: usize = 64;
const OTHER: &str = "other";

/// What is counted: one row of `intake_tally`, in the order of its key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TallyKey {
    pub(crate) project: ProjectId,
    pub(crate) hour: Timestamp,
    pub(crate) item: String,
    pub(crate) outcome: ItemOutcome,
    pub(crate) reason: &'static str,
}

impl TallyKey {
    pub(crate) fn of(tally: &Tally, now: Timestamp) -> Self {
        // PostgreSQL's text cannot hold NUL, and a page should not show other control characters either.
        let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        let item: String = tally.item.chars().take(ITEM_CHARS_MAX).map(shown).collect();
        Self {
            project: tally.project,
            hour: now.start_of_hour(),
            item,
            outcome: tally.outcome,
            reason: tally.reason,
        }
    }

    pub(crate) fn into_other(self) -> Self {
        Self { item: OTHER.to_owned(), ..self }
    }
}

/// Counts on their way into the database.
pub(crate) type Tallies = BTreeMap<TallyKey, u64>;

/// Adds counts to the database and keeps the number of different ones within bounds; clones share their memory.
#[derive(Clone, Default)]
pub(crate) struct TallyBook {
    known: Arc<Mutex<BTreeSet<TallyKey>>>,
}

impl TallyBook {
    /// Adds `tallies` in the caller's transaction.
    pub(crate) async fn add_in(&self, tx: &Tx, tallies: Tallies) -> Result<(), StorageError> {
        if tallies.is_empty() {
            return Ok(());
        }
        let new = self.list_unknown(&tallies);
        let tallies = if new.is_empty() { tallies } else { fold(tx, tallies, &new).await? };
        store::add_tallies(tx, &tallies).await?;
        let known = Arc::clone(&self.known);
        tx.after_commit(move || remember(&mut known.lock().unwrap_or_else(PoisonError::into_inner), tallies));
        Ok(())
    }

    fn list_unknown(&self, tallies: &Tallies) -> BTreeSet<(ProjectId, Timestamp)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.keys().filter(|key| !known.contains(*key)).map(|key| (key.project, key.hour)).collect()
    }
}

fn remember(known: &mut BTreeSet<TallyKey>, tallies: Tallies) {
    if known.len() + tallies.len() > KNOWN_MAX {
        known.clear();
    }
    known.extend(tallies.into_keys().take(KNOWN_MAX));
}

/// Counts as `other` what would be one count too many for its project and hour.
async fn fold(
    tx: &Tx,
    tallies: Tallies,
    hours: &BTreeSet<(ProjectId, Timestamp)>,
) -> Result<Tallies, StorageError> {
    let mut counted = BTreeMap::new();
    for (project, hour) in hours {
        let names = store::list_tally_names(tx, *project, *hour, NAMES_MAX * 2).await?;
        counted.insert((*project, *hour), names);
    }
    let mut folded = Tallies::new();
    for (key, quantity) in tallies {
        let key = match counted.get_mut(&(key.project, key.hour)) {
            Some(names) => {
                let name = (key.item.clone(), key.outcome.as_str().to_owned(), key.reason.to_owned());
                if names.contains(&name) {
                    key
                } else if names.len() < NAMES_MAX {
                    names.insert(name);
                    key
                } else {
                    key.into_other()
                }
            }
            None => key,
        };
        *folded.entry(key).or_default() += quantity;
    }
    Ok(folded)
}
