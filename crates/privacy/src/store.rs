pub(crate) mod consent;

use belvedere_kernel::{KeyOwner, ProjectId, SubjectId};
use belvedere_storage::{Dialect, Sql, StorageError, Timestamp, Tx, bulk, insert_all, query_sql};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryResult, Set, Value,
};

use crate::entity::{key, salt, settings, subject};
use crate::identity::{Fingerprint, Lookup};
use crate::sealing::{OwnerColumns, SUBJECT_KIND};

/// Links of a page.
pub(crate) const LINKS_PAGE: usize = 500;

/// The most values in one IN list.
const IN_LIST_MAX: usize = 512;

pub(crate) const IDENTIFIED: i64 = 1;
pub(crate) const ANONYMOUS_DAY: i64 = 2;

/// What is stored of an owner's key.
pub(crate) enum KeyState {
    Missing,
    Destroyed,
    Wrapped(Vec<u8>),
}

/// A new row of `privacy_subject`.
pub(crate) struct NewSubject {
    pub(crate) subject: SubjectId,
    pub(crate) lookup: Lookup,
    /// Sealed; `None` for a subject of one day.
    pub(crate) identity: Option<Vec<u8>>,
    pub(crate) fingerprint: Fingerprint,
}

/// A look-up that is known, and to whom it leads.
pub(crate) struct Found {
    pub(crate) lookup: Lookup,
    pub(crate) subject: SubjectId,
    pub(crate) fingerprint: Fingerprint,
    /// Whether it leads there by a link.
    pub(crate) is_linked: bool,
}

/// Lists of at most [`IN_LIST_MAX`] values, filled up to a few fixed lengths by repetition, so that the databases see
/// few different statements and their caches of prepared ones serve.
fn in_lists<T: Clone>(values: &[T]) -> impl Iterator<Item = Vec<T>> {
    values.chunks(IN_LIST_MAX).map(|chunk| {
        let len = [1, 8, 64].into_iter().find(|len| chunk.len() <= *len).unwrap_or(IN_LIST_MAX);
        let filling = chunk.last().cloned().into_iter().cycle().take(len - chunk.len());
        chunk.iter().cloned().chain(filling).collect()
    })
}

pub(crate) async fn find_key(
    connection: &impl ConnectionTrait,
    owner: KeyOwner,
) -> Result<KeyState, StorageError> {
    let OwnerColumns { project_id, owner_kind, owner_id } = owner.into();
    let row = key::Entity::find_by_id((project_id, owner_kind, owner_id)).one(connection).await?;
    Ok(match row {
        None => KeyState::Missing,
        Some(key::Model { wrapped: None, .. }) => KeyState::Destroyed,
        Some(key::Model { wrapped: Some(wrapped), .. }) => KeyState::Wrapped(wrapped),
    })
}

/// The wrapped keys of those subjects that have one.
pub(crate) async fn find_subject_keys(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subjects: &[SubjectId],
) -> Result<Vec<(SubjectId, Vec<u8>)>, StorageError> {
    let ids: Vec<Vec<u8>> = subjects.iter().map(|subject| subject.0.to_be_bytes().to_vec()).collect();
    let mut keys = Vec::with_capacity(ids.len());
    for ids in in_lists(&ids) {
        let rows = key::Entity::find()
            .filter(key::Column::ProjectId.eq(project.0))
            .filter(key::Column::OwnerKind.eq(SUBJECT_KIND))
            .filter(key::Column::OwnerId.is_in(ids))
            .all(connection)
            .await?;
        for row in rows {
            let id = row.owner_id.try_into().map_err(|_| StorageError::corrupt("privacy_key.owner_id"))?;
            keys.extend(row.wrapped.map(|wrapped| (SubjectId(i64::from_be_bytes(id)), wrapped)));
        }
    }
    Ok(keys)
}

