//! A made-up course with learners behind the real traits.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_learning_analytics::at_risk::{Away, Hazard};
use belvedere_learning_analytics::comparison::{Change, Cohort, Comparison, Measure, Metric};
use belvedere_learning_analytics::engagement::Engagement;
use belvedere_learning_analytics::items::{Item, Suspicion};
use belvedere_learning_analytics::mastery::Estimate;
use belvedere_learning_analytics::milestones::Rule;
use belvedere_learning_analytics::structure::{CourseStructure, ExercisePlan, LessonPlan};
use belvedere_learning_analytics::struggling::{Area, Factor, Struggle, Verdict, WheelSpinning};
use belvedere_learning_analytics::tutor::{AskTutor, TutorReport};
use belvedere_learning_analytics::{
    BusyPlace, ChangeRules, ChangedBy, CourseProgress, CourseRow, CourseSummary, ErrorType, FlagFeedback,
    FlagPrecision, ItemTable, LatestEvent, LearnerOfCourse, LearnerProgress, Learning, LearningError,
    LearningNow, LearningReports, LearningSettings, LessonProgress, LessonSummary, ListLearners,
    ListMilestones, ListStatements, ListStruggling, PlaceProgress, ReachedMilestone, Recommendation,
    SkillMastery, StrugglingLearner,
};
use belvedere_storage::{Cursor, Page, PageRequest, Timestamp};

use super::fake_tutor;

/// The project that has learners, all others have none.
const PROJECT: ProjectId = ProjectId(7);

/// The course and its learner of the project 7 alone.
pub(crate) struct FakeLearning {
    now: Timestamp,
    /// Added to every text.
    suffix: String,
    /// What was said of the flag.
    pub(crate) feedback: Mutex<Option<FlagFeedback>>,
}

impl FakeLearning {
    pub(crate) fn new(now: Timestamp, suffix: &str) -> Self {
        Self { now, suffix: suffix.to_owned(), feedback: Mutex::default() }
    }

    fn text(&self, text: &str) -> String {
        format!("{text}{}", self.suffix)
    }

    fn ago(&self, days: u64) -> Timestamp {
        self.now.minus(Duration::from_secs(days * 86_400))
    }

    fn is_course(&self, project: ProjectId, course: &str) -> bool {
        project == PROJECT && course == self.text("rust-101")
    }

    fn place(&self, completion: f64) -> PlaceProgress {
        PlaceProgress {
            started_at: Some(self.ago(9)),
            completed_at: (completion >= 1.0).then(|| self.ago(1)),
            last_at: Some(self.ago(1)),
            completion: Some(completion),
            active_seconds: 4_210.0,
            stated_seconds: 900.0,
            attempts: 14,
            successes: 9,
            hints: 4,
            best_score: Some(88.0),
            last_score: Some(61.5),
        }
    }

    fn struggle(&self) -> Struggle {
        let factor = |area, weight, reason: &str| Factor {
            area,
            weight,
            reason: self.text(reason),
            evidence: Vec::new(),
        };
        Struggle {
            verdict: Verdict::Struggling,
            score: 1.25,
            wheel_spinning: WheelSpinning::Spinning,
            factors: vec![
                factor(Area::Mastery, 1.0, "ten exercises were tried without three right answers in a row"),
                factor(Area::Hints, 0.5, "8 of the last 8 attempts came after a hint"),
                factor(Area::Failure, -0.25, "3 of the last 8 attempts failed, fewer than expected"),
            ],
            onset_micros: Some(self.ago(3).as_micros()),
        }
    }

    fn estimate() -> Estimate {
        Estimate { probability: 0.41, low: 0.22, high: 0.63, attempts: 11 }
    }
}

