//! What a source said of a resource, as a policy may see it.

use std::sync::Arc;

use serde_json::Value;

pub use crate::config::Attributes;
use crate::json_weight;

/// What the request says of itself; a source that says it is not listened to.
pub const OF_THE_REQUEST: [&str; 4] = ["tool", "method", "path", "host"];

/// Attributes, without those of the request. Cloning is cheap.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub attributes: Arc<Attributes>,
    /// The resource's own scope, when it has one.
    pub scope: Option<Arc<str>>,
    /// Whether something was left out.
    pub had_request_names: bool,
    /// About how many bytes the attributes take in memory.
    pub bytes: usize,
}

impl Known {
    /// # Errors
    /// The scope is no text: whose resource it is is not known.
    pub fn of(mut attributes: Attributes) -> Result<Self, &'static str> {
        let mut had_request_names = false;
        for name in OF_THE_REQUEST {
            had_request_names |= attributes.remove(name).is_some();
        }
        let scope = match attributes.get("scope") {
            None => None,
            Some(Value::String(scope)) => Some(scope.as_str().into()),
            Some(_) => return Err("the attribute scope is no text"),
        };
        let bytes = json_weight::object(&attributes);
        Ok(Self { attributes: Arc::new(attributes), scope, had_request_names, bytes })
    }
}
