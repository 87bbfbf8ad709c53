//! Algorithms, keys and signatures of whole tokens.

use jwt_simple::algorithms::{
    ECDSAP256kKeyPairLike, ECDSAP384KeyPairLike, ES256kKeyPair, ES384KeyPair, Ed25519KeyPair,
    EdDSAKeyPairLike, HS256Key, HS384Key, HS512Key, MACLike, RS256KeyPair, RSAKeyPairLike,
};
use superboring::hash::MessageDigest;
use superboring::pkey::PKey;
use superboring::rsa::Padding;
use superboring::sign::Signer;

use super::*;
use crate::jwks::SharedSecret;
use crate::secret::Secret;

fn rsa_jwk() -> &'static str {
    include_str!("../../../tests/vectors/rfc7515_a2.json")
}

fn rsa_signature(digest: MessageDigest, padding: Padding, input: &[u8]) -> Vec<u8> {
    let pair = RS256KeyPair::from_jwk(rsa_jwk()).unwrap();
    let key = PKey::from_rsa(pair.key_pair().as_ref().clone()).unwrap();
    let mut signer = Signer::new(digest, &key).unwrap();
    signer.set_rsa_padding(padding).unwrap();
    signer.update(input).unwrap();
    signer.sign_to_vec().unwrap()
}

fn p521_key() -> p521::ecdsa::SigningKey {
    let mut scalar = [7; 66];
    scalar[0] = 0;
    p521::ecdsa::SigningKey::from_slice(&scalar).unwrap()
}

/// A key set with one key of every kind, each under the name of its first algorithm.
fn all_keys() -> KeySet {
    let named = |jwk: &str, kid: &str| {
        let mut jwk: Value = serde_json::from_str(jwk).unwrap();
        jwk["kid"] = kid.into();
        jwk
    };
    let point = p521_key().verifying_key().to_sec1_point(false);
    let (x, y) = point.as_bytes()[1..].split_at(66);
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    key_set([
        named(rsa_jwk(), "RS256"),
        named(&key_pair().public_key().to_jwk(), "ES256"),
        named(&es384().public_key().to_jwk(), "ES384"),
        json!({"kty": "EC", "crv": "P-521", "x": x, "y": y, "kid": "ES512"}),
        named(&es256k().public_key().to_jwk(), "ES256K"),
        named(&ed25519().public_key().to_jwk(), "EdDSA"),
    ])
}

fn es384() -> ES384KeyPair {
    ES384KeyPair::from_bytes(&[7; 48]).unwrap()
}

fn es256k() -> ES256kKeyPair {
    ES256kKeyPair::from_bytes(&[7; 32]).unwrap()
}

fn ed25519() -> Ed25519KeyPair {
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    Ed25519KeyPair::from_jwk(jwk).unwrap()
}

const SECRET: &[u8; 64] = &[7; 64];

/// Signs with the key of this kind in [`all_keys`] or with [`SECRET`].
fn sign(algorithm: Algorithm, input: &[u8]) -> Vec<u8> {
    let (pkcs1, pss) = (Padding::PKCS1, Padding::PKCS1_PSS);
    match algorithm {
        Algorithm::Rs256 => rsa_signature(MessageDigest::sha256(), pkcs1, input),
        Algorithm::Rs384 => rsa_signature(MessageDigest::sha384(), pkcs1, input),
        Algorithm::Rs512 => rsa_signature(MessageDigest::sha512(), pkcs1, input),
        Algorithm::Ps256 => rsa_signature(MessageDigest::sha256(), pss, input),
        Algorithm::Ps384 => rsa_signature(MessageDigest::sha384(), pss, input),
        Algorithm::Ps512 => rsa_signature(MessageDigest::sha512(), pss, input),
        Algorithm::Es256 => {
            let signature: Signature = key_pair().key_pair().as_ref().sign(input);
            signature.to_bytes().to_vec()
        }
        Algorithm::Es384 => {
            let signature: p384::ecdsa::Signature = es384().key_pair().as_ref().sign(input);
            signature.to_bytes().to_vec()
        }
        Algorithm::Es512 => {
            let signature: p521::ecdsa::Signature = p521_key().sign(input);
            signature.to_bytes().to_vec()
        }
        Algorithm::Es256K => {
            let signature: k256::ecdsa::Signature = es256k().key_pair().as_ref().sign(input);
            signature.to_bytes().to_vec()
        }
        Algorithm::EdDsa => ed25519().key_pair().as_ref().sk.sign(input, None).to_vec(),
        Algorithm::Hs256 => HS256Key::from_bytes(SECRET).authentication_tag(input),
        Algorithm::Hs384 => HS384Key::from_bytes(SECRET).authentication_tag(input),
        Algorithm::Hs512 => HS512Key::from_bytes(SECRET).authentication_tag(input),
    }
}

