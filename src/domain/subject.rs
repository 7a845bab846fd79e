//! Who: subjects, and the people (or the system) that act on them.

use std::collections::BTreeMap;
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
    #[serde(default, skip_serializing_if = "Identities::is_usual")]
    pub identities: Identities,
}

/// By what two identities are known to be one human being, besides the subject: the configured
/// `identity_keys`. Without any configured it is the e-mail address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identities {
    /// Verified claims by their names; none empty.
    pub claims: BTreeMap<Arc<str>, Arc<str>>,
    /// The e-mail address is not among the keys: several people may share one.
    pub shares_email: bool,
}

impl Identities {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    fn agree(&self, other: &Self) -> bool {
        let same = |(name, value): (&Arc<str>, &Arc<str>)| {
            let others = other.claims.get(name).filter(|_| !value.trim().is_empty());
            others.is_some_and(|others| others.to_lowercase() == value.to_lowercase())
        };
        self.claims.iter().any(same)
    }
}

impl Person {
    #[must_use]
    pub fn in_any_group(&self, groups: &[Arc<str>]) -> bool {
        groups.iter().any(|group| self.groups.contains(group))
    }

    /// Somebody of whom nothing but the name is known.
    #[must_use]
    pub fn named(subject: Subject) -> Self {
        let identities = Identities::default();
        Self { subject, email: None, groups: Vec::new(), scopes: Vec::new(), identities }
    }

    /// The same human being: the same subject, or another identity that agrees in one of the
    /// identity keys: nobody approves their own request through a second one. An e-mail address
    /// counts unless it counted for neither when their tokens were read.
    #[must_use]
    pub fn is_same_person(&self, other: &Self) -> bool {
        let mail_counts = !(self.identities.shares_email && other.identities.shares_email);
        let same_mail = match (&self.email, &other.email) {
            (Some(one), Some(two)) => mail_counts && is_same_mail(one, two),
            (Some(_) | None, None) | (None, Some(_)) => false,
        };
        self.subject == other.subject || same_mail || self.identities.agree(&other.identities)
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
pub(super) fn is_same_mail(one: &str, two: &str) -> bool {
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
        Person { email: Some(email.into()), ..Person::named(subject) }
    }

    fn employee(name: &str, email: &str, number: &str) -> Person {
        let claims = BTreeMap::from([("employee_id".into(), number.into())]);
        let identities = Identities { claims, shares_email: false };
        Person { identities, ..person(name, email) }
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

    #[test]
    fn one_claim_that_agrees_makes_two_identities_the_same_person() {
        let one = employee("one", "one@example.test", "E-12");
        assert!(one.is_same_person(&employee("two", "two@example.test", "e-12")));
        assert!(!one.is_same_person(&employee("two", "two@example.test", "E-13")));
        assert!(!one.is_same_person(&person("two", "two@example.test")));
        let empty = employee("one", "one@example.test", " ");
        assert!(!empty.is_same_person(&employee("two", "two@example.test", " ")));
    }

    #[test]
    fn an_address_that_people_share_counts_unless_both_tokens_were_read_without_it() {
        let shares = |name| {
            let identities = Identities { shares_email: true, ..Identities::default() };
            Person { identities, ..person(name, "team@example.test") }
        };
        assert!(!shares("one").is_same_person(&shares("two")));
        assert!(shares("one").is_same_person(&shares("one")));
        // A record from before the address was taken off the keys.
        assert!(person("one", "team@example.test").is_same_person(&shares("two")));
    }

    #[test]
    fn a_record_of_a_person_without_identities_is_read_as_before() {
        let text = r#"{"subject":{"issuer":"i","name":"n"},"email":"n@example.test"}"#;
        let read: Person = serde_json::from_str(text).expect("a record");
        assert_eq!(read.identities, Identities::default());
        assert!(!serde_json::to_string(&read).expect("a record").contains("identities"));
    }
}