#[async_trait]
impl Learning for FakeLearning {
    async fn find_learner(
        &self,
        project: ProjectId,
        subject: SubjectId,
    ) -> Result<Option<LearnerProgress>, LearningError> {
        let lesson = |id: &str, title: &str, completion| LessonProgress {
            lesson: self.text(id),
            title: self.text(title),
            progress: self.place(completion),
        };
        let course = CourseProgress {
            course: self.text("rust-101"),
            title: self.text("First steps in Rust"),
            enrolled_at: Some(self.ago(10)),
            progress: self.place(0.5),
            engagement: Engagement {
                actions: 96,
                sessions: 12,
                sessions_per_week: 1.5,
                actions_per_session: Some(8.0),
                active_days: 10,
                longest_streak_days: 3,
                regularity: Some(0.625),
            },
            lessons: vec![lesson("1", "Loops", 1.0), lesson("2", "Types", 0.25)],
        };
        let learner = LearnerProgress {
            subject,
            events: 1_204,
            first_at: Some(self.ago(10)),
            last_at: Some(self.ago(1)),
            active_days: 7,
            streak_days: 3,
            attempts: 14,
            successes: 9,
            courses: vec![course],
        };
        Ok((project == PROJECT && subject == SubjectId(318)).then_some(learner))
    }

