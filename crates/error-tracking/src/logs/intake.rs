//! Records of a batch into rows: one per project and hour.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::{
    Clock, ConsentGate, Delivery, HandlerError, Identity, IntakeHandler, ItemOutcome, LiveMessage, Prepared,
    PreparedBatch, ProjectId, RawPerson, Rejected, Scrubber, Stored, SubjectId, Tally,
};
use belvedere_storage::{StorageError, Timestamp, Tx};
use serde_json::{Value, json};

use super::block::{Entry, Packed, pack};
use super::item::{LogArrival, ReadRecord};
use super::otlp::read_request;
use super::store;
use crate::encoding::decode_body;

/// The topic of live messages about logs.
const TOPIC: &str = "log.records";

/// The most bytes of a request after decompression; Sentry's limit of a container.
const DECODED_BYTES_MAX: usize = 12 << 20;

/// Packed records of a batch, with the people that they are about.
#[derive(Default)]
pub(crate) struct LogBatch {
    blocks: Vec<NewBlock>,
}

/// A row to be.
struct NewBlock {
    project: ProjectId,
    packed: Packed,
    /// The people of the block, by their place.
    people: Vec<Identity>,
}

impl LogBatch {
    /// Packs records of some projects.
    ///
    /// # Errors
    /// Only when the memory for compression is lacking.
    pub(crate) fn pack(records: Vec<(ProjectId, ReadRecord)>) -> std::io::Result<Self> {
        let mut groups: BTreeMap<(ProjectId, i64), (Vec<Entry>, Vec<Identity>)> = BTreeMap::new();
        let mut places: HashMap<(ProjectId, i64, Identity), usize> = HashMap::new();
        for (project, record) in records {
            let hour = record.at.as_seconds().div_euclid(3_600);
            let (entries, people) = groups.entry((project, hour)).or_default();
            let person = (!record.identity.is_empty()).then(|| {
                *places.entry((project, hour, record.identity.clone())).or_insert_with(|| {
                    people.push(record.identity.clone());
                    people.len() - 1
                })
            });
            entries.push(Entry {
                at: record.at,
                sequence: record.sequence,
                level: record.level,
                trace: record.trace,
                release: record.release,
                environment: record.environment,
                logger: record.logger,
                person,
                body: record.body,
                attributes: Value::Object(record.attributes).to_string(),
            });
        }
        let mut blocks = Vec::with_capacity(groups.len());
        for ((project, _), (mut entries, people)) in groups {
            blocks.push(NewBlock { project, packed: pack(&mut entries)?, people });
        }
        Ok(Self { blocks })
    }

    /// Writes the rows and adds to the counts; how many records of which project that is.
    pub(crate) async fn store_in(
        &self,
        tx: &Tx,
        gate: &dyn ConsentGate,
        now: Timestamp,
    ) -> Result<BTreeMap<ProjectId, u64>, StorageError> {
        let mut records = BTreeMap::new();
        if self.blocks.is_empty() {
            return Ok(records);
        }
        let people: Vec<RawPerson> = self
            .blocks
            .iter()
            .flat_map(|block| {
                let project = block.project;
                block.people.iter().map(move |identity| RawPerson::new(project, identity.clone()))
            })
            .collect();
        let admitted = if people.is_empty() { Vec::new() } else { gate.admit(tx, &people).await? };
        let mut subjects = admitted.into_iter().map(|admitted| admitted.subject);
        let mut rows = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let of_block: Vec<Option<SubjectId>> = subjects.by_ref().take(block.people.len()).collect();
            rows.push((block.project, &block.packed, of_block));
            *records.entry(block.project).or_default() += block.packed.records as u64;
        }
        store::insert_blocks(tx, &rows, now).await?;
        store::add_counts(tx, rows.iter().map(|(project, packed, _)| (*project, *packed))).await?;
        Ok(records)
    }
}

/// One message a project that got records.
pub(crate) fn records_messages(records: &BTreeMap<ProjectId, u64>) -> impl Iterator<Item = LiveMessage> {
    records.iter().map(|(project, count)| LiveMessage {
        project: Some(*project),
        topic: TOPIC.to_owned(),
        data: json!({ "records": count }),
    })
}

/// Reads requests of OTLP/HTTP in JSON.
pub(crate) struct LogsHandler {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) gate: Arc<dyn ConsentGate>,
    pub(crate) scrubber: Arc<dyn Scrubber>,
}

#[async_trait]
impl IntakeHandler for LogsHandler {
    fn kind(&self) -> &'static str {
        "otlp.logs"
    }

    async fn prepare(&self, deliveries: Vec<Delivery>) -> Result<Prepared, HandlerError> {
        let mut projects: Vec<ProjectId> = deliveries.iter().map(|delivery| delivery.project).collect();
        projects.sort_unstable();
        projects.dedup();
        let rules = self.scrubber.load(&projects).await?;
        let read = tokio::task::spawn_blocking(move || {
            let (mut records, mut rejected, mut tallies) = (Vec::new(), Vec::new(), Vec::new());
            for (index, delivery) in deliveries.iter().enumerate() {
                let (project, received_at) = (delivery.project, delivery.received_at);
                let arrival = LogArrival { project, received_at, sent_at: None, rules: &*rules };
                let body = decode_body(delivery.encoding.as_deref(), &delivery.body, DECODED_BYTES_MAX);
                match body.map_err(|error| error.to_string()).and_then(|body| read_request(&body, arrival)) {
                    Ok((read, lost)) => {
                        records.extend(read.into_iter().map(|record| (project, record)));
                        tallies.extend(
                            (lost > 0).then(|| tally(project, ItemOutcome::Dropped, "too_many_items", lost)),
                        );
                    }
                    Err(reason) => rejected.push(Rejected { index, reason }),
                }
            }
            LogBatch::pack(records).map(|logs| (logs, rejected, tallies))
        });
        let read = read.await.map_err(|error| HandlerError::Internal(error.to_string()))?;
        let (logs, rejected, tallies) = read.map_err(|error| HandlerError::Internal(error.to_string()))?;
        let batch = OtlpBatch { clock: Arc::clone(&self.clock), gate: Arc::clone(&self.gate), logs, tallies };
        Ok(Prepared { batch: Box::new(batch), rejected })
    }
}

struct OtlpBatch {
    clock: Arc<dyn Clock>,
    gate: Arc<dyn ConsentGate>,
    logs: LogBatch,
    tallies: Vec<Tally>,
}

#[async_trait]
impl PreparedBatch for OtlpBatch {
    async fn store(&self, tx: &Tx) -> Result<Stored, HandlerError> {
        let records = self.logs.store_in(tx, &*self.gate, self.clock.now()).await?;
        let mut tallies = self.tallies.clone();
        let stored = records.iter().map(|(project, count)| tally(*project, ItemOutcome::Stored, "", *count));
        tallies.extend(stored);
        Ok(Stored { tallies, messages: records_messages(&records).collect() })
    }
}

fn tally(project: ProjectId, outcome: ItemOutcome, reason: &'static str, quantity: u64) -> Tally {
    Tally { project, item: "log".to_owned(), outcome, reason, quantity }
}
