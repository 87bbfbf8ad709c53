//! Claims of tokens whose signature is good.

use super::*;

/// The good claims with these members set; null takes one away.
fn changed(members: Value) -> String {
    token(&with(good_claims(), members))
}

/// The good claims with one claim set to what may be null.
fn literal(claim: &str, value: &str) -> String {
    let members = with(good_claims(), json!({ claim: null })).to_string();
    let rest = members.strip_prefix('{').unwrap();
    signed(header().to_string(), format!("{{\"{claim}\":{value},{rest}"))
}

#[track_caller]
fn passes(token: &str) {
    assert_eq!(verify(token).map(|verified| verified.provider()), Ok(0));
}

fn missing(claim: &str) -> Error {
    Error::ClaimMissing {
        claim: claim.to_owned(),
    }
}

#[test]
fn claims_of_the_wrong_type_are_not_absent_ones() {
    for claim in ["exp", "nbf", "iat"] {
        for bad in ["\"1900000000\"", "true", "null", "[]", "{}", "[1900000000]"] {
            assert_eq!(
                refused(&literal(claim, bad)),
                Error::ClaimType { claim },
                "{claim} {bad}"
            );
        }
    }
    for claim in ["sub", "jti"] {
        for bad in ["7", "true", "null", "[]", "{}", "[\"mrpink\"]"] {
            assert_eq!(
                refused(&literal(claim, bad)),
                Error::ClaimType { claim },
                "{claim} {bad}"
            );
        }
    }
    for bad in [
        "7",
        "true",
        "null",
        "{}",
        "[7]",
        "[\"agents\",7]",
        "[null]",
        "[[\"agents\"]]",
    ] {
        assert_eq!(
            refused(&literal("aud", bad)),
            Error::ClaimType { claim: "aud" },
            "{bad}"
        );
    }
    passes(&changed(json!({"jti": "1", "nbf": NOW})));
}

#[test]
fn exp() {
    assert_eq!(refused(&changed(json!({"exp": null}))), missing("exp"));
    let expired = |exp: Value| {
        let Error::Expired { expired_at, now: at } = refused(&changed(json!({ "exp": exp }))) else {
            panic!("{exp}")
        };
        assert_eq!(at, now());
        expired_at.seconds()
    };
    // now < exp + skew
    passes(&changed(json!({"exp": NOW - 59})));
    assert_eq!(expired(json!(NOW - 60)), 1_799_999_940.0);
    passes(&changed(json!({"exp": 1_799_999_940.5})));
    assert_eq!(expired(json!(0)), 0.0);
    assert_eq!(expired(json!(-1)), -1.0);
    assert_eq!(expired(json!(-1e300)), -1e300);
    passes(&changed(json!({"exp": 1.9e9})));
    passes(&changed(json!({"exp": 1e300})));
    passes(&changed(json!({"exp": u64::MAX})));
}

#[test]
fn the_clock_counts_fractions() {
    let verifier = Verifier::new(vec![provider()], 8192).unwrap();
    let token = changed(json!({"exp": NOW - 60}));
    let just_before = UnixTime::from_nanoseconds(NOW * 1_000_000_000 - 1_000_000);
    assert_eq!(
        verifier
            .verify(
                token.as_bytes(),
                means(&KeySets::new([Some(Rc::new(keys()))])),
                just_before
            )
            .map(|verified| verified.provider()),
        Ok(0)
    );
}

