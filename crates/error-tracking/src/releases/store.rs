//! Every statement about releases.

mod change;
mod issues;
mod list;
mod numbers;
mod record;
mod sweep;

pub(super) use change::{Put, add_deploy_in, put_commits_in, put_release_in};
pub(super) use issues::{Pair, count_issues, list_issues, list_issues_of_pair};
pub(super) use list::{find_release, list_commits, list_deploys, list_releases, summarise};
pub(super) use numbers::{Window, health_of_window, points_of_window};
pub(crate) use record::record_activity_in;
pub(super) use record::{RELEASES_MAX, delete_releases_in};
pub(super) use sweep::{KEPT_HOURS, SWEEPS, list_projects, sweep_in};
