//! The client for services that report to this slice, or to any server that takes what Sentry's SDKs send.
//!
//! It is a crate of its own, `belvedere-error-client`: a service that only reports builds it without a database.

pub use belvedere_error_client::*;
