//! The schema's history: one linear list of migrations for SQLite and PostgreSQL alike.
//!
//! Each file names its slice. A migration that has been released is never edited; the next one corrects it. No
//! crate of the project is imported here, so that old migrations keep meaning what they meant.

use sea_orm_migration::prelude::*;

mod column;

/// Applies the migrations in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![]
    }

    fn migration_table_name() -> DynIden {
        "schema_migration".into_iden()
    }
}
