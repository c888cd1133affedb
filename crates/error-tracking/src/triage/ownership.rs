//! Rules that say who owns what, and which of them fits an event.
//!
//! One rule a line: `path:src/payments/** anna@example.com`. What is matched is one of `path` (file names of frames),
//! `module` (modules of frames), `url` (of the request) and `tags.<name>`; a pattern with blanks stands in quotes.
//! Empty lines and lines that begin with `#` are kept and mean nothing.

use belvedere_kernel::User;
use belvedere_storage::Id;
use serde_json::Value;

/// The most rules of a project.
const RULES_MAX: usize = 200;

/// The most bytes of all of them.
const RULES_BYTES_MAX: usize = 32 << 10;

/// The most characters of a pattern.
const PATTERN_CHARS_MAX: usize = 200;

/// The most exceptions of an event, and frames of each, whose values are looked at.
const EXCEPTIONS_MAX: usize = 10;
const FRAMES_MAX: usize = 100;

/// The most bytes of a value that are looked at.
const VALUE_BYTES_MAX: usize = 512;

/// How many steps of comparing are spent on an event; rules for which none are left do not fit.
const STEPS_MAX: usize = 2_000_000;

/// What is wrong with rules, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {why}")]
pub(crate) struct RuleError {
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
    pub(crate) why: String,
}

/// Which values of an event a rule looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Path,
    Module,
    Url,
    Tag(String),
}

/// A rule with its owner still as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    subject: Subject,
    pattern: String,
    /// As it is written: `path:src/**`.
    pub(crate) source: String,
    /// As it is written.
    pub(crate) owner: String,
    /// Where the owner stands.
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A line of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    Rule(Rule),
    /// Empty, or a remark.
    Remark(String),
}

/// Reads rules.
///
/// # Errors
/// The first thing that is wrong with them.
pub(crate) fn parse_rules(text: &str) -> Result<Vec<Line>, RuleError> {
    let whole = |why: String| RuleError { line: 1, column: 1, why };
    if text.len() > RULES_BYTES_MAX {
        return Err(whole(format!("the rules have more than {RULES_BYTES_MAX} bytes")));
    }
    let mut lines = Vec::new();
    let mut rules = 0;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            lines.push(Line::Remark(trimmed.to_owned()));
            continue;
        }
        rules += 1;
        let error = |(at, why): (usize, String)| RuleError {
            line: index + 1,
            column: line[..at].chars().count() + 1,
            why,
        };
        if rules > RULES_MAX {
            return Err(error((0, format!("there are more than {RULES_MAX} rules"))));
        }
        lines.push(Line::Rule(parse_line(line, index + 1).map_err(error)?));
    }
    Ok(lines)
}

/// Reads one rule; what is wrong comes with its place in bytes.
fn parse_line(line: &str, number: usize) -> Result<Rule, (usize, String)> {
    let start = line.len() - line.trim_start().len();
    let colon = line.find(':').ok_or_else(|| {
        (start, "a rule begins with path:, module:, url: or tags.<name>:, and a pattern".to_owned())
    })?;
    let name = line.get(start..colon).unwrap_or_default();
    let subject = match name {
        "path" => Subject::Path,
        "module" => Subject::Module,
        "url" => Subject::Url,
        _ => match name.strip_prefix("tags.") {
            Some(tag) if !tag.is_empty() && !tag.contains(char::is_whitespace) => {
                Subject::Tag(tag.to_owned())
            }
            _ => {
                let why = format!("{name:?} is none of path, module, url and tags.<name>");
                return Err((start, why));
            }
        },
    };
    let rest = line.get(colon + 1..).unwrap_or_default();
    let (pattern, end) = match rest.strip_prefix('"') {
        Some(quoted) => {
            let length = quoted.find('"').ok_or((colon + 1, "the quotation has no end".to_owned()))?;
            (quoted.get(..length).unwrap_or_default(), colon + 1 + length + 2)
        }
        None => {
            let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
            (rest.get(..length).unwrap_or_default(), colon + 1 + length)
        }
    };
    if pattern.is_empty() || pattern.chars().count() > PATTERN_CHARS_MAX {
        return Err((colon + 1, format!("a pattern has 1 to {PATTERN_CHARS_MAX} characters")));
    }
    let tail = line.get(end..).unwrap_or_default();
    let owner = tail.trim();
    let at = end + (tail.len() - tail.trim_start().len());
    if owner.is_empty() || !tail.starts_with(char::is_whitespace) {
        return Err((
            end.min(line.len()),
            "after the pattern comes a blank and the owner's e-mail address".to_owned(),
        ));
    }
    if owner.contains(char::is_whitespace) {
        return Err((at, "a rule has one owner".to_owned()));
    }
    let source = line.get(start..end).unwrap_or_default().to_owned();
    let column = line.get(..at).unwrap_or_default().chars().count() + 1;
    Ok(Rule { subject, pattern: pattern.to_owned(), source, owner: owner.to_owned(), line: number, column })
}

