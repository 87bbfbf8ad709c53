//! The JSON Schema of the configuration, for editors: they complete, explain and check a policy while it is written.
//!
//! `schema/peergate.schema.json` is written by hand, and `tests/schema.rs` holds it against the reader: every object has
//! the same members in both, with the same kinds of values, words and limits. The other two are made of it. A schema sees
//! one value at a time: whether a name is declared, a variable set or a key good, `peergate check` alone says.
//!
//! Draft 7, for this is what the language server behind the editors reads best.

use serde_json::{Map, Value, json};

/// The schema of a policy.
pub const POLICY: &str = include_str!("../schema/peergate.schema.json");

/// The schema of a configuration of Envoy: the policy's, wherever a filter of peergate has its configuration. All else
/// is left alone.
///
/// # Errors
/// Where the policy's schema is no JSON.
pub fn envoy() -> Result<String, serde_json::Error> {
    around("peergate within a configuration of Envoy", &[filter()])
}

/// The same for manifests of Kubernetes: `pluginConfig` of a WasmPlugin or a TrafficExtension, and an EnvoyFilter.
///
/// # Errors
/// Where the policy's schema is no JSON.
pub fn istio() -> Result<String, serde_json::Error> {
    around("peergate within manifests of Istio", &[plugin(), filter()])
}

/// Whatever is looked for may stand at any depth.
fn around(title: &str, places: &[(Value, Value)]) -> Result<String, serde_json::Error> {
    let policy: Map<String, Value> = serde_json::from_str(POLICY)?;
    let mut definitions = match policy.get("definitions") {
        Some(Value::Object(definitions)) => definitions.clone(),
        Some(_) | None => Map::new(),
    };
    let anywhere = json!({"$ref": "#/definitions/anywhere"});
    definitions.insert(
        "anywhere".to_owned(),
        // Not within the policy: an editor would offer there what may stand anywhere.
        places.iter().fold(
            json!({"items": anywhere, "additionalProperties": anywhere}),
            |elsewhere, (condition, here)| json!({"if": condition, "then": here, "else": elsewhere}),
        ),
    );
    let schema = json!({
        "$schema": policy.get("$schema"),
        "title": title,
        "description": "The policy is looked at where the plugin's name, or that of its module, says `peergate`.",
        "allOf": [anywhere],
        "definitions": definitions,
    });
    serde_json::to_string_pretty(&schema).map(|text| text + "\n")
}

/// `config` of Envoy's wasm filter, told by a name with `peergate` in it.
fn filter() -> (Value, Value) {
    let named = |path: &[&str]| {
        let name = json!({"type": "string", "pattern": NAMED});
        path.iter().rev().fold(
            name,
            |schema, member| json!({"properties": {*member: schema}, "required": [member]}),
        )
    };
    let condition = json!({
        // What is said of members holds of a list as well.
        "type": "object",
        "required": ["configuration"],
        "anyOf": [
            named(&["name"]),
            named(&["root_id"]),
            named(&["vm_config", "vm_id"]),
            named(&["vm_config", "code", "local", "filename"]),
            named(&["vm_config", "code", "remote", "http_uri", "uri"]),
        ],
    });
    let here = json!({"properties": {"configuration": {
        "if": {"properties": {"@type": {"const": STRUCT}}, "required": ["@type"]},
        "then": {"properties": {"value": policy()}},
    }}});
    (condition, here)
}

/// `pluginConfig` of Istio, told by the name of the image or of the plugin.
fn plugin() -> (Value, Value) {
    let named = |member: &str| json!({"properties": {member: {"type": "string", "pattern": NAMED}}, "required": [member]});
    let condition =
        json!({"type": "object", "required": ["pluginConfig"], "anyOf": [named("url"), named("pluginName")]});
    (condition, json!({"properties": {"pluginConfig": policy()}}))
}

fn policy() -> Value {
    json!({"$ref": "#/definitions/policy"})
}

const NAMED: &str = "[Pp]eergate";
const STRUCT: &str = "type.googleapis.com/google.protobuf.Struct";
