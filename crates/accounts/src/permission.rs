//! The one table that says what a role or a scope allows.

use crate::{AccountsError, Principal, Rights, Role, Scope};

/// Something that a principal may be allowed to do in its organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Permission {
    /// See which projects there are.
    ViewProjects,
    /// Read issues and events, and what became of everything that arrived.
    ViewIssues,
    /// Read releases, their numbers, deploys and commits.
    ViewReleases,
    /// Resolve, ignore, assign and delete issues.
    ManageIssues,
    /// Make, change and delete releases, and upload source maps and other files of theirs.
    UploadReleaseFiles,
    /// See, replay and discard what could not be digested: raw payloads.
    ReplaySetAside,
    /// Read the product's numbers.
    ViewAnalytics,
    /// Keep questions to the product's numbers, and make dashboards and cohorts.
    ManageInsights,
    /// Decide who gets what of the product.
    ManageFeatureFlags,
    /// Show a dashboard to whoever has a link.
    ShareDashboards,
    /// See ingest keys and DSNs.
    ViewKeys,
    /// Make, change and revoke ingest keys.
    ManageKeys,
    /// Make and change projects.
    ManageProjects,
    /// See who the members are.
    ViewMembers,
    /// Invite and remove members and change their roles, owners excepted.
    ManageMembers,
    /// List, make and revoke API tokens.
    ManageTokens,
    /// Read the audit log.
    ViewAudit,
    /// See who a subject is; every look is an audit entry.
    RevealSubjects,
    /// Change consent defaults and scrubbing rules, handle data-subject requests.
    ManagePrivacy,
    /// Rename the organisation.
    ManageOrganisation,
    /// Make and unmake owners.
    TransferOrganisation,
}

impl Permission {
    /// Every permission, in the order of the table.
    pub const ALL: [Self; 21] = [
        Self::ViewProjects,
        Self::ViewIssues,
        Self::ViewReleases,
        Self::ManageIssues,
        Self::UploadReleaseFiles,
        Self::ReplaySetAside,
        Self::ViewAnalytics,
        Self::ManageInsights,
        Self::ManageFeatureFlags,
        Self::ShareDashboards,
        Self::ViewKeys,
        Self::ManageKeys,
        Self::ManageProjects,
        Self::ViewMembers,
        Self::ManageMembers,
        Self::ManageTokens,
        Self::ViewAudit,
        Self::RevealSubjects,
        Self::ManagePrivacy,
        Self::ManageOrganisation,
        Self::TransferOrganisation,
    ];

    /// The permission as a word, for the audit log and for messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ViewProjects => "view_projects",
            Self::ViewIssues => "view_issues",
            Self::ViewReleases => "view_releases",
            Self::ManageIssues => "manage_issues",
            Self::UploadReleaseFiles => "upload_release_files",
            Self::ReplaySetAside => "replay_set_aside",
            Self::ViewAnalytics => "view_analytics",
            Self::ManageInsights => "manage_insights",
            Self::ManageFeatureFlags => "manage_feature_flags",
            Self::ShareDashboards => "share_dashboards",
            Self::ViewKeys => "view_keys",
            Self::ManageKeys => "manage_keys",
            Self::ManageProjects => "manage_projects",
            Self::ViewMembers => "view_members",
            Self::ManageMembers => "manage_members",
            Self::ManageTokens => "manage_tokens",
            Self::ViewAudit => "view_audit",
            Self::RevealSubjects => "reveal_subjects",
            Self::ManagePrivacy => "manage_privacy",
            Self::ManageOrganisation => "manage_organisation",
            Self::TransferOrganisation => "transfer_organisation",
        }
    }

    /// Who has the permission: the table, one line each.
    fn holders(self) -> (&'static [Role], &'static [Scope]) {
        use Role::{Admin, Analyst, Auditor, Member, Owner, PrivacyOfficer};
        match self {
            Self::ViewProjects => (
                &[Owner, Admin, Member, Analyst, Auditor, PrivacyOfficer],
                &[Scope::Read, Scope::Write, Scope::Admin],
            ),
            Self::ViewIssues => (&[Owner, Admin, Member, Analyst, PrivacyOfficer], &[Scope::Read]),
            // What builds and deploys releases asks about them as well.
            Self::ViewReleases => {
                (&[Owner, Admin, Member, Analyst, PrivacyOfficer], &[Scope::Read, Scope::Write])
            }
            Self::ManageIssues => (&[Owner, Admin, Member], &[Scope::Write]),
            Self::UploadReleaseFiles => (&[Owner, Admin, Member], &[Scope::Write]),
            Self::ReplaySetAside => (&[Owner, Admin], &[Scope::Admin]),
            Self::ViewAnalytics => (&[Owner, Admin, Member, Analyst], &[Scope::Read]),
            Self::ManageInsights => (&[Owner, Admin, Member, Analyst], &[Scope::Write]),
            Self::ManageFeatureFlags => (&[Owner, Admin, Member], &[Scope::Write]),
            Self::ShareDashboards => (&[Owner, Admin], &[Scope::Admin]),
            Self::ViewKeys => (&[Owner, Admin, Member], &[Scope::Admin]),
            Self::ManageKeys => (&[Owner, Admin], &[Scope::Admin]),
            Self::ManageProjects => (&[Owner, Admin], &[Scope::Admin]),
            Self::ViewMembers => (&[Owner, Admin, Member, Analyst, Auditor, PrivacyOfficer], &[Scope::Admin]),
            Self::ManageMembers => (&[Owner, Admin], &[Scope::Admin]),
            Self::ManageTokens => (&[Owner, Admin], &[]),
            Self::ViewAudit => (&[Owner, Admin, Auditor, PrivacyOfficer], &[]),
            Self::RevealSubjects => (&[Owner, Admin, PrivacyOfficer], &[]),
            Self::ManagePrivacy => (&[Owner, Admin, PrivacyOfficer], &[]),
            Self::ManageOrganisation => (&[Owner, Admin], &[]),
            Self::TransferOrganisation => (&[Owner], &[]),
        }
    }
}

