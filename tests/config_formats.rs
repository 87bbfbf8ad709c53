//! The formats of a configuration: JSON, and a serialized `google.protobuf.Struct`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

use std::collections::BTreeMap;

use peergate_filter::config::{self, Environment, Errors, Loaded};
use prost::Message as _;
use prost_types::value::Kind;
use serde_json::{Value, json};

const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const SHARED: &str = "shared-secret-that-nobody-may-see-0123456789";

fn environment() -> Environment {
    Environment {
        variables: [("SEED", SEED), ("SHARED", SHARED)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        workload: Some("charlie".into()),
        namespace: Some("agents".into()),
    }
}

fn load(bytes: &[u8]) -> Result<Loaded, Errors> {
    config::from_plugin_configuration(bytes, &environment())
}

fn refusal(bytes: &[u8]) -> String {
    load(bytes).unwrap_err().to_string()
}

/// As Envoy hands over the same configuration, written as a `Struct`.
fn serialized(document: &Value) -> Vec<u8> {
    let Some(Kind::StructValue(root)) = kind(document) else {
        panic!("not an object")
    };
    root.encode_to_vec()
}

fn kind(value: &Value) -> Option<Kind> {
    let inner = |value: &Value| prost_types::Value { kind: kind(value) };
    Some(match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(entries) => {
            let values = entries.iter().map(inner).collect();
            Kind::ListValue(prost_types::ListValue { values })
        }
        Value::Object(members) => {
            let fields = members
                .iter()
                .map(|(name, value)| (name.clone(), inner(value)))
                .collect();
            Kind::StructValue(prost_types::Struct { fields })
        }
    })
}

fn with_number(number: f64) -> Vec<u8> {
    let value = |kind| prost_types::Value { kind: Some(kind) };
    let limits = [("max_token_bytes".to_owned(), value(Kind::NumberValue(number)))].into();
    let inbound = [(
        "limits".to_owned(),
        value(Kind::StructValue(prost_types::Struct { fields: limits })),
    )]
    .into();
    let fields = BTreeMap::from([
        ("version".to_owned(), value(Kind::NumberValue(1.0))),
        (
            "inbound".to_owned(),
            value(Kind::StructValue(prost_types::Struct { fields: inbound })),
        ),
    ]);
    prost_types::Struct { fields }.encode_to_vec()
}

/// Every member that is supported.
fn full() -> Value {
    serde_saphyr::from_str(include_str!("policies/full.yaml")).unwrap()
}

#[test]
fn json_and_a_struct_say_the_same() {
    let from_json = load(full().to_string().as_bytes()).unwrap();
    let from_struct = load(&serialized(&full())).unwrap();
    assert_eq!(from_json.warnings, from_struct.warnings);
    assert!(from_json.warnings.len() > 5);

    let mut wrong = full();
    wrong["inbound"]["limits"]["max_token_bytes"] = json!(0);
    wrong["inbound"]["rules"][0]["match"]["paths"][0] = json!("//");
    let (json, protobuf) = (
        refusal(wrong.to_string().as_bytes()),
        refusal(&serialized(&wrong)),
    );
    assert_eq!(json, protobuf);
    assert_eq!(
        json,
        "inbound.limits.max_token_bytes: expected an integer from 1 to 65536, found `0`\n\
         inbound.rules[0].match.paths[0]: path holds `//`"
    );
}

#[test]
fn both_may_begin_alike() {
    // A name and a value of 123 bytes together: tag 1, then the length, which is `{`.
    let name = "a".repeat(100);
    let document = serialized(&json!({ name.clone(): "b".repeat(17) }));
    assert_eq!(document.get(..2), Some(b"\n{".as_slice()));
    assert!(
        refusal(&document).contains(&format!("{name}: is unknown")),
        "{}",
        refusal(&document)
    );
    assert!(load(b"\n{\"version\": 1, \"inbound\": {}}").is_ok());
    assert!(load(b" \t{\"version\": 1, \"inbound\": {}}\n").is_ok());
}

