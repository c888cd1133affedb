use belvedere_kernel::{Organisation, User};
use belvedere_storage::{Id, StorageError, Timestamp, Tx};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Statement, sea_query::Expr,
};

use crate::entity::session::{self, Session};

/// How many ended sessions one sweep removes.
const SWEEP_MAX: u64 = 100;

/// A session with what is needed to say who it belongs to.
#[derive(Debug, FromQueryResult)]
pub(crate) struct SessionRow {
    pub(crate) id: Id<Session>,
    pub(crate) secret_hash: Vec<u8>,
    pub(crate) user_id: Id<User>,
    pub(crate) organisation_id: Id<Organisation>,
    pub(crate) last_seen_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) name_sealed: Vec<u8>,
    pub(crate) role: String,
}

/// The session, if the person is still a member of its organisation.
pub(crate) async fn find_by_hash(
    connection: &impl ConnectionTrait,
    secret_hash: &[u8],
) -> Result<Option<SessionRow>, StorageError> {
    const SQL: &str = "SELECT s.id, s.secret_hash, s.user_id, s.organisation_id, s.last_seen_at, s.expires_at, \
        u.name_sealed, m.role FROM accounts_session s \
        JOIN accounts_user u ON u.id = s.user_id \
        JOIN accounts_member m ON m.organisation_id = s.organisation_id AND m.user_id = s.user_id \
        WHERE s.secret_hash = $1";
    let values = [secret_hash.to_vec().into()];
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), SQL, values);
    Ok(SessionRow::find_by_statement(statement).one(connection).await?)
}

pub(crate) async fn insert_in(tx: &Tx, row: session::Model) -> Result<(), StorageError> {
    session::Entity::insert(row.into_active_model()).exec_without_returning(tx).await?;
    Ok(())
}

/// Notes a use, unless one was noted since `before`.
pub(crate) async fn touch_in(
    tx: &Tx,
    session: Id<Session>,
    now: Timestamp,
    before: Timestamp,
) -> Result<(), StorageError> {
    session::Entity::update_many()
        .col_expr(session::Column::LastSeenAt, Expr::value(now))
        .filter(session::Column::Id.eq(session))
        .filter(session::Column::LastSeenAt.lte(before))
        .exec(tx)
        .await?;
    Ok(())
}

/// Deletes the session; whether there was one.
pub(crate) async fn delete_in(tx: &Tx, session: Id<Session>) -> Result<bool, StorageError> {
    Ok(session::Entity::delete_by_id(session).exec(tx).await?.rows_affected > 0)
}

/// Deletes the user's sessions, of one organisation or of all.
pub(crate) async fn delete_of_user_in(
    tx: &Tx,
    user: Id<User>,
    organisation: Option<Id<Organisation>>,
) -> Result<u64, StorageError> {
    let mut delete = session::Entity::delete_many().filter(session::Column::UserId.eq(user));
    if let Some(organisation) = organisation {
        delete = delete.filter(session::Column::OrganisationId.eq(organisation));
    }
    Ok(delete.exec(tx).await?.rows_affected)
}

/// Deletes the oldest sessions of the user beyond the newest `keep`, and some that have expired, whoever's.
pub(crate) async fn sweep_in(tx: &Tx, user: Id<User>, keep: u64, now: Timestamp) -> Result<(), StorageError> {
    let ids = session::Entity::find().select_only().column(session::Column::Id);
    // SQLite has no OFFSET without LIMIT.
    let surplus = ids
        .clone()
        .filter(session::Column::UserId.eq(user))
        .order_by_desc(session::Column::Id)
        .offset(keep)
        .limit(SWEEP_MAX)
        .into_query();
    session::Entity::delete_many().filter(session::Column::Id.in_subquery(surplus)).exec(tx).await?;
    let expired = ids
        .filter(session::Column::ExpiresAt.lte(now))
        .order_by_asc(session::Column::ExpiresAt)
        .limit(SWEEP_MAX)
        .into_query();
    session::Entity::delete_many().filter(session::Column::Id.in_subquery(expired)).exec(tx).await?;
    Ok(())
}
