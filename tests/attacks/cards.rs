//! What upstreams write into their agent cards.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Value, json};

use crate::door::{Door, get, refused_policy};
use crate::host::{Request, Response};
use crate::token::Token;

pub(crate) const CARD: &str = "/.well-known/agent-card.json";

/// The key that signs assertions, and cards with them.
pub(crate) const KEY: &str = "-----BEGIN PRIVATE KEY----- MEECAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQcEJzAlAgEBBCCOmxCecZCYv5gEh98fXXfpyylgbr7SJjtfV8IT34T0sg== -----END PRIVATE KEY-----";

/// The bytes that are signed stand in the card: with claims in it, its signature would make a token of them, and whoever
/// believes assertions without a look at `typ` would believe it.
#[test]
fn an_upstream_has_no_token_signed_as_its_card() {
    let mut door = Door::with(json!({"inbound": {
        "agent_card": {"signed": "resign", "host": "agent.example"},
        "forward": {"assertion": {
            "keys": [{"kid": "k", "key": {"inline": KEY}}],
            "issuer": "https://mesh.example",
            "audience": "https://agent.example",
            "jwks_path": "/.well-known/jwks.json",
        }},
    }}));
    let served = door.outputs(get("/.well-known/jwks.json")).texts;
    let (_, keys) = served.iter().find(|(what, _)| *what == "body").unwrap();
    let keys: Value = serde_json::from_str(keys).unwrap();
    let card = json!({
        "name": "Echo", "description": "", "version": "1", "x-more": "1", "skills": [],
        "supportedInterfaces": [
            {"url": "https://agent.example/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
        ],
    });
    // It is one that would be seen: without claims, the whole document is signed.
    assert_eq!(tokens(&mut door, &card, &keys), 1);
    let claims = json!({
        "iss": "https://mesh.example", "aud": "https://other.example", "sub": "admin", "exp": 4_000_000_000_u64,
        "nbf": 1, "iat": 1, "jti": "1", "idp_iss": "https://issuer.example", "peer": "mrpink", "act": {"sub": "a"},
        "amr": ["otp"],
    });
    for (name, value) in claims.as_object().unwrap() {
        let mut with_claim = card.clone();
        with_claim[name] = value.clone();
        assert_eq!(tokens(&mut door, &with_claim, &keys), 0, "{name}");
        with_claim
            .as_object_mut()
            .unwrap()
            .extend(claims.as_object().unwrap().clone());
        assert_eq!(tokens(&mut door, &with_claim, &keys), 0, "all, and {name}");
    }
}

/// How many of the signatures that a card comes out with are good for a token of the whole document.
fn tokens(door: &mut Door, card: &Value, keys: &Value) -> usize {
    let mut told = told(door, card);
    let signatures = told.as_object_mut().unwrap().remove("signatures").unwrap();
    assert!(!signatures.as_array().unwrap().is_empty());
    // No numbers but whole ones and ASCII alone: this is in RFC 8785.
    let payload = URL_SAFE_NO_PAD.encode(told.to_string());
    let jwk = &keys["keys"][0];
    let [x, y] = ["x", "y"].map(|name| jwk[name].as_str().unwrap());
    let key = DecodingKey::from_ec_components(x, y).unwrap();
    let is_good = |signature: &&Value| {
        let message = format!("{}.{payload}", signature["protected"].as_str().unwrap());
        let signature = signature["signature"].as_str().unwrap();
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, Algorithm::ES256).unwrap()
    };
    signatures.as_array().unwrap().iter().filter(is_good).count()
}

