//! The schema is the sum of the migrations, and the same on both databases.

use std::collections::BTreeMap;

use belvedere_storage::Dialect;
use belvedere_storage::testing::TestDatabase;
use sea_orm::{ConnectionTrait, Statement};

belvedere_storage::database_tests!(the_migrations_make_the_schema_that_is_written_down);

/// Table -> columns with what they hold, in words that fit both databases.
async fn describe(db: &TestDatabase) -> String {
    let sql = match db.dialect() {
        Dialect::Sqlite => {
            "SELECT m.name AS t, c.name AS c, c.type AS k, c.\"notnull\" = 0 AS n FROM sqlite_schema m
             JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
        }
        Dialect::Postgres => {
            "SELECT table_name::text AS t, column_name::text AS c, data_type::text AS k, is_nullable = 'YES' AS n
             FROM information_schema.columns WHERE table_schema = current_schema()"
        }
    };
    let connection = db.read();
    let rows = connection
        .query_all_raw(Statement::from_string(connection.get_database_backend(), sql))
        .await
        .unwrap();
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        let table: String = row.try_get("", "t").unwrap();
        let column: String = row.try_get("", "c").unwrap();
        let kind: String = row.try_get("", "k").unwrap();
        let is_nullable: bool = row.try_get("", "n").unwrap();
        let kind = match kind.to_lowercase() {
            kind if kind.starts_with("uuid") => "id",
            kind if kind.contains("int") => "integer",
            kind if kind.contains("char") || kind.contains("text") => "text",
            kind if kind.contains("blob") || kind.contains("bytea") || kind.contains("binary") => "bytes",
            kind if kind.contains("bool") => "boolean",
            kind if kind.is_empty() || kind == "tsvector" => "words",
            kind if kind.contains("double") || kind.contains("real") || kind.contains("float") => "real",
            kind => panic!("{table}.{column} is {kind}: say in tests/schema.rs what that is"),
        };
        let line = format!("  {column} {kind}{}", if is_nullable { " or null" } else { "" });
        tables.entry(table).or_default().push(line);
    }
    tables.remove("schema_migration");
    // The full-text index is each database's own.
    tables.retain(|table, _| !table.starts_with("error_issue_text"));
    let mut text = String::new();
    for (table, mut columns) in tables {
        columns.sort();
        text.push_str(&format!("{table}\n{}\n", columns.join("\n")));
    }
    text
}

async fn the_migrations_make_the_schema_that_is_written_down(db: TestDatabase) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/schema.txt");
    let described = describe(&db).await;
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &described).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        described == written,
        "the schema differs from migrations/schema.txt; if that is meant, run the test with UPDATE_SCHEMA=1\n{described}"
    );
}
