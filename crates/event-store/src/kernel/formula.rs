//! Formulas between series, such as `A / (A + B) * 100`.
//!
//! A formula is: terms joined by `+` and `-`; a term is factors joined by `*` and `/`; a factor is a number, the letter
//! of a series, a formula in parentheses, or a `-` and a factor. `*` and `/` bind tighter, equals from left to right.

use thiserror::Error;

/// The most bytes of a formula.
pub const FORMULA_BYTES_MAX: usize = 200;

/// The most series of a formula: the letters A to J.
pub const SERIES_MAX: usize = 10;

/// How deeply parentheses and signs may be nested.
const NESTING_MAX: usize = 32;

/// Why a text is no formula.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("at character {at}: {why}")]
pub struct FormulaError {
    /// The number of the character, from 1.
    pub at: usize,
    /// What is wrong there.
    pub why: String,
}

/// A formula that was read; it can only be computed, so it is safe to take from anybody.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula(Vec<Op>);

/// Operations in postfix order.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Number(f64),
    Series(usize),
    Add,
    Subtract,
    Multiply,
    Divide,
    Negate,
}

impl Formula {
    /// Reads a formula over so many series.
    ///
    /// # Errors
    /// Where and why the text is none.
    pub fn parse(text: &str, series: usize) -> Result<Self, FormulaError> {
        if text.len() > FORMULA_BYTES_MAX {
            let why = format!("has more than {FORMULA_BYTES_MAX} bytes");
            return Err(FormulaError { at: FORMULA_BYTES_MAX, why });
        }
        let mut parser =
            Parser { characters: text.chars().collect(), at: 0, series, ops: Vec::new(), depth: 0 };
        parser.sum()?;
        match parser.peek() {
            None => Ok(Self(parser.ops)),
            Some(other) => Err(parser.wrong(format!("{other:?} was not expected"))),
        }
    }

    /// The value for one value of each series.
    ///
    /// None where a value is needed that there is none of, where something is divided by zero, and where the value
    /// is beyond all numbers.
    #[must_use]
    pub fn value(&self, series: &[Option<f64>]) -> Option<f64> {
        let mut stack: Vec<Option<f64>> = Vec::new();
        for op in &self.0 {
            let value = match op {
                Op::Number(number) => Some(*number),
                Op::Series(letter) => series.get(*letter).copied().flatten(),
                Op::Negate => stack.pop()?.map(|value| -value),
                Op::Add | Op::Subtract | Op::Multiply | Op::Divide => {
                    let (right, left) = (stack.pop()?, stack.pop()?);
                    left.zip(right).and_then(|(left, right)| match op {
                        Op::Add => Some(left + right),
                        Op::Subtract => Some(left - right),
                        Op::Multiply => Some(left * right),
                        _ => (right != 0.0).then(|| left / right),
                    })
                }
            };
            stack.push(value);
        }
        stack.pop()?.filter(|value| value.is_finite())
    }
}

struct Parser {
    characters: Vec<char>,
    at: usize,
    series: usize,
    ops: Vec<Op>,
    depth: usize,
}

impl Parser {
    /// The next character that is no space.
    fn peek(&mut self) -> Option<char> {
        while self.characters.get(self.at).is_some_and(|character| character.is_whitespace()) {
            self.at += 1;
        }
        self.characters.get(self.at).copied()
    }

    fn next_of(&mut self, wanted: &[(char, Op)]) -> Option<Op> {
        let next = self.peek()?;
        let (_, op) = wanted.iter().find(|(character, _)| *character == next)?;
        self.at += 1;
        Some(*op)
    }

    fn wrong(&self, why: impl Into<String>) -> FormulaError {
        FormulaError { at: self.at + 1, why: why.into() }
    }

    fn sum(&mut self) -> Result<(), FormulaError> {
        self.product()?;
        while let Some(op) = self.next_of(&[('+', Op::Add), ('-', Op::Subtract)]) {
            self.product()?;
            self.ops.push(op);
        }
        Ok(())
    }

    fn product(&mut self) -> Result<(), FormulaError> {
        self.factor()?;
        while let Some(op) = self.next_of(&[('*', Op::Multiply), ('/', Op::Divide)]) {
            self.factor()?;
            self.ops.push(op);
        }
        Ok(())
    }

