use std::process::Command;

use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;

use super::fixtures::{Bench, PROJECT, events};
use crate::EventStore;

database_tests!(segments_are_plain_parquet_for_others);

/// Prints events, distinct subjects, events without one, the sum of values and the number of events by name.
const DUCKDB: &str = "
import duckdb, sys
files = sys.argv[1] + '/*.parquet'
rows = lambda sql: duckdb.sql(sql.replace('EVENTS', f\"read_parquet('{files}')\")).fetchall()
print(*rows('SELECT count(*), count(DISTINCT subject), count(*) FILTER (subject IS NULL), sum(value) FROM EVENTS')[0])
print(*rows('SELECT name, count(*) FROM EVENTS GROUP BY name ORDER BY name'))
print(*rows('SELECT typeof(id), typeof(time), typeof(subject), typeof(name), typeof(value), typeof(props) FROM EVENTS LIMIT 1')[0])
";

const PYARROW: &str = "
import pyarrow.dataset, pyarrow.compute as c, sys
events = pyarrow.dataset.dataset(sys.argv[1], format='parquet', exclude_invalid_files=True).to_table()
subject = events['subject']
print(events.num_rows, c.count_distinct(subject).as_py(), subject.null_count, c.sum(events['value']).as_py())
names = c.value_counts(events['name'].cast('string')).to_pylist()
print(*sorted((it['values'], it['counts']) for it in names))
";

/// The libraries are no servers that a run could start: without them it is said, and nothing fails.
async fn segments_are_plain_parquet_for_others(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.append(&events(0..200)).await.unwrap();
    bench.store.seal(PROJECT).await.unwrap();
    let directory = bench.directory.join("7");
    let mut read = 0;
    for (library, script) in [("duckdb", DUCKDB), ("pyarrow", PYARROW)] {
        let has = Command::new("python3").args(["-c", &format!("import {library}")]).output();
        if !has.is_ok_and(|output| output.status.success()) {
            continue;
        }
        let output = Command::new("python3").args(["-c", script]).arg(&directory).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        let mut lines = said.lines();
        assert_eq!(lines.next(), Some("200 4 0 1658.25"), "{library}");
        let names = "('name-0', 50) ('name-1', 50) ('name-2', 50) ('name-3', 50)";
        assert_eq!(lines.next(), Some(names), "{library}");
        if library == "duckdb" {
            let types = "BLOB TIMESTAMP WITH TIME ZONE UINTEGER VARCHAR DOUBLE VARCHAR";
            assert_eq!(lines.next(), Some(types));
        }
        read += 1;
    }
    if read == 0 {
        eprintln!("LEFT OUT: segments read by DuckDB or PyArrow, because python3 has neither");
    }
}
