//! Identities in one spelling, the keyed hashes by which they are found, and how they are stored.

use std::net::IpAddr;

use belvedere_kernel::{Identity, ProjectId};
use serde::{Deserialize, Serialize};

use crate::MasterKey;
use crate::master::KeyedHash;

/// The most characters that are kept of each part of an identity; the look-up covers all of it.
const PART_LEN_MAX: usize = 512;

/// The keyed hash by which a subject is found.
pub(crate) type Lookup = [u8; 32];

/// Removes what is not part of a name: surrounding white space, the case of an e-mail address, the many spellings of
/// an IP address.
pub(crate) fn canonical(identity: &Identity) -> Identity {
    let part = |value: &Option<String>| {
        value.as_deref().map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let ip = |text: String| text.parse().map(|ip: IpAddr| ip.to_canonical().to_string()).unwrap_or(text);
    Identity {
        id: part(&identity.id),
        username: part(&identity.username),
        email: part(&identity.email).map(|email| email.to_lowercase()),
        ip_address: part(&identity.ip_address).map(ip),
        name: part(&identity.name),
        anonymous_id: part(&identity.anonymous_id),
    }
}

/// Takes over what `news` says, and keeps what it does not speak of.
pub(crate) fn merge(identity: &mut Identity, news: &Identity) {
    for (part, new) in parts_mut(identity).into_iter().zip(parts(news)) {
        if new.is_some() {
            part.clone_from(new);
        }
    }
}

/// Keyed hashes of an identity's parts, 0 for a missing one: enough to see that something changed, without the key
/// that opens the identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fingerprint([u64; 6]);

impl Fingerprint {
    /// Whether `news` says something that this does not.
    pub(crate) fn lacks(self, news: Self) -> bool {
        self.0.iter().zip(news.0).any(|(old, new)| new != 0 && new != *old)
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        self.0.iter().flat_map(|part| part.to_be_bytes()).collect()
    }

    /// What is missing at the end counts as not said; the bytes of nothing lack everything.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let mut parts = [0; 6];
        for (part, bytes) in parts.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *part = u64::from_be_bytes(*bytes);
        }
        Self(parts)
    }
}

/// Makes look-ups and fingerprints.
pub(crate) struct IdentityHasher {
    lookup: KeyedHash,
    fingerprint: KeyedHash,
}

impl IdentityHasher {
    pub(crate) fn new(master_key: &MasterKey) -> Self {
        Self {
            lookup: KeyedHash::new(&master_key.derive("subject lookup")),
            fingerprint: KeyedHash::new(&master_key.derive("identity fingerprint")),
        }
    }

    /// The look-up of a person who may be recognised.
    pub(crate) fn lookup(&self, project: ProjectId, kind: &str, value: &str) -> Lookup {
        hash_of(&self.lookup, project, kind, value)
    }

    pub(crate) fn fingerprint(&self, project: ProjectId, identity: &Identity) -> Fingerprint {
        let mut hashes = [0; 6];
        for ((index, hash), part) in (0_u8..).zip(&mut hashes).zip(parts(identity)) {
            if let Some(part) = part {
                let digest = self.fingerprint.hash(&[&project.0.to_be_bytes(), &[index], part.as_bytes()]);
                *hash = digest.first_chunk().map_or(1, |first| u64::from_be_bytes(*first)).max(1);
            }
        }
        Fingerprint(hashes)
    }
}

/// `HMAC(key, project (8 bytes, big endian) | length of kind (1) | kind | value)`.
pub(crate) fn hash_of(key: &KeyedHash, project: ProjectId, kind: &str, value: &str) -> Lookup {
    let kind_len = u8::try_from(kind.len()).unwrap_or(u8::MAX);
    key.hash(&[&project.0.to_be_bytes(), &[kind_len], kind.as_bytes(), value.as_bytes()])
}

/// How an identity is stored, before it is sealed.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymous_id: Option<String>,
}

pub(crate) fn to_json(identity: &Identity) -> Result<Vec<u8>, serde_json::Error> {
    let cut = |part: &Option<String>| part.as_ref().map(|part| part.chars().take(PART_LEN_MAX).collect());
    serde_json::to_vec(&Stored {
        id: cut(&identity.id),
        username: cut(&identity.username),
        email: cut(&identity.email),
        ip_address: cut(&identity.ip_address),
        name: cut(&identity.name),
        anonymous_id: cut(&identity.anonymous_id),
    })
}

pub(crate) fn from_json(json: &[u8]) -> Result<Identity, serde_json::Error> {
    let Stored { id, username, email, ip_address, name, anonymous_id } = serde_json::from_slice(json)?;
    Ok(Identity { id, username, email, ip_address, name, anonymous_id })
}

fn parts(identity: &Identity) -> [&Option<String>; 6] {
    [
        &identity.id,
        &identity.username,
        &identity.email,
        &identity.ip_address,
        &identity.name,
        &identity.anonymous_id,
    ]
}

fn parts_mut(identity: &mut Identity) -> [&mut Option<String>; 6] {
    [
        &mut identity.id,
        &mut identity.username,
        &mut identity.email,
        &mut identity.ip_address,
        &mut identity.name,
        &mut identity.anonymous_id,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Option<String> {
        Some(value.to_owned())
    }

    #[test]
    fn spellings_of_the_same_person_are_one() {
        let written = Identity {
            id: text("   "),
            username: None,
            email: text(" Ada@Example.COM\n"),
            ip_address: text("::ffff:203.0.113.7"),
            name: text("Ada Lovelace"),
            anonymous_id: None,
        };
        let canonical = canonical(&written);
        assert_eq!(canonical.key(), Some(("email", "ada@example.com")));
        assert_eq!(canonical.ip_address.as_deref(), Some("203.0.113.7"));
        assert_eq!(canonical.name.as_deref(), Some("Ada Lovelace"));
    }

    #[test]
    fn only_new_or_changed_parts_are_news() {
        let hasher = IdentityHasher::new(&MasterKey::from_bytes([1; 32]));
        let print = |identity: &Identity| hasher.fingerprint(ProjectId(1), identity);
        let mut known = Identity { id: text("7"), email: text("a@example.com"), ..Identity::default() };
        let less = Identity { id: text("7"), ..Identity::default() };
        let other = Identity { id: text("7"), email: text("b@example.com"), ..Identity::default() };
        assert!(!print(&known).lacks(print(&known)));
        assert!(!print(&known).lacks(print(&less)));
        assert!(print(&less).lacks(print(&known)));
        assert!(print(&known).lacks(print(&other)));
        assert_eq!(Fingerprint::from_bytes(&print(&known).to_bytes()), print(&known));
        merge(&mut known, &other);
        assert_eq!(known.email.as_deref(), Some("b@example.com"));
    }

    #[test]
    fn lookups_differ_by_project_kind_and_value() {
        let hasher = IdentityHasher::new(&MasterKey::from_bytes([1; 32]));
        let all = [
            hasher.lookup(ProjectId(1), "id", "7"),
            hasher.lookup(ProjectId(2), "id", "7"),
            hasher.lookup(ProjectId(1), "email", "7"),
            hasher.lookup(ProjectId(1), "id", "8"),
            hasher.lookup(ProjectId(1), "i", "d7"),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), 5);
    }

    #[test]
    fn a_stored_identity_is_cut_to_its_limit() {
        let long = Identity { id: Some("ä".repeat(600)), ..Identity::default() };
        let stored = from_json(&to_json(&long).unwrap()).unwrap();
        assert_eq!(stored.id.unwrap().chars().count(), 512);
    }
}
