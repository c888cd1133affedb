//! Terms of a query as conditions on `error_issue i`.

use belvedere_kernel::ProjectId;
use belvedere_storage::{Dialect, Id, Sql, Timestamp};

use crate::IssueStatus;
use crate::search::{Assignee, Column, Field, Filter, IsWord, Pattern, Phrase, Term};
use crate::store::text::text_row;

/// How long an issue is new.
const NEW_MICROS: i64 = 7 * 86_400_000_000;

/// The lower half of a row of SQLite's full-text index: an issue's number.
const NUMBER_MASK: i64 = 0xffff_ffff;

/// What terms are read against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope {
    pub(super) project: ProjectId,
    pub(super) now: Timestamp,
}

/// Adds ` AND ..` for the term.
pub(super) fn push_term(sql: &mut Sql, scope: Scope, term: &Term) {
    sql.push(if term.is_negated { " AND NOT (" } else { " AND (" });
    match &term.filter {
        Filter::Is(IsWord::Status(status)) => {
            sql.push("i.status = ").bind(status.to_number());
        }
        Filter::Is(IsWord::Substatus(substatus)) => {
            sql.push("i.status = ").bind(IssueStatus::Unresolved.to_number());
            sql.push(" AND i.substatus = ").bind(substatus.to_number());
        }
        Filter::Is(IsWord::Assigned) => {
            sql.push("i.assigned_to IS NOT NULL");
        }
        Filter::Is(IsWord::Unassigned) => {
            sql.push("i.assigned_to IS NULL");
        }
        Filter::Is(IsWord::New) => {
            sql.push("i.first_seen >= ").bind(scope.now.as_micros().saturating_sub(NEW_MICROS));
        }
        Filter::Level(levels) => {
            let numbers: Vec<i64> = levels.iter().map(|level| level.to_number()).collect();
            push_any(sql, "i.level", &numbers);
        }
        Filter::Between(column, from, to) => {
            let name = match column {
                Column::FirstSeen => "i.first_seen",
                Column::LastSeen => "i.last_seen",
                Column::Events => "i.event_count",
                Column::Subjects => "i.subject_count",
            };
            sql.push(name).push(" BETWEEN ").bind(*from).push(" AND ").bind(*to);
        }
        Filter::Trace(traces) => {
            let ids: Vec<Id<()>> = traces.iter().map(|trace| Id::from_bytes(*trace)).collect();
            push_events(sql, scope, "trace_id", &ids);
        }
        Filter::Event(events) => {
            let ids: Vec<_> = events.iter().map(|event| event.to_key()).collect();
            push_events(sql, scope, "event_id", &ids);
        }
        Filter::Text(field, phrases) => push_text(sql, scope, *field, phrases),
        Filter::Tag(key, patterns) => push_tag(sql, scope, key, patterns),
        Filter::Has(key) => {
            push_key(sql, scope, key);
            sql.push(")");
        }
        Filter::Assigned(assignees) => push_assignees(sql, assignees),
    }
    sql.push(")");
}

/// Only issues with an event in the environment, since an hour if one is given.
pub(super) fn push_environment(sql: &mut Sql, scope: Scope, environment: &str, from_hour: Option<i64>) {
    sql.push(" AND ");
    push_id(sql);
    let table = if from_hour.is_some() { "error_issue_hour" } else { "error_issue_environment" };
    sql.push(&format!(" IN (SELECT n.issue_id FROM {table} n WHERE n.project_id = ")).bind(scope.project.0);
    sql.push(" AND n.environment = ").bind(environment);
    if let Some(from) = from_hour {
        sql.push(" AND n.hour >= ").bind(from);
    }
    sql.push(")");
}

/// The issue's id, in SQLite as an expression: a list is read in its order, and each of its issues looked up among
/// those that a condition names, never the other way round.
pub(super) fn push_id(sql: &mut Sql) {
    let name = if sql.dialect() == Dialect::Sqlite { "+i.id" } else { "i.id" };
    sql.push(name);
}

fn push_assignees(sql: &mut Sql, assignees: &[Assignee]) {
    sql.push("1 = 0");
    for assignee in assignees {
        match assignee {
            Assignee::Nobody => sql.push(" OR i.assigned_to IS NULL"),
            // Whoever it is, an issue of nobody is not theirs, and the opposite is: NULL would be neither.
            Assignee::User(user) => {
                sql.push(" OR (i.assigned_to IS NOT NULL AND i.assigned_to = ").bind(*user).push(")")
            }
        };
    }
}

fn push_any<V: Into<sea_orm::Value> + Clone>(sql: &mut Sql, column: &str, values: &[V]) {
    if values.is_empty() {
        sql.push("1 = 0");
    } else {
        sql.push(column).push(" IN ").bind_set(values);
    }
}

fn push_events<T>(sql: &mut Sql, scope: Scope, column: &str, ids: &[Id<T>]) {
    push_id(sql);
    sql.push(" IN (SELECT e.issue_id FROM error_event e WHERE e.project_id = ").bind(scope.project.0);
    sql.push(" AND e.").push(column).push(" IN ").bind_row(ids.iter().copied()).push(")");
}

