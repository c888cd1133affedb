//! Every statement about source maps.

mod bundle;
mod late;
mod rewrite;
mod upload;

pub(crate) use bundle::*;
pub(crate) use late::*;
pub(crate) use rewrite::*;
pub(crate) use upload::*;
