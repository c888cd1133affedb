//! Everything durable: the database, its vocabulary of values, and the spool of accepted payloads.
//!
//! This is the only crate that opens a database connection or a spool directory. Slices receive a
//! [`Database`], read through [`Database::read`] and change state only inside [`Database::write`].
//!
//! Invariants:
//! - A transaction is begun and ended by [`Database::write`] alone; [`Tx`] cannot be committed by its user.
//! - Every instant in the database is a [`Timestamp`] (microseconds, UTC), every key an [`Id`] or a small integer.
//! - The same code and the same migrations run on SQLite and on PostgreSQL.

mod bulk;
mod checkpoint;
mod database;
mod dialect;
mod error;
mod id;
mod page;
pub mod spool;
mod sql;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(test)]
mod tests;
mod timestamp;
mod tx;

pub use bulk::insert_all;
pub use database::{Database, DatabaseConfig};
pub use dialect::Dialect;
pub use error::StorageError;
pub use id::{Id, ParseIdError};
pub use page::{Cursor, Page, PageRequest};
pub use sql::{Sql, bulk, execute_sql, query_sql};
pub use timestamp::{ParseTimestampError, Timestamp};
pub use tx::Tx;
