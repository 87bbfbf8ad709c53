//! What becomes of the security that a card declares of itself.

use super::*;

const SHAPES: [Shape; 3] = [Shape::V03, Shape::V1, Shape::Hybrid];

/// A scheme of the upstream, as a card of this shape has it.
fn certificate(shape: Shape) -> Value {
    scheme("", SchemeKind::MutualTls).definition(shape)
}

/// Requirements as a card of this shape has them.
fn requirements(shape: Shape, alternatives: &[&[&str]]) -> Value {
    let flat = alternatives.iter().map(|names| {
        names
            .iter()
            .map(|name| ((*name).to_owned(), json!([])))
            .collect::<Value>()
    });
    let wrapped = alternatives.iter().map(|names| {
        let schemes: Value = names
            .iter()
            .map(|name| ((*name).to_owned(), json!({"list": []})))
            .collect();
        json!({"schemes": schemes})
    });
    match shape {
        Shape::V03 => json!({"security": flat.collect::<Value>()}),
        Shape::V1 => json!({"securityRequirements": wrapped.collect::<Value>()}),
        Shape::Hybrid => {
            json!({"security": flat.collect::<Value>(), "securityRequirements": wrapped.collect::<Value>()})
        }
    }
}

fn code() -> Security {
    Security {
        schemes: vec![totp()],
        alternatives: vec![requirement(&[(0, &[])])],
    }
}

fn asked(card: &Value) -> Vec<Value> {
    let members = ["security", "securityRequirements"];
    members
        .iter()
        .filter_map(|name| card.get(name).cloned())
        .collect()
}

#[test]
fn replaced_schemes_stay_where_skills_name_them() {
    let skills = json!([
        {"id": "0.3", "security": [{"flat": []}, {"both": []}]},
        {"id": "1.0", "securityRequirements": [{"schemes": {"wrapped": {}, "both": {"list": ["x"]}}}]},
        {"id": "snake", "security_requirements": [{"schemes": {"snake": {}}}]},
        {"id": "odd", "security": "flat", "securityRequirements": [null, {"schemes": null}, 1]},
        "odd",
    ]);
    for shape in SHAPES {
        let mut card = small(shape, requirements(shape, &[&["gone"]]));
        card["skills"] = skills.clone();
        for name in ["flat", "both", "wrapped", "snake", "gone"] {
            card["securitySchemes"][name] = certificate(shape);
        }
        // Clients read one of two spellings.
        card["security_schemes"] = json!({"flat": {}, "also gone": certificate(shape)});
        let rewritten = advertised(&card, &code(), Merge::Replace, true);
        let schemes = rewritten["securitySchemes"].as_object().unwrap();
        let names: Vec<&str> = schemes.keys().map(String::as_str).collect();
        assert_eq!(names, ["both", "flat", "snake", "totp", "wrapped"]);
        assert_eq!(schemes["flat"], certificate(shape));
        let members = card.as_object_mut().unwrap();
        let schemes = members.remove("securitySchemes").unwrap();
        members.insert("security_schemes".into(), schemes);
        assert_eq!(advertised(&card, &code(), Merge::Replace, true), rewritten);
        assert_eq!(rewritten["skills"], skills);
    }
}

#[test]
fn a_name_that_means_something_else_is_left_to_it() {
    for shape in SHAPES {
        let mut card = small(shape, json!({}));
        card["skills"] = json!([{"security": [{"totp": [], "totp_2": []}]}]);
        card["securitySchemes"] = json!({"totp": certificate(shape), "totp_2": certificate(shape)});
        let rewritten = advertised(&card, &code(), Merge::Replace, true);
        let schemes = &rewritten["securitySchemes"];
        assert_eq!(schemes["totp"], certificate(shape));
        assert_eq!(schemes["totp_2"], certificate(shape));
        assert_eq!(schemes["totp_3"], totp().definition(shape));
        let requirements = asked(&rewritten);
        assert!(!requirements.is_empty());
        for list in requirements {
            assert!(
                list == json!([{"totp_3": ["otp"]}])
                    || list == json!([{"schemes": {"totp_3": {"list": ["otp"]}}}])
            );
        }
    }
}

