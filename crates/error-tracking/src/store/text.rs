use belvedere_kernel::ProjectId;
use belvedere_storage::{Dialect, Sql, StorageError, Tx, bulk};

use super::TouchedIssue;
use crate::digest::DigestedEvent;
use crate::search::words_of;

/// How often the text of an issue is added to because its events say something new; what they say after that is found
/// in their own titles only.
const VARIANTS_MAX: i64 = 20;

/// The row of an issue in the full-text index of SQLite.
pub(super) fn text_row(project: i64, number: i64) -> i64 {
    (project << 32) | number
}

/// Indexes the words of new issues, and adds those of events that say something else than the issue's events before.
pub(super) async fn index_texts<'a>(
    tx: &Tx,
    touched: &[TouchedIssue],
    event_of: impl Fn(&TouchedIssue) -> Option<&'a DigestedEvent>,
) -> Result<(), StorageError> {
    let mut new = Vec::new();
    let mut varied = Vec::new();
    for issue in touched {
        let Some(event) = event_of(issue) else { continue };
        if issue.is_new {
            new.push((issue, event));
        } else if issue.text_hash != event.text.hash && issue.text_variants < VARIANTS_MAX {
            varied.push((issue, event));
        }
    }
    new.sort_by_key(|(issue, _)| (issue.project, issue.number));
    varied.sort_by_key(|(issue, _)| (issue.project, issue.number));
    insert_texts(tx, &new).await?;
    for (issue, event) in varied {
        add_text(tx, issue, event).await?;
    }
    Ok(())
}

async fn insert_texts(tx: &Tx, new: &[(&TouchedIssue, &DigestedEvent)]) -> Result<(), StorageError> {
    match Dialect::of(tx) {
        Dialect::Sqlite => {
            let row = |(issue, event): &(&TouchedIssue, &DigestedEvent)| {
                let [title, culprit, message, other] = fields(event).map(|words| words.join(" "));
                let row = text_row(issue.project.0, issue.number);
                [row.into(), title.into(), culprit.into(), message.into(), other.into()]
            };
            let head = "INSERT INTO error_issue_text (rowid, title, culprit, message, other) VALUES ";
            bulk(tx, head, new.iter().map(row).collect(), "").await?;
        }
        Dialect::Postgres => {
            for (issue, event) in new {
                let mut sql =
                    Sql::new(tx, "INSERT INTO error_issue_text (project_id, number, words) VALUES (");
                sql.bind(issue.project.0).push(", ").bind(issue.number).push(", CAST(");
                sql.bind(vector(&fields(event))).push(" AS tsvector))");
                sql.run(tx).await?;
            }
        }
    }
    Ok(())
}

/// Adds title and messages of `event` to the words of an issue that has some already.
async fn add_text(tx: &Tx, issue: &TouchedIssue, event: &DigestedEvent) -> Result<(), StorageError> {
    let [title, _, message, _] = fields(event);
    let mut words = title;
    words.extend(message);
    let mut sql = Sql::new(tx, "UPDATE error_issue_text SET ");
    match Dialect::of(tx) {
        Dialect::Sqlite => {
            sql.push("message = message || ' ' || ").bind(words.join(" ")).push(" WHERE rowid = ");
            sql.bind(text_row(issue.project.0, issue.number));
        }
        Dialect::Postgres => {
            let words = vector(&[Vec::new(), Vec::new(), words, Vec::new()]);
            sql.push("words = words || CAST(").bind(words).push(" AS tsvector) WHERE project_id = ");
            sql.bind(issue.project.0).push(" AND number = ").bind(issue.number);
        }
    }
    sql.run(tx).await?;
    let mut sql = Sql::new(tx, "UPDATE error_issue SET text_variants = text_variants + 1, text_hash = ");
    sql.bind(event.text.hash).push(" WHERE project_id = ").bind(issue.project.0);
    sql.push(" AND id = ").bind(issue.id);
    sql.run(tx).await
}

