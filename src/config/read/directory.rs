//! `directory`: groups and their members, inline, in a file, or as an endpoint answers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use serde_json::{Map as JsonMap, Value as Json};

use crate::config::load;
use crate::config::map::Map;
use crate::config::problems::Problems;
use crate::config::reader::{At, Context};
use crate::config::yaml::{Key, Node, Value};
use crate::config::{DirectoryConfig, DirectoryHttpConfig};
use crate::domain::people::{Groups, Member};

use super::providers::sources::protected;
use super::{files, word};

const SHAPE: &str = "a mapping with groups, file or http";
const GROUPS: &str =
    "groups with their members, like `sre: [bob, { name: ben, email: ben@x.com }]`";
const MEMBER: &str = "a name, or `{ name: ben, email: ben@example.com }`";
const EMAIL: &str = "an e-mail address like ben@example.com";
const URL: &str = "an address like https://directory.example.com/groups, without credentials";
/// The longest address that mail can be sent to (RFC 5321, section 4.5.3.1.3).
const LONGEST_EMAIL: usize = 254;
const MOST_GROUPS: usize = 10_000;
const MOST_MEMBERS: usize = 10_000;
const LEAST: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

pub fn directory(at: &At<'_>, strict: bool) -> Option<DirectoryConfig> {
    let map = at.map(SHAPE)?;
    let groups = map.or("groups", Groups::new(), |at| groups(at, Keys::Known));
    let file = map.maybe("file", file);
    let http = map.maybe("http", |at| http(at, strict));
    map.finish();
    Some(DirectoryConfig { groups: groups?, file: file?, http: http? })
}

/// What a file of a directory says.
///
/// # Errors
/// Every problem of the file.
pub fn directory_file(path: &Path) -> Result<Groups, Problems> {
    let context = Context::new(path, None);
    let read = |root: &At<'_>| document(root, Keys::Known);
    let found = load::read(path, &context, "`groups: { ... }`", read);
    concluded(context, found)
}

/// What an endpoint answered. Members beside those that are asked for are left out.
///
/// # Errors
/// Every problem of the answer.
pub fn directory_answer(answer: JsonMap<String, Json>) -> Result<Groups, Problems> {
    let context = Context::new(Path::new("the answer"), None);
    let node = node(Json::Object(answer));
    let found = document(&At::root(&context, &node), Keys::Any);
    concluded(context, found)
}

/// Whether a key that is not asked for is a problem.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    Known,
    Any,
}

impl Keys {
    fn check(self, map: &Map<'_>) {
        match self {
            Self::Known => map.finish(),
            Self::Any => (),
        }
    }
}

fn concluded(context: Context<'_>, found: Option<Groups>) -> Result<Groups, Problems> {
    let (problems, _) = context.finish();
    match found {
        Some(groups) if problems.is_empty() => Ok(groups),
        Some(_) | None => Err(Problems(problems)),
    }
}

fn document(at: &At<'_>, keys: Keys) -> Option<Groups> {
    let map = at.map("a mapping with groups")?;
    let groups = map.need("groups", GROUPS, |at| groups(at, keys));
    keys.check(&map);
    groups
}

fn groups(at: &At<'_>, keys: Keys) -> Option<Groups> {
    let map = at.map(GROUPS)?;
    let found = map.entries(|name, at| {
        let expected = "the name of a group: 1 to 256 characters without control characters";
        if !is_word(name) {
            return at.refuse_as("members of a group without a usable name", expected);
        }
        let members = at.list(GROUPS, |at| member(at, keys))?;
        if members.len() > MOST_MEMBERS {
            return at.refuse_as(format!("{} members", members.len()), "at most 10,000 members");
        }
        Some((Arc::from(name), members))
    })?;
    if found.len() > MOST_GROUPS {
        return at.refuse_as(format!("{} groups", found.len()), "at most 10,000 groups");
    }
    Some(found.into_iter().collect())
}

fn is_word(text: &str) -> bool {
    let fits = (1..=256).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    fits && text.trim() == text
}

fn member(at: &At<'_>, keys: Keys) -> Option<Member> {
    if at.is_list() {
        return at.refuse(MEMBER);
    }
    if !at.is_map() {
        return Some(Member { name: word(at)?, email: None });
    }
    let map = at.map(MEMBER)?;
    let name = map.need("name", "the subject's name, as the API writes it", word);
    let email = map.maybe("email", email);
    keys.check(&map);
    Some(Member { name: name?, email: email? })
}

fn email(at: &At<'_>) -> Option<Arc<str>> {
    let text = at.text(EMAIL)?;
    let parts = text.split_once('@').filter(|(user, host)| !user.is_empty() && !host.is_empty());
    let is_plain =
        !text.chars().any(|it| it.is_control() || it.is_whitespace() || "<>,;".contains(it));
    let fits = parts.is_some_and(|(_, host)| !host.contains('@')) && text.len() <= LONGEST_EMAIL;
    if fits && is_plain { Some(text.into()) } else { at.refuse(EMAIL) }
}

fn file(at: &At<'_>) -> Option<PathBuf> {
    let path = files::readable(at)?;
    match directory_file(&path) {
        Ok(_) => Some(path),
        Err(Problems(problems)) => {
            at.context.adopt(problems);
            None
        }
    }
}

fn http(at: &At<'_>, strict: bool) -> Option<DirectoryHttpConfig> {
    let map = at.map("`{ url: \"https://directory.example.com/groups\" }`")?;
    let url = map.need("url", URL, |at| url(at, strict));
    let ca = map.maybe("ca", files::readable);
    let timeout = map.or("timeout", SECOND * 2, |at| at.duration(&(LEAST..=SECOND * 30)));
    let refresh = map.or("refresh", SECOND * 60, |at| at.duration(&(SECOND..=SECOND * 86_400)));
    map.finish();
    Some(DirectoryHttpConfig { url: url?, ca: ca?, timeout: timeout?, refresh: refresh? })
}

fn url(at: &At<'_>, strict: bool) -> Option<Uri> {
    let text = at.text(URL)?;
    let Some(url) = text.parse::<Uri>().ok().filter(|_| !text.contains('#')) else {
        return at.refuse(URL);
    };
    let Some(authority) = url.authority().filter(|it| !it.as_str().contains('@')) else {
        return at.refuse(URL);
    };
    if !matches!(url.scheme_str(), Some("http" | "https")) {
        return at.refuse(URL);
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    protected(at, url.scheme_str() == Some("https"), host, strict, "https://")?;
    Some(url)
}

/// JSON as the tree that files are read from.
fn node(json: Json) -> Node {
    let plain = |text: String| Value::Scalar { text, plain: true };
    let value = match json {
        Json::Null => plain("null".to_owned()),
        Json::Bool(flag) => plain(flag.to_string()),
        Json::Number(number) => plain(number.to_string()),
        Json::String(text) => Value::Scalar { text, plain: false },
        Json::Array(items) => Value::List(items.into_iter().map(node).collect()),
        Json::Object(members) => {
            let member = |(text, value)| (Key { text, line: 1 }, node(value));
            Value::Map(members.into_iter().map(member).collect())
        }
    };
    Node { line: 1, value }
}