#[test]
fn the_same_definition_is_used_again() {
    for shape in SHAPES {
        let mut card = small(shape, json!({}));
        card["skills"] = json!([{"security": [{"totp": [], "totp_2": []}]}]);
        card["securitySchemes"] = json!({"totp": certificate(shape), "totp_2": totp().definition(shape)});
        let rewritten = advertised(&card, &code(), Merge::Replace, false);
        assert_eq!(rewritten["securitySchemes"], card["securitySchemes"]);
        for list in asked(&rewritten) {
            assert!(list.to_string().contains("\"totp_2\""), "{list}");
        }
    }
    // The SDK's own definition of the same key is ours, too.
    let key = scheme("key", api_key(Place::Header, "X-Agent-Key"));
    let key = Scheme {
        description: Some("From the portal".into()),
        ..key
    };
    for (card, shape) in [(V03, Shape::V03), (V1, Shape::V1), (HYBRID, Shape::Hybrid)] {
        assert_eq!(key.definition(shape), parse(card)["securitySchemes"]["key"]);
    }
}

#[test]
fn of_two_wishes_for_one_name_the_second_is_suffixed() {
    let bearer = |format| SchemeKind::Http {
        scheme: "bearer".into(),
        bearer_format: format,
    };
    let security = Security {
        schemes: vec![
            scheme("bearer", bearer(Some("JWT"))),
            scheme("bearer", bearer(None)),
            scheme("bearer", bearer(Some("JWT"))),
        ],
        alternatives: vec![
            requirement(&[(0, &["a"])]),
            requirement(&[(1, &["b"])]),
            requirement(&[(0, &["c", "d"]), (2, &["d", "e"])]),
        ],
    };
    let rewritten = advertised(&small(Shape::V03, json!({})), &security, Merge::Replace, false);
    assert_eq!(
        rewritten["security"],
        json!([{"bearer": ["a"]}, {"bearer_2": ["b"]}, {"bearer": ["c", "d", "e"]}])
    );
}

#[test]
fn both_are_asked_together() {
    let expected = json!([
        {"bearer": ["a2a.invoke"], "totp": [], "key": [], "oidc": ["weather.read"]},
        {"bearer": ["a2a.invoke"], "totp": [], "mtls": []},
        {"bearer": ["a2a.invoke"], "totp": []},
        {"apiKey": [], "key": [], "oidc": ["weather.read"]},
        {"apiKey": [], "mtls": []},
        {"apiKey": []},
    ]);
    for card in [V03, V1, HYBRID] {
        let card = parse(card);
        let rewritten = advertised(&card, &token_and_code(), Merge::And, false);
        // Theirs stay, all of them.
        let theirs = card["securitySchemes"].as_object().unwrap();
        for (name, definition) in theirs {
            // One is defined as ours is.
            assert_eq!(rewritten["securitySchemes"][name], *definition);
        }
        assert_eq!(
            rewritten["securitySchemes"].as_object().unwrap().len(),
            theirs.len() + 2
        );
        if let Some(flat) = rewritten.get("security") {
            assert_eq!(*flat, expected);
        }
        if let Some(wrapped) = rewritten.get("securityRequirements") {
            let flat = wrapped.as_array().unwrap().iter().map(|entry| {
                let schemes = entry["schemes"].as_object().unwrap();
                schemes
                    .iter()
                    .map(|(name, scopes)| (name.clone(), scopes["list"].clone()))
                    .collect::<Value>()
            });
            assert_eq!(flat.collect::<Value>(), expected);
        }
        assert_eq!(rewritten["skills"], card["skills"]);
    }
}

