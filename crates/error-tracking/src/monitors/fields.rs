//! What a monitor's fields may hold.

use super::model::{ChangeMonitor, MonitorConfig};
use super::schedule::Zone;
use crate::ErrorTrackingError;

/// The longest slug; Sentry's limit.
pub(super) const SLUG_CHARS_MAX: usize = 50;

const NAME_CHARS_MAX: usize = 128;
pub(super) const MARGIN_MINUTES_MAX: u32 = 1_440;
/// 28 days.
pub(super) const RUNTIME_MINUTES_MAX: u32 = 40_320;
pub(super) const THRESHOLD_MAX: u32 = 100;

/// The change with its name filled in.
///
/// # Errors
/// Which field is wrong, and why.
pub(super) fn checked(change: ChangeMonitor) -> Result<ChangeMonitor, ErrorTrackingError> {
    let slug_is_good =
        !change.slug.is_empty() && slug_of(&change.slug).as_deref() == Some(change.slug.as_str());
    if !slug_is_good {
        return Err(invalid(format!(
            "slug: must be of lower-case letters, digits, _ and -, at most {SLUG_CHARS_MAX}"
        )));
    }
    let name = change.name.trim();
    let name = if name.is_empty() { change.slug.clone() } else { name.to_owned() };
    if name.chars().count() > NAME_CHARS_MAX || name.contains('\0') {
        return Err(invalid(format!("name: must have at most {NAME_CHARS_MAX} characters")));
    }
    check_config(&change.config)?;
    Ok(ChangeMonitor { name, ..change })
}

fn check_config(config: &MonitorConfig) -> Result<(), ErrorTrackingError> {
    if Zone::find(&config.time_zone).is_none() {
        return Err(invalid(
            "timezone: must be the name of an IANA time zone such as Europe/Berlin or UTC".to_owned(),
        ));
    }
    let limits = [
        ("checkin_margin", config.margin_minutes, MARGIN_MINUTES_MAX, "minutes"),
        ("max_runtime", config.max_runtime_minutes, RUNTIME_MINUTES_MAX, "minutes"),
        ("failure_issue_threshold", config.failure_threshold, THRESHOLD_MAX, "runs"),
        ("recovery_threshold", config.recovery_threshold, THRESHOLD_MAX, "runs"),
    ];
    for (field, value, most, unit) in limits {
        if !(1..=most).contains(&value) {
            return Err(invalid(format!("{field}: must be from 1 to {most} {unit}")));
        }
    }
    Ok(())
}

/// A name as a slug: lower case, other characters as `-`, cut to 50; `None` if nothing is left.
pub(super) fn slug_of(name: &str) -> Option<String> {
    let slug: String = name
        .trim()
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '-' })
        .take(SLUG_CHARS_MAX)
        .collect();
    Some(slug).filter(|slug| slug.bytes().any(|byte| byte.is_ascii_alphanumeric()))
}

fn invalid(why: String) -> ErrorTrackingError {
    ErrorTrackingError::InvalidQuery(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_made_of_names() {
        assert_eq!(slug_of(" Nightly Backup/1 ").as_deref(), Some("nightly-backup-1"));
        assert_eq!(slug_of("größe").as_deref(), Some("gr--e"));
        assert_eq!(slug_of("--"), None);
        assert_eq!(slug_of(&"x".repeat(60)).map(|slug| slug.len()), Some(50));
    }

    #[test]
    fn settings_outside_their_limits_name_their_field() {
        let change = |config| ChangeMonitor { slug: "backup".to_owned(), name: String::new(), config };
        let good = MonitorConfig::new("@daily".parse().unwrap());
        assert_eq!(checked(change(good.clone())).unwrap().name, "backup");
        let error = |config| checked(change(config)).unwrap_err().to_string();
        let zone = MonitorConfig { time_zone: "Mars/Olympus".to_owned(), ..good.clone() };
        assert_eq!(
            error(zone),
            "timezone: must be the name of an IANA time zone such as Europe/Berlin or UTC"
        );
        let margin = MonitorConfig { margin_minutes: 0, ..good.clone() };
        assert_eq!(error(margin), "checkin_margin: must be from 1 to 1440 minutes");
        let threshold = MonitorConfig { failure_threshold: 101, ..good.clone() };
        assert_eq!(error(threshold), "failure_issue_threshold: must be from 1 to 100 runs");
        let slug = ChangeMonitor { slug: "Back up".to_owned(), ..change(good) };
        assert!(checked(slug).is_err());
    }
}
