//! What is written, by the shape of the card.

use super::*;

#[test]
fn shapes_are_told_by_their_interfaces() {
    for (members, shape) in [
        (json!({"url": "https://a.example/"}), Shape::V03),
        (json!({"url": 1}), Shape::V03),
        (json!({"preferredTransport": "JSONRPC"}), Shape::V03),
        (json!({"additional_interfaces": []}), Shape::V03),
        (json!({"protocolVersion": "0.3.0"}), Shape::V03),
        (json!({"supportedInterfaces": []}), Shape::V1),
        (json!({"supported_interfaces": []}), Shape::V1),
        (
            json!({"supportedInterfaces": [], "protocolVersion": "1.0"}),
            Shape::V1,
        ),
        (json!({"supportedInterfaces": [], "url": null}), Shape::V1),
        (
            json!({"supportedInterfaces": [], "protocolVersion": "0.3"}),
            Shape::Hybrid,
        ),
        (
            json!({"supportedInterfaces": [], "url": "https://a.example/"}),
            Shape::Hybrid,
        ),
        (parse(V03), Shape::V03),
        (parse(V1), Shape::V1),
        (parse(HYBRID), Shape::Hybrid),
    ] {
        let card = Card::read(members.to_string().as_bytes()).unwrap();
        assert_eq!(card.shape(), shape, "{members}");
    }
}

#[test]
fn a_card_of_0_3_is_flat() {
    let mut expected = with(
        &parse(V03),
        json!({
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "totp": {"type": "apiKey", "in": "header", "name": "X-TOTP"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-Key"},
            },
            "security": [{"bearer": ["a2a.invoke"], "totp": []}, {"apiKey": []}],
        }),
    );
    // Its skill asks for these two.
    for name in ["key", "oauth"] {
        expected["securitySchemes"][name] = parse(V03)["securitySchemes"][name].clone();
    }
    let rewritten = advertised(&parse(V03), &token_and_code(), Merge::Replace, false);
    assert_eq!(rewritten, expected);
}

#[test]
fn a_card_of_1_0_is_wrapped() {
    let mut expected = with(
        &parse(V1),
        json!({
            "securitySchemes": {
                "bearer": {"httpAuthSecurityScheme": {"scheme": "bearer", "bearerFormat": "JWT"}},
                "totp": {"apiKeySecurityScheme": {"location": "header", "name": "X-TOTP"}},
                "apiKey": {"apiKeySecurityScheme": {"location": "header", "name": "X-Key"}},
            },
            "securityRequirements": [
                {"schemes": {"bearer": {"list": ["a2a.invoke"]}, "totp": {"list": []}}},
                {"schemes": {"apiKey": {"list": []}}},
            ],
        }),
    );
    for name in ["key", "oauth"] {
        expected["securitySchemes"][name] = parse(V1)["securitySchemes"][name].clone();
    }
    let rewritten = advertised(&parse(V1), &token_and_code(), Merge::Replace, false);
    assert_eq!(rewritten, expected);
}

#[test]
fn a_hybrid_card_has_both_identically() {
    let mut expected = with(
        &parse(HYBRID),
        json!({
            "securitySchemes": {
                "bearer": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "httpAuthSecurityScheme": {"scheme": "bearer", "bearerFormat": "JWT"},
                },
                "totp": {
                    "type": "apiKey", "in": "header", "name": "X-TOTP",
                    "apiKeySecurityScheme": {"location": "header", "name": "X-TOTP"},
                },
                "apiKey": {
                    "type": "apiKey", "in": "header", "name": "X-Key",
                    "apiKeySecurityScheme": {"location": "header", "name": "X-Key"},
                },
            },
            "security": [{"bearer": ["a2a.invoke"], "totp": []}, {"apiKey": []}],
            "securityRequirements": [
                {"schemes": {"bearer": {"list": ["a2a.invoke"]}, "totp": {"list": []}}},
                {"schemes": {"apiKey": {"list": []}}},
            ],
        }),
    );
    for name in ["key", "oauth"] {
        expected["securitySchemes"][name] = parse(HYBRID)["securitySchemes"][name].clone();
    }
    let rewritten = advertised(&parse(HYBRID), &token_and_code(), Merge::Replace, false);
    assert_eq!(rewritten, expected);
}

