//! Learners whose tutor has a known effect: it must be found, nothing must be found where there is none, and who asks must
//! not be taken for what asking does.

use super::act::{About, Act, Acts, Message, Names, What};
use super::{Outcome, Period, TutorReport, report};
use crate::history::{EventKey, ItemKey};

/// Numbers that look random and are the same in every run (SplitMix64; Steele, Lea and Flood, 2014).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ number >> 31
    }

    /// From 0 to 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn is(&mut self, chance: f64) -> bool {
        self.unit() < chance
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Normally distributed (Box and Muller, 1958).
    pub(super) fn normal(&mut self) -> f64 {
        let (length, angle) = ((1.0 - self.unit()).ln() * -2.0, self.unit() * std::f64::consts::TAU);
        length.sqrt() * angle.cos()
    }
}

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;
const EXERCISES: usize = 25;
const SKILLS: usize = 5;

/// What is simulated.
struct Setting {
    /// What help adds to the log-odds of the next and the delayed attempt.
    effect: f64,
    /// Whether those ask above all who were right less often so far.
    is_confounded: bool,
    learners: u32,
}

struct Run {
    report: TutorReport,
    /// What help adds to the chance of the next attempt, over all who asked.
    truth: f64,
    /// The right next attempts after help, less those after wrong attempts without it.
    naive: f64,
}

struct World {
    acts: Vec<Act>,
    abouts: Vec<About>,
    difficulties: Vec<f64>,
    random: Random,
    truths: Vec<f64>,
    /// With help and without, how many next attempts there are and how many of them are right.
    naive: [(f64, f64); 2],
}

