//! Who: subjects, and the people (or the system) that act on them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::hash::{length, sha256};
use super::ids::{Partition, PartitionCount, hex};
use super::people::Member;

/// The first 16 bytes of SHA-256 over the issuer's length (8 bytes, big endian), the issuer and
/// the name, byte for byte. No separator can be smuggled in, and no two issuers share a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubjectKey(pub [u8; 16]);

impl SubjectKey {
    #[must_use]
    pub fn new(issuer: &str, name: &str) -> Self {
        let issuer = issuer.as_bytes();
        let sum = sha256(&[&length(issuer), issuer, name.as_bytes()]);
        let mut key = [0; 16];
        key.iter_mut().zip(sum).for_each(|(to, from)| *to = from);
        Self(key)
    }

    #[must_use]
    pub fn partition(self, count: PartitionCount) -> Partition {
        count.of(self.0)
    }
}

/// Thirty-two lower-case hexadecimal digits.
impl fmt::Display for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// A subject as its issuer names it: `name` is the value of the subject claim with the issuer's
/// `prefix` before it, and what the API, headers, events and policies show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    pub issuer: Arc<str>,
    pub name: Arc<str>,
}

impl Subject {
    #[must_use]
    pub fn new(issuer: &str, name: &str) -> Self {
        Self { issuer: issuer.into(), name: name.into() }
    }

    #[must_use]
    pub fn key(&self) -> SubjectKey {
        SubjectKey::new(&self.issuer, &self.name)
    }
}

/// What a verified token says about a person, as far as the approval rules ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub subject: Subject,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Arc<str>>,
    #[serde(default)]
    pub groups: Vec<Arc<str>>,
    /// The `scopes` claim, by which a template can be switched on for some requesters only.
    #[serde(default)]
    pub scopes: Vec<Arc<str>>,
}

impl Person {
    #[must_use]
    pub fn in_any_group(&self, groups: &[Arc<str>]) -> bool {
        groups.iter().any(|group| self.groups.contains(group))
    }

    /// The same human being: the same subject, or the same verified e-mail address through another
    /// identity: nobody approves their own request through a second one.
    #[must_use]
    pub fn is_same_person(&self, other: &Self) -> bool {
        let same_mail = match (&self.email, &other.email) {
            (Some(one), Some(two)) => is_same_mail(one, two),
            (Some(_) | None, None) | (None, Some(_)) => false,
        };
        self.subject == other.subject || same_mail
    }

    /// Whether an entry of a directory means this person: by the name that the API writes, or by the
    /// address. For choosing whom to tell: a directory names no issuers.
    #[must_use]
    pub fn is_named(&self, name: &str, email: Option<&str>) -> bool {
        let mails = self.email.as_deref().zip(email);
        *self.subject.name == *name || mails.is_some_and(|(one, two)| is_same_mail(one, two))
    }

    /// See [`Self::is_named`].
    #[must_use]
    pub fn is_member(&self, member: &Member) -> bool {
        self.is_named(&member.name, member.email.as_deref())
    }
}

/// Whether two addresses reach the same mailbox for all that can be known without asking: in any
/// case of any script, and with the root's dot after the domain or without it. Erring this way only
/// keeps somebody from deciding.
fn is_same_mail(one: &str, two: &str) -> bool {
    plain_mail(one) == plain_mail(two)
}

/// The spelling that all addresses of one mailbox share.
pub(super) fn plain_mail(mail: &str) -> String {
    mail.trim_end_matches('.').to_lowercase()
}

/// Who acts: somebody with a verified token, or Tidegate itself (a timer).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Actor {
    Person(Person),
    System,
}

impl Actor {
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Person(person) => &person.subject.name,
            Self::System => "system",
        }
    }

    #[must_use]
    pub fn person(&self) -> Option<&Person> {
        match self {
            Self::Person(person) => Some(person),
            Self::System => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str, email: &str) -> Person {
        let subject = Subject::new("https://idp.test", name);
        Person { subject, email: Some(email.into()), groups: Vec::new(), scopes: Vec::new() }
    }

    #[test]
    fn an_address_in_another_case_or_with_the_roots_dot_is_the_same_person() {
        let requester = person("one", "J\u{fc}rgen@Example.test");
        for same in ["J\u{dc}RGEN@EXAMPLE.TEST", "j\u{fc}rgen@example.test."] {
            assert!(requester.is_same_person(&person("two", same)), "{same}");
        }
        for other in ["jurgen@example.test", "j\u{fc}rgen@example.test.org"] {
            assert!(!requester.is_same_person(&person("two", other)), "{other}");
        }
    }
}