pub(crate) async fn insert_keys(
    tx: &Tx,
    keys: Vec<(KeyOwner, Vec<u8>)>,
    now: Timestamp,
    may_exist: bool,
) -> Result<(), StorageError> {
    let rows = keys.into_iter().map(|(owner, wrapped)| {
        let OwnerColumns { project_id, owner_kind, owner_id } = owner.into();
        key::ActiveModel {
            project_id: Set(project_id),
            owner_kind: Set(owner_kind),
            owner_id: Set(owner_id),
            wrapped: Set(Some(wrapped)),
            created_at: Set(now),
            destroyed_at: Set(None),
        }
    });
    let primary_key = [key::Column::ProjectId, key::Column::OwnerKind, key::Column::OwnerId];
    let give_way = may_exist.then(|| OnConflict::columns(primary_key).do_nothing().to_owned());
    insert_all(tx, rows.collect(), give_way).await
}

pub(crate) async fn destroy_key(tx: &Tx, owner: KeyOwner, now: Timestamp) -> Result<bool, StorageError> {
    let OwnerColumns { project_id, owner_kind, owner_id } = owner.into();
    let result = key::Entity::update_many()
        .col_expr(key::Column::Wrapped, Expr::value(None::<Vec<u8>>))
        .col_expr(key::Column::DestroyedAt, Expr::value(now))
        .filter(key::Column::ProjectId.eq(project_id))
        .filter(key::Column::OwnerKind.eq(owner_kind))
        .filter(key::Column::OwnerId.eq(owner_id))
        .filter(key::Column::Wrapped.is_not_null())
        .exec(tx)
        .await?;
    Ok(result.rows_affected > 0)
}

/// Those of `lookups` that are known; where a link leads elsewhere than the look-up itself, the link counts.
pub(crate) async fn find_subjects_by_lookup(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    lookups: &[Lookup],
) -> Result<Vec<Found>, StorageError> {
    let lookups: Vec<Vec<u8>> = lookups.iter().map(|lookup| lookup.to_vec()).collect();
    let mut found = Vec::with_capacity(lookups.len());
    for lookups in in_lists(&lookups) {
        let mut sql = Sql::new(
            connection,
            "SELECT lookup, subject_id, fingerprint, 0 AS is_linked FROM privacy_subject WHERE project_id = ",
        );
        sql.bind(project.0).push(" AND lookup IN ").bind_row(lookups.clone());
        sql.push(
            " UNION ALL SELECT l.lookup, l.subject_id, s.fingerprint, 1 FROM privacy_link l \
             JOIN privacy_subject s ON s.project_id = l.project_id AND s.subject_id = l.subject_id \
             WHERE l.project_id = ",
        );
        sql.bind(project.0).push(" AND l.lookup IN ").bind_row(lookups);
        for row in sql.fetch(connection).await? {
            let lookup: Vec<u8> = row.try_get_by_index(0)?;
            let fingerprint: Option<Vec<u8>> = row.try_get_by_index(2)?;
            found.push(Found {
                lookup: lookup.try_into().map_err(|_| StorageError::corrupt("privacy_subject.lookup"))?,
                subject: SubjectId(row.try_get_by_index(1)?),
                fingerprint: fingerprint.map(|bytes| Fingerprint::from_bytes(&bytes)).unwrap_or_default(),
                is_linked: row.try_get_by_index::<i32>(3)? == 1,
            });
        }
    }
    // Whoever makes a map of them has the links last.
    found.sort_by_key(|found| found.is_linked);
    Ok(found)
}

/// Lets look-ups lead to subjects; those that are linked already stay as they are.
pub(crate) async fn insert_links(
    tx: &Tx,
    project: ProjectId,
    links: Vec<(Lookup, SubjectId)>,
    now: Timestamp,
) -> Result<(), StorageError> {
    let rows = links.into_iter().map(|(lookup, subject)| {
        [Value::from(project.0), lookup.to_vec().into(), subject.0.into(), now.as_micros().into()]
    });
    let head = "INSERT INTO privacy_link (project_id, lookup, subject_id, created_at) VALUES ";
    bulk(tx, head, rows.collect(), " ON CONFLICT (project_id, lookup) DO NOTHING").await.map(drop)
}

