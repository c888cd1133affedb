//! The schema's history: one linear list of migrations for SQLite and PostgreSQL alike.
//!
//! Each file names its slice. A migration that has been released is never edited; the next one corrects it. No
//! crate of the project is imported here, so that old migrations keep meaning what they meant.

use sea_orm_migration::prelude::*;

mod column;
mod m20261123_000001_accounts;
mod m20261123_000002_privacy;
mod m20261123_000003_audit;
mod m20261123_000004_jobs;
mod m20261123_000005_intake;
mod m20261123_000006_error_tracking;
mod m20261125_000007_grouping;
mod m20261125_000008_triage;
mod m20261125_000009_search;
mod m20261125_000010_releases;
mod m20261125_000011_monitors;
mod m20261125_000012_logs;
mod m20261125_000013_source_maps;
mod m20261125_000014_attachments_and_feedback;
mod m20261125_000015_limits;
mod m20261125_000016_regressions;
mod m20261128_000017_tag_counts;
mod m20261128_000018_event_store;
mod m20261128_000019_rollup_checks;
mod m20261128_000020_xapi;
mod m20261128_000021_learning;
mod m20261129_000022_exercises;
mod m20261129_000025_alerting;
mod m20261129_000026_track;
mod m20261129_000027_business;
mod m20261129_000028_insights;
mod m20261129_000029_cohorts;
mod m20261129_000030_consents;
mod m20261129_000031_waiting;
mod m20261129_000032_recent_postings;
mod m20261129_000040_flags;

/// Applies the migrations in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_accounts::Migration),
            Box::new(m20261123_000002_privacy::Migration),
            Box::new(m20261123_000003_audit::Migration),
            Box::new(m20261123_000004_jobs::Migration),
            Box::new(m20261123_000005_intake::Migration),
            Box::new(m20261123_000006_error_tracking::Migration),
            Box::new(m20261125_000010_releases::Migration),
            Box::new(m20261125_000009_search::Migration),
            Box::new(m20261125_000007_grouping::Migration),
            Box::new(m20261125_000014_attachments_and_feedback::Migration),
            Box::new(m20261125_000015_limits::Migration),
            Box::new(m20261125_000013_source_maps::Migration),
            Box::new(m20261125_000008_triage::Migration),
            Box::new(m20261125_000011_monitors::Migration),
            Box::new(m20261125_000012_logs::Migration),
            Box::new(m20261125_000016_regressions::Migration),
            Box::new(m20261128_000017_tag_counts::Migration),
            Box::new(m20261128_000018_event_store::Migration),
            Box::new(m20261128_000019_rollup_checks::Migration),
            Box::new(m20261128_000020_xapi::Migration),
            Box::new(m20261128_000021_learning::Migration),
            Box::new(m20261129_000025_alerting::Migration),
            Box::new(m20261129_000026_track::Migration),
            Box::new(m20261129_000022_exercises::Migration),
            Box::new(m20261129_000027_business::Migration),
            Box::new(m20261129_000028_insights::Migration),
            Box::new(m20261129_000029_cohorts::Migration),
            Box::new(m20261129_000030_consents::Migration),
            Box::new(m20261129_000031_waiting::Migration),
            Box::new(m20261129_000032_recent_postings::Migration),
            Box::new(m20261129_000040_flags::Migration),
        ]
    }

    fn migration_table_name() -> DynIden {
        "schema_migration".into_iden()
    }
}
