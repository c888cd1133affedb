use super::pattern::Pattern;
use super::{
    ACTIONS_MAX, Action, FINGERPRINT_PARTS_MAX, Field, FrameChange, InvalidRules, LINE_CHARS_MAX,
    MATCHERS_MAX, Matcher, RULES_BYTES_MAX, RULES_MAX, Rule, RuleSet,
};

/// Reads rules, one a line; empty lines and those that begin with `#` say nothing.
///
/// # Errors
/// [`InvalidRules`] for the first line that is no rule.
pub(super) fn parse(text: &str) -> Result<RuleSet, InvalidRules> {
    if text.len() > RULES_BYTES_MAX {
        return Err(InvalidRules {
            line: 1,
            column: 1,
            why: format!("the rules are longer than {RULES_BYTES_MAX} bytes"),
        });
    }
    let mut rules = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let fail = |(at, why): (usize, String)| InvalidRules {
            line: index + 1,
            column: line[..line.floor_char_boundary(at)].chars().count() + 1,
            why,
        };
        if rules.len() == RULES_MAX {
            return Err(fail((0, format!("a project has at most {RULES_MAX} rules"))));
        }
        if line.chars().count() > LINE_CHARS_MAX {
            return Err(fail((LINE_CHARS_MAX, format!("a rule has at most {LINE_CHARS_MAX} characters"))));
        }
        rules.push(Scanner { line, at: 0 }.rule().map_err(fail)?);
    }
    Ok(RuleSet { rules })
}

/// Where a line goes wrong, in bytes from its beginning, and why.
type Wrong = (usize, String);

