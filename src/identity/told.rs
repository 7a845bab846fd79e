//! A person as tools are told of them: header values, which do not change as long as the token does
//! not, and are made once.

use std::fmt::Write;
use std::sync::OnceLock;

use http::HeaderValue;

use crate::domain::subject::Person;

/// `None`: there is nothing to tell.
#[derive(Clone, Debug)]
pub struct Told {
    pub subject: Option<HeaderValue>,
    pub email: Option<HeaderValue>,
    /// Separated by commas.
    pub groups: Option<HeaderValue>,
}

/// Made when a tool is told for the first time.
#[derive(Clone, Debug, Default)]
pub struct Prepared(OnceLock<Box<Told>>);

impl Prepared {
    pub(super) fn of(&self, person: &Person) -> &Told {
        self.0.get_or_init(|| Box::new(Told::new(person)))
    }
}

impl Told {
    fn new(person: &Person) -> Self {
        // What `encoded` writes is visible ASCII.
        let value = |text: &str| HeaderValue::from_str(text).ok();
        let groups: Vec<String> = person.groups.iter().map(|group| encoded(group)).collect();
        Self {
            subject: value(&encoded(&person.subject.name)),
            email: person.email.as_ref().and_then(|email| value(&encoded(email))),
            groups: value(&groups.join(",")).filter(|_| !groups.is_empty()),
        }
    }
}

/// Visible ASCII but `%` and `,` stands for itself, every other byte (of the UTF-8) is `%XX`: a
/// value is never split, and can always be read back.
fn encoded(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' && byte != b',' {
            value.push(char::from(byte));
        } else {
            let _infallible = write!(value, "%{byte:02X}");
        }
    }
    value
}
