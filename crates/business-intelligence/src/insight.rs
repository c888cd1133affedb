//! Insights: questions worth keeping, boards that show several at once, links by which others see a board, and cohorts
//! of people to ask about by themselves.
//!
//! Invariants:
//! - A question is kept, never its answer: what is erased, or comes late, shows in every insight at once.
//! - Whoever has a link sees numbers of one board, no row about fewer than [`PEOPLE_MIN`] people, and nobody.
//! - A static cohort holds numbers that stand for subjects in the event store, no subjects; whoever is erased leaves it.

mod answer;
mod boards;
mod cohort;
mod cohorts;
mod insights;
mod members;
mod model;
mod question;
mod trend;
mod words;

use std::sync::Arc;

use async_trait::async_trait;
use belvedere_event_store::kernel::subject_set::SubjectSet;
use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;

use crate::{BusinessError, ChangedBy};

pub use answer::{Answer, Asking, GROUPS_MAX, PATH_GAP, PATH_STEPS, PEOPLE_MIN};
pub use boards::{BOARDS_MAX, LINKS_MAX, TILES_MAX};
pub use cohort::{
    CONDITIONS_MAX, Cohort, CohortChange, CohortId, CohortSize, Condition, DAYS_MAX, DidCondition,
    DidNotCondition, MEMBERS_MAX, Matching, NewCohort, Often, PropertyCondition, PropertyOp, Rule, SIZE_MIN,
    TIMES_MAX, WEEKS,
};
pub use cohorts::COHORTS_MAX;
pub use insights::{INSIGHTS_MAX, NAME_CHARS_MAX};
pub use model::{
    Board, BoardChange, BoardId, Insight, InsightChange, InsightId, Link, LinkId, LinkSecret, NewInsight,
    SharedBoard, Tile, TileWidth,
};
pub use question::{
    Beginning, DAYS, Every, FunnelQuestion, PathQuestion, Question, RetentionQuestion, Return, STEPS_MAX,
    WINDOWS_DAYS, Way,
};
pub use trend::{Counted, Line, Lines, SERIES_MAX, SeriesQuestion, TrendQuestion, letter};

pub(crate) use cohort::{decode, encode};
pub(crate) use insights::user;
pub(crate) use members::CohortData;

/// Questions worth keeping. Every change is an audit entry.
///
/// # Errors
/// Every call: [`BusinessError::Invalid`] with the field that is wrong or beyond a limit, [`BusinessError::NotFound`] for
/// what is not in the project, or a storage error; then nothing was changed.
#[async_trait]
pub trait Insights: Send + Sync {
    /// All of a project, by name; at most [`INSIGHTS_MAX`].
    async fn list_insights(&self, project: ProjectId) -> Result<Vec<Insight>, BusinessError>;

    /// One of them.
    async fn find_insight(&self, project: ProjectId, id: InsightId) -> Result<Insight, BusinessError>;

    /// Keeps a question.
    async fn create_insight(
        &self,
        project: ProjectId,
        new: NewInsight,
        by: &ChangedBy,
    ) -> Result<Insight, BusinessError>;

    /// Changes its name or what it asks.
    async fn change_insight(
        &self,
        project: ProjectId,
        id: InsightId,
        change: InsightChange,
        by: &ChangedBy,
    ) -> Result<Insight, BusinessError>;

    /// Deletes one, and takes it off all boards.
    async fn delete_insight(
        &self,
        project: ProjectId,
        id: InsightId,
        by: &ChangedBy,
    ) -> Result<(), BusinessError>;
}

/// Boards of insights, and the links to them. Every change is an audit entry.
///
/// # Errors
/// As [`Insights`].
#[async_trait]
pub trait Boards: Send + Sync {
    /// All of a project, by name; at most [`BOARDS_MAX`].
    async fn list_boards(&self, project: ProjectId) -> Result<Vec<Board>, BusinessError>;

    /// One of them.
    async fn find_board(&self, project: ProjectId, id: BoardId) -> Result<Board, BusinessError>;