/// A token of good claims.
fn token_of(header: &Value, algorithm: Algorithm) -> String {
    let (header, claims) = (header.to_string(), good_claims().to_string());
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = sign(algorithm, input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn everything(keys: KeySet) -> (Provider, KeySet) {
    let provider = Provider {
        algorithms: Algorithm::ALL.into_iter().collect(),
        is_symmetric: keys.is_symmetric(),
        ..provider()
    };
    (provider, keys)
}

fn answer((provider, keys): (Provider, KeySet), token: &str) -> Result<(), Error> {
    verify_with(provider, keys, token).map(|_| ())
}

fn not_allowed(algorithm: &str) -> Error {
    Error::AlgorithmNotAllowed {
        algorithm: Excerpt::new(algorithm),
    }
}

/// With the last bit of its signature turned that is not a stray one.
fn tampered(token: &str) -> String {
    let (input, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    *signature.last_mut().unwrap() ^= 1;
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn every_algorithm_with_and_without_kid() {
    let provider = |algorithm: Algorithm| {
        everything(if algorithm.is_symmetric() {
            secret(algorithm)
        } else {
            all_keys()
        })
    };
    let invalid = Err(Error::SignatureInvalid { provider: 0 });
    for algorithm in Algorithm::ALL {
        let name = algorithm.name();
        let kid = if name.starts_with("PS") || name.starts_with("RS") {
            "RS256"
        } else {
            name
        };
        for header in [json!({"alg": name, "kid": kid}), json!({ "alg": name })] {
            let token = token_of(&header, algorithm);
            assert_eq!(answer(provider(algorithm), &token), Ok(()), "{header}");
            assert_eq!(
                answer(provider(algorithm), &tampered(&token)),
                invalid,
                "{header}"
            );
        }
    }
}

/// [`SECRET`] for one algorithm, without `kid` and under the algorithm's name.
fn secret(algorithm: Algorithm) -> KeySet {
    let shared = |kid: Option<&str>| SharedSecret {
        kid: kid.map(str::to_owned),
        algorithm,
        secret: Secret::new(SECRET.to_vec()),
    };
    KeySet::from_secrets(&[shared(None), shared(Some(algorithm.name()))]).unwrap()
}

#[test]
fn both_names_of_ed25519() {
    for name in ["EdDSA", "Ed25519"] {
        let header = json!({"alg": name, "kid": "EdDSA"});
        assert_eq!(
            answer(everything(all_keys()), &token_of(&header, Algorithm::EdDsa)),
            Ok(())
        );
    }
    assert_eq!(
        answer(
            everything(all_keys()),
            &token_of(&json!({"alg": "Ed448"}), Algorithm::EdDsa)
        ),
        Err(not_allowed("Ed448"))
    );
}

/// CVE-2016-10555: the public key, which everybody has, as the secret of an HMAC.
#[test]
fn a_public_key_is_no_secret() {
    let der = RS256KeyPair::from_jwk(rsa_jwk())
        .unwrap()
        .public_key()
        .to_der()
        .unwrap();
    for kid in [Some("RS256"), None, Some("unknown")] {
        let header = kid.map_or(json!({"alg": "HS256"}), |kid| json!({"alg": "HS256", "kid": kid}));
        let input = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(good_claims().to_string())
        );
        let tag = HS256Key::from_bytes(&der).authentication_tag(input.as_bytes());
        let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag));
        assert_eq!(answer(everything(all_keys()), &token), Err(not_allowed("HS256")));
    }
}

#[test]
fn a_secret_is_no_public_key() {
    let token = token_of(&json!({"alg": "ES256"}), Algorithm::Es256);
    assert_eq!(
        answer(everything(secret(Algorithm::Hs256)), &token),
        Err(not_allowed("ES256"))
    );
    let other = token_of(&json!({"alg": "HS512"}), Algorithm::Hs512);
    let unknown = Error::KeyUnknown {
        provider: 0,
        kid: None,
    };
    assert_eq!(answer(everything(secret(Algorithm::Hs256)), &other), Err(unknown));
}

#[test]
fn only_the_provider_s_own_algorithms() {
    let strict = Provider {
        algorithms: AlgorithmSet::of(&[Algorithm::Rs256]),
        ..provider()
    };
    let other = Provider {
        issuer: "https://other.example".to_owned(),
        ..provider()
    };
    let verifier = Verifier::new(vec![strict, other], 8192).unwrap();
    let es256 = token(&good_claims());
    assert_eq!(
        verify_among(&verifier, [Some(keys()), Some(keys())], &es256),
        Err(not_allowed("ES256"))
    );
    // What nobody allows is refused before a claim is read.
    let (start, _) = es256.split_once('.').unwrap();
    let garbage = es256.replacen(start, &URL_SAFE_NO_PAD.encode(r#"{"alg":"PS512"}"#), 1);
    let garbage = garbage.replacen(garbage.split('.').nth(1).unwrap(), "bm9uc2Vuc2U", 1);
    assert_eq!(
        verify_among(&verifier, [Some(keys()), Some(keys())], &garbage),
        Err(not_allowed("PS512"))
    );
}

#[test]
fn a_key_with_an_algorithm_serves_no_other() {
    let mut jwk: Value = serde_json::from_str(rsa_jwk()).unwrap();
    (jwk["kid"], jwk["alg"]) = (KID.into(), "PS256".into());
    let token = |alg, algorithm| token_of(&json!({"alg": alg, "kid": KID}), algorithm);
    let at = |token: &str| answer(everything(key_set([jwk.clone()])), token);
    assert_eq!(at(&token("PS256", Algorithm::Ps256)), Ok(()));
    let mismatch = Error::KeyMismatch {
        provider: 0,
        kid: Excerpt::new(KID),
        algorithm: Algorithm::Rs256,
    };
    assert_eq!(mismatch.to_string(), "key `2026-09` does not serve `RS256`");
    assert_eq!(at(&token("RS256", Algorithm::Rs256)), Err(mismatch));
    // A good PKCS#1 signature under the name of PSS.
    let invalid = Error::SignatureInvalid { provider: 0 };
    assert_eq!(at(&token("PS256", Algorithm::Rs256)), Err(invalid));
}

#[test]
fn a_key_of_another_provider_is_unknown() {
    let other = Provider {
        issuer: "https://other.example".to_owned(),
        ..provider()
    };
    let verifier = Verifier::new(vec![provider(), other], 8192).unwrap();
    let token = token_of(&json!({"alg": "EdDSA", "kid": "EdDSA"}), Algorithm::EdDsa);
    let unknown = Error::KeyUnknown {
        provider: 0,
        kid: Some(Excerpt::new("EdDSA")),
    };
    assert_eq!(
        verify_among(&verifier, [Some(keys()), Some(all_keys())], &token),
        Err(unknown)
    );
}

/// CVE-2018-0114 and its like: the key that the token brings along.
#[test]
fn keys_in_the_header_are_not_looked_at() {
    let attacker = ES256KeyPair::from_bytes(&[9; 32]).unwrap();
    let jwk: Value = serde_json::from_str(&attacker.public_key().to_jwk()).unwrap();
    let members = json!({
        "jwk": jwk, "jku": "https://evil.example/jwks.json", "x5u": "https://evil.example/x5u", "x5c": ["AAAA"],
    });
    let forged = |header: Value| {
        let input = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(good_claims().to_string())
        );
        let signature: Signature = attacker.key_pair().as_ref().sign(input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    };
    let invalid = Error::SignatureInvalid { provider: 0 };
    assert_eq!(refused(&forged(with(header(), members.clone()))), invalid);
    let no_kid = with(json!({"alg": "ES256"}), members.clone());
    assert_eq!(refused(&forged(no_kid)), invalid);
    let own_kid = with(json!({"alg": "ES256", "kid": "mine"}), members.clone());
    let kid = Some(Excerpt::new("mine"));
    assert_eq!(refused(&forged(own_kid)), Error::KeyUnknown { provider: 0, kid });
    let ignored = signed(with(header(), members).to_string(), good_claims().to_string());
    assert_eq!(answer((provider(), keys()), &ignored), Ok(()));
}

#[test]
fn ecdsa_signatures_are_r_and_s() {
    let good = token(&good_claims());
    let (input, signature) = good.rsplit_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let with_signature = |bytes: &[u8]| refused(&format!("{input}.{}", URL_SAFE_NO_PAD.encode(bytes)));
    let signature = Signature::from_slice(&bytes).unwrap();
    let (r, s) = bytes.split_at(32);
    let (zero, order, der) = ([0; 32], [0xff; 32], signature.to_der());
    let bad: [&[u8]; 9] = [
        &[],
        &[0; 64],
        &[r, &zero[..]].concat(),
        &[&zero[..], s].concat(),
        &[r, &order[..]].concat(),
        &[&order[..], s].concat(),
        &bytes[..63],
        &[&bytes[..], &[0]].concat(),
        der.as_bytes(),
    ];
    for bytes in bad {
        assert_eq!(
            with_signature(bytes),
            Error::SignatureInvalid { provider: 0 },
            "{bytes:?}"
        );
    }
    // n−s signs as well as s does (RFC 7518 §3.4 leaves it open): the same identity, by another token.
    let mut other_s = signature.normalize_s();
    if other_s == signature {
        let negated = -*signature.s();
        other_s = Signature::from_scalars(signature.r().to_bytes(), negated.to_bytes()).unwrap();
    }
    let twin = format!("{input}.{}", URL_SAFE_NO_PAD.encode(other_s.to_bytes()));
    assert_ne!(twin, good);
    assert_eq!(verify(&twin), verify(&good));
}

#[test]
fn claims_are_not_told_apart_before_the_signature() {
    let claims = json!({"iss": ISSUER, "exp": "never", "aud": 7});
    assert_eq!(
        refused(&tampered(&token(&claims))),
        Error::SignatureInvalid { provider: 0 }
    );
    let header = with(header(), json!({"typ": "logout+jwt"}));
    let typ = Some(Excerpt::new("logout+jwt"));
    let typed = signed(header.to_string(), claims.to_string());
    assert_eq!(refused(&tampered(&typed)), Error::TypeNotAllowed { typ });
}
