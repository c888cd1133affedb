use belvedere_storage::Id;
use proptest::prelude::*;

use super::*;

fn context() -> QueryContext {
    QueryContext {
        now: "2026-11-23T12:00:00Z".parse().unwrap(),
        me: Some(Id::from_bytes([1; 16])),
        people: vec![("ada@acme.example".to_owned(), Id::from_bytes([2; 16]))],
    }
}

fn terms(text: &str) -> Vec<Term> {
    parse_query(text, &context()).unwrap_or_else(|error| panic!("{text}: {error}")).terms
}

fn filter(text: &str) -> Filter {
    let mut terms = terms(text);
    assert_eq!(terms.len(), 1, "{text}: {terms:?}");
    terms.remove(0).filter
}

fn tag(key: &str, values: &[&str]) -> Filter {
    Filter::Tag(key.to_owned(), values.iter().map(|value| Pattern::Exact((*value).to_owned())).collect())
}

fn micros(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_micros()
}

#[test]
fn states_levels_and_tags_are_read() {
    assert_eq!(filter("is:unresolved"), Filter::Is(IsWord::Status(IssueStatus::Unresolved)));
    assert_eq!(filter("is:new"), Filter::Is(IsWord::New));
    assert_eq!(filter("level:error"), Filter::Level(vec![Level::Error]));
    assert_eq!(filter("level:>=error"), Filter::Level(vec![Level::Error, Level::Fatal]));
    assert_eq!(filter("level:<info"), Filter::Level(vec![Level::Debug]));
    assert_eq!(filter("level:[error, fatal]"), Filter::Level(vec![Level::Error, Level::Fatal]));
    assert_eq!(filter("environment:production"), tag("environment", &["production"]));
    assert_eq!(filter("plan:[pro,\"free trial\"]"), tag("plan", &["pro", "free trial"]));
    assert_eq!(filter("tags[level]:odd"), tag("level", &["odd"]));
    assert_eq!(filter("type:KeyError"), tag("error.type", &["KeyError"]));
    assert_eq!(filter("handled:true"), tag("handled", &["yes"]));
    assert_eq!(filter("handled:no"), tag("handled", &["no"]));
    assert_eq!(filter("has:server_name"), Filter::Has("server_name".to_owned()));
    assert_eq!(filter("has:user"), tag("has_user", &["yes"]));
    let glob = Pattern::Glob(vec!["shop@2.".to_owned(), String::new()]);
    assert_eq!(filter("release:shop@2.*"), Filter::Tag("release".to_owned(), vec![glob]));
    assert_eq!(filter(r"release:\*"), tag("release", &["*"]));
}

