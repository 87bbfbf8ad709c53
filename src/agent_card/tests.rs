//! Cards as the SDKs of A2A 1.3.0 and 0.3.26 write them (`tests/cards`), with every kind of scheme.

mod interfaces;
mod merged;
mod refused;
mod written;

use serde_json::json;

use super::*;

const V03: &str = include_str!("../../tests/cards/v03.json");
const V1: &str = include_str!("../../tests/cards/v1.json");
const HYBRID: &str = include_str!("../../tests/cards/hybrid.json");

/// A token of a provider with a code, or a key.
fn token_and_code() -> Security {
    Security {
        schemes: vec![
            scheme(
                "bearer",
                SchemeKind::Http {
                    scheme: "bearer".into(),
                    bearer_format: Some("JWT"),
                },
            ),
            totp(),
            scheme("apiKey", api_key(Place::Header, "X-Key")),
        ],
        alternatives: vec![
            requirement(&[(0, &["a2a.invoke"]), (1, &[])]),
            requirement(&[(2, &[])]),
        ],
    }
}

fn totp() -> Scheme {
    scheme("totp", api_key(Place::Header, "X-TOTP"))
}

fn scheme(name: &str, kind: SchemeKind) -> Scheme {
    Scheme {
        name: name.into(),
        kind,
        description: None,
    }
}

fn api_key(place: Place, name: &str) -> SchemeKind {
    SchemeKind::ApiKey {
        place,
        name: name.into(),
    }
}

fn requirement(schemes: &[(usize, &[&str])]) -> Requirement {
    let owned = |(scheme, scopes): &(usize, &[&str])| {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned());
        (*scheme, scopes.collect())
    };
    Requirement {
        schemes: schemes.iter().map(owned).collect(),
    }
}

const NOTHING: Security = Security {
    schemes: Vec::new(),
    alternatives: Vec::new(),
};

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn advertised(card: &Value, security: &Security, merge: Merge, fills_lists: bool) -> Value {
    let mut read = Card::read(card.to_string().as_bytes()).unwrap();
    read.advertise(security, merge, fills_lists);
    serde_json::from_slice(&read.to_bytes()).unwrap()
}

/// The card with its security replaced by members that are told.
fn with(card: &Value, members: Value) -> Value {
    let mut card = card.clone();
    let top = card.as_object_mut().unwrap();
    for name in [
        "securitySchemes",
        "security_schemes",
        "security",
        "securityRequirements",
        "security_requirements",
    ] {
        top.remove(name);
    }
    let Value::Object(mut members) = members else {
        panic!("no members")
    };
    top.append(&mut members);
    card
}

/// A card of each shape without skills, with these members.
fn small(shape: Shape, members: Value) -> Value {
    let v1 = json!([{"url": "https://a.example/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}]);
    let card = match shape {
        Shape::V03 => json!({"url": "https://a.example/"}),
        Shape::V1 => json!({"supportedInterfaces": v1}),
        Shape::Hybrid => json!({"supportedInterfaces": v1, "url": "https://a.example/"}),
    };
    with(&card, members)
}