fn logistic(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

impl World {
    fn act(&mut self, learner: u32, at_micros: i64, exercise: usize, what: What) {
        let key = EventKey(self.acts.len() as u128);
        self.acts.push(Act { learner, at_micros, key, about: self.abouts[exercise], what });
    }

    /// An attempt with log-odds; whether it is right.
    fn attempt(&mut self, learner: u32, at: i64, exercise: usize, logit: f64) -> bool {
        let is_right = self.random.is(logistic(logit));
        self.act(learner, at, exercise, What::Attempt { is_right, error: 0 });
        is_right
    }

    /// Twenty exercises in twenty days, wrong ones once more; then five in the weeks after, where the tutor is there.
    fn learn(&mut self, learner: u32, setting: &Setting) {
        let ability = self.random.normal();
        let (mut tried, mut right) = (0.0, 0.0);
        for day in 0..20 {
            let exercise = self.random.below(EXERCISES as u64) as usize;
            let logit = ability - self.difficulties[exercise];
            let mut is_right = self.attempt(learner, day * DAY, exercise, logit);
            (tried, right) = (tried + 1.0, right + f64::from(u8::from(is_right)));
            if !is_right {
                is_right = self.attempt(learner, day * DAY + 20 * MINUTE, exercise, logit);
                (tried, right) = (tried + 1.0, right + f64::from(u8::from(is_right)));
                self.count(1, is_right);
            }
        }
        let ask = match setting.is_confounded {
            true if right / tried < 0.5 => 0.85,
            true => 0.15,
            false => 0.5,
        };
        for need in 0..5_usize {
            let exercise = need + SKILLS * self.random.below(5) as usize;
            let (at, logit) = ((21 + 2 * need as i64) * DAY, ability - self.difficulties[exercise]);
            if self.attempt(learner, at, exercise, logit) {
                continue;
            }
            let is_withheld = self.random.is(ask).then(|| self.random.is(0.5));
            if is_withheld.is_some() {
                let message = Message { is_withheld, withhold_share: Some(0.5), ..Message::default() };
                self.act(learner, at + 5 * MINUTE, exercise, What::Message(Box::new(message)));
                self.truths.push(logistic(logit + setting.effect) - logistic(logit));
            }
            let help = if is_withheld == Some(false) { setting.effect } else { 0.0 };
            let is_right = self.attempt(learner, at + 20 * MINUTE, exercise, logit + help);
            self.count(usize::from(is_withheld != Some(false)), is_right);
            // The same skill five days later, at another exercise.
            let later = (exercise + SKILLS) % EXERCISES;
            let logit = ability - self.difficulties[later] + help;
            self.attempt(learner, at + 5 * DAY, later, logit);
        }
    }

    fn count(&mut self, arm: usize, is_right: bool) {
        self.naive[arm].0 += 1.0;
        self.naive[arm].1 += f64::from(u8::from(is_right));
    }
}

fn simulate(seed: u64, setting: &Setting) -> Run {
    let mut names = Names::default();
    let about = |exercise: usize, names: &mut Names| About {
        exercise: Some(ItemKey(1_000 + exercise as i64)),
        skills: names.set(&[format!("skill {}", exercise % SKILLS)]),
    };
    let mut random = Random::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let mut world = World {
        acts: Vec::new(),
        abouts: (0..EXERCISES).map(|exercise| about(exercise, &mut names)).collect(),
        difficulties: (0..EXERCISES).map(|_| 0.7 * random.normal()).collect(),
        random,
        truths: Vec::new(),
        naive: [(0.0, 0.0); 2],
    };
    for learner in 1..=setting.learners {
        world.learn(learner, setting);
    }
    world.acts.sort_by_key(Act::order);
    let period =
        Period { from_micros: 0, until_micros: 50 * DAY, solve_micros: 30 * MINUTE, point_micros: 7 * DAY };
    let rate = |(all, right): (f64, f64)| right / all;
    Run {
        truth: world.truths.iter().sum::<f64>() / world.truths.len() as f64,
        naive: rate(world.naive[0]) - rate(world.naive[1]),
        report: report(&Acts { acts: world.acts, names, one_of: 1 }, &period),
    }
}

/// The means over many runs, and how many intervals have what is true.
#[derive(Debug, Default)]
struct Found {
    truth: f64,
    naive: f64,
    effect: f64,
    solved: f64,
    delayed: f64,
    observed: f64,
    effect_held: u32,
    observed_held: u32,
}

const RUNS: u32 = 50;

fn repeat(setting: &Setting) -> Found {
    let mut found = Found::default();
    let share = 1.0 / f64::from(RUNS);
    for seed in 1..=u64::from(RUNS) {
        let run = simulate(seed, setting);
        let hold_out = run.report.hold_out.as_ref().unwrap();
        let value = |place: usize| hold_out.effects[place].effect.unwrap();
        let observed = run.report.comparisons[0].difference.unwrap();
        let held = |it: super::Difference| u32::from(it.low <= run.truth && run.truth <= it.high);
        found.truth += share * run.truth;
        found.naive += share * run.naive;
        found.effect += share * value(0).value;
        found.solved += share * value(1).value;
        found.delayed += share * value(2).value;
        found.observed += share * observed.value;
        found.effect_held += held(value(0));
        found.observed_held += held(observed);
        assert_eq!(hold_out.effects[0].outcome, Outcome::NextAttempt);
        assert!(!hold_out.ratio.unwrap().is_off);
    }
    found
}

fn is_near(left: f64, right: f64, most: f64) -> bool {
    (left - right).abs() < most
}

#[test]
fn a_known_effect_is_recovered() {
    let found = repeat(&Setting { effect: 1.0, is_confounded: false, learners: 150 });
    assert!(found.truth > 0.15, "{found:?}");
    assert!(
        is_near(found.effect, found.truth, 0.02) && is_near(found.solved, found.truth, 0.02),
        "{found:?}"
    );
    assert!(is_near(found.delayed, found.truth, 0.03), "{found:?}");
    assert!(is_near(found.observed, found.truth, 0.03), "{found:?}");
    assert!(found.effect_held >= 45 && found.observed_held >= 45, "{found:?}");
}

#[test]
fn where_help_does_nothing_no_effect_is_found() {
    let found = repeat(&Setting { effect: 0.0, is_confounded: false, learners: 150 });
    assert!(is_near(found.effect, 0.0, 0.02) && is_near(found.observed, 0.0, 0.03), "{found:?}");
    assert!(found.effect_held >= 45 && found.observed_held >= 45, "{found:?}");
}

#[test]
fn who_asks_is_not_taken_for_what_asking_does() {
    let mut held = 0;
    for effect in [0.0, 1.0] {
        let found = repeat(&Setting { effect, is_confounded: true, learners: 150 });
        // Those who ask are weaker: without a look at what was expected, help seems to harm, or to do less.
        assert!(found.naive < found.truth - 0.05, "{found:?}");
        assert!(is_near(found.effect, found.truth, 0.02), "{found:?}");
        assert!(is_near(found.observed, found.truth, 0.03), "{found:?}");
        held += found.effect_held;
    }
    assert!(held >= 90, "{held} of 100");
}
