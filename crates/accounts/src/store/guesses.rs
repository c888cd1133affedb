use belvedere_storage::{StorageError, Timestamp, Tx};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Expr, OnConflict},
};

use crate::entity::guess;

/// How many forgotten buckets one sweep removes.
const SWEEP_MAX: u64 = 100;

/// The bucket as it stands, made if there is none, and locked until the transaction ends, so that guesses made at the
/// same time are counted one after the other.
pub(crate) async fn lock_in(tx: &Tx, bucket: &[u8], now: Timestamp) -> Result<guess::Model, StorageError> {
    let fresh =
        guess::Model { bucket: bucket.to_vec(), failures: 0, refused: 0, blocked_until: now, forget_at: now };
    let keep = OnConflict::column(guess::Column::Bucket)
        .value(guess::Column::Failures, Expr::col((guess::Entity, guess::Column::Failures)))
        .to_owned();
    guess::Entity::insert(fresh.clone().into_active_model())
        .on_conflict(keep)
        .exec_without_returning(tx)
        .await?;
    let row = guess::Entity::find_by_id(bucket.to_vec()).one(tx).await?;
    // What is past its time counts as forgotten even before a sweep has come by.
    Ok(row.filter(|row| row.forget_at > now).unwrap_or(fresh))
}

pub(crate) async fn save_in(tx: &Tx, row: guess::Model) -> Result<(), StorageError> {
    let row = guess::ActiveModel {
        bucket: Set(row.bucket),
        failures: Set(row.failures),
        refused: Set(row.refused),
        blocked_until: Set(row.blocked_until),
        forget_at: Set(row.forget_at),
    };
    guess::Entity::update(row).exec(tx).await?;
    Ok(())
}

pub(crate) async fn forget_in(tx: &Tx, bucket: &[u8]) -> Result<(), StorageError> {
    guess::Entity::delete_by_id(bucket.to_vec()).exec(tx).await?;
    Ok(())
}

/// Removes some buckets that are past their time, and all beyond the `keep` youngest.
pub(crate) async fn sweep_in(tx: &Tx, now: Timestamp, keep: u64) -> Result<(), StorageError> {
    let buckets = guess::Entity::find().select_only().column(guess::Column::Bucket);
    let forgotten = buckets
        .clone()
        .filter(guess::Column::ForgetAt.lte(now))
        .order_by_asc(guess::Column::ForgetAt)
        .limit(SWEEP_MAX)
        .into_query();
    guess::Entity::delete_many().filter(guess::Column::Bucket.in_subquery(forgotten)).exec(tx).await?;
    let surplus =
        buckets.order_by_desc(guess::Column::ForgetAt).offset(keep).limit(10 * SWEEP_MAX).into_query();
    guess::Entity::delete_many().filter(guess::Column::Bucket.in_subquery(surplus)).exec(tx).await?;
    Ok(())
}
