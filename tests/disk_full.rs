//! A full disk is answered 503 with Retry-After, loses nothing and is over when there is space again.

use std::path::PathBuf;
use std::process::Command;

use crate::api::{Api, Directory, Start, agent, free_port, numbered_envelope};

/// A small file system of its own for the data directory, in a mount namespace that ends with the server.
const MOUNT: &str = "mount -t tmpfs -o size=96m tmpfs \"$0\" && exec \"$@\"";

#[test]
fn a_full_disk_is_refused_loses_nothing_and_recovers_by_itself() {
    let directory = Directory::new();
    let wrapper = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT];
    let can_mount = Command::new(wrapper[0]).args(&wrapper[1..]).arg(&directory.0).arg("true").status();
    if !can_mount.is_ok_and(|status| status.success()) {
        assert!(
            std::env::var_os("CI").is_none(),
            "a small file system cannot be mounted: no suite may be left out under CI"
        );
        eprintln!("LEFT OUT: disk-full test, because a small file system cannot be mounted here");
        return;
    }
    let data = directory.0.join("data");
    let mount = [wrapper.as_slice(), &[directory.0.to_str().unwrap()]].concat();
    let environment =
        [("BELVEDERE_SPOOL_SEGMENT_BYTES", "1048576"), ("BELVEDERE_SPOOL_BYTES_MAX", "16777216")];
    let start = Start { data: &data, port: free_port(), environment: &environment, arguments: &[] };
    let api = Api::start_inside(&mount, &start);
    let (key, project) = api.key_and_project();
    let agent = agent();
    let address = format!("{}/api/{project}/envelope/", api.address());
    let send = |number| {
        let auth = format!("Sentry sentry_key={key}, sentry_version=7");
        let request = agent.post(&address).header("x-sentry-auth", auth);
        let response = request.send(numbered_envelope(number, 20_000)).ok()?;
        let status = response.status().as_u16();
        assert!(
            status != 503 || response.headers().contains_key("retry-after"),
            "503 came without Retry-After"
        );
        Some(status)
    };

    let mut acknowledged: Vec<u64> = (0..100).filter(|number| send(*number) == Some(200)).collect();
    assert_eq!(acknowledged.len(), 100);

    // The server's view of its file system, from outside its mount namespace.
    let filler =
        PathBuf::from(format!("/proc/{}/root{}", api.process(), directory.0.join("filler").display()));
    let mut refused = 0;
    for round in 0..40_u64 {
        fill(&filler);
        for number in (0..50).map(|it| 1_000 + round * 50 + it) {
            match send(number) {
                Some(200) => acknowledged.push(number),
                Some(503) => refused += 1,
                other => panic!("a full disk was answered {other:?}"),
            }
        }
        if refused > 100 {
            break;
        }
    }
    assert!(refused > 100, "the disk never became full for the server");
    std::fs::remove_file(&filler).unwrap();
    let after = api.eventually("events are accepted again", |_| {
        let number = 100_000 + acknowledged.len() as u64;
        (send(number) == Some(200)).then_some(number)
    });
    acknowledged.push(after);
    api.assert_stored_exactly_once(&acknowledged);
}

/// Takes every free block.
fn fill(path: &PathBuf) {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    for block in [vec![1_u8; 64 << 10], vec![1_u8; 4 << 10]] {
        while file.write_all(&block).is_ok() {}
    }
}
