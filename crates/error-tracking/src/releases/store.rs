//! Every statement about releases.

mod record;

pub(crate) use record::record_activity_in;
