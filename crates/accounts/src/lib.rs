//! Who may do what: organisations, members, projects, ingest keys, API tokens and sessions.
//!
//! Invariants:
//! - No secret is stored: passwords as Argon2id, tokens and session cookies as SHA-256 of 256 random bits.
//! - Every change and every sign-in, refused ones included, is an audit entry in the same transaction.
//! - What a role or scope allows is decided in `permission.rs` and nowhere else.

mod model;

pub use model::{
    ApiTokenInfo, FirstSteps, IngestKeyInfo, Member, NewSession, OrganisationInfo, Principal, Project, Rights, Role,
    Scope, Secret,
};
