use std::fmt;

use belvedere_kernel::{ProjectId, User};
use belvedere_storage::{Id, Timestamp};
use sha2::{Digest, Sha256};

use super::question::Question;

/// The key of an insight.
pub type InsightId = Id<Insight>;

/// The key of a board.
pub type BoardId = Id<Board>;

/// The key of a link to a board.
pub type LinkId = Id<Link>;

/// A question worth keeping.
#[derive(Debug, Clone, PartialEq)]
pub struct Insight {
    /// Its key.
    pub id: InsightId,
    /// What people call it, 1 to 100 characters; no two of a project have the same name.
    pub name: String,
    /// What it asks.
    pub question: Question,
    /// Who made it; none for a program.
    pub created_by: Option<Id<User>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed.
    pub changed_at: Timestamp,
}

/// An insight to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct NewInsight {
    /// As [`Insight::name`].
    pub name: String,
    /// What it asks.
    pub question: Question,
}

/// What changes about an insight; `None` for what stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InsightChange {
    /// As [`Insight::name`].
    pub name: Option<String>,
    /// What it asks.
    pub question: Option<Question>,
}

/// How much of a board's width a tile takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TileWidth {
    /// Two of these stand side by side.
    Half,
    /// All of it.
    Full,
}

impl TileWidth {
    /// The width as a word: `half`, `full`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Half => "half",
            Self::Full => "full",
        }
    }

    /// The width that a word names.
    #[must_use]
    pub fn find(word: &str) -> Option<Self> {
        [Self::Half, Self::Full].into_iter().find(|width| width.as_str() == word)
    }
}

/// An insight on a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Which one.
    pub insight: InsightId,
    /// How wide.
    pub width: TileWidth,
}

/// Insights that are looked at together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    /// Its key.
    pub id: BoardId,
    /// What people call it, 1 to 100 characters; no two of a project have the same name.
    pub name: String,
    /// In their order; at most 24, and no insight twice.
    pub tiles: Vec<Tile>,
    /// Who made it; none for a program.
    pub created_by: Option<Id<User>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it, or its tiles, were changed.
    pub changed_at: Timestamp,
}

/// What changes about a board; `None` for what stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BoardChange {
    /// As [`Board::name`].
    pub name: Option<String>,
    /// As [`Board::tiles`].
    pub tiles: Option<Vec<Tile>>,
}

/// A link by which whoever has it sees a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its key.
    pub id: LinkId,
    /// Who made it; none for a program.
    pub created_by: Option<Id<User>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it shows nothing; none for never.
    pub expires_at: Option<Timestamp>,
}

/// What the address of a link ends with: 256 random bits.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkSecret(String);

impl LinkSecret {
    pub(crate) fn random() -> Self {
        let mut bytes = [0_u8; 32];
        #[expect(
            clippy::expect_used,
            reason = "without random numbers no secret can be made; nothing sensible can go on"
        )]
        getrandom::fill(&mut bytes).expect("the operating system provides random numbers");
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The secret that is this text.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The secret as text: 64 hexadecimal digits.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkSecret")
    }
}

/// What is kept of a secret. It needs no salt and no stretching: 256 random bits cannot be guessed.
pub(crate) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// A board as a link shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedBoard {
    /// The project.
    pub project: ProjectId,
    /// The name of its time zone.
    pub time_zone: String,
    /// The board.
    pub board: Board,
    /// The insights of its tiles, in any order.
    pub insights: Vec<Insight>,
}