struct Scanner<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.line[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.line.len() - self.rest().trim_start().len();
    }

    /// Goes over `text` if it comes next.
    fn takes(&mut self, text: &str) -> bool {
        let comes = self.rest().starts_with(text);
        if comes {
            self.at += text.len();
        }
        comes
    }

    fn rule(mut self) -> Result<Rule, Wrong> {
        let mut matchers = Vec::new();
        loop {
            self.skip_space();
            if self.takes("->") {
                break;
            }
            if self.rest().is_empty() {
                return Err((self.at, "expected -> and what is to be done".to_owned()));
            }
            if matchers.len() == MATCHERS_MAX {
                return Err((self.at, format!("a rule has at most {MATCHERS_MAX} conditions")));
            }
            matchers.push(self.matcher()?);
        }
        if matchers.is_empty() {
            return Err((0, "a rule needs a condition such as error.type:KeyError before ->".to_owned()));
        }
        let start = self.at;
        let actions = self.actions()?;
        let changes_frames = actions.iter().any(|action| matches!(action, Action::Frame(_)));
        if changes_frames && actions.iter().any(|action| !matches!(action, Action::Frame(_))) {
            return Err((start, "what is done to frames needs a rule of its own".to_owned()));
        }
        if changes_frames && !matchers.iter().any(|matcher| matcher.field.is_of_frame()) {
            let why = "a rule for frames needs a condition on path, function, module, package, family or app";
            return Err((0, why.to_owned()));
        }
        Ok(Rule { text: self.line.trim().to_owned(), matchers, actions })
    }

    fn matcher(&mut self) -> Result<Matcher, Wrong> {
        let is_negated = self.takes("!");
        let start = self.at;
        let Some(length) = self.rest().find(|c: char| c == ':' || c.is_whitespace()) else {
            return Err((start, "expected a condition such as error.type:KeyError".to_owned()));
        };
        let name = &self.rest()[..length];
        if !self.rest()[length..].starts_with(':') {
            return Err((start + length, format!("expected a colon and a pattern after {name}")));
        }
        let field =
            Field::parse(name).ok_or_else(|| (start, format!("there is no field {name}; {FIELDS}")))?;
        self.at += length + 1;
        let at = self.at;
        let (text, is_quoted) = self.word()?;
        if text.is_empty() && is_quoted {
            return Ok(Matcher { field, is_negated, pattern: None });
        }
        let pattern = Pattern::parse(&text, field.is_path()).map_err(|why| (at, why))?;
        Ok(Matcher { field, is_negated, pattern: Some(pattern) })
    }

    /// A word up to white space, or what stands between quotation marks, `\"` and `\\` meaning the sign itself.
    fn word(&mut self) -> Result<(String, bool), Wrong> {
        if !self.takes("\"") {
            let length = self.rest().find(char::is_whitespace).unwrap_or(self.rest().len());
            let word = self.rest()[..length].to_owned();
            self.at += length;
            return Ok((word, false));
        }
        let start = self.at - 1;
        let mut word = String::new();
        let mut letters = self.rest().char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.at += at + 1;
                    return Ok((word, true));
                }
                '\\' => match letters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => word.push(escaped),
                    Some((_, other)) => word.extend(['\\', other]),
                    None => break,
                },
                other => word.push(other),
            }
        }
        Err((start, "the quotation mark is not closed".to_owned()))
    }

    fn actions(&mut self) -> Result<Vec<Action>, Wrong> {
        let mut actions = Vec::new();
        loop {
            self.skip_space();
            if self.rest().is_empty() {
                break;
            }
            if actions.len() == ACTIONS_MAX {
                return Err((self.at, format!("a rule does at most {ACTIONS_MAX} things")));
            }
            let action = self.action()?;
            if actions.iter().any(|other| std::mem::discriminant(other) == std::mem::discriminant(&action))
                && !matches!(action, Action::Frame(_))
            {
                return Err((self.at, "a rule does each thing once".to_owned()));
            }
            actions.push(action);
        }
        if actions.is_empty() {
            return Err((self.at, format!("expected what is to be done: {ACTIONS}")));
        }
        if actions.contains(&Action::Ignore) && actions.len() > 1 {
            return Err((self.at, "ignore stands alone".to_owned()));
        }
        Ok(actions)
    }

    fn action(&mut self) -> Result<Action, Wrong> {
        let start = self.at;
        if self.takes("fingerprint:") {
            return self.fingerprint().map(Action::Fingerprint);
        }
        if self.takes("title:") {
            self.skip_space();
            let title = self.part(&[])?;
            if title.is_empty() {
                return Err((self.at, "expected a title".to_owned()));
            }
            return Ok(Action::Title(title));
        }
        let (word, _) = self.word()?;
        match word.as_str() {
            "ignore" => Ok(Action::Ignore),
            "+app" => Ok(Action::Frame(FrameChange::InApp(true))),
            "-app" => Ok(Action::Frame(FrameChange::InApp(false))),
            "+group" => Ok(Action::Frame(FrameChange::InGrouping(true))),
            "-group" => Ok(Action::Frame(FrameChange::InGrouping(false))),
            other => Err((start, format!("there is no action {other}; {ACTIONS}"))),
        }
    }

    /// Values separated by commas, up to ` title:` or the end.
    fn fingerprint(&mut self) -> Result<Vec<String>, Wrong> {
        let mut parts = Vec::new();
        loop {
            self.skip_space();
            let start = self.at;
            let part = self.part(&[",", " title:"])?;
            if part.is_empty() {
                return Err((start, "expected a value of the fingerprint".to_owned()));
            }
            if parts.len() == FINGERPRINT_PARTS_MAX {
                return Err((start, format!("a fingerprint has at most {FINGERPRINT_PARTS_MAX} values")));
            }
            parts.push(part);
            self.skip_space();
            if !self.takes(",") {
                return Ok(parts);
            }
        }
    }

    /// A quoted word, or everything up to the first of `ends`; commas within `{{ }}` do not end it.
    fn part(&mut self, ends: &[&str]) -> Result<String, Wrong> {
        if self.rest().starts_with('"') {
            return self.word().map(|(word, _)| word);
        }
        let length = ends.iter().filter_map(|end| self.rest().find(end)).min().unwrap_or(self.rest().len());
        let part = self.rest()[..length].trim().to_owned();
        self.at += length;
        Ok(part)
    }
}

/// What a rule may ask for.
const FIELDS: &str = "known are error.type, error.value, message, level, logger, transaction, release, environment, platform, \
                      family, tags.<name>, path, function, module, package and app";

/// What a rule may do.
const ACTIONS: &str = "known are fingerprint:, title:, ignore, +app, -app, +group and -group";

