//! The header of a token is the attacker's word: which algorithm, which key, which rules of reading.

use jwt_simple::algorithms::{ECDSAP256KeyPairLike, ES256KeyPair, RS256PublicKey};
use serde_json::{Value, json};

use crate::door::{
    ALGORITHM, Door, ENCRYPTED, HEADER_REJECTED, KEY_UNKNOWN, MALFORMED, NO_BEARER, REPEATED, SIGNATURE,
    TOO_LONG, bearer, refused_policy,
};
use crate::support::tokens::{base64url, keys};
use crate::token::{Parts, Token};

/// CVE-2015-2951: `none` in every letter case, and what comparisons that trim, cut at NUL or fold Unicode take for it.
#[test]
fn alg_none_in_any_case() {
    let mut door = Door::new();
    let cases = (0..16_u8).map(|upper| {
        let letters = "none".chars().enumerate();
        letters
            .map(|(place, letter)| match upper >> place & 1 {
                1 => letter.to_ascii_uppercase(),
                _ => letter,
            })
            .collect::<String>()
    });
    let lookalikes = [
        " none",
        "none ",
        "none\0",
        "none\n",
        "\u{feff}none",
        "n\u{43e}ne",
        "\u{ff4e}one",
        "",
        "null",
    ];
    let good = Parts::of(&Token::new("ES256").sign());
    for alg in cases.chain(lookalikes.map(str::to_owned)) {
        let token = Token::new("ES256").header(json!({"alg": alg}));
        for kid in [json!("p256"), Value::Null] {
            let input = token.clone().header(json!({"kid": kid})).signing_input();
            for signature in ["", "AA", &good.signature] {
                let what = format!("{alg:?}, kid {kid}, signature {signature:?}");
                door.refuses(&what, bearer(format!("{input}.{signature}")), ALGORITHM);
            }
        }
        // Without a signature there is no dot either in what some libraries write.
        door.refuses(&alg, bearer(token.signing_input()), MALFORMED);
        // Signed as it should be, but for what the header says.
        door.refuses(&alg, bearer(token.sign()), ALGORITHM);
    }
    for alg in ["null", "true", "0", "[]", "{}", "[\"none\"]", "[\"ES256\"]"] {
        let token = Token::new("none").raw_header(format!(r#"{{"alg":{alg},"kid":"p256"}}"#));
        door.refuses(alg, bearer(token.sign()), MALFORMED);
    }
    let nothing = Token::new("none").raw_header("{}").sign();
    door.refuses("no alg", bearer(nothing), MALFORMED);
}

/// CVE-2016-10555, CVE-2026-22817: every text and byte form of a public key that a library may have at hand, as the
/// secret of an HMAC. No key of the set names an algorithm, so nothing but its type says what it is for.
#[test]
fn a_public_key_as_an_hmac_secret() {
    let mut door = Door::new();
    let jwks = keys().jwks();
    let rsa = &jwks["keys"][0];
    let member = |name: &str| rsa[name].as_str().unwrap().to_owned();
    let decoded = |name: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(member(name))
            .unwrap()
    };
    let key = RS256PublicKey::from_components(&decoded("n"), &decoded("e")).unwrap();
    let pem = key.to_pem().unwrap();
    let secrets: [Vec<u8>; 9] = [
        pem.clone().into_bytes(),
        pem.trim_end().as_bytes().to_vec(),
        pem.replace('\n', "\r\n").into_bytes(),
        key.to_der().unwrap(),
        decoded("n"),
        member("n").into_bytes(),
        rsa.to_string().into_bytes(),
        jwks.to_string().into_bytes(),
        Vec::new(),
    ];
    for (index, secret) in secrets.iter().enumerate() {
        for algorithm in ["HS256", "HS384", "HS512"] {
            for kid in [json!("rsa"), json!("p256"), Value::Null] {
                let token = Token::new("RS256").header(json!({"alg": algorithm, "kid": kid}));
                let input = token.signing_input();
                let tag = hmac(algorithm, secret, input.as_bytes());
                let forged = format!("{input}.{}", base64url(&tag));
                let what = format!("secret {index} for {algorithm}, kid {kid}");
                door.refuses(&what, bearer(forged), ALGORITHM);
            }
        }
    }
    // The same by a name for HMAC that is none, and with the `kid` of the one secret that this policy has.
    let token = Token::new("HS256").claims(json!({"iss": "https://issuer.example"}));
    door.refuses("the secret of another issuer", bearer(token.sign()), ALGORITHM);
}

/// CVE-2016-10555 from the other side: nobody can write a policy that allows it.
#[test]
fn hmac_does_not_go_with_a_key_set() {
    let with = |provider: &str, algorithms: [&str; 2]| {
        let mut providers = json!({});
        providers[provider] = json!({"algorithms": algorithms});
        refused_policy(json!({"inbound": {"providers": providers}}))
    };
    for algorithm in ["HS256", "HS384", "HS512"] {
        assert_eq!(
            with("main", ["RS256", algorithm]),
            format!(
                "inbound.providers.main.algorithms[1]: `{algorithm}` cannot be verified with a key set\n  help: with \
                 `jwks: {{secrets: [{{alg, secret}}]}}` both sides hold the key; a public key is no secret"
            )
        );
    }
    assert_eq!(
        with("shared", ["HS256", "RS256"]),
        "inbound.providers.shared.algorithms[1]: `RS256` cannot be verified with shared secrets"
    );
}

/// CVE-2018-0114, CVE-2026-27962: a key, or where to fetch one, in the header. It is not looked at, so the key is
/// unknown; where the `kid` is that of a real key, it is not the key that signed. And nothing is fetched.
#[test]
fn embedded_jwk_jku_x5u_x5c_are_ignored() {
    let mut door = Door::new();
    let attacker = ES256KeyPair::generate();
    let jwk: Value = serde_json::from_str(&attacker.public_key().to_jwk()).unwrap();
    let embedded = [
        ("jwk", jwk.clone()),
        ("jwk", json!({"keys": [jwk]})),
        ("jku", json!("https://attacker.example/jwks.json")),
        ("jku", json!("https://issuer.example@attacker.example/jwks.json")),
        ("jku", json!("data:application/json,{}")),
        ("jku", json!("http://127.0.0.1:15000/config_dump")),
        ("x5u", json!("https://attacker.example/chain.pem")),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAA")),
        ("x5t#S256", json!("AAAA")),
        ("jwk", json!(7)),
        ("x5c", json!({})),
    ];
    for (member, value) in embedded {
        let what = format!("{member}: {value}");
        for (kid, refusal) in [
            (json!("attacker"), KEY_UNKNOWN),
            (json!("p256"), SIGNATURE),
            (Value::Null, SIGNATURE),
        ] {
            let mut members = json!({"kid": kid});
            members[member] = value.clone();
            let input = Token::new("ES256").header(members).signing_input();
            let forged = format!("{input}.{}", base64url(&signed_by(&attacker, &input)));
            door.refuses(&what, bearer(forged), refusal);
        }
        // The owner's token is good whatever else its header holds.
        let mut members = json!({});
        members[member] = value;
        door.admits_as(
            &what,
            bearer(Token::new("ES256").header(members).sign()),
            "mrpink",
        );
    }
}

/// RFC 8725bis §3.10: a `kid` is data for somebody's file system, database or object lookup. Here it is compared byte
/// by byte with the names of the keys.
#[test]
fn hostile_kids() {
    let mut door = Door::new();
    let names = [
        "../../../../../../dev/null",
        "/dev/null",
        "..\\..\\windows\\win.ini",
        "file:///proc/sys/kernel/randomize_va_space",
        "http://169.254.169.254/latest/meta-data",
        "' UNION SELECT 'key' -- ",
        "x' OR '1'='1",
        "$(id)",
        "| id",
        "__proto__",
        "constructor",
        "toString",
        "0",
        "-1",
        "",
        " p256",
        "p256 ",
        "p256\0",
        "p256\u{200b}",
        "P256",
        "\u{ff50}256",
        "\u{1f511}",
        "\r\nX-Agent-Sub: boss",
        "shared",
        "other",
        "p384",
    ];
    for kid in names {
        let token = Token::new("ES256").header(json!({"kid": kid}));
        door.refuses(&format!("{kid:?}"), bearer(token.sign()), KEY_UNKNOWN);
    }
    for kid in ["null", "1", "true", "[\"p256\"]", "{\"p256\":true}"] {
        let token = Token::new("ES256").raw_header(format!(r#"{{"alg":"ES256","kid":{kid}}}"#));
        door.refuses(kid, bearer(token.sign()), MALFORMED);
    }
    let escaped = Token::new("ES256").raw_header(r#"{"alg":"ES256","kid":"\u0070256"}"#);
    door.admits_as(
        "an escape is the letter that it stands for",
        bearer(escaped.sign()),
        "mrpink",
    );
    // Lines of a log stay lines.
    assert!(
        door.logs(crate::host::Level::Info)
            .iter()
            .all(|line| !line.contains('\n'))
    );
}

/// RFC 8725bis §3.10: the length of a `kid`, up to a megabyte.
#[test]
fn a_kid_of_a_megabyte() {
    let mut door = Door::with(json!({"inbound": {"limits": {"max_token_bytes": 65536}}}));
    let with_kid = |bytes: usize| {
        let token = Token::quick().header(json!({"kid": "k".repeat(bytes)}));
        bearer(token.sign())
    };
    for (bytes, refusal) in [
        (256, KEY_UNKNOWN),
        (257, MALFORMED),
        (8_192, MALFORMED),
        (48_000, MALFORMED),
        (60 * 1024, TOO_LONG),
        (1024 * 1024, TOO_LONG),
        (8 * 1024 * 1024, TOO_LONG),
    ] {
        door.refuses(&format!("{bytes} bytes"), with_kid(bytes), refusal);
    }
    door.admits_as("the door still opens", bearer(Token::quick().sign()), "mrpink");
}

/// RFC 8725bis §3.8: the key of another provider, under a `kid` that both have and under one that only it has.
#[test]
fn another_providers_key_does_not_count() {
    let mut door = Door::with(json!({"inbound": {"providers": {
        "other": {"jwks": {"inline": {"keys": renamed(&["rsa", "others-own"])}}},
    }}}));
    let of_other = |kid: &str| Token::new("RS256").by_other().header(json!({"kid": kid}));
    door.refuses("the same kid", bearer(of_other("rsa").sign()), SIGNATURE);
    door.refuses("its own kid", bearer(of_other("others-own").sign()), KEY_UNKNOWN);
    let main_as_other = Token::new("RS256").claims(json!({"iss": "https://other.example"}));
    door.refuses("the other way round", bearer(main_as_other.sign()), SIGNATURE);
    let its_own = of_other("others-own").claims(json!({"iss": "https://other.example"}));
    door.admits_as("at home it is good", bearer(its_own.sign()), "mrpink");
}

/// CVE-2026-32597, CVE-2025-59420: an extension that must be understood, known by name or not, and `crit` of every
/// wrong shape. The token is signed by the issuer: only this is wrong with it.
#[test]
fn critical_header_extensions_are_refused() {
    let mut door = Door::new();
    for members in [
        json!({"crit": ["exp"], "exp": 1}),
        json!({"crit": ["exp"]}),
        json!({"crit": ["b64"], "b64": true}),
        json!({"crit": ["b64"], "b64": false}),
        json!({"crit": ["kid"]}),
        json!({"crit": ["alg", "kid"]}),
        json!({"crit": ["https://attacker.example/bypass"], "https://attacker.example/bypass": true}),
        json!({"crit": ["cnf"], "cnf": {"jkt": "x"}}),
        json!({"crit": []}),
        json!({"crit": [""]}),
        json!({"crit": [7]}),
        json!({"crit": "exp"}),
        json!({"crit": {}}),
        json!({"crit": false}),
        json!({"crit": 0}),
        json!({"b64": false}),
        json!({"b64": "false"}),
        json!({"b64": 0}),
    ] {
        let token = Token::quick().header(members.clone());
        door.refuses(&members.to_string(), bearer(token.sign()), HEADER_REJECTED);
    }
    for member in [r#""crit":null"#, r#""b64":null"#, r#""\u0063rit":["exp"]"#] {
        let header = format!(r#"{{"alg":"HS256","kid":"shared",{member}}}"#);
        door.refuses(
            member,
            bearer(Token::quick().raw_header(header).sign()),
            HEADER_REJECTED,
        );
    }
    for members in [
        json!({"Crit": ["x"]}),
        json!({"critical": ["x"]}),
        json!({"b64": true}),
    ] {
        let token = Token::quick().header(members.clone());
        door.admits_as(&members.to_string(), bearer(token.sign()), "mrpink");
    }
}

/// CVE-2026-29000: a JWE, encrypted to a public key that everybody has, around claims that nobody signed.
#[test]
fn jwe_where_a_jws_is_expected() {
    let mut door = Door::new();
    let good = Token::new("ES256").sign();
    let inner = base64url(Token::new("none").sign().as_bytes());
    for header in [
        json!({"alg": "dir", "enc": "A256GCM"}),
        json!({"alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "JWT", "kid": "rsa"}),
        json!({"alg": "ECDH-ES", "enc": "A128CBC-HS256", "epk": {"kty": "EC"}}),
        // Work at the attacker's choice.
        json!({"alg": "PBES2-HS256+A128KW", "enc": "A256GCM", "p2c": 2_147_483_647_u32, "p2s": "AA"}),
        json!({"alg": "RSA-OAEP", "enc": "A256GCM", "zip": "DEF"}),
        json!({"alg": "none"}),
        json!({"alg": "ES256", "kid": "p256"}),
    ] {
        let header_segment = base64url(header.to_string().as_bytes());
        for token in [
            format!("{header_segment}..AAAA.{inner}.AAAA"),
            format!("{header_segment}.AAAA.AAAA.{inner}.AAAA"),
        ] {
            door.refuses(&header.to_string(), bearer(token), ENCRYPTED);
        }
        // In three segments it is no JWE, and its algorithm none of a JWS.
        if header["alg"] != "ES256" {
            door.refuses(
                &header.to_string(),
                bearer(format!("{header_segment}.{inner}.AAAA")),
                ALGORITHM,
            );
        }
    }
    door.refuses(
        "good, and two more",
        bearer(format!("{good}.AAAA.AAAA")),
        ENCRYPTED,
    );
    door.refuses("four empty segments around", bearer("...."), ENCRYPTED);
}

/// CVE-2022-39227: one text that is a JSON serialisation to one reader and a compact token to another. JSON with more
/// than one member holds a comma, which is refused before all else: Envoy joins repeated headers with it.
#[test]
fn json_serialisation_is_refused() {
    let mut door = Door::new();
    let Parts {
        header,
        claims,
        signature,
    } = Parts::of(&Token::new("ES256").sign());
    let forged = base64url(
        Token::new("ES256")
            .claims(json!({"sub": "boss"}))
            .claims_text()
            .as_bytes(),
    );
    let flattened = format!(r#"{{"payload":"{claims}","protected":"{header}","signature":"{signature}"}}"#);
    let polyglot = format!(
        r#"{{"{header}.{forged}.":"","protected":"{header}","payload":"{claims}","signature":"{signature}"}}"#
    );
    let general = format!(
        r#"{{"payload":"{claims}","signatures":[{{"protected":"{header}","signature":"{signature}"}}]}}"#
    );
    for json in [&flattened, &polyglot, &general] {
        door.refuses("with commas", bearer(json), REPEATED);
        door.refuses("with spaces", bearer(json.replace(',', "\t")), NO_BEARER);
        // As one word of base64url it is a token of one segment.
        door.refuses("in base64url", bearer(base64url(json.as_bytes())), MALFORMED);
    }
    for json in [
        format!(r#"{{"{header}.{claims}.{signature}":""}}"#),
        format!(r#"["{header}.{claims}.{signature}"]"#),
        format!(r#""{header}.{claims}.{signature}""#),
        "{}".to_owned(),
    ] {
        door.refuses(&json, bearer(&json), MALFORMED);
    }
}

/// The other issuer's one key, under each of these names.
fn renamed(kids: &[&str]) -> Vec<Value> {
    let with = |kid: &&str| {
        let mut key = keys().other_jwks()["keys"][0].clone();
        key["kid"] = json!(kid);
        key
    };
    kids.iter().map(with).collect()
}

fn signed_by(key: &ES256KeyPair, input: &str) -> Vec<u8> {
    use p256::ecdsa::signature::Signer as _;
    let signature: p256::ecdsa::Signature = key.key_pair().as_ref().sign(input.as_bytes());
    signature.to_vec()
}

fn hmac(algorithm: &str, secret: &[u8], input: &[u8]) -> Vec<u8> {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    macro_rules! tag {
        ($hash:ty) => {{
            let mut mac = Hmac::<$hash>::new_from_slice(secret).unwrap();
            mac.update(input);
            mac.finalize().into_bytes().to_vec()
        }};
    }
    match algorithm {
        "HS256" => tag!(sha2::Sha256),
        "HS384" => tag!(sha2::Sha384),
        _ => tag!(sha2::Sha512),
    }
}