#[test]
fn where_one_asks_nothing_the_other_is_asked() {
    for shape in SHAPES {
        let mut card = small(shape, requirements(shape, &[&["mtls"], &[]]));
        card["securitySchemes"] = json!({"mtls": certificate(shape)});
        assert_eq!(advertised(&card, &NOTHING, Merge::And, false), card);
        let filled = advertised(&card, &NOTHING, Merge::And, true);
        for list in asked(&filled) {
            assert!(
                list == json!([{"mtls": ["certificate"]}, {}])
                    || list == json!([{"schemes": {"mtls": {"list": ["certificate"]}}}, {"schemes": {}}])
            );
        }
        // No requirements of its own, though it has schemes.
        let card = small(shape, json!({"securitySchemes": {"mtls": certificate(shape)}}));
        let rewritten = advertised(&card, &code(), Merge::And, false);
        let mut expected = small(shape, requirements(shape, &[&["totp"]]));
        expected["securitySchemes"] = json!({"mtls": certificate(shape), "totp": totp().definition(shape)});
        assert_eq!(rewritten, expected);
        assert_eq!(advertised(&card, &NOTHING, Merge::And, true), card);
    }
}

#[test]
fn one_scheme_of_both_is_asked_with_the_scopes_of_both() {
    let mut card = small(Shape::V03, json!({"security": [{"bearer": ["theirs", "both"]}]}));
    let bearer = scheme(
        "bearer",
        SchemeKind::Http {
            scheme: "bearer".into(),
            bearer_format: None,
        },
    );
    card["securitySchemes"] = json!({"bearer": bearer.definition(Shape::V03)});
    let security = Security {
        schemes: vec![bearer],
        alternatives: vec![requirement(&[(0, &["both", "ours"])])],
    };
    let rewritten = advertised(&card, &security, Merge::And, false);
    assert_eq!(
        rewritten["security"],
        json!([{"bearer": ["both", "ours", "theirs"]}])
    );
}

#[test]
fn clients_go_by_the_requirements_of_1_0() {
    let mut card = small(Shape::Hybrid, json!({"security": [{"flat": []}]}));
    let first = |card: &Value| advertised(card, &code(), Merge::And, false)["security"][0].clone();
    assert_eq!(first(&card), json!({"flat": [], "totp": []}));
    card["security_requirements"] = json!([{"schemes": {"snake": {}}}]);
    assert_eq!(first(&card), json!({"snake": [], "totp": []}));
    card["securityRequirements"] = json!([{"schemes": {"wrapped": {"list": []}}}]);
    assert_eq!(first(&card), json!({"wrapped": [], "totp": []}));
}

/// The SDK reads these as calls without credentials.
#[test]
fn malformed_requirements_never_become_anonymous() {
    let malformed = [
        json!(null),
        json!("bearer"),
        json!(["bearer"]),
        json!({"bearer": null}),
        json!({"bearer": "scope"}),
        json!({"bearer": [1]}),
        json!({"schemes": null}),
        json!({"schemes": "bearer"}),
        json!({"Schemes": {"bearer": {}}}),
        json!({"schemes": {"bearer": null}}),
        json!({"schemes": {"bearer": {"lists": []}}}),
        json!({"schemes": {"bearer": {"list": "scope"}}}),
        json!({"schemes": {"bearer": {"list": [{}]}}}),
    ];
    for shape in SHAPES {
        for member in ["security", "securityRequirements", "security_requirements"] {
            for entry in &malformed {
                let card = small(shape, json!({(member): [entry]}));
                for merge in [Merge::Replace, Merge::And] {
                    let rewritten = advertised(&card, &code(), merge, false);
                    let mut expected = small(shape, requirements(shape, &[&["totp"]]));
                    expected["securitySchemes"] = json!({"totp": totp().definition(shape)});
                    assert_eq!(rewritten, expected, "{card}");
                }
                // Beside others it is a way in that is not told.
                let card = small(shape, json!({(member): [entry, {"mtls": []}]}));
                let rewritten = advertised(&card, &code(), Merge::And, false);
                let expected = requirements(shape, &[&["mtls", "totp"]]);
                assert_eq!(asked(&rewritten), asked(&expected), "{card}");
                // With nothing to put beside it, it is not written by us.
                let card = small(shape, json!({(member): [entry]}));
                assert_eq!(advertised(&card, &NOTHING, Merge::And, true), card);
            }
            for list in [json!(null), json!({}), json!("bearer"), json!([])] {
                let card = small(shape, json!({(member): list}));
                let rewritten = advertised(&card, &code(), Merge::And, false);
                assert_eq!(
                    asked(&rewritten),
                    asked(&requirements(shape, &[&["totp"]])),
                    "{card}"
                );
            }
        }
    }
}