/// Clients take what they cannot read for a call without credentials, and of two spellings the one that comes later. Whoever
/// asks for less in a card than the rules want has honest clients send less, here or to whom they pass the card on.
#[test]
fn no_card_asks_for_less_than_the_rules_do() {
    let interface = json!({
        "url": "https://agent.example/totp", "protocolBinding": "JSONRPC", "protocolVersion": "1.0",
    });
    let own = json!({"apiKeySecurityScheme": {"location": "query", "name": "own"}});
    for merge in ["replace", "and"] {
        let mut door = Door::with(json!({"inbound": {"agent_card": {"merge": merge}}}));
        for members in [
            json!({}),
            json!({"securityRequirements": [{}]}),
            json!({"security_requirements": [{"schemes": {}}]}),
            json!({"security": [{}], "security_requirements": [{}]}),
            json!({"securityRequirements": [{"bearer": []}]}),
            json!({"securityRequirements": [{"schemes": null}, null, "bearer", {"Schemes": {}}]}),
            json!({"securityRequirements": {}, "securitySchemes": []}),
            json!({"securitySchemes": {"bearer": own, "totp": own, "totp_2": own}}),
            json!({"security_schemes": {"totp": own}, "securityRequirements": [{"schemes": {"totp": {}}}]}),
            json!({"skills": [{"securityRequirements": [{"schemes": {"totp": {}}}]}], "securitySchemes": {"totp": own}}),
        ] {
            let mut card = json!({"name": "Echo", "supportedInterfaces": [interface]});
            card.as_object_mut()
                .unwrap()
                .extend(members.as_object().unwrap().clone());
            let told = told(&mut door, &card);
            for other in ["security", "security_requirements", "security_schemes"] {
                assert!(told.get(other).is_none(), "{told}");
            }
            let alternatives = told["securityRequirements"].as_array().unwrap();
            assert!(!alternatives.is_empty(), "{told}");
            for alternative in alternatives {
                let names = alternative["schemes"].as_object().unwrap().keys();
                let asked: Vec<&Value> = names.map(|name| &told["securitySchemes"][name]).collect();
                let is_asked = |kind: &str, member: &str, value: &str| {
                    asked.iter().any(|scheme| scheme[kind][member] == value)
                };
                assert!(is_asked("httpAuthSecurityScheme", "scheme", "bearer"), "{told}");
                assert!(is_asked("apiKeySecurityScheme", "name", "X-TOTP"), "{told}");
            }
        }
    }
}

/// Many agents make their URLs of `Host` or `X-Forwarded-Host`: whoever asks for a card so would get one that leads to
/// itself, with the signature that callers trust.
#[test]
fn a_card_that_leads_elsewhere_is_not_signed() {
    let without_host = json!({"inbound": {"agent_card": {"signed": "resign", "keys": [{"kid": "k", "key": {"inline": KEY}}]}}});
    let refusal = refused_policy(without_host);
    assert!(refusal.starts_with("inbound.agent_card"), "{refusal}");
    assert!(refusal.contains("host"), "{refusal}");
    let any = Door::with(json!({"inbound": {"agent_card": resigned("agent.example")}}));
    let named = Door::with(
        json!({"inbound": {"agent_card": resigned("agent.example"), "rules": [
            {"match": {"paths": [CARD]}, "accept": ["none"]},
            {"match": {"path_prefixes": ["/admin"]}, "deny": true},
            {"match": {"hosts": ["agent.example"]}, "accept": ["jwt"]},
        ]}}),
    );
    for (which, mut door) in [("any host", any), ("the agent's", named)] {
        let here = told(
            &mut door,
            &card(&["https://agent.example/a2a", "https://AGENT.example:8443/"]),
        );
        assert!(here.get("signatures").is_some(), "{which}: {here}");
        for url in [
            "https://evil.example/a2a",
            "https://evil.example:443/a2a",
            "https://agent.example.evil.example/a2a",
            "https://evil.agent.example/a2a",
            "https://agent.example@evil.example/a2a",
            "https://evil.example#@agent.example/a2a",
            "https://evil.example\\@agent.example/a2a",
            "//evil.example/a2a",
            "evil.example/a2a",
            "https:/evil.example/a2a",
            // Nobody gets in there.
            "https://agent.example/admin",
            "",
        ] {
            for urls in [
                &[url, "https://agent.example/a2a"],
                &["https://agent.example/a2a", url],
            ] {
                let told = told(&mut door, &card(urls));
                assert!(told.get("signatures").is_none(), "{which}: {told}");
            }
            assert!(
                told(&mut door, &card(&[url])).get("signatures").is_none(),
                "{which}: {url}"
            );
        }
        // Behind more than are looked at, be they the same.
        for number in [0, 1] {
            let mut many: Vec<String> = (0..64)
                .map(|index| format!("https://agent.example/a2a/{}", index * number))
                .collect();
            many.push("https://evil.example/a2a".to_owned());
            let told = told(&mut door, &card(&many));
            assert!(told.get("signatures").is_none(), "{which}: {told}");
        }
        let log = door.everything();
        assert!(
            log.iter().any(|line| line.contains("outcome=rewritten_unsigned")),
            "{log:?}"
        );
    }
}

