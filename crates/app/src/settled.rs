//! Until when everything that was accepted is digested: what is missing before that is missing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use belvedere_intake::{Intake, IntakeLogService};
use belvedere_kernel::Clock;
use belvedere_storage::{StorageError, Timestamp};

use crate::App;

/// How many marks are remembered; one is set a minute.
const MARKS_MAX: usize = 240;

/// Watches the queue before the digestion.
pub(crate) struct Settled {
    clock: Arc<dyn Clock>,
    log: Arc<IntakeLogService>,
    /// The door, where this process has the only one.
    door: Option<Door>,
}

struct Door {
    intake: Arc<Intake>,
    open_since: Timestamp,
    marks: Mutex<Marks>,
}

/// At which instants the queue had grown up to which number.
#[derive(Debug)]
struct Marks {
    settled: Timestamp,
    open: VecDeque<(Timestamp, u64)>,
}

impl Settled {
    pub(crate) fn new(app: &App) -> Self {
        let now = app.clock.now();
        let door = app.intake.clone().map(|intake| Door {
            intake,
            open_since: now,
            marks: Mutex::new(Marks { settled: now, open: VecDeque::new() }),
        });
        Self { clock: Arc::clone(&app.clock), log: app.intake_log.clone(), door }
    }

    pub(crate) fn door_open_since(&self) -> Option<Timestamp> {
        self.door.as_ref().map(|door| door.open_since)
    }

    /// The instant.
    pub(crate) async fn until(&self) -> Result<Timestamp, StorageError> {
        let now = self.clock.now();
        let Some(door) = &self.door else {
            // Of several doors it is known what they have handed over.
            return Ok(self.log.oldest_waiting().await?.map_or(now, |oldest| oldest.min(now)));
        };
        let depth = door.intake.depth();
        let mut marks = door.marks.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(marks.mark(now, depth.durable_seq, depth.oldest_seq))
    }
}

impl Marks {
    /// Marks that the queue goes up to `last` now, and forgets the marks before `oldest`, the first that waits.
    fn mark(&mut self, now: Timestamp, last: u64, oldest: Option<u64>) -> Timestamp {
        self.open.push_back((now, last));
        while let Some((at, _)) =
            self.open.pop_front_if(|(_, last)| oldest.is_none_or(|oldest| *last < oldest))
        {
            self.settled = at;
        }
        if self.open.len() > MARKS_MAX {
            // A middle one: the newest and the oldest say the most.
            self.open.remove(MARKS_MAX / 2);
        }
        self.settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_as_far_as_the_queue_is_digested() {
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
        let mut marks = Marks { settled: at(0), open: VecDeque::new() };
        assert_eq!(marks.mark(at(60), 10, None), at(60));
        assert_eq!(marks.mark(at(120), 20, Some(15)), at(60));
        assert_eq!(marks.mark(at(180), 30, Some(20)), at(60));
        assert_eq!(marks.mark(at(240), 40, Some(21)), at(120));
        assert_eq!(marks.mark(at(300), 50, Some(50)), at(240));
        assert_eq!(marks.mark(at(360), 50, None), at(360));
        for minute in 7..1_000 {
            assert_eq!(marks.mark(at(minute * 60), 100, Some(60)), at(360));
        }
        assert_eq!(marks.open.len(), MARKS_MAX);
    }
}
