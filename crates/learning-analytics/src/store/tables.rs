//! The tables that know a subject.

/// What follows from events alone.
pub(super) const STATES: [&str; 4] =
    ["learning_learner", "learning_progress", "learning_exercise", "learning_skill"];

/// Every table with a row of a learner.
pub(super) const OF_SUBJECTS: [&str; 6] = [
    "learning_learner",
    "learning_progress",
    "learning_exercise",
    "learning_skill",
    "learning_milestone",
    "learning_flag",
];
