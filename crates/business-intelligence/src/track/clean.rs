//! Personal values are taken out of what goes with an event, before anything of it is stored. No I/O.

use belvedere_kernel::{ConsentPurpose, Identity, ProjectId, ScrubRules};
use serde_json::{Map, Value, json};

use super::address::{path_of, without_query};
use super::event::{AnalyticsEvent, EventKind, cut};

/// The most bytes of a part of somebody's identity; longer ones are cut.
const PART_BYTES_MAX: usize = 500;

/// Ids shorter than this are not looked for in texts, where the same letters mean something else.
const ID_LETTERS_MIN: usize = 4;

/// What stands in place of an id.
const HIDDEN: &str = "[user]";

/// Keys whose values say who somebody is, by their letters and digits in lower case.
const IDENTIFYING: [&str; 35] = [
    "address",
    "anonymousid",
    "avatar",
    "birthday",
    "birthdate",
    "dateofbirth",
    "deviceid",
    "distinctid",
    "dob",
    "email",
    "emailaddress",
    "familyname",
    "firstname",
    "fullname",
    "givenname",
    "ip",
    "ipaddress",
    "lastname",
    "latitude",
    "longitude",
    "login",
    "middlename",
    "mobile",
    "nickname",
    "phone",
    "phonenumber",
    "postalcode",
    "realname",
    "street",
    "surname",
    "userid",
    "useremail",
    "username",
    "zip",
    "zipcode",
];

/// The property by which learning analytics knows its own events; nobody else's event has it.
const RESERVED: &str = "learning_day";

/// What is said of who somebody is, for the consent gate; `address` is the request's.
pub(crate) fn identity_of(event: &AnalyticsEvent, address: Option<&str>) -> Identity {
    if event.is_by_address {
        return Identity { ip_address: address.map(str::to_owned), ..Identity::default() };
    }
    let Some(id) = &event.user_id else {
        return Identity { anonymous_id: event.anonymous_id.clone(), ..Identity::default() };
    };
    let mut identity = Identity { id: Some(id.clone()), ..Identity::default() };
    if event.kind == EventKind::Identify {
        let said = |names: &[&str]| {
            let text = names.iter().find_map(|name| event.traits.get(*name)?.as_str());
            text.filter(|text| !text.trim().is_empty()).map(|text| cut(text, PART_BYTES_MAX))
        };
        identity.email = said(&["email", "$email"]);
        identity.username = said(&["username", "login"]);
        let is_located = !event.refuses(ConsentPurpose::Location);
        identity.ip_address = event.context.ip.clone().filter(|_| is_located);
        identity.name = said(&["name", "fullName", "full_name"]).or_else(|| {
            let first = said(&["firstName", "first_name"])?;
            let last = said(&["lastName", "last_name"]);
            Some(last.map_or(first.clone(), |last| format!("{first} {last}")))
        });
    }
    identity
}

/// Takes out of an event's properties, traits and page what says who somebody is: by the names of the values, by the
/// ids and names that the event itself tells, and by the project's rules.
pub(crate) fn clean(
    event: &mut AnalyticsEvent,
    identity: &Identity,
    project: ProjectId,
    rules: &dyn ScrubRules,
) {
    let ids = [&event.user_id, &event.anonymous_id, &event.previous_id, &identity.email, &identity.username];
    let ids: Vec<String> =
        ids.into_iter().flatten().filter(|id| id.len() >= ID_LETTERS_MIN).cloned().collect();
    for said in [&mut event.properties, &mut event.traits] {
        said.retain(|name, value| name != RESERVED && !value.is_null());
    }
    // A group's name names nobody.
    if event.kind != EventKind::Group {
        event.traits.remove("name");
    }
    let page = &mut event.context.page;
    page.path = page.path.as_deref().or(page.url.as_deref()).map(|path| path_of(path).to_owned());
    page.url = page.url.as_deref().map(|url| without_query(url).to_owned());
    page.referrer = page.referrer.as_deref().map(|referrer| without_query(referrer).to_owned());
    let texts = [&mut page.url, &mut page.path, &mut page.title, &mut page.referrer];
    let page: Vec<Value> = texts.map(|text| text.take().map_or(Value::Null, Value::String)).into();
    let mut all = json!({
        "properties": std::mem::take(&mut event.properties),
        "traits": std::mem::take(&mut event.traits),
        "page": page,
    });
    strip(&mut all, &ids);
    let _ = rules.scrub(project, &mut all);
    let mut object = |name: &str| match all.get_mut(name).map(Value::take) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    };
    event.properties = object("properties");
    event.traits = object("traits");
    let page = &mut event.context.page;
    let texts = [&mut page.url, &mut page.path, &mut page.title, &mut page.referrer];
    if let Some(Value::Array(cleaned)) = all.get_mut("page") {
        for (text, cleaned) in texts.into_iter().zip(cleaned) {
            if let Value::String(cleaned) = cleaned.take() {
                *text = Some(cleaned);
            }
        }
    }
}

