//! The client for services that report to Belvedere, or to any other server that takes what Sentry's SDKs send.
//!
//! Built on the `sentry` crate: what that offers (hubs, scopes, spans) goes on working, and this crate adds what a
//! service needs beside it. Nothing of it depends on a database or on Belvedere's server.
//!
//! Invariants:
//! - A captured error survives a killed process if [`ClientConfig::queue`] names a directory, a fatal one also a power
//!   cut. It is delivered until the server has it, by this process or the next; a server that counts an event id once,
//!   as Belvedere does, counts it once.
//! - No capture blocks on the network. Memory, files, breadcrumbs and limits have bounds.
//! - E-mail addresses, credentials and cookies do not leave the process; a user's e-mail address does outside production.
//! - What the client gives up is counted and told to the server; an event also leaves a line in the local log.
//!
//! ```
//! use belvedere_error_client::{ClientConfig, ErrorClient, ErrorContext, QueueConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = std::env::temp_dir().join(format!("belvedere-client-doc-{}", std::process::id()));
//! let mut config = ClientConfig::new("http://0123456789abcdef0123456789abcdef@127.0.0.1:8000/1", "production");
//! config.release = Some("lessons@4.12.0".to_owned());
//! config.queue = Some(QueueConfig::new(&directory));
//! let client = ErrorClient::init(config)?; // flushes when it is dropped
//!
//! if let Err(error) = "seven".parse::<u32>() {
//!     let context = ErrorContext::new("lessons", "open").with("lesson", "seven");
//!     let id = client.capture_error(&error, &context);
//!     assert!(id.is_some());
//! }
//! # drop(client);
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok(())
//! # }
//! ```

mod client;
mod config;
#[cfg(feature = "sea-orm")]
mod database;
mod filter;
mod glob;
mod last_resort;
#[cfg(feature = "tower")]
mod layer;
mod limiter;
#[cfg(feature = "tracing")]
mod log;
mod monitor;
mod panics;
mod profile;
mod queue;
mod report;
mod sampling;
mod scrub;
#[cfg(feature = "sea-orm")]
mod statement;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod transport;

pub use sentry::protocol::{Event, Value};
pub use sentry::types::Uuid;
pub use sentry::{Breadcrumb, Hub, Level, SentryFutureExt};

pub use client::{ErrorClient, ErrorContext, ErrorGuard, User};
pub use config::{ClientConfig, ClientError, Destination, EventFilter};
#[cfg(feature = "sea-orm")]
pub use database::{SlowQueries, observe_queries};
pub use filter::KnownError;
#[cfg(feature = "tower")]
pub use layer::{RequestFuture, RequestLayer, RequestService};
#[cfg(feature = "tracing")]
pub use log::tracing_layer;
pub use queue::QueueConfig;
pub use report::{ErrorLike, Reportable, StandardError};
pub use sampling::RouteRate;
pub use transport::pace::RetryConfig;
