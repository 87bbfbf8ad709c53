//! Cards that are broken in every way: none makes the filter panic, and none comes out asking for less than was wanted.

use fastrand::Rng;
use peergate_filter::agent_card::{
    Card, MAX_ALTERNATIVES, Merge, Place, Requirement, Scheme, SchemeKind, Security, Shape,
};
use serde_json::{Map, Value, json};

use crate::for_each_seed;
use crate::reader::{self, Asked, Client};

const CARDS: [&str; 3] = [
    include_str!("../cards/v03.json"),
    include_str!("../cards/v1.json"),
    include_str!("../cards/hybrid.json"),
];

#[test]
fn no_card_asks_for_less_than_was_wanted() {
    for_each_seed(0xca4d_0000, 2_000, |random| {
        let mut card: Value = serde_json::from_str(random.choice(CARDS).unwrap()).unwrap();
        for _ in 0..random.usize(1..8) {
            mutate(&mut card, random);
        }
        let Ok(read) = Card::read(card.to_string().as_bytes()) else {
            return;
        };
        check(&card, read, random);
    });
}

#[test]
fn no_bytes_make_it_panic() {
    for_each_seed(0xb17e_0000, 1_000, |random| {
        let mut card = random.choice(CARDS).unwrap().as_bytes().to_vec();
        if random.bool() {
            card = [br#"{"id":1,"result":"#.as_slice(), &card, b"}"].concat();
        }
        for _ in 0..random.usize(1..4) {
            mutate_bytes(&mut card, random);
        }
        for read in [Card::read(&card), Card::read_answer(&card)]
            .into_iter()
            .flatten()
        {
            // What was read once is read again as the same.
            let written = read.to_bytes();
            let original: Value = serde_json::from_slice(&written).unwrap();
            let card = match original.get("result") {
                Some(result) => result.clone(),
                None => original,
            };
            check(&card, Card::read(card.to_string().as_bytes()).unwrap(), random);
        }
    });
}

/// Has a card say what is wanted, and reads it as clients do.
fn check(original: &Value, mut card: Card, random: &mut Rng) {
    let security = security(random);
    let merge = if random.bool() { Merge::And } else { Merge::Replace };
    let fills_lists = random.bool();
    card.interfaces();
    card.advertise(&security, merge, fills_lists);
    card.unsign();
    let written: Value = serde_json::from_slice(&card.to_bytes()).unwrap();
    assert_untouched(original, &written);
    if security.alternatives.is_empty() && merge == Merge::And {
        return;
    }
    let members = written.as_object().unwrap();
    match card.shape() {
        Shape::V03 => assert!(!members.contains_key("securityRequirements"), "{written}"),
        Shape::V1 => assert!(!members.contains_key("security"), "{written}"),
        Shape::Hybrid => assert_eq!(
            members.contains_key("securityRequirements"),
            members.contains_key("security"),
            "{written}"
        ),
    }
    for client in [Client::V03, Client::V1] {
        let Some(read) = reader::alternatives(&written, client) else {
            continue;
        };
        if client == Client::V03 && card.shape() == Shape::V1 {
            panic!("a card of 1.0 that a client of 0.3 reads: {written}");
        }
        // Many of the card's own are cut off, but for ours.
        let wanted = security.alternatives.iter().map(|own| wanted(&security, own));
        let wanted: Vec<Vec<Asked>> = wanted.collect();
        assert_eq!(read.is_empty(), wanted.is_empty(), "{written}");
        assert!(read.len() <= MAX_ALTERNATIVES, "{written}");
        for alternative in &read {
            let is_enough = |own: &Vec<Asked>| {
                own.iter()
                    .all(|own| alternative.iter().any(|other| holds(other, own)))
            };
            assert!(wanted.iter().any(is_enough), "{alternative:?} of {written}");
            if fills_lists {
                let is_filled = |asked: &Asked| {
                    !asked.scopes.is_empty()
                        || matches!(
                            asked.scheme,
                            reader::Scheme::OAuth2 { .. } | reader::Scheme::Unknown(_)
                        )
                };
                assert!(alternative.iter().all(is_filled), "{written}");
            }
        }
        if merge == Merge::Replace {
            let is_told = |own: &Vec<Asked>| {
                read.iter().any(|other| {
                    other.len() == own.len()
                        && own.iter().all(|own| other.iter().any(|other| holds(other, own)))
                })
            };
            assert!(wanted.iter().all(is_told), "{written}");
            assert_eq!(read.len(), wanted.len(), "{written}");
        }
    }
    if merge == Merge::Replace {
        card.advertise(&security, merge, fills_lists);
        assert_eq!(
            serde_json::from_slice::<Value>(&card.to_bytes()).unwrap(),
            written
        );
    }
}

/// Whether a credential is one that was wanted, with its scopes and perhaps more.
fn holds(asked: &Asked, wanted: &Asked) -> bool {
    asked.scheme == wanted.scheme && wanted.scopes.iter().all(|scope| asked.scopes.contains(scope))
}

/// All but the security at the top of a card stays.
fn assert_untouched(original: &Value, written: &Value) {
    let others = |card: &Value| {
        let security = [
            "securitySchemes",
            "security_schemes",
            "security",
            "securityRequirements",
            "security_requirements",
            "signatures",
        ];
        let members = card.as_object().unwrap().iter();
        members
            .filter(|(name, _)| !security.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<Map<_, _>>()
    };
    assert_eq!(others(written), others(original));
}

/// What may be wanted: of a few schemes, two of one name among them.
fn security(random: &mut Rng) -> Security {
    let api_key = |name: &str| SchemeKind::ApiKey {
        place: Place::Header,
        name: name.to_owned(),
    };
    let scheme = |(name, kind): (&str, SchemeKind)| Scheme {
        name: name.to_owned(),
        kind,
        description: None,
    };
    let bearer = |bearer_format| SchemeKind::Http {
        scheme: "bearer".to_owned(),
        bearer_format,
    };
    let schemes = [
        ("bearer", bearer(Some("JWT"))),
        ("bearer", bearer(None)),
        ("totp", api_key("X-TOTP")),
        ("key", api_key("X-Key")),
        (
            "oidc",
            SchemeKind::OpenIdConnect {
                url: "https://own.example".to_owned(),
            },
        ),
        (
            "oauth",
            SchemeKind::OAuth2 {
                token_url: "https://own.example/token".to_owned(),
                scopes: vec!["a".to_owned(), "b".to_owned()],
            },
        ),
        ("mtls", SchemeKind::MutualTls),
    ];
    let schemes: Vec<Scheme> = schemes.map(scheme).into();
    let mut alternatives: Vec<Requirement> = Vec::new();
    for _ in 0..random.usize(0..4) {
        let mut asked: Vec<(usize, Vec<String>)> = Vec::new();
        for scheme in 0..schemes.len() {
            if random.u8(..4) == 0 {
                let scopes = random.choose_multiple(["a", "b", "c"], 1);
                let scopes = scopes.into_iter().filter(|_| random.bool()).map(str::to_owned);
                asked.push((scheme, scopes.collect()));
            }
        }
        let is_there = |other: &Requirement| {
            other
                .schemes
                .iter()
                .map(|(scheme, _)| scheme)
                .eq(asked.iter().map(|(scheme, _)| scheme))
        };
        if !alternatives.iter().any(is_there) {
            alternatives.push(Requirement { schemes: asked });
        }
    }
    Security {
        schemes,
        alternatives,
    }
}

/// An alternative as a client should read it.
fn wanted(security: &Security, alternative: &Requirement) -> Vec<Asked> {
    let asked = |(scheme, scopes): &(usize, Vec<String>)| Asked {
        scheme: match security.schemes[*scheme].kind.clone() {
            SchemeKind::Http {
                scheme,
                bearer_format,
            } => reader::Scheme::Http {
                scheme,
                format: bearer_format.map(str::to_owned),
            },
            SchemeKind::ApiKey { name, .. } => reader::Scheme::ApiKey {
                place: "header".to_owned(),
                name,
            },
            SchemeKind::OpenIdConnect { url } => reader::Scheme::OpenIdConnect { url },
            SchemeKind::OAuth2 { token_url, scopes } => reader::Scheme::OAuth2 { token_url, scopes },
            SchemeKind::MutualTls => reader::Scheme::MutualTls,
        },
        scopes: scopes.clone(),
    };
    alternative.schemes.iter().map(asked).collect()
}

/// Replaces, removes, renames, copies or adds something somewhere, more often where security stands.
fn mutate(value: &mut Value, random: &mut Rng) {
    match value {
        Value::Object(members) if !members.is_empty() && random.u8(..8) > 0 => {
            let security: Vec<&String> = members.keys().filter(|name| is_of_security(name)).collect();
            let names: Vec<&String> = members.keys().collect();
            let name = match random.choice(security).filter(|_| random.bool()) {
                Some(name) => name.clone(),
                None => (*random.choice(&names).unwrap()).clone(),
            };
            match random.u8(..14) {
                0 => drop(members.remove(&name)),
                1 => {
                    let value = members.remove(&name).unwrap();
                    members.insert(a_name(random), value);
                }
                2 => {
                    let value = members[&name].clone();
                    members.insert(a_name(random), value);
                }
                3 => drop(members.insert(a_name(random), a_value(random))),
                _ => mutate(members.get_mut(&name).unwrap(), random),
            }
        }
        Value::Array(entries) if !entries.is_empty() && random.u8(..8) > 0 => {
            let at = random.usize(..entries.len());
            match random.u8(..8) {
                0 => drop(entries.remove(at)),
                1 => entries.push(a_value(random)),
                2 => {
                    let many = vec![entries[at].clone(); random.usize(..100)];
                    entries.extend(many);
                }
                _ => mutate(&mut entries[at], random),
            }
        }
        other => *other = a_value(random),
    }
}

fn is_of_security(name: &str) -> bool {
    name.starts_with("secur") || name == "skills" || name == "schemes"
}

fn a_name(random: &mut Rng) -> String {
    let names = [
        "url",
        "supportedInterfaces",
        "supported_interfaces",
        "preferredTransport",
        "protocolVersion",
        "security",
        "securityRequirements",
        "security_requirements",
        "securitySchemes",
        "security_schemes",
        "schemes",
        "list",
        "type",
        "in",
        "apiKeySecurityScheme",
        "signatures",
        "totp",
        "totp_2",
        "bearer",
        "bearer_2",
        "key",
        "mtls",
        "",
        "\u{0}",
    ];
    (*random.choice(names.iter()).unwrap()).to_owned()
}

fn a_value(random: &mut Rng) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(1.5),
        json!(""),
        json!("0.3.0"),
        json!("totp"),
        json!("https://a.example:1/ü"),
        json!([]),
        json!([[]]),
        json!([{}]),
        json!({}),
        json!({"": []}),
        json!({"schemes": {}}),
        json!({"schemes": {"totp": {}}}),
        json!({"schemes": {"totp": {"list": []}, "bearer": {"list": ["a"]}}}),
        json!([{"totp": []}, {"bearer": ["x"]}, {}]),
        json!({"totp": {"type": "mutualTLS"}}),
        json!({"type": "apiKey", "in": "header", "name": "X-TOTP"}),
        json!({"apiKeySecurityScheme": {"location": "header", "name": "X-TOTP"}}),
        json!({"apiKeySecurityScheme": {"location": "query", "name": "X-TOTP"}, "type": "http", "scheme": "bearer"}),
        json!("a".repeat(5_000)),
    ];
    random.choice(values).unwrap()
}

fn mutate_bytes(bytes: &mut Vec<u8>, random: &mut Rng) {
    if bytes.is_empty() {
        return;
    }
    let at = random.usize(..bytes.len());
    let end = (at + random.usize(..20)).min(bytes.len());
    match random.u8(..6) {
        0 => bytes[at] ^= 1 << random.u8(..8),
        1 => drop(bytes.drain(at..end)),
        2 if random.u8(..8) == 0 => bytes.truncate(at),
        3 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        4 => bytes[at] = b"abcdefghijklmnopqrstuvwxyz0123456789"[random.usize(..36)],
        _ => bytes[at] = b"{}[]\",:0 \\"[random.usize(..10)],
    }
}