/// One agent of several behind a gateway, whose card says that it is another.
#[test]
fn an_agent_has_no_card_signed_for_another_agent() {
    for host in ["a.example", "b.example"] {
        let mut door = Door::with(json!({"inbound": {"agent_card": resigned(host), "rules": [
            {"match": {"paths": [CARD]}, "accept": ["none"]},
            {"match": {"hosts": ["a.example"]}, "accept": ["jwt"]},
            {"match": {"hosts": ["b.example"]}, "accept": ["jwt"], "require": {"totp": true}},
        ]}}));
        for other in ["a.example", "b.example"] {
            let document = card(&[&format!("https://{other}/a2a")]).to_string();
            let request = get(CARD).header(":authority", "a.example");
            let forwarded = door.admits("a card", request.upstream(answered(document)));
            let told: Value = serde_json::from_slice(&forwarded.response.body).unwrap();
            assert_eq!(told.get("signatures").is_some(), host == other, "{host}: {told}");
        }
    }
}

/// What is secret comes out of whatever is answered with, and a card without it is not the one that was signed.
#[test]
fn the_signature_of_a_static_card_is_over_what_is_sent() {
    let mut own = card(&["https://agent.example/a2a"]);
    own["description"] = json!("An agent of the operations team");
    let mut agent_card = resigned("agent.example");
    agent_card["static"] = own;
    let refusal = refused_policy(
        json!({"inbound": {"agent_card": agent_card}, "outbound": {"rules": [{
            "match": {"clusters": ["api"]},
            "headers": {"authorization": {"basic": {"username": "admin", "password": {"inline": "operations"}}}},
        }]}}),
    );
    assert!(refusal.contains("`/.well-known/agent-card.json`"), "{refusal}");
    assert!(!refusal.contains("operations"), "{refusal}");
}

/// Nobody but a gateway has one.
#[test]
fn an_assertion_of_a_gateway_is_asked_of_nobody() {
    let told = told_by(json!({
        "providers": {"main": {"assertion": true, "from_headers": [{"name": "x-agent-assertion"}]}},
    }));
    assert!(!told.to_string().contains("x-agent-assertion"), "{told}");
}

/// The rule refuses what its card would ask for.
#[test]
fn a_card_of_an_mcp_rule_offers_no_token_in_the_query() {
    let told = told_by(json!({
        "providers": {"main": {"from_headers": [], "insecure_from_params": ["ticket"]}},
        "rules": [{"match": {"paths": [CARD]}, "accept": ["none"]}, {"accept": ["jwt"], "protocol": "mcp"}],
    }));
    assert!(!told.to_string().contains("ticket"), "{told}");
}

/// An issuer that is no URL has no address.
#[test]
fn a_card_names_only_addresses() {
    let told = told_by(discovered(
        "kubernetes/serviceaccount",
        "https://idp.example/.well-known/openid-configuration",
    ));
    assert!(!told.to_string().contains("kubernetes/serviceaccount"), "{told}");
}

