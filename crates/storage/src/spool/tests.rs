use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::task::JoinSet;

use super::simulated::{Fault, SimulatedDisk};
use super::*;

fn small(bytes_max: u64, segment_bytes: u64) -> SpoolConfig {
    let mut config = SpoolConfig::new("unused");
    config.bytes_max = bytes_max;
    config.segment_bytes = segment_bytes;
    config.record_bytes_max = 4096;
    config.linger = Duration::ZERO;
    config
}

fn open(disk: &SimulatedDisk, segment_bytes: u64) -> Spool {
    Spool::open_on(Arc::new(disk.clone()), small(1 << 20, segment_bytes)).unwrap()
}

/// A payload that no other number gives, and that is full of what looks like records.
fn payload(number: u64, len: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    while bytes.len() < len {
        let seq = number + bytes.len() as u64;
        segment::encode_record(0, seq, &[], &mut bytes);
        // Without it, payloads would differ by multiples of the polynomial, which no CRC can see.
        bytes.extend_from_slice(&seq.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes()[4..]);
    }
    bytes
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A directory that goes away with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("belvedere-spool-{name}-{}", std::process::id()));
        std::fs::remove_dir_all(&path).ok();
        Self(path)
    }

    fn segments(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(".spool")).collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[derive(Debug, Clone)]
enum Op {
    /// Payload lengths appended at the same time.
    Append(Vec<usize>),
    Take(usize),
    Ack,
    Fail(u64, u64, Fault),
    /// The process dies and the operating system keeps what was written, or the power is cut as well. The
    /// next start may be interrupted after some operations in the same way.
    Restart {
        power_cut: bool,
        interrupted: Option<u64>,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let fault = prop_oneof![
        3 => Just(Fault::NoSpace),
        3 => Just(Fault::Io),
        4 => Just(Fault::Halt),
    ];
    let op = prop_oneof![
        8 => prop::collection::vec(0..1500_usize, 1..6).prop_map(Op::Append),
        4 => (1..8_usize).prop_map(Op::Take),
        3 => Just(Op::Ack),
        3 => (0..12_u64, 1..6_u64, fault).prop_map(|(wait, count, fault)| Op::Fail(wait, count, fault)),
        3 => (any::<bool>(), prop::option::of(0..6_u64))
            .prop_map(|(power_cut, interrupted)| Op::Restart { power_cut, interrupted }),
    ];
    prop::collection::vec(op, 1..60)
}

/// What must hold whatever happens: the reference is two sets and a position.
struct Model {
    disk: SimulatedDisk,
    segment_bytes: u64,
    spool: Option<Spool>,
    attempts: BTreeMap<u64, Vec<u8>>,
    /// Acknowledged appends that were not read yet, by sequence number.
    owed: BTreeMap<u64, u64>,
    seqs: BTreeSet<u64>,
    read: BTreeSet<u64>,
    /// The consumer's position, as its database would hold it.
    position: u64,
    id: [u8; 16],
}

impl Model {
    fn new(seed: u64, segment_bytes: u64) -> Self {
        let disk = SimulatedDisk::new(seed);
        let spool = open(&disk, segment_bytes);
        let id = spool.id();
        Self {
            disk,
            segment_bytes,
            spool: Some(spool),
            attempts: BTreeMap::new(),
            owed: BTreeMap::new(),
            seqs: BTreeSet::new(),
            read: BTreeSet::new(),
            position: 0,
            id,
        }
    }

    fn spool(&self) -> &Spool {
        self.spool.as_ref().unwrap()
    }

    async fn append(&mut self, lens: &[usize]) {
        let mut tasks = JoinSet::new();
        for len in lens {
            let number = self.attempts.len() as u64;
            let payload = payload(number, *len);
            self.attempts.insert(number, payload.clone());
            let spool = self.spool().clone();
            tasks.spawn(async move { (number, spool.append(payload).await) });
        }
        while let Some(done) = tasks.join_next().await {
            if let (number, Ok(seq)) = done.unwrap() {
                assert!(seq > self.position, "{seq} is not beyond the position {}", self.position);
                assert!(self.seqs.insert(seq), "{seq} was given twice");
                self.owed.insert(seq, number);
            }
        }
    }

