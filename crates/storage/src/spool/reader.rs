//! Reading durable records back, and removing the files of consumed ones.

use std::io;

use super::index::Cursor;
use super::segment::{self, Found, Scanner};
use super::{Record, Shared, SpoolError};

impl Shared {
    pub(super) fn read(
        &self,
        mut after: u64,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Record>, SpoolError> {
        let seed = segment::seed(&self.id);
        let mut records = Vec::new();
        let mut bytes = 0;
        loop {
            let plan = {
                let state = self.lock();
                state.index.plan(after, state.cursor)
            };
            let Some(plan) = plan else { return Ok(records) };
            let file = match self.disk.open(&segment::file_name(plan.segment)) {
                Ok(file) => file,
                // Acknowledged and removed since it was looked up: plan again.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        && self.lock().index.is_acked(plan.last_seq) =>
                {
                    continue;
                }
                Err(error) => return Err(SpoolError::from_disk(&error)),
            };
            let mut scanner = Scanner::new(file.as_ref(), seed, plan.start..plan.end, plan.after);
            loop {
                let at = scanner.position();
                match scanner.next().map_err(|error| SpoolError::from_disk(&error))? {
                    None => break,
                    Some(Found::Damage { at, len, .. }) => {
                        tracing::error!(
                            segment = plan.segment,
                            at,
                            len,
                            "spool record was damaged on disk and is skipped"
                        );
                    }
                    Some(Found::Record { seq, .. }) if seq <= plan.after => {}
                    Some(Found::Record { seq, payload, .. }) => {
                        if !records.is_empty()
                            && (records.len() == records_max || bytes + payload.len() > bytes_max)
                        {
                            self.lock().cursor = Some(Cursor { after, segment: plan.segment, at });
                            return Ok(records);
                        }
                        bytes += payload.len();
                        after = seq;
                        records.push(Record { seq, payload: payload.to_vec() });
                    }
                }
            }
            after = plan.last_seq;
            self.lock().cursor = Some(Cursor { after, segment: plan.segment, at: plan.end });
        }
    }

    /// Removes the files of consumed segments; returns whether any went away.
    pub(super) fn remove_doomed(&self) -> bool {
        let doomed = std::mem::take(&mut self.lock().doomed);
        let count = doomed.len();
        let mut failed = Vec::new();
        for first_seq in doomed {
            let name = segment::file_name(first_seq);
            match self.disk.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(name, %error, "consumed spool segment was not removed yet");
                    failed.push(first_seq);
                }
                _ => {}
            }
        }
        let removed = failed.len() < count;
        if removed && let Err(error) = self.disk.sync_dir() {
            // It may come back after a crash; the consumer's position removes it again.
            tracing::warn!(%error, "removal of a spool segment was not synced");
        }
        self.lock().doomed.extend(failed);
        removed
    }
}
