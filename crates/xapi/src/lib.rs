//! A record store for xAPI 2.0.0 (IEEE 9274.1.1) and 1.0.3.

pub mod json;
pub mod statement;
pub mod value;
mod version;

pub use version::Version;