    async fn take(&mut self, count: usize) -> usize {
        let Ok(records) = self.spool().try_take(self.position, count, 4000).await else { return 0 };
        assert!(records.len() <= count);
        for record in &records {
            assert!(record.seq > self.position, "{} is not after {}", record.seq, self.position);
            let number = u64::from_le_bytes(record.payload[..8].try_into().unwrap());
            assert_eq!(Some(&record.payload), self.attempts.get(&number), "never appended");
            assert!(self.read.insert(number), "payload {number} was read twice");
            match self.owed.first_key_value() {
                Some((seq, owed)) if *seq == record.seq => {
                    assert_eq!(*owed, number, "another payload under the number {seq}");
                    self.owed.pop_first();
                }
                // Not acknowledged, so it may be there: but it must not hide one that is owed.
                owed => {
                    assert!(owed.is_none_or(|(seq, _)| *seq > record.seq), "{owed:?} was passed over");
                    assert!(self.seqs.insert(record.seq), "{} was given twice", record.seq);
                }
            }
            self.position = record.seq;
        }
        records.len()
    }

    fn config(&self) -> SpoolConfig {
        small(1 << 20, self.segment_bytes)
    }

    /// Ends the process in the middle of things.
    fn end(&mut self, power_cut: bool) {
        self.disk.halt();
        self.spool = None;
        if power_cut {
            self.disk.power_cut();
        }
        self.disk.resume();
    }

    async fn start(&mut self) {
        let spool = open(&self.disk, self.segment_bytes);
        assert_eq!(spool.id(), self.id);
        spool.ack(self.position).await.unwrap();
        self.spool = Some(spool);
    }

    async fn run(mut self, ops: Vec<Op>) {
        for op in ops {
            match op {
                Op::Append(lens) => self.append(&lens).await,
                Op::Take(count) => drop(self.take(count).await),
                Op::Ack => self.spool().ack(self.position).await.unwrap(),
                Op::Fail(wait, count, fault) => self.disk.fail(wait, count, fault),
                Op::Restart { power_cut, interrupted } => {
                    self.end(power_cut);
                    if let Some(wait) = interrupted {
                        self.disk.fail(wait, 1, Fault::Halt);
                        self.spool = Spool::open_on(Arc::new(self.disk.clone()), self.config()).ok();
                        self.end(power_cut);
                    }
                    self.start().await;
                }
            }
            if self.disk.is_off() {
                self.end(self.disk.coin());
                self.start().await;
            }
        }
        self.disk.resume();
        self.append(&[10]).await;
        self.end(true);
        self.start().await;
        while self.take(100).await > 0 {}
        assert!(self.owed.is_empty(), "lost: {:?}", self.owed);
        self.spool().ack(self.position).await.unwrap();
        let depth = self.spool().depth();
        assert_eq!((depth.records, depth.bytes, depth.oldest_seq), (0, 0, None));
    }
}

proptest! {
    #[test]
    fn acknowledged_records_survive_anything_exactly_once(
        seed: u64,
        segment_bytes in 1..8000_u64,
        ops in ops(),
    ) {
        runtime().block_on(Model::new(seed, segment_bytes).run(ops));
    }

    #[test]
    fn damage_costs_only_the_records_that_it_touches(
        lens in prop::collection::vec(0..600_usize, 1..30),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 1..40_usize, any::<u8>()), 1..4),
    ) {
        runtime().block_on(async {
            let disk = SimulatedDisk::new(1);
            let spool = open(&disk, 1 << 20);
            let mut expected = Vec::new();
            let mut at = segment::HEADER_BYTES;
            for (number, len) in (0_u64..).zip(&lens) {
                let payload = payload(number, *len);
                let end = at + RECORD_HEAD_BYTES + payload.len();
                let seq = spool.append(payload.clone()).await.unwrap();
                expected.push((at..end, Record { seq, payload }));
                at = end;
            }
            drop(spool);
            let name = segment::file_name(1);
            let original = disk.content(&name);
            assert_eq!(original.len(), at);
            let mut content = original.clone();
            for (index, len, mask) in damage {
                let from = index.index(content.len());
                content.iter_mut().skip(from).take(len).for_each(|byte| *byte ^= mask);
            }
            disk.overwrite(&name, &content);
            expected.retain(|(range, _)| content[range.clone()] == original[range.clone()]);

            let spool = open(&disk, 1 << 20);
            let read = spool.try_take(0, 100, 1 << 20).await.unwrap();
            assert_eq!(read, expected.into_iter().map(|(_, record)| record).collect::<Vec<_>>());
            assert_eq!(spool.recovery().damaged_bytes > 0, content != original);
            drop(spool);
            let spool = open(&disk, 1 << 20); // which finds nothing to mend
            assert_eq!(spool.try_take(0, 100, 1 << 20).await.unwrap(), read);
            let seq = spool.append(b"next".to_vec()).await.unwrap();
            assert!(seq > lens.len() as u64, "{seq} may have been used");
        });
    }
}

