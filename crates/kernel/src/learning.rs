use async_trait::async_trait;
use belvedere_storage::{StorageError, Timestamp};

use crate::{ProjectId, SubjectId};

/// Who struggles at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StrugglingNumbers {
    /// Learners who struggle with at least one skill.
    pub learners: u64,
    /// Skills that most of them struggle with, and how many do; at most 10, and none with fewer than five.
    pub areas: Vec<(String, u64)>,
    /// Those who were noticed last, with all skills that they struggle with; at most 20.
    pub latest: Vec<(SubjectId, Vec<String>)>,
}

/// A number about what learners did, with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimated {
    /// The number.
    pub value: f64,
    /// The lower and the upper end of the interval; none for too few learners.
    pub interval: Option<(f64, f64)>,
    /// How many observations it is made of.
    pub count: u64,
    /// How many learners these are of; at least five.
    pub learners: u64,
}

/// How a tutor does in a period. A number of fewer than five learners is none.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct TutorNumbers {
    /// One learner of so many was looked at; all numbers are theirs.
    pub one_of: u64,
    /// Conversations that began in it.
    pub conversations: u64,
    /// Conversations of a learner who had any.
    pub interactions_per_learner: Option<Estimated>,
    /// The share of conversations whose problem was solved in time, of those of which it is known.
    pub resolution_rate: Option<Estimated>,
    /// The share of ratings that are 4 or 5.
    pub satisfaction: Option<Estimated>,
    /// By how much help raises the share that is solved: given less withheld by a draw; none where none was drawn.
    pub effect: Option<Estimated>,
}

/// What the slice of learning knows of learners, as numbers for those who look at the whole.
#[async_trait]
pub trait LearningNumbers: Send + Sync {
    /// Who struggles at this moment.
    ///
    /// # Errors
    /// A storage error.
    async fn find_struggling(&self, project: ProjectId) -> Result<StrugglingNumbers, StorageError>;

    /// How the tutor does in a period, of which the last 90 days count; none where there is no tutor, or where there are
    /// more events than a report goes through.
    ///
    /// # Errors
    /// A storage error.
    async fn find_tutor(
        &self,
        project: ProjectId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Option<TutorNumbers>, StorageError>;
}
