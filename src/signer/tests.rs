use std::cell::RefCell;

use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{DecodingKey, Validation, decode};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};

use serde_json::{Map, json};

use super::*;
use crate::jwks::{AlgorithmSet, KeySets};
use crate::jwt::{Audiences, Means, Provider, Verifier};
use crate::time::UnixTime;

const P256: &str = include_str!("../../tests/vectors/signer/p256.pem");
const P384: &str = include_str!("../../tests/vectors/signer/p384.pem");
const ED25519: &str = include_str!("../../tests/vectors/signer/ed25519.pem");
const RSA: &str = include_str!("../../tests/vectors/signer/rsa.pem");
const RFC7515_A2: &str = include_str!("../../tests/vectors/rfc7515_a2.json");
const CLAIMS: &str = r#"{"iss":"https://mesh.example","aud":"a","sub":"s","exp":4000000000}"#;

fn key(text: &str, algorithm: Algorithm) -> SigningKey {
    SigningKey::parse(text, algorithm, Some("k")).unwrap()
}

/// A key for each algorithm.
fn all() -> [SigningKey; 3] {
    [
        key(P256, Algorithm::Es256),
        key(RSA, Algorithm::Rs256),
        key(RSA, Algorithm::Ps256),
    ]
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn error(text: &str, algorithm: Algorithm) -> Error {
    SigningKey::parse(text, algorithm, Some("k")).unwrap_err()
}

#[test]
fn what_is_signed_is_verified_by_the_filter_and_by_another_library() {
    for key in all() {
        let token = key.sign("at+jwt", CLAIMS, &[7; 32], &NoHostSigner).unwrap();
        let jwk: Value = serde_json::from_str(key.public_jwk()).unwrap();
        assert_eq!(jwk["kid"], "k");
        assert_eq!(jwk["use"], "sig");

        let verifier = Verifier::new(
            vec![Provider {
                name: "p".into(),
                issuer: "https://mesh.example".into(),
                audiences: Audiences::OneOf(vec!["a".into()]),
                is_symmetric: false,
                algorithms: AlgorithmSet::of(&[key.algorithm()]),
                types: Vec::new(),
                clock_skew_seconds: 0,
                max_lifetime_seconds: None,
                required_claims: Vec::new(),
                subjects: Vec::new(),
            }],
            8192,
        )
        .unwrap();
        let set = json!({"keys": [jwk]});
        let set = KeySet::from_jwks(set.as_object().unwrap()).unwrap();
        let keys = KeySets::new(vec![Some(set.into())]);
        let means = Means {
            keys: &keys,
            signatures: &NoHostSignatures,
        };
        let verified = verifier.verify(token.as_bytes(), means, UnixTime::from_seconds(1));
        assert_eq!(verified.unwrap().claims()["sub"], "s", "{}", key.algorithm());

        let algorithm: jsonwebtoken::Algorithm = key.algorithm().name().parse().unwrap();
        let mut validation = Validation::new(algorithm);
        validation.set_audience(&["a"]);
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk).unwrap();
        let decoded = decode::<Value>(&token, &DecodingKey::from_jwk(&jwk).unwrap(), &validation).unwrap();
        assert_eq!(decoded.claims["sub"], "s");
        assert_eq!(decoded.header.typ.as_deref(), Some("at+jwt"));
        assert_eq!(decoded.header.kid.as_deref(), Some("k"));
    }
}

