//! The people of the development identity provider.

/// One of them, as the claims say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DevUser {
    pub name: &'static str,
    pub groups: &'static [&'static str],
    pub roles: &'static [&'static str],
}

pub const PEOPLE: [DevUser; 5] = [
    DevUser { name: "alice", groups: &["engineering"], roles: &[] },
    DevUser { name: "bob", groups: &["engineering", "on-call-leads"], roles: &["approver"] },
    DevUser { name: "carol", groups: &["security", "engineering"], roles: &["approver", "admin"] },
    DevUser { name: "dave", groups: &["engineering"], roles: &["suspended"] },
    DevUser { name: "erin", groups: &["audit"], roles: &["auditor"] },
];

#[must_use]
pub fn named(name: &str) -> Option<DevUser> {
    PEOPLE.into_iter().find(|user| user.name == name)
}
