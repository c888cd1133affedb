//! Learners: their flags, their progress, their skills, and what comes next.

use std::collections::HashSet;

use belvedere_kernel::ProjectId;
use belvedere_learning_analytics::struggling::{Area, Factor, Struggle, Verdict, WheelSpinning};
use belvedere_learning_analytics::{
    CourseProgress, FlagFeedback, FlagPrecision, LearnerOfCourse, LessonProgress, PlaceProgress,
    ReachedMilestone, Recommendation, SkillMastery, StrugglingLearner,
};
use belvedere_storage::Timestamp;

use crate::charts::Interval;
use crate::views::engagement::engagement_text;
use crate::views::learning::{NONE, course_href, share_text, time_text, title_or};
use crate::views::tags::ShareBar;
use crate::wording::{Ago, At, Count, capitalised, counted, percent};

/// How many lessons of a course, and how many skills, are shown of a learner.
const ROWS_SHOWN: usize = 100;

/// A sum of weights as people read it: `1.25`, `−0.5`.
fn weight(number: f64) -> String {
    format!("{number:.2}").replace('-', "\u{2212}")
}

/// A reason for or against.
pub(crate) struct FactorRow {
    pub(crate) area: &'static str,
    pub(crate) weight: String,
    pub(crate) reason: String,
    /// Whether it speaks against struggling.
    pub(crate) is_against: bool,
}

impl FactorRow {
    fn new(factor: &Factor) -> Self {
        let area = match factor.area {
            Area::Mastery => "mastery",
            Area::Failure => "failure",
            Area::Time => "time",
            Area::Hints => "hints",
            Area::Errors => "errors",
            Area::Activity => "activity",
        };
        let sign = if factor.weight >= 0.0 { "+" } else { "" };
        Self {
            area,
            weight: format!("{sign}{}", weight(factor.weight)),
            reason: capitalised(&factor.reason),
            is_against: factor.weight < 0.0,
        }
    }
}

/// A verdict with its reasons.
pub(crate) struct StruggleView {
    pub(crate) verdict: &'static str,
    /// The class of its tag.
    pub(crate) tone: &'static str,
    pub(crate) score: String,
    /// Wheel-spinning in words.
    pub(crate) spinning: String,
    pub(crate) factors: Vec<FactorRow>,
}

impl StruggleView {
    fn new(struggle: &Struggle) -> Self {
        let (verdict, tone) = match struggle.verdict {
            Verdict::Struggling => ("struggling", "warn"),
            Verdict::Fine => ("fine", "on"),
            Verdict::Indeterminate => ("not clear yet", ""),
        };
        let spinning = match struggle.wheel_spinning {
            WheelSpinning::Mastered { at_opportunity } => format!("mastered at exercise {at_opportunity}"),
            WheelSpinning::Spinning => "spins their wheels".to_owned(),
            WheelSpinning::Indeterminate { opportunities } => {
                format!("{} so far", counted(opportunities, "exercise", "exercises"))
            }
        };
        Self {
            verdict,
            tone,
            score: weight(struggle.score),
            spinning,
            factors: struggle.factors.iter().map(FactorRow::new).collect(),
        }
    }
}

/// A learner and a skill that is flagged, or was.
pub(crate) struct FlagRow {
    pub(crate) id: String,
    /// What changes when the row does.
    pub(crate) version: String,
    pub(crate) subject: String,
    pub(crate) href: String,
    pub(crate) skill: String,
    pub(crate) now: StruggleView,
    pub(crate) onset: Ago,
    pub(crate) flagged: Ago,
    pub(crate) cleared: Option<Ago>,
    /// What was said of it.
    pub(crate) said: Option<&'static str>,
    pub(crate) is_helped: bool,
    pub(crate) is_wrong: bool,
    /// Whether it is the flag that a judgement is about.
    pub(crate) is_latest: bool,
}

/// The address of a learner's page.
pub(crate) fn learner_href(base: &str, subject: &str) -> String {
    format!("{base}/learning/learners/{subject}")
}

/// The flags of a page of the list; a judgement is about the latest flag of a learner and a skill.
pub(crate) fn flags_of(
    base: &str,
    flags: &[StrugglingLearner],
    is_first_page: bool,
    now: Timestamp,
) -> Vec<FlagRow> {
    let mut seen = HashSet::new();
    let row = |flag: &StrugglingLearner| {
        let is_first = seen.insert((flag.subject, flag.skill.clone()));
        let subject = flag.subject.to_string();
        let now_is = StruggleView::new(&flag.struggle);
        FlagRow {
            id: format!("{subject} {} {}", flag.flagged_at.as_micros(), flag.skill),
            version: format!("{} {:?} {}", now_is.score, flag.feedback, flag.cleared_at.is_some()),
            href: learner_href(base, &subject),
            subject,
            skill: flag.skill.clone(),
            now: now_is,
            onset: Ago { at: flag.onset_at, now },
            flagged: Ago { at: flag.flagged_at, now },
            cleared: flag.cleared_at.map(|at| Ago { at, now }),
            said: flag.feedback.map(|feedback| match feedback {
                FlagFeedback::Helped => "right, and helped",
                FlagFeedback::NotStruggling => "not struggling",
            }),
            is_helped: flag.feedback == Some(FlagFeedback::Helped),
            is_wrong: flag.feedback == Some(FlagFeedback::NotStruggling),
            is_latest: flag.cleared_at.is_none() || (is_first && is_first_page),
        }
    };
    flags.iter().map(row).collect()
}

