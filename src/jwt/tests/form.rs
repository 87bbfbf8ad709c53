//! The compact form and the header.

use super::*;

fn malformed(malformed: Malformed) -> Error {
    Error::Malformed(malformed)
}

fn json_error(segment: Segment, error: json::Error) -> Error {
    Error::Malformed(Malformed::Json { segment, error })
}

/// The refusal of good claims under this header, which may be no JSON.
#[track_caller]
fn refused_header(header: impl ToString) -> Error {
    refused(&signed(header.to_string(), good_claims().to_string()))
}

#[track_caller]
fn refused_payload(payload: impl AsRef<[u8]>) -> Error {
    refused(&signed(header().to_string(), payload))
}

#[test]
fn the_length_comes_first() {
    let token = token(&good_claims());
    let at = |limit| {
        let verifier = Verifier::new(vec![provider()], limit).unwrap();
        verify_among(&verifier, [Some(keys())], &token).map(|verified| verified.provider())
    };
    assert_eq!(at(token.len()), Ok(0));
    let too_long = |bytes, limit| Error::TooLong { bytes, limit };
    assert_eq!(at(token.len() - 1), Err(too_long(token.len(), token.len() - 1)));
    assert_eq!(refused(&"=".repeat(1 << 20)), too_long(1 << 20, 8192));
    assert_eq!(refused(&".".repeat(10_000)), too_long(10_000, 8192));
}

#[test]
fn characters_are_of_base64url() {
    let good = token(&good_claims());
    for bad in ["=", "+", "/", "?", " ", "\t", "\r\n", "\0", "\u{e9}", "%2e", ","] {
        let offset = good.len();
        assert_eq!(
            refused(&format!("{good}{bad}")),
            malformed(Malformed::Character { offset }),
            "{bad:?}"
        );
        assert_eq!(
            refused(&format!("{bad}{good}")),
            malformed(Malformed::Character { offset: 0 }),
            "{bad:?}"
        );
    }
    let verifier = Verifier::new(vec![provider()], 8192).unwrap();
    let offset = malformed(Malformed::Character { offset: 2 });
    assert_eq!(
        verifier.verify(b"e3\xff.e30.", means(&KeySets::default()), now()),
        Err(offset)
    );
    let json = r#"{"payload":"e30","signature":"","protected":""}"#;
    assert_eq!(refused(json), malformed(Malformed::Character { offset: 0 }));
}

#[test]
fn there_are_three_segments() {
    for (token, count) in [
        ("", 1),
        ("e30", 1),
        ("e30.e30", 2),
        ("e30.e30..", 4),
        ("a.b.c.d.e.f", 6),
    ] {
        assert_eq!(
            refused(token),
            malformed(Malformed::Segments { count }),
            "{token}"
        );
    }
    assert_eq!(
        refused(&".".repeat(8192)),
        malformed(Malformed::Segments { count: 8193 })
    );
    assert_eq!(refused("eyJhbGciOiJkaXIifQ..a.b.c"), Error::Encrypted);
    assert_eq!(refused("...."), Error::Encrypted);
}

#[test]
fn base64url_has_one_form() {
    let base64 = |segment| malformed(Malformed::Base64 { segment });
    // `e30` is `{}`; `e31` to `e33` differ in stray bits only.
    for stray in ["e31", "e32", "e33", "e30e3", "e"] {
        assert_eq!(
            refused(&format!("{stray}.e30.e30")),
            base64(Segment::Header),
            "{stray}"
        );
        assert_eq!(
            refused(&format!("e30.{stray}.e30")),
            base64(Segment::Payload),
            "{stray}"
        );
        assert_eq!(
            refused(&format!("e30.e30.{stray}")),
            base64(Segment::Signature),
            "{stray}"
        );
    }
    let good = token(&good_claims());
    let (start, last) = good.split_at(good.len() - 1);
    // 64 bytes end in four stray bits, which are zero.
    assert!("AQgw".contains(last), "{last}");
    assert_eq!(refused(&format!("{start}B")), base64(Segment::Signature));
}

