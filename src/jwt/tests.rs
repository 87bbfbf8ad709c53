//! Tests of token verification, and the issuer that they share.

mod claims;
mod form;
mod signatures;

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_simple::algorithms::{ECDSAP256KeyPairLike, ES256KeyPair};
use p256::ecdsa::Signature;
use p256::ecdsa::signature::Signer as _;
use serde_json::json;

use super::*;
use crate::jwks::{Algorithm, KeySet, NoHostSignatures};

/// The time of every decision here.
const NOW: u64 = 1_800_000_000;

const ISSUER: &str = "https://idp.example/";

const KID: &str = "2026-09";

fn now() -> UnixTime {
    UnixTime::from_seconds(NOW)
}

fn key_pair() -> ES256KeyPair {
    ES256KeyPair::from_bytes(&[7; 32]).unwrap()
}

fn key_set(keys: impl Into<Value>) -> KeySet {
    let document = json!({ "keys": keys.into() });
    let set = KeySet::from_jwks(document.as_object().unwrap()).unwrap();
    assert_eq!(set.skipped(), []);
    set
}

/// The issuer's one key.
fn keys() -> KeySet {
    let mut jwk: Value = serde_json::from_str(&key_pair().public_key().to_jwk()).unwrap();
    jwk["kid"] = KID.into();
    key_set([jwk])
}

fn provider() -> Provider {
    Provider {
        name: "idp".to_owned(),
        issuer: ISSUER.to_owned(),
        audiences: Audiences::OneOf(vec!["agents".to_owned(), "https://agents.example".to_owned()]),
        is_symmetric: false,
        algorithms: AlgorithmSet::of(&[Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa]),
        types: Vec::new(),
        clock_skew_seconds: 60,
        max_lifetime_seconds: None,
        required_claims: vec!["sub".to_owned()],
        subjects: Vec::new(),
    }
}

fn header() -> Value {
    json!({"alg": "ES256", "kid": KID})
}

fn good_claims() -> Value {
    json!({"iss": ISSUER, "sub": "mrpink", "aud": "agents", "iat": NOW - 10, "exp": NOW + 300})
}

/// The object with these members set in it; null takes a member away.
fn with(mut object: Value, members: Value) -> Value {
    let Value::Object(members) = members else { panic!() };
    let object_members = object.as_object_mut().unwrap();
    for (name, value) in members {
        if value.is_null() {
            object_members.remove(&name);
        } else {
            object_members.insert(name, value);
        }
    }
    object
}

/// Signs what may be no JSON at all with the issuer's key.
fn signed(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload)
    );
    let signature: Signature = key_pair().key_pair().as_ref().sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

fn token(claims: &Value) -> String {
    signed(header().to_string(), claims.to_string())
}

fn verify_at(provider: Provider, token: &str) -> Result<Verified, Error> {
    verify_with(provider, keys(), token)
}

fn verify_with(provider: Provider, keys: KeySet, token: &str) -> Result<Verified, Error> {
    let verifier = Verifier::new(vec![provider], 8192).unwrap();
    verify_among(&verifier, [Some(keys)], token)
}

/// With a key set for each of the providers.
fn verify_among(
    verifier: &Verifier,
    keys: impl IntoIterator<Item = Option<KeySet>>,
    token: &str,
) -> Result<Verified, Error> {
    let keys = KeySets::new(keys.into_iter().map(|set| set.map(Rc::new)));
    verifier.verify(token.as_bytes(), means(&keys), now())
}

fn means(keys: &KeySets) -> Means<'_> {
    Means {
        keys,
        signatures: &NoHostSignatures,
    }
}

/// The answer of the usual provider.
fn verify(token: &str) -> Result<Verified, Error> {
    verify_at(provider(), token)
}

/// The reason of a refusal; a token that passes fails the test.
#[track_caller]
fn refused(token: &str) -> Error {
    verify(token).unwrap_err()
}

#[test]
fn a_good_token() {
    let token = token(&good_claims());
    let verified = verify(&token).unwrap();
    assert_eq!(verified.provider(), 0);
    assert_eq!(Value::Object(verified.claims().clone()), good_claims());
    assert_eq!(Some(verified.payload()), token.split('.').nth(1));
    assert_eq!(verified.expires_at().seconds(), 1_800_000_300.0);
    assert!(keys().contains(verified.key()));
    assert_eq!(verified.audiences().collect::<Vec<_>>(), ["agents"]);
}

