//! Tests of key sets: which keys are used, which are left out and why, and which are tried.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_simple::algorithms::{ES256KeyPair, ES256kKeyPair, ES384KeyPair, Ed25519KeyPair};
use serde_json::json;

use super::*;
use crate::secret::Secret;

/// The RSA key of RFC 7515 A.2, private members and all.
fn rsa() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/rfc7515_a2.json")).unwrap()
}

fn p256() -> Value {
    generated(&ES256KeyPair::generate().public_key().to_jwk())
}

/// The key of RFC 7515 A.4.
fn p521() -> Value {
    json!({
        "kty": "EC",
        "crv": "P-521",
        "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
        "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
    })
}

fn ed25519() -> Value {
    generated(&Ed25519KeyPair::generate().public_key().to_jwk())
}

/// jwt-simple writes `alg` and `use` into its keys; the tests add what they need.
fn generated(jwk: &str) -> Value {
    let mut jwk: Value = serde_json::from_str(jwk).unwrap();
    let members = jwk.as_object_mut().unwrap();
    members.retain(|name, _| ["kty", "crv", "x", "y"].contains(&name.as_str()));
    jwk
}

/// The key with these members set in it.
fn with(mut jwk: Value, members: Value) -> Value {
    let members = members.as_object().unwrap().clone();
    jwk.as_object_mut().unwrap().extend(members);
    jwk
}

/// The key with a number changed.
fn with_number(mut jwk: Value, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut number = URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    change(&mut number);
    jwk[name] = URL_SAFE_NO_PAD.encode(number).into();
    jwk
}

fn set(keys: impl Into<Value>) -> KeySet {
    let document = json!({ "keys": keys.into() });
    KeySet::from_jwks(document.as_object().unwrap()).unwrap()
}

/// What the one key of a set serves.
fn serves(jwk: Value) -> Vec<&'static str> {
    let set = set([jwk]);
    assert_eq!(set.skipped(), []);
    set.keys[0].algorithms().iter().map(Algorithm::name).collect()
}

/// Why the one key of a set was left out.
fn skipped(jwk: Value) -> SkipReason {
    let set = set([jwk]);
    assert_eq!((set.len(), set.skipped().len()), (0, 1));
    set.skipped()[0].reason.clone()
}

fn malformed(name: &'static str) -> SkipReason {
    SkipReason::MemberMalformed { name }
}

/// The places in the set of the keys that are tried.
fn tried(set: &KeySet, kid: Option<&str>, algorithm: Algorithm) -> Result<Vec<usize>, NoKey> {
    let place = |key: &Key| {
        set.keys
            .iter()
            .position(|other| std::ptr::eq(other, key))
            .unwrap()
    };
    Ok(set.candidates(kid, algorithm)?.map(place).collect())
}

#[test]
fn the_key_decides_the_algorithm() {
    let p384 = generated(&ES384KeyPair::generate().public_key().to_jwk());
    let secp256k1 = generated(&ES256kKeyPair::generate().public_key().to_jwk());
    assert_eq!(
        serves(rsa()),
        ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
    );
    assert_eq!(serves(p256()), ["ES256"]);
    assert_eq!(serves(p384), ["ES384"]);
    assert_eq!(serves(p521()), ["ES512"]);
    assert_eq!(serves(secp256k1), ["ES256K"]);
    assert_eq!(serves(ed25519()), ["EdDSA"]);
    assert_eq!(serves(with(rsa(), json!({"alg": "PS384"}))), ["PS384"]);
    assert_eq!(serves(with(ed25519(), json!({"alg": "EdDSA"}))), ["EdDSA"]);
    assert_eq!(serves(with(ed25519(), json!({"alg": "Ed25519"}))), ["EdDSA"]);
}

