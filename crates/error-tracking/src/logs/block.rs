//! Records packed together, column by column: like beside like compresses well, and a search reads only the columns
//! that it asks about.
//!
//! Two zstd streams. Head: count, times (i64), sequences (u64), levels (u8), traces (16 bytes, zero for none), words,
//! then per record the places of release, environment and logger among the words and of the person among the block's
//! people (u32 each, 0 for none, else place + 1), the ends of the bodies (u32), the bodies. Attributes: their ends (u32),
//! then a JSON object each. All little endian.

use std::collections::HashMap;

use belvedere_storage::{StorageError, Timestamp};

use super::model::LogLevel;
use super::pack::{Reader, compress, corrupt, decompress, put_text, put_u32};
use super::trigram::Trigrams;

/// A record before it is packed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) at: Timestamp,
    pub(super) sequence: u64,
    pub(super) level: LogLevel,
    pub(super) trace: Option<[u8; 16]>,
    pub(super) release: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) logger: Option<String>,
    /// The place of the person among the block's people.
    pub(super) person: Option<usize>,
    pub(super) body: String,
    /// A JSON object.
    pub(super) attributes: String,
}

/// Packed records.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Packed {
    pub(super) first_at: Timestamp,
    pub(super) last_at: Timestamp,
    pub(super) records: usize,
    /// How many of each level, in their order.
    pub(super) levels: [u64; 6],
    pub(super) filter: Vec<u8>,
    pub(super) head: Vec<u8>,
    pub(super) attributes: Vec<u8>,
}

/// Packs records; they are sorted, the newest first.
pub(super) fn pack(entries: &mut [Entry]) -> std::io::Result<Packed> {
    entries.sort_by_key(|entry| std::cmp::Reverse((entry.at, entry.sequence)));
    let text_bytes: usize = entries.iter().map(|entry| entry.body.len()).sum();
    let mut filter = Trigrams::for_bytes(text_bytes);
    let mut words = Words::default();
    let (mut head, mut places, mut ends, mut bodies) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut attribute_ends, mut attributes) = (Vec::new(), Vec::new());
    let mut levels = [0; 6];
    put_u32(&mut head, entries.len());
    entries.iter().for_each(|entry| head.extend_from_slice(&entry.at.as_micros().to_le_bytes()));
    entries.iter().for_each(|entry| head.extend_from_slice(&entry.sequence.to_le_bytes()));
    entries.iter().for_each(|entry| head.push(entry.level.to_number()));
    entries.iter().for_each(|entry| head.extend_from_slice(&entry.trace.unwrap_or_default()));
    for entry in entries.iter() {
        levels[usize::from(entry.level.to_number() - 1)] += 1;
        for word in [&entry.release, &entry.environment, &entry.logger] {
            put_u32(&mut places, word.as_deref().map_or(0, |word| words.place(word) + 1));
        }
        put_u32(&mut places, entry.person.map_or(0, |person| person + 1));
        bodies.extend_from_slice(entry.body.as_bytes());
        put_u32(&mut ends, bodies.len());
        attributes.extend_from_slice(entry.attributes.as_bytes());
        put_u32(&mut attribute_ends, attributes.len());
        filter.add_text(&entry.body);
        if let Some(trace) = &entry.trace {
            filter.add_trace(trace);
        }
    }
    put_u32(&mut head, words.list.len());
    words.list.iter().for_each(|word| put_text(&mut head, word));
    head.extend([places, ends, bodies].concat());
    attribute_ends.extend(attributes);
    Ok(Packed {
        first_at: entries.last().map(|entry| entry.at).unwrap_or_default(),
        last_at: entries.first().map(|entry| entry.at).unwrap_or_default(),
        records: entries.len(),
        levels,
        filter: filter.into_bytes(),
        head: compress(&head)?,
        attributes: compress(&attribute_ends)?,
    })
}

#[derive(Default)]
struct Words<'a> {
    list: Vec<&'a str>,
    places: HashMap<&'a str, usize>,
}

impl<'a> Words<'a> {
    fn place(&mut self, word: &'a str) -> usize {
        *self.places.entry(word).or_insert_with(|| {
            self.list.push(word);
            self.list.len() - 1
        })
    }
}

/// The unpacked head of a block.
pub(super) struct Head {
    times: Vec<[u8; 8]>,
    sequences: Vec<[u8; 8]>,
    levels: Vec<u8>,
    traces: Vec<[u8; 16]>,
    words: Vec<String>,
    places: Vec<[u8; 16]>,
    ends: Vec<[u8; 4]>,
    bodies: String,
}

/// The places of a record's words.
#[derive(Debug, Clone, Copy)]
enum Word {
    Release = 0,
    Environment = 1,
    Logger = 2,
    Person = 3,
}

impl Head {
    pub(super) fn unpack(packed: &[u8]) -> Result<Self, StorageError> {
        let bytes = decompress(packed)?;
        let mut reader = Reader(&bytes);
        let count = reader.u32()?;
        let (times, sequences) = (reader.array(count)?, reader.array(count)?);
        let levels = reader.take(count)?.to_vec();
        let traces = reader.array(count)?;
        let mut words = Vec::new();
        for _ in 0..reader.u32()? {
            words.push(reader.text()?.to_owned());
        }
        let (places, ends) = (reader.array(count)?, reader.array(count)?);
        let bodies = std::str::from_utf8(reader.0).map_err(|_| corrupt("bodies"))?.to_owned();
        Ok(Self { times, sequences, levels, traces, words, places, ends, bodies })
    }

    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    pub(super) fn at(&self, record: usize) -> Timestamp {
        Timestamp::from_micros(self.times.get(record).map_or(0, |bytes| i64::from_le_bytes(*bytes)))
    }

