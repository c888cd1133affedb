//! The words that all slices share, and the traits through which they meet without knowing each other.
//!
//! Nothing here does I/O of its own. `App::init` collects the implementations and hands them to whom they concern.

mod audit;
mod batching;
mod chain;
mod clock;
mod consent;
mod identity;
mod intake;
mod lately;
mod learning;
mod membership;
mod notify;
mod places;
mod scrub;
mod subject_data;
mod tasks;
mod vault;

pub use audit::{AuditSink, Entry, Outcome, ProjectOwners, Target};
pub use batching::{BatchWriter, Batching};
pub use chain::error_chain;
pub use clock::{Clock, ManualClock, SystemClock};
pub use consent::{
    Admitted, ConsentGate, ConsentPurpose, ConsentRecords, ConsentStatement, Identity, IdentityLink,
    IdentityLinks, PersonRegister, RawPerson,
};
pub use identity::{Actor, ApiToken, IngestKey, Organisation, ProjectId, SubjectId, User, XapiKey};
pub use intake::{
    Delivery, DeliveryError, HandlerError, IntakeHandler, ItemOutcome, Prepared, PreparedBatch, Rejected,
    Stored, Tally,
};
pub use lately::Lately;
pub use learning::{Estimated, LearningNumbers, StrugglingNumbers, TutorNumbers};
pub use membership::Membership;
pub use notify::{
    InProcessBus, LiveBus, LiveMessage, Notice, NoticeKind, Notifier, ParseNoticeKindError, woken,
};
pub use places::{Place, Places, browser_address};
pub use scrub::{Removal, ScrubRules, Scrubber};
pub use subject_data::{SubjectData, SubjectDataError, SubjectRecords};
pub use tasks::Tasks;
pub use vault::{KeyOwner, Vault, VaultError};