/// How often flags were right.
pub(crate) struct PrecisionView {
    pub(crate) open: Count,
    pub(crate) flags: Count,
    pub(crate) judged: Count,
    pub(crate) helped: Count,
    pub(crate) not_struggling: Count,
    pub(crate) precision: String,
}

impl PrecisionView {
    pub(crate) fn new(precision: &FlagPrecision) -> Self {
        Self {
            open: Count(precision.open),
            flags: Count(precision.flags),
            judged: Count(precision.helped + precision.not_struggling),
            helped: Count(precision.helped),
            not_struggling: Count(precision.not_struggling),
            precision: share_text(precision.precision),
        }
    }
}

/// How far somebody is in a course or a lesson.
pub(crate) struct PlaceView {
    pub(crate) is_completed: bool,
    pub(crate) completed: Option<Ago>,
    pub(crate) completion: String,
    /// None where nobody knows how far.
    pub(crate) bar: Option<ShareBar>,
    pub(crate) time: String,
    pub(crate) attempts: Count,
    pub(crate) right: String,
    pub(crate) hints: Count,
    pub(crate) best: String,
    pub(crate) last: Option<Ago>,
}

impl PlaceView {
    fn new(place: &PlaceProgress, now: Timestamp) -> Self {
        let ago = |at| Ago { at, now };
        let done = place.completion.filter(|done| *done > 0.0);
        Self {
            is_completed: place.completed_at.is_some(),
            completed: place.completed_at.map(ago),
            completion: share_text(place.completion),
            bar: done.map(|done| ShareBar((done * 100.0).round() as u64)),
            time: time_text(Some(place.active_seconds)),
            attempts: Count(place.attempts),
            right: if place.attempts == 0 {
                NONE.to_owned()
            } else {
                percent(place.successes, place.attempts)
            },
            hints: Count(place.hints),
            best: place.best_score.map_or_else(|| NONE.to_owned(), |points| format!("{points:.0}")),
            last: place.last_at.map(ago),
        }
    }
}

/// A learner of a course.
pub(crate) struct LearnerRow {
    pub(crate) subject: String,
    pub(crate) href: String,
    pub(crate) enrolled: Option<Ago>,
    pub(crate) place: PlaceView,
}

impl LearnerRow {
    pub(crate) fn new(base: &str, learner: &LearnerOfCourse, now: Timestamp) -> Self {
        let subject = learner.subject.to_string();
        Self {
            href: learner_href(base, &subject),
            subject,
            enrolled: learner.enrolled_at.map(|at| Ago { at, now }),
            place: PlaceView::new(&learner.progress, now),
        }
    }
}

/// A learner's course with its lessons.
pub(crate) struct CourseView {
    pub(crate) title: String,
    pub(crate) href: String,
    pub(crate) enrolled: Option<Ago>,
    pub(crate) place: PlaceView,
    /// How they work in it, as a sentence.
    pub(crate) engagement: String,
    pub(crate) lessons: Vec<(String, PlaceView)>,
    pub(crate) lessons_more: usize,
}

impl CourseView {
    pub(crate) fn new(project: ProjectId, course: &CourseProgress, now: Timestamp) -> Self {
        let lesson =
            |it: &LessonProgress| (title_or(&it.title, &it.lesson), PlaceView::new(&it.progress, now));
        Self {
            title: title_or(&course.title, &course.course),
            href: course_href(project, &course.course),
            enrolled: course.enrolled_at.map(|at| Ago { at, now }),
            place: PlaceView::new(&course.progress, now),
            engagement: engagement_text(&course.engagement),
            lessons: course.lessons.iter().take(ROWS_SHOWN).map(lesson).collect(),
            lessons_more: course.lessons.len().saturating_sub(ROWS_SHOWN),
        }
    }
}

/// What a learner can do, a skill each.
pub(crate) struct SkillsView {
    pub(crate) rows: Vec<SkillRow>,
    pub(crate) more: usize,
}

/// A skill of a learner.
pub(crate) struct SkillRow {
    pub(crate) skill: String,
    pub(crate) interval: Interval,
    pub(crate) chance: String,
    pub(crate) range: String,
    pub(crate) attempts: Count,
    pub(crate) right: String,
    pub(crate) struggle: StruggleView,
    /// When struggling began.
    pub(crate) onset: Option<Ago>,
}

