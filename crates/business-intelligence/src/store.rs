//! All statements of the slice. Their number grows with hundreds of customers or events, not with single ones.

pub(crate) mod cohorts;
pub(crate) mod flags;
pub(crate) mod insights;
mod ledger;
mod project;
mod rates;
mod subject;
mod sums;

use belvedere_storage::StorageError;
use sea_orm::{QueryResult, TryGetable};

pub(crate) use ledger::{
    EVENTS_OF_CUSTOMER_MAX, count_events, find_customers, insert_charges, insert_events, list_customers,
    load_events, replace_ledgers,
};
pub(crate) use project::{
    Settings, add_currencies, find_settings, list_looked_at, lock_project, note_look, save_rules,
};
pub(crate) use rates::{load_rates, save_rates};
pub(crate) use subject::{count_subject, erase_subject, export_subject};
pub(crate) use sums::{read_cohorts, read_levels, read_plans, sum_charges, sum_movements};

use crate::revenue::currency::Currency;

/// A column of a row.
fn get<T: TryGetable>(row: &QueryResult, index: usize) -> Result<T, StorageError> {
    row.try_get_by_index(index).map_err(StorageError::from)
}

/// A key of 16 bytes.
fn key(row: &QueryResult, index: usize) -> Result<[u8; 16], StorageError> {
    let bytes: Vec<u8> = get(row, index)?;
    bytes.try_into().map_err(|_| StorageError::corrupt("a key of revenue has not 16 bytes"))
}

fn currency(row: &QueryResult, index: usize) -> Result<Currency, StorageError> {
    let code: String = get(row, index)?;
    Currency::find(&code).ok_or_else(|| StorageError::corrupt("a currency of revenue is none"))
}