#[test]
fn nbf_and_iat() {
    let not_before = |nbf: Value| match refused(&changed(json!({ "nbf": nbf }))) {
        Error::NotYetValid { not_before, .. } => not_before.seconds(),
        error => panic!("{error}"),
    };
    // now >= nbf - skew
    passes(&changed(json!({"nbf": NOW + 60})));
    assert_eq!(not_before(json!(1_800_000_060.5)), 1_800_000_060.5);
    assert_eq!(not_before(json!(NOW + 61)), 1_800_000_061.0);
    passes(&changed(json!({"nbf": -1})));

    let issued_at = |iat: Value| match refused(&changed(json!({ "iat": iat }))) {
        Error::IssuedInFuture { issued_at, .. } => issued_at.seconds(),
        error => panic!("{error}"),
    };
    passes(&changed(json!({"iat": NOW + 60})));
    assert_eq!(issued_at(json!(NOW + 61)), 1_800_000_061.0);
    passes(&changed(json!({"iat": 0})));
    passes(&changed(json!({"iat": null})));
}

#[test]
fn without_skew_the_second_of_exp_is_over() {
    let at = |exp| {
        let provider = Provider {
            clock_skew_seconds: 0,
            ..provider()
        };
        verify_at(provider, &changed(json!({ "exp": exp }))).is_ok()
    };
    assert!(at(NOW + 1));
    assert!(!at(NOW));
}

#[test]
fn lifetime() {
    let at = |members| {
        let provider = Provider {
            max_lifetime_seconds: Some(310),
            ..provider()
        };
        verify_at(provider, &changed(members)).map(|verified| verified.provider())
    };
    assert_eq!(at(json!({})), Ok(0));
    let too_long = Error::LifetimeTooLong {
        seconds: NumericDate(311.0),
        limit_seconds: 310,
    };
    assert_eq!(too_long.to_string(), "lifetime of 311 seconds, more than 310");
    assert_eq!(at(json!({"iat": NOW - 11})), Err(too_long));
    assert_eq!(at(json!({"iat": null})), Err(missing("iat")));
}

#[test]
fn audience() {
    let invalid = |audience: Option<&str>| Error::AudienceInvalid {
        audience: audience.map(Excerpt::new),
    };
    passes(&changed(json!({"aud": "https://agents.example"})));
    passes(&changed(json!({"aud": ["other", "agents"]})));
    for other in ["Agents", "agents/", "https://agents.example/", "", "agents other"] {
        assert_eq!(refused(&changed(json!({ "aud": other }))), invalid(Some(other)));
        assert_eq!(
            refused(&changed(json!({ "aud": [other, "x"] }))),
            invalid(Some(other))
        );
    }
    assert_eq!(refused(&changed(json!({"aud": []}))), invalid(None));
    assert_eq!(refused(&changed(json!({"aud": null}))), invalid(None));

    let any = |members| {
        let provider = Provider {
            audiences: Audiences::Any,
            ..provider()
        };
        verify_at(provider, &changed(members)).map(|verified| verified.provider())
    };
    assert_eq!(any(json!({"aud": null})), Ok(0));
    assert_eq!(any(json!({"aud": "other"})), Ok(0));
    assert_eq!(any(json!({"aud": 7})), Err(Error::ClaimType { claim: "aud" }));
    let nobody = Provider {
        audiences: Audiences::OneOf(Vec::new()),
        ..provider()
    };
    assert_eq!(
        verify_at(nobody, &changed(json!({}))),
        Err(invalid(Some("agents")))
    );
}