/// Nesting is bounded by who parsed the value.
fn strip(value: &mut Value, ids: &[String]) {
    match value {
        Value::Object(object) => {
            object.retain(|key, _| !is_identifying(key));
            object.values_mut().for_each(|value| strip(value, ids));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| strip(value, ids)),
        Value::String(text) => {
            for id in ids.iter().filter(|id| text.contains(id.as_str())).collect::<Vec<_>>() {
                *text = hide(text, id);
            }
        }
        _ => {}
    }
}

fn is_identifying(key: &str) -> bool {
    let letters = |key: &str| -> String {
        key.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
    };
    key.len() <= 32 && IDENTIFYING.contains(&letters(key).as_str())
}

/// The text without an id, where it stands as a word.
fn hide(text: &str, id: &str) -> String {
    let is_of_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    let (mut hidden, mut rest, mut before) = (String::with_capacity(text.len()), text, None);
    while let Some(place) = rest.find(id) {
        let (ahead, behind) = (&rest[..place], &rest[place + id.len()..]);
        let left = ahead.chars().next_back().or(before);
        hidden.push_str(ahead);
        if left.is_some_and(is_of_word) || behind.chars().next().is_some_and(is_of_word) {
            hidden.push_str(id);
        } else {
            hidden.push_str(HIDDEN);
        }
        before = id.chars().next_back();
        rest = behind;
    }
    hidden.push_str(rest);
    hidden
}

#[cfg(test)]
mod tests {
    use belvedere_kernel::Removal;
    use belvedere_storage::Timestamp;

    use super::*;

    struct NoRules;

    impl ScrubRules for NoRules {
        fn scrub(&self, _: ProjectId, _: &mut Value) -> Vec<Removal> {
            Vec::new()
        }
    }

    fn cleaned(mut event: AnalyticsEvent) -> (Identity, AnalyticsEvent) {
        let identity = identity_of(&event, None);
        clean(&mut event, &identity, ProjectId(1), &NoRules);
        (identity, event)
    }

    #[test]
    fn who_somebody_is_goes_to_the_gate_and_nowhere_else() {
        let mut event = AnalyticsEvent::identify("user-4711", Some("v1-9f"), Timestamp::EPOCH);
        event.traits = json!({
            "email": "ada@example.com", "firstName": "Ada", "lastName": "Lovelace", "plan": "pro", "username": "adal",
            "company": {"name": "Engines", "phone": "1"}, "address": {"city": "London"}, "learning_day": 1,
            "note": "adal wrote as user-4711 from ada@example.com, not as xuser-4711",
        })
        .as_object()
        .unwrap()
        .clone();
        let (identity, event) = cleaned(event);
        assert_eq!(identity.email.as_deref(), Some("ada@example.com"));
        assert_eq!(identity.name.as_deref(), Some("Ada Lovelace"));
        assert_eq!(identity.anonymous_id, None);
        assert_eq!(
            Value::Object(event.traits),
            json!({"plan": "pro", "company": {"name": "Engines"},
                "note": "[user] wrote as [user] from [user], not as xuser-4711"})
        );
    }

    #[test]
    fn an_address_keeps_neither_its_query_nor_the_user_in_its_path() {
        let mut event = AnalyticsEvent::track("user-4711", "A", Timestamp::EPOCH);
        event.context.page.url = Some("https://shop.example/users/user-4711/cart?token=1".to_owned());
        event.context.page.referrer = Some("https://mail.example/read?to=ada@example.com".to_owned());
        event.properties = json!({"Email": "a@b.c", "user_id": 7, "amount": 3}).as_object().unwrap().clone();
        let (_, event) = cleaned(event);
        assert_eq!(event.context.page.path.as_deref(), Some("/users/[user]/cart"));
        assert_eq!(event.context.page.url.as_deref(), Some("https://shop.example/users/[user]/cart"));
        assert_eq!(event.context.page.referrer.as_deref(), Some("https://mail.example/read"));
        assert_eq!(event.context.page.title, None);
        assert_eq!(Value::Object(event.properties), json!({"amount": 3}));
    }

    #[test]
    fn ids_are_hidden_as_words_only() {
        for (text, id, hidden) in [
            ("abcd", "abcd", "[user]"),
            ("abcd abcd", "abcd", "[user] [user]"),
            ("abcdabcd", "abcd", "abcdabcd"),
            ("/abcd/abcde", "abcd", "/[user]/abcde"),
            ("änne1 schrieb", "änne1", "[user] schrieb"),
        ] {
            assert_eq!(hide(text, id), hidden);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_hidden_id_is_nowhere_a_word(words in proptest::collection::vec("[a-e]{1,5}", 0..9), id in "[a-e]{4,5}") {
            let hidden = hide(&words.join(" "), &id);
            proptest::prop_assert!(hidden.split(' ').all(|word| word != id));
            proptest::prop_assert_eq!(hidden.split(' ').count(), words.join(" ").split(' ').count());
        }
    }
}
