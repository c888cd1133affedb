//! Who is at risk of dropping out of a course: of those who were away for as long at the same stage of it, the share that
//! did not come back. No I/O.
//!
//! There is no model but the course's own history: the share is an empirical hazard, counted once a learner, with the
//! interval of Wilson ("Probable inference, the law of succession, and statistical inference", JASA 1927), and with too few
//! learners it says nothing.

use serde::Serialize;

/// After how many days without an event in the course learners are looked at.
pub const AWAY_DAYS: [i64; 4] = [3, 7, 14, 28];
/// Whoever does not come back within so many more days has dropped out.
pub const RETURN_DAYS: i64 = 28;
/// Into how many stages the required lessons of a course are divided.
pub const STAGES: usize = 4;
/// Of fewer learners nothing is said.
pub const LEARNERS_MIN: u64 = 20;
/// From this share on a learner is at risk.
pub const AT_RISK_FROM: f64 = 0.5;

/// The most learners of a course that are looked at, the first by number.
pub const LEARNERS_READ_MAX: usize = 100_000;
/// The most completions of lessons that are looked at.
pub const LESSONS_READ_MAX: usize = 1_000_000;

const DAY_MICROS: i64 = 86_400 * 1_000_000;

/// When a learner was in a course.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Presence {
    /// A number that only they have.
    pub learner: i64,
    /// When they completed the course, in microseconds since 1970, UTC.
    pub completed_micros: Option<i64>,
    /// Their visits in order: the first and the last event of each.
    pub visits: Vec<(i64, i64)>,
    /// When they completed each of the required lessons, in whatever order.
    pub lessons_micros: Vec<i64>,
}

impl Presence {
    /// In which quarter of the required lessons they are, 0 to 3.
    fn stage(&self, at: i64, lessons: usize) -> usize {
        let done = self.lessons_micros.iter().filter(|done| **done <= at).count();
        (done * STAGES).checked_div(lessons).unwrap_or(0).min(STAGES - 1)
    }
}

/// What became of those who were away at a stage.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Hazard {
    /// Learners who were away for so long at this stage, at least 28 days ago.
    pub learners: u64,
    /// Those of them who did not come back in the 28 days after.
    pub lost: u64,
}

impl Hazard {
    /// The share that did not come back; none for fewer than [`LEARNERS_MIN`] learners.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        (self.learners >= LEARNERS_MIN).then(|| self.lost as f64 / self.learners as f64)
    }

    /// The interval that has the share nineteen times of twenty.
    #[must_use]
    pub fn interval(&self) -> Option<(f64, f64)> {
        const Z: f64 = 1.959_963_984_540_054;
        let (share, count) = (self.share()?, self.learners as f64);
        let middle = share + Z * Z / (2.0 * count);
        let reach = Z * (share * (1.0 - share) / count + Z * Z / (4.0 * count * count)).sqrt();
        let whole = 1.0 + Z * Z / count;
        Some((((middle - reach) / whole).max(0.0), ((middle + reach) / whole).min(1.0)))
    }
}

/// Hazards by stage and by the place in [`AWAY_DAYS`].
pub type Hazards = [[Hazard; AWAY_DAYS.len()]; STAGES];

/// What the history of a course with so many required lessons says. A learner counts once at each stage and length: the
/// first time that they were away for so long.
#[must_use]
pub fn hazards(learners: &[Presence], lessons: usize, now_micros: i64) -> Hazards {
    let mut hazards = Hazards::default();
    for learner in learners {
        let mut was_counted = [[false; AWAY_DAYS.len()]; STAGES];
        let next = learner.visits.iter().skip(1).map(|(first, _)| Some(*first)).chain([None]);
        for ((_, last), next) in learner.visits.iter().zip(next) {
            let back = next.into_iter().chain(learner.completed_micros.filter(|at| at > last)).min();
            for (place, days) in AWAY_DAYS.into_iter().enumerate() {
                let at = last + days * DAY_MICROS;
                let until = at + RETURN_DAYS * DAY_MICROS;
                let is_away = back.is_none_or(|back| back > at);
                let is_over = learner.completed_micros.is_some_and(|done| done <= at);
                if !is_away || is_over || until > now_micros {
                    continue;
                }
                let stage = learner.stage(at, lessons);
                if std::mem::replace(&mut was_counted[stage][place], true) {
                    continue;
                }
                let hazard = &mut hazards[stage][place];
                hazard.learners += 1;
                hazard.lost += u64::from(back.is_none_or(|back| back > until));
            }
        }
    }
    hazards
}

/// A learner who has not completed the course and is away.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Away {
    /// The learner, as a number.
    pub learner: i64,
    /// Whole days since their last event in the course.
    pub days: i64,
    /// In which quarter of the required lessons they are, 0 to 3.
    pub stage: usize,
    /// For how many days those were away whom they are compared with.
    pub compared_days: i64,
    /// What became of those.
    pub hazard: Hazard,
}

impl Away {
    /// Whether half of those like them, or more, did not come back; none where too little is known.
    #[must_use]
    pub fn is_at_risk(&self) -> Option<bool> {
        self.hazard.share().map(|share| share >= AT_RISK_FROM)
    }
}

/// Who is away for three days and more: those of whom the most did not come back first.
#[must_use]
pub fn away(learners: &[Presence], lessons: usize, now_micros: i64) -> Vec<Away> {
    let hazards = hazards(learners, lessons, now_micros);
    let of = |learner: &Presence| {
        let (_, last) = learner.visits.last().filter(|_| learner.completed_micros.is_none())?;
        let days = (now_micros - last).div_euclid(DAY_MICROS);
        let place = AWAY_DAYS.iter().rposition(|away| *away <= days)?;
        let stage = learner.stage(now_micros, lessons);
        let (compared_days, hazard) = (AWAY_DAYS[place], hazards[stage][place]);
        Some(Away { learner: learner.learner, days, stage, compared_days, hazard })
    };
    let mut away: Vec<Away> = learners.iter().filter_map(of).collect();
    let share = |it: &Away| it.hazard.share().unwrap_or(-1.0);
    away.sort_by(|left, right| share(right).total_cmp(&share(left)).then(left.learner.cmp(&right.learner)));
    away
}