#[test]
fn audiences_of_a_verified_token() {
    let audiences = |aud: Value| {
        let verified = verify(&changed(json!({ "aud": aud }))).unwrap();
        verified.audiences().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(audiences(json!("agents")), ["agents"]);
    assert_eq!(audiences(json!(["agents", "b"])), ["agents", "b"]);
}

#[test]
fn required_claims() {
    let at = |members: Value, claim: &str| {
        let provider = Provider {
            required_claims: vec!["sub".to_owned(), claim.to_owned()],
            ..provider()
        };
        verify_at(provider, &changed(members)).map(|verified| verified.provider())
    };
    assert_eq!(at(json!({"azp": "x"}), "azp"), Ok(0));
    assert_eq!(at(json!({"azp": false}), "azp"), Ok(0));
    assert_eq!(at(json!({"azp": []}), "azp"), Ok(0));
    assert_eq!(at(json!({"azp": ""}), "azp"), Err(missing("azp")));
    assert_eq!(at(json!({"Azp": "x"}), "azp"), Err(missing("azp")));
    assert_eq!(at(json!({"sub": null}), "azp"), Err(missing("sub")));
    assert_eq!(at(json!({"sub": ""}), "azp"), Err(missing("sub")));
    let null = Provider {
        required_claims: vec!["azp".to_owned()],
        ..provider()
    };
    assert_eq!(verify_at(null, &literal("azp", "null")), Err(missing("azp")));
}

#[test]
fn subjects() {
    let at = |members: Value| {
        let provider = Provider {
            required_claims: Vec::new(),
            subjects: vec![
                SubjectPattern::Exact("mrpink".to_owned()),
                SubjectPattern::Prefix("spiffe://mesh/".to_owned()),
                SubjectPattern::Suffix("@clients".to_owned()),
            ],
            ..provider()
        };
        verify_at(provider, &changed(members)).map(|verified| verified.provider())
    };
    for subject in ["mrpink", "spiffe://mesh/a", "spiffe://mesh/", "a@clients"] {
        assert_eq!(at(json!({ "sub": subject })), Ok(0), "{subject}");
    }
    for subject in ["mrpinky", "MrPink", "", "xspiffe://mesh/a", "a@clients.example"] {
        let refusal = Error::SubjectNotAllowed {
            subject: Excerpt::new(subject),
        };
        assert_eq!(at(json!({ "sub": subject })), Err(refusal));
    }
    assert_eq!(at(json!({"sub": null})), Err(missing("sub")));
}

#[test]
fn id_and_logout_tokens() {
    let logout = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    let never = [
        (json!({"typ": "ID"}), ForeignMark::TypClaim),
        (json!({"typ": "Logout"}), ForeignMark::TypClaim),
        (json!({"token_use": "id"}), ForeignMark::TokenUseClaim),
        (json!({ "events": logout }), ForeignMark::LogoutEvent),
    ];
    let without_list = [
        (json!({"at_hash": "x"}), ForeignMark::AccessTokenHash),
        (json!({"c_hash": "x"}), ForeignMark::CodeHash),
    ];
    let listed = |members: &Value| {
        let provider = Provider {
            types: vec![MediaType::new("JWT")],
            ..provider()
        };
        verify_at(provider, &changed(members.clone())).map(|verified| verified.provider())
    };
    for (members, mark) in never {
        let refusal = Error::NotAnAccessToken { mark };
        assert_eq!(refused(&changed(members.clone())), refusal);
        assert_eq!(listed(&members), Err(refusal));
    }
    for (members, mark) in without_list {
        assert_eq!(
            refused(&changed(members.clone())),
            Error::NotAnAccessToken { mark }
        );
        assert_eq!(listed(&members), Ok(0));
    }
    passes(&changed(
        json!({"typ": "Bearer", "token_use": "access", "nonce": "x", "events": {}}),
    ));
}

#[test]
fn types_then_times_then_for_whom() {
    let expired = json!({"exp": 1, "aud": "other", "sub": null, "typ": "ID"});
    assert_eq!(
        refused(&changed(with(expired.clone(), json!({"jti": 1})))),
        Error::ClaimType { claim: "jti" }
    );
    let error = refused(&changed(expired.clone()));
    assert!(matches!(error, Error::Expired { .. }), "{error}");
    let mark = ForeignMark::TypClaim;
    let current = with(expired, json!({"exp": NOW}));
    assert_eq!(
        refused(&changed(current.clone())),
        Error::NotAnAccessToken { mark }
    );
    let access = with(current, json!({"typ": "Bearer"}));
    let audience = Some(Excerpt::new("other"));
    assert_eq!(
        refused(&changed(access.clone())),
        Error::AudienceInvalid { audience }
    );
    assert_eq!(
        refused(&changed(with(access, json!({"aud": "agents"})))),
        missing("sub")
    );
}
