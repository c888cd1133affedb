//! What a statement can be found by.

use super::VOIDED;
use super::actor::{Ifi, ifi_of};
use crate::json::Json;
use crate::value;

/// Everything that filters look at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct References {
    /// Actor and object, and members of groups there.
    pub(crate) people: Vec<Ifi>,
    /// All others: instructor, team, people of the context, and everybody in a sub-statement.
    pub(crate) related_people: Vec<Ifi>,
    pub(crate) verb: String,
    /// The object, if it is an activity.
    pub(crate) activity: Option<String>,
    /// Activities of the context and of a sub-statement.
    pub(crate) related_activities: Vec<String>,
    pub(crate) registration: Option<[u8; 16]>,
    /// The statement that is the object.
    pub(crate) target: Option<[u8; 16]>,
    pub(crate) is_voiding: bool,
}

impl References {
    pub(crate) fn of(statement: &Json) -> Self {
        let verb = statement.get("verb").and_then(|verb| verb.text_of("id")).unwrap_or_default().to_owned();
        let mut found = Self { verb, ..Self::default() };
        if let Some(actor) = statement.get("actor") {
            add(actor, &mut found.people);
        }
        if let Some(object) = statement.get("object") {
            match object.text_of("objectType") {
                None | Some("Activity") => found.activity = object.text_of("id").map(str::to_owned),
                Some("Agent" | "Group") => add(object, &mut found.people),
                Some("StatementRef") => found.target = object.text_of("id").and_then(value::uuid),
                Some(_) => found.relate(object),
            }
        }
        if let Some(context) = statement.get("context") {
            found.context(context);
            found.registration = context.text_of("registration").and_then(value::uuid);
        }
        found.is_voiding = found.verb == VOIDED && found.target.is_some();
        let direct = found.people.clone();
        found.related_people.retain(|ifi| !direct.contains(ifi));
        let activity = found.activity.clone();
        found.related_activities.retain(|id| Some(id) != activity.as_ref());
        found
    }

    /// Adds a sub-statement, all of which is related.
    fn relate(&mut self, json: &Json) {
        if let Some(actor) = json.get("actor") {
            add(actor, &mut self.related_people);
        }
        if let Some(object) = json.get("object") {
            match object.text_of("objectType") {
                None | Some("Activity") => push(&mut self.related_activities, object.text_of("id")),
                Some("Agent" | "Group") => add(object, &mut self.related_people),
                Some(_) => {}
            }
        }
        if let Some(context) = json.get("context") {
            self.context(context);
        }
    }

    fn context(&mut self, context: &Json) {
        for person in ["instructor", "team"].into_iter().filter_map(|key| context.get(key)) {
            add(person, &mut self.related_people);
        }
        for (list, key) in [("contextAgents", "agent"), ("contextGroups", "group")] {
            for entry in context.get(list).and_then(Json::items).unwrap_or_default() {
                if let Some(person) = entry.get(key) {
                    add(person, &mut self.related_people);
                }
            }
        }
        let kinds = context.get("contextActivities").and_then(Json::members).unwrap_or_default();
        for activity in kinds.iter().flat_map(|(_, activities)| activities.items().unwrap_or_default()) {
            push(&mut self.related_activities, activity.text_of("id"));
        }
    }
}

fn push(activities: &mut Vec<String>, id: Option<&str>) {
    if let Some(id) = id
        && !activities.iter().any(|known| known == id)
    {
        activities.push(id.to_owned());
    }
}

fn add(person: &Json, people: &mut Vec<Ifi>) {
    let members = person.get("member").and_then(Json::items).unwrap_or_default();
    for ifi in std::iter::once(person).chain(members).filter_map(ifi_of) {
        if !people.contains(&ifi) {
            people.push(ifi);
        }
    }
}
