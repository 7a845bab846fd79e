//! From a query to the request that the PDP is sent.

use std::collections::BTreeMap;

use prost_types::value::Kind;
use prost_types::{ListValue, NullValue, Struct, Value};

use super::messages::{AuxData, CheckResourcesRequest, Jwt, Principal, Resource, ResourceEntry};
use crate::policy::{Attributes, Query, RawToken};

pub fn question(query: &Query<'_>, send_token: bool) -> CheckResourcesRequest {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let token = query.token.filter(|_| send_token);
    let jwt = token.map(|RawToken(token)| Jwt { token: token.to_owned() });
    CheckResourcesRequest {
        request_id: query.decision.to_owned(),
        include_meta: true,
        principal: Some(Principal {
            id: query.principal.id.to_owned(),
            roles: owned(query.principal.roles),
            attr: members(query.principal.attr.attributes()),
        }),
        resources: vec![ResourceEntry {
            actions: owned(query.actions),
            resource: Some(Resource {
                kind: query.resource.kind.to_owned(),
                id: query.resource.id.to_owned(),
                attr: members(query.resource.attr.attributes()),
                scope: query.resource.scope.to_owned(),
            }),
        }],
        aux_data: jwt.map(|jwt| AuxData { jwt: Some(jwt) }),
    }
}

fn members(attributes: Attributes) -> BTreeMap<String, Value> {
    attributes.into_iter().map(|(name, it)| (name, value(it))).collect()
}

/// Numbers become doubles, as they do in the PDP's own JSON API.
fn value(json: serde_json::Value) -> Value {
    let kind = match json {
        serde_json::Value::Null => Kind::NullValue(NullValue::NullValue.into()),
        serde_json::Value::Bool(it) => Kind::BoolValue(it),
        // Every number of this form has a double; NaN is none that a PDP takes.
        serde_json::Value::Number(it) => Kind::NumberValue(it.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(it) => Kind::StringValue(it),
        serde_json::Value::Array(items) => {
            Kind::ListValue(ListValue { values: items.into_iter().map(value).collect() })
        }
        serde_json::Value::Object(it) => Kind::StructValue(Struct { fields: members(it) }),
    };
    Value { kind: Some(kind) }
}
