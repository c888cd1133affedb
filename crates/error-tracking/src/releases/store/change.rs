use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{Dialect, Id, Sql, StorageError, Timestamp, Tx, bulk};
use sea_orm::Value;

use super::list::find_release;
use super::record::RELEASES_MAX;
use crate::releases::{Deploy, NewCommit, NewDeploy, Release, ReleaseChange};

/// What became of a release that was to be saved.
#[derive(Debug)]
pub(crate) enum Put {
    /// It is new.
    New,
    /// It was there, and this is how.
    Known(Release),
    /// The project has too many that the API has spoken of.
    Full,
}

/// Makes a release that the API speaks of, or changes it.
pub(crate) async fn put_release_in(
    tx: &Tx,
    project: ProjectId,
    version: &str,
    change: &ReleaseChange,
    now: Timestamp,
) -> Result<Put, StorageError> {
    let before = find_release(tx, project, version).await?;
    if before.is_none() {
        let mut sql = Sql::new(tx, "SELECT COUNT(*) FROM error_release WHERE project_id = ");
        sql.bind(project.0).push(" AND is_declared = ").bind(true);
        let declared: i64 = match sql.fetch(tx).await?.first() {
            Some(row) => row.try_get_by_index(0)?,
            None => 0,
        };
        if usize::try_from(declared).is_ok_and(|declared| declared >= RELEASES_MAX) {
            return Ok(Put::Full);
        }
    }
    let mut sql = Sql::new(
        tx,
        "INSERT INTO error_release (project_id, version, created_at, first_seen, last_seen, started_at, released_at, \
         ref_name, url, is_declared) VALUES ",
    );
    let row: [Value; 10] = [
        project.0.into(),
        version.into(),
        now.into(),
        now.into(),
        now.into(),
        change.started_at.into(),
        change.released_at.into(),
        change.reference.clone().into(),
        change.url.clone().into(),
        true.into(),
    ];
    sql.bind_row(row).push(
        " ON CONFLICT (project_id, version) DO UPDATE SET \
         started_at = COALESCE(excluded.started_at, error_release.started_at), \
         released_at = COALESCE(excluded.released_at, error_release.released_at), \
         ref_name = COALESCE(excluded.ref_name, error_release.ref_name), \
         url = COALESCE(excluded.url, error_release.url), is_declared = excluded.is_declared",
    );
    sql.run(tx).await?;
    Ok(before.map_or(Put::New, Put::Known))
}

/// Locks a release against its deletion; whether there is one. The API has spoken of it from now on.
async fn hold_in(tx: &Tx, project: ProjectId, version: &str) -> Result<bool, StorageError> {
    let mut sql = Sql::new(tx, "UPDATE error_release SET is_declared = ");
    sql.bind(true).push(" WHERE project_id = ").bind(project.0).push(" AND version = ").bind(version);
    Ok(sql.execute(tx).await? > 0)
}

/// Adds a deploy to a release; `None` if there is no such release. Of the deploys of a release the newest 1,000 stay.
pub(crate) async fn add_deploy_in(
    tx: &Tx,
    project: ProjectId,
    version: &str,
    deploy: NewDeploy,
    now: Timestamp,
) -> Result<Option<Deploy>, StorageError> {
    const KEPT: i64 = 1_000;
    if !hold_in(tx, project, version).await? {
        return Ok(None);
    }
    let deploy = Deploy {
        id: Id::generate(now),
        version: version.to_owned(),
        environment: deploy.environment,
        name: deploy.name,
        url: deploy.url,
        started_at: deploy.started_at,
        finished_at: deploy.finished_at.unwrap_or(now),
    };
    let mut sql = Sql::new(
        tx,
        "INSERT INTO error_deploy (id, project_id, version, environment, name, url, started_at, finished_at) VALUES ",
    );
    let row: [Value; 8] = [
        deploy.id.into(),
        project.0.into(),
        version.into(),
        deploy.environment.as_str().into(),
        deploy.name.clone().into(),
        deploy.url.clone().into(),
        deploy.started_at.into(),
        deploy.finished_at.into(),
    ];
    sql.bind_row(row);
    sql.run(tx).await?;
    let mut sql = Sql::new(tx, "DELETE FROM error_deploy WHERE project_id = ");
    sql.bind(project.0).push(" AND id IN (SELECT id FROM error_deploy WHERE project_id = ").bind(project.0);
    sql.push(" AND version = ").bind(version).push(" ORDER BY finished_at DESC, id DESC LIMIT ");
    let rest = if Dialect::of(tx) == Dialect::Sqlite { i64::MAX } else { 1_000_000 };
    sql.bind(rest).push(" OFFSET ").bind(KEPT).push(")");
    sql.run(tx).await?;
    Ok(Some(deploy))
}

/// Replaces the commits of a release; whether there is such a release.
pub(crate) async fn put_commits_in(
    tx: &Tx,
    project: ProjectId,
    version: &str,
    commits: &[NewCommit],
    authors: &[Option<SubjectId>],
) -> Result<bool, StorageError> {
    if !hold_in(tx, project, version).await? {
        return Ok(false);
    }
    let mut sql = Sql::new(tx, "DELETE FROM error_release_commit WHERE project_id = ");
    sql.bind(project.0).push(" AND version = ").bind(version);
    sql.run(tx).await?;
    let rows = (0_i64..)
        .zip(commits.iter().zip(authors))
        .map(|(position, (commit, author))| {
            let row: [Value; 8] = [
                project.0.into(),
                version.into(),
                position.into(),
                commit.revision.as_str().into(),
                commit.repository.clone().into(),
                commit.message.clone().into(),
                commit.committed_at.into(),
                author.map(|author| author.0).into(),
            ];
            row
        })
        .collect();
    let head = "INSERT INTO error_release_commit (project_id, version, position, revision, repository, message, \
                committed_at, author_subject_id) VALUES ";
    bulk(tx, head, rows, "").await?;
    Ok(true)
}
