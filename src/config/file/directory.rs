//! The shape of `directory`.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::{Span, Text};

/// Who is in which group, for choosing whom to tell; never for deciding who may
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Directory {
    /// Group -> members
    pub groups: Option<BTreeMap<String, Vec<Member>>>,
    /// A YAML or JSON file with `groups`
    pub file: Option<Text>,
    pub http: Option<DirectoryHttp>,
}

/// Name of a subject, as the API writes it
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum Member {
    Name(Text),
    Person(PersonMember),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PersonMember {
    pub name: Text,
    pub email: Option<Text>,
}

/// Answers GET with `{"groups": {...}}`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct DirectoryHttp {
    pub url: Text,
    /// PEM with the roots that are trusted
    pub ca: Option<Text>,
    pub timeout: Option<Span>,
    pub refresh: Option<Span>,
}
