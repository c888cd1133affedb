//! What may be said of a release, field by field.

use belvedere_kernel::Identity;

use super::model::{NewCommit, NewDeploy, ReleaseChange};
use crate::ErrorTrackingError;
use crate::event::clean;

/// The longest name of a release that the API takes, in characters, as with Sentry.
const VERSION_CHARS_MAX: usize = 200;

/// The most commits of a release.
pub(super) const COMMITS_MAX: usize = 1_000;

/// The longest message of a commit that is kept, in characters.
const MESSAGE_CHARS_MAX: usize = 200;

fn invalid(field: &'static str, why: impl Into<String>) -> ErrorTrackingError {
    ErrorTrackingError::Invalid { field, why: why.into() }
}

/// A release's name, without white space around it.
///
/// # Errors
/// [`ErrorTrackingError::Invalid`] for what cannot be one: nothing, more than 200 characters, control characters, and
/// the words that addresses and Sentry's tools give a meaning of their own.
pub(super) fn version(text: &str) -> Result<String, ErrorTrackingError> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > VERSION_CHARS_MAX {
        return Err(invalid("version", format!("must have from 1 to {VERSION_CHARS_MAX} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid("version", "must not contain line breaks, tabs or other control characters"));
    }
    if matches!(text, "." | "..") || text.eq_ignore_ascii_case("latest") {
        return Err(invalid("version", format!("must not be {text}")));
    }
    Ok(text.to_owned())
}

fn text(
    field: &'static str,
    text: Option<&String>,
    chars_max: usize,
) -> Result<Option<String>, ErrorTrackingError> {
    let Some(text) = text.map(|text| text.trim()).filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.chars().count() > chars_max {
        return Err(invalid(field, format!("must have at most {chars_max} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid(field, "must not contain control characters"));
    }
    Ok(Some(text.to_owned()))
}

fn url(field: &'static str, told: Option<&String>) -> Result<Option<String>, ErrorTrackingError> {
    let url = text(field, told, 1_000)?;
    let is_web = |url: &String| {
        let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        matches!(scheme.as_deref(), Some("http" | "https"))
    };
    if url.as_ref().is_some_and(|url| !is_web(url)) {
        return Err(invalid(field, "must be an address that begins with http:// or https://"));
    }
    Ok(url)
}

pub(super) fn change(change: &ReleaseChange) -> Result<ReleaseChange, ErrorTrackingError> {
    Ok(ReleaseChange {
        reference: text("ref", change.reference.as_ref(), 250)?,
        url: url("url", change.url.as_ref())?,
        ..change.clone()
    })
}

pub(super) fn deploy(deploy: &NewDeploy) -> Result<NewDeploy, ErrorTrackingError> {
    let environment = text("environment", Some(&deploy.environment), 64)?;
    Ok(NewDeploy {
        environment: environment.ok_or_else(|| invalid("environment", "must be given"))?,
        name: text("name", deploy.name.as_ref(), 64)?,
        url: url("url", deploy.url.as_ref())?,
        ..deploy.clone()
    })
}

/// Commits within limits, and who wrote each. What tools take from version control is cut rather than refused, but
/// for a commit without a name and for too many of them.
pub(super) fn commits(commits: Vec<NewCommit>) -> Result<Vec<(NewCommit, Identity)>, ErrorTrackingError> {
    if commits.len() > COMMITS_MAX {
        return Err(invalid("commits", format!("must be at most {COMMITS_MAX}")));
    }
    let cut =
        |text: Option<String>, chars| text.map(|text| clean(&text, chars)).filter(|text| !text.is_empty());
    let checked = commits.into_iter().map(|commit| {
        let revision = clean(&commit.revision, 64);
        if revision.is_empty() {
            return Err(invalid("commits", "each must have its id"));
        }
        let first_line = commit.message.and_then(|message| message.trim().lines().next().map(str::to_owned));
        let author = Identity {
            email: cut(commit.author_email, 200).filter(|email| email.contains('@')),
            name: cut(commit.author_name, 200),
            ..Identity::default()
        };
        // A name alone tells nobody apart; the gate would make no subject of it.
        let author = match (&author.email, &author.name) {
            (None, Some(name)) => Identity { username: Some(name.clone()), ..author },
            _ => author,
        };
        let commit = NewCommit {
            revision,
            repository: cut(commit.repository, 200),
            message: cut(first_line, MESSAGE_CHARS_MAX),
            committed_at: commit.committed_at,
            author_name: None,
            author_email: None,
        };
        Ok((commit, author))
    });
    checked.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_of<T>(result: Result<T, ErrorTrackingError>) -> &'static str {
        match result {
            Err(ErrorTrackingError::Invalid { field, .. }) => field,
            _ => "none",
        }
    }

    #[test]
    fn names_of_releases_are_checked() {
        assert_eq!(version(" @scope/shop@1.0.0 \n").unwrap(), "@scope/shop@1.0.0");
        for wrong in ["", " ", ".", "..", "latest", "Latest", "a\nb", "a\tb", &"x".repeat(201)] {
            assert_eq!(field_of(version(wrong)), "version", "{wrong}");
        }
        assert!(version(&"ü".repeat(200)).is_ok());
    }

    #[test]
    fn addresses_are_of_the_web() {
        let with =
            |url: &str| change(&ReleaseChange { url: Some(url.to_owned()), ..ReleaseChange::default() });
        assert_eq!(with("HTTPS://example.org/1").unwrap().url.as_deref(), Some("HTTPS://example.org/1"));
        assert_eq!(with(" ").unwrap().url, None);
        for wrong in ["javascript:alert(1)", "example.org", "data:text/html,x", "javascript://x"] {
            assert_eq!(field_of(with(wrong)), "url", "{wrong}");
        }
        assert_eq!(field_of(deploy(&NewDeploy::default())), "environment");
    }

    #[test]
    fn commits_keep_the_first_line_and_give_their_author_away() {
        let commit = NewCommit {
            revision: "8fea2d6".to_owned(),
            message: Some("Fix the till\n\nSigned-off-by: M <m@example.org>".to_owned()),
            author_name: Some("M. de Vries".to_owned()),
            author_email: Some("m@example.org".to_owned()),
            ..NewCommit::default()
        };
        let [(kept, author)] = commits(vec![commit]).unwrap().try_into().unwrap();
        assert_eq!(kept.message.as_deref(), Some("Fix the till"));
        assert_eq!((kept.author_name, kept.author_email), (None, None));
        assert_eq!(author.email.as_deref(), Some("m@example.org"));
        assert_eq!(field_of(commits(vec![NewCommit::default()])), "commits");
        let many = vec![NewCommit { revision: "a".to_owned(), ..NewCommit::default() }; 1_001];
        assert_eq!(field_of(commits(many)), "commits");
    }
}
