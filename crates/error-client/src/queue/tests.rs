use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::*;

/// A directory that is gone with its owner.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("belvedere-queue-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn open(&self) -> Queue {
        Queue::open(QueueConfig::new(&self.0)).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn put(queue: &mut Queue, importance: Importance, text: &str) {
    queue.append(importance, text.as_bytes(), |_| panic!("nothing is dropped")).unwrap();
}

/// Everything that waits, in the order of delivery.
fn drain(queue: &mut Queue) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(ticket) = queue.first(&Importance::ALL, None) {
        if let Some(payload) = queue.read(ticket).unwrap() {
            all.push(String::from_utf8(payload).unwrap());
        }
        queue.remove(ticket);
    }
    all
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn the_important_comes_first_and_the_oldest_of_it() {
    let directory = Directory::new();
    let mut queue = directory.open();
    put(&mut queue, Importance::Other, "count");
    put(&mut queue, Importance::Error, "first error");
    put(&mut queue, Importance::Fatal, "panic");
    put(&mut queue, Importance::Error, "second error");
    assert_eq!(queue.len(), 4);
    assert_eq!(drain(&mut queue), ["panic", "first error", "second error", "count"]);
    drop(queue);
    assert_eq!(files(&directory.0), Vec::<PathBuf>::new(), "a drained queue leaves no files");
}

#[test]
fn nothing_is_made_before_the_first_record() {
    let directory = Directory::new();
    drop(directory.open());
    assert!(!directory.0.exists());
}

#[test]
fn a_killed_process_leaves_everything_to_the_next() {
    let directory = Directory::new();
    let mut queue = directory.open();
    for number in 0..100 {
        put(&mut queue, Importance::Error, &format!("error {number}"));
    }
    for _ in 0..30 {
        let ticket = queue.first(&Importance::ALL, None).unwrap();
        queue.remove(ticket);
    }
    queue.abandon();
    let mut queue = directory.open();
    let expected: Vec<_> = (30..100).map(|number| format!("error {number}")).collect();
    assert_eq!(drain(&mut queue), expected);
}

#[test]
fn two_processes_share_a_directory_and_one_inherits_from_the_other() {
    let directory = Directory::new();
    let (mut first, mut second) = (directory.open(), directory.open());
    put(&mut first, Importance::Error, "of the first");
    put(&mut second, Importance::Error, "of the second");
    assert_eq!(first.adopt().unwrap(), 0, "a living process keeps its folder");
    second.abandon();
    assert_eq!(first.adopt().unwrap(), 1);
    assert_eq!(drain(&mut first), ["of the first", "of the second"]);
    drop(first);
    assert_eq!(files(&directory.0), Vec::<PathBuf>::new());
}

#[test]
fn room_is_made_by_dropping_the_oldest_of_the_least_important() {
    let directory = Directory::new();
    let config = QueueConfig { records_max: 10, ..QueueConfig::new(&directory.0) };
    let mut queue = Queue::open(config).unwrap();
    for number in 0..4 {
        put(&mut queue, Importance::Fatal, &format!("fatal {number}"));
        put(&mut queue, Importance::Error, &format!("error {number}"));
    }
    put(&mut queue, Importance::Other, "count 0");
    put(&mut queue, Importance::Other, "count 1");
    let mut dropped = Vec::new();
    for number in 4..8 {
        let text = format!("error {number}");
        let note = |payload: &[u8]| dropped.push(String::from_utf8(payload.to_vec()).unwrap());
        queue.append(Importance::Error, text.as_bytes(), note).unwrap();
    }
    assert_eq!(dropped, ["count 0", "count 1", "error 0", "error 1"]);
    let refused = queue.append(Importance::Other, b"count 2", |_| panic!("nothing less important is there"));
    assert!(matches!(refused, Err(QueueError::Full)), "{refused:?}");
    assert_eq!(queue.len(), 10);
}

#[test]
fn what_earlier_processes_left_is_cut_to_what_the_queue_takes() {
    let directory = Directory::new();
    for process in 0..3 {
        let mut queue = Queue::open(QueueConfig::new(&directory.0)).unwrap();
        for number in 0..8 {
            put(&mut queue, Importance::Error, &format!("{process} {number}"));
        }
        queue.abandon();
    }
    let config = QueueConfig { records_max: 10, ..QueueConfig::new(&directory.0) };
    let mut queue = Queue::open(config).unwrap();
    let expected: Vec<_> =
        (6..8).map(|number| format!("1 {number}")).chain((0..8).map(|it| format!("2 {it}"))).collect();
    assert_eq!(drain(&mut queue), expected);
}

