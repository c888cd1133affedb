//! Learning analytics: from what learners do to progress, mastery, milestones, and who is stuck and on what.
//!
//! This is the computing alone: no I/O, and no state but that of the values here. Invariants:
//! - What is folded from a set of events does not depend on the order in which they arrive. Each event is to be folded
//!   once; who folds knows which events are new.
//! - An event costs a constant number of steps, and what is kept of a learner and a skill has a constant size.
//! - A verdict about a learner comes with its reasons, and with the ids of the events that are the reasons.
//!
//! ```
//! use belvedere_learning_analytics::history::{EventKey, ItemKey, Step};
//! use belvedere_learning_analytics::mastery::{Counts, Items, LearnerHistory, SkillHistory, estimate};
//! use belvedere_learning_analytics::struggling::{Verdict, judge};
//!
//! /// A project of which nothing is known yet.
//! struct New;
//!
//! impl Items for New {
//!     fn counts(&self, _: ItemKey) -> Counts {
//!         Counts::default()
//!     }
//! }
//!
//! let (mut learner, mut loops) = (LearnerHistory::default(), SkillHistory::default());
//! for number in 0..10 {
//!     let attempt = Step {
//!         at_micros: number * 60_000_000,
//!         event: EventKey::of(&format!("attempt-{number}")),
//!         item: ItemKey::exercise("rust", &format!("loop-{number}")),
//!         is_correct: false,
//!         seconds: Some(40.0),
//!     };
//!     learner.add(attempt);
//!     loops.add_attempt(attempt);
//! }
//! let skill = ItemKey::skill("loops");
//! assert!(estimate(&New, &learner, &[(skill, &loops)], skill).probability < 0.25);
//! let struggle = judge(&New, &loops);
//! assert_eq!(struggle.verdict, Verdict::Struggling);
//! let reasons: Vec<&str> = struggle.factors.iter().map(|factor| factor.reason.as_str()).collect();
//! assert!(reasons.contains(&"ten exercises were tried without three right answers in a row"));
//! ```

pub mod history;
pub mod items;
pub mod mastery;
pub mod milestones;
pub mod progress;
pub mod struggling;