    pub(super) fn sequence(&self, record: usize) -> u64 {
        self.sequences.get(record).map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    pub(super) fn level(&self, record: usize) -> LogLevel {
        self.levels.get(record).copied().and_then(LogLevel::from_number).unwrap_or_default()
    }

    pub(super) fn trace(&self, record: usize) -> Option<&[u8; 16]> {
        self.traces.get(record).filter(|trace| **trace != [0; 16])
    }

    pub(super) fn release(&self, record: usize) -> Option<&str> {
        self.word(record, Word::Release)
    }

    pub(super) fn environment(&self, record: usize) -> Option<&str> {
        self.word(record, Word::Environment)
    }

    pub(super) fn logger(&self, record: usize) -> Option<&str> {
        self.word(record, Word::Logger)
    }

    pub(super) fn person(&self, record: usize) -> Option<usize> {
        self.place(record, Word::Person)
    }

    fn word(&self, record: usize, word: Word) -> Option<&str> {
        self.words.get(self.place(record, word)?).map(String::as_str)
    }

    fn place(&self, record: usize, word: Word) -> Option<usize> {
        let four = self.places.get(record)?.as_chunks::<4>().0.get(word as usize)?;
        usize::try_from(u32::from_le_bytes(*four)).ok()?.checked_sub(1)
    }

    pub(super) fn body(&self, record: usize) -> &str {
        part(&self.bodies, &self.ends, record)
    }

    /// The record as it was before packing, with its attributes.
    pub(super) fn entry(&self, record: usize, attributes: &Attributes) -> Entry {
        let owned = |word: Option<&str>| word.map(str::to_owned);
        Entry {
            at: self.at(record),
            sequence: self.sequence(record),
            level: self.level(record),
            trace: self.trace(record).copied(),
            release: owned(self.release(record)),
            environment: owned(self.environment(record)),
            logger: owned(self.logger(record)),
            person: self.person(record),
            body: self.body(record).to_owned(),
            attributes: attributes.get(record).to_owned(),
        }
    }
}

/// The unpacked attributes of a block.
pub(super) struct Attributes {
    ends: Vec<[u8; 4]>,
    texts: String,
}

impl Attributes {
    pub(super) fn unpack(packed: &[u8], records: usize) -> Result<Self, StorageError> {
        let bytes = decompress(packed)?;
        let mut reader = Reader(&bytes);
        let ends = reader.array(records)?;
        let texts = std::str::from_utf8(reader.0).map_err(|_| corrupt("attributes"))?.to_owned();
        Ok(Self { ends, texts })
    }

    /// A JSON object.
    pub(super) fn get(&self, record: usize) -> &str {
        part(&self.texts, &self.ends, record)
    }
}

fn part<'a>(texts: &'a str, ends: &[[u8; 4]], record: usize) -> &'a str {
    let end = |record: usize| ends.get(record).map_or(0, |end| u32::from_le_bytes(*end) as usize);
    let start = record.checked_sub(1).map_or(0, end);
    texts.get(start..end(record)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(second: i64, body: &str) -> Entry {
        Entry {
            at: Timestamp::from_micros(second * 1_000_000),
            sequence: 7,
            level: LogLevel::Warn,
            trace: (second % 2 == 0).then_some([3; 16]),
            release: Some("shop@1".to_owned()),
            environment: None,
            logger: Some(format!("logger-{}", second % 2)),
            person: (second == 1).then_some(4),
            body: body.to_owned(),
            attributes: format!("{{\"second\":{second}}}"),
        }
    }

    #[test]
    fn what_is_packed_comes_back_newest_first() {
        let mut entries = vec![entry(1, "größer"), entry(3, ""), entry(2, "line\nline")];
        let packed = pack(&mut entries).unwrap();
        assert_eq!((packed.first_at.as_seconds(), packed.last_at.as_seconds(), packed.records), (1, 3, 3));
        assert_eq!(packed.levels, [0, 0, 0, 3, 0, 0]);
        let head = Head::unpack(&packed.head).unwrap();
        let attributes = Attributes::unpack(&packed.attributes, head.len()).unwrap();
        let back: Vec<Entry> = (0..head.len()).map(|record| head.entry(record, &attributes)).collect();
        assert_eq!(back, [entry(3, ""), entry(2, "line\nline"), entry(1, "größer")]);
    }

    #[test]
    fn damage_is_an_error() {
        let packed = pack(&mut [entry(1, "a")]).unwrap();
        assert!(Head::unpack(&packed.head[..packed.head.len() - 1]).is_err());
        assert!(Head::unpack(&compress(&[255; 4]).unwrap()).is_err());
        assert!(Attributes::unpack(&packed.attributes, 1_000).is_err());
        assert!(Head::unpack(b"").is_err());
    }

    #[test]
    fn no_records_are_an_empty_block() {
        let packed = pack(&mut []).unwrap();
        assert_eq!(Head::unpack(&packed.head).unwrap().len(), 0);
    }
}
