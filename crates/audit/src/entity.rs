pub(crate) mod entry;
