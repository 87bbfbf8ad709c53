//! What upstreams write into their agent cards.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Value, json};

use crate::door::{Door, get};
use crate::host::Response;

/// The key that signs assertions, and cards with them.
const KEY: &str = "-----BEGIN PRIVATE KEY----- MEECAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQcEJzAlAgEBBCCOmxCecZCYv5gEh98fXXfpyylgbr7SJjtfV8IT34T0sg== -----END PRIVATE KEY-----";

/// The bytes that are signed stand in the card: with claims in it, its signature would make a token of them, and whoever
/// believes assertions without a look at `typ` would believe it.
#[test]
fn an_upstream_has_no_token_signed_as_its_card() {
    let mut door = Door::with(json!({"inbound": {
        "agent_card": {"signed": "resign"},
        "forward": {"assertion": {
            "keys": [{"kid": "k", "key": {"inline": KEY}}],
            "issuer": "https://mesh.example",
            "audience": "https://agent.example",
            "jwks_path": "/.well-known/jwks.json",
        }},
    }}));
    let served = door.outputs(get("/.well-known/jwks.json")).texts;
    let (_, keys) = served.iter().find(|(what, _)| *what == "body").unwrap();
    let keys: Value = serde_json::from_str(keys).unwrap();
    let card = json!({
        "name": "Echo", "description": "", "version": "1", "x-more": "1", "skills": [],
        "supportedInterfaces": [
            {"url": "https://agent.example/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
        ],
    });
    // It is one that would be seen: without claims, the whole document is signed.
    assert_eq!(tokens(&mut door, &card, &keys), 1);
    let claims = json!({
        "iss": "https://mesh.example", "aud": "https://other.example", "sub": "admin", "exp": 4_000_000_000_u64,
        "nbf": 1, "iat": 1, "jti": "1", "idp_iss": "https://issuer.example", "peer": "mrpink", "act": {"sub": "a"},
        "amr": ["otp"],
    });
    for (name, value) in claims.as_object().unwrap() {
        let mut with_claim = card.clone();
        with_claim[name] = value.clone();
        assert_eq!(tokens(&mut door, &with_claim, &keys), 0, "{name}");
        with_claim
            .as_object_mut()
            .unwrap()
            .extend(claims.as_object().unwrap().clone());
        assert_eq!(tokens(&mut door, &with_claim, &keys), 0, "all, and {name}");
    }
}

/// How many of the signatures that a card comes out with are good for a token of the whole document.
fn tokens(door: &mut Door, card: &Value, keys: &Value) -> usize {
    let upstream = Response::new(200)
        .header("content-type", "application/json")
        .body(card.to_string());
    let forwarded = door.admits("the card", get("/.well-known/agent-card.json").upstream(upstream));
    let mut told: Value = serde_json::from_slice(&forwarded.response.body).unwrap();
    let signatures = told.as_object_mut().unwrap().remove("signatures").unwrap();
    assert!(!signatures.as_array().unwrap().is_empty());
    // No numbers but whole ones and ASCII alone: this is in RFC 8785.
    let payload = URL_SAFE_NO_PAD.encode(told.to_string());
    let jwk = &keys["keys"][0];
    let [x, y] = ["x", "y"].map(|name| jwk[name].as_str().unwrap());
    let key = DecodingKey::from_ec_components(x, y).unwrap();
    let is_good = |signature: &&Value| {
        let message = format!("{}.{payload}", signature["protected"].as_str().unwrap());
        let signature = signature["signature"].as_str().unwrap();
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, Algorithm::ES256).unwrap()
    };
    signatures.as_array().unwrap().iter().filter(is_good).count()
}

/// Clients take what they cannot read for a call without credentials, and of two spellings the one that comes later. Whoever
/// asks for less in a card than the rules want has honest clients send less, here or to whom they pass the card on.
#[test]
fn no_card_asks_for_less_than_the_rules_do() {
    let interface = json!({
        "url": "https://agent.example/totp", "protocolBinding": "JSONRPC", "protocolVersion": "1.0",
    });
    let own = json!({"apiKeySecurityScheme": {"location": "query", "name": "own"}});
    for merge in ["replace", "and"] {
        let mut door = Door::with(json!({"inbound": {"agent_card": {"merge": merge}}}));
        for members in [
            json!({}),
            json!({"securityRequirements": [{}]}),
            json!({"security_requirements": [{"schemes": {}}]}),
            json!({"security": [{}], "security_requirements": [{}]}),
            json!({"securityRequirements": [{"bearer": []}]}),
            json!({"securityRequirements": [{"schemes": null}, null, "bearer", {"Schemes": {}}]}),
            json!({"securityRequirements": {}, "securitySchemes": []}),
            json!({"securitySchemes": {"bearer": own, "totp": own, "totp_2": own}}),
            json!({"security_schemes": {"totp": own}, "securityRequirements": [{"schemes": {"totp": {}}}]}),
            json!({"skills": [{"securityRequirements": [{"schemes": {"totp": {}}}]}], "securitySchemes": {"totp": own}}),
        ] {
            let mut card = json!({"name": "Echo", "supportedInterfaces": [interface]});
            card.as_object_mut()
                .unwrap()
                .extend(members.as_object().unwrap().clone());
            let upstream = Response::new(200)
                .header("content-type", "application/json")
                .body(card.to_string());
            let forwarded = door.admits("the card", get("/.well-known/agent-card.json").upstream(upstream));
            let told: Value = serde_json::from_slice(&forwarded.response.body).unwrap();
            for other in ["security", "security_requirements", "security_schemes"] {
                assert!(told.get(other).is_none(), "{told}");
            }
            let alternatives = told["securityRequirements"].as_array().unwrap();
            assert!(!alternatives.is_empty(), "{told}");
            for alternative in alternatives {
                let names = alternative["schemes"].as_object().unwrap().keys();
                let asked: Vec<&Value> = names.map(|name| &told["securitySchemes"][name]).collect();
                let is_asked = |kind: &str, member: &str, value: &str| {
                    asked.iter().any(|scheme| scheme[kind][member] == value)
                };
                assert!(is_asked("httpAuthSecurityScheme", "scheme", "bearer"), "{told}");
                assert!(is_asked("apiKeySecurityScheme", "name", "X-TOTP"), "{told}");
            }
        }
    }
}
