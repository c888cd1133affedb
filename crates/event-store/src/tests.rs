mod append;
mod concurrent;
mod faults;
pub(crate) mod fixtures;
mod foreign;
mod questions;
mod random;
mod rollups;
mod upkeep;