    /// Makes a board.
    async fn create_board(
        &self,
        project: ProjectId,
        name: &str,
        tiles: Vec<Tile>,
        by: &ChangedBy,
    ) -> Result<Board, BusinessError>;

    /// Changes its name, or its tiles all at once.
    async fn change_board(
        &self,
        project: ProjectId,
        id: BoardId,
        change: BoardChange,
        by: &ChangedBy,
    ) -> Result<Board, BusinessError>;

    /// Adds an insight at the end of a board; one that is there stays where it is.
    async fn pin_insight(
        &self,
        project: ProjectId,
        id: BoardId,
        tile: Tile,
        by: &ChangedBy,
    ) -> Result<Board, BusinessError>;

    /// Deletes a board and its links; the insights stay.
    async fn delete_board(
        &self,
        project: ProjectId,
        id: BoardId,
        by: &ChangedBy,
    ) -> Result<(), BusinessError>;

    /// The links to a board, the oldest first, those that have expired as well; at most [`LINKS_MAX`].
    async fn list_links(&self, project: ProjectId, board: BoardId) -> Result<Vec<Link>, BusinessError>;

    /// Makes a link to a board; the secret is told this once.
    async fn create_link(
        &self,
        project: ProjectId,
        board: BoardId,
        expires_at: Option<Timestamp>,
        by: &ChangedBy,
    ) -> Result<(Link, LinkSecret), BusinessError>;

    /// Revokes a link: it shows nothing from now on.
    async fn revoke_link(
        &self,
        project: ProjectId,
        board: BoardId,
        link: LinkId,
        by: &ChangedBy,
    ) -> Result<(), BusinessError>;

    /// The board that a link shows; none for a link that is unknown, revoked or expired, and for a wrong secret. Takes
    /// as long for any two secrets.
    async fn find_shared(&self, link: LinkId, secret: &str) -> Result<Option<SharedBoard>, BusinessError>;
}

/// People with something in common. Every change is an audit entry; a count changes nothing but the size that lists tell.
///
/// # Errors
/// As [`Insights`], and what the event store says.
#[async_trait]
pub trait Cohorts: Send + Sync {
    /// All of a project, by name; at most [`COHORTS_MAX`]. Their sizes are those of the last count.
    async fn list_cohorts(&self, project: ProjectId) -> Result<Vec<Cohort>, BusinessError>;

    /// One of them, as it was last counted.
    async fn find_cohort(&self, project: ProjectId, id: CohortId) -> Result<Cohort, BusinessError>;

    /// Makes a cohort, and counts it.
    async fn create_cohort(
        &self,
        project: ProjectId,
        new: NewCohort,
        by: &ChangedBy,
    ) -> Result<Cohort, BusinessError>;

    /// Changes its name, or the rule of a live one, which is counted anew.
    async fn change_cohort(
        &self,
        project: ProjectId,
        id: CohortId,
        change: CohortChange,
        by: &ChangedBy,
    ) -> Result<Cohort, BusinessError>;

    /// Deletes one. What asks about it has no answer from then on.
    async fn delete_cohort(
        &self,
        project: ProjectId,
        id: CohortId,
        by: &ChangedBy,
    ) -> Result<(), BusinessError>;

    /// Counts a live cohort at this moment; the next list has the new size.
    async fn count_cohort(&self, project: ProjectId, id: CohortId) -> Result<Cohort, BusinessError>;

    /// How many people a live cohort had at the end of each of the last [`WEEKS`] weeks, by its rule of now; the present
    /// week up to now. At most ten minutes old; empty for a static one, which does not change.
    async fn list_sizes(&self, project: ProjectId, id: CohortId) -> Result<Vec<CohortSize>, BusinessError>;

    /// Who is in it at this moment, by the numbers of the event store.
    async fn find_people(&self, project: ProjectId, id: CohortId) -> Result<Arc<SubjectSet>, BusinessError>;
}
