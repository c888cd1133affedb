//! From received JSON to what is written: normalised, scrubbed, grouped, packed. No I/O.

use belvedere_kernel::{Identity, ProjectId, Removal, ScrubRules};
use belvedere_storage::{StorageError, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Level;
use crate::event::{Arrival, InvalidEvent, describe, normalise};
use crate::event_id::EventId;
use crate::grouping::{Grouping, group};
use crate::search::EventText;
use crate::tags::{Tag, tags_of, trace_of};

/// Fast, and within a tenth of the size that higher levels reach on events.
const ZSTD_LEVEL: i32 = 1;

/// The most bytes that a packed payload may unpack to: an event at its largest grows a little in normalising.
const PAYLOAD_BYTES_MAX: usize = 8 << 20;

/// The most removals that are kept with an event.
const REMOVALS_MAX: usize = 1_000;

/// An event ready to be written, but for the person whom it happened to.
#[derive(Debug, Clone)]
pub(crate) struct DigestedEvent {
    pub(crate) project: ProjectId,
    pub(crate) event_id: EventId,
    pub(crate) occurred_at: Timestamp,
    pub(crate) received_at: Timestamp,
    pub(crate) level: Level,
    pub(crate) platform: String,
    pub(crate) release: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) title: String,
    pub(crate) culprit: String,
    pub(crate) identity: Identity,
    pub(crate) grouping: Grouping,
    pub(crate) tags: Vec<Tag>,
    pub(crate) trace_id: Option<[u8; 16]>,
    pub(crate) text: EventText,
    pub(crate) payload: Vec<u8>,
}

/// What is packed beside the event itself.
#[derive(Serialize)]
struct Packing<'a> {
    clamped: bool,
    removals: &'a [Removal],
    event: &'a Value,
}

/// An unpacked payload.
#[derive(Debug, Deserialize)]
pub(crate) struct Unpacked {
    pub(crate) clamped: bool,
    pub(crate) removals: Vec<Removal>,
    pub(crate) event: Value,
}

/// Digests one event after the other, with the memory of the compression kept between them.
pub(crate) struct Digester<'a> {
    rules: &'a dyn ScrubRules,
    compressor: zstd::bulk::Compressor<'static>,
    buffer: Vec<u8>,
}

impl<'a> Digester<'a> {
    pub(crate) fn try_new(rules: &'a dyn ScrubRules) -> std::io::Result<Self> {
        Ok(Self { rules, compressor: zstd::bulk::Compressor::new(ZSTD_LEVEL)?, buffer: Vec::new() })
    }

    /// Normalises, scrubs, groups and packs one event.
    ///
    /// # Errors
    /// [`InvalidEvent`] as [`normalise`] finds it.
    pub(crate) fn digest(
        &mut self,
        project: ProjectId,
        event: Value,
        arrival: &Arrival<'_>,
    ) -> Result<DigestedEvent, InvalidEvent> {
        let mut event = normalise(event, arrival)?;
        event.removals.extend(self.rules.scrub(project, &mut event.payload));
        event.removals.truncate(REMOVALS_MAX);
        // After scrubbing: title and grouping values are stored in the clear.
        let grouping = group(&event.payload);
        let description = describe(&event.payload);
        let tags = tags_of(&event.payload, !event.identity.is_empty());
        let text = EventText::of(&event.payload, &description.title);
        self.buffer.clear();
        let packing =
            Packing { clamped: event.time_was_clamped, removals: &event.removals, event: &event.payload };
        serde_json::to_writer(&mut self.buffer, &packing).map_err(InvalidEvent::unwritable)?;
        let payload = self.compressor.compress(&self.buffer).map_err(InvalidEvent::unwritable)?;
        Ok(DigestedEvent {
            project,
            event_id: event.event_id,
            occurred_at: event.occurred_at,
            received_at: arrival.received_at,
            level: event.level,
            platform: event.platform,
            release: event.release,
            environment: event.environment,
            title: description.title,
            culprit: description.culprit,
            identity: event.identity,
            grouping,
            tags,
            trace_id: trace_of(&event.payload),
            text,
            payload,
        })
    }
}

/// Packs what is no error but has the shape of an event.
///
/// # Errors
/// [`InvalidEvent::Unwritable`] when memory is lacking.
pub(crate) fn pack(clamped: bool, removals: &[Removal], event: &Value) -> Result<Vec<u8>, InvalidEvent> {
    let removals = &removals[..removals.len().min(REMOVALS_MAX)];
    let json = serde_json::to_vec(&Packing { clamped, removals, event }).map_err(InvalidEvent::unwritable)?;
    zstd::bulk::compress(&json, ZSTD_LEVEL).map_err(InvalidEvent::unwritable)
}

/// The reverse of the packing.
///
/// # Errors
/// [`StorageError::Corrupt`] when the bytes are not what was packed.
pub(crate) fn unpack(payload: &[u8]) -> Result<Unpacked, StorageError> {
    let corrupt = |what: &dyn std::fmt::Display| StorageError::corrupt(format!("event payload: {what}"));
    let size = zstd::zstd_safe::get_frame_content_size(payload).ok().flatten().unwrap_or(0);
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > PAYLOAD_BYTES_MAX {
        return Err(corrupt(&"too large"));
    }
    let json = zstd::bulk::decompress(payload, size).map_err(|error| corrupt(&error))?;
    serde_json::from_slice(&json).map_err(|error| corrupt(&error))
}