#[test]
fn every_kind_of_scheme() {
    let url = "https://idp.example/.well-known/openid-configuration";
    let token_url = "https://idp.example/token";
    let flows = json!({"clientCredentials": {"tokenUrl": token_url, "scopes": {"a": "", "b": ""}}});
    for (kind, flat, wrapped) in [
        (
            SchemeKind::Http {
                scheme: "basic".into(),
                bearer_format: None,
            },
            json!({"type": "http", "scheme": "basic"}),
            json!({"httpAuthSecurityScheme": {"scheme": "basic"}}),
        ),
        (
            api_key(Place::Cookie, "session"),
            json!({"type": "apiKey", "in": "cookie", "name": "session"}),
            json!({"apiKeySecurityScheme": {"location": "cookie", "name": "session"}}),
        ),
        (
            api_key(Place::Query, "key"),
            json!({"type": "apiKey", "in": "query", "name": "key"}),
            json!({"apiKeySecurityScheme": {"location": "query", "name": "key"}}),
        ),
        (
            SchemeKind::OpenIdConnect { url: url.into() },
            json!({"type": "openIdConnect", "openIdConnectUrl": url}),
            json!({"openIdConnectSecurityScheme": {"openIdConnectUrl": url}}),
        ),
        (
            SchemeKind::OAuth2 {
                token_url: token_url.into(),
                scopes: vec!["a".into(), "b".into()],
            },
            json!({"type": "oauth2", "flows": flows}),
            json!({"oauth2SecurityScheme": {"flows": flows}}),
        ),
        (
            SchemeKind::MutualTls,
            json!({"type": "mutualTLS"}),
            json!({"mtlsSecurityScheme": {}}),
        ),
    ] {
        let own = scheme("own", kind);
        assert_eq!(own.definition(Shape::V03), flat);
        assert_eq!(own.definition(Shape::V1), wrapped);
        let mut both = flat;
        both.as_object_mut()
            .unwrap()
            .append(wrapped.clone().as_object_mut().unwrap());
        assert_eq!(own.definition(Shape::Hybrid), both);
    }
}

#[test]
fn a_description_stands_in_the_scheme() {
    let own = Scheme {
        description: Some("six digits".into()),
        ..totp()
    };
    assert_eq!(
        own.definition(Shape::Hybrid),
        json!({
            "type": "apiKey", "in": "header", "name": "X-TOTP", "description": "six digits",
            "apiKeySecurityScheme": {"location": "header", "name": "X-TOTP", "description": "six digits"},
        })
    );
}

#[test]
fn where_nothing_is_asked_nothing_is_said() {
    for shape in [Shape::V03, Shape::V1, Shape::Hybrid] {
        let card = small(
            shape,
            json!({
                "securitySchemes": {"a": {"type": "mutualTLS", "mtlsSecurityScheme": {}}},
                "security": [{"a": []}],
                "securityRequirements": [{"schemes": {"a": {}}}],
            }),
        );
        let rewritten = advertised(&card, &NOTHING, Merge::Replace, true);
        assert_eq!(rewritten, small(shape, json!({})));
        // Schemes that no alternative asks for are none.
        let idle = Security {
            schemes: vec![totp()],
            ..NOTHING
        };
        assert_eq!(advertised(&card, &idle, Merge::Replace, true), rewritten);
    }
}

#[test]
fn a_call_without_credentials_is_an_empty_requirement() {
    let security = Security {
        schemes: vec![totp()],
        alternatives: vec![requirement(&[(0, &[])]), requirement(&[])],
    };
    let rewritten = advertised(&small(Shape::Hybrid, json!({})), &security, Merge::Replace, true);
    assert_eq!(rewritten["security"], json!([{"totp": ["otp"]}, {}]));
    assert_eq!(
        rewritten["securityRequirements"],
        json!([{"schemes": {"totp": {"list": ["otp"]}}}, {"schemes": {}}])
    );
    let security = Security {
        schemes: Vec::new(),
        alternatives: vec![requirement(&[])],
    };
    let rewritten = advertised(&small(Shape::V03, json!({})), &security, Merge::Replace, true);
    assert_eq!(rewritten, small(Shape::V03, json!({"security": [{}]})));
}