fn push_tag(sql: &mut Sql, scope: Scope, key: &str, patterns: &[Pattern]) {
    let project = scope.project.0;
    if let [Pattern::Exact(value)] = patterns {
        push_id(sql);
        sql.push(" IN (SELECT x.issue_id FROM error_issue_tag x WHERE x.project_id = ").bind(project);
        sql.push(" AND x.tag_id = (SELECT t.id FROM error_tag t WHERE t.project_id = ").bind(project);
        sql.push(" AND t.key = ").bind(key).push(" AND t.value = ").bind(value.as_str()).push("))");
        return;
    }
    // Many values together have most issues: those are asked one by one, until there are enough.
    push_key(sql, scope, key);
    sql.push(" AND x.tag_id IN (SELECT t.id FROM error_tag t WHERE t.project_id = ").bind(project);
    sql.push(" AND t.key = ").bind(key).push(" AND (");
    for (index, pattern) in patterns.iter().enumerate() {
        sql.push(if index == 0 { "" } else { " OR " });
        match pattern {
            Pattern::Exact(value) => {
                sql.push("t.value = ").bind(value.as_str());
            }
            Pattern::Glob(parts) => push_glob(sql, parts),
        }
    }
    sql.push(")))");
}

/// `EXISTS (..` of the issue's tags with the key, open for more conditions.
fn push_key(sql: &mut Sql, scope: Scope, key: &str) {
    sql.push("EXISTS (SELECT 1 FROM error_issue_tag x WHERE x.project_id = ").bind(scope.project.0);
    sql.push(" AND x.issue_id = i.id AND x.key_id = (SELECT t.id FROM error_tag t WHERE t.project_id = ");
    sql.bind(scope.project.0).push(" AND t.value = '' AND t.key = ").bind(key).push(")");
}

/// `t.value` against a glob; the empty value is the key itself and no value.
pub(super) fn push_glob(sql: &mut Sql, parts: &[String]) {
    sql.push("(t.value <> '' AND t.value ");
    match sql.dialect() {
        Dialect::Sqlite => sql.push("GLOB ").bind(glob(parts)),
        Dialect::Postgres => sql.push("LIKE ").bind(like(parts)),
    };
    sql.push(")");
}

fn glob(parts: &[String]) -> String {
    let escape = |part: &String| {
        part.chars().fold(String::new(), |mut text, character| {
            match character {
                '*' | '?' | '[' => text.extend(['[', character, ']']),
                other => text.push(other),
            }
            text
        })
    };
    parts.iter().map(escape).collect::<Vec<_>>().join("*")
}

fn like(parts: &[String]) -> String {
    let escape = |part: &String| part.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    parts.iter().map(escape).collect::<Vec<_>>().join("%")
}

fn push_text(sql: &mut Sql, scope: Scope, field: Field, phrases: &[Phrase]) {
    let project = scope.project.0;
    match sql.dialect() {
        Dialect::Sqlite => {
            sql.push("+i.number IN (SELECT rowid & ").bind(NUMBER_MASK);
            sql.push(" FROM error_issue_text WHERE error_issue_text MATCH ").bind(match_of(field, phrases));
            sql.push(" AND rowid BETWEEN ").bind(text_row(project, 0));
            sql.push(" AND ").bind(text_row(project, NUMBER_MASK)).push(")");
        }
        Dialect::Postgres => {
            sql.push("i.number IN (SELECT w.number FROM error_issue_text w WHERE w.project_id = ")
                .bind(project);
            sql.push(" AND w.words @@ CAST(").bind(tsquery_of(field, phrases)).push(" AS tsquery))");
        }
    }
}

/// Phrases as FTS5 reads them; the words have letters and digits only.
fn match_of(field: Field, phrases: &[Phrase]) -> String {
    let column = match field {
        Field::Anywhere => "",
        Field::Title => "title : ",
        Field::Culprit => "culprit : ",
        Field::Message => "message : ",
    };
    let one = |phrase: &Phrase| {
        format!("({column}\"{}\"{})", phrase.words.join(" "), if phrase.is_open { " *" } else { "" })
    };
    phrases.iter().map(one).collect::<Vec<_>>().join(" OR ")
}

/// Phrases as PostgreSQL reads them, with the weight of the field.
fn tsquery_of(field: Field, phrases: &[Phrase]) -> String {
    let weight = match field {
        Field::Anywhere => "",
        Field::Title => "A",
        Field::Culprit => "B",
        Field::Message => "C",
    };
    let one = |phrase: &Phrase| {
        let last = phrase.words.len().saturating_sub(1);
        let word = |(index, word): (usize, &String)| {
            let open = if index == last && phrase.is_open { "*" } else { "" };
            let suffix = if open.is_empty() && weight.is_empty() { "" } else { ":" };
            format!("'{word}'{suffix}{open}{weight}")
        };
        format!("({})", phrase.words.iter().enumerate().map(word).collect::<Vec<_>>().join(" <-> "))
    };
    phrases.iter().map(one).collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_escape_what_their_database_reads() {
        let parts = ["a*b".to_owned(), "c?[_%\\".to_owned()];
        assert_eq!(glob(&parts), "a[*]b*c[?][[]_%\\");
        assert_eq!(like(&parts), "a*b%c?[\\_\\%\\\\");
    }

    #[test]
    fn phrases_are_written_for_both_databases() {
        let phrase = |words: &[&str]| Phrase {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            is_open: true,
        };
        let phrases = [phrase(&["card", "was"]), phrase(&["x"])];
        assert_eq!(match_of(Field::Anywhere, &phrases), "(\"card was\" *) OR (\"x\" *)");
        assert_eq!(match_of(Field::Title, &phrases[1..]), "(title : \"x\" *)");
        assert_eq!(tsquery_of(Field::Anywhere, &phrases), "('card' <-> 'was':*) | ('x':*)");
        assert_eq!(tsquery_of(Field::Message, &phrases[..1]), "('card':C <-> 'was':*C)");
    }
}
