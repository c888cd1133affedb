//! Learning analytics: what learners have done, folded; what people declare of courses and milestones; flags.

use sea_orm_migration::prelude::*;

use crate::column::{boolean, integer, nullable, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261128_000021_learning"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables =
            [project(), course(), learner(), progress(), exercise(), skill(), item(), milestone(), flag()];
        for table in tables {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            "learning_flag",
            "learning_milestone",
            "learning_item",
            "learning_skill",
            "learning_exercise",
            "learning_progress",
            "learning_learner",
            "learning_course",
            "learning_project",
        ] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

fn project() -> TableCreateStatement {
    Table::create()
        .table("learning_project")
        // Whoever changes what is known of learners takes this row first.
        .col(integer("project_id").primary_key().take())
        // The declared rules of milestones as JSON; none for the usual ones.
        .col(nullable(text("rules")))
        .take()
}

fn course() -> TableCreateStatement {
    Table::create()
        .table("learning_course")
        .col(integer("project_id"))
        .col(text("course"))
        // The declared lessons and exercises as JSON.
        .col(text("structure"))
        .col(timestamp("updated_at"))
        .primary_key(Index::create().col("project_id").col("course"))
        .take()
}

fn learner() -> TableCreateStatement {
    Table::create()
        .table("learning_learner")
        .col(integer("project_id"))
        .col(integer("subject_id"))
        .col(timestamp("last_at"))
        .col(text("state"))
        .primary_key(Index::create().col("project_id").col("subject_id"))
        .take()
}

fn progress() -> TableCreateStatement {
    Table::create()
        .table("learning_progress")
        .col(integer("project_id"))
        .col(text("course"))
        // Empty for the course itself.
        .col(text("lesson"))
        .col(integer("subject_id"))
        // Enrolled in the course, or opened the lesson.
        .col(nullable(timestamp("begun_at")))
        .col(nullable(timestamp("started_at")))
        .col(nullable(timestamp("completed_at")))
        .col(timestamp("last_at"))
        .col(integer("active_ms"))
        .col(text("state"))
        .primary_key(Index::create().col("project_id").col("course").col("lesson").col("subject_id"))
        .take()
}

fn exercise() -> TableCreateStatement {
    Table::create()
        .table("learning_exercise")
        .col(integer("project_id"))
        .col(text("course"))
        .col(text("exercise"))
        .col(integer("subject_id"))
        .col(integer("attempts"))
        // Of the first attempt; none where there was only a hint.
        .col(nullable(boolean("is_first_correct")))
        .col(nullable(integer("first_ms")))
        .col(nullable(timestamp("solved_at")))
        // When it was solved without a hint before.
        .col(nullable(timestamp("unhinted_at")))
        .col(nullable(timestamp("hinted_at")))
        .col(text("state"))
        .primary_key(Index::create().col("project_id").col("course").col("exercise").col("subject_id"))
        .take()
}

fn skill() -> TableCreateStatement {
    Table::create()
        .table("learning_skill")
        .col(integer("project_id"))
        .col(integer("subject_id"))
        .col(text("skill"))
        .col(text("state"))
        .primary_key(Index::create().col("project_id").col("subject_id").col("skill"))
        .take()
}

fn item() -> TableCreateStatement {
    Table::create()
        .table("learning_item")
        .col(integer("project_id"))
        // A hash of the names; 0 for everything.
        .col(integer("item_key"))
        // 0 everything, 1 an exercise, 2 a skill.
        .col(integer("kind"))
        .col(text("course"))
        .col(text("name"))
        // Of an exercise, as a JSON array.
        .col(text("skills"))
        // Sums over all learners, those who were erased included.
        .col(integer("attempts"))
        .col(integer("correct"))
        .col(integer("hints"))
        .primary_key(Index::create().col("project_id").col("item_key"))
        .take()
}

fn milestone() -> TableCreateStatement {
    Table::create()
        .table("learning_milestone")
        .col(integer("project_id"))
        .col(integer("subject_id"))
        .col(text("rule"))
        // Empty where the rule is about no course.
        .col(text("course"))
        // None where a late event took it back.
        .col(nullable(timestamp("reached_at")))
        .col(timestamp("told_at"))
        .primary_key(Index::create().col("project_id").col("subject_id").col("rule").col("course"))
        .take()
}

fn flag() -> TableCreateStatement {
    Table::create()
        .table("learning_flag")
        .col(integer("project_id"))
        .col(integer("subject_id"))
        .col(text("skill"))
        .col(timestamp("flagged_at"))
        .col(timestamp("onset_at"))
        .col(nullable(timestamp("cleared_at")))
        // 1 helped, 2 not struggling.
        .col(nullable(integer("feedback")))
        .col(nullable(timestamp("feedback_at")))
        .primary_key(Index::create().col("project_id").col("subject_id").col("skill").col("flagged_at"))
        .take()
}

fn indexes() -> [IndexCreateStatement; 5] {
    [
        Index::create()
            .name("learning_milestone_reached")
            .table("learning_milestone")
            .col("project_id")
            .col("reached_at")
            .take(),
        Index::create()
            .name("learning_progress_subject")
            .table("learning_progress")
            .col("project_id")
            .col("subject_id")
            .take(),
        Index::create()
            .name("learning_exercise_subject")
            .table("learning_exercise")
            .col("project_id")
            .col("subject_id")
            .take(),
        Index::create()
            .name("learning_item_course")
            .table("learning_item")
            .col("project_id")
            .col("kind")
            .col("course")
            .take(),
        Index::create()
            .name("learning_flag_flagged")
            .table("learning_flag")
            .col("project_id")
            .col("flagged_at")
            .take(),
    ]
}