#[test]
fn both_spellings_go() {
    for shape in [Shape::V03, Shape::V1, Shape::Hybrid] {
        let old = json!({
            "securitySchemes": {"old": {}}, "security_schemes": {"older": {}},
            "security": [{}], "securityRequirements": [{}], "security_requirements": [{}],
        });
        for (security, merge) in [
            (NOTHING, Merge::Replace),
            (token_and_code(), Merge::Replace),
            (token_and_code(), Merge::And),
        ] {
            let rewritten = advertised(&small(shape, old.clone()), &security, merge, false);
            let members = rewritten.as_object().unwrap();
            assert!(!members.contains_key("security_schemes"), "{rewritten}");
            assert!(!members.contains_key("security_requirements"), "{rewritten}");
            let asks = !security.alternatives.is_empty();
            assert_eq!(members.contains_key("security"), asks && shape != Shape::V1);
            assert_eq!(
                members.contains_key("securityRequirements"),
                asks && shape != Shape::V03
            );
        }
    }
}

#[test]
fn lists_are_filled_where_there_is_a_word() {
    let kinds = [
        (
            "bearer",
            SchemeKind::Http {
                scheme: "bearer".into(),
                bearer_format: None,
            },
        ),
        ("totp", api_key(Place::Header, "X-TOTP")),
        ("apiKey", api_key(Place::Header, "X-Key")),
        (
            "openId",
            SchemeKind::OpenIdConnect {
                url: "https://idp.example".into(),
            },
        ),
        ("mtls", SchemeKind::MutualTls),
        (
            "oauth",
            SchemeKind::OAuth2 {
                token_url: "https://idp.example".into(),
                scopes: Vec::new(),
            },
        ),
        (
            "scoped",
            SchemeKind::OpenIdConnect {
                url: "https://other.example".into(),
            },
        ),
    ];
    let mut asked: Vec<(usize, &[&str])> = (0..kinds.len()).map(|own| (own, [].as_slice())).collect();
    asked[6].1 = &["a2a.invoke"];
    let security = Security {
        schemes: kinds.map(|(name, kind)| scheme(name, kind)).into(),
        alternatives: vec![requirement(&asked)],
    };
    for shape in [Shape::V03, Shape::V1, Shape::Hybrid] {
        let filled = json!({
            "bearer": ["token"], "totp": ["otp"], "apiKey": ["key"], "openId": ["openid"], "mtls": ["certificate"],
            // A word here would be asked for as a scope, and refused.
            "oauth": [],
            "scoped": ["a2a.invoke"],
        });
        let rewritten = advertised(&small(shape, json!({})), &security, Merge::Replace, true);
        if shape != Shape::V1 {
            assert_eq!(rewritten["security"], json!([filled]));
        }
        if shape != Shape::V03 {
            let schemes = &rewritten["securityRequirements"][0]["schemes"];
            for (name, list) in filled.as_object().unwrap() {
                assert_eq!(schemes[name]["list"], *list);
            }
        }
        let unfilled = advertised(&small(shape, json!({})), &security, Merge::Replace, false);
        assert!(!unfilled.to_string().contains("otp\"]"), "{unfilled}");
    }
}

#[test]
fn a_card_in_an_answer_is_written_back_as_one() {
    let answer = json!({"jsonrpc": "2.0", "id": "7", "result": small(Shape::V1, json!({}))});
    let mut card = Card::read_answer(answer.to_string().as_bytes()).unwrap();
    card.advertise(&token_and_code(), Merge::Replace, false);
    let written: Value = serde_json::from_slice(&card.to_bytes()).unwrap();
    let expected = advertised(&answer["result"], &token_and_code(), Merge::Replace, false);
    assert_eq!(written, json!({"jsonrpc": "2.0", "id": "7", "result": expected}));
}

#[test]
fn signatures() {
    for (signatures, is_signed) in [
        (json!(null), false),
        (json!([]), false),
        (json!([{"protected": "e30", "signature": "AA"}]), true),
        (json!({}), true),
    ] {
        let mut card = Card::read(
            small(Shape::V1, json!({"signatures": signatures}))
                .to_string()
                .as_bytes(),
        )
        .unwrap();
        assert_eq!(card.is_signed(), is_signed);
        card.unsign();
        assert!(!card.is_signed());
        assert_eq!(
            serde_json::from_slice::<Value>(&card.to_bytes()).unwrap(),
            small(Shape::V1, json!({}))
        );
    }
    let card = Card::read(V1.as_bytes()).unwrap();
    assert!(!card.is_signed());
}

#[test]
fn a_scheme_that_is_none_takes_its_alternative_along() {
    let security = Security {
        schemes: vec![totp()],
        alternatives: vec![requirement(&[(0, &[]), (1, &[])]), requirement(&[(0, &[])])],
    };
    let rewritten = advertised(&small(Shape::V03, json!({})), &security, Merge::Replace, false);
    assert_eq!(rewritten["security"], json!([{"totp": []}]));
}