#[test]
fn an_algorithm_that_does_not_fit_the_key() {
    let mismatch = |alg| SkipReason::AlgorithmMismatch { alg };
    let unknown = |alg: &str| SkipReason::AlgorithmUnknown {
        alg: Excerpt::new(alg),
    };
    assert_eq!(
        skipped(with(rsa(), json!({"alg": "HS256"}))),
        mismatch(Algorithm::Hs256)
    );
    assert_eq!(
        skipped(with(p256(), json!({"alg": "ES384"}))),
        mismatch(Algorithm::Es384)
    );
    assert_eq!(
        skipped(with(p256(), json!({"alg": "RS256"}))),
        mismatch(Algorithm::Rs256)
    );
    assert_eq!(
        skipped(with(rsa(), json!({"alg": "RSA-OAEP"}))),
        unknown("RSA-OAEP")
    );
    assert_eq!(skipped(with(rsa(), json!({"alg": "none"}))), unknown("none"));
    assert_eq!(skipped(with(rsa(), json!({"alg": null}))), unknown(""));
}

#[test]
fn key_types_and_curves() {
    let kty = |kty: &str| SkipReason::KeyTypeUnknown {
        kty: Excerpt::new(kty),
    };
    let crv = |crv: &str| SkipReason::CurveUnknown {
        crv: Excerpt::new(crv),
    };
    assert_eq!(skipped(json!({"kty": "oct", "k": "AAAA"})), SkipReason::Symmetric);
    assert_eq!(skipped(json!({"kty": "AKP"})), kty("AKP"));
    assert_eq!(skipped(json!({"kty": "rsa"})), kty("rsa"));
    assert_eq!(skipped(json!({"kty": 1})), kty(""));
    assert_eq!(skipped(json!({})), kty(""));
    assert_eq!(skipped(json!({"kty": "OKP", "crv": "X25519"})), crv("X25519"));
    assert_eq!(skipped(json!({"kty": "EC", "crv": "Ed25519"})), crv("Ed25519"));
    assert_eq!(skipped(json!({"kty": "EC"})), crv(""));
    for entry in [json!(null), json!([]), json!("key"), json!(1)] {
        assert_eq!(skipped(entry), SkipReason::NotAnObject);
    }
}

#[test]
fn use_and_key_ops() {
    let use_sig = with(p256(), json!({"use": "sig", "key_ops": ["sign", "verify"]}));
    assert_eq!(serves(use_sig), ["ES256"]);
    for value in [json!("enc"), json!("SIG"), json!(null), json!(["sig"])] {
        let jwk = with(p256(), json!({"use": value}));
        assert_eq!(skipped(jwk), SkipReason::NotForSignatures);
    }
    for value in [json!(["sign"]), json!([]), json!("verify"), json!(null)] {
        let jwk = with(p256(), json!({"key_ops": value}));
        assert_eq!(skipped(jwk), SkipReason::NotForVerification);
    }
}

#[test]
fn rsa_numbers() {
    let with_bits = |bits: usize| {
        with_number(rsa(), "n", |n| {
            n.resize(bits.div_ceil(8), 0xff);
            n[0] = 0xff >> (7 - (bits - 1) % 8);
            *n.last_mut().unwrap() |= 1;
        })
    };
    assert_eq!(skipped(with_bits(512)), SkipReason::RsaTooShort { bits: 512 });
    assert_eq!(skipped(with_bits(2047)), SkipReason::RsaTooShort { bits: 2047 });
    assert_eq!(serves(with_bits(2048)).len(), 6);
    assert_eq!(serves(with_bits(4096)).len(), 6);
    assert_eq!(skipped(with_bits(4097)), SkipReason::RsaTooLong { bits: 4097 });
    assert_eq!(
        skipped(with_number(rsa(), "n", Vec::clear)),
        SkipReason::RsaTooShort { bits: 0 }
    );
    let even = with_number(rsa(), "n", |n| *n.last_mut().unwrap() &= 0xfe);
    assert_eq!(skipped(even), SkipReason::RsaModulus);

    let with_exponent = |e: &[u8]| with_number(rsa(), "e", |number| *number = e.to_vec());
    for e in [
        &[][..],
        &[0],
        &[1],
        &[0, 1],
        &[2],
        &[1, 0],
        &[4, 0, 0, 0, 1],
        &[1; 300],
    ] {
        assert_eq!(skipped(with_exponent(e)), SkipReason::RsaExponent, "{e:?}");
    }
    for e in [&[3][..], &[0, 3], &[0, 1, 0, 1], &[1, 0xff, 0xff, 0xff, 0xff]] {
        assert_eq!(serves(with_exponent(e)).len(), 6, "{e:?}");
    }
}

