//! The custom fields of a request against those of its template.

use std::collections::BTreeMap;

use super::super::refused::FieldError;
use super::super::template::{Field, FieldKind, FieldValue};

pub(super) fn check(
    fields: &[Field],
    values: &BTreeMap<String, FieldValue>,
    errors: &mut Vec<FieldError>,
) {
    for field in fields {
        match values.get(field.name.as_ref()) {
            None if field.required => errors.push(required(field)),
            None => (),
            Some(value) => errors.extend(check_one(field, value)),
        }
    }
    for name in values.keys() {
        if !fields.iter().any(|field| *field.name == **name) {
            let known: Vec<&str> = fields.iter().map(|field| field.name.as_ref()).collect();
            let found: String = name.chars().take(64).collect();
            let detail = format!("expected one of [{}], found {found:?}", known.join(", "));
            errors.push(FieldError::new(pointer(&found), "unknown", detail));
        }
    }
}

fn check_one(field: &Field, value: &FieldValue) -> Option<FieldError> {
    let wrong = |code, detail: String| Some(FieldError::new(pointer(&field.name), code, detail));
    match (&field.kind, value) {
        (FieldKind::Text { .. }, FieldValue::Text(text))
            if field.required && text.trim().is_empty() =>
        {
            Some(required(field))
        }
        (FieldKind::Text { max }, FieldValue::Text(text)) => {
            let length = text.chars().count();
            let fits = length <= usize::try_from(*max).unwrap_or(usize::MAX);
            let detail = || format!("expected at most {max} characters, found {length}");
            if fits { None } else { wrong("too-long", detail()) }
        }
        (FieldKind::Select { options }, FieldValue::Text(text)) => {
            let offered = options.iter().any(|option| **option == **text);
            let detail = || format!("expected one of [{}]", options.join(", "));
            if offered { None } else { wrong("not-offered", detail()) }
        }
        (FieldKind::Checkbox, FieldValue::Bool(_)) | (FieldKind::Number, FieldValue::Number(_)) => {
            None
        }
        (FieldKind::Text { .. } | FieldKind::Select { .. }, _) => {
            wrong("wrong-type", "expected a string".to_owned())
        }
        (FieldKind::Checkbox, _) => wrong("wrong-type", "expected true or false".to_owned()),
        (FieldKind::Number, _) => wrong("wrong-type", "expected a number".to_owned()),
    }
}

fn required(field: &Field) -> FieldError {
    let detail = format!("the field {:?} is required", field.name);
    FieldError::new(pointer(&field.name), "required", detail)
}

/// A JSON pointer (RFC 6901) to a field.
fn pointer(name: &str) -> String {
    format!("/fields/{}", name.replace('~', "~0").replace('/', "~1"))
}