#[test]
fn negation_has_two_spellings() {
    for text in ["!level:info", "-level:info"] {
        assert_eq!(
            terms(text),
            [Term { is_negated: true, filter: Filter::Level(vec![Level::Info]) }],
            "{text}"
        );
    }
    let both = terms("!\"not this\" that");
    assert_eq!(both.iter().map(|term| term.is_negated).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn times_are_ranges() {
    let between = |text: &str| match filter(text) {
        Filter::Between(_, from, to) => (from, to),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(between("first_seen:-24h"), (micros("2026-11-22T12:00:00Z"), i64::MAX));
    assert_eq!(between("first_seen:+7d"), (i64::MIN, micros("2026-11-16T12:00:00Z")));
    let day = (micros("2026-11-20T00:00:00Z"), micros("2026-11-21T00:00:00Z") - 1);
    assert_eq!(between("last_seen:2026-11-20"), day);
    assert_eq!(between("last_seen:>2026-11-20"), (day.1 + 1, i64::MAX));
    assert_eq!(between("last_seen:>=2026-11-20"), (day.0, i64::MAX));
    assert_eq!(between("last_seen:<2026-11-20"), (i64::MIN, day.0 - 1));
    let second = (micros("2026-11-20T10:00:00Z"), micros("2026-11-20T10:00:00Z") + 999_999);
    assert_eq!(between("last_seen:2026-11-20T10:00:00"), second);
    assert_eq!(between("last_seen:2026-11-20T12:00:00+02:00"), second);
}

#[test]
fn numbers_are_ranges() {
    assert_eq!(filter("times_seen:>100"), Filter::Between(Column::Events, 101, i64::MAX));
    assert_eq!(filter("times_seen:7"), Filter::Between(Column::Events, 7, 7));
    assert_eq!(filter("subjects:>=5"), Filter::Between(Column::Subjects, 5, i64::MAX));
    assert_eq!(filter("users:<=5"), Filter::Between(Column::Subjects, i64::MIN, 5));
}

#[test]
fn people_are_named_or_me_or_nobody() {
    let user = |byte: u8| Assignee::User(Id::from_bytes([byte; 16]));
    assert_eq!(
        filter("assigned:[me,none,Ada@acme.example]"),
        Filter::Assigned(vec![user(1), Assignee::Nobody, user(2)])
    );
    let id = Id::<belvedere_kernel::User>::from_bytes([3; 16]);
    assert_eq!(filter(&format!("assigned:{id}")), Filter::Assigned(vec![user(3)]));
}

#[test]
fn free_text_is_words_and_phrases() {
    let words = |text: &str| match filter(text) {
        Filter::Text(field, phrases) => (field, phrases[0].words.join(" ")),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(words("Declined"), (Field::Anywhere, "declined".to_owned()));
    assert_eq!(words("\"was Declined by\""), (Field::Anywhere, "was declined by".to_owned()));
    assert_eq!(words("title:\"it broke\""), (Field::Title, "it broke".to_owned()));
    // Neither of them is a filter.
    assert_eq!(words("https://shop.example/pay").1, "https shop example pay");
    assert_eq!(words("importer::read").1, "importer read");
    assert_eq!(words(r"C:\shop\pay").1, "c shop pay");
    assert_eq!(filter("transaction:/checkout"), tag("transaction", &["/checkout"]));
    assert_eq!(terms("TypeError: cannot read").len(), 3);
    assert_eq!(words("\"KeyError: x\"").1, "keyerror key error x");
}

#[test]
fn errors_say_where_and_what() {
    let error = |text: &str| parse_query(text, &context()).unwrap_err().to_string();
    assert_eq!(
        error("foo is:open"),
        "query, character 8: expected one of unresolved, resolved, ignored, archived, ongoing, regressed, escalating, assigned, unassigned, new"
    );
    assert_eq!(error("level:bad"), "query, character 7: expected one of debug, info, warning, error, fatal");
    assert_eq!(error("level: x"), "query, character 7: expected a value for level:");
    assert_eq!(
        error("times_seen:many"),
        "query, character 12: expected a whole number such as 100, with >, >=, < or <= in front if you like"
    );
    assert_eq!(
        error("first_seen:-24y"),
        "query, character 12: expected a time such as -24h, 2026-11-20 or 2026-11-20T12:00:00Z"
    );
    assert_eq!(error("trace:abc"), "query, character 7: expected 32 hexadecimal digits of a trace");
    assert_eq!(error("title:\"open"), "query, character 7: expected a closing \" for this one");
    assert_eq!(error("level:[error"), "query, character 13: expected , or ] in the list");
    assert_eq!(
        error("release:>1"),
        "query, character 10: release is a tag: it is compared as text, without < and >"
    );
    assert_eq!(
        error("assigned:zoe"),
        "query, character 10: expected me, none, or a member's name or e-mail address"
    );
    assert_eq!(error("?!"), "query, character 1: expected a letter or a digit to look for");
    assert_eq!(error("is:[new,resolved]"), "query, character 5: is: takes one value, not a list");
    assert_eq!(
        error("tags[a b]:c"),
        "query, character 1: expected tags[key]:value with a key of letters, digits and _.-"
    );
}

#[test]
fn queries_have_limits() {
    let error = |text: &str| parse_query(text, &context()).unwrap_err().problem;
    assert_eq!(error(&"x".repeat(1_001)), "a query has at most 1000 characters");
    assert_eq!(terms(&"x ".repeat(20)).len(), 20);
    assert_eq!(error(&"x ".repeat(21)), "a query has at most 20 terms");
    assert_eq!(error(&format!("a:[{}x]", "x,".repeat(20))), "a list has at most 20 values");
    assert_eq!(
        error(&format!("{}:x", "k".repeat(33))),
        "expected a key of at most 32 letters, digits and _.-"
    );
}

#[test]
fn a_query_that_names_a_status_is_known() {
    let names = |text: &str| parse_query(text, &context()).unwrap().names_status();
    assert!(names("x !is:resolved") && !names("is:new x") && !names(""));
}

proptest! {
    #[test]
    fn any_text_gets_an_answer(text in "\\PC{0,80}") {
        let _ = parse_query(&text, &context());
    }

    #[test]
    fn any_mixture_of_signs_gets_an_answer(text in "(is|level|tags\\[|a|:|\\[|\\]|,|\"|\\\\|\\*|>|=|-|!| |7|ü){0,30}") {
        if let Err(error) = parse_query(&text, &context()) {
            prop_assert!(error.position <= text.chars().count() + 1);
        }
    }
}