#[test]
fn leading_zeros_are_tolerated_and_make_no_other_key() {
    for (jwk, name) in [(rsa(), "n"), (p256(), "x"), (p256(), "y"), (p521(), "x")] {
        let plain = set([jwk.clone()]);
        let padded = set([with_number(jwk, name, |number| drop(number.splice(..0, [0; 3])))]);
        assert_eq!(padded.skipped(), [], "{name}");
        assert!(plain.contains(padded.keys[0].fingerprint()), "{name}");
    }
    let longer = with_number(p256(), "x", |x| x.insert(0, 1));
    assert_eq!(skipped(longer), malformed("x"));
}

#[test]
fn a_coordinate_of_less_than_full_size_is_not_padded() {
    // The y of this key starts with a zero byte, which the encoder may not leave out.
    let shorter = with_number(p521(), "y", |y| assert_eq!(y.remove(0), 0));
    assert_eq!(skipped(shorter), malformed("y"));
    assert_eq!(
        skipped(with_number(ed25519(), "x", |x| x.push(0))),
        malformed("x")
    );
    assert_eq!(
        skipped(with_number(ed25519(), "x", |x| x.insert(0, 0))),
        malformed("x")
    );
    assert_eq!(
        skipped(with_number(ed25519(), "x", |x| x.truncate(31))),
        malformed("x")
    );
}

#[test]
fn points_off_the_curve_or_of_small_order() {
    let invalid = SkipReason::PointInvalid;
    let mut jwk = p256();
    jwk["y"] = jwk["x"].clone();
    assert_eq!(skipped(jwk), invalid);
    let zero = URL_SAFE_NO_PAD.encode([0; 32]);
    assert_eq!(skipped(with(p256(), json!({"x": zero, "y": zero}))), invalid);
    assert_eq!(skipped(with(p256(), json!({"crv": "secp256k1"}))), invalid);
    assert_eq!(skipped(with_number(p521(), "y", |y| y[65] ^= 1)), invalid);
    // The points of order 1, 2 and 4.
    for point in [[1, 0], [0xec, 0x7f], [0, 0]] {
        let mut bytes = [if point[1] == 0 { 0 } else { 0xff }; 32];
        (bytes[0], bytes[31]) = (point[0], point[1]);
        let jwk = with(ed25519(), json!({"x": URL_SAFE_NO_PAD.encode(bytes)}));
        assert_eq!(skipped(jwk), invalid, "{point:?}");
    }
}

#[test]
fn numbers_are_strict_base64url() {
    let x = p256()["x"].as_str().unwrap().to_owned();
    for bad in [
        json!(format!("{x}=")),
        json!(format!(" {x}")),
        json!("+/"),
        json!(1),
        json!(null),
    ] {
        assert_eq!(skipped(with(p256(), json!({"x": bad}))), malformed("x"));
    }
    assert_eq!(skipped(json!({"kty": "RSA", "n": "AQAB"})), malformed("e"));
    assert_eq!(skipped(json!({"kty": "RSA", "e": "AQAB"})), malformed("n"));
    // 32 bytes end in four stray bits, which must be zero.
    let stray = format!("{}_", &URL_SAFE_NO_PAD.encode([0; 32])[..42]);
    assert_eq!(skipped(with(p256(), json!({"x": stray}))), malformed("x"));
}