/// When look-ups were linked to a subject, the oldest first, behind so many.
pub(crate) async fn list_links(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subject: SubjectId,
    after: u64,
) -> Result<Vec<Timestamp>, StorageError> {
    let sql = "SELECT created_at FROM privacy_link WHERE project_id = $1 AND subject_id = $2 \
               ORDER BY created_at, lookup LIMIT 500 OFFSET $3";
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let rows = query_sql(connection, sql, [project.0.into(), subject.0.into(), after.into()]).await?;
    rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
}

pub(crate) async fn count_links(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subject: SubjectId,
) -> Result<u64, StorageError> {
    let sql = "SELECT COUNT(*) FROM privacy_link WHERE project_id = $1 AND subject_id = $2";
    let rows = query_sql(connection, sql, [project.0.into(), subject.0.into()]).await?;
    let count: i64 = rows.first().map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Removes the links to a subject; which look-ups they were of.
pub(crate) async fn delete_links(
    tx: &Tx,
    project: ProjectId,
    subject: SubjectId,
) -> Result<Vec<Lookup>, StorageError> {
    let sql = "DELETE FROM privacy_link WHERE project_id = $1 AND subject_id = $2 RETURNING lookup";
    let rows = query_sql(tx, sql, [project.0.into(), subject.0.into()]).await?;
    let lookup = |row: &QueryResult| {
        let lookup: Vec<u8> = row.try_get_by_index(0)?;
        lookup.try_into().map_err(|_| StorageError::corrupt("privacy_link.lookup"))
    };
    rows.iter().map(lookup).collect()
}

pub(crate) async fn list_subjects(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subjects: &[SubjectId],
) -> Result<Vec<subject::Model>, StorageError> {
    let ids: Vec<i64> = subjects.iter().map(|subject| subject.0).collect();
    let mut rows = Vec::with_capacity(ids.len());
    for ids in in_lists(&ids) {
        let found = subject::Entity::find()
            .filter(subject::Column::ProjectId.eq(project.0))
            .filter(subject::Column::SubjectId.is_in(ids))
            .all(connection)
            .await?;
        rows.extend(found);
    }
    Ok(rows)
}

/// How many subjects the project has, with the right to add some: until the transaction ends nobody else has it.
pub(crate) async fn lock_counter(tx: &Tx, project: ProjectId) -> Result<i64, StorageError> {
    let statement = Query::insert()
        .into_table("privacy_subject_counter")
        .columns(["project_id", "subjects"])
        .values_panic([project.0.into(), 0_i64.into()])
        .on_conflict(
            OnConflict::column("project_id")
                .value("subjects", Expr::col(("privacy_subject_counter", "subjects")))
                .to_owned(),
        )
        .returning_col("subjects")
        .to_owned();
    let row = tx.query_one(&statement).await?;
    let row = row.ok_or_else(|| StorageError::corrupt("privacy_subject_counter returned no row"))?;
    Ok(row.try_get_by_index(0)?)
}

/// Whether somebody else can have added subjects between an earlier look and [`lock_counter`].
pub(crate) fn others_may_write(tx: &Tx) -> bool {
    Dialect::of(tx) == Dialect::Postgres
}

pub(crate) async fn insert_subjects(
    tx: &Tx,
    project: ProjectId,
    subjects: Vec<NewSubject>,
    last: SubjectId,
    now: Timestamp,
) -> Result<(), StorageError> {
    let rows = subjects.into_iter().map(|new| subject::ActiveModel {
        project_id: Set(project.0),
        subject_id: Set(new.subject.0),
        kind: Set(if new.identity.is_some() { IDENTIFIED } else { ANONYMOUS_DAY }),
        lookup: Set(new.lookup.to_vec()),
        fingerprint: Set(new.identity.is_some().then(|| new.fingerprint.to_bytes())),
        identity: Set(new.identity),
        created_at: Set(now),
    });
    insert_all(tx, rows.collect(), None).await?;
    let statement = Query::update()
        .table("privacy_subject_counter")
        .value("subjects", last.0)
        .and_where(ExprTrait::eq(Expr::col("project_id"), project.0))
        .to_owned();
    tx.execute(&statement).await?;
    Ok(())
}

/// Writes identity and fingerprint of rows that exist.
pub(crate) async fn update_identities(tx: &Tx, rows: Vec<subject::Model>) -> Result<(), StorageError> {
    let rows = rows.into_iter().map(|row| subject::ActiveModel {
        project_id: Set(row.project_id),
        subject_id: Set(row.subject_id),
        kind: Set(row.kind),
        lookup: Set(row.lookup),
        identity: Set(row.identity),
        fingerprint: Set(row.fingerprint),
        created_at: Set(row.created_at),
    });
    let on_conflict = OnConflict::columns([subject::Column::ProjectId, subject::Column::SubjectId])
        .update_columns([subject::Column::Identity, subject::Column::Fingerprint])
        .to_owned();
    insert_all(tx, rows.collect(), Some(on_conflict)).await
}

pub(crate) async fn find_subject(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subject: SubjectId,
) -> Result<Option<subject::Model>, StorageError> {
    Ok(subject::Entity::find_by_id((project.0, subject.0)).one(connection).await?)
}

pub(crate) async fn count_subjects(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<u64, StorageError> {
    Ok(subject::Entity::find().filter(subject::Column::ProjectId.eq(project.0)).count(connection).await?)
}

pub(crate) async fn find_salt(
    connection: &impl ConnectionTrait,
    day: Timestamp,
) -> Result<Option<Vec<u8>>, StorageError> {
    Ok(salt::Entity::find_by_id(day.as_micros()).one(connection).await?.map(|row| row.sealed))
}

/// Stores the salt of a day unless there is one.
pub(crate) async fn insert_salt(tx: &Tx, day: Timestamp, sealed: Vec<u8>) -> Result<(), StorageError> {
    let give_way = OnConflict::column(salt::Column::Day).do_nothing().to_owned();
    insert_all(tx, vec![salt::ActiveModel { day: Set(day.as_micros()), sealed: Set(sealed) }], Some(give_way))
        .await
}

pub(crate) async fn delete_salts(tx: &Tx, last_day: Timestamp) -> Result<u64, StorageError> {
    let result =
        salt::Entity::delete_many().filter(salt::Column::Day.lte(last_day.as_micros())).exec(tx).await?;
    Ok(result.rows_affected)
}

pub(crate) async fn list_settings(
    connection: &impl ConnectionTrait,
    projects: &[ProjectId],
) -> Result<Vec<(ProjectId, String)>, StorageError> {
    let ids: Vec<i64> = projects.iter().map(|project| project.0).collect();
    let mut found = Vec::new();
    for ids in in_lists(&ids) {
        let rows =
            settings::Entity::find().filter(settings::Column::ProjectId.is_in(ids)).all(connection).await?;
        found.extend(rows.into_iter().map(|row| (ProjectId(row.project_id), row.settings)));
    }
    Ok(found)
}

pub(crate) async fn put_settings(
    tx: &Tx,
    project: ProjectId,
    settings: String,
    now: Timestamp,
) -> Result<(), StorageError> {
    let row =
        settings::ActiveModel { project_id: Set(project.0), settings: Set(settings), changed_at: Set(now) };
    let replace = OnConflict::column(settings::Column::ProjectId)
        .update_columns([settings::Column::Settings, settings::Column::ChangedAt])
        .to_owned();
    insert_all(tx, vec![row], Some(replace)).await
}
