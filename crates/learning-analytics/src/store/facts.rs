//! What milestones, mastery and struggling are judged by, and what was said of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{StorageError, Timestamp, Tx, bulk, execute_sql};
use sea_orm::{ConnectionTrait, Value};

use super::sql::{count, get, query_in, text, whole};
use crate::history::ItemKey;
use crate::mastery::Counts;
use crate::model::FlagFeedback;
use crate::sheet::{ItemSum, PlaceKey};

fn of_subjects(subjects: &BTreeSet<SubjectId>) -> Vec<Value> {
    subjects.iter().map(|subject| subject.0.into()).collect()
}

/// Adds to the sums of exercises and skills, in the order of their keys.
pub(crate) async fn add_items(
    tx: &Tx,
    project: ProjectId,
    sums: &BTreeMap<ItemKey, ItemSum>,
) -> Result<(), StorageError> {
    let mut rows = Vec::new();
    for (key, sum) in sums {
        rows.push([
            project.0.into(),
            key.0.into(),
            sum.kind.to_number().into(),
            sum.course.as_str().into(),
            sum.name.as_str().into(),
            text(&sum.skills)?,
            whole(sum.counts.attempts),
            whole(sum.counts.correct),
            whole(sum.hints),
        ]);
    }
    let head = "INSERT INTO learning_item (project_id, item_key, kind, course, name, skills, attempts, correct, \
                hints) VALUES ";
    let tail = " ON CONFLICT (project_id, item_key) DO UPDATE SET skills = excluded.skills, \
                attempts = learning_item.attempts + excluded.attempts, \
                correct = learning_item.correct + excluded.correct, hints = learning_item.hints + excluded.hints";
    bulk(tx, head, rows, tail).await.map(drop)
}

/// Takes away from the sums of exercises and skills; those of which nothing is left go.
pub(crate) async fn subtract_items(
    tx: &Tx,
    project: ProjectId,
    sums: &BTreeMap<ItemKey, ItemSum>,
) -> Result<(), StorageError> {
    for (key, sum) in sums {
        let sql = "UPDATE learning_item SET attempts = attempts - $3, correct = correct - $4, hints = hints - $5 \
                   WHERE project_id = $1 AND item_key = $2";
        let (attempts, correct) = (whole(sum.counts.attempts), whole(sum.counts.correct));
        execute_sql(tx, sql, [project.0.into(), key.0.into(), attempts, correct, whole(sum.hints)]).await?;
        let sql = "DELETE FROM learning_item WHERE project_id = $1 AND item_key = $2 AND attempts <= 0 AND hints <= 0";
        execute_sql(tx, sql, [project.0.into(), key.0.into()]).await?;
    }
    Ok(())
}

/// The attempts of all learners at some exercises and skills.
pub(crate) async fn load_counts(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    keys: &BTreeSet<ItemKey>,
) -> Result<HashMap<ItemKey, Counts>, StorageError> {
    let sql =
        ("SELECT item_key, attempts, correct FROM learning_item WHERE project_id = $1 AND item_key", "");
    let values: Vec<Value> = keys.iter().map(|key| key.0.into()).collect();
    let rows = query_in(connection, sql, &[project.0.into()], 1, &values).await?;
    let counts = rows.iter().map(|row| {
        let counts = Counts { attempts: count(row, 1)?, correct: count(row, 2)? };
        Ok((ItemKey(get(row, 0)?), counts))
    });
    counts.collect()
}

/// What some learners have completed, and when.
pub(crate) async fn load_completions(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subjects: &BTreeSet<SubjectId>,
) -> Result<BTreeMap<(SubjectId, PlaceKey), i64>, StorageError> {
    let sql = (
        "SELECT subject_id, course, lesson, completed_at FROM learning_progress \
         WHERE project_id = $1 AND completed_at IS NOT NULL AND subject_id",
        "",
    );
    let rows = query_in(connection, sql, &[project.0.into()], 1, &of_subjects(subjects)).await?;
    let completions =
        rows.iter().map(|row| Ok(((SubjectId(get(row, 0)?), (get(row, 1)?, get(row, 2)?)), get(row, 3)?)));
    completions.collect()
}

/// When some learners solved exercises without a hint: the first `limit` of each.
pub(crate) async fn load_unhinted(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subjects: &BTreeSet<SubjectId>,
    limit: u32,
) -> Result<BTreeMap<SubjectId, Vec<i64>>, StorageError> {
    let sql = (
        "SELECT subject_id, unhinted_at FROM (SELECT subject_id, unhinted_at, \
         ROW_NUMBER() OVER (PARTITION BY subject_id ORDER BY unhinted_at) AS place \
         FROM learning_exercise WHERE project_id = $1 AND unhinted_at IS NOT NULL AND subject_id",
        ") AS solved WHERE place <= $2",
    );
    let first = [project.0.into(), i64::from(limit).into()];
    let rows = query_in(connection, sql, &first, 1, &of_subjects(subjects)).await?;
    let mut unhinted: BTreeMap<SubjectId, Vec<i64>> = BTreeMap::new();
    for row in &rows {
        unhinted.entry(SubjectId(get(row, 0)?)).or_default().push(get(row, 1)?);
    }
    Ok(unhinted)
}