/// Metadata of OAuth (RFC 8414) that are no OpenID provider's.
#[test]
fn a_card_names_metadata_where_they_are() {
    let told = told_by(discovered(
        "https://issuer.example",
        "https://issuer.example/.well-known/oauth-authorization-server",
    ));
    assert!(!told.to_string().contains("openid-configuration"), "{told}");
}

/// A message goes to any of the interfaces, however its URL is written.
#[test]
fn a_card_says_what_the_strictest_interface_wants_however_its_url_is_written() {
    let strict = "https://agent.example/totp";
    let loose = "https://agent.example/a2a";
    let mut door = Door::with(json!({"inbound": {"ambiguous_paths": "raw"}}));
    let mut documents: Vec<Value> = ["", "/", "#a", "?a", "?#", "/a%2Fb", "/./a", "//"]
        .iter()
        .map(|end| card(&[&format!("{strict}{end}"), loose]))
        .collect();
    documents.push(card(&["HTTPS://AGENT.example:443/totp", loose]));
    for [first, second] in [[strict, loose], [loose, strict]] {
        let mut twice = card(&[first]);
        twice["supported_interfaces"] = card(&[second])["supportedInterfaces"].take();
        documents.push(twice);
    }
    for document in documents {
        let told = told(&mut door, &document);
        let alternatives = told["securityRequirements"].as_array().unwrap();
        assert!(!alternatives.is_empty(), "{told}");
        for alternative in alternatives {
            assert!(alternative["schemes"].get("totp").is_some(), "{told}");
        }
    }
}

/// Of two spellings of a member clients read the one that is not null.
#[test]
fn a_scheme_under_the_other_name_is_not_lost_where_it_is_asked_for() {
    let mut door = Door::with(json!({"inbound": {"agent_card": {"merge": "and"}}}));
    let mut document = card(&["https://agent.example/a2a"]);
    document["securitySchemes"] = json!(null);
    document["security_schemes"] = json!({"own": {"mtlsSecurityScheme": {}}});
    document["securityRequirements"] = json!([{"schemes": {"own": {"list": []}}}]);
    let told = told(&mut door, &document);
    assert_eq!(
        told["securitySchemes"]["own"],
        json!({"mtlsSecurityScheme": {}}),
        "{told}"
    );
    for alternative in told["securityRequirements"].as_array().unwrap() {
        assert!(alternative["schemes"].get("own").is_some(), "{told}");
    }
}

/// Something else than a card, at a place that ends like one of cards.
#[test]
fn an_answer_that_is_no_card_stays_as_it_is() {
    let mut door = Door::new();
    for document in [
        json!({"url": "https://agent.example/cards/1", "number": "4111", "security": {"cvv": true}, "signatures": []}),
        json!({"url": "https://agent.example/cards/1", "name": "Visa", "securitySchemes": {"pin": 4}, "version": "1"}),
    ] {
        let document = document.to_string();
        let request =
            get("/payments/v1/card").header("authorization", format!("Bearer {}", Token::quick().sign()));
        let forwarded = door.admits("no card", request.upstream(answered(&document)));
        assert_eq!(String::from_utf8_lossy(&forwarded.response.body), document);
    }
}

