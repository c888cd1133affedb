//! Error tracking: releases, their deploys and commits, sessions, and exact counts of both.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::column::{boolean, id, integer, nullable, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261125_000010_releases"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for mut table in tables() {
            if manager.get_database_backend() == DbBackend::Sqlite {
                // The key is a large part of each row: one tree instead of two.
                table.extra("WITHOUT ROWID");
            }
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut index = Index::drop();
        manager.drop_index(index.name("error_issue_first_release").table("error_issue").to_owned()).await?;
        let tables = [
            "error_release_commit",
            "error_deploy",
            "error_session",
            "error_release_user",
            "error_release_hour",
            "error_issue_release",
            "error_release",
        ];
        for table in tables {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

fn tables() -> [TableCreateStatement; 7] {
    [release(), issue_release(), release_hour(), release_user(), session(), deploy(), commit()]
}

fn release() -> TableCreateStatement {
    Table::create()
        .table("error_release")
        .col(integer("project_id"))
        .col(text("version"))
        .col(timestamp("created_at"))
        .col(timestamp("first_seen"))
        // Up to a minute behind, so that known releases cost no write with every batch.
        .col(timestamp("last_seen"))
        .col(nullable(timestamp("first_event_at")))
        .col(nullable(timestamp("last_event_at")))
        .col(nullable(timestamp("started_at")))
        .col(nullable(timestamp("released_at")))
        .col(nullable(text("ref_name")))
        .col(nullable(text("url")))
        // Whether the API has spoken of it: such a release makes no room for others.
        .col(boolean("is_declared"))
        .primary_key(Index::create().col("project_id").col("version"))
        .take()
}

fn issue_release() -> TableCreateStatement {
    Table::create()
        .table("error_issue_release")
        .col(integer("project_id"))
        .col(text("version"))
        .col(id("issue_id"))
        .col(integer("event_count"))
        .primary_key(Index::create().col("project_id").col("version").col("issue_id"))
        .take()
}

fn release_hour() -> TableCreateStatement {
    Table::create()
        .table("error_release_hour")
        .col(integer("project_id"))
        .col(text("version"))
        .col(text("environment"))
        .col(integer("hour"))
        .col(integer("event_count"))
        .col(integer("session_count"))
        // Parts of the sessions, none of them counted twice; the rest is healthy.
        .col(integer("errored_count"))
        .col(integer("unhandled_count"))
        .col(integer("abnormal_count"))
        .col(integer("crashed_count"))
        .primary_key(Index::create().col("project_id").col("version").col("environment").col("hour"))
        .take()
}

fn release_user() -> TableCreateStatement {
    Table::create()
        .table("error_release_user")
        .col(integer("project_id"))
        .col(text("version"))
        .col(text("environment"))
        // 1 for rows of an hour, 24 for rows of a day.
        .col(integer("width_hours"))
        // The first hour that the row stands for.
        .col(integer("hour"))
        .col(integer("subject_id"))
        // The worst that the person met with.
        .col(integer("state"))
        .primary_key(
            Index::create()
                .col("project_id")
                .col("version")
                .col("environment")
                .col("width_hours")
                .col("hour")
                .col("subject_id"),
        )
        .take()
}

fn session() -> TableCreateStatement {
    Table::create()
        .table("error_session")
        .col(integer("project_id"))
        .col(id("session_id"))
        .col(text("version"))
        .col(text("environment"))
        .col(integer("hour"))
        .col(integer("state"))
        .col(nullable(integer("subject_id")))
        .primary_key(Index::create().col("project_id").col("session_id"))
        .take()
}

fn deploy() -> TableCreateStatement {
    Table::create()
        .table("error_deploy")
        .col(id("id"))
        .col(integer("project_id"))
        .col(text("version"))
        .col(text("environment"))
        .col(nullable(text("name")))
        .col(nullable(text("url")))
        .col(nullable(timestamp("started_at")))
        .col(timestamp("finished_at"))
        .primary_key(Index::create().col("project_id").col("id"))
        .take()
}

fn commit() -> TableCreateStatement {
    Table::create()
        .table("error_release_commit")
        .col(integer("project_id"))
        .col(text("version"))
        // From 0, the newest first.
        .col(integer("position"))
        .col(text("revision"))
        .col(nullable(text("repository")))
        .col(nullable(text("message")))
        .col(nullable(timestamp("committed_at")))
        .col(nullable(integer("author_subject_id")))
        .primary_key(Index::create().col("project_id").col("version").col("position"))
        .take()
}

fn indexes() -> [IndexCreateStatement; 7] {
    let on = |name: &'static str, table: &'static str| {
        Index::create().name(name).table(table).col("project_id").take()
    };
    [
        on("error_release_last_seen", "error_release").col("last_seen").col("version").take(),
        on("error_release_first_seen", "error_release").col("first_seen").col("version").take(),
        on("error_release_hour_hour", "error_release_hour").col("hour").take(),
        on("error_release_user_hour", "error_release_user").col("width_hours").col("hour").take(),
        on("error_session_hour", "error_session").col("hour").take(),
        on("error_deploy_version", "error_deploy").col("version").col("finished_at").take(),
        on("error_issue_first_release", "error_issue").col("first_release").take(),
    ]
}
