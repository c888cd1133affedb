//! The composition root: configuration, telemetry, and the one page that shows who knows whom.

pub mod config;
pub mod telemetry;

pub use config::{Config, ConfigError};