/// Whose a new issue is, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) user: Id<User>,
    /// `path:src/**`
    pub(crate) rule: String,
    /// Whether the issue is assigned to them at once.
    pub(crate) assigns: bool,
}

/// The rules of a project, ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnerRules {
    rules: Vec<(Rule, Id<User>)>,
    assigns: bool,
}

impl OwnerRules {
    /// From rules as they are stored, with ids as owners.
    pub(crate) fn new(ownership: &super::Ownership) -> Self {
        let lines = parse_rules(&ownership.rules).unwrap_or_default();
        let rules = lines.into_iter().filter_map(|line| match line {
            Line::Rule(rule) => rule.owner.parse().ok().map(|owner| (rule, owner)),
            Line::Remark(_) => None,
        });
        Self { rules: rules.collect(), assigns: ownership.assigns }
    }

    /// The owner by the last rule that fits the event.
    pub(crate) fn find(&self, event: &Value) -> Option<Owner> {
        let mut steps = STEPS_MAX;
        let fitting = self.rules.iter().rev().find(|(rule, _)| rule.fits(event, &mut steps));
        fitting.map(|(rule, user)| Owner { user: *user, rule: rule.source.clone(), assigns: self.assigns })
    }
}

impl Rule {
    fn fits(&self, event: &Value, steps: &mut usize) -> bool {
        match &self.subject {
            Subject::Path => ["filename", "abs_path"].into_iter().any(|key| {
                frames(event).filter_map(|frame| frame.get(key)?.as_str()).any(|path| {
                    let path = path.replace('\\', "/");
                    fits_path(&self.pattern, &path, steps)
                })
            }),
            Subject::Module => frames(event)
                .filter_map(|frame| frame.get("module")?.as_str())
                .any(|module| fits(&self.pattern, module, false, steps)),
            Subject::Url => {
                let url = event.pointer("/request/url").and_then(Value::as_str);
                url.is_some_and(|url| fits(&self.pattern, url, false, steps))
            }
            Subject::Tag(name) => {
                let tags = event.get("tags").and_then(Value::as_array).into_iter().flatten();
                let values = tags.filter(|tag| tag.get(0).and_then(Value::as_str) == Some(name));
                values
                    .filter_map(|tag| tag.get(1)?.as_str())
                    .any(|value| fits(&self.pattern, value, false, steps))
            }
        }
    }
}

fn frames(event: &Value) -> impl Iterator<Item = &Value> {
    let exceptions = event.pointer("/exception/values").and_then(Value::as_array).into_iter().flatten();
    let threads = event.pointer("/threads/values").and_then(Value::as_array).into_iter().flatten();
    exceptions
        .take(EXCEPTIONS_MAX)
        .chain(threads.take(EXCEPTIONS_MAX))
        .filter_map(|part| part.pointer("/stacktrace/frames")?.as_array())
        // The innermost frames are the last ones.
        .flat_map(|frames| frames.iter().rev().take(FRAMES_MAX))
}

