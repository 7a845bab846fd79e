//! The few messages of the PDP's API that the benchmark sends (Protocol Buffers encoding: varint tags
//! and lengths). Attributes are `google.protobuf.Value`.

use serde_json::Value;

/// `cerbos.request.v1.CheckResourcesRequest` with one resource.
pub fn check_resources(actions: &[&str], principal: &Value, resource: &Value) -> Vec<u8> {
    let mut who = Vec::new();
    text(&mut who, 1, "alice");
    text(&mut who, 3, "user");
    text(&mut who, 3, "editor");
    attributes(&mut who, 4, principal);
    let mut what = Vec::new();
    text(&mut what, 1, "document");
    text(&mut what, 3, "d-1");
    attributes(&mut what, 4, resource);
    let mut entry = Vec::new();
    for action in actions {
        text(&mut entry, 1, action);
    }
    message(&mut entry, 2, &what);
    let mut request = Vec::new();
    text(&mut request, 1, "bench");
    message(&mut request, 3, &who);
    message(&mut request, 4, &entry);
    request
}

/// The entry of the response's map of actions that says `EFFECT_ALLOW`.
pub fn allowed(action: &str) -> Vec<u8> {
    let mut entry = Vec::new();
    text(&mut entry, 1, action);
    entry.extend([2 << 3, 1]);
    let mut member = Vec::new();
    message(&mut member, 2, &entry);
    member
}

fn varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A field with a length: wire type 2.
fn message(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push((field << 3) | 2);
    varint(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn text(out: &mut Vec<u8>, field: u8, text: &str) {
    message(out, field, text.as_bytes());
}

fn attributes(out: &mut Vec<u8>, field: u8, attributes: &Value) {
    for (name, member) in attributes.as_object().into_iter().flatten() {
        let mut entry = Vec::new();
        text(&mut entry, 1, name);
        message(&mut entry, 2, &value(member));
        message(out, field, &entry);
    }
}

fn value(json: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match json {
        Value::Null => out.extend([1 << 3, 0]),
        Value::Number(number) => {
            out.push((2 << 3) | 1);
            out.extend(number.as_f64().unwrap_or_default().to_le_bytes());
        }
        Value::String(it) => text(&mut out, 3, it),
        Value::Bool(it) => out.extend([4 << 3, u8::from(*it)]),
        Value::Object(_) => {
            let mut members = Vec::new();
            attributes(&mut members, 1, json);
            message(&mut out, 5, &members);
        }
        Value::Array(items) => {
            let mut list = Vec::new();
            for item in items {
                message(&mut list, 1, &value(item));
            }
            message(&mut out, 6, &list);
        }
    }
    out
}
