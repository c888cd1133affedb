//! The few column types of the schema, the same on both databases.

use sea_orm_migration::prelude::*;

/// A ULID in 16 bytes: `uuid` on PostgreSQL, a blob on SQLite.
pub(crate) fn id(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).uuid().not_null().take()
}

/// An instant in microseconds since 1970, UTC.
pub(crate) fn timestamp(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().take()
}

/// A 64-bit integer.
pub(crate) fn integer(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().take()
}

/// Text of any length.
pub(crate) fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().not_null().take()
}

/// True or false.
pub(crate) fn boolean(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).boolean().not_null().take()
}

/// Bytes of any length.
pub(crate) fn blob(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).blob().not_null().take()
}

/// The same column, allowed to be NULL.
pub(crate) fn nullable(mut column: ColumnDef) -> ColumnDef {
    column.null().take()
}
