//! Joining small blocks and deleting old ones.

use belvedere_kernel::SubjectId;
use belvedere_storage::{StorageError, Tx};

use super::block::{Attributes, Entry, Head, pack};
use super::model::SweptLogs;
use super::service::LogsService;
use super::store::{self, BlockId, Stored};

/// A block with fewer records is small.
const SMALL: i64 = 2_048;

/// An hour with more small blocks has them joined.
const CRUMBS_MAX: i64 = 8;

/// The most records of a joined block.
const RECORDS_MAX: usize = 8_192;

/// The most rounds of joining in one sweep.
const ROUNDS_MAX: usize = 200;

impl LogsService {
    /// Joins the small blocks of busy hours, then deletes what is older than its project keeps, or beyond its bytes.
    ///
    /// # Errors
    /// When the database fails; what was done until then stays done.
    pub async fn sweep(&self, is_stopped: impl Fn() -> bool + Send) -> Result<SweptLogs, StorageError> {
        let mut swept = SweptLogs::default();
        let now = self.clock.now();
        for _ in 0..ROUNDS_MAX {
            let crumbled = store::list_crumbled(self.db.read(), CRUMBS_MAX, SMALL).await?;
            if crumbled.is_empty() || is_stopped() {
                break;
            }
            for (project, hour) in crumbled {
                let joined = self.db.write(async |tx| self.join_in(tx, project, hour).await).await?;
                swept.joined += joined;
            }
        }
        for project in store::list_projects(self.db.read()).await? {
            let (days, bytes_max) = store::find_settings(self.db.read(), project).await?;
            let mut oldest = now.as_seconds().div_euclid(3_600) - i64::from(days) * 24;
            let mut bytes = 0_u64;
            for (hour, of_hour) in store::list_hour_bytes(self.db.read(), project).await? {
                bytes = bytes.saturating_add(of_hour);
                if bytes > bytes_max {
                    oldest = oldest.max(hour + 1);
                    break;
                }
            }
            loop {
                let deleted =
                    self.db.write(async |tx| store::delete_before(tx, project, oldest).await).await?;
                swept.deleted += deleted;
                if deleted == 0 || is_stopped() {
                    break;
                }
            }
        }
        Ok(swept)
    }

    async fn join_in(
        &self,
        tx: &Tx,
        project: belvedere_kernel::ProjectId,
        hour: i64,
    ) -> Result<u64, StorageError> {
        let blocks = store::take_small_blocks(tx, project, hour, SMALL).await?;
        let mut entries: Vec<Entry> = Vec::new();
        let mut people: Vec<Option<SubjectId>> = Vec::new();
        let mut joined: Vec<BlockId> = Vec::new();
        for block in blocks {
            if entries.len() >= RECORDS_MAX {
                break;
            }
            joined.push(block.id);
            unpack_into(&block, &mut entries, &mut people)?;
        }
        if joined.len() < 2 {
            return Ok(0);
        }
        let packed = pack(&mut entries)
            .map_err(|error| StorageError::corrupt(format!("log blocks cannot be joined: {error}")))?;
        store::delete_blocks(tx, project, &joined).await?;
        store::insert_blocks(tx, &[(project, &packed, people)], self.clock.now()).await?;
        Ok(joined.len() as u64)
    }
}

/// Adds the records of a block, and its people behind those that are there.
fn unpack_into(
    block: &Stored,
    entries: &mut Vec<Entry>,
    people: &mut Vec<Option<SubjectId>>,
) -> Result<(), StorageError> {
    let head = Head::unpack(&block.head)?;
    let attributes = Attributes::unpack(&block.attributes, head.len())?;
    for record in 0..head.len() {
        let mut entry = head.entry(record, &attributes);
        let subject = entry.person.and_then(|person| block.people.get(person).copied().flatten());
        entry.person = subject.map(|subject| {
            people.iter().position(|known| *known == Some(subject)).unwrap_or_else(|| {
                people.push(Some(subject));
                people.len() - 1
            })
        });
        entries.push(entry);
    }
    Ok(())
}
