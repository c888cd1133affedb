//! Every page for people: server-rendered, quick, and complete without scripts except for live updates.
//!
//! Invariants:
//! - Whatever stands in an event is text: templates escape it, and only `http` and `https` addresses become links.
//! - The content security policy allows nothing inline; a page that needed it would not work.
//! - Every page but signing in knows its visitor, asks [`belvedere_accounts::Principal::require`] first, and answers
//!   another organisation's ids as if they did not exist.
//! - Every form that changes something carries the session's anti-forgery value.

mod assets;
mod charts;
mod csrf;
mod form;
mod layout;
mod live;
mod pages;
mod people;
mod refusal;
mod respond;
mod session;
mod state;
#[cfg(test)]
mod tests;
mod views;
mod wording;

pub use pages::router;
pub use session::SESSION_COOKIE;
pub use state::DashboardState;
