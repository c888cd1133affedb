//! From the slices' models to what a page shows: pure functions, no I/O.

pub(crate) mod activity;
pub(crate) mod attachments;
pub(crate) mod business;
pub(crate) mod comparison;
pub(crate) mod engagement;
pub(crate) mod event;
pub(crate) mod feedback;
pub(crate) mod insights;
pub(crate) mod issues;
pub(crate) mod learners;
pub(crate) mod learning;
pub(crate) mod learning_now;
pub(crate) mod logs;
pub(crate) mod mapping;
pub(crate) mod monitors;
pub(crate) mod overview;
pub(crate) mod payload;
pub(crate) mod pipeline;
pub(crate) mod releases;
pub(crate) mod rollups;
pub(crate) mod stack;
pub(crate) mod tags;
pub(crate) mod timeline;
pub(crate) mod tutor;
pub(crate) mod uptake;
pub(crate) mod week;
