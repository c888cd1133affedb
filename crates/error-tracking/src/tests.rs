//! The slice through its trait and its intake handlers, on both databases.

mod durability;
mod fakes;
mod fixtures;
mod intake;
mod queries;
mod releases;
mod speed;
