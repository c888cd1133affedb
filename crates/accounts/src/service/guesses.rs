use std::sync::atomic::Ordering;
use std::time::Duration;

use belvedere_kernel::{Actor, Entry, Outcome};
use belvedere_storage::{StorageError, Timestamp, Tx};
use serde_json::json;

use super::{AccountsService, door_entry};
use crate::entity::guess;
use crate::store::guesses;
use crate::throttle::{ACCOUNT, ADDRESS, BUCKETS_MAX, MEMORY, Patience};
use crate::{AccountsError, ClientInfo};

/// The table is swept once in so many guesses.
const SWEEP_EVERY: u64 = 64;

/// A guess that is being looked at, already counted as a failure: of guesses made at the same time no more are looked
/// at than of guesses made one after the other.
pub(super) struct Guess {
    account: Option<Vec<u8>>,
    address: Option<Vec<u8>>,
    /// How many guesses were refused since the last one that was looked at.
    pub(super) refused_before: i64,
}

impl Guess {
    /// The buckets in the order in which everybody locks them.
    fn buckets(&self) -> Vec<(&[u8], Patience)> {
        let account = self.account.as_deref().map(|bucket| (bucket, ACCOUNT));
        let address = self.address.as_deref().map(|bucket| (bucket, ADDRESS));
        let mut buckets: Vec<_> = account.into_iter().chain(address).collect();
        buckets.sort_by(|one, other| one.0.cmp(other.0));
        buckets
    }
}

impl AccountsService {
    /// Counts a guess at the account behind an e-mail address, or at a link, before it is looked at.
    ///
    /// Refusals are an audit entry once per pause, and a number in the entry of the next guess: a flood of guesses does
    /// not become a flood of entries.
    pub(super) async fn begin_guess(
        &self,
        email_lookup: Option<&[u8]>,
        client: &ClientInfo,
    ) -> Result<Guess, AccountsError> {
        let mut guess = Guess {
            account: email_lookup.map(|lookup| self.lookup.account_bucket(lookup)),
            address: client.address.as_deref().map(|address| self.lookup.address_bucket(address)),
            refused_before: 0,
        };
        let now = self.clock.now();
        let answer = self.db.write(async |tx| self.count_guess_in(tx, &guess, client, now).await).await?;
        self.sweep_guesses(now).await;
        match answer {
            Ok(refused_before) => {
                guess.refused_before = refused_before;
                Ok(guess)
            }
            Err(retry_after) => Err(AccountsError::Throttled { retry_after }),
        }
    }

    /// How many guesses were refused before this one, or how long it has to wait.
    async fn count_guess_in(
        &self,
        tx: &Tx,
        guess: &Guess,
        client: &ClientInfo,
        now: Timestamp,
    ) -> Result<Result<i64, Duration>, AccountsError> {
        let mut rows = Vec::with_capacity(2);
        for (bucket, patience) in guess.buckets() {
            rows.push((guesses::lock_in(tx, bucket, now).await?, patience));
        }
        let blocked: Vec<guess::Model> = rows
            .iter()
            .filter(|(row, patience)| patience.blocks(row.blocked_until, now))
            .map(|(row, _)| row.clone())
            .collect();
        if let Some(until) = blocked.iter().map(|row| row.blocked_until).max() {
            let retry_after = until.since(now);
            if blocked.iter().all(|row| row.refused == 0) {
                let detail = json!({"retry_after_s": retry_after.as_secs_f64().ceil()});
                let entry = door_entry(Actor::Anonymous, None, client, "authn_login_fail_max", detail);
                self.record_in(tx, Entry { outcome: Outcome::Denied, ..entry }).await?;
            }
            for row in blocked {
                guesses::save_in(tx, guess::Model { refused: row.refused + 1, ..row }).await?;
            }
            return Ok(Err(retry_after));
        }
        let refused_before = rows.iter().map(|(row, _)| row.refused).max().unwrap_or(0);
        for (row, patience) in rows {
            let failures = row.failures + 1;
            let blocked_until = now.plus(patience.pause(failures));
            let forget_at = now.plus(MEMORY);
            guesses::save_in(tx, guess::Model { failures, refused: 0, blocked_until, forget_at, ..row })
                .await?;
        }
        Ok(Ok(refused_before))
    }

    /// Takes the failure back that [`Self::begin_guess`] counted: the account starts afresh, the address, from which
    /// others may be guessing, is one failure better off.
    pub(super) async fn guess_was_right_in(&self, tx: &Tx, guess: &Guess) -> Result<(), StorageError> {
        let now = self.clock.now();
        for (bucket, _) in guess.buckets() {
            if guess.account.as_deref() == Some(bucket) {
                guesses::forget_in(tx, bucket).await?;
            } else {
                let row = guesses::lock_in(tx, bucket, now).await?;
                let failures = (row.failures - 1).max(0);
                guesses::save_in(tx, guess::Model { failures, blocked_until: now, ..row }).await?;
            }
        }
        Ok(())
    }

    /// Keeps the table bounded. In a transaction of its own: it touches other people's rows, and may fail.
    async fn sweep_guesses(&self, now: Timestamp) {
        if self.guesses_made.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY != SWEEP_EVERY - 1 {
            return;
        }
        if let Err(error) = self.db.write(async |tx| guesses::sweep_in(tx, now, BUCKETS_MAX).await).await {
            tracing::warn!(%error, "could not sweep the table of guesses; the next sweep will");
        }
    }
}