    fn factor(&mut self) -> Result<(), FormulaError> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(self.wrong(format!("is nested deeper than {NESTING_MAX}")));
        }
        let Some(next) = self.peek() else {
            return Err(self.wrong("a number, a series or a parenthesis is missing"));
        };
        match next {
            '-' => {
                self.at += 1;
                self.factor()?;
                self.ops.push(Op::Negate);
            }
            '(' => {
                self.at += 1;
                self.sum()?;
                if self.peek() != Some(')') {
                    return Err(self.wrong("a closing parenthesis is missing"));
                }
                self.at += 1;
            }
            'A'..='Z' | 'a'..='z' => {
                let series = next.to_ascii_uppercase() as usize - 'A' as usize;
                if series >= self.series {
                    return Err(self.wrong(format!("there is no series {next}")));
                }
                self.at += 1;
                self.ops.push(Op::Series(series));
            }
            '0'..='9' | '.' => {
                let digits = self.characters.get(self.at..).unwrap_or_default().iter();
                let digits: String = digits.take_while(|it| it.is_ascii_digit() || **it == '.').collect();
                let number = digits.parse().map_err(|_| self.wrong(format!("{digits} is no number")))?;
                self.at += digits.len();
                self.ops.push(Op::Number(number));
            }
            other => return Err(self.wrong(format!("{other:?} was not expected"))),
        }
        self.depth -= 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::Random;

    fn value(text: &str, series: &[Option<f64>]) -> Option<f64> {
        Formula::parse(text, series.len()).unwrap().value(series)
    }

    #[test]
    fn operators_bind_as_in_school() {
        assert_eq!(value("1 + 2 * 3 - 4 / 2", &[]), Some(5.0));
        assert_eq!(value("8 / 4 / 2", &[]), Some(1.0));
        assert_eq!(value("10-3-2", &[]), Some(5.0));
        assert_eq!(value("-(2 + .5) * -2", &[]), Some(5.0));
        assert_eq!(value("a / (A + b) * 100", &[Some(1.0), Some(3.0)]), Some(25.0));
    }

    #[test]
    fn what_has_no_value_leads_to_none() {
        assert_eq!(value("A / B", &[Some(1.0), Some(0.0)]), None);
        assert_eq!(value("A / B * 0", &[Some(1.0), Some(0.0)]), None);
        assert_eq!(value("A + 1", &[None]), None);
        assert_eq!(value("A * A", &[Some(1e200)]), None);
    }

    #[test]
    fn what_is_no_formula_says_where_and_why() {
        let error = |text: &str| Formula::parse(text, 2).unwrap_err().to_string();
        assert_eq!(error(""), "at character 1: a number, a series or a parenthesis is missing");
        assert_eq!(error("A +"), "at character 4: a number, a series or a parenthesis is missing");
        assert_eq!(error("A B"), "at character 3: 'B' was not expected");
        assert_eq!(error("A + C"), "at character 5: there is no series C");
        assert_eq!(error("(A"), "at character 3: a closing parenthesis is missing");
        assert_eq!(error("1.2.3"), "at character 1: 1.2.3 is no number");
        assert_eq!(error("A; B"), "at character 2: ';' was not expected");
        assert!(error(&"(".repeat(100)).contains("nested deeper than 32"));
        assert!(error(&"1+".repeat(150)).contains("more than 200 bytes"));
    }

    /// A random formula as text, fully in parentheses, and its value.
    fn generate(random: &mut Random, depth: u32, series: &[Option<f64>]) -> (String, Option<f64>) {
        if depth == 0 || random.range::<u8>(0, 3) == 0 {
            if random.range::<u8>(0, 2) == 0 {
                let number: u32 = random.range(0, 9);
                return (number.to_string(), Some(number.into()));
            }
            let letter = random.range::<usize>(0, series.len() as i64);
            return (char::from(b'A' + letter as u8).to_string(), series[letter]);
        }
        let (left, a) = generate(random, depth - 1, series);
        let (right, b) = generate(random, depth - 1, series);
        let op = random.pick(&["+", "-", "*", "/"]);
        let value = a.zip(b).and_then(|(a, b)| match op {
            "+" => Some(a + b),
            "-" => Some(a - b),
            "*" => Some(a * b),
            _ => (b != 0.0).then(|| a / b),
        });
        (format!("({left} {op} {right})"), value)
    }

    #[test]
    fn random_formulas_have_the_value_that_they_were_made_with() {
        let mut random = Random::new(17);
        for _ in 0..3_000 {
            let series: Vec<Option<f64>> =
                (0..3).map(|_| random.pick(&[None, Some(0.0), Some(2.0), Some(-3.5)])).collect();
            let (text, expected) = generate(&mut random, 3, &series);
            assert_eq!(value(&text, &series), expected.filter(|it| it.is_finite()), "{text}");
        }
    }
}
