//! One subject on its way through the steps of a funnel.

use crate::kernel::funnel::chains::Chains;
use crate::kernel::funnel::rules::{FunnelMode, FunnelRules};
use crate::kernel::funnel::strict::Strict;
use crate::kernel::funnel::unordered::Unordered;

/// An event of the subject, in time order.
pub(crate) struct Visit {
    pub(crate) time_ms: i64,
    /// The steps that it can serve, then the exclusions that it is of.
    pub(crate) mask: u32,
    /// 1 within the time of entries, less before, more after.
    pub(crate) region: u32,
}

/// What follows one subject.
pub(crate) struct Trackers {
    steps: u32,
    of_steps: u32,
    of_exclusions: u32,
    /// Steps that must be reached, by their places.
    required: Vec<usize>,
    main: Tracker,
    /// For each optional step, the steps that must be reached before it and that step; and who follows them.
    optional: Vec<(Vec<usize>, Chains)>,
}

enum Tracker {
    Ordered(Chains),
    Strict(Strict),
    Unordered(Unordered),
}

impl Trackers {
    pub(crate) fn new(steps: usize, window_ms: i64, rules: &FunnelRules) -> Self {
        let required: Vec<usize> = (0..steps).filter(|step| !rules.optional.contains(step)).collect();
        let chains = |steps: &[usize]| {
            let place = |step: usize| steps.iter().position(|it| *it == step).unwrap_or(steps.len());
            let spans = rules.exclusions.iter().map(|it| place(it.after)..place(it.before));
            Chains::new(steps.len(), window_ms, spans.collect())
        };
        let optional = rules.optional.iter().map(|&step| {
            let before = required.iter().copied().filter(|it| *it < step);
            let steps: Vec<usize> = before.chain([step]).collect();
            let chains = chains(&steps);
            (steps, chains)
        });
        let optional = optional.collect();
        let main = match rules.mode {
            FunnelMode::Ordered => Tracker::Ordered(chains(&required)),
            FunnelMode::Strict => Tracker::Strict(Strict::new(steps, window_ms)),
            FunnelMode::Unordered => Tracker::Unordered(Unordered::new(steps, window_ms)),
        };
        let (of_steps, of_exclusions) = ((1_u32 << steps) - 1, (1_u32 << rules.exclusions.len()) - 1);
        Self { steps: steps as u32, of_steps, of_exclusions, required, main, optional }
    }

    /// Begins with the next subject.
    pub(crate) fn clear(&mut self) {
        match &mut self.main {
            Tracker::Ordered(chains) => chains.clear(),
            Tracker::Strict(strict) => strict.clear(),
            Tracker::Unordered(unordered) => unordered.clear(),
        }
        self.optional.iter_mut().for_each(|(_, chains)| chains.clear());
    }

    #[inline]
    pub(crate) fn take(&mut self, visit: Visit) {
        let Visit { time_ms, region, mask } = visit;
        // Step 1 only counts within its range, which is region 1.
        let steps = mask & self.of_steps & !u32::from(region != 1);
        match &mut self.main {
            Tracker::Ordered(chains) if self.optional.is_empty() => {
                let excluded = mask >> self.steps & self.of_exclusions;
                if steps | excluded != 0 {
                    chains.take(time_ms, steps, excluded);
                }
            }
            Tracker::Ordered(chains) => {
                let excluded = mask >> self.steps & self.of_exclusions;
                chains.take(time_ms, picked(steps, &self.required), excluded);
                for (own, chains) in &mut self.optional {
                    chains.take(time_ms, picked(steps, own), excluded);
                }
            }
            Tracker::Strict(strict) => strict.take(time_ms, steps),
            Tracker::Unordered(unordered) => {
                if mask & self.of_steps != 0 && region > 0 {
                    unordered.take(time_ms, mask & self.of_steps, region == 1);
                }
            }
        }
    }

    /// Whether no event after that time changes anything.
    #[inline]
    pub(crate) fn is_done(&self, time_ms: i64) -> bool {
        let is_done = |times: &[i64], steps| times.len() == steps && times.last() < Some(&time_ms);
        let main = match &self.main {
            Tracker::Ordered(chains) => is_done(chains.furthest(), self.required.len()),
            Tracker::Strict(strict) => is_done(strict.times(), self.steps as usize),
            Tracker::Unordered(unordered) => is_done(unordered.times(), self.steps as usize),
        };
        main && self.optional.iter().all(|(steps, chains)| is_done(chains.furthest(), steps.len()))
    }

    /// When the furthest step was reached that is not optional; none if not even the first was.
    pub(crate) fn finish(&mut self) -> Option<i64> {
        if let Tracker::Ordered(chains) = &mut self.main {
            chains.settle();
        }
        self.optional.iter_mut().for_each(|(_, chains)| chains.settle());
        self.main_times().last().copied()
    }

    fn main_times(&self) -> &[i64] {
        match &self.main {
            Tracker::Ordered(chains) => chains.furthest(),
            Tracker::Strict(strict) => strict.times(),
            Tracker::Unordered(unordered) => unordered.times(),
        }
    }

    /// Hands over the steps that were reached, with the time since the step before.
    pub(crate) fn reached(&self, mut take: impl FnMut(usize, Option<i64>)) {
        let times = self.main_times();
        let since = |times: &[i64], at: usize| {
            let before = times.get(at.checked_sub(1)?)?;
            times.get(at).map(|time| time - before)
        };
        for (at, step) in self.required.iter().enumerate().take(times.len()) {
            take(*step, since(times, at));
        }
        for (steps, chains) in &self.optional {
            let times = chains.furthest();
            if let (true, Some(step)) = (times.len() == steps.len(), steps.last()) {
                take(*step, since(times, times.len() - 1));
            }
        }
    }
}

/// The bits of some steps, in their order.
fn picked(mask: u32, steps: &[usize]) -> u32 {
    steps.iter().enumerate().fold(0, |picked, (at, step)| picked | (mask >> step & 1) << at)
}