#[tokio::test]
async fn damaged_bytes_are_kept_aside_and_the_file_is_cut_to_its_whole_records() {
    let disk = SimulatedDisk::new(1);
    let spool = open(&disk, 1 << 20);
    spool.append(b"first".to_vec()).await.unwrap();
    spool.append(b"second".to_vec()).await.unwrap();
    drop(spool);
    let name = segment::file_name(1);
    let mut content = disk.content(&name);
    assert_eq!(content.len(), 40 + 25 + 26);
    content.truncate(88);
    disk.overwrite(&name, &content);

    let spool = open(&disk, 1 << 20);
    let report = SpoolRecovery { segments: 1, records: 1, damaged_bytes: 23, quarantined_bytes: 23 };
    assert_eq!(spool.recovery(), report);
    assert_eq!(spool.depth().quarantined_bytes, 23);
    assert_eq!(disk.content(&name), content[..65]);
    assert_eq!(disk.content("00000000000000000001.spool.000000000065.quarantine"), content[65..]);
    assert_eq!(spool.try_take(0, 10, 1000).await.unwrap(), [Record { seq: 1, payload: b"first".to_vec() }]);
}

#[tokio::test]
async fn a_lost_id_is_restored_and_a_foreign_segment_refused() {
    let (one, two) = (SimulatedDisk::new(1), SimulatedDisk::new(2));
    let spool = open(&one, 1 << 20);
    let id = spool.id();
    spool.append(b"mine".to_vec()).await.unwrap();
    drop(spool);
    one.remove("id").unwrap();
    let spool = open(&one, 1 << 20);
    assert_eq!(spool.id(), id);
    drop(spool);

    drop(open(&two, 1 << 20));
    two.create(&segment::file_name(1)).unwrap();
    two.overwrite(&segment::file_name(1), &one.content(&segment::file_name(1)));
    let error = Spool::open_on(Arc::new(two), small(1 << 20, 1 << 20)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "spool file 00000000000000000001.spool is unusable: belongs to another spool"
    );
}

#[tokio::test]
async fn a_full_disk_refuses_leaves_nothing_half_written_and_recovers() {
    let disk = SimulatedDisk::new(3);
    let spool = open(&disk, 1 << 20);
    assert_eq!(spool.append(b"before".to_vec()).await.unwrap(), 1);
    let whole = disk.content(&segment::file_name(1))[..66].to_vec();
    disk.fail(0, 1, Fault::NoSpace);
    assert!(matches!(spool.append(vec![1; 3000]).await, Err(SpoolError::DiskFull)));
    assert_eq!(disk.faults_hit(), 1);
    assert_eq!(disk.content(&segment::file_name(1)), whole);
    let seq = spool.append(b"after".to_vec()).await.unwrap();
    assert_eq!(seq, 3, "the number of the failed one stays unused");
    let records = spool.try_take(0, 10, 1000).await.unwrap();
    assert_eq!(
        records.iter().map(|record| record.payload.as_slice()).collect::<Vec<_>>(),
        [&b"before"[..], b"after"]
    );
}

#[tokio::test]
async fn a_file_is_not_written_again_after_its_sync_failed() {
    let disk = SimulatedDisk::new(4);
    let spool = open(&disk, 1 << 20);
    spool.append(b"before".to_vec()).await.unwrap();
    disk.fail(1, 1, Fault::Io); // the write succeeds
    assert!(matches!(spool.append(b"failed".to_vec()).await, Err(SpoolError::Io(_))));
    assert_eq!(spool.append(b"after".to_vec()).await.unwrap(), 3);
    assert_eq!(disk.content(&segment::file_name(1)).len(), 66);
    assert_eq!(disk.content(&segment::file_name(3))[40..48], 3_u64.to_le_bytes());
}

