//! What is no sealed secret and no key, with exactly which words.

use super::*;

#[test]
fn headers_that_are_refused() {
    let [x, y, d] = rfc7518::ALICE;
    let epk = |members: Value| {
        let mut epk = object(json!({"kty": "EC", "crv": "P-256", "x": x, "y": y}));
        epk.extend(object(members));
        header(json!({"epk": epk}))
    };
    let long = "x".repeat(MAX_HEADER_BYTES);
    for (header, says) in [
        (
            header(json!({"alg": null})),
            "header: `alg` is missing, or of the wrong type",
        ),
        (
            header(json!({"alg": 1})),
            "header: `alg` is missing, or of the wrong type",
        ),
        (
            header(json!({"enc": null})),
            "header: `enc` is missing, or of the wrong type",
        ),
        (
            header(json!({"kid": 1})),
            "header: `kid` is missing, or of the wrong type",
        ),
        (
            header(json!({"apu": 1})),
            "header: `apu` is missing, or of the wrong type",
        ),
        (header(json!({"apv": "a="})), "apv is not canonical base64url"),
        (
            header(json!({"alg": "ECDH-ES+A256KW"})),
            "header: `alg` is `ECDH-ES+A256KW` and not `ECDH-ES`",
        ),
        (
            header(json!({"alg": "dir"})),
            "header: `alg` is `dir` and not `ECDH-ES`",
        ),
        (
            header(json!({"alg": "none"})),
            "header: `alg` is `none` and not `ECDH-ES`",
        ),
        (
            header(json!({"alg": "ecdh-es"})),
            "header: `alg` is `ecdh-es` and not `ECDH-ES`",
        ),
        (
            header(json!({"enc": "A128GCM"})),
            "header: `enc` is `A128GCM` and not `A256GCM`",
        ),
        (
            header(json!({"enc": "A256CBC-HS512"})),
            "header: `enc` is `A256CBC-HS512` and not `A256GCM`",
        ),
        (
            header(json!({"crit": ["exp"], "exp": 1})),
            "header: `crit` asks for what is not understood",
        ),
        (
            header(json!({"crit": []})),
            "header: `crit` asks for what is not understood",
        ),
        (
            header(json!({"zip": "DEF"})),
            "header: `zip`: what is compressed is not read",
        ),
        (
            header(json!({"epk": null})),
            "header: `epk` is missing, or of the wrong type",
        ),
        (
            header(json!({"epk": "x"})),
            "header: `epk` is missing, or of the wrong type",
        ),
        (
            epk(json!({"crv": "P-384"})),
            "header: `epk`: is not of `kty` EC and `crv` P-256",
        ),
        (
            epk(json!({"kty": "OKP", "crv": "X25519"})),
            "header: `epk`: is not of `kty` EC and `crv` P-256",
        ),
        (
            epk(json!({"x": "AA"})),
            "header: `epk`: `x` is missing, or not 32 bytes in base64url",
        ),
        (
            epk(json!({"y": null})),
            "header: `epk`: `y` is missing, or not 32 bytes in base64url",
        ),
        (
            epk(json!({"x": format!("AA{x}")})),
            "header: `epk`: `x` is missing, or not 32 bytes in base64url",
        ),
        (epk(json!({"y": x})), "header: `epk`: is no key on the curve"),
        (
            epk(json!({"x": "A".repeat(43), "y": "A".repeat(43)})),
            "header: `epk`: is no key on the curve",
        ),
        (
            epk(json!({"d": d})),
            "header: `epk`: holds `d`, and is known to everybody",
        ),
        (
            epk(json!({"use": "sig"})),
            "header: `epk`: is for something else: `use` is not `enc`, or `alg` not `ECDH-ES`",
        ),
        (header(json!({"x": long})), "header is too long"),
        (json!([]), "header: not a JSON object"),
    ] {
        let jwe = sealed_with(&header, ["", ""], TEXT.as_bytes());
        let error = open(&keys(&pair(7)), &jwe).unwrap_err();
        assert_eq!(error.to_string(), says, "{header}");
    }
}

