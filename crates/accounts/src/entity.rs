//! The tables of this slice, one file each.

pub(crate) mod api_token;
pub(crate) mod counter;
pub(crate) mod guess;
pub(crate) mod ingest_key;
pub(crate) mod link;
pub(crate) mod member;
pub(crate) mod organisation;
pub(crate) mod project;
pub(crate) mod session;
pub(crate) mod user;
pub(crate) mod xapi_key;
