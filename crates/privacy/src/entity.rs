pub(crate) mod key;
pub(crate) mod salt;
pub(crate) mod settings;
pub(crate) mod subject;