/// Adds the words of issues to those of the one that they become part of.
pub(super) async fn join_texts(
    tx: &Tx,
    project: ProjectId,
    into: i64,
    numbers: &[i64],
) -> Result<(), StorageError> {
    for number in numbers {
        let mut sql = Sql::new(tx, "UPDATE error_issue_text SET ");
        match Dialect::of(tx) {
            Dialect::Sqlite => {
                let words = "message || ' ' || COALESCE((SELECT o.title || ' ' || o.culprit || ' ' || o.message \
                             FROM error_issue_text o WHERE o.rowid = ";
                sql.push("message = ").push(words).bind(text_row(project.0, *number));
                sql.push("), '') WHERE rowid = ").bind(text_row(project.0, into));
            }
            Dialect::Postgres => {
                sql.push(
                    "words = words || COALESCE((SELECT o.words FROM error_issue_text o WHERE o.project_id = ",
                );
                sql.bind(project.0).push(" AND o.number = ").bind(*number);
                sql.push("), '') WHERE project_id = ").bind(project.0).push(" AND number = ").bind(into);
            }
        }
        sql.run(tx).await?;
    }
    Ok(())
}

/// Indexes title and place of an issue that was split off another one.
pub(super) async fn insert_split_text(
    tx: &Tx,
    project: ProjectId,
    number: i64,
    [title, culprit]: [&str; 2],
) -> Result<(), StorageError> {
    let [title, culprit] = [title, culprit].map(words_of);
    let mut sql = Sql::new(tx, "INSERT INTO error_issue_text ");
    match Dialect::of(tx) {
        Dialect::Sqlite => {
            sql.push("(rowid, title, culprit, message, other) VALUES (").bind(text_row(project.0, number));
            sql.push(", ").bind(title.join(" ")).push(", ").bind(culprit.join(" ")).push(", '', '')");
        }
        Dialect::Postgres => {
            let words = vector(&[title, culprit, Vec::new(), Vec::new()]);
            sql.push("(project_id, number, words) VALUES (").bind(project.0).push(", ").bind(number);
            sql.push(", CAST(").bind(words).push(" AS tsvector))");
        }
    }
    sql.run(tx).await
}

/// Adds another title and place to the words of an issue.
pub(crate) async fn add_names(
    tx: &Tx,
    project: ProjectId,
    number: i64,
    [title, culprit]: [&str; 2],
) -> Result<(), StorageError> {
    let [title, culprit] = [title, culprit].map(words_of);
    let mut sql = Sql::new(tx, "UPDATE error_issue_text SET ");
    match Dialect::of(tx) {
        Dialect::Sqlite => {
            sql.push("title = title || ' ' || ").bind(title.join(" "));
            sql.push(", culprit = culprit || ' ' || ").bind(culprit.join(" "));
            sql.push(" WHERE rowid = ").bind(text_row(project.0, number));
        }
        Dialect::Postgres => {
            let words = vector(&[title, culprit, Vec::new(), Vec::new()]);
            sql.push("words = words || CAST(").bind(words).push(" AS tsvector) WHERE project_id = ");
            sql.bind(project.0).push(" AND number = ").bind(number);
        }
    }
    sql.run(tx).await
}

/// The words of title, place, messages and the rest.
fn fields(event: &DigestedEvent) -> [Vec<String>; 4] {
    [&event.title, &event.culprit, &event.text.message, &event.text.other].map(|text| words_of(text))
}

/// Words as PostgreSQL writes a text search vector, each with its position and the weight of its field. The fields lie
/// apart, so that no phrase reaches from one into the next.
fn vector(fields: &[Vec<String>; 4]) -> String {
    let mut vector = String::new();
    let mut position = 0;
    for (words, weight) in fields.iter().zip(['A', 'B', 'C', 'D']) {
        for word in words {
            position += 1;
            vector.push_str(&format!("'{word}':{position}{weight} "));
        }
        position += 10;
    }
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_has_positions_weights_and_gaps() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let fields = [words("a b"), words("c"), Vec::new(), words("d")];
        assert_eq!(vector(&fields), "'a':1A 'b':2A 'c':13B 'd':34D ");
    }

    #[test]
    fn rows_of_projects_do_not_meet() {
        assert_eq!(text_row(0, 7), 7);
        assert_eq!(text_row(2, 7), 8_589_934_599);
        assert!(text_row(2_147_483_647, 4_294_967_295) > 0);
    }
}
