//! From received JSON to what is written: normalised, scrubbed, grouped, packed. No I/O.

use std::sync::Arc;

use belvedere_kernel::{Identity, ProjectId, Removal, ScrubRules};
use belvedere_storage::{Id, StorageError, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Level;
use crate::event::{Arrival, InvalidEvent, describe, normalise};
use crate::event_id::EventId;
use crate::grouping::{Grouping, group, older_hash};
use crate::grouping_rules::{GroupingContext, Ruling, forget_rules, resolve_title};
use crate::search::EventText;
use crate::source_maps::{BatchMaps, unmap};
use crate::tags::{Tag, tags_of, trace_of};
use crate::triage::Owner;

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
    /// The debug ids and releases under which maps for its frames were missed.
    pub(crate) unmapped: Vec<Id<()>>,
    /// Whose the issue is if it is new, where the project has rules for that.
    pub(crate) owner: Option<Arc<Owner>>,
}

/// What digesting a stored event again gave.
#[derive(Debug, Clone)]
pub(crate) struct Redigested {
    /// Whether anything differs from what is stored.
    pub(crate) is_changed: bool,
    pub(crate) title: String,
    pub(crate) culprit: String,
    pub(crate) grouping: Grouping,
    pub(crate) payload: Vec<u8>,
    pub(crate) unmapped: Vec<Id<()>>,
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
    maps: Option<&'a BatchMaps>,
    grouping: &'a GroupingContext,
    compressor: zstd::bulk::Compressor<'static>,
    buffer: Vec<u8>,
}

impl<'a> Digester<'a> {
    pub(crate) fn try_new(rules: &'a dyn ScrubRules, grouping: &'a GroupingContext) -> std::io::Result<Self> {
        Ok(Self {
            rules,
            grouping,
            maps: None,
            compressor: zstd::bulk::Compressor::new(ZSTD_LEVEL)?,
            buffer: Vec::new(),
        })
    }

    /// The same, which maps the frames of JavaScript; for threads that may block.
    pub(crate) fn with_maps(self, maps: &'a BatchMaps) -> Self {
        Self { maps: Some(maps), ..self }
    }

    /// Normalises, maps, scrubs, groups and packs one event.
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
        // Before scrubbing, so that source lines are scrubbed like those that SDKs send.
        let unmapped = self.maps.map_or_else(Vec::new, |maps| maps.resolve(project, &mut event.payload));
        event.removals.extend(self.rules.scrub(project, &mut event.payload));
        event.removals.truncate(REMOVALS_MAX);
        // After scrubbing: title and grouping values are stored in the clear.
        let (grouping, ruling) = self.group(project, &mut event.payload)?;
        let mut description = describe(&event.payload);
        if let Some(title) = ruling.title.map(|title: String| resolve_title(&title, &event.payload)) {
            description.title = title;
        }
        let tags = tags_of(&event.payload, !event.identity.is_empty());
        let text = EventText::of(&event.payload, &description.title);
        let payload = self.pack(event.time_was_clamped, &event.removals, &event.payload)?;
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
            unmapped,
            owner: None,
        })
    }

    /// Maps a stored event again, which was mapped with less or nothing, and does what depends on its frames.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when the payload cannot be read or written any more.
    pub(crate) fn redigest(
        &mut self,
        project: ProjectId,
        payload: &[u8],
    ) -> Result<Redigested, StorageError> {
        let Unpacked { clamped, mut removals, event: stored } = unpack(payload)?;
        let mut event = stored.clone();
        forget_rules(&mut event);
        unmap(&mut event);
        let unmapped = self.maps.map_or_else(Vec::new, |maps| maps.resolve(project, &mut event));
        removals.extend(self.rules.scrub(project, &mut event));
        removals.truncate(REMOVALS_MAX);
        // What is stored stays, whatever the rules say about such events now.
        let ruling = Ruling { ignored_by: None, ..self.ruling_of(project, &mut event) };
        let grouping = group(&event, &ruling);
        let mut description = describe(&event);
        if let Some(title) = &ruling.title {
            description.title = resolve_title(title, &event);
        }
        let is_changed = event != stored;
        let packed = if is_changed {
            self.pack(clamped, &removals, &event).map_err(|error| StorageError::corrupt(error.to_string()))?
        } else {
            Vec::new()
        };
        Ok(Redigested {
            is_changed,
            title: description.title,
            culprit: description.culprit,
            grouping,
            payload: packed,
            unmapped,
        })
    }

    /// Groups an event by the rules of its project and the built-in ones.
    fn group(&self, project: ProjectId, event: &mut Value) -> Result<(Grouping, Ruling), InvalidEvent> {
        let ruling = self.ruling_of(project, event);
        if let Some(rule) = ruling.ignored_by {
            return Err(InvalidEvent::IgnoredByRule(rule));
        }
        let mut grouping = group(event, &ruling);
        if !ruling.decides() && !self.grouping.known_hashes.contains(project, grouping.hash) {
            grouping.older_hash = Some(older_hash(event));
        }
        Ok((grouping, ruling))
    }

    fn ruling_of(&self, project: ProjectId, event: &mut Value) -> Ruling {
        self.grouping.rules.get(&project).map_or_else(Ruling::default, |rules| rules.apply(event))
    }

    fn pack(&mut self, clamped: bool, removals: &[Removal], event: &Value) -> Result<Vec<u8>, InvalidEvent> {
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, &Packing { clamped, removals, event })
            .map_err(InvalidEvent::unwritable)?;
        self.compressor.compress(&self.buffer).map_err(InvalidEvent::unwritable)
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
