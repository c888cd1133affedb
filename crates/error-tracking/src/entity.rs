pub(crate) mod event;
pub(crate) mod issue;