#[test]
fn one_bad_key_does_not_fail_the_set() {
    let long = "k".repeat(MAX_KID_BYTES + 1);
    let set = set([
        json!({"kty": "oct", "k": "AAAA", "kid": "secret\n"}),
        with(rsa(), json!({"kid": "rsa"})),
        with(p256(), json!({"kid": 7})),
        with(p256(), json!({"kid": null})),
        with(p256(), json!({"kid": long})),
        with(p256(), json!({"kid": &long[1..]})),
    ]);
    assert_eq!(set.len(), 2);
    let shown: Vec<String> = set.skipped().iter().map(Skipped::to_string).collect();
    assert_eq!(
        shown,
        [
            "keys[0] `secret\\n`: a symmetric key in a published set",
            "keys[2]: `kid` is not a string",
            "keys[3]: `kid` is not a string",
            "keys[4]: `kid` has 257 bytes, more than 256",
        ]
    );
    assert_eq!(tried(&set, Some("rsa"), Algorithm::Rs256), Ok(vec![0]));
    assert_eq!(tried(&set, Some(&long[1..]), Algorithm::Es256), Ok(vec![1]));
}

#[test]
fn documents_that_are_no_set() {
    let read = |document: Value| KeySet::from_jwks(document.as_object().unwrap()).map(|set| set.len());
    assert_eq!(read(json!({})), Err(Error::KeysMissing));
    assert_eq!(read(json!({"keys": {}})), Err(Error::KeysMissing));
    assert_eq!(read(json!({"Keys": []})), Err(Error::KeysMissing));
    assert_eq!(read(json!({"keys": []})), Ok(0));
    let many = |count: usize| json!({ "keys": vec![Value::Null; count] });
    assert_eq!(read(many(MAX_KEYS)), Ok(0));
    let error = Error::TooManyKeys { count: MAX_KEYS + 1 };
    assert_eq!(error.to_string(), "10001 keys, more than 10000");
    assert_eq!(read(many(MAX_KEYS + 1)), Err(error));
}

#[test]
fn a_kid_is_compared_byte_for_byte() {
    let set = set([
        with(p256(), json!({"kid": "Key/1"})),
        with(p256(), json!({"kid": ""})),
    ]);
    assert_eq!(tried(&set, Some("Key/1"), Algorithm::Es256), Ok(vec![0]));
    assert_eq!(tried(&set, Some(""), Algorithm::Es256), Ok(vec![1]));
    for other in ["key/1", "Key/1 ", "Key%2f1", "Key/", "../Key/1"] {
        assert_eq!(tried(&set, Some(other), Algorithm::Es256), Err(NoKey::Unknown));
    }
    assert_eq!(
        tried(&set, Some("Key/1"), Algorithm::Rs256),
        Err(NoKey::AlgorithmMismatch)
    );
    assert_eq!(
        tried(&set, Some("Key/1"), Algorithm::Hs256),
        Err(NoKey::AlgorithmMismatch)
    );
    assert_eq!(
        tried(&KeySet::default(), None, Algorithm::Es256),
        Err(NoKey::Unknown)
    );
}

#[test]
fn a_key_without_kid_serves_only_tokens_without_kid() {
    let set = set([p256(), with(p256(), json!({"kid": "a"})), rsa()]);
    assert_eq!(tried(&set, None, Algorithm::Es256), Ok(vec![0, 1]));
    assert_eq!(tried(&set, None, Algorithm::Ps512), Ok(vec![2]));
    assert_eq!(tried(&set, None, Algorithm::Es384), Err(NoKey::Unknown));
    assert_eq!(tried(&set, Some("a"), Algorithm::Es256), Ok(vec![1]));
    assert_eq!(tried(&set, Some("b"), Algorithm::Es256), Err(NoKey::Unknown));
}

#[test]
fn at_most_four_keys_are_tried() {
    let named = |_| with(p256(), json!({"kid": "a"}));
    let mut entries: Vec<Value> = (0..5).map(named).collect();
    entries.push(with(rsa(), json!({"kid": "a"})));
    entries.extend((0..5).map(|_| ed25519()));
    let set = set(entries);
    let never = |index, kid: Option<&str>| Skipped {
        index,
        kid: kid.map(Excerpt::new),
        reason: SkipReason::NeverTried,
    };
    assert_eq!(set.skipped(), [never(4, Some("a")), never(10, None)]);
    assert_eq!(tried(&set, Some("a"), Algorithm::Es256), Ok(vec![0, 1, 2, 3]));
    assert_eq!(tried(&set, Some("a"), Algorithm::Ps256), Ok(vec![4]));
    assert_eq!(tried(&set, None, Algorithm::EdDsa), Ok(vec![5, 6, 7, 8]));
}