#[test]
fn the_provider_is_found_by_its_issuer() {
    let issuers = ["https://idp.example", ISSUER, "https://IDP.example/"];
    let providers = issuers.map(|issuer| Provider {
        issuer: issuer.to_owned(),
        ..provider()
    });
    let verifier = Verifier::new(providers.into(), 8192).unwrap();
    for (index, issuer) in issuers.into_iter().enumerate() {
        let token = token(&with(good_claims(), json!({"iss": issuer})));
        let verified = verify_among(&verifier, issuers.map(|_| Some(keys())), &token).unwrap();
        assert_eq!(verified.provider(), index);
    }
}

#[test]
fn an_issuer_that_is_not_there() {
    let unknown = |issuer: Option<&str>| Error::IssuerUnknown {
        issuer: issuer.map(Excerpt::new),
    };
    for issuer in ["https://idp.example", "https://idp.example//", "", "api-key"] {
        let token = token(&with(good_claims(), json!({"iss": issuer})));
        assert_eq!(refused(&token), unknown(Some(issuer)));
    }
    let without = with(good_claims(), json!({"iss": null}));
    assert_eq!(refused(&token(&without)), unknown(None));
    for iss in ["null", "7", "[\"https://idp.example/\"]"] {
        let payload = format!("{{\"iss\":{iss},\"exp\":{}}}", NOW + 300);
        assert_eq!(refused(&signed(header().to_string(), payload)), unknown(None));
    }
}

#[test]
fn providers_that_do_not_go_together() {
    let new = |providers, limit| Verifier::new(providers, limit).map(|_| ()).unwrap_err();
    let repeated = ProvidersError::IssuerRepeated { first: 0, index: 2 };
    let other = Provider {
        issuer: "https://other.example".to_owned(),
        ..provider()
    };
    assert_eq!(new(vec![provider(), other, provider()], 8192), repeated);
    let reserved = Provider {
        issuer: RESERVED_ISSUER.to_owned(),
        ..provider()
    };
    assert_eq!(
        new(vec![provider(), reserved], 8192),
        ProvidersError::IssuerReserved { index: 1 }
    );
    assert_eq!(
        new(Vec::new(), 65_537),
        ProvidersError::TokenLimit { bytes: 65_537 }
    );
}

#[test]
fn keys_come_and_go() {
    let verifier = Verifier::new(vec![provider()], 8192).unwrap();
    let token = token(&good_claims());
    let verify = |keys| verify_among(&verifier, [keys], &token).map(|verified| verified.provider());
    assert_eq!(verify(None), Err(Error::KeysMissing { provider: 0 }));
    let unknown = Error::KeyUnknown {
        provider: 0,
        kid: Some(Excerpt::new(KID)),
    };
    assert_eq!(verify(Some(KeySet::default())), Err(unknown));
    assert_eq!(verify(Some(keys())), Ok(0));
    assert_eq!(verifier.providers().len(), 1);
}

#[test]
fn texts_for_the_operator() {
    let text = |claims: Value| refused(&token(&with(good_claims(), claims))).to_string();
    assert_eq!(
        text(json!({"exp": NOW - 60})),
        "expired at 1799999940, now 1800000000"
    );
    assert_eq!(
        text(json!({"nbf": 1e300})),
        "not valid before 1e+300, now 1800000000"
    );
    assert_eq!(
        text(json!({"iat": 1_800_000_060.5})),
        "issued at 1800000060.5, now 1800000000"
    );
    assert_eq!(text(json!({"iss": "a\nb"})), "unknown issuer `a\\nb`");
    assert_eq!(text(json!({"aud": ["x"]})), "audience `x` is not ours");
    assert_eq!(
        text(json!({"typ": "ID"})),
        "not an access token: claim `typ` is `ID` or `Logout`"
    );
    assert_eq!(text(json!({"sub": null})), "missing claim `sub`");
    assert_eq!(text(json!({"sub": 7})), "claim `sub` has the wrong type");
    assert_eq!(refused("a.b").to_string(), "2 segments, not 3");
    assert_eq!(
        refused("e30.e30.").to_string(),
        "header member `alg` is not a string"
    );
}
