//! Keys that a key set or a secret store should not hold. A bad one is left out and told of, and never signs.

use serde_json::{Value, json};

use crate::door::{Door, KEY_UNKNOWN, SIGNATURE, bearer, refused_policy};
use crate::host::Level;
use crate::support::tokens::{base64url, keys};
use crate::token::Token;

/// CVE-2019-20933: a secret that is blank or can be guessed. Shorter than the hash is too short (RFC 7518 §3.2).
#[test]
fn blank_or_short_hmac_secret() {
    for (algorithm, least) in [("HS256", 32), ("HS384", 48), ("HS512", 64)] {
        for bytes in [0, 1, 6, least - 1] {
            let secret = "s".repeat(bytes);
            let provider = json!({"algorithms": null, "jwks": {"secrets": [
                {"alg": algorithm, "secret": {"inline": secret}}
            ]}});
            let told = refused_policy(json!({"inbound": {"providers": {"shared": provider}}}));
            let expected = match bytes {
                0 => "inbound.providers.shared.jwks.secrets[0].secret.inline: secret is empty".to_owned(),
                _ => format!(
                    "inbound.providers.shared.jwks.secrets[0].secret: secret has {bytes} bytes, {algorithm} needs {least}\n  \
                     help: RFC 7518 §3.2: no shorter than the output of the hash"
                ),
            };
            assert_eq!(told, expected, "{algorithm}, {bytes} bytes");
        }
    }
    // The variable is not set.
    let told = refused_policy(json!({"inbound": {"providers": {"shared": {"jwks": {"secrets": [
        {"alg": "HS256", "kid": "shared", "secret": {"env": "UNSET"}}
    ]}}}}}));
    assert_eq!(
        told,
        "inbound.providers.shared.jwks.secrets[0].secret.env: variable `UNSET` is not set\n  help: set it in the proxy's \
         environment: `vm_config.environment_variables` in Envoy, `vmConfig.env` in Istio"
    );
    // And of what is good, a prefix, a longer one, or none at all is another one.
    let mut door = Door::new();
    for secret in [
        "",
        "0",
        "0123456789abcdef",
        "0123456789abcdef0123456789abcdef0",
        "0123456789ABCDEF0123456789ABCDEF",
    ] {
        door.refuses(secret, bearer(Token::quick().secret(secret).sign()), SIGNATURE);
    }
}

