//! Predicts every attempt of a file before seeing it, with the model of the crate and three others beside it.
//!
//! The file is CSV with the columns user, skill, item, correct, order (any order of columns, skills divided by `;`).
//! BKT and PFA need parameters: they are fitted to a third of the users. All figures are of the other users.

mod baselines;
mod generate;
mod measure;

use std::collections::HashMap;

use belvedere_learning_analytics::history::{EventKey, ItemKey, Step};
use belvedere_learning_analytics::mastery::{Counts, Items, LearnerHistory, SkillHistory, estimate};

use measure::Measure;

/// An attempt, its names as numbers.
pub(crate) struct Attempt {
    pub(crate) user: usize,
    pub(crate) item: usize,
    pub(crate) skills: Vec<usize>,
    pub(crate) is_correct: bool,
}

impl Attempt {
    /// Every third user is for fitting.
    pub(crate) fn is_for_fitting(&self) -> bool {
        self.user.is_multiple_of(3)
    }
}

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let attempts = match arguments.as_slice() {
        [flag, model] if flag == "--generate" => {
            println!("GENERATED data, learners of the model {model}: no figure of real learners");
            generate::generate(model)?
        }
        [file] => {
            let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
            read(&text)?
        }
        _ => return Err("arguments: FILE, or --generate irt | bkt".to_owned()),
    };
    let count = |number: fn(&Attempt) -> usize| attempts.iter().map(number).max().map_or(0, |max| max + 1);
    let tested = attempts.iter().filter(|attempt| !attempt.is_for_fitting()).count();
    println!(
        "{} attempts of {} users at {} items; figures of {tested} attempts",
        attempts.len(),
        count(|attempt| attempt.user),
        count(|attempt| attempt.item),
    );
    println!("{:<12} {:>7} {:>7} {:>9} {:>7}", "", "AUC", "RMSE", "log loss", "ECE");
    for (name, predictions) in [
        ("Belvedere", predict(&attempts)),
        ("BKT", baselines::bkt(&attempts)),
        ("PFA", baselines::pfa(&attempts)),
        ("Elo", baselines::elo(&attempts)),
    ] {
        let Measure { auc, rmse, log_loss, calibration_error } = Measure::of(&attempts, &predictions);
        println!("{name:<12} {auc:>7.4} {rmse:>7.4} {log_loss:>9.4} {calibration_error:>7.4}");
    }
    Ok(())
}

#[derive(Default)]
struct Known(HashMap<ItemKey, Counts>);

impl Items for Known {
    fn counts(&self, item: ItemKey) -> Counts {
        self.0.get(&item).copied().unwrap_or_default()
    }
}

/// In one pass, each attempt before it is seen.
fn predict(attempts: &[Attempt]) -> Vec<f64> {
    let key = |kind: i64, number: usize| ItemKey(kind * 1_000_000_000 + number as i64);
    let mut items = Known::default();
    let mut learners: HashMap<usize, LearnerHistory> = HashMap::new();
    let mut histories: HashMap<(usize, usize), SkillHistory> = HashMap::new();
    let mut predictions = Vec::with_capacity(attempts.len());
    for (order, attempt) in attempts.iter().enumerate() {
        let learner = learners.entry(attempt.user).or_default();
        for skill in &attempt.skills {
            histories.entry((attempt.user, *skill)).or_default();
        }
        let skills: Vec<(ItemKey, &SkillHistory)> = attempt
            .skills
            .iter()
            .filter_map(|skill| Some((key(2, *skill), histories.get(&(attempt.user, *skill))?)))
            .collect();
        predictions.push(estimate(&items, learner, &skills, key(1, attempt.item)).probability);
        let step = Step {
            at_micros: order as i64,
            event: EventKey(order as u128),
            item: key(1, attempt.item),
            is_correct: attempt.is_correct,
            seconds: None,
        };
        learner.add(step);
        for skill in &attempt.skills {
            histories.entry((attempt.user, *skill)).or_default().add_attempt(step);
            items.0.entry(key(2, *skill)).or_default().add(attempt.is_correct);
        }
        items.0.entry(key(1, attempt.item)).or_default().add(attempt.is_correct);
        items.0.entry(ItemKey::ALL).or_default().add(attempt.is_correct);
    }
    predictions
}

fn read(text: &str) -> Result<Vec<Attempt>, String> {
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().ok_or("the file is empty")?.split(',').map(str::trim).collect();
    let place = |name: &str| {
        columns.iter().position(|column| *column == name).ok_or_else(|| format!("no column {name}"))
    };
    let places = [place("user")?, place("skill")?, place("item")?, place("correct")?, place("order")?];
    let (mut users, mut skills, mut items) = (HashMap::new(), HashMap::new(), HashMap::new());
    let mut attempts = Vec::new();
    for (index, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let field = |place: usize| fields.get(place).copied().unwrap_or("");
        let [user, skill, item, correct, order] = places.map(field);
        let order: f64 = order.parse().map_err(|_| format!("line {}: order is no number", index + 2))?;
        let of_attempt = skill.split(';').filter(|skill| !skill.is_empty());
        attempts.push((
            order,
            Attempt {
                user: number(&mut users, user),
                item: number(&mut items, item),
                skills: of_attempt.map(|skill| number(&mut skills, skill)).collect(),
                is_correct: correct.parse::<f64>().is_ok_and(|correct| correct >= 0.5),
            },
        ));
    }
    attempts.sort_by(|left, right| left.0.total_cmp(&right.0));
    Ok(attempts.into_iter().map(|(_, attempt)| attempt).collect())
}

fn number(known: &mut HashMap<String, usize>, name: &str) -> usize {
    let next = known.len();
    *known.entry(name.to_owned()).or_insert(next)
}