#[test]
fn forms_that_are_refused() {
    let jwe = sealed_with(&header(json!({})), ["", ""], TEXT.as_bytes());
    let parts: Vec<&str> = jwe.split('.').collect();
    let [head, _, nonce, text, tag] = *parts.as_slice() else {
        panic!("{jwe}");
    };
    let twice = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","alg":"ECDH-ES"}"#);
    let lengths = "initialization vector is not of 12 bytes, or authentication tag not of 16";
    for (jwe, says) in [
        (String::new(), "is no compact JWE: it has 1 of 5 segments"),
        (TEXT.to_owned(), "is no compact JWE: it has 1 of 5 segments"),
        (
            format!("{head}.{nonce}.{text}.{tag}"),
            "is no compact JWE: it has 4 of 5 segments",
        ),
        (format!("{jwe}."), "is no compact JWE: it has 6 of 5 segments"),
        (
            ".".repeat(MAX_JWE_BYTES),
            "is no compact JWE: it has 65537 of 5 segments",
        ),
        (".".repeat(MAX_JWE_BYTES + 1), "is longer than 65536 bytes"),
        (
            format!("..{nonce}.{text}.{tag}"),
            "header: invalid JSON at line 1 column 0",
        ),
        (
            format!("{twice}..{nonce}.{text}.{tag}"),
            "header: duplicate member `alg`",
        ),
        (
            format!("{head}=..{nonce}.{text}.{tag}"),
            "header is not canonical base64url",
        ),
        (
            format!("{head}.AAAA.{nonce}.{text}.{tag}"),
            "has an encrypted key, where `ECDH-ES` has none",
        ),
        (
            format!("{head}..{nonce}=.{text}.{tag}"),
            "initialization vector is not canonical base64url",
        ),
        (
            format!("{head}..{nonce}.{text}+.{tag}"),
            "ciphertext is not canonical base64url",
        ),
        (
            format!("{head}..{nonce}.{text}.{tag} "),
            "authentication tag is not canonical base64url",
        ),
        (format!("{head}...{text}.{tag}"), lengths),
        (format!("{head}..{nonce}AAAA.{text}.{tag}"), lengths),
        (format!("{head}..{nonce}.{text}."), lengths),
        (format!("{head}..{nonce}.{text}.{}", &tag[..16]), lengths),
        (
            format!("{head}..{nonce}..{tag}"),
            "cannot be opened: it was changed, or sealed to another key",
        ),
        (
            sealed_with(&header(json!({})), ["", ""], b"\xff\xfe"),
            "holds something that is not UTF-8",
        ),
        (
            sealed_with(&header(json!({"kid": "a\nb"})), ["", ""], TEXT.as_bytes()),
            r"is sealed to key `a\nb`, which this proxy has not",
        ),
    ] {
        let error = open(&keys(&pair(7)), &jwe).unwrap_err();
        assert_eq!(error.to_string(), says, "{jwe}");
    }
}

#[test]
fn keys_that_are_refused() {
    let good = object(serde_json::from_str(pair(7).private.expose()).unwrap());
    let with = |members: Value| {
        let mut jwk = good.clone();
        jwk.extend(object(members));
        jwk.retain(|_, value| !value.is_null());
        Value::Object(jwk)
    };
    let other = pair(8);
    let public = object(serde_json::from_str(&other.public).unwrap());
    let nine = json!({"keys": vec![good.clone(); 9]});
    let count = "`keys` is not a list of 1 to 8 keys";
    for (text, says) in [
        (String::new(), "is no JWK"),
        (TEXT.to_owned(), "is no JWK"),
        (format!("{:?}", TEXT), "is no JWK"),
        (format!("{} ", Value::Object(good.clone())).repeat(2), "is no JWK"),
        (
            Value::Object(good.clone())
                .to_string()
                .replacen('{', r#"{"d":"x","#, 1),
            "is no JWK",
        ),
        (
            " ".repeat(MAX_KEYS_BYTES) + &Value::Object(good.clone()).to_string(),
            "is no JWK",
        ),
        (json!({"keys": []}).to_string(), count),
        (json!({"keys": good}).to_string(), count),
        (nine.to_string(), count),
        (json!({"keys": [good, "x"]}).to_string(), "is no JWK"),
        (
            json!({"keys": [good, with(json!({"d": null}))]}).to_string(),
            "`d` is missing, or not 32 bytes in base64url",
        ),
        (
            with(json!({"d": "AA"})).to_string(),
            "`d` is missing, or not 32 bytes in base64url",
        ),
        (
            with(json!({"d": "A".repeat(43)})).to_string(),
            "is no key on the curve",
        ),
        (
            with(json!({"y": good["x"]})).to_string(),
            "is no key on the curve",
        ),
        (
            with(json!({"x": null})).to_string(),
            "`x` is missing, or not 32 bytes in base64url",
        ),
        (
            with(json!({"kty": "OKP"})).to_string(),
            "is not of `kty` EC and `crv` P-256",
        ),
        (
            with(json!({"crv": "secp256k1"})).to_string(),
            "is not of `kty` EC and `crv` P-256",
        ),
        (
            with(json!({"use": "sig"})).to_string(),
            "is for something else: `use` is not `enc`, or `alg` not `ECDH-ES`",
        ),
        (
            with(json!({"alg": "ES256"})).to_string(),
            "is for something else: `use` is not `enc`, or `alg` not `ECDH-ES`",
        ),
        (
            with(json!({"x": public["x"], "y": public["y"]})).to_string(),
            "`x` and `y` are not the public half of `d`",
        ),
    ] {
        let error = UnsealingKeys::parse(&text).unwrap_err();
        assert_eq!(error.to_string(), says, "{text}");
    }
    // What a JWK need not hold (RFC 7517 §4).
    let bare = with(json!({"use": null, "alg": null, "kid": null, "key_ops": ["deriveBits"]}));
    let jwe = sealed_to(&pair(7), TEXT);
    let bare = UnsealingKeys::parse(&bare.to_string()).unwrap();
    assert_eq!(open(&bare, &jwe).as_deref(), Ok(TEXT));
}