#[test]
fn the_header_is_a_strict_json_object() {
    let header = |error| json_error(Segment::Header, error);
    let duplicate = header(json::Error::DuplicateMember {
        name: Excerpt::new("alg"),
    });
    assert_eq!(refused_header(r#"{"alg":"none","alg":"ES256"}"#), duplicate);
    assert_eq!(refused_header(r#"{"alg":"ES256","\u0061lg":"none"}"#), duplicate);
    assert_eq!(refused_header("[]"), header(json::Error::NotAnObject));
    assert_eq!(refused_header("\u{feff}{}"), header(json::Error::ByteOrderMark));
    assert_eq!(
        refused_header(""),
        header(json::Error::Syntax { line: 1, column: 0 })
    );
    let too_deep = header(json::Error::TooDeep { limit: 16 });
    assert_eq!(refused_header(format!("{{\"a\":{}", "[".repeat(16))), too_deep);
    let not_utf8 = header(json::Error::NotUtf8 { offset: 0 });
    assert_eq!(refused(&signed(b"\xff", "{}")), not_utf8);
}

#[test]
fn the_payload_is_a_strict_json_object() {
    let payload = |error| json_error(Segment::Payload, error);
    let duplicate = payload(json::Error::DuplicateMember {
        name: Excerpt::new("exp"),
    });
    assert_eq!(refused_payload(r#"{"exp":1,"exp":2}"#), duplicate);
    assert_eq!(refused_payload(r#"{"exp":1,"\u0065xp":2}"#), duplicate);
    let nested = payload(json::Error::DuplicateMember {
        name: Excerpt::new("roles"),
    });
    assert_eq!(
        refused_payload(r#"{"realm_access":{"roles":[],"roles":["admin"]}}"#),
        nested
    );
    assert_eq!(
        refused_payload("joe"),
        payload(json::Error::Syntax { line: 1, column: 1 })
    );
    assert_eq!(refused_payload("\"joe\""), payload(json::Error::NotAnObject));
    assert_eq!(
        refused_payload("[".repeat(5000)),
        payload(json::Error::TooDeep { limit: 16 })
    );
    let infinite = format!("{{\"iss\":\"{ISSUER}\",\"exp\":1e400}}");
    let Error::Malformed(Malformed::Json { segment, .. }) = refused_payload(infinite) else {
        panic!()
    };
    assert_eq!(segment, Segment::Payload);
    let other_case = with(good_claims(), json!({"Exp": 1, "EXP": "x"}));
    assert_eq!(
        verify(&token(&other_case)).map(|verified| verified.provider()),
        Ok(0)
    );
}

#[test]
fn header_members_have_their_types() {
    let member = |name| malformed(Malformed::HeaderMember { name });
    for bad in ["7", "null", "[]", "{}", "true"] {
        assert_eq!(
            refused_header(format!(r#"{{"alg":"ES256","kid":{bad}}}"#)),
            member("kid")
        );
        assert_eq!(refused_header(format!(r#"{{"alg":{bad}}}"#)), member("alg"));
        assert_eq!(
            refused_header(format!(r#"{{"alg":"ES256","typ":{bad}}}"#)),
            member("typ")
        );
    }
    assert_eq!(refused_header(r#"{"kid":"a"}"#), member("alg"));
    assert_eq!(refused_header(r#"{"Alg":"ES256"}"#), member("alg"));
}

#[test]
fn a_hostile_kid_is_only_a_kid() {
    let long = "k".repeat(257);
    let too_long = malformed(Malformed::KidTooLong { bytes: 257 });
    assert_eq!(refused_header(with(header(), json!({"kid": long}))), too_long);
    for kid in [
        "../../etc/passwd",
        "' OR 1=1 --",
        "",
        "2026-09\0",
        " 2026-09",
        "2026-0",
        &long[1..],
    ] {
        let unknown = Error::KeyUnknown {
            provider: 0,
            kid: Some(Excerpt::new(kid)),
        };
        assert_eq!(refused_header(with(header(), json!({"kid": kid}))), unknown);
    }
}

#[test]
fn unsecured_and_unknown_algorithms() {
    for alg in [
        "none", "None", "NONE", "nOnE", "", "es256", "ES256 ", "HS1", "RSA-OAEP", "dir",
    ] {
        let expected = Error::AlgorithmNotAllowed {
            algorithm: Excerpt::new(alg),
        };
        assert_eq!(refused_header(json!({"alg": alg})), expected);
        let unsigned = token(&good_claims());
        let (_, payload) = unsigned.split_once('.').unwrap();
        let (payload, _) = payload.split_once('.').unwrap();
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg}).to_string());
        assert_eq!(refused(&format!("{header}.{payload}.")), expected);
    }
}

#[test]
fn critical_headers_and_unencoded_payloads() {
    for crit in [json!(["exp"]), json!([]), json!("exp"), json!(["b64"])] {
        assert_eq!(
            refused_header(with(header(), json!({"crit": crit}))),
            Error::CriticalHeader
        );
    }
    assert_eq!(
        refused_header(r#"{"alg":"ES256","crit":null}"#),
        Error::CriticalHeader
    );
    for b64 in ["false", "null", "0", "\"true\""] {
        let header = format!(r#"{{"alg":"ES256","crit":["b64"],"b64":{b64}}}"#);
        assert_eq!(refused_header(header), Error::UnencodedPayload);
    }
    let plain = signed(
        with(header(), json!({"b64": true})).to_string(),
        good_claims().to_string(),
    );
    assert_eq!(verify(&plain).map(|verified| verified.provider()), Ok(0));
}

#[test]
fn types_without_a_list() {
    let typed = |typ: &str| {
        signed(
            with(header(), json!({"typ": typ})).to_string(),
            good_claims().to_string(),
        )
    };
    for typ in ["JWT", "at+jwt", "application/at+jwt", "anything", ""] {
        assert_eq!(
            verify(&typed(typ)).map(|verified| verified.provider()),
            Ok(0),
            "{typ}"
        );
    }
    for typ in [
        "logout+jwt",
        "application/logout+jwt",
        "Logout+JWT",
        "id_token+jwt",
        "id+jwt",
    ] {
        let refusal = Error::TypeNotAllowed {
            typ: Some(Excerpt::new(typ)),
        };
        assert_eq!(refused(&typed(typ)), refusal);
    }
}

#[test]
fn types_with_a_list() {
    let at = |listed: &str, typ: Value| {
        let provider = Provider {
            types: vec![MediaType::new("other+jwt"), MediaType::new(listed)],
            ..provider()
        };
        let header = with(header(), json!({"typ": typ}));
        verify_at(provider, &signed(header.to_string(), good_claims().to_string())).map(|_| ())
    };
    let refusal = |typ: Option<&str>| {
        Err(Error::TypeNotAllowed {
            typ: typ.map(Excerpt::new),
        })
    };
    for listed in ["at+jwt", "application/at+jwt", "AT+JWT"] {
        for typ in ["at+jwt", "application/at+jwt", "At+Jwt", "APPLICATION/at+jwt"] {
            assert_eq!(at(listed, json!(typ)), Ok(()), "{listed} {typ}");
        }
        for typ in [
            "JWT",
            "at+jwt ",
            "text/at+jwt",
            "application/x/at+jwt",
            "",
            "at+jwt;v=1",
        ] {
            assert_eq!(at(listed, json!(typ)), refusal(Some(typ)), "{listed} {typ}");
        }
        assert_eq!(at(listed, Value::Null), refusal(None));
    }
    // No `typ` says as much as `JWT` does.
    assert_eq!(at("JWT", Value::Null), Ok(()));
    assert_eq!(at("jwt", json!("application/JWT")), Ok(()));
    assert_eq!(at("JWT", json!("at+jwt")), refusal(Some("at+jwt")));
}