impl SkillsView {
    /// Those that the learner struggles with first, then by name.
    pub(crate) fn new(mut skills: Vec<SkillMastery>, now: Timestamp) -> Self {
        skills.sort_by_key(|skill| skill.struggle.verdict != Verdict::Struggling);
        let more = skills.len().saturating_sub(ROWS_SHOWN);
        Self { rows: skills.into_iter().take(ROWS_SHOWN).map(|skill| skill_row(skill, now)).collect(), more }
    }
}

fn skill_row(skill: SkillMastery, now: Timestamp) -> SkillRow {
    let estimate = skill.estimate;
    let onset = skill.struggle.onset_micros.map(Timestamp::from_micros);
    SkillRow {
        chance: share_text(Some(estimate.probability)),
        range: format!("{:.0} to {:.0} %", estimate.low * 100.0, estimate.high * 100.0),
        attempts: Count(skill.attempts),
        right: if skill.attempts == 0 { NONE.to_owned() } else { percent(skill.successes, skill.attempts) },
        struggle: StruggleView::new(&skill.struggle),
        onset: onset.map(|at| Ago { at, now }),
        interval: Interval {
            low: estimate.low,
            at: estimate.probability,
            high: estimate.high,
            about: format!("Chance of a right answer, {}", skill.skill),
        },
        skill: skill.skill,
    }
}

/// A milestone that was reached.
pub(crate) struct MilestoneRow {
    pub(crate) text: String,
    pub(crate) at: At,
}

impl MilestoneRow {
    pub(crate) fn new(milestone: &ReachedMilestone, title_of: &impl Fn(&str) -> String) -> Self {
        let text = match milestone.rule.split_once(':') {
            Some(("streak_days", days)) => format!("{days} days in a row"),
            Some(("exercises_without_hint", count)) => format!("{count} exercises solved without a hint"),
            _ if milestone.rule == "first_lesson" => "First lesson completed".to_owned(),
            _ if milestone.rule == "course_complete" => {
                format!("Course completed: {}", title_of(&milestone.course))
            }
            _ => milestone.rule.clone(),
        };
        Self { text, at: At(milestone.reached_at) }
    }
}

/// An exercise that should come next.
pub(crate) struct NextRow {
    pub(crate) exercise: String,
    pub(crate) place: String,
    pub(crate) skills: String,
    pub(crate) reason: String,
}

impl NextRow {
    pub(crate) fn new(course: &CourseProgress, next: &Recommendation) -> Self {
        let lesson = next.lesson.as_deref().map(|id| {
            let known = course.lessons.iter().find(|it| it.lesson == id);
            known.map_or_else(|| id.to_owned(), |it| title_or(&it.title, id))
        });
        let course = title_or(&course.title, &course.course);
        Self {
            exercise: title_or(&next.title, &next.exercise),
            place: lesson.map_or_else(|| course.clone(), |lesson| format!("{course} / {lesson}")),
            skills: next.skills.join(", "),
            reason: capitalised(&next.reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use belvedere_kernel::SubjectId;

    use super::*;

    #[test]
    fn milestones_are_in_words() {
        let words =
            ["first_lesson", "streak_days:7", "exercises_without_hint:10", "course_complete", "odd:1"].map(
                |rule| {
                    let milestone = ReachedMilestone {
                        subject: SubjectId(1),
                        rule: rule.to_owned(),
                        course: "rust".to_owned(),
                        reached_at: Timestamp::EPOCH,
                    };
                    MilestoneRow::new(&milestone, &|course| course.to_uppercase()).text
                },
            );
        let expected = [
            "First lesson completed",
            "7 days in a row",
            "10 exercises solved without a hint",
            "Course completed: RUST",
            "odd:1",
        ];
        assert_eq!(words, expected);
    }

    #[test]
    fn only_the_latest_flag_of_a_learner_and_a_skill_can_be_judged() {
        let struggle = Struggle {
            verdict: Verdict::Fine,
            score: -0.25,
            wheel_spinning: WheelSpinning::Mastered { at_opportunity: 3 },
            factors: Vec::new(),
            onset_micros: None,
        };
        let flag = |subject, flagged: i64, cleared: bool| StrugglingLearner {
            subject: SubjectId(subject),
            skill: "loops".to_owned(),
            flagged_at: Timestamp::from_micros(flagged),
            onset_at: Timestamp::EPOCH,
            cleared_at: cleared.then_some(Timestamp::EPOCH),
            feedback: None,
            struggle: struggle.clone(),
        };
        let flags = [flag(1, 3, false), flag(2, 2, true), flag(1, 1, true)];
        let latest = |is_first| {
            let rows = flags_of("/projects/7", &flags, is_first, Timestamp::EPOCH);
            rows.iter().map(|row| row.is_latest).collect::<Vec<_>>()
        };
        assert_eq!(latest(true), [true, true, false]);
        assert_eq!(latest(false), [true, false, false]);
        let row = &flags_of("/projects/7", &flags, true, Timestamp::EPOCH)[0];
        assert_eq!((row.now.verdict, row.now.score.as_str()), ("fine", "\u{2212}0.25"));
        assert_eq!(row.now.spinning, "mastered at exercise 3");
    }
}
