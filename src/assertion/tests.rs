use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::*;
use crate::jwks::Algorithm;
use crate::signer::NoHostSigner;

const P256: &str = include_str!("../../tests/vectors/signer/p256.pem");
const RSA: &str = include_str!("../../tests/vectors/signer/rsa.pem");
const NOW: u64 = 1_234_567_890;

fn settings() -> Settings {
    Settings {
        header: "x-agent-assertion".into(),
        keys: vec![
            SigningKey::parse(P256, Algorithm::Es256, Some("new")).unwrap(),
            SigningKey::parse(RSA, Algorithm::Ps256, Some("old")).unwrap(),
        ],
        lacks_key: false,
        issuer: "https://mesh.example".into(),
        audience: "charlie".into(),
        claims: vec!["scope".into(), "dept".into()],
        lifetime_seconds: 60,
        jwks_path: Some("/.well-known/mesh/jwks.json".into()),
    }
}

fn assertion() -> Assertion {
    Assertion::new(settings())
}

fn random() -> Random {
    Random {
        jti: "j".into(),
        salt: [0; 32],
    }
}

fn claims() -> Claims {
    let claims = json!({"sub": "s", "act": {"sub": "a"}, "scope": "x y", "amr": ["otp"], "secret": 1});
    claims.as_object().unwrap().clone()
}

fn mint(assertion: &Assertion, has_otp: bool, not_after: Option<u64>) -> Minted {
    let subject = assertion.subject(Some("s"), "https://idp", Some("p"), &claims(), &["jwt"]);
    let now = UnixTime::from_seconds(NOW);
    assertion
        .mint(&subject, has_otp, not_after, now, &random(), &NoHostSigner)
        .unwrap()
}

/// Header and payload.
fn parts(token: &[u8]) -> [Value; 2] {
    let text = std::str::from_utf8(token).unwrap();
    let mut parts = text.split('.').map(|part| {
        let bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
        serde_json::from_slice(&bytes).unwrap_or_default()
    });
    [parts.next().unwrap(), parts.next().unwrap()]
}

#[test]
fn what_it_says() {
    let minted = mint(&assertion(), true, None);
    let [header, payload] = parts(&minted.value);
    assert_eq!(
        header,
        json!({"alg": "ES256", "kid": "new", "typ": "peergate+jwt"})
    );
    assert_eq!(
        payload,
        json!({
            "iss": "https://mesh.example", "aud": "charlie", "sub": "s", "idp_iss": "https://idp", "peer": "p",
            "act": {"sub": "a"}, "scope": "x y", "amr": ["jwt", "otp"], "iat": NOW, "exp": NOW + 60, "jti": "j",
        })
    );
    let [_, payload] = parts(&mint(&assertion(), false, None).value);
    assert_eq!(payload["amr"], json!(["jwt"]));
}

/// What a token of an issuer says of its own login is not what was checked here.
#[test]
fn otp_is_only_said_where_it_was_checked() {
    let assertion = assertion();
    let subject = assertion.subject(None, "i", None, &claims(), &words(&claims()));
    for (has_otp, amr) in [(false, json!([])), (true, json!(["otp"]))] {
        let now = UnixTime::from_seconds(NOW);
        let minted = assertion
            .mint(&subject, has_otp, None, now, &random(), &NoHostSigner)
            .unwrap();
        assert_eq!(parts(&minted.value)[1]["amr"], amr);
    }
}

#[test]
fn quotes_in_a_value_stay_in_it() {
    let assertion = assertion();
    let (sub, peer) = ("\",\"sub\":\"admin", "p\\");
    let subject = assertion.subject(Some(sub), "i\n", Some(peer), &Claims::new(), &["a\"b"]);
    let now = UnixTime::from_seconds(NOW);
    let minted = assertion
        .mint(&subject, true, None, now, &random(), &NoHostSigner)
        .unwrap();
    let [_, payload] = parts(&minted.value);
    assert_eq!(
        [&payload["sub"], &payload["peer"], &payload["idp_iss"]],
        [sub, peer, "i\n"]
    );
    assert_eq!(payload["amr"], json!(["a\"b", "otp"]));
}

#[test]
fn how_long_it_is_good() {
    let assertion = assertion();
    for (not_after, exp, fresh_until) in [
        (None, NOW + 60, NOW + 30),
        (Some(NOW + 1000), NOW + 60, NOW + 30),
        (Some(NOW + 61), NOW + 60, NOW + 30),
        // Nothing longer can be had.
        (Some(NOW + 60), NOW + 60, NOW + 60),
        (Some(NOW + 20), NOW + 20, NOW + 20),
        // A token that is past its end by less than the skew: no more than one in a second.
        (Some(NOW - 5), NOW - 5, NOW + 1),
    ] {
        let minted = mint(&assertion, false, not_after);
        assert_eq!(minted.expires_at, exp, "{not_after:?}");
        assert!(
            minted.is_fresh(UnixTime::from_seconds(fresh_until - 1)),
            "{not_after:?}"
        );
        assert!(
            !minted.is_fresh(UnixTime::from_seconds(fresh_until)),
            "{not_after:?}"
        );
    }
}

#[test]
fn what_is_too_long_for_a_header_is_not_made() {
    let assertion = assertion();
    let subject = assertion.subject(Some(&"s".repeat(8000)), "i", None, &Claims::new(), &[]);
    let now = UnixTime::from_seconds(NOW);
    let minted = assertion.mint(&subject, false, None, now, &random(), &NoHostSigner);
    assert!(minted.is_none());
}

#[test]
fn the_public_keys_are_public() {
    let assertion = assertion();
    let jwks = assertion.public_jwks();
    let jwks: Vec<Value> = jwks
        .iter()
        .map(|jwk| serde_json::from_str(jwk).unwrap())
        .collect();
    assert_eq!(jwks.len(), 2);
    for (jwk, kid) in jwks.iter().zip(["new", "old"]) {
        assert_eq!(jwk["kid"], kid);
        assert!(jwk.get("d").is_none());
    }
}
