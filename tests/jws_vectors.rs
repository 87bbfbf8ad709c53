//! The signed examples of the RFCs. Most of their payloads are no claims sets, so they are checked as signatures.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

use std::path::Path;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use peergate_filter::excerpt::Excerpt;
use peergate_filter::jwks::{
    Algorithm, AlgorithmSet, KeySet, KeySets, NoHostSignatures, NoKey, SharedSecret,
};
use peergate_filter::jwt::{Audiences, Error, Means, Provider, Verifier};
use peergate_filter::secret::Secret;
use peergate_filter::time::UnixTime;
use serde_json::{Value, json};

/// The claims set of RFC 7515 A.1 to A.3 and A.5.
const CLAIMS: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

/// The payload of RFC 7520 §4.
const BILBO: &str = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4";

fn keys(jwk: Value) -> KeySet {
    let document = json!({ "keys": [jwk] });
    let keys = KeySet::from_jwks(document.as_object().unwrap()).unwrap();
    assert_eq!(keys.skipped(), []);
    keys
}

fn rfc7515_a1() -> KeySet {
    let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    KeySet::from_secrets(&[SharedSecret {
        kid: None,
        algorithm: Algorithm::Hs256,
        secret: Secret::new(URL_SAFE_NO_PAD.decode(secret).unwrap()),
    }])
    .unwrap()
}

fn rfc7515_a2() -> KeySet {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/rfc7515_a2.json");
    keys(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
}

fn rfc7515_a3() -> KeySet {
    keys(json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }))
}

/// Whether the only key of the set made the signature of the token. A token with any one bit of its signature turned
/// must not be.
fn verifies(keys: &KeySet, kid: Option<&str>, algorithm: Algorithm, token: &str) -> bool {
    let (input, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut candidates = keys.candidates(kid, algorithm).unwrap();
    let key = candidates.next().unwrap();
    assert!(candidates.next().is_none());
    let good = key.verify(algorithm, input.as_bytes(), &signature, &NoHostSignatures);

    assert!(!key.verify(algorithm, &input.as_bytes()[1..], &signature, &NoHostSignatures));
    let last = signature.len() - 1;
    assert!(!key.verify(algorithm, input.as_bytes(), &signature[..last], &NoHostSignatures));
    signature[last] ^= 1;
    assert!(!key.verify(algorithm, input.as_bytes(), &signature, &NoHostSignatures));
    good
}

#[test]
fn rfc7515_a1_hs256() {
    let token = format!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    assert!(verifies(&rfc7515_a1(), None, Algorithm::Hs256, &token));
}

#[test]
fn rfc7515_a2_rs256() {
    let token = format!(
        "eyJhbGciOiJSUzI1NiJ9.{CLAIMS}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );
    assert!(verifies(&rfc7515_a2(), None, Algorithm::Rs256, &token));
    assert!(!verifies(&rfc7515_a2(), None, Algorithm::Rs384, &token));
    assert!(!verifies(&rfc7515_a2(), None, Algorithm::Ps256, &token));
}

#[test]
fn rfc7515_a3_es256() {
    let token = format!(
        "eyJhbGciOiJFUzI1NiJ9.{CLAIMS}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    assert!(verifies(&rfc7515_a3(), None, Algorithm::Es256, &token));
}

#[test]
fn rfc7515_a4_es512() {
    let keys = keys(json!({
        "kty": "EC",
        "crv": "P-521",
        "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
        "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
        "d": "AY5pb7A0UFiB3RELSD64fTLOSV_jazdF7fLYyuTw8lOfRhWg6Y6rUrPAxerEzgdRhajnu0ferB0d53vM9mE15j2C",
    }));
    let token = "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
    assert!(verifies(&keys, None, Algorithm::Es512, token));
}

/// The unsecured token, at a verifier that knows its issuer and takes every algorithm there is.
#[test]
fn rfc7515_a5_none() {
    let provider = Provider {
        name: "joe".to_owned(),
        issuer: "joe".to_owned(),
        audiences: Audiences::Any,
        is_symmetric: false,
        algorithms: Algorithm::ALL.into_iter().collect::<AlgorithmSet>(),
        types: Vec::new(),
        clock_skew_seconds: 0,
        max_lifetime_seconds: None,
        required_claims: Vec::new(),
        subjects: Vec::new(),
    };
    let verifier = Verifier::new(vec![provider], 8192).unwrap();
    let now = UnixTime::from_seconds(1_300_819_379);
    let keys = KeySets::new([Some(Rc::new(rfc7515_a3()))]);
    let means = Means {
        keys: &keys,
        signatures: &NoHostSignatures,
    };
    assert_eq!(
        verifier.verify(format!("eyJhbGciOiJub25lIn0.{CLAIMS}.").as_bytes(), means, now),
        Err(Error::AlgorithmNotAllowed {
            algorithm: Excerpt::new("none")
        })
    );

    // The same claims with the signature of A.3 are good in the last second before `exp`.
    let signed = format!(
        "eyJhbGciOiJFUzI1NiJ9.{CLAIMS}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    let verified = verifier.verify(signed.as_bytes(), means, now).unwrap();
    assert_eq!(verified.claims()["http://example.com/is_root"], true);
    assert_eq!(verified.payload(), CLAIMS);
    assert_eq!(verified.expires_at().seconds(), 1_300_819_380.0);
}

#[test]
fn rfc7520_4_2_ps384() {
    let keys = keys(json!({
        "kty": "RSA",
        "kid": "bilbo.baggins@hobbiton.example",
        "use": "sig",
        "n": "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw",
        "e": "AQAB",
    }));
    let token = format!(
        "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.{BILBO}.cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw"
    );
    let bilbo = Some("bilbo.baggins@hobbiton.example");
    assert!(verifies(&keys, bilbo, Algorithm::Ps384, &token));
    assert!(!verifies(&keys, bilbo, Algorithm::Ps256, &token));
    assert_eq!(
        keys.candidates(Some("frodo"), Algorithm::Ps384).err(),
        Some(NoKey::Unknown)
    );
}

#[test]
fn rfc7520_4_3_es512() {
    let keys = keys(json!({
        "kty": "EC",
        "kid": "bilbo.baggins@hobbiton.example",
        "use": "sig",
        "crv": "P-521",
        "x": "AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt",
        "y": "AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1",
    }));
    let token = format!(
        "eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.{BILBO}.AE_R_YZCChjn4791jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu9Plon7KRTzoNEuT4Va2cmL1eJAQy3mtPBu_u_sDDyYjnAMDxXPn7XrT0lw-kvAD890jl8e2puQens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2"
    );
    let bilbo = Some("bilbo.baggins@hobbiton.example");
    assert!(verifies(&keys, bilbo, Algorithm::Es512, &token));
}

#[test]
fn rfc8037_a4_ed25519() {
    let key = |alg: Option<&str>| {
        let mut jwk =
            json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        if let Some(alg) = alg {
            jwk["alg"] = alg.into();
        }
        keys(jwk)
    };
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    for alg in [None, Some("EdDSA"), Some("Ed25519")] {
        assert!(verifies(&key(alg), None, Algorithm::EdDsa, token), "{alg:?}");
    }
}
