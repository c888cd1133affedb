use std::time::Duration;

use belvedere_kernel::{Tasks, error_chain};
use belvedere_storage::{Id, StorageError, Timestamp, Tx};

use crate::model::{NewJob, Schedule, ScheduleState, When};
use crate::{JobQueue, JobsError, store};

const LEASE: &str = "scheduler";
const LEASE_LENGTH: Duration = Duration::from_secs(30);
/// How often the scheduler looks at the clock.
const TICK: Duration = Duration::from_secs(1);
/// A slot that lies further ahead than this was used under a clock that was wrong.
const AHEAD_MAX: Duration = Duration::from_secs(7 * 86_400);

/// Enqueues the jobs of schedules when their time has come; one process at a time does, under a lease.
///
/// Time is divided into slots: multiples of an interval since 1970, or a time of each UTC day. The database remembers the
/// newest slot that a schedule has used, and the slot moves in the transaction that enqueues the job. From that follows:
///
/// - A schedule that is new waits for its next slot.
/// - After a pause (process down, clock set forward) the schedule runs once, not once per missed slot.
/// - A clock that is set back does not repeat a slot: nothing runs until the clock has passed the newest slot again. Only
///   when that slot lies more than 7 days ahead is the clock believed and the slot forgotten, so that one moment in a
///   wrong century does not end a schedule for ever.
/// - Daylight saving changes nothing, as slots are UTC.
/// - Of two processes that both believe to hold the lease, one moves the slot, the other finds it moved.
/// - A job of the previous slot that still waits is not joined by a second one (unless the job has a key of its own).
pub struct Scheduler {
    queue: JobQueue,
    schedules: Vec<Schedule>,
    holder: Id<()>,
}

impl Scheduler {
    /// A scheduler of `schedules`, whose names must differ.
    #[must_use]
    pub fn new(queue: JobQueue, schedules: Vec<Schedule>) -> Self {
        let holder = Id::generate(queue.clock.now());
        Self { queue, schedules, holder }
    }

    /// Watches the clock until `tasks` are told to stop, then gives up the lease.
    pub async fn run(self, tasks: Tasks) {
        let mut is_stalled = false;
        while !tasks.is_stopped() {
            let ticked = self.tick().await;
            if is_stalled != ticked.is_err() {
                is_stalled = ticked.is_err();
                match &ticked {
                    Err(error) => {
                        tracing::warn!(error = error_chain(error), "schedules cannot be kept, trying on")
                    }
                    Ok(_) => tracing::info!("schedules are kept again"),
                }
            }
            tokio::select! {
                () = tasks.stopped() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
        let release = async |tx: &Tx| store::drop_lease(tx, LEASE, self.holder).await;
        if let Err(error) = self.queue.db.write::<_, StorageError, _>(release).await {
            tracing::warn!(
                error = error_chain(&error),
                "the scheduler's lease was not given up, it will run out"
            );
        }
    }

    /// Looks at the clock once; returns how many jobs were enqueued.
    pub(crate) async fn tick(&self) -> Result<usize, JobsError> {
        let now = self.queue.clock.now();
        let states = store::list_schedules(self.queue.db.read()).await?;
        let moves: Vec<Move<'_>> =
            self.schedules.iter().filter_map(|schedule| due(schedule, &states, now)).collect();
        let lease = store::find_lease(self.queue.db.read(), LEASE).await?;
        if moves.is_empty() && !needs_renewal(lease, self.holder, now) {
            return Ok(0);
        }
        let work = async |tx: &Tx| {
            if !store::take_lease(tx, LEASE, self.holder, now, now.plus(LEASE_LENGTH)).await? {
                return Ok(0);
            }
            let mut enqueued = 0;
            for step in &moves {
                enqueued += usize::from(self.apply_in(tx, step).await?);
            }
            Ok::<_, JobsError>(enqueued)
        };
        self.queue.db.write(work).await
    }

    /// Returns whether a job was enqueued.
    async fn apply_in(&self, tx: &Tx, step: &Move<'_>) -> Result<bool, JobsError> {
        let state = ScheduleState {
            name: step.schedule.name.to_owned(),
            slot: step.slot,
            next_run_at: step.next_run_at,
        };
        let Some(was) = step.was else {
            store::insert_schedule(tx, &state).await?;
            return Ok(false);
        };
        if !store::move_schedule(tx, was, &state).await? || !step.runs {
            return Ok(false);
        }
        let job = step.schedule.job.clone();
        let key = job.key.unwrap_or_else(|| format!("schedule:{}", state.name));
        self.queue.enqueue_in(tx, NewJob { run_at: None, key: Some(key), ..job }).await?;
        Ok(true)
    }
}

/// What is to be done about a schedule now.
struct Move<'a> {
    schedule: &'a Schedule,
    was: Option<Timestamp>,
    slot: Timestamp,
    next_run_at: Timestamp,
    runs: bool,
}

fn due<'a>(schedule: &'a Schedule, states: &[ScheduleState], now: Timestamp) -> Option<Move<'a>> {
    let (slot, next_run_at) = slot_at(schedule.when, now);
    let step = Move { schedule, was: None, slot, next_run_at, runs: false };
    let Some(state) = states.iter().find(|state| state.name == schedule.name) else { return Some(step) };
    if state.slot < slot {
        return Some(Move { was: Some(state.slot), runs: true, ..step });
    }
    if state.slot > now.plus(AHEAD_MAX) {
        tracing::warn!(schedule = schedule.name, slot = %state.slot, "the clock went far back; the schedule starts over");
        return Some(Move { was: Some(state.slot), ..step });
    }
    None
}