impl Field {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "error.type" | "type" => Self::Type,
            "error.value" | "value" => Self::Value,
            "message" => Self::Message,
            "level" => Self::Level,
            "logger" => Self::Logger,
            "transaction" => Self::Transaction,
            "release" => Self::Release,
            "environment" => Self::Environment,
            "platform" => Self::Platform,
            "family" => Self::Family,
            "path" | "stack.abs_path" => Self::Path,
            "function" | "stack.function" => Self::Function,
            "module" | "stack.module" => Self::Module,
            "package" | "stack.package" => Self::Package,
            "app" | "in_app" => Self::App,
            other => Self::Tag(other.strip_prefix("tags.").filter(|tag| !tag.is_empty())?.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrong(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn rules_are_read_line_by_line() {
        let text = "# databases\n\nerror.type:DatabaseUnavailable tags.region:eu* -> fingerprint: database-unavailable, {{ tags.region }}\n\
                    path:**/vendor/** -> -app\n!function:log_* app:yes -> -group +app\n\
                    message:\"say \\\"no\\\"\" -> fingerprint: \"a, b\", c title: \"No: {{ message }}\"\nlevel:info -> ignore";
        let rules = parse(text).unwrap().rules;
        assert_eq!(rules.len(), 5);
        assert_eq!(
            rules[0].actions,
            [Action::Fingerprint(vec!["database-unavailable".to_owned(), "{{ tags.region }}".to_owned()])]
        );
        assert_eq!(rules[0].matchers.len(), 2);
        assert_eq!(rules[0].matchers[1].field, Field::Tag("region".to_owned()));
        assert_eq!(rules[1].actions, [Action::Frame(FrameChange::InApp(false))]);
        assert!(rules[2].matchers[0].is_negated);
        assert_eq!(
            rules[3].text,
            "message:\"say \\\"no\\\"\" -> fingerprint: \"a, b\", c title: \"No: {{ message }}\""
        );
        assert_eq!(
            rules[3].actions,
            [
                Action::Fingerprint(vec!["a, b".to_owned(), "c".to_owned()]),
                Action::Title("No: {{ message }}".to_owned()),
            ]
        );
        assert_eq!(rules[4].actions, [Action::Ignore]);
    }

    #[test]
    fn what_is_wrong_is_said_with_line_and_column() {
        for (text, message) in [
            ("level:info", "line 1, column 11: expected -> and what is to be done"),
            (
                "\nlevel:info -> drop",
                "line 2, column 15: there is no action drop; known are fingerprint:, title:, ignore, +app, -app, +group and -group",
            ),
            (
                "ä:x -> ignore",
                "line 1, column 1: there is no field ä; known are error.type, error.value, message, level, logger, transaction, release, environment, platform, family, tags.<name>, path, function, module, package and app",
            ),
            ("level -> ignore", "line 1, column 6: expected a colon and a pattern after level"),
            ("-> ignore", "line 1, column 1: a rule needs a condition such as error.type:KeyError before ->"),
            (
                "level:info ->",
                "line 1, column 14: expected what is to be done: known are fingerprint:, title:, ignore, +app, -app, +group and -group",
            ),
            ("level:\"info -> ignore", "line 1, column 7: the quotation mark is not closed"),
            ("level:info -> fingerprint: a,, b", "line 1, column 30: expected a value of the fingerprint"),
            ("level:info -> ignore title: x", "line 1, column 30: ignore stands alone"),
            (
                "level:info -> -app",
                "line 1, column 1: a rule for frames needs a condition on path, function, module, package, family or app",
            ),
            ("path:a -> -app title: x", "line 1, column 10: what is done to frames needs a rule of its own"),
            (
                "level: -> ignore",
                "line 1, column 7: the pattern is empty; write \"\" around an empty value or * for any",
            ),
        ] {
            assert_eq!(wrong(text), message, "{text}");
        }
    }

    #[test]
    fn rules_have_limits() {
        assert_eq!(parse(&"level:info -> ignore\n".repeat(100)).unwrap().rules.len(), 100);
        assert_eq!(
            wrong(&"level:info -> ignore\n".repeat(101)),
            "line 101, column 1: a project has at most 100 rules"
        );
        assert_eq!(
            wrong(&format!("level:info -> title: {}", "x".repeat(1_000))),
            "line 1, column 1001: a rule has at most 1000 characters"
        );
        assert_eq!(
            wrong(&format!("{}-> ignore", "level:info ".repeat(11))),
            "line 1, column 111: a rule has at most 10 conditions"
        );
        assert_eq!(
            wrong(&format!("level:info -> fingerprint: {}", ["a"; 21].join(","))),
            "line 1, column 68: a fingerprint has at most 20 values"
        );
    }

    proptest! {
        #[test]
        fn any_text_gets_an_answer(text in "(level|path|tags\\.|:|!|->|fingerprint:|title:|ignore|-app|\"|\\\\|,|\\{\\{|\\}\\}| |\\n|ä|\\*|#){0,25}") {
            let _ = parse(&text);
        }
    }
}
