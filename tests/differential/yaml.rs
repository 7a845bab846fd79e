//! JSON values as YAML that is pleasant to read.

use serde_json::Value as Json;

pub fn document(value: &Json) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Json, indent: usize, text: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Json::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                text.push_str(&format!("{pad}{}:", Json::from(name.as_str())));
                inner(member, indent, text);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for item in items {
                text.push_str(&format!("{pad}-"));
                inner(item, indent, text);
            }
        }
        plain => text.push_str(&format!("{pad}{plain}\n")),
    }
}

fn inner(value: &Json, indent: usize, text: &mut String) {
    let is_nested = value.as_object().is_some_and(|it| !it.is_empty())
        || value.as_array().is_some_and(|it| !it.is_empty());
    if is_nested {
        text.push('\n');
        block(value, indent + 2, text);
    } else {
        text.push_str(&format!(" {value}\n"));
    }
}
