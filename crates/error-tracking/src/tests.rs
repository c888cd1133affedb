//! The slice through its trait and its intake handlers, on both databases.

mod attachments;
mod durability;
mod fakes;
mod feedback;
mod fixtures;
mod grouping_rules;
mod intake;
mod late_maps;
mod logs;
mod monitors;
mod occurrences;
mod queries;
mod release_service;
mod releases;
mod retention;
mod saved_searches;
mod search;
mod sessions;
mod source_maps;
mod speed;
mod triage;
mod version_one;