/// Wycheproof's JWK vectors: keys that are none, or that anybody can sign with. Each is left out with its reason in the
/// log, the keys beside it go on, and a token under its `kid` is one of an unknown key, signed how it may be.
#[test]
fn weak_and_broken_keys_are_left_out() {
    let jwks = keys().jwks();
    let by_kid = |kid: &str| {
        let all = jwks["keys"].as_array().unwrap();
        all.iter().find(|key| key["kid"] == kid).unwrap().clone()
    };
    let changed = |kid: &str, members: Value| {
        let mut key = by_kid(kid);
        crate::support::case::merge(&mut key, members);
        key["kid"] = json!("bad");
        key
    };
    let modulus = |bits: usize| {
        let mut bytes = vec![0xff; bits / 8];
        bytes[0] = 0x80;
        base64url(&bytes)
    };
    let off_curve = |kid: &str| {
        let y = by_kid(kid)["y"].as_str().unwrap().to_owned();
        let mut letters = y.into_bytes();
        letters[9] = if letters[9] == b'A' { b'B' } else { b'A' };
        String::from_utf8(letters).unwrap()
    };
    let secret = json!({"kty": "oct", "kid": "bad", "k": base64url(b"0123456789abcdef0123456789abcdef")});
    let with = |key: &Value, members: Value| {
        let mut key = key.clone();
        crate::support::case::merge(&mut key, members);
        key
    };
    let cases: Vec<(Value, &str, &'static str)> = vec![
        // Points that are not on their curve.
        (
            changed("p256", json!({"y": off_curve("p256")})),
            "point is not on the curve or of small order",
            "ES256",
        ),
        (
            changed("p384", json!({"y": off_curve("p384")})),
            "point is not on the curve or of small order",
            "ES384",
        ),
        (
            changed("p521", json!({"y": off_curve("p521")})),
            "point is not on the curve or of small order",
            "ES512",
        ),
        (
            changed("secp256k1", json!({"y": off_curve("secp256k1")})),
            "point is not on the curve or of small order",
            "ES256K",
        ),
        (
            changed(
                "p256",
                json!({"x": base64url(&[0; 32]), "y": base64url(&[0; 32])}),
            ),
            "point is not on the curve or of small order",
            "ES256",
        ),
        (
            changed("p256", json!({"crv": "secp256k1"})),
            "point is not on the curve or of small order",
            "ES256K",
        ),
        (
            changed("p256", json!({"x": base64url(&[1; 31])})),
            "`x` is missing or malformed",
            "ES256",
        ),
        (
            changed("p256", json!({"y": ""})),
            "`y` is missing or malformed",
            "ES256",
        ),
        (
            changed("p256", json!({"crv": "P-192"})),
            "unknown `crv` `P-192`",
            "ES256",
        ),
        (
            changed("p256", json!({"crv": "Ed25519"})),
            "unknown `crv` `Ed25519`",
            "ES256",
        ),
        (
            changed("ed25519", json!({"x": base64url(&[0; 32])})),
            "point is not on the curve or of small order",
            "EdDSA",
        ),
        (
            changed("ed25519", json!({"x": base64url(&[1; 31])})),
            "`x` is missing or malformed",
            "EdDSA",
        ),
        (
            changed("ed25519", json!({"crv": "X25519"})),
            "unknown `crv` `X25519`",
            "EdDSA",
        ),
        // RSA that is too short, or whose exponent does not hide anything.
        (
            changed("rsa", json!({"n": modulus(512)})),
            "RSA modulus of 512 bits, below 2048",
            "RS256",
        ),
        (
            changed("rsa", json!({"n": modulus(1024)})),
            "RSA modulus of 1024 bits, below 2048",
            "RS256",
        ),
        (
            changed("rsa", json!({"n": modulus(2040)})),
            "RSA modulus of 2040 bits, below 2048",
            "RS256",
        ),
        (
            changed("rsa", json!({"n": modulus(8192)})),
            "RSA modulus of 8192 bits, above 4096",
            "RS256",
        ),
        (
            changed(
                "rsa",
                json!({"n": base64url(&[[0x80].as_slice(), &[0; 255]].concat())}),
            ),
            "RSA modulus is even",
            "RS256",
        ),
        (
            changed("rsa", json!({"n": ""})),
            "RSA modulus of 0 bits, below 2048",
            "RS256",
        ),
        (
            changed("rsa", json!({"e": base64url(&[1])})),
            "RSA exponent is even, below 3 or above 33 bits",
            "RS256",
        ),
        (
            changed("rsa", json!({"e": base64url(&[0, 0, 1])})),
            "RSA exponent is even, below 3 or above 33 bits",
            "RS256",
        ),
        (
            changed("rsa", json!({"e": base64url(&[0])})),
            "RSA exponent is even, below 3 or above 33 bits",
            "RS256",
        ),
        (
            changed("rsa", json!({"e": base64url(&[2])})),
            "RSA exponent is even, below 3 or above 33 bits",
            "RS256",
        ),
        (
            changed("rsa", json!({"e": base64url(&[1, 0, 0])})),
            "RSA exponent is even, below 3 or above 33 bits",
            "RS256",
        ),
        (
            changed("rsa", json!({"e": ""})),
            "RSA exponent is even, below 3 or above 33 bits",
            "RS256",
        ),
        (
            changed("rsa", json!({"e": base64url(&[0xff; 9])})),
            "RSA exponent is even, below 3 or above 33 bits",
            "RS256",
        ),
        (
            changed("rsa", json!({"e": "AQAB="})),
            "`e` is missing or malformed",
            "RS256",
        ),
        // Secrets in a set that everybody can read.
        (secret.clone(), "a symmetric key in a published set", "HS256"),
        (
            with(
                &secret,
                json!({"alg": "HS256", "use": "sig", "key_ops": ["verify"]}),
            ),
            "a symmetric key in a published set",
            "HS256",
        ),
        (
            with(&secret, json!({"alg": "RS256"})),
            "a symmetric key in a published set",
            "RS256",
        ),
        (
            changed("rsa", json!({"alg": "HS256"})),
            "`alg` `HS256` does not fit the key",
            "HS256",
        ),
        // Keys for something else.
        (
            changed("p256", json!({"use": "enc"})),
            "`use` is not `sig`",
            "ES256",
        ),
        (
            changed("p256", json!({"use": "SIG"})),
            "`use` is not `sig`",
            "ES256",
        ),
        (changed("p256", json!({"use": 7})), "`use` is not `sig`", "ES256"),
        (
            changed("p256", json!({"key_ops": ["sign"]})),
            "`key_ops` does not hold `verify`",
            "ES256",
        ),
        (
            changed("p256", json!({"key_ops": ["encrypt", "wrapKey"]})),
            "`key_ops` does not hold `verify`",
            "ES256",
        ),
        (
            changed("p256", json!({"key_ops": []})),
            "`key_ops` does not hold `verify`",
            "ES256",
        ),
        (
            changed("p256", json!({"key_ops": "verify"})),
            "`key_ops` does not hold `verify`",
            "ES256",
        ),
        (
            changed("rsa", json!({"alg": "RSA-OAEP-256"})),
            "unknown `alg` `RSA-OAEP-256`",
            "RS256",
        ),
        (
            changed("rsa", json!({"alg": "none"})),
            "unknown `alg` `none`",
            "RS256",
        ),
        (
            changed("p256", json!({"alg": "ES384"})),
            "`alg` `ES384` does not fit the key",
            "ES256",
        ),
        (
            changed("p256", json!({"kty": "ec"})),
            "unknown `kty` `ec`",
            "ES256",
        ),
    ];
    let mut set: Vec<Value> = cases.iter().map(|(key, _, _)| key.clone()).collect();
    set.push(by_kid("p256"));
    let mut door =
        Door::with(json!({"inbound": {"providers": {"main": {"jwks": {"inline": {"keys": set}}}}}}));
    let expected: Vec<String> = cases
        .iter()
        .enumerate()
        .map(|(index, (_, reason, _))| {
            let place = format!("inbound.providers.main.jwks.inline.keys[{index}]");
            format!("peergate: configuration: {place}: key is not used: {reason}")
        })
        .collect();
    assert_eq!(door.logs(Level::Warn), expected);
    for (key, _, algorithm) in &cases {
        let token = Token::new(algorithm)
            .header(json!({"kid": "bad"}))
            .claims(json!({"iss": "https://issuer.example"}));
        let refusal = match *algorithm {
            "HS256" => crate::door::ALGORITHM,
            _ => KEY_UNKNOWN,
        };
        door.refuses(&key.to_string(), bearer(token.sign()), refusal);
    }
    door.admits_as(
        "the good key beside them",
        bearer(Token::new("ES256").sign()),
        "mrpink",
    );
}

/// Wycheproof, and CVE-2018-0114 from the other end: whoever reads a set with a private or symmetric key in it can
/// sign. A set with nothing else is no set: there are no keys to fall back to.
#[test]
fn a_set_without_a_good_key_is_refused() {
    let secret = json!({"kty": "oct", "kid": "k", "k": base64url(b"0123456789abcdef0123456789abcdef")});
    for (set, told) in [
        (json!([]), "has no key"),
        (
            json!([secret]),
            "has no key that can be used; the first: a symmetric key in a published set",
        ),
        (
            json!([null, 7, "key", [], {}]),
            "has no key that can be used; the first: not an object",
        ),
    ] {
        let faults =
            refused_policy(json!({"inbound": {"providers": {"main": {"jwks": {"inline": {"keys": set}}}}}}));
        assert_eq!(
            faults,
            format!("inbound.providers.main.jwks.inline: {told}"),
            "{set}"
        );
    }
}
