//! What somebody looks at is decoded before they ask again.
//!
//! While events come in, each question finds batches that nobody has unpacked, and now and then a segment that nobody has
//! decoded. A page that asks every few seconds would wait for both each time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use belvedere_storage::Timestamp;

use super::check::Need;
use super::load::{Piece, decode_all, pieces};
use super::work::Stop;
use super::{QueriesError, QueryService};
use crate::{EventStoreError, Select};

/// For how long after a question its columns are kept ready.
const WATCHED: Duration = Duration::from_secs(30);
/// The most sets of columns that are kept ready.
const WATCHED_MAX: usize = 32;

/// What was asked for lately.
#[derive(Debug, Default)]
pub(crate) struct Lately(Mutex<Vec<(Need, Instant)>>);

impl Lately {
    /// Takes note of a question.
    pub(crate) fn note(&self, need: &Need) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.retain(|(other, at)| at.elapsed() < WATCHED && !other.reads_as(need));
        if noted.len() == WATCHED_MAX {
            noted.remove(0);
        }
        noted.push((need.clone(), Instant::now()));
    }

    fn list(&self) -> Vec<Need> {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.retain(|(_, at)| at.elapsed() < WATCHED);
        noted.iter().map(|(need, _)| need.clone()).collect()
    }
}

impl QueryService {
    /// Decodes what has come since the questions of the last half minute, for those who ask them again; to be called
    /// several times a second, and nearly nothing if nobody asks or nothing comes.
    ///
    /// # Errors
    /// What reading the events can fail with; the next call tries again.
    pub async fn keep_warm(&self) -> Result<(), QueriesError> {
        let mut needs = self.lately.list();
        while let Some(first) = needs.first() {
            let project = first.project;
            let (of_project, others) = needs.into_iter().partition(|need| need.project == project);
            needs = others;
            self.warm(of_project).await?;
        }
        Ok(())
    }

    /// Decodes what questions to one project need.
    async fn warm(&self, needs: Vec<Need>) -> Result<(), QueriesError> {
        let Some(first) = needs.first() else { return Ok(()) };
        let from = needs.iter().map(|need| need.time.start).min().unwrap_or(0);
        let until = needs.iter().map(|need| need.time.end).max().unwrap_or(0);
        let select = Select {
            from: Timestamp::from_micros(from),
            until: Timestamp::from_micros(until),
            ..Select::all(first.project)
        };
        let pieces = pieces(self.store.snapshot(select).await?, first.project);
        let caches = Arc::clone(&self.caches);
        let stop = Stop::after(self.limits.time_max);
        let work = move || {
            for need in &needs {
                let is_read = |piece: &&Piece| {
                    let (_, first, last) = piece.extent();
                    last >= need.time.start && first < need.time.end
                };
                decode_all(&pieces.iter().filter(is_read).collect::<Vec<_>>(), need, &caches, 1, &stop)?;
            }
            Ok(())
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(EventStoreError::Internal(error.to_string()).into()))
    }
}