#[test]
fn what_is_neither() {
    let neither = |fault: &str| {
        format!(
            "configuration: is neither JSON nor a serialized google.protobuf.Struct: {fault}\n  \
             help: Envoy hands JSON from a StringValue and protobuf from a google.protobuf.Struct; YAML is not read here"
        )
    };
    assert_eq!(
        refusal(b"version: 1\ninbound: {}\n"),
        neither("invalid JSON at line 1 column 1")
    );
    assert_eq!(
        refusal(b"{\"version\": 1,\n \"inbound\": {]}"),
        neither("invalid JSON at line 2 column 14")
    );
    assert_eq!(
        refusal(b"{\"version\": 1"),
        neither("invalid JSON at line 1 column 13")
    );
    assert_eq!(
        refusal(b"{\"version\": \"\xff\"}"),
        neither("not UTF-8 after 13 bytes")
    );

    let good = serialized(&json!({"version": 1, "inbound": {}}));
    assert!(load(&good).is_ok());
    let spoilt = |bytes: Vec<u8>| {
        let text = refusal(&bytes);
        assert!(text.starts_with("configuration: is neither JSON nor"), "{text}");
    };
    // Cut off, with a field that nobody knows, and with a member that stands twice.
    spoilt(good[..good.len() - 1].to_vec());
    spoilt([good.as_slice(), &[0x10, 0x01]].concat());
    spoilt([good.as_slice(), &good].concat());
}

#[test]
fn json_that_can_be_read_in_two_ways() {
    for (bytes, fault) in [
        (
            &b"{\"version\": 1, \"version\": 1}"[..],
            "duplicate member `version`",
        ),
        (
            b"{\"inbound\": {\"rules\": [], \"rul\\u0065s\": []}}",
            "duplicate member `rules`",
        ),
        (b"\xef\xbb\xbf{}", "starts with a byte order mark"),
        (b"[]", "not a JSON object"),
        (b"\"version\"", "not a JSON object"),
    ] {
        assert_eq!(
            refusal(bytes),
            format!("configuration: is not accepted as JSON: {fault}")
        );
    }
}

#[test]
fn nothing_at_all() {
    for bytes in [&b""[..], b" \n\t"] {
        assert_eq!(
            refusal(bytes),
            "configuration: is empty\n  help: write `version: 1`, and `inbound`, `outbound` or both"
        );
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| (1..depth).fold(json!({}), |inner, _| json!({ "a": inner }));
    assert!(refusal(nested(32).to_string().as_bytes()).contains("a: is unknown"));
    assert!(refusal(&serialized(&nested(32))).contains("a: is unknown"));
    assert_eq!(
        refusal(nested(33).to_string().as_bytes()),
        "configuration: is not accepted as JSON: nested deeper than 32"
    );
    assert_eq!(
        refusal(&serialized(&nested(33))),
        format!("{}: is nested deeper than 32", ["a"; 32].join("."))
    );
    let list = (1..40).fold(json!([]), |inner, _| json!([inner]));
    assert_eq!(
        refusal(&serialized(&json!({ "a": list }))),
        format!("a{}: is nested deeper than 32", "[0]".repeat(31))
    );
    let bomb = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    assert_eq!(
        refusal(bomb.as_bytes()),
        "configuration: is not accepted as JSON: nested deeper than 32"
    );
}

#[test]
fn numbers_of_a_struct_are_doubles() {
    assert!(load(&with_number(1024.0)).is_ok());
    let refused = |number: f64, problem: &str| {
        assert_eq!(
            refusal(&with_number(number)),
            format!("inbound.limits.max_token_bytes: {problem}")
        );
    };
    refused(1.5, "expected an integer from 1 to 65536, found `1.5`");
    refused(-1.0, "expected an integer from 1 to 65536, found `-1`");
    refused(-0.0, "expected an integer from 1 to 65536, found `0`");
    refused(1e300, "expected an integer from 1 to 65536, found `1e+300`");
    refused(f64::NAN, "is not a finite number");
    refused(f64::NEG_INFINITY, "is not a finite number");
}

#[test]
fn a_value_of_a_struct_is_of_a_kind() {
    let fields = BTreeMap::from([("version".to_owned(), prost_types::Value { kind: None })]);
    assert_eq!(
        refusal(&prost_types::Struct { fields }.encode_to_vec()),
        "version: has no value"
    );
}

#[test]
fn lists_and_maps_are_bounded() {
    let mut peers = serde_json::Map::new();
    for number in 0..10_001 {
        peers.insert(format!("peer-{number}"), json!({}));
    }
    let rules = vec![json!({"deny": true}); 10_001];
    let resource = |number| json!({"resource": format!("https://mcp.example/{number}")});
    let resources: Vec<_> = (0..101).map(resource).collect();
    assert_eq!(
        refusal(
            json!({"version": 1, "inbound": {"peers": peers, "rules": rules, "protected_resources": resources}})
                .to_string()
                .as_bytes()
        ),
        "inbound.peers: has more than 10000 entries\ninbound.protected_resources: has more than 100 entries\n\
         inbound.rules: has more than 10000 entries"
    );
}
