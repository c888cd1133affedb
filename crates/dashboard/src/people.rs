//! Members by name.

use belvedere_kernel::User;
use belvedere_storage::{Id, PageRequest};

use crate::layout::Scene;
use crate::refusal::Refusal;

/// How many members are named; the others are known by a word only.
const NAMED_MAX: usize = 400;

/// The members of the visitor's organisation.
pub(crate) struct People(Vec<(Id<User>, String, String)>);

/// A member in a select.
#[derive(Debug)]
pub(crate) struct PersonChoice {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) is_chosen: bool,
}

impl People {
    pub(crate) async fn load(scene: &Scene) -> Result<Self, Refusal> {
        let mut people = Vec::new();
        let mut page = PageRequest::first(PageRequest::LIMIT_MAX);
        loop {
            let members = scene.state.members.list_members(scene.principal(), page).await?;
            people.extend(members.items.into_iter().map(|member| (member.user, member.name, member.email)));
            match members.next {
                Some(next) if people.len() < NAMED_MAX => {
                    page = PageRequest::new(PageRequest::LIMIT_MAX, Some(next));
                }
                _ => return Ok(Self(people)),
            }
        }
    }

    pub(crate) fn name(&self, user: Id<User>) -> String {
        let found = self.0.iter().find(|(id, ..)| *id == user);
        found.map_or_else(|| "a former member".to_owned(), |(_, name, _)| name.clone())
    }

    /// The member with this id as text.
    pub(crate) fn name_of(&self, id: &str) -> String {
        id.parse().map_or_else(|_| "somebody".to_owned(), |user| self.name(user))
    }

    /// Rules with the members' ids in the place of their addresses, with addresses again where members have one.
    pub(crate) fn with_addresses(&self, rules: &str) -> String {
        let lines = rules.lines().map(|line| match line.rsplit_once(' ') {
            Some((source, owner)) if !line.starts_with('#') => {
                let member = owner.parse().ok().and_then(|user| self.0.iter().find(|(id, ..)| *id == user));
                match member {
                    Some((_, _, email)) if !email.is_empty() => format!("{source} {email}"),
                    _ => line.to_owned(),
                }
            }
            _ => line.to_owned(),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn choices(&self, chosen: Option<Id<User>>) -> Vec<PersonChoice> {
        let choice = |(id, name, _): &(Id<User>, String, String)| PersonChoice {
            id: id.to_string(),
            name: name.clone(),
            is_chosen: chosen == Some(*id),
        };
        self.0.iter().map(choice).collect()
    }
}