#[test]
fn flat_requirements_under_the_name_of_wrapped_ones_are_read() {
    let card = small(
        Shape::V1,
        json!({"securityRequirements": [{"mtls": []}, {"a": {}, "b": {"list": ["c"]}}]}),
    );
    let rewritten = advertised(&card, &code(), Merge::And, false);
    assert_eq!(
        rewritten["securityRequirements"],
        json!([
            {"schemes": {"mtls": {"list": []}, "totp": {"list": []}}},
            {"schemes": {"a": {"list": []}, "b": {"list": ["c"]}, "totp": {"list": []}}},
        ])
    );
}

#[test]
fn what_is_combined_is_bounded() {
    let many = |count: usize| -> Value {
        (0..count)
            .map(|number| json!({(format!("s{number}")): []}))
            .collect()
    };
    let combined = |list: Value| {
        let card = small(Shape::V03, json!({"security": list}));
        let rewritten = advertised(&card, &token_and_code(), Merge::And, false);
        rewritten["security"].as_array().unwrap().clone()
    };
    // The first of ours with each of theirs, as many as there may be.
    let all = combined(many(10_000));
    assert_eq!(all.len(), MAX_ALTERNATIVES);
    assert_eq!(all[0], json!({"bearer": ["a2a.invoke"], "s0": [], "totp": []}));
    assert_eq!(all[63], json!({"bearer": ["a2a.invoke"], "s63": [], "totp": []}));
    assert_eq!(combined(many(40)).len(), MAX_ALTERNATIVES);
    assert_eq!(combined(many(32)).len(), 64);
    assert_eq!(combined(many(31)).len(), 62);
    // None is cut short: one that is too long is left out.
    let long = |bytes: usize| json!([{("a".repeat(bytes)): []}, {"b": []}]);
    assert_eq!(combined(long(4080)).len(), 4);
    assert_eq!(combined(long(4081)).len(), 2);
    assert_eq!(combined(json!([{"a": ["s".repeat(4064)]}, {"b": []}])).len(), 2);
    let scopes = |count: usize| -> Value { (0..count).map(|number| number.to_string()).collect() };
    assert_eq!(combined(json!([{"a": scopes(200)}, {"b": []}])).len(), 4);
    assert_eq!(combined(json!([{"a": scopes(256)}, {"b": []}])).len(), 2);
    // Ours alone are as many as they are.
    let ours = Security {
        schemes: vec![totp()],
        alternatives: (0..100).map(|_| requirement(&[(0, &[])])).collect(),
    };
    let rewritten = advertised(&small(Shape::V03, json!({})), &ours, Merge::And, false);
    assert_eq!(rewritten["security"].as_array().unwrap().len(), 100);
}

#[test]
fn schemes_that_are_no_object_go() {
    for schemes in [json!(null), json!([]), json!("bearer")] {
        let card = small(
            Shape::V1,
            json!({"securitySchemes": schemes, "security_schemes": schemes}),
        );
        let rewritten = advertised(&card, &code(), Merge::And, false);
        assert_eq!(
            rewritten["securitySchemes"],
            json!({"totp": totp().definition(Shape::V1)})
        );
    }
}
