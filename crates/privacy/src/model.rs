use belvedere_kernel::{Actor, Organisation, ProjectId, SubjectId};
use belvedere_storage::Id;
use serde::{Deserialize, Serialize};

/// What holds for a person who has not been asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentDefault {
    /// Their events may be linked to each other over time.
    pub analytics: bool,
    /// They may be contacted for marketing.
    pub marketing: bool,
    /// More than duration and outcome may be kept.
    pub detailed: bool,
    /// Where they are may be kept, their IP address included.
    pub location: bool,
}

/// How a project treats what it learns about people. The default allows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivacySettings {
    /// What holds for a person who has not been asked.
    pub consent_default: ConsentDefault,
    /// Values of keys that contain one of these words are removed from payloads, beside the built-in rules; at most
    /// 100 words of 2 to 64 ASCII letters and digits. Case, `-`, `_` and other signs do not count.
    pub scrub_keys: Vec<String>,
    /// Values of exactly these keys are left as they are, whatever the rules say; same limits.
    pub safe_keys: Vec<String>,
}

impl PrivacySettings {
    /// The most words in each list of keys.
    pub const KEYS_MAX: usize = 100;
    /// The most letters and digits in a word.
    pub const KEY_LEN_MAX: usize = 64;
}

/// Who changes a project's settings, and to what.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeSettings {
    /// Who acts.
    pub actor: Actor,
    /// Whose project it is.
    pub organisation: Id<Organisation>,
    /// The project.
    pub project: ProjectId,
    /// What holds from now on.
    pub settings: PrivacySettings,
    /// The HTTP request, if there was one.
    pub request_id: Option<String>,
}

/// Who wants to know who a subject is.
#[derive(Debug, Clone, PartialEq)]
pub struct RevealSubject {
    /// Who asks.
    pub actor: Actor,
    /// Whose project it is.
    pub organisation: Id<Organisation>,
    /// The project.
    pub project: ProjectId,
    /// The subject.
    pub subject: SubjectId,
    /// The HTTP request, if there was one.
    pub request_id: Option<String>,
}
