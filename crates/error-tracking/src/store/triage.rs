//! What the life of issues reads and writes.

mod activity;
mod change;
mod discard;
mod lock;
mod merge;
mod moves;
mod ownership;
mod split;
mod tables;
mod tags;
mod trend;
mod wake;

pub(crate) use activity::{
    NewActivity, change_comment_in, count_comments, find_comment_in, insert_activities, list_activities,
};
pub(crate) use change::{
    Former, IssueState, assign_in, busiest_hours, find_states_in, newest_releases, release_before,
    set_states_in,
};
pub(crate) use discard::{lift_in, list_discards, remove_in};
pub(crate) use lock::{guard_projects, seize_project};
pub(crate) use merge::{absorb_in, find_rows_in};
pub(crate) use moves::{
    Move, are_moving, find_destination, find_next_move, insert_moves, parse_hash, redirect_moves, step_in,
};
pub(crate) use ownership::{find_ownership, own_in, set_ownership_in};
pub(crate) use split::{SplitOff, find_hashes, find_newest_of, insert_split_in, list_hashes};
pub(crate) use wake::{Asleep, first_seen_of, parse_condition, wake_due_in, wake_in};