/// A milestone as it is stored: who, rule, course, and when it was reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StoredMilestone {
    pub(crate) subject: SubjectId,
    pub(crate) rule: String,
    pub(crate) course: String,
    /// None where a late event took it back.
    pub(crate) reached_micros: Option<i64>,
}

/// What some learners were told that they have reached.
pub(crate) async fn load_milestones(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subjects: &BTreeSet<SubjectId>,
) -> Result<Vec<StoredMilestone>, StorageError> {
    let sql = (
        "SELECT subject_id, rule, course, reached_at FROM learning_milestone WHERE project_id = $1 AND subject_id",
        "",
    );
    let rows = query_in(connection, sql, &[project.0.into()], 1, &of_subjects(subjects)).await?;
    let milestones = rows.iter().map(|row| {
        Ok(StoredMilestone {
            subject: SubjectId(get(row, 0)?),
            rule: get(row, 1)?,
            course: get(row, 2)?,
            reached_micros: get(row, 3)?,
        })
    });
    milestones.collect()
}

/// Writes milestones; one that is there keeps when it was told.
pub(crate) async fn replace_milestones(
    tx: &Tx,
    project: ProjectId,
    milestones: &[StoredMilestone],
    now: Timestamp,
) -> Result<(), StorageError> {
    let mut rows = Vec::new();
    for it in milestones {
        let (rule, course) = (it.rule.as_str().into(), it.course.as_str().into());
        let reached = it.reached_micros.into();
        rows.push([project.0.into(), it.subject.0.into(), rule, course, reached, now.as_micros().into()]);
    }
    let head =
        "INSERT INTO learning_milestone (project_id, subject_id, rule, course, reached_at, told_at) VALUES ";
    let tail =
        " ON CONFLICT (project_id, subject_id, rule, course) DO UPDATE SET reached_at = excluded.reached_at";
    bulk(tx, head, rows, tail).await.map(drop)
}

/// The skills on which some learners are known to struggle.
pub(crate) async fn load_open_flags(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subjects: &BTreeSet<SubjectId>,
) -> Result<BTreeSet<(SubjectId, String)>, StorageError> {
    let sql = (
        "SELECT subject_id, skill FROM learning_flag WHERE project_id = $1 AND cleared_at IS NULL AND subject_id",
        "",
    );
    let rows = query_in(connection, sql, &[project.0.into()], 1, &of_subjects(subjects)).await?;
    rows.iter().map(|row| Ok((SubjectId(get(row, 0)?), get(row, 1)?))).collect()
}

/// A learner who begins to struggle.
pub(crate) struct NewFlag {
    pub(crate) subject: SubjectId,
    pub(crate) skill: String,
    pub(crate) onset_micros: i64,
}

pub(crate) async fn insert_flags(
    tx: &Tx,
    project: ProjectId,
    flags: &[NewFlag],
    now: Timestamp,
) -> Result<(), StorageError> {
    let mut rows = Vec::new();
    for flag in flags {
        let (skill, onset) = (flag.skill.as_str().into(), flag.onset_micros.into());
        rows.push([project.0.into(), flag.subject.0.into(), skill, now.as_micros().into(), onset]);
    }
    let head = "INSERT INTO learning_flag (project_id, subject_id, skill, flagged_at, onset_at) VALUES ";
    let tail = " ON CONFLICT (project_id, subject_id, skill, flagged_at) DO UPDATE SET onset_at = excluded.onset_at, \
                cleared_at = NULL";
    bulk(tx, head, rows, tail).await.map(drop)
}

/// Notes that some learners do not struggle with a skill any more.
pub(crate) async fn clear_flags(
    tx: &Tx,
    project: ProjectId,
    of: &[(SubjectId, String)],
    now: Timestamp,
) -> Result<(), StorageError> {
    let values: Vec<Value> =
        of.iter().flat_map(|(subject, skill)| [Value::from(subject.0), skill.as_str().into()]).collect();
    let sql = (
        "UPDATE learning_flag SET cleared_at = $2 WHERE project_id = $1 AND cleared_at IS NULL AND (subject_id, skill)",
        " RETURNING subject_id",
    );
    query_in(tx, sql, &[project.0.into(), now.as_micros().into()], 2, &values).await?;
    Ok(())
}

/// Notes what somebody says of the latest flag of a learner and skill; false if there is none.
pub(crate) async fn give_feedback(
    tx: &Tx,
    project: ProjectId,
    (subject, skill): (SubjectId, &str),
    feedback: FlagFeedback,
    now: Timestamp,
) -> Result<bool, StorageError> {
    let sql = "UPDATE learning_flag SET feedback = $4, feedback_at = $5 \
               WHERE project_id = $1 AND subject_id = $2 AND skill = $3 AND flagged_at = \
               (SELECT MAX(flagged_at) FROM learning_flag WHERE project_id = $1 AND subject_id = $2 AND skill = $3)";
    let values = [
        project.0.into(),
        subject.0.into(),
        skill.into(),
        feedback.to_number().into(),
        now.as_micros().into(),
    ];
    Ok(execute_sql(tx, sql, values).await? > 0)
}
