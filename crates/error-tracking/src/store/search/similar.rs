use belvedere_kernel::ProjectId;
use belvedere_storage::{Dialect, Sql, StorageError};
use sea_orm::{ConnectionTrait, QueryResult};

use super::condition::push_id;
use crate::IssueId;
use crate::search::{Candidate, words_of};
use crate::store::tags::EVENT_COUNT;
use crate::store::text::text_row;

/// How many issues are compared with one.
const CANDIDATES_MAX: i64 = 100;

/// How many words of a title lead to candidates.
const WORDS_MAX: usize = 12;

const COLUMNS: &str = "i.id, i.number, i.title, i.event_count, i.last_seen, i.grouping_values";

fn candidate(row: &QueryResult) -> Result<Candidate, StorageError> {
    Ok(Candidate {
        id: row.try_get_by_index(0)?,
        number: row.try_get_by_index(1)?,
        title: row.try_get_by_index(2)?,
        events: u64::try_from(row.try_get_by_index::<i64>(3)?).unwrap_or(0),
        last_seen: row.try_get_by_index(4)?,
        grouping_values: row.try_get_by_index(5)?,
    })
}

/// An issue as it is compared, with the commonest type of its exceptions and that type's tag.
pub(crate) async fn find_candidate(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    issue: IssueId,
) -> Result<Option<(Candidate, Option<(i64, String)>)>, StorageError> {
    let mut sql = Sql::new(connection, &format!("SELECT {COLUMNS} FROM error_issue i WHERE i.project_id = "));
    sql.bind(project.0).push(" AND i.id = ").bind(issue);
    let Some(found) = sql.fetch(connection).await?.first().map(candidate).transpose()? else {
        return Ok(None);
    };
    let mut sql = Sql::new(
        connection,
        "SELECT t.id, t.value FROM error_tag k JOIN error_issue_tag c ON c.key_id = k.id AND c.tag_id <> c.key_id \
         JOIN error_issue i ON i.id = c.issue_id JOIN error_tag t ON t.id = c.tag_id \
         WHERE k.value = '' AND k.key = 'error.type' AND k.project_id = ",
    );
    sql.bind(project.0).push(" AND c.project_id = ").bind(project.0).push(" AND c.issue_id = ").bind(issue);
    sql.push(" ORDER BY ").push(EVENT_COUNT).push(" DESC, t.value LIMIT 1");
    let rows = sql.fetch(connection).await?;
    let read =
        |row: &QueryResult| Ok::<_, StorageError>((row.try_get_by_index(0)?, row.try_get_by_index(1)?));
    Ok(Some((found, rows.first().map(read).transpose()?)))
}

/// Issues worth comparing with `issue`: those with the same type of exception that were seen last, or, without a type,
/// the newest whose title has one of its words.
pub(crate) async fn list_candidates(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    issue: &Candidate,
    type_tag: Option<i64>,
) -> Result<Vec<Candidate>, StorageError> {
    let mut sql = Sql::new(connection, &format!("SELECT {COLUMNS} FROM "));
    match type_tag {
        Some(tag) => {
            sql.push("(SELECT i.id FROM error_issue i");
            if sql.dialect() == Dialect::Sqlite {
                sql.push(" INDEXED BY error_issue_last_seen");
            }
            sql.push(" WHERE i.project_id = ").bind(project.0).push(" AND ");
            push_id(&mut sql);
            sql.push(" IN (SELECT x.issue_id FROM error_issue_tag x WHERE x.project_id = ").bind(project.0);
            sql.push(" AND x.tag_id = ").bind(tag).push(") ORDER BY i.last_seen DESC LIMIT ");
            sql.bind(CANDIDATES_MAX).push(") AS found JOIN error_issue i ON i.id = found.id");
        }
        None => {
            let has_digit = |word: &String| word.bytes().any(|byte| byte.is_ascii_digit());
            let mut words: Vec<String> = words_of(&issue.title)
                .into_iter()
                .filter(|word| word.len() > 3 && !has_digit(word))
                .collect();
            words.truncate(WORDS_MAX);
            if words.is_empty() {
                return Ok(Vec::new());
            }
            push_titles(&mut sql, project, &words);
        }
    }
    sql.push(" AND i.project_id = ").bind(project.0);
    sql.fetch(connection).await?.iter().map(candidate).collect()
}

fn push_titles(sql: &mut Sql, project: ProjectId, words: &[String]) {
    match sql.dialect() {
        Dialect::Sqlite => {
            let any = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" OR ");
            sql.push(
                "(SELECT rowid & 4294967295 AS number FROM error_issue_text WHERE error_issue_text MATCH ",
            );
            sql.bind(format!("title : ({any})")).push(" AND rowid BETWEEN ").bind(text_row(project.0, 0));
            sql.push(" AND ").bind(text_row(project.0, 0xffff_ffff)).push(" ORDER BY rowid DESC LIMIT ");
        }
        Dialect::Postgres => {
            let any = words.iter().map(|word| format!("'{word}':A")).collect::<Vec<_>>().join(" | ");
            sql.push("(SELECT w.number FROM error_issue_text w WHERE w.project_id = ").bind(project.0);
            sql.push(" AND w.words @@ CAST(").bind(any).push(" AS tsquery) ORDER BY w.number DESC LIMIT ");
        }
    }
    sql.bind(CANDIDATES_MAX).push(") AS found JOIN error_issue i ON i.number = found.number");
}
