//! The messages of the Cerbos API that are used, as protobuf has them: `cerbos.request.v1`,
//! `cerbos.response.v1`, `cerbos.engine.v1`, and `grpc.health.v1`. Field numbers are those of Cerbos
//! 0.55; fields that are not asked for are left out, and skipped when they come.

use std::collections::BTreeMap;

use prost_types::Value;

pub const CHECK_RESOURCES: &str = "/cerbos.svc.v1.CerbosService/CheckResources";
pub const HEALTH: &str = "/grpc.health.v1.Health/Check";
/// The service that health is asked about.
pub const SERVICE: &str = "cerbos.svc.v1.CerbosService";
pub const SERVING: i32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckResourcesRequest {
    #[prost(string, tag = "1")]
    pub request_id: String,
    #[prost(bool, tag = "2")]
    pub include_meta: bool,
    #[prost(message, optional, tag = "3")]
    pub principal: Option<Principal>,
    #[prost(message, repeated, tag = "4")]
    pub resources: Vec<ResourceEntry>,
    #[prost(message, optional, tag = "5")]
    pub aux_data: Option<AuxData>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Principal {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, repeated, tag = "3")]
    pub roles: Vec<String>,
    #[prost(btree_map = "string, message", tag = "4")]
    pub attr: BTreeMap<String, Value>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ResourceEntry {
    #[prost(string, repeated, tag = "1")]
    pub actions: Vec<String>,
    #[prost(message, optional, tag = "2")]
    pub resource: Option<Resource>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Resource {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "3")]
    pub id: String,
    #[prost(btree_map = "string, message", tag = "4")]
    pub attr: BTreeMap<String, Value>,
    #[prost(string, tag = "5")]
    pub scope: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct AuxData {
    #[prost(message, optional, tag = "1")]
    pub jwt: Option<Jwt>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct Jwt {
    #[prost(string, tag = "1")]
    pub token: String,
}

impl std::fmt::Debug for Jwt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Jwt(not shown)")
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckResourcesResponse {
    #[prost(string, tag = "1")]
    pub request_id: String,
    #[prost(message, repeated, tag = "2")]
    pub results: Vec<ResultEntry>,
}

/// Maps are read as the lists of entries that they are on the wire, so that an entry that is there
/// twice is seen.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResultEntry {
    #[prost(message, optional, tag = "1")]
    pub resource: Option<ResultResource>,
    #[prost(message, repeated, tag = "2")]
    pub actions: Vec<ActionEffect>,
    #[prost(message, repeated, tag = "3")]
    pub validation_errors: Vec<ValidationError>,
    #[prost(message, optional, tag = "4")]
    pub meta: Option<Meta>,
    #[prost(message, repeated, tag = "5")]
    pub outputs: Vec<OutputEntry>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ResultResource {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub kind: String,
    #[prost(string, tag = "4")]
    pub scope: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ActionEffect {
    #[prost(string, tag = "1")]
    pub action: String,
    /// `cerbos.effect.v1.Effect`
    #[prost(int32, tag = "2")]
    pub effect: i32,
}

/// That there is one is all that is asked.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ValidationError {}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Meta {
    #[prost(message, repeated, tag = "1")]
    pub actions: Vec<ActionMeta>,
    #[prost(string, repeated, tag = "2")]
    pub effective_derived_roles: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ActionMeta {
    #[prost(string, tag = "1")]
    pub action: String,
    #[prost(message, optional, tag = "2")]
    pub matched: Option<EffectMeta>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct EffectMeta {
    #[prost(string, tag = "1")]
    pub matched_policy: String,
    #[prost(string, tag = "2")]
    pub matched_scope: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct OutputEntry {
    #[prost(string, tag = "1")]
    pub src: String,
    #[prost(message, optional, tag = "2")]
    pub val: Option<Value>,
    #[prost(string, tag = "3")]
    pub action: String,
    #[prost(string, tag = "4")]
    pub error: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct HealthRequest {
    #[prost(string, tag = "1")]
    pub service: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct HealthResponse {
    #[prost(int32, tag = "1")]
    pub status: i32,
}