fn pem(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

/// An element of DER whose contents are these parts.
fn element(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let contents = parts.concat();
    let mut element = vec![tag, 0x82];
    element.extend(u16::try_from(contents.len()).unwrap().to_be_bytes());
    element.extend(contents);
    element
}

/// PKCS#8 of a scalar on P-256.
fn p256(scalar: &[u8]) -> String {
    let key = [&hex("30250201010420"), scalar].concat();
    let algorithm = hex("301306072a8648ce3d020106082a8648ce3d030107");
    pem(&element(0x30, &[hex("020100"), algorithm, element(4, &[key])]))
}

/// PKCS#8 of an RSA key, with one member of its JWK replaced.
fn rsa(name: &str, change: &dyn Fn(&mut Vec<u8>)) -> String {
    let jwk: Map<String, Value> = serde_json::from_str(RFC7515_A2).unwrap();
    let mut numbers = vec![hex("020100")];
    for member in ["n", "e", "d", "p", "q", "dp", "dq", "qi"] {
        let mut number = URL_SAFE_NO_PAD.decode(jwk[member].as_str().unwrap()).unwrap();
        if member == name {
            change(&mut number);
        }
        number.insert(0, 0);
        numbers.push(element(2, &[number]));
    }
    let algorithm = hex("300d06092a864886f70d0101010500");
    let key = element(4, &[element(0x30, &numbers)]);
    pem(&element(0x30, &[hex("020100"), algorithm, key]))
}

/// RFC 6979 §A.2.5, SHA-256, message "sample".
#[test]
fn ecdsa_takes_no_randomness() {
    let scalar = hex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721");
    let key = key(&p256(&scalar), Algorithm::Es256);
    assert_eq!(
        key.signature(b"sample", &[0; 32]).unwrap(),
        hex(concat!(
            "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
            "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
        ))
    );
    let jwk: Value = serde_json::from_str(key.public_jwk()).unwrap();
    assert_eq!(
        jwk["x"],
        URL_SAFE_NO_PAD.encode(hex(
            "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
        ))
    );
}

/// RFC 7515 §A.2.
#[test]
fn rsa_signs_as_its_rfc_does() {
    let key = key(&rsa("", &|_| ()), Algorithm::Rs256);
    let input = concat!(
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt",
        "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    );
    let signature = key.signature(input.as_bytes(), &[0; 32]).unwrap();
    assert!(URL_SAFE_NO_PAD.encode(&signature).starts_with(concat!(
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5juj",
        "Gbds9uJdbF9CUAr7t1dnZcAcQjb"
    )));
    assert!(key.verifies(input.as_bytes(), &signature));
}

#[test]
fn a_salt_makes_another_signature_and_the_same_salt_the_same() {
    let key = key(RSA, Algorithm::Ps256);
    let sign = |salt| key.sign("JWT", CLAIMS, &salt, &NoHostSigner).unwrap();
    assert_eq!(sign([1; 32]), sign([1; 32]));
    assert_ne!(sign([1; 32]), sign([2; 32]));
}

/// ring, which reads the keys as it would openssl's.
struct Ring(RefCell<usize>);

impl HostSigner for Ring {
    fn sign(&self, hash: Hash, private_key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
        assert_eq!(hash, Hash::Sha256);
        *self.0.borrow_mut() += 1;
        let random = SystemRandom::new();
        if let Ok(key) = RsaKeyPair::from_pkcs8(private_key) {
            let mut signature = vec![0; key.public().modulus_len()];
            key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                .unwrap();
            return Some(signature);
        }
        // ring wants the public half in it, which openssl and BoringSSL do not.
        let key = self::key(P256, Algorithm::Es256);
        let Material::P256(scalar) = &key.material else {
            panic!()
        };
        assert_eq!(private_key, key.der.expose());
        let key = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_ASN1_SIGNING,
            &scalar.to_bytes(),
            scalar.verifying_key().to_sec1_point(false).as_bytes(),
            &random,
        )
        .unwrap();
        Some(key.sign(&random, message).unwrap().as_ref().to_vec())
    }
}

#[test]
fn a_host_signs_what_it_can() {
    for (key, asked) in all().into_iter().zip([3, 3, 0]) {
        let host = Ring(RefCell::new(0));
        for _ in 0..3 {
            let token = key.sign("JWT", CLAIMS, &[0; 32], &host).unwrap();
            let (input, signature) = token.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            assert!(key.verifies(input.as_bytes(), &signature), "{}", key.algorithm());
        }
        assert_eq!(host.0.take(), asked, "{}", key.algorithm());
    }
}

/// A hand-written double of a host that signs wrongly.
struct Wrong(Vec<u8>, RefCell<usize>);

impl HostSigner for Wrong {
    fn sign(&self, _: Hash, _: &[u8], _: &[u8]) -> Option<Vec<u8>> {
        *self.1.borrow_mut() += 1;
        Some(self.0.clone())
    }
}

#[test]
fn a_host_whose_first_signature_is_wrong_is_asked_no_more() {
    for wrong in [
        Vec::new(),
        vec![0x30, 0x80],
        der::ecdsa_signature(&[1; 64]),
        vec![9; 256],
    ] {
        for key in [key(P256, Algorithm::Es256), key(RSA, Algorithm::Rs256)] {
            let host = Wrong(wrong.clone(), RefCell::new(0));
            for _ in 0..2 {
                assert_eq!(
                    key.sign("JWT", CLAIMS, &[0; 32], &host),
                    key.sign("JWT", CLAIMS, &[0; 32], &NoHostSigner)
                );
            }
            assert_eq!(host.1.take(), 1);
        }
    }
}

#[test]
fn what_is_no_key() {
    let es256 = Algorithm::Es256;
    for text in ["", "k", "-----BEGIN PUBLIC KEY-----", "{\"kty\":\"EC\"}"] {
        assert_eq!(error(text, es256), Error::NotAKey, "{text}");
    }
    for label in ["EC", "RSA"] {
        let text = format!("-----BEGIN {label} PRIVATE KEY-----\nAA==\n");
        assert_eq!(error(&text, es256), Error::OlderForm);
    }
    assert_eq!(
        error("-----BEGIN ENCRYPTED PRIVATE KEY-----", es256),
        Error::Encrypted
    );
    for text in [P384, ED25519] {
        assert_eq!(error(text, es256), Error::KindUnknown);
    }
    for (text, algorithm) in [(RSA, es256), (P256, Algorithm::Rs256), (P256, Algorithm::Ps256)] {
        assert_eq!(error(text, algorithm), Error::OtherKind { algorithm });
    }
    for algorithm in [Algorithm::Rs512, Algorithm::EdDsa, Algorithm::Hs256] {
        assert_eq!(error(RSA, algorithm), Error::OtherKind { algorithm });
        assert_eq!(error(P256, algorithm), Error::OtherKind { algorithm });
    }
    let long = "k".repeat(257);
    assert_eq!(
        SigningKey::parse(P256, es256, Some(&long)).unwrap_err(),
        Error::Unusable(SkipReason::KidTooLong { bytes: 257 })
    );
}

#[test]
fn numbers_that_do_not_belong_together() {
    for name in ["n", "p", "q", "dp", "dq", "qi"] {
        let text = rsa(name, &|number| number[20] ^= 4);
        assert_eq!(error(&text, Algorithm::Rs256), Error::Inconsistent, "{name}");
        for size in [0, 1, 63, 127, 300] {
            let text = rsa(name, &|number| number.resize(size, 1));
            if let Ok(key) = SigningKey::parse(&text, Algorithm::Ps256, None) {
                panic!("{name} of {size} bytes: {key:?}");
            }
        }
        let text = rsa(name, &|number| number.fill(0));
        assert!(
            SigningKey::parse(&text, Algorithm::Rs256, None).is_err(),
            "{name}"
        );
    }
    for scalar in [[0; 32], [0xff; 32]] {
        assert_eq!(error(&p256(&scalar), Algorithm::Es256), Error::Malformed);
    }
}

/// Each byte another, and each end too early: an error, or a key that signs.
#[test]
fn damaged_keys() {
    let body: String = P256.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(body).unwrap();
    for at in 0..der.len() {
        assert!(SigningKey::parse(&pem(&der[..at]), Algorithm::Es256, None).is_err());
        for bit in [1, 0x80] {
            let mut other = der.clone();
            other[at] ^= bit;
            if let Ok(key) = SigningKey::parse(&pem(&other), Algorithm::Es256, None) {
                let signature = key.signature(b"m", &[0; 32]).unwrap();
                assert!(key.verifies(b"m", &signature));
            }
        }
    }
}

/// As an environment variable may have it.
#[test]
fn line_breaks_make_no_difference() {
    let one_line = P256.replace('\n', " ");
    let jwk = |text: &str| key(text, Algorithm::Es256).public_jwk().to_owned();
    assert_eq!(jwk(&one_line), jwk(P256));
    assert_eq!(jwk(&P256.replace('\n', "\r\n")), jwk(P256));
    assert_eq!(jwk(&format!("a comment\n{P256}")), jwk(P256));
}

#[test]
fn a_key_is_never_printed() {
    assert_eq!(
        format!("{:?}", key(P256, Algorithm::Es256)),
        r#"SigningKey { algorithm: Es256, kid: Some("k"), .. }"#
    );
}