#[tokio::test]
async fn what_a_failed_batch_left_behind_never_hides_the_batch_written_in_its_place() {
    for seed in 0..300 {
        let disk = SimulatedDisk::new(seed);
        let spool = open(&disk, 1 << 20);
        spool.append(payload(0, 700)).await.unwrap();
        spool.ack(1).await.unwrap();
        disk.fail(0, 1, Fault::NoSpace); // the write; then a new segment is created and the old one removed,
        disk.fail(4, 1, Fault::Io); // but this is not synced
        let mut tasks = JoinSet::new();
        for number in 1..20 {
            let spool = spool.clone();
            tasks.spawn(async move { (spool.append(payload(number, 100)).await.unwrap(), number) });
        }
        let mut expected = BTreeMap::new();
        while let Some(stored) = tasks.join_next().await {
            expected.extend([stored.unwrap()]);
        }
        assert_eq!(disk.faults_hit(), 2);
        disk.halt();
        drop(spool);
        disk.power_cut();
        disk.resume();
        let records = open(&disk, 1 << 20).try_take(1, 100, 1 << 20).await.unwrap();
        let read = records.iter().map(|record| (record.seq, u64::from(record.payload[0]))).collect();
        assert_eq!(expected, read, "seed {seed}");
    }
}

#[tokio::test]
async fn a_segment_whose_creation_failed_is_created_before_anything_is_written() {
    let disk = SimulatedDisk::new(8);
    let spool = open(&disk, 1 << 20);
    spool.append(b"consumed".to_vec()).await.unwrap();
    spool.ack(1).await.unwrap();
    disk.fail(0, 1, Fault::NoSpace); // the write; then a new segment is created
    disk.fail(2, 1, Fault::Io); // but its name is not synced
    assert!(matches!(spool.append(b"failed".to_vec()).await, Err(SpoolError::DiskFull)));
    assert_eq!(spool.append(b"stored".to_vec()).await.unwrap(), 3);
    disk.halt();
    drop(spool);
    disk.resume();
    let records = open(&disk, 1 << 20).try_take(1, 10, 1000).await.unwrap();
    assert_eq!(records, [Record { seq: 3, payload: b"stored".to_vec() }]);
}

#[tokio::test]
async fn what_was_handed_out_after_a_kill_survives_a_later_power_cut() {
    for seed in 0..20 {
        let disk = SimulatedDisk::new(seed);
        let spool = open(&disk, 1 << 20);
        spool.append(b"synced".to_vec()).await.unwrap();
        disk.fail(1, 1, Fault::Halt); // the write succeeds, the sync does not begin
        assert!(spool.append(b"written".to_vec()).await.is_err());
        drop(spool);
        disk.resume();
        let spool = open(&disk, 1 << 20);
        let read = spool.try_take(0, 10, 1000).await.unwrap();
        assert_eq!(read.iter().map(|record| record.seq).collect::<Vec<_>>(), [1, 2]);
        disk.halt();
        drop(spool);
        disk.power_cut();
        disk.resume();
        assert_eq!(open(&disk, 1 << 20).try_take(0, 10, 1000).await.unwrap(), read);
    }
}

#[tokio::test]
async fn a_full_spool_refuses_until_records_are_acknowledged() {
    let disk = SimulatedDisk::new(5);
    let spool = Spool::open_on(Arc::new(disk), small(10_000, 1 << 20)).unwrap();
    for seq in 1..=9 {
        assert_eq!(spool.append(vec![0; 1000]).await.unwrap(), seq);
    }
    let refused = spool.append(vec![0; 1000]).await;
    assert!(matches!(refused, Err(SpoolError::Full { bytes: 9180, bytes_max: 10_000 })), "{refused:?}");
    spool.ack(3).await.unwrap();
    let depth = spool.depth();
    assert_eq!((depth.records, depth.bytes, depth.oldest_seq, depth.durable_seq), (6, 6120, Some(4), 9));
    assert_eq!(spool.append(vec![0; 1000]).await.unwrap(), 10);
    let too_large = spool.append(vec![0; 4097]).await;
    assert!(matches!(too_large, Err(SpoolError::TooLarge { len: 4097, max: 4096 })), "{too_large:?}");
}

