//! Learners of a known model.

use crate::Attempt;

const USERS: usize = 1_500;
const SKILLS: usize = 40;
const ITEMS_OF_SKILL: usize = 25;

/// A sequence that is the same on every machine (SplitMix64).
struct Chance(u64);

impl Chance {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    fn below(&mut self, count: usize) -> usize {
        ((self.uniform() * count as f64) as usize).min(count - 1)
    }
}

/// Attempts of users who practise one skill after the other, in the order in which they are made.
///
/// `irt`: the log-odds of a right answer are ability (sd 0.9) + ability in the skill (sd 0.7) + what was learnt
/// (0.05 to 0.2 a try) - difficulty of the skill (sd 0.7) - difficulty of the item (sd 0.8). `bkt`: a skill is known or not,
/// learnt with a chance by user and skill, guessed 0.1 to 0.35, slipped 0.05 to 0.2, by item.
pub(crate) fn generate(model: &str) -> Result<Vec<Attempt>, String> {
    let is_irt = match model {
        "irt" => true,
        "bkt" => false,
        other => return Err(format!("no model {other}: irt or bkt")),
    };
    let mut chance = Chance(42);
    let of_skill: Vec<f64> = (0..SKILLS).map(|_| 0.7 * chance.normal() - 0.6).collect();
    let of_item: Vec<f64> = (0..SKILLS * ITEMS_OF_SKILL).map(|_| 0.8 * chance.normal()).collect();
    let bounds: Vec<(f64, f64)> = (0..SKILLS * ITEMS_OF_SKILL)
        .map(|_| (0.1 + 0.25 * chance.uniform(), 0.05 + 0.15 * chance.uniform()))
        .collect();
    let mut attempts = Vec::new();
    for user in 0..USERS {
        let (ability, pace) = (0.9 * chance.normal(), 0.05 + 0.15 * chance.uniform());
        for _ in 0..3 + chance.below(10) {
            let skill = chance.below(SKILLS);
            let (in_skill, mut learnt) = (0.7 * chance.normal(), 0.0);
            let mut is_known = chance.uniform() < 1.0 / (1.0 + (of_skill[skill] - ability).exp());
            for _ in 0..3 + chance.below(20) {
                let item = skill * ITEMS_OF_SKILL + chance.below(ITEMS_OF_SKILL);
                let probability = if is_irt {
                    let logit = ability + in_skill + learnt - of_skill[skill] - of_item[item];
                    1.0 / (1.0 + (-logit).exp())
                } else if is_known {
                    1.0 - bounds[item].1
                } else {
                    bounds[item].0
                };
                let is_correct = chance.uniform() < probability;
                attempts.push(Attempt { user, item, skills: vec![skill], is_correct });
                learnt += pace;
                is_known |= chance.uniform() < pace;
            }
        }
    }
    Ok(attempts)
}