#[test]
fn a_key_that_is_crowded_out_for_tokens_without_kid_still_has_its_kid() {
    let named = |index: usize| with(p256(), json!({"kid": index.to_string()}));
    let set = set((0..6).map(named).collect::<Vec<_>>());
    assert_eq!(set.len(), 6);
    assert_eq!(tried(&set, None, Algorithm::Es256), Ok(vec![0, 1, 2, 3]));
    assert_eq!(tried(&set, Some("5"), Algorithm::Es256), Ok(vec![5]));
}

#[test]
fn fingerprints_tell_kid_algorithms_and_numbers_apart() {
    let jwk = p256();
    let set = set([
        jwk.clone(),
        with(jwk.clone(), json!({"kid": ""})),
        with(jwk.clone(), json!({"kid": "a"})),
        with(p256(), json!({"kid": "a"})),
        rsa(),
        with(rsa(), json!({"alg": "RS256"})),
    ]);
    assert_eq!((set.len(), set.fingerprints.len()), (6, 6));
    let again = self::set([with(jwk, json!({"kid": "a", "alg": "ES256", "use": "sig"}))]);
    assert_eq!(again.keys[0].fingerprint(), set.keys[2].fingerprint());
    assert!(!again.contains(set.keys[3].fingerprint()));
}

fn shared(kid: Option<&str>, algorithm: Algorithm, bytes: usize) -> SharedSecret {
    SharedSecret {
        kid: kid.map(str::to_owned),
        algorithm,
        secret: Secret::new(vec![b's'; bytes]),
    }
}

#[test]
fn shared_secrets() {
    let secrets = [
        shared(Some("a"), Algorithm::Hs256, 32),
        shared(None, Algorithm::Hs512, 64),
    ];
    let set = KeySet::from_secrets(&secrets).unwrap();
    assert!(set.is_symmetric());
    assert_eq!(tried(&set, Some("a"), Algorithm::Hs256), Ok(vec![0]));
    assert_eq!(
        tried(&set, Some("a"), Algorithm::Hs512),
        Err(NoKey::AlgorithmMismatch)
    );
    assert_eq!(tried(&set, None, Algorithm::Hs512), Ok(vec![1]));
    assert_eq!(tried(&set, None, Algorithm::Hs384), Err(NoKey::Unknown));
    let printed = format!("{set:?} {secrets:?}");
    assert!(
        !printed.contains("115, 115") && !printed.contains("ssss"),
        "{printed}"
    );
}

#[test]
fn shared_secrets_that_are_refused() {
    let error = |secrets: &[SharedSecret]| KeySet::from_secrets(secrets).unwrap_err();
    for (algorithm, bytes, minimum) in [
        (Algorithm::Hs256, 31, 32),
        (Algorithm::Hs384, 47, 48),
        (Algorithm::Hs512, 63, 64),
        (Algorithm::Hs256, 0, 32),
    ] {
        let expected = SecretError::TooShort {
            index: 1,
            bytes,
            minimum,
        };
        assert_eq!(
            error(&[shared(None, Algorithm::Hs256, 32), shared(None, algorithm, bytes)]),
            expected
        );
    }
    let not_symmetric = SecretError::NotSymmetric {
        index: 0,
        algorithm: Algorithm::Rs256,
    };
    assert_eq!(error(&[shared(None, Algorithm::Rs256, 64)]), not_symmetric);
    let long = "k".repeat(MAX_KID_BYTES + 1);
    let too_long = SecretError::KidTooLong { index: 0, bytes: 257 };
    assert_eq!(error(&[shared(Some(&long), Algorithm::Hs256, 32)]), too_long);
    let five: Vec<_> = (32..37)
        .map(|bytes| shared(Some("a"), Algorithm::Hs256, bytes))
        .collect();
    assert_eq!(error(&five), SecretError::NeverTried { index: 4 });
    assert_eq!(
        error(&five).to_string(),
        "secrets[4]: too many secrets of this `kid` and algorithm before it"
    );
}
