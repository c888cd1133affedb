//! Every statement of the slice.

mod adopt;
mod occurrences;
mod read;
pub(crate) mod search;
mod tags;
mod text;
mod triage;
mod write;

pub(crate) use occurrences::add_occurrences_in;
pub(crate) use read::{
    count_by_status, count_events_by_hour, count_issues, find_event, find_issue, list_environments,
    list_events,
};
pub(crate) use text::add_names;
pub(crate) use triage::{
    Former, IssueState, Move, NewActivity, SplitOff, absorb_in, are_moving, assign_in, busiest_hours,
    change_comment_in, count_comments, find_comment_in, find_hashes, find_newest_of, find_next_move,
    find_ownership, find_rows_in, find_states_in, first_seen_of, insert_activities, insert_moves,
    insert_split_in, lift_in, list_activities, list_discards, list_hashes, newest_releases, parse_hash,
    redirect_moves, remove_in, seize_project, set_ownership_in, set_states_in, step_in, wake_due_in,
};
pub(crate) use write::{
    TouchedIssue, Written, admit_in, find_issues_of_hashes, hour_of, is_discard, level_of, store_events_in,
    store_events_with_in,
};

/// How many keys one look-up asks for.
const KEYS_MAX: usize = 256;
