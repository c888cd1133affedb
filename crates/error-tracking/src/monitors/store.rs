//! Every statement about monitors.

mod change;
mod read;
mod row;
mod runs;

pub(super) use change::{
    count_monitors, delete_monitor, find_monitor, insert_absence, insert_monitor, lock_monitor, move_clock,
    update_monitor,
};
pub(super) use read::{find_environment_names, list_check_ins, list_monitors, overviews};
pub(super) use row::{EnvironmentId, EnvironmentRow, RunRow};
pub(super) use runs::{
    add_rates, delete_old_hours, delete_old_runs, find_newest_in_progress, find_run, insert_environment,
    insert_run, list_absences, list_due, list_due_runs, list_environment_ids, list_environments, set_issue,
    update_environment, update_run,
};
