use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::agent_card::canonical::Form;
use crate::jwks::{Algorithm, NoHostSignatures};
use crate::signer::{NoHostSigner, key_set};

const P256: &str = include_str!("../../../tests/vectors/signer/p256.pem");
const RSA: &str = include_str!("../../../tests/vectors/signer/rsa.pem");
/// Cards, and as they are signed with the key on P-256: tests/envoy/test_card_vectors.py has the SDKs verify them.
const VECTORS: [(&str, &str, usize); 6] = [
    (
        "v1",
        include_str!("../../../tests/vectors/agent_cards/v1.json"),
        3,
    ),
    (
        "v0_3",
        include_str!("../../../tests/vectors/agent_cards/v0_3.json"),
        3,
    ),
    (
        "hybrid",
        include_str!("../../../tests/vectors/agent_cards/hybrid.json"),
        4,
    ),
    (
        "plain_v1",
        include_str!("../../../tests/vectors/agent_cards/plain_v1.json"),
        1,
    ),
    (
        "plain_v0_3",
        include_str!("../../../tests/vectors/agent_cards/plain_v0_3.json"),
        3,
    ),
    (
        "underscores",
        include_str!("../../../tests/vectors/agent_cards/underscores.json"),
        2,
    ),
];

fn key(pem: &str, algorithm: Algorithm) -> SigningKey {
    SigningKey::parse(pem, algorithm, Some("card-key")).unwrap()
}

fn card(text: &str) -> Card {
    let vector: Value = serde_json::from_str(text).unwrap();
    Card::read(vector["card"].to_string().as_bytes()).unwrap()
}

/// Whether a signature is one over that payload.
fn is_over(signature: &Value, payload: &str, key: &SigningKey) -> bool {
    let input = [
        signature["protected"].as_str().unwrap(),
        &URL_SAFE_NO_PAD.encode(payload),
    ]
    .join(".");
    let bytes = URL_SAFE_NO_PAD
        .decode(signature["signature"].as_str().unwrap())
        .unwrap();
    let set = key_set(&[key.public_jwk()]).unwrap();
    let mut keys = set.candidates(Some("card-key"), key.algorithm()).unwrap();
    keys.any(|public| public.verify(key.algorithm(), input.as_bytes(), &bytes, &NoHostSignatures))
}

#[test]
fn signed_cards_are_those_of_the_vectors() {
    let key = key(P256, Algorithm::Es256);
    let jwk: Value = serde_json::from_str(key.public_jwk()).unwrap();
    for (file, text, signatures) in VECTORS {
        let vector: Value = serde_json::from_str(text).unwrap();
        let mut card = card(text);
        assert!(card.sign(&key, &NoHostSigner));
        let signed: Value = serde_json::from_slice(&card.to_bytes()).unwrap();
        assert_eq!(
            signed["signatures"].as_array().unwrap().len(),
            signatures,
            "{file}"
        );
        let expected = json!({"key": vector["key"], "signed": vector["signed"]});
        assert_eq!(json!({"key": jwk, "signed": signed}), expected, "{file}");
    }
}

#[test]
fn each_form_is_signed_once_by_each_algorithm() {
    for key in [
        key(P256, Algorithm::Es256),
        key(RSA, Algorithm::Rs256),
        key(RSA, Algorithm::Ps256),
    ] {
        for (file, text, count) in VECTORS {
            let mut card = card(text);
            assert!(card.sign(&key, &NoHostSigner));
            let signatures = card.members["signatures"].as_array().unwrap().clone();
            assert_eq!(signatures.len(), count, "{file}");
            let header = URL_SAFE_NO_PAD
                .decode(signatures[0]["protected"].as_str().unwrap())
                .unwrap();
            let expected = json!({"alg": key.algorithm().name(), "kid": "card-key", "typ": "JOSE"});
            assert_eq!(serde_json::from_slice::<Value>(&header).unwrap(), expected);
            let mut again = card.clone();
            assert!(again.sign(&key, &NoHostSigner));
            assert_eq!(
                again,
                card,
                "the signatures of {file} by {} change",
                key.algorithm()
            );
            again.unsign();
            for form in Form::ALL {
                let Some(canonical) = form.of(&again.members, again.shape) else {
                    continue;
                };
                let good = signatures
                    .iter()
                    .filter(|signature| is_over(signature, &canonical, &key));
                assert_eq!(good.count(), 1, "{file} {form:?} {}", key.algorithm());
            }
        }
    }
}

/// A host signs as a real one does; what it signs is over the same bytes.
#[test]
fn a_host_signs_where_it_can() {
    struct Host(std::cell::Cell<u32>);
    impl HostSigner for Host {
        fn sign(&self, _: crate::jwks::Hash, _: &[u8], message: &[u8]) -> Option<Vec<u8>> {
            assert!(message.starts_with(b"eyJ"));
            self.0.set(self.0.get() + 1);
            None
        }
    }
    let host = Host(0.into());
    let mut card = card(VECTORS[0].1);
    assert!(card.sign(&key(P256, Algorithm::Es256), &host));
    assert_eq!(host.0.get(), 3);
}

#[test]
fn no_signature_that_was_there_stays() {
    let mut card = card(VECTORS[0].1);
    let before = card.members["signatures"].clone();
    assert!(card.is_signed());
    assert!(card.sign(&key(P256, Algorithm::Es256), &NoHostSigner));
    let after = card.members["signatures"].as_array().unwrap();
    assert!(!after.contains(&before[0]));
}

/// What tells what callers must send is signed where no list is empty: in each form of a verifier.
#[test]
fn what_is_changed_is_no_longer_what_was_signed() {
    let key = key(P256, Algorithm::Es256);
    for (file, text, _) in VECTORS {
        let mut card = card(text);
        assert!(card.sign(&key, &NoHostSigner));
        let signatures = card.members["signatures"].as_array().unwrap().clone();
        card.unsign();
        for change in [or_for_and, without_totp, another_url] {
            let mut changed = Value::Object(card.members.clone());
            change(&mut changed);
            let changed = changed.as_object().unwrap();
            for form in Form::ALL {
                let Some(canonical) = form.of(changed, card.shape) else {
                    continue;
                };
                let is_good = signatures
                    .iter()
                    .any(|signature| is_over(signature, &canonical, &key));
                assert!(!is_good, "{file} {form:?}");
            }
        }
    }
}

fn or_for_and(card: &mut Value) {
    if let Some(requirements) = card.get_mut("securityRequirements") {
        *requirements = json!([{"schemes": {"oidc": {"list": ["a2a.invoke"]}}}, {"schemes": {"totp": {"list": ["otp"]}}}]);
    }
    if let Some(requirements) = card.get_mut("security") {
        *requirements = json!([{"oidc": ["a2a.invoke"]}, {"totp": ["otp"]}]);
    }
}

fn without_totp(card: &mut Value) {
    card["securitySchemes"]
        .as_object_mut()
        .unwrap()
        .remove("totp")
        .unwrap();
}

fn another_url(card: &mut Value) {
    for interfaces in ["supportedInterfaces", "supported_interfaces"] {
        if let Some(interfaces) = card.get_mut(interfaces) {
            interfaces[0]["url"] = "https://evil.example/".into();
        }
    }
    if let Some(url) = card.get_mut("url") {
        *url = "https://evil.example/".into();
    }
}