/// The call for a card is known by its body, which is neither lost nor changed by that, and decides nothing else.
#[test]
fn bodies_of_calls_for_cards_arrive_as_they_were() {
    let mut door =
        Door::with(json!({"inbound": {"rules": [{"accept": ["jwt"], "extended_card_rpc": true}]}}));
    let credential = format!("Bearer {}", Token::quick().sign());
    let answer = json!({"jsonrpc": "2.0", "id": 1, "result": card(&["https://agent.example/"])}).to_string();
    let long = |length: usize| {
        let head = r#"{"jsonrpc":"2.0","id":1,"method":"GetExtendedAgentCard","p":""#;
        format!("{head}{}\"}}", "x".repeat(length - head.len() - 2))
    };
    for (body, is_such_a_call) in [
        (r#"{"method":"GetExtendedAgentCard"}"#.to_owned(), true),
        (r#"{"method":"Get\u0045xtendedAgentCard"}"#.to_owned(), true),
        (
            r#"{"m\u0065thod":"agent/getAuthenticatedExtendedCard"}"#.to_owned(),
            true,
        ),
        (r#"[{"method":"GetExtendedAgentCard"}]"#.to_owned(), false),
        (
            r#"{"method":"SendMessage","method":"GetExtendedAgentCard"}"#.to_owned(),
            false,
        ),
        (long(16_383), true),
        (long(16_384), true),
        (long(16_385), false),
        (String::new(), false),
        ("\0".to_owned(), false),
    ] {
        for size in [1, 7, 16 * 1024, usize::MAX] {
            if size < 100 && body.len() > 1000 {
                continue;
            }
            let mut request = Request::inbound("POST", "/").header("authorization", &credential);
            for piece in body.as_bytes().chunks(size) {
                request = request.body(piece);
            }
            let forwarded = door.admits("a call", request.upstream(answered(&answer)));
            assert_eq!(String::from_utf8_lossy(&forwarded.body), body, "{size}");
            let told = String::from_utf8_lossy(&forwarded.response.body);
            assert_eq!(told.contains("securitySchemes"), is_such_a_call, "{size} {body}");
        }
    }
}

/// A policy that decides nothing yet does not answer for an agent either.
#[test]
fn a_policy_in_shadow_serves_nothing() {
    let mut door = Door::with(
        json!({"enforcement": "shadow", "insecure_shadow_all": true, "inbound": {
            "agent_card": {"static": card(&["https://agent.example/a2a"])},
            "protected_resources": [{"resource": "https://agent.example/mcp"}],
        }}),
    );
    let document = card(&["https://agent.example/own"]).to_string();
    for path in [CARD, "/.well-known/oauth-protected-resource/mcp"] {
        let forwarded = door.admits(path, get(path).upstream(answered(&document)));
        assert_eq!(String::from_utf8_lossy(&forwarded.response.body), document);
    }
}

/// A card of A2A 1.0 with an interface at each of these URLs.
pub(crate) fn card<U: AsRef<str>>(urls: &[U]) -> Value {
    let interface =
        |url: &U| json!({"url": url.as_ref(), "protocolBinding": "JSONRPC", "protocolVersion": "1.0"});
    json!({
        "name": "Echo", "description": "", "version": "1", "skills": [],
        "supportedInterfaces": urls.iter().map(interface).collect::<Vec<_>>(),
    })
}

/// `agent_card` of a policy that has the cards of a host signed.
pub(crate) fn resigned(host: &str) -> Value {
    json!({"signed": "resign", "host": host, "keys": [{"kid": "k", "key": {"inline": KEY}}]})
}

/// A provider with discovery at this address.
fn discovered(issuer: &str, uri: &str) -> Value {
    json!({"providers": {"main": {
        "issuer": issuer,
        "algorithms": ["ES256"],
        "jwks": {"inline": null, "discovery": {"cluster": "idp", "uri": uri}},
    }}})
}

/// The answer of an upstream.
pub(crate) fn answered(document: impl AsRef<[u8]>) -> Response {
    Response::new(200)
        .header("content-type", "application/json")
        .body(document.as_ref())
}

/// What becomes of a card.
#[track_caller]
fn told(door: &mut Door, card: &Value) -> Value {
    let forwarded = door.admits("the card", get(CARD).upstream(answered(card.to_string())));
    serde_json::from_slice(&forwarded.response.body).unwrap()
}

/// What becomes of a card where the inbound half differs so.
#[track_caller]
fn told_by(inbound: Value) -> Value {
    let mut door = Door::with(json!({"inbound": inbound}));
    let told = told(&mut door, &card(&["https://agent.example/a2a"]));
    assert!(!told["securityRequirements"].is_null(), "{told}");
    told
}
