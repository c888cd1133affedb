use sea_orm_migration::prelude::*;

use crate::column::{blob, boolean, id, integer, nullable, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261123_000001_accounts"
    }
}

/// The tables in order of creation.
const TABLES: [&str; 10] = [
    "accounts_organisation",
    "accounts_user",
    "accounts_member",
    "accounts_counter",
    "accounts_project",
    "accounts_ingest_key",
    "accounts_api_token",
    "accounts_session",
    "accounts_link",
    "accounts_guess",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [organisation(), user(), member(), counter(), project(), ingest_key(), api_token()] {
            manager.create_table(table).await?;
        }
        for table in [session(), link(), guess()] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        // Project numbers are given out under this row's lock, so that they are dense whatever is rolled back.
        let first = Query::insert()
            .into_table("accounts_counter")
            .columns(["name", "value"])
            .values_panic(["project".into(), 0_i64.into()])
            .take();
        manager.execute(first).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES.into_iter().rev() {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

fn primary(mut column: ColumnDef) -> ColumnDef {
    column.primary_key().take()
}

fn unique(mut column: ColumnDef) -> ColumnDef {
    column.unique_key().take()
}

fn table(name: &'static str, columns: impl IntoIterator<Item = ColumnDef>) -> TableCreateStatement {
    let mut table = Table::create().table(name).take();
    for column in columns {
        table.col(column);
    }
    table
}

fn references(from: &'static str, column: &'static str, to: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create().from(from, column).to(to, "id").on_delete(ForeignKeyAction::Cascade).take()
}

fn organisation() -> TableCreateStatement {
    let columns = [primary(id("id")), unique(text("slug")), text("name"), timestamp("created_at")];
    table("accounts_organisation", columns)
}

fn user() -> TableCreateStatement {
    table(
        "accounts_user",
        [
            primary(id("id")),
            nullable(unique(blob("email_lookup"))),
            nullable(blob("email_sealed")),
            blob("name_sealed"),
            nullable(text("password_hash")),
            timestamp("created_at"),
        ],
    )
}

fn member() -> TableCreateStatement {
    table("accounts_member", [id("organisation_id"), id("user_id"), text("role"), timestamp("created_at")])
        .primary_key(Index::create().col("organisation_id").col("user_id"))
        .foreign_key(&mut references("accounts_member", "organisation_id", "accounts_organisation"))
        .foreign_key(&mut references("accounts_member", "user_id", "accounts_user"))
        .take()
}

fn counter() -> TableCreateStatement {
    table("accounts_counter", [primary(text("name")), integer("value")])
}

fn project() -> TableCreateStatement {
    table(
        "accounts_project",
        [
            primary(integer("id")),
            id("organisation_id"),
            text("slug"),
            text("name"),
            text("time_zone"),
            boolean("is_demo"),
            timestamp("created_at"),
        ],
    )
    .foreign_key(&mut references("accounts_project", "organisation_id", "accounts_organisation"))
    .take()
}

fn ingest_key() -> TableCreateStatement {
    table(
        "accounts_ingest_key",
        [
            primary(id("id")),
            integer("project_id"),
            unique(text("public_key")),
            text("label"),
            nullable(integer("rate_limit_per_minute")),
            text("allowed_origins"),
            timestamp("created_at"),
            nullable(timestamp("revoked_at")),
        ],
    )
    .foreign_key(&mut references("accounts_ingest_key", "project_id", "accounts_project"))
    .take()
}

fn api_token() -> TableCreateStatement {
    table(
        "accounts_api_token",
        [
            primary(id("id")),
            id("organisation_id"),
            unique(blob("secret_hash")),
            text("prefix"),
            text("label"),
            text("scopes"),
            nullable(id("created_by")),
            timestamp("created_at"),
            nullable(timestamp("last_used_at")),
            nullable(timestamp("expires_at")),
            nullable(timestamp("revoked_at")),
        ],
    )
    .foreign_key(&mut references("accounts_api_token", "organisation_id", "accounts_organisation"))
    .take()
}

fn session() -> TableCreateStatement {
    table(
        "accounts_session",
        [
            primary(id("id")),
            unique(blob("secret_hash")),
            id("user_id"),
            id("organisation_id"),
            timestamp("created_at"),
            timestamp("last_seen_at"),
            timestamp("expires_at"),
        ],
    )
    .foreign_key(&mut references("accounts_session", "user_id", "accounts_user"))
    .foreign_key(&mut references("accounts_session", "organisation_id", "accounts_organisation"))
    .take()
}

/// Sign-in links and invitations. An invitation's `user_id` is kept free for the invited, whose key already seals
/// their e-mail address; hence no foreign key.
fn link() -> TableCreateStatement {
    table(
        "accounts_link",
        [
            primary(id("id")),
            unique(blob("secret_hash")),
            text("purpose"),
            id("user_id"),
            nullable(id("organisation_id")),
            nullable(text("role")),
            nullable(blob("email_lookup")),
            nullable(blob("email_sealed")),
            nullable(id("created_by")),
            timestamp("created_at"),
            timestamp("expires_at"),
        ],
    )
    .foreign_key(&mut references("accounts_link", "organisation_id", "accounts_organisation"))
    .take()
}

fn guess() -> TableCreateStatement {
    table(
        "accounts_guess",
        [
            primary(blob("bucket")),
            integer("failures"),
            integer("refused"),
            timestamp("blocked_until"),
            timestamp("forget_at"),
        ],
    )
}

fn indexes() -> Vec<IndexCreateStatement> {
    let index = |name: &'static str, table: &'static str, columns: &[&'static str]| {
        let mut index = Index::create().name(name).table(table).take();
        for column in columns {
            index.col(*column);
        }
        index
    };
    vec![
        index("accounts_member_by_user", "accounts_member", &["user_id"]),
        index("accounts_project_by_slug", "accounts_project", &["organisation_id", "slug"]).unique().take(),
        index("accounts_ingest_key_by_project", "accounts_ingest_key", &["project_id", "id"]),
        index("accounts_api_token_by_organisation", "accounts_api_token", &["organisation_id", "id"]),
        index("accounts_session_by_user", "accounts_session", &["user_id", "id"]),
        index("accounts_session_by_expiry", "accounts_session", &["expires_at"]),
        index("accounts_link_by_organisation", "accounts_link", &["organisation_id", "id"]),
        index("accounts_link_by_expiry", "accounts_link", &["expires_at"]),
        index("accounts_guess_by_age", "accounts_guess", &["forget_at"]),
    ]
}
