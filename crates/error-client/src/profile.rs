//! What a transaction used of the processor.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sentry::TransactionOrSpan;
use sentry::protocol::Value;

use crate::sampling::is_profiled;

/// Processor time and turns of one transaction: for a future one turn each time that it is resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Profile {
    processor: Duration,
    longest: Duration,
    turns: u32,
}

impl Profile {
    /// A profile of the transaction `span`, if it is among those that are profiled.
    #[expect(
        deprecated,
        reason = "exact where tracing is switched on, as it is in every client of this crate"
    )]
    pub(crate) fn of(span: &TransactionOrSpan, rate: f32) -> Option<Self> {
        if !span.is_sampled() {
            return None;
        }
        let digits = span.get_trace_context().trace_id.to_string();
        let trace_id = u128::from_str_radix(&digits, 16).unwrap_or_default().to_be_bytes();
        is_profiled(rate, trace_id).then(Self::default)
    }

    /// Runs one turn, which stays on its thread.
    pub(crate) fn turn<T>(profile: &mut Option<Self>, turn: impl FnOnce() -> T) -> T {
        let Some(profile) = profile else { return turn() };
        let before = thread_time();
        let result = turn();
        let took = thread_time().saturating_sub(before);
        profile.processor += took;
        profile.longest = profile.longest.max(took);
        profile.turns = profile.turns.saturating_add(1);
        result
    }

    /// Writes the profile into its span.
    pub(crate) fn write(self, span: &TransactionOrSpan) {
        span.set_data("profile.processor_ms", Value::from(milliseconds(self.processor)));
        span.set_data("profile.longest_turn_ms", Value::from(milliseconds(self.longest)));
        span.set_data("profile.turns", Value::from(self.turns));
    }
}

/// Milliseconds with three decimals.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// The processor time of this thread.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_counted_and_their_processor_time_summed() {
        let mut profile = Some(Profile::default());
        for _ in 0..3 {
            Profile::turn(&mut profile, || {
                std::hint::black_box((0..200_000_u64).map(|it| it * it).sum::<u64>())
            });
        }
        let profile = profile.unwrap();
        assert_eq!(profile.turns, 3);
        assert!(profile.longest > Duration::ZERO && profile.processor >= profile.longest, "{profile:?}");
        let mut nothing = None;
        assert_eq!(Profile::turn(&mut nothing, || 7), 7);
        assert_eq!(nothing, None);
    }
}