impl Rights {
    /// Whether the role, or one of the scopes, has `permission`.
    #[must_use]
    pub fn allows(&self, permission: Permission) -> bool {
        let (roles, scopes) = permission.holders();
        match self {
            Self::Role(role) => roles.contains(role),
            Self::Scopes(held) => held.iter().any(|scope| scopes.contains(scope)),
        }
    }
}

impl Principal {
    /// Lets the principal pass only if it has `permission`.
    ///
    /// # Errors
    /// [`AccountsError::Forbidden`], which the edge writes into the audit log.
    pub fn require(&self, permission: Permission) -> Result<(), AccountsError> {
        if self.rights.allows(permission) { Ok(()) } else { Err(AccountsError::Forbidden(permission)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Owner, Admin, Member, Analyst, Auditor, privacy Officer (P); Read, Write, Admin scope. Written out, so that a
    /// change to the table has to be made twice.
    const TABLE: &str = "\
        view_projects         O A M N U P  r w a
        view_issues           O A M N - P  r - -
        view_releases         O A M N - P  r w -
        manage_issues         O A M - - -  - w -
        upload_release_files  O A M - - -  - w -
        replay_set_aside      O A - - - -  - - a
        view_analytics        O A M N - -  r - -
        manage_insights       O A M N - -  - w -
        manage_feature_flags  O A M - - -  - w -
        share_dashboards      O A - - - -  - - a
        view_keys             O A M - - -  - - a
        manage_keys           O A - - - -  - - a
        manage_projects       O A - - - -  - - a
        view_members          O A M N U P  - - a
        manage_members        O A - - - -  - - a
        manage_tokens         O A - - - -  - - -
        view_audit            O A - - U P  - - -
        reveal_subjects       O A - - - P  - - -
        manage_privacy        O A - - - P  - - -
        manage_organisation   O A - - - -  - - -
        transfer_organisation O - - - - -  - - -";

    #[test]
    fn every_role_and_scope_has_exactly_the_permissions_of_the_table() {
        let letters = "O A M N U P r w a".split(' ');
        let roles = Role::ALL.into_iter().map(Rights::Role);
        let holders: Vec<_> = roles
            .chain(Scope::ALL.into_iter().map(|scope| Rights::Scopes(vec![scope])))
            .zip(letters)
            .collect();
        assert_eq!(TABLE.lines().count(), Permission::ALL.len());
        for (line, permission) in TABLE.lines().zip(Permission::ALL) {
            let mut words = line.split_whitespace();
            assert_eq!(words.next(), Some(permission.as_str()));
            for ((rights, letter), expected) in holders.iter().zip(words.by_ref()) {
                let actual = if rights.allows(permission) { letter } else { "-" };
                assert_eq!(actual, expected, "{} {rights:?}", permission.as_str());
            }
            assert_eq!(words.next(), None);
        }
    }

    #[test]
    fn scopes_add_up_and_none_allow_nothing() {
        let both = Rights::Scopes(vec![Scope::Read, Scope::Write]);
        assert!(both.allows(Permission::ViewIssues) && both.allows(Permission::ManageIssues));
        assert!(!both.allows(Permission::ManageKeys));
        assert!(Permission::ALL.iter().all(|permission| !Rights::Scopes(Vec::new()).allows(*permission)));
    }
}