/// A pattern without a slash at its beginning fits from any folder on.
fn fits_path(pattern: &str, path: &str, steps: &mut usize) -> bool {
    let mut from = 0;
    loop {
        if fits(pattern, path.get(from..).unwrap_or_default(), true, steps) {
            return true;
        }
        if pattern.starts_with('/') || *steps == 0 {
            return false;
        }
        match path.get(from..).and_then(|rest| rest.find('/')) {
            Some(slash) => from += slash + 1,
            None => return false,
        }
    }
}

/// Whether `text` is what `pattern` describes: `*` stands for anything, within a folder if `in_folders`, where `**`
/// stands for anything across folders; `?` for one character.
fn fits(pattern: &str, text: &str, in_folders: bool, steps: &mut usize) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let text = text.get(..VALUE_BYTES_MAX).unwrap_or(text);
    // Which prefixes of the text the pattern so far stands for.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    let mut at = 0;
    while let Some(byte) = pattern.get(at) {
        let cost = text.len() + 1;
        if *steps < cost {
            *steps = 0;
            return false;
        }
        *steps -= cost;
        let mut next = vec![false; text.len() + 1];
        if *byte == b'*' {
            let crosses = !in_folders || pattern.get(at + 1) == Some(&b'*');
            at += pattern[at..].iter().take_while(|byte| **byte == b'*').count();
            let mut is_open = false;
            for index in 0..=text.len() {
                is_open = reached[index] || (is_open && (crosses || text[index - 1] != b'/'));
                next[index] = is_open;
            }
        } else {
            at += 1;
            for index in 0..text.len() {
                let is_same = *byte == text[index] || (*byte == b'?' && !(in_folders && text[index] == b'/'));
                next[index + 1] = reached[index] && is_same;
            }
        }
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::triage::Ownership;

    fn user(number: u8) -> Id<User> {
        Id::from_bytes([number; 16])
    }

    fn refused(text: &str) -> String {
        parse_rules(text).unwrap_err().to_string()
    }

    #[test]
    fn rules_are_taken_apart_and_remarks_are_kept() {
        let text = "# payments\n\n  path:src/payments/** anna@example.com\ntags.course:\"rust 101\"  tom@example.com";
        let lines = parse_rules(text).unwrap();
        assert_eq!(lines[..2], [Line::Remark("# payments".to_owned()), Line::Remark(String::new())]);
        let Line::Rule(rule) = &lines[2] else { panic!("{lines:?}") };
        assert_eq!((rule.source.as_str(), rule.owner.as_str()), ("path:src/payments/**", "anna@example.com"));
        assert_eq!((rule.line, rule.column), (3, 24));
        let Line::Rule(rule) = &lines[3] else { panic!("{lines:?}") };
        assert_eq!((rule.pattern.as_str(), rule.source.as_str()), ("rust 101", "tags.course:\"rust 101\""));
    }

    #[test]
    fn what_is_wrong_is_named_with_line_and_column() {
        assert_eq!(
            refused("path:a b@c\nnonsense"),
            "line 2, column 1: a rule begins with path:, module:, url: or tags.<name>:, and a pattern"
        );
        assert_eq!(
            refused("  file:a b@c"),
            "line 1, column 3: \"file\" is none of path, module, url and tags.<name>"
        );
        assert_eq!(
            refused("tags.:a b@c"),
            "line 1, column 1: \"tags.\" is none of path, module, url and tags.<name>"
        );
        assert_eq!(refused("path: b@c"), "line 1, column 6: a pattern has 1 to 200 characters");
        assert_eq!(
            refused("path:ü/**"),
            "line 1, column 10: after the pattern comes a blank and the owner's e-mail address"
        );
        assert_eq!(refused("url:\"a b@c"), "line 1, column 5: the quotation has no end");
        assert_eq!(refused("url:a b@c d@e"), "line 1, column 7: a rule has one owner");
        let many = "url:a b@c\n".repeat(201);
        assert_eq!(refused(&many), "line 201, column 1: there are more than 200 rules");
        assert_eq!(refused(&"#".repeat(32_769)), "line 1, column 1: the rules have more than 32768 bytes");
    }

    #[test]
    fn the_last_rule_that_fits_counts() {
        let event = json!({
            "exception": {"values": [{"stacktrace": {"frames": [
                {"filename": "src/payments/card/visa.py", "module": "payments.card.visa"},
                {"abs_path": "C:\\app\\src\\main.rs"},
            ]}}]},
            "request": {"url": "https://shop.example/checkout/3"},
            "tags": [["course", "rust-101"], ["plan", "pro"]],
        });
        let find = |rules: &str| {
            let rules = OwnerRules::new(&Ownership { rules: rules.to_owned(), assigns: true });
            rules.find(&event).map(|owner| (owner.user, owner.rule))
        };
        let (anna, tom) = (user(1), user(2));
        let hit = |user, rule: &str| Some((user, rule.to_owned()));
        assert_eq!(find(&format!("path:src/** {anna}\ntags.plan:pro {tom}")), hit(tom, "tags.plan:pro"));
        assert_eq!(find(&format!("tags.plan:pro {tom}\npath:src/** {anna}")), hit(anna, "path:src/**"));
        assert_eq!(find(&format!("path:payments/*/visa.py {anna}")), hit(anna, "path:payments/*/visa.py"));
        assert_eq!(find(&format!("path:src/main.?s {anna}")), hit(anna, "path:src/main.?s"));
        assert_eq!(find(&format!("module:payments.* {anna}")), hit(anna, "module:payments.*"));
        assert_eq!(find(&format!("url:*/checkout/* {anna}")), hit(anna, "url:*/checkout/*"));
        assert_eq!(find(&format!("tags.course:rust-* {anna}")), hit(anna, "tags.course:rust-*"));
        for other in [
            "path:src/*.py",
            "path:/payments/**",
            "path:payments",
            "url:checkout",
            "tags.plan:p",
            "module:card",
        ] {
            assert_eq!(find(&format!("{other} {anna}")), None, "{other}");
        }
    }

    #[test]
    fn rules_that_cost_too_much_do_not_fit() {
        let frame = json!({"filename": "a/".repeat(250)});
        let stack = json!({"stacktrace": {"frames": vec![frame; 100]}});
        let event = json!({"exception": {"values": vec![stack; 10]}});
        let rules = format!("path:{}b {}\n", "*a".repeat(99), user(1)).repeat(200);
        assert_eq!(OwnerRules::new(&Ownership { rules, assigns: false }).find(&event), None);
    }

    proptest! {
        #[test]
        fn patterns_of_stars_fit_as_a_plain_search_says(text in "[ab/]{0,12}", parts in proptest::collection::vec("[ab/]{0,3}", 1..4)) {
            let mut steps = STEPS_MAX;
            let pattern = parts.join("**");
            let expected = {
                let (first, last) = (&parts[0], &parts[parts.len() - 1]);
                if parts.len() == 1 {
                    text == *first
                } else if text.len() < first.len() + last.len() || !text.starts_with(first.as_str()) || !text.ends_with(last.as_str()) {
                    false
                } else {
                    let mut rest = &text[first.len()..text.len() - last.len()];
                    parts[1..parts.len() - 1].iter().all(|part| match rest.find(part.as_str()) {
                        Some(at) => { rest = &rest[at + part.len()..]; true }
                        None => false,
                    })
                }
            };
            prop_assert_eq!(fits(&pattern, &text, true, &mut steps), expected, "{} {}", pattern, text);
        }
    }
}