#[tokio::test]
async fn a_consumer_that_is_ahead_moves_the_next_number_past_its_position() {
    let spool = open(&SimulatedDisk::new(6), 1 << 20);
    spool.append(b"one".to_vec()).await.unwrap();
    spool.ack(100).await.unwrap();
    assert_eq!(spool.append(b"two".to_vec()).await.unwrap(), 101);
    assert_eq!(spool.take(100, 10, 1000).await.unwrap(), [Record { seq: 101, payload: b"two".to_vec() }]);
    assert!(matches!(spool.ack(u64::MAX).await, Err(SpoolError::Io(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_and_a_waiting_reader_share_a_local_directory() {
    let directory = Directory::new("many");
    let mut config = SpoolConfig::new(&directory.0);
    config.segment_bytes = 100_000;
    let spool = Spool::open(config.clone()).unwrap();
    assert!(matches!(Spool::open(config.clone()), Err(SpoolError::Locked { .. })));
    let mut writers = JoinSet::new();
    for writer in 0..32_u64 {
        let spool = spool.clone();
        writers.spawn(async move {
            for i in 0..50 {
                let number = writer * 50 + i;
                spool.append(payload(number, (number % 900) as usize)).await.unwrap();
            }
        });
    }
    let (mut position, mut numbers, mut last_of) = (0, BTreeSet::new(), BTreeMap::new());
    while numbers.len() < 1600 {
        let waiting = spool.take(position, 100, 20_000);
        let records = tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap();
        for record in records {
            assert!(record.seq > position);
            position = record.seq;
            let number = u64::from_le_bytes(record.payload[..8].try_into().unwrap());
            assert_eq!(record.payload, payload(number, (number % 900) as usize));
            assert!(numbers.insert(number));
            assert!(last_of.insert(number / 50, number).is_none_or(|last| last < number), "out of order");
        }
        spool.ack(position).await.unwrap();
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    spool.close().await;
    assert!(matches!(spool.append(Vec::new()).await, Err(SpoolError::Closed)));
    assert!(matches!(spool.take(position, 1, 1).await, Err(SpoolError::Closed)));
    drop(spool);
    assert_eq!(directory.segments().len(), 1);
    let spool = Spool::open(config).unwrap();
    spool.ack(position).await.unwrap();
    assert!(spool.append(Vec::new()).await.unwrap() > 1600);
}

#[tokio::test]
async fn consumed_payloads_leave_the_disk_soon() {
    let directory = Directory::new("drained");
    let spool = Spool::open(SpoolConfig::new(&directory.0)).unwrap();
    for _ in 0..5 {
        spool.append(b"personal".to_vec()).await.unwrap();
    }
    spool.ack(5).await.unwrap();
    for _ in 0..100 {
        if directory.segments() == ["00000000000000000006.spool"] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(directory.segments(), ["00000000000000000006.spool"]);
    assert_eq!(std::fs::metadata(directory.0.join("00000000000000000006.spool")).unwrap().len(), 0);
    drop(spool);
    let spool = Spool::open(SpoolConfig::new(&directory.0)).unwrap();
    assert_eq!(spool.append(b"next".to_vec()).await.unwrap(), 7);
}

#[tokio::test]
async fn closing_writes_what_waits() {
    let disk = SimulatedDisk::new(7);
    let spool = open(&disk, 1 << 20);
    let mut tasks = JoinSet::new();
    for number in 0..20 {
        let spool = spool.clone();
        tasks.spawn(async move { spool.append(payload(number, 100)).await });
    }
    tokio::task::yield_now().await;
    spool.close().await;
    let mut stored = 0;
    while let Some(done) = tasks.join_next().await {
        match done.unwrap() {
            Ok(_) => stored += 1,
            Err(error) => assert!(matches!(error, SpoolError::Closed), "{error}"),
        }
    }
    assert_eq!(spool.take(0, 100, 100_000).await.unwrap().len(), stored);
    assert_eq!(stored, 20);
}
