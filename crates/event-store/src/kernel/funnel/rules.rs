use crate::kernel::filter::Filter;

/// Exclusions that a funnel can have.
pub const EXCLUSIONS_MAX: usize = 10;

/// What is asked of the steps of a funnel beyond being reached.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FunnelRules {
    /// In which order.
    pub mode: FunnelMode,
    /// The places, from 0, of steps that may be left out, ascending; not the first, and only in the ordered mode.
    ///
    /// An optional step is reached by whoever reaches it after the steps before it that are not optional. It holds back
    /// none of the steps after it, and may happen after them.
    pub optional: Vec<usize>,
    /// What must not happen between steps; at most [`EXCLUSIONS_MAX`], and only in the ordered mode.
    pub exclusions: Vec<Exclusion>,
}

/// In which order the steps of a funnel are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FunnelMode {
    /// One after the other, whatever else happens between.
    #[default]
    Ordered,
    /// One directly after the other: events of one subject that follow each other, with no other event of any kind
    /// between them. Among events of the same millisecond the order in which they are stored counts.
    Strict,
    /// In any order: step `k` is reached by whoever has `k` different events that serve `k` different steps, the last at
    /// most a window after the first, and the first within the time of entries.
    ///
    /// Its times are those with which it first reached that many: of the first events from which it is reached at that
    /// moment the latest, and then each number of steps at the earliest moment.
    Unordered,
}

/// What ends an attempt.
///
/// An attempt that has an excluded event after its step `after` and before its step `before`, or before the last step
/// that it reaches if that comes first, does not count from that event on. Both limits are meant strictly: an excluded
/// event of the same millisecond as a step lies neither before nor after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Exclusion {
    /// What must not happen.
    pub events: Filter,
    /// The place of the step after which, from 0.
    pub after: usize,
    /// The place of the step before which.
    pub before: usize,
}

impl FunnelRules {
    /// Whether the rules fit that many steps; if not, which of their fields does not and why.
    ///
    /// # Errors
    /// The name of the field and what is wrong with it.
    pub fn check(&self, steps: usize) -> Result<(), (&'static str, &'static str)> {
        let refuse = |is_wrong: bool, field, why| if is_wrong { Err((field, why)) } else { Ok(()) };
        let is_ordered = self.mode == FunnelMode::Ordered;
        refuse(!is_ordered && !self.optional.is_empty(), "optional", "steps need the ordered mode")?;
        refuse(!is_ordered && !self.exclusions.is_empty(), "exclusions", "need the ordered mode")?;
        refuse(self.optional.first() == Some(&0), "optional", "the first step cannot be left out")?;
        refuse(!self.optional.is_sorted_by(|a, b| a < b), "optional", "steps must ascend")?;
        refuse(self.optional.last().is_some_and(|last| *last >= steps), "optional", "there is no such step")?;
        refuse(self.exclusions.len() > EXCLUSIONS_MAX, "exclusions", "are more than 10")?;
        for Exclusion { after, before, .. } in &self.exclusions {
            refuse(after >= before, "exclusions", "must lie after one step and before a later one")?;
            refuse(*before >= steps, "exclusions", "there is no such step")?;
            let is_optional = self.optional.contains(after) || self.optional.contains(before);
            refuse(is_optional, "exclusions", "cannot begin or end at an optional step")?;
        }
        Ok(())
    }
}