#[test]
fn all_files_together_stay_within_their_bytes() {
    let directory = Directory::new();
    let config = QueueConfig { bytes_max: 64 << 10, ..QueueConfig::new(&directory.0) };
    let mut queue = Queue::open(config).unwrap();
    let payload = vec![b'x'; 3_000];
    let mut dropped = 0;
    for number in 0..200 {
        let importance = if number % 20 == 0 { Importance::Fatal } else { Importance::Error };
        queue.append(importance, &payload, |_| dropped += 1).unwrap();
        let on_disk: u64 = files(&directory.0).iter().map(|file| file.metadata().unwrap().len()).sum();
        assert!(on_disk <= 64 << 10, "{on_disk} bytes after {number}");
        assert_eq!(on_disk, queue.bytes());
    }
    assert_eq!(queue.len() + dropped, 200);
    assert!(queue.len() >= 15, "only {} are kept", queue.len());
    let fatal = std::iter::from_fn(|| {
        let ticket = queue.first(&[Importance::Fatal], None)?;
        queue.remove(ticket);
        Some(())
    });
    assert_eq!(fatal.count(), 10, "no fatal record is dropped while others are there");
    let refused = queue.append(Importance::Fatal, &vec![0; 17 << 10], |_| ());
    assert!(matches!(refused, Err(QueueError::TooLarge { bytes: 17_408 })), "{refused:?}");
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error_and_not_a_panic() {
    let directory = Directory::new();
    std::fs::write(&directory.0, "a file").unwrap();
    let queue = Queue::open(QueueConfig::new(&directory.0));
    assert!(matches!(queue, Err(QueueError::Disk(_))), "{queue:?}");
    std::fs::remove_file(&directory.0).unwrap();
}

/// What happens to a queue.
#[derive(Debug, Clone)]
enum Step {
    Append {
        importance: Importance,
        length: usize,
    },
    /// Delivers the first record.
    Deliver,
    Restart,
    Kill,
    /// A power cut that leaves this share (of 256) of the bytes written since the last fsync, then perhaps noise.
    PowerCut {
        kept: u8,
        noise: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let importance = prop_oneof![Just(Importance::Fatal), Just(Importance::Error), Just(Importance::Other)];
    let step = prop_oneof![
        6 => (importance, 0_usize..600).prop_map(|(importance, length)| Step::Append { importance, length }),
        4 => Just(Step::Deliver),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(kept, noise)| Step::PowerCut { kept, noise }),
    ];
    proptest::collection::vec(step, 1..80)
}

#[derive(Debug, Clone, PartialEq)]
struct Waiting {
    importance: Importance,
    text: String,
    is_synced: bool,
}

/// Cuts off or damages what lies behind the last fatal record of each file that was open.
fn cut_power(directory: &Path, kept: u8, noise: bool) {
    for file in files(directory) {
        let Some(suffix) = file.extension() else { continue };
        if suffix == "fatal" {
            continue; // every record of it is synced
        }
        let bytes = std::fs::read(&file).unwrap();
        let mut left = bytes[..bytes.len() * usize::from(kept) / 256].to_vec();
        if noise {
            left.resize(bytes.len(), 0xA5);
        }
        std::fs::write(&file, left).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_appended_is_delivered_in_order_whatever_happens_to_the_process(steps in steps()) {
        let directory = Directory::new();
        let mut queue = directory.open();
        let mut model: Vec<Waiting> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Append { importance, length } => {
                    let text = format!("{number} {}", "x".repeat(length));
                    put(&mut queue, importance, &text);
                    let is_synced = importance == Importance::Fatal;
                    model.push(Waiting { importance, text, is_synced });
                }
                Step::Deliver => {
                    model.sort_by_key(|waiting| waiting.importance);
                    let ticket = queue.first(&Importance::ALL, None);
                    prop_assert_eq!(ticket.is_some(), !model.is_empty());
                    if let Some(ticket) = ticket {
                        let payload = queue.read(ticket).unwrap().unwrap();
                        prop_assert_eq!(String::from_utf8(payload).unwrap(), model.remove(0).text);
                        queue.remove(ticket);
                    }
                }
                Step::Restart => {
                    drop(queue);
                    queue = directory.open();
                }
                Step::Kill => {
                    queue.abandon();
                    queue = directory.open();
                }
                Step::PowerCut { kept, noise } => {
                    queue.abandon();
                    cut_power(&directory.0, kept, noise);
                    queue = directory.open();
                    // What was not synced may be there or not; what is there is whole and in order.
                    let mut left = Vec::new();
                    let texts = drain(&mut queue);
                    model.sort_by_key(|waiting| waiting.importance);
                    let mut expected = model.iter();
                    for text in texts {
                        let found = expected.by_ref().find(|waiting| waiting.text == text || waiting.is_synced);
                        prop_assert_eq!(found.map(|waiting| &waiting.text), Some(&text));
                        left.push(text);
                    }
                    prop_assert!(expected.all(|waiting| !waiting.is_synced), "a synced record is lost");
                    model.clear();
                }
            }
            prop_assert_eq!(queue.len(), model.len());
        }
    }
}