    async fn list_learners(&self, query: ListLearners) -> Result<Page<LearnerOfCourse>, LearningError> {
        if !self.is_course(query.project, &query.course) {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let learner = |number, completion| LearnerOfCourse {
            subject: SubjectId(number),
            enrolled_at: Some(self.ago(10)),
            progress: self.place(completion),
        };
        Ok(Page {
            items: vec![learner(318, 0.5), learner(319, 1.0)],
            next: Some(Cursor::from("319".to_owned())),
        })
    }

    async fn list_courses(
        &self,
        project: ProjectId,
        page: PageRequest,
    ) -> Result<Page<CourseRow>, LearningError> {
        if project != PROJECT || page.after.is_some() {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let course = CourseRow {
            course: self.text("rust-101"),
            title: self.text("First steps in Rust"),
            learners: 2_480,
            enrolled: 2_400,
            started: 1_900,
            completed: 475,
            active: 310,
            median_seconds: Some(15_600.0),
        };
        let next = Some(Cursor::from(course.course.clone()));
        Ok(Page { items: vec![course], next })
    }

    async fn find_course(
        &self,
        project: ProjectId,
        course: &str,
    ) -> Result<Option<CourseSummary>, LearningError> {
        let lesson = |id: &str, title: &str, started: u64, completed: u64| LessonSummary {
            lesson: self.text(id),
            title: self.text(title),
            started,
            completed,
            drop_off: Some(1.0 - completed as f64 / started as f64),
            stopped_here: started / 10,
            median_seconds: Some(840.0),
        };
        Ok(self.is_course(project, course).then(|| CourseSummary {
            course: self.text("rust-101"),
            title: self.text("First steps in Rust"),
            learners: 2_480,
            enrolled: 2_400,
            started: 1_900,
            completed: 475,
            completion_rate: Some(0.25),
            median_seconds: Some(15_600.0),
            gain: Some(Measure { learners: 212, mean: 0.46, low: 0.41, high: 0.51 }),
            lessons: vec![lesson("1", "Loops", 1_900, 1_520), lesson("2", "Types", 1_400, 700)],
        }))
    }

    async fn list_items(&self, project: ProjectId, course: &str) -> Result<ItemTable, LearningError> {
        let item = |id: &str, suspicions| Item {
            exercise: self.text(id),
            learners: 240,
            attempts: 611,
            difficulty: Some(0.36),
            discrimination: Some(-0.04),
            hint_rate: Some(0.7),
            median_seconds: Some(75.0),
            stopped_here: 12,
            error_types: vec![
                ErrorType { error_type: self.text("type mismatch"), events: 30 },
                ErrorType { error_type: String::new(), events: 10 },
            ],
            suspicions,
        };
        let suspicions = vec![
            Suspicion::DiscriminatesBadly { discrimination: -0.04 },
            Suspicion::NeedsHints { rate: 0.7 },
        ];
        let items = vec![item("1.1", Vec::new()), item("1.2", suspicions)];
        Ok(ItemTable {
            items: if self.is_course(project, course) { items } else { Vec::new() },
            is_cut: false,
        })
    }

    async fn list_mastery(
        &self,
        project: ProjectId,
        subject: SubjectId,
    ) -> Result<Vec<SkillMastery>, LearningError> {
        let skill = SkillMastery {
            skill: self.text("loops"),
            estimate: Self::estimate(),
            attempts: 11,
            successes: 4,
            struggle: self.struggle(),
        };
        Ok(if project == PROJECT && subject == SubjectId(318) { vec![skill] } else { Vec::new() })
    }

    async fn recommend(
        &self,
        project: ProjectId,
        _: SubjectId,
        course: &str,
        _: usize,
    ) -> Result<Vec<Recommendation>, LearningError> {
        let next = Recommendation {
            exercise: self.text("2.3"),
            title: self.text("Exercise 3"),
            lesson: Some(self.text("2")),
            skills: vec![self.text("loops")],
            estimate: Self::estimate(),
            reason: self.text("a right answer has a chance of 41 %, where 75 % is aimed at"),
        };
        Ok(if self.is_course(project, course) { vec![next] } else { Vec::new() })
    }

    async fn list_struggling(&self, query: ListStruggling) -> Result<Page<StrugglingLearner>, LearningError> {
        let flag = |number, cleared_at, feedback| StrugglingLearner {
            subject: SubjectId(number),
            skill: self.text("loops"),
            flagged_at: self.ago(2),
            onset_at: self.ago(3),
            cleared_at,
            feedback,
            struggle: self.struggle(),
        };
        let mut items = Vec::new();
        if query.project == PROJECT {
            items.push(flag(318, None, *self.feedback.lock().unwrap()));
            if query.with_cleared {
                items.push(flag(319, Some(self.ago(1)), None));
            }
        }
        Ok(Page { items, next: None })
    }

    async fn find_precision(&self, project: ProjectId) -> Result<FlagPrecision, LearningError> {
        let precision =
            FlagPrecision { flags: 40, open: 12, helped: 9, not_struggling: 3, precision: Some(0.75) };
        Ok(if project == PROJECT { precision } else { FlagPrecision::default() })
    }

    async fn list_milestones(&self, query: ListMilestones) -> Result<Page<ReachedMilestone>, LearningError> {
        let milestone = |rule: &str, course: String| ReachedMilestone {
            subject: SubjectId(318),
            rule: rule.to_owned(),
            course,
            reached_at: self.ago(2),
        };
        let items = match query.subject {
            Some(SubjectId(318)) if query.project == PROJECT => vec![
                milestone("streak_days:7", String::new()),
                milestone("course_complete", self.text("rust-101")),
            ],
            _ => Vec::new(),
        };
        Ok(Page { items, next: None })
    }
}

#[async_trait]
impl LearningReports for FakeLearning {
    async fn count_waiting(&self) -> Result<u64, LearningError> {
        Ok(0)
    }

    async fn find_now(&self, project: ProjectId) -> Result<LearningNow, LearningError> {
        let is_known = project == PROJECT;
        let latest = LatestEvent {
            key: "a1b2".to_owned(),
            at: self.now.minus(Duration::from_secs(4)),
            subject: Some(SubjectId(318)),
            event_type: "exercise_attempt",
            course: self.text("rust-101"),
            lesson: self.text("2"),
            exercise: self.text("2.3"),
            is_correct: Some(false),
        };
        let nobody =
            LatestEvent { key: "a1b3".to_owned(), subject: None, is_correct: None, ..latest.clone() };
        let place =
            BusyPlace { course: self.text("rust-101"), lesson: self.text("2"), learners: 41, events: 530 };
        let mut by_minute = vec![0; 30];
        if is_known {
            (by_minute[4], by_minute[29]) = (1_500, 17);
        }
        Ok(LearningNow {
            until: self.now,
            by_minute,
            present: if is_known { 52 } else { 0 },
            learners: if is_known { 77 } else { 0 },
            attempts: if is_known { 400 } else { 0 },
            successes: if is_known { 100 } else { 0 },
            places: if is_known { vec![place] } else { Vec::new() },
            latest: if is_known { vec![latest, nobody] } else { Vec::new() },
        })
    }

    async fn list_statements(&self, _: ListStatements) -> Result<Page<serde_json::Value>, LearningError> {
        Ok(Page { items: Vec::new(), next: None })
    }

    async fn report_tutor(&self, question: AskTutor) -> Result<TutorReport, LearningError> {
        Ok(match question.project {
            PROJECT => fake_tutor::report(self.now, question.days, &self.suffix),
            _ => fake_tutor::nothing(self.now, question.days),
        })
    }

    async fn list_away(&self, query: ListLearners) -> Result<Page<Away>, LearningError> {
        let away = |learner, days, stage, learners, lost| Away {
            learner,
            days,
            stage,
            compared_days: 7,
            hazard: Hazard { learners, lost },
        };
        let items = vec![away(318, 9, 1, 40, 30), away(320, 8, 2, 50, 10), away(321, 12, 3, 19, 19)];
        let is_course = self.is_course(query.project, &query.course);
        Ok(Page { items: if is_course { items } else { Vec::new() }, next: None })
    }

    async fn compare_cohorts(
        &self,
        project: ProjectId,
        course: &str,
    ) -> Result<Option<Comparison>, LearningError> {
        let cohort = |versions: &[&str], since, learners, share| Cohort {
            versions: versions.iter().map(|version| self.text(version)).collect(),
            since,
            learners,
            measures: vec![
                (
                    Metric::CompletionRate,
                    Measure { learners, mean: share, low: share - 0.04, high: share + 0.04 },
                ),
                (
                    Metric::ActiveSeconds,
                    Measure { learners: 300, mean: 9_000.0, low: 8_400.0, high: 9_600.0 },
                ),
            ],
        };
        let change = |metric, difference: f64, adjusted_p: f64| Change {
            cohort: 1,
            metric,
            difference,
            low: difference * 0.5,
            high: difference * 1.5,
            p: adjusted_p / 2.0,
            adjusted_p,
            is_significant: adjusted_p <= 0.05,
        };
        let comparison = Comparison {
            learners: 2_480,
            recent: Some(80),
            cohorts: vec![
                cohort(&["1"], None, 1_400, 0.25),
                cohort(&["2", "3"], Some(self.ago(60)), 1_000, 0.31),
            ],
            changes: vec![
                change(Metric::CompletionRate, 0.06, 0.004),
                change(Metric::ActiveSeconds, -240.0, 0.4),
            ],
            hidden: vec![Metric::NormalisedGain],
            is_cut: false,
        };
        Ok(self.is_course(project, course).then_some(comparison))
    }
}

#[async_trait]
impl LearningSettings for FakeLearning {
    async fn find_structure(
        &self,
        project: ProjectId,
        course: &str,
    ) -> Result<Option<CourseStructure>, LearningError> {
        let exercise = ExercisePlan {
            id: self.text("1.2"),
            title: self.text("Count to ten"),
            skills: vec![self.text("loops")],
        };
        let lesson = LessonPlan {
            id: self.text("1"),
            title: self.text("Loops"),
            is_optional: true,
            exercises: vec![exercise],
        };
        let structure = CourseStructure {
            title: self.text("First steps in Rust"),
            lessons: vec![lesson],
            ..CourseStructure::default()
        };
        Ok(self.is_course(project, course).then_some(structure))
    }

    async fn set_structure(
        &self,
        _: ProjectId,
        _: &str,
        _: CourseStructure,
        _: &ChangedBy,
    ) -> Result<(), LearningError> {
        Err(LearningError::NotFound("course"))
    }

    async fn find_rules(&self, _: ProjectId) -> Result<Vec<Rule>, LearningError> {
        Ok(Vec::new())
    }

    async fn set_rules(&self, _: ChangeRules, _: &ChangedBy) -> Result<(), LearningError> {
        Err(LearningError::NotFound("rule"))
    }

    async fn give_feedback(
        &self,
        project: ProjectId,
        subject: SubjectId,
        skill: &str,
        feedback: FlagFeedback,
        _: &ChangedBy,
    ) -> Result<(), LearningError> {
        if project != PROJECT || subject != SubjectId(318) || skill != self.text("loops") {
            return Err(LearningError::NotFound("flag"));
        }
        *self.feedback.lock().unwrap() = Some(feedback);
        Ok(())
    }
}
