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
