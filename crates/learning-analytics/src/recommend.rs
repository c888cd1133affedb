//! Which exercise comes next: one that the learner will probably, but not surely, solve. No I/O.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::history::ItemKey;
use crate::mastery::{Items, LearnerHistory, SkillHistory, estimate};
use crate::model::Recommendation;
use crate::structure::CourseStructure;

/// The chance of a right answer that is aimed at: the 75 % of Klinkenberg, Straatemeier and van der Maas ("Computer
/// adaptive practice of Maths ability using a new item response model", Computers & Education 57, 2011), at which learners
/// stay with it and answers tell most.
pub const TARGET: f64 = 0.75;

/// An exercise that may come next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) exercise: String,
    pub(crate) title: String,
    pub(crate) lesson: Option<String>,
    pub(crate) skills: Vec<String>,
}

/// The exercises of a course that a learner has not solved: declared ones in their order, then those that others have
/// tried.
pub(crate) fn candidates(
    structure: Option<&CourseStructure>,
    tried_by_all: Vec<(String, Vec<String>)>,
    solved: &BTreeSet<String>,
) -> Vec<Candidate> {
    let mut skills_of: BTreeMap<String, Vec<String>> = tried_by_all.iter().cloned().collect();
    let mut found = Vec::new();
    for lesson in structure.iter().flat_map(|structure| &structure.lessons) {
        for exercise in &lesson.exercises {
            let seen = skills_of.remove(&exercise.id).unwrap_or_default();
            let skills = if exercise.skills.is_empty() { seen } else { exercise.skills.clone() };
            found.push(Candidate {
                exercise: exercise.id.clone(),
                title: exercise.title.clone(),
                lesson: Some(lesson.id.clone()),
                skills,
            });
        }
    }
    let known: HashSet<String> = found.iter().map(|it| it.exercise.clone()).collect();
    let others = tried_by_all.into_iter().filter(|(exercise, _)| !known.contains(exercise));
    found.extend(others.map(|(exercise, skills)| Candidate {
        exercise,
        title: String::new(),
        lesson: None,
        skills,
    }));
    found.retain(|it| !solved.contains(&it.exercise));
    found
}

/// The best of some exercises of a course, the best first.
pub(crate) fn recommend(
    items: &impl Items,
    (learner, skills): (&LearnerHistory, &BTreeMap<String, SkillHistory>),
    course: &str,
    candidates: Vec<Candidate>,
    limit: usize,
) -> Vec<Recommendation> {
    let unknown = SkillHistory::default();
    let mut rated: Vec<(f64, usize, Recommendation)> = Vec::with_capacity(candidates.len());
    for (place, it) in candidates.into_iter().enumerate() {
        let of: Vec<(ItemKey, &SkillHistory)> = it
            .skills
            .iter()
            .map(|skill| (ItemKey::skill(skill), skills.get(skill).unwrap_or(&unknown)))
            .collect();
        let estimate = estimate(items, learner, &of, ItemKey::exercise(course, &it.exercise));
        let chance = estimate.probability;
        let near = match chance - TARGET {
            off if off.abs() <= 0.1 => "about as hard as it should be",
            off if off > 0.0 => "easier than it should be",
            _ => "harder than it should be",
        };
        let reason = format!(
            "a right answer has a chance of {:.0} %, where {:.0} % is aimed at: {near}",
            chance * 100.0,
            TARGET * 100.0
        );
        let Candidate { exercise, title, lesson, skills, .. } = it;
        let recommendation = Recommendation { exercise, title, lesson, skills, estimate, reason };
        rated.push(((chance - TARGET).abs(), place, recommendation));
    }
    // What is equally near comes in the order of the course.
    rated.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
    rated.into_iter().take(limit).map(|(_, _, recommendation)| recommendation).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::digest::Known;
    use crate::mastery::Counts;
    use crate::structure::{ExercisePlan, LessonPlan};

    #[test]
    fn the_exercise_nearest_to_the_aim_comes_first_and_solved_ones_do_not_come() {
        let counts = [("easy", 98), ("right", 75), ("hard", 10)].map(|(exercise, correct)| {
            (ItemKey::exercise("rust", exercise), Counts { attempts: 100, correct })
        });
        let all = (ItemKey::ALL, Counts { attempts: 300, correct: 183 });
        let known = Known(counts.into_iter().chain([all]).collect::<HashMap<_, _>>());
        let plan = |id: &str| ExercisePlan { id: id.to_owned(), ..ExercisePlan::default() };
        let lesson = LessonPlan {
            id: "one".to_owned(),
            exercises: ["done", "hard", "easy"].map(plan).to_vec(),
            ..LessonPlan::default()
        };
        let structure = CourseStructure { lessons: vec![lesson], ..CourseStructure::default() };
        let tried = ["hard", "right"].map(|id| (id.to_owned(), vec!["loops".to_owned()])).to_vec();
        let solved = BTreeSet::from(["done".to_owned()]);
        let found = candidates(Some(&structure), tried, &solved);
        let ids: Vec<&str> = found.iter().map(|it| it.exercise.as_str()).collect();
        assert_eq!(ids, ["hard", "easy", "right"]);
        assert_eq!(found[0].skills, ["loops"]);
        let learner = (&LearnerHistory::default(), &BTreeMap::new());
        let best = recommend(&known, learner, "rust", found, 2);
        assert_eq!(best.len(), 2);
        assert_eq!(best[0].exercise, "right");
        assert!(best[0].reason.starts_with("a right answer has a chance of"), "{}", best[0].reason);
        let off = |place: usize| (best[place].estimate.probability - TARGET).abs();
        assert!(off(0) < off(1));
    }
}