/// The newest slot at or before `now`, and the one after it.
fn slot_at(when: When, now: Timestamp) -> (Timestamp, Timestamp) {
    let (period, offset) = match when {
        When::Every(period) => (period.max(Duration::from_secs(1)), 0),
        When::DailyAtUtc { hour, minute } => {
            (Duration::from_secs(86_400), (i64::from(hour % 24) * 60 + i64::from(minute % 60)) * 60_000_000)
        }
    };
    let micros = i64::try_from(period.as_micros()).unwrap_or(i64::MAX);
    let slot = Timestamp::from_micros((now.as_micros() - offset).div_euclid(micros) * micros + offset);
    (slot, slot.plus(period))
}

/// Whether the lease is free, or ours and past a third of its length; somebody else's is left alone, and so a
/// process without the lease writes nothing.
fn needs_renewal(lease: Option<(Id<()>, Timestamp)>, holder: Id<()>, now: Timestamp) -> bool {
    match lease {
        None => true,
        Some((by, until)) if by == holder => until < now.plus(LEASE_LENGTH * 2 / 3),
        Some((_, until)) => until <= now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn intervals_are_cut_from_1970_and_days_at_their_time() {
        let now = at("2026-11-23T12:34:56.789Z");
        let slots = |when| slot_at(when, now);
        assert_eq!(
            slots(When::Every(Duration::from_secs(900))),
            (at("2026-11-23T12:30:00Z"), at("2026-11-23T12:45:00Z"))
        );
        assert_eq!(
            slots(When::DailyAtUtc { hour: 3, minute: 15 }),
            (at("2026-11-23T03:15:00Z"), at("2026-11-24T03:15:00Z"))
        );
        assert_eq!(
            slots(When::DailyAtUtc { hour: 12, minute: 35 }),
            (at("2026-11-22T12:35:00Z"), at("2026-11-23T12:35:00Z"))
        );
        assert_eq!(slots(When::Every(Duration::ZERO)).0, at("2026-11-23T12:34:56Z"));
    }

    #[test]
    fn a_slot_begins_exactly_on_its_instant() {
        let when = When::DailyAtUtc { hour: 3, minute: 0 };
        assert_eq!(slot_at(when, at("2026-11-23T03:00:00Z")).0, at("2026-11-23T03:00:00Z"));
        assert_eq!(slot_at(when, at("2026-11-23T02:59:59.999999Z")).0, at("2026-11-22T03:00:00Z"));
    }
}
