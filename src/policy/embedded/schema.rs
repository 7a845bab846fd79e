//! JSON schemas of attributes: compiled at load, from files of the policy directory alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, Retrieve, Uri, Validator};
use rustc_hash::FxHashMap;
use serde_json::Value;

use super::pattern::Pattern;
use super::snapshot::Snapshot;

/// What is demanded of the attributes of a kind.
#[derive(Debug, Default)]
pub(super) struct Schemas {
    pub principal: Option<Schema>,
    pub resource: Option<Schema>,
}

#[derive(Debug)]
pub(super) struct Schema {
    pub validator: Arc<Validator>,
    /// Actions that need no valid attributes.
    pub ignored: Vec<Pattern>,
}

/// One thing that is wrong with attributes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ValidationError {
    pub path: String,
    pub message: String,
    pub source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Source {
    #[serde(rename = "SOURCE_PRINCIPAL")]
    Principal,
    #[serde(rename = "SOURCE_RESOURCE")]
    Resource,
}

const MAX_ERRORS: usize = 32;

impl Schema {
    /// Whether any of the actions needs valid attributes.
    pub fn applies(&self, actions: &[&str]) -> bool {
        actions.iter().any(|action| !self.ignored.iter().any(|pattern| pattern.matches(action)))
    }

    /// Attributes without which nothing passes, whatever the action.
    pub fn demanded(&self) -> Vec<String> {
        if !self.ignored.is_empty() {
            return Vec::new();
        }
        let nothing = Value::Object(serde_json::Map::new());
        let errors = self.validator.iter_errors(&nothing).take(MAX_ERRORS);
        let names = errors.filter_map(|error| match error.kind() {
            ValidationErrorKind::Required { property } => property.as_str().map(str::to_owned),
            _ => None,
        });
        names.collect()
    }

    pub fn errors(&self, attributes: &Value, source: Source, found: &mut Vec<ValidationError>) {
        for error in self.validator.iter_errors(attributes).take(MAX_ERRORS) {
            let path = error.instance_path().to_string();
            let path = if path.is_empty() { "/".to_owned() } else { path };
            // Without the value: it may be a secret.
            let message = error.masked().to_string();
            found.push(ValidationError { path, message, source });
        }
    }
}

/// The schemas of a directory, each compiled once.
pub(super) struct Loader {
    files: Files,
    known: FxHashMap<String, Result<Arc<Validator>, String>>,
}

impl Loader {
    pub fn new(snapshot: &Snapshot) -> Self {
        Self { files: Files(Arc::new(snapshot.schemas())), known: FxHashMap::default() }
    }

    /// # Errors
    /// It does not exist, is no schema, or lies elsewhere.
    pub fn load(&mut self, reference: &str) -> Result<Arc<Validator>, String> {
        if let Some(known) = self.known.get(reference) {
            return known.clone();
        }
        let loaded = self.compile(reference).map_err(|why| format!("schema '{reference}': {why}"));
        self.known.insert(reference.to_owned(), loaded.clone());
        loaded
    }

    fn compile(&self, reference: &str) -> Result<Arc<Validator>, String> {
        let schema = self.files.read(reference)?;
        let base = format!("cerbos:///{}", relative(reference)?);
        jsonschema::options()
            .with_retriever(self.files.clone())
            .with_base_uri(base)
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::regex())
            .build(&schema)
            .map(Arc::new)
            .map_err(|error| error.to_string())
    }
}

/// By their path below `_schemas`.
#[derive(Clone)]
struct Files(Arc<BTreeMap<PathBuf, Result<String, String>>>);

impl Files {
    fn read(&self, reference: &str) -> Result<Value, String> {
        let text = self.0.get(Path::new(relative(reference)?));
        let text = text.ok_or_else(|| "cannot be read: there is no such file".to_owned())?;
        let text = text.as_ref().map_err(String::clone)?;
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}

impl Retrieve for Files {
    fn retrieve(
        &self,
        uri: &Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.read(uri.as_str())?)
    }
}

/// Inside of the folder: nothing is fetched from elsewhere.
fn relative(reference: &str) -> Result<&str, String> {
    let path = reference.split('#').next().unwrap_or_default();
    let path = match path.split_once(':') {
        Some(("cerbos", path)) => path.trim_start_matches('/'),
        Some(_) => return Err("only cerbos:/// is supported".to_owned()),
        None => path.trim_start_matches('/'),
    };
    if path.is_empty() || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("the path is not inside of the schemas".to_owned());
    }
    Ok(path)
}
