//! The shape for several machines: the door alone, a worker and a scheduler, on one PostgreSQL with Redis between them.

use std::process::{Child, Command};
use std::time::Duration;

use belvedere_storage::testing::server_url;
use belvedere_storage::{Database, DatabaseConfig};
use sea_orm::ConnectionTrait;

use crate::api::{Api, Directory, Start, agent, binary, free_port, send_numbered};

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_door_without_a_digest_hands_everything_to_workers() {
    let Some(url) = server_url("TEST_POSTGRES_URL", "PostgreSQL") else { return };
    let Some(redis) = server_url("TEST_REDIS_URL", "Redis") else { return };
    let (before, _) = url.rsplit_once('/').unwrap();
    let name = format!("split_{}", free_port());
    let own = format!("{before}/{name}");
    belvedere_storage::testing::run(async {
        let admin = Database::connect(&DatabaseConfig::new(&url)).await.unwrap();
        admin.read().execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
    });
    let (directory, elsewhere) = (Directory::new(), Directory::new());
    let data = elsewhere.0.to_str().unwrap();
    let key = "ab".repeat(32);
    let environment = [
        ("BELVEDERE_DATABASE_URL", own.as_str()),
        ("BELVEDERE_REDIS_URL", redis.as_str()),
        ("BELVEDERE_PRIVACY_MASTER_KEY", key.as_str()),
        ("BELVEDERE_LOG_FILTER", "warn"),
        // Only a wake-up brings a delivery to a worker before this test gives up.
        ("BELVEDERE_INTAKE_POLL_SECONDS", "3600"),
    ];
    let refused = Command::new(binary("worker"))
        .envs(environment)
        .env("BELVEDERE_DATA_DIRECTORY", data)
        .output()
        .unwrap();
    assert!(!refused.status.success());
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        why.contains("api --migrate up"),
        "a database without its schema is refused with advice, not: {why}"
    );
    let migrated = Command::new(binary("api")).args(["--migrate", "up"]).envs(environment).output().unwrap();
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));

    let arguments = ["--role", "api"];
    let start =
        Start { data: &directory.0, port: free_port(), environment: &environment, arguments: &arguments };
    let api = Api::start_with(&start);
    let (public_key, project) = api.key_and_project();
    for number in 0..20 {
        assert_eq!(send_numbered(&agent(), api.address(), &public_key, &project, number), Some(200));
    }
    std::thread::sleep(Duration::from_millis(500));
    assert!(api.stored_event_ids().is_empty(), "a door alone digests nothing");

    let processes: Vec<Process> = ["worker", "worker", "scheduler"]
        .iter()
        .map(|program| {
            let mut command = Command::new(binary(program));
            Process(command.envs(environment).env("BELVEDERE_DATA_DIRECTORY", data).spawn().unwrap())
        })
        .collect();
    api.assert_stored_exactly_once(&(0..20).collect::<Vec<_>>());

    assert_eq!(send_numbered(&agent(), api.address(), &public_key, &project, 20), Some(200));
    api.assert_stored_exactly_once(&[20]);
    drop((processes, api));
    belvedere_storage::testing::run(async {
        let admin = Database::connect(&DatabaseConfig::new(&url)).await.unwrap();
        admin.read().execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
    });
}
