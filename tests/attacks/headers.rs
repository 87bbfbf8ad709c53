//! Headers by which a caller would be believed to be somebody, or somewhere, else.

use serde_json::json;

use crate::door::{
    CONNECTION, Door, MALFORMED, NO_CREDENTIALS, NOT_FORWARDABLE, RULE_DENIED, bearer, get, identity,
};
use crate::host::{HeaderMap, Request};
use crate::token::Token;

/// CVE-2025-64484, CVE-2026-26308: identity headers of the caller's own, in every spelling that a server may take for
/// the filter's, several times, on a public path, an optional one, and beside a good token.
#[test]
fn spoofed_identity_headers_are_gone() {
    let headers = json!({"identity_headers": {"sub": "x-sub"}, "rb_auth_claims": true});
    let main = json!({"claim_to_headers": {"x-agent-roles": "roles"}});
    let mut door = Door::with(json!({"inbound": {"forward": headers, "providers": {"main": main}}}));
    let owned = [
        "x-sub",
        "x-agent-sub",
        "x-agent-peer",
        "x-agent-iss",
        "x-agent-auth",
        "rb-auth-claims",
        "x-agent-roles",
    ];
    let spellings = |name: &str| {
        let mut spellings = vec![
            name.to_owned(),
            name.to_uppercase(),
            name.replace('-', "_"),
            name.to_uppercase().replace('-', "_"),
            name.replacen('-', "_", 1),
        ];
        // Each separator by itself, and each letter by itself.
        for (place, letter) in name.char_indices() {
            let mut changed = name.to_owned();
            let other = match letter {
                '-' => "_".to_owned(),
                letter => letter.to_uppercase().to_string(),
            };
            changed.replace_range(place..=place, &other);
            spellings.push(changed);
        }
        spellings
    };
    let forged = |mut request: Request| {
        for name in owned.iter().flat_map(|name| spellings(name)) {
            request = request
                .header(&name, "boss")
                .header(&name, "")
                .header(&name, [0xff, 0xfe]);
        }
        request
    };
    let left = |headers: &HeaderMap| -> Vec<String> {
        headers
            .iter()
            .map(|(name, value)| {
                (
                    String::from_utf8_lossy(name).replace('_', "-"),
                    value.escape_ascii(),
                )
            })
            .filter(|(name, _)| owned.contains(&name.as_str()))
            .map(|(name, value)| format!("{name}: {value}"))
            .collect()
    };
    for path in ["/public", "/.well-known/agent-card.json", "/optional"] {
        let forwarded = door.admits_nobody(path, forged(get(path)));
        assert_eq!(left(&forwarded.headers), Vec::<String>::new(), "{path}");
    }
    let good = Token::new("ES256").claims(json!({"roles": ["user"]})).sign();
    let forwarded = door.admits("a good token", forged(bearer(&good)));
    let expected = [
        "x-agent-peer: mrpink",
        "x-sub: mrpink",
        "x-agent-iss: https://issuer.example",
        "x-agent-auth: jwt",
        "x-agent-roles: user",
        r#"rb-auth-claims: {\"sub\":\"mrpink\",\"iss\":\"https://issuer.example\"}"#,
    ];
    assert_eq!(left(&forwarded.headers), expected);
    // What the caller has not is not left over either.
    let stranger = Token::new("ES256").claims(json!({"sub": "mrbrown"})).sign();
    let forwarded = door.admits("without a peer and roles", forged(bearer(stranger)));
    let expected = [
        "x-sub: mrbrown",
        "x-agent-iss: https://issuer.example",
        "x-agent-auth: jwt",
        r#"rb-auth-claims: {\"sub\":\"mrbrown\",\"iss\":\"https://issuer.example\"}"#,
    ];
    assert_eq!(left(&forwarded.headers), expected);
}

/// CVE-2025-64484: the same as a workload behind the filter, whose calls must not speak for the filter either.
#[test]
fn spoofed_identity_headers_of_a_workload_are_gone() {
    let mut door = Door::of(&json!({"version": 1, "role": "outbound", "outbound": {}}), "");
    let mut call = get("/");
    for name in [
        "x-agent-sub",
        "X_Agent_Peer",
        "x-agent_iss",
        "X-AGENT-AUTH",
        "rb_auth-claims",
    ] {
        call = call.header(name, "boss").header(name, "again");
    }
    let forwarded = door.admits("a call", call);
    assert_eq!(identity(&forwarded.headers), Vec::<String>::new());
    assert_eq!(forwarded.headers.len(), 4);
}

/// CVE-2025-48865: `Connection` has a proxy further on strip what the filter adds. Envoy itself removes `Connection` and
/// what it names before filters run, but for an upgrade, where a filter sees it (`tests/envoy/test_identity.py`).
#[test]
fn connection_that_names_what_the_filter_adds() {
    let mut door = Door::new();
    let good = Token::new("ES256").sign();
    for value in [
        "x-agent-sub",
        "X-Agent-Sub",
        "x_agent_sub",
        "upgrade, x-agent-peer",
        "upgrade,x-agent-peer,keep-alive",
        "x-agent-iss ,upgrade",
        "\tx-agent-auth\t",
        ",,rb-auth-claims,,",
        "close, authorization",
        "upgrade, x-totp",
        "x-api-key",
        "x-envoy-original-path",
    ] {
        for path in ["/", "/public", "/optional"] {
            let request = bearer(&good)
                .header(":path", path)
                .header("connection", value)
                .header("upgrade", "websocket");
            door.refuses(&format!("{value:?} at {path}"), request, CONNECTION);
        }
    }
    let twice = bearer(&good)
        .header("connection", "upgrade")
        .header("Connection", "X-AGENT-SUB");
    door.refuses("in the second of two", twice, CONNECTION);
    for value in [
        "upgrade",
        "close",
        "x-other",
        "x-agent",
        "x-agent-subject",
        "",
        ",",
        "\u{e9}",
    ] {
        let request = bearer(&good)
            .header("connection", value)
            .header("upgrade", "websocket");
        door.admits_as(value, request, "mrpink");
    }
}

/// CVE-2023-27493: CR, LF and NUL in a claim that becomes a header, and all other controls. An identity with one is
/// refused, for a changed identity is another one; other claims have them percent-encoded.
#[test]
fn control_characters_in_forwarded_claims() {
    let members = json!({"claim_to_headers": {"x-agent-mail": "mail", "x-agent-roles": "roles"}});
    let mut door = Door::with(json!({"inbound": {
        "forward": {"rb_auth_claims": {"extra": ["mail"]}},
        "providers": {"shared": members},
    }}));
    let controls = (0..=0x1f)
        .chain(0x7f..=0x9f)
        .map(|code| char::from_u32(code).unwrap());
    for control in controls {
        let what = format!("{control:?}");
        for subject in [
            format!("mrpink{control}X-Agent-Peer: boss"),
            format!("mrpink{control}"),
            format!("{control}mrpink"),
        ] {
            let token = Token::quick().claims(json!({"sub": subject}));
            let replied = door.refuses(&what, bearer(token.sign()), NOT_FORWARDABLE);
            assert!(!replied.filter_state.contains_key("wasm.peergate.sub"), "{what}");
        }
        let injected = format!("a{control}X-Agent-Peer: boss");
        let token =
            Token::quick().claims(json!({"mail": injected, "roles": [injected, "b"], "name": injected}));
        let forwarded = door.admits_as(&what, bearer(token.sign()), "mrpink");
        let mut utf8 = [0; 4];
        let encoded: String = control
            .encode_utf8(&mut utf8)
            .bytes()
            .map(|byte| format!("%{byte:02X}"))
            .collect();
        let plain = format!("a{encoded}X-Agent-Peer: boss");
        assert_eq!(forwarded.headers.all("x-agent-mail"), [plain.as_str()], "{what}");
        assert_eq!(
            forwarded.headers.all("x-agent-roles"),
            [format!("{plain},b")],
            "{what}"
        );
        assert_eq!(
            forwarded.headers.all("x-agent-peer"),
            Vec::<String>::new(),
            "{what}"
        );
        // The JSON of all claims has escapes of its own, and is one line of ASCII.
        let all = forwarded.headers.all("rb-auth-claims").concat();
        assert!(all.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{all}");
        let read: serde_json::Value = serde_json::from_str(&all).unwrap();
        assert_eq!(
            (&read["mail"], &read["name"]),
            (&json!(injected), &json!(injected)),
            "{what}"
        );
    }
    // The ends of a value are lost on the way: one name would become another.
    for space in [' ', '\u{a0}', '\u{2003}', '\u{2028}', '\u{3000}'] {
        for subject in [format!("mrpink{space}"), format!("{space}mrpink")] {
            let token = Token::quick().claims(json!({"sub": subject}));
            door.refuses(&format!("{subject:?}"), bearer(token.sign()), NOT_FORWARDABLE);
        }
    }
    // Raw controls are no JSON.
    for control in ["\r\n", "\n", "\0", "\t", "\u{1}"] {
        let token = Token::quick().claims_and(&format!("\"mail\":\"a{control}b\""));
        door.refuses(&format!("{control:?} in JSON"), bearer(token.sign()), MALFORMED);
    }
    // A list cannot be made longer by an item of it.
    let token = Token::quick().claims(json!({"roles": ["user,admin", "x"]}));
    let forwarded = door.admits_as("a separator", bearer(token.sign()), "mrpink");
    assert_eq!(forwarded.headers.all("x-agent-roles"), ["user%2Cadmin,x"]);
}

/// CVE-2026-40575, CVE-2023-27487: headers in which proxies tell others what the path was. Only `:path` decides, and
/// what Envoy's log prints as the path is not the caller's word.
#[test]
fn fake_original_paths_decide_nothing() {
    let mut door = Door::new();
    let names = [
        "x-envoy-original-path",
        "X-Envoy-Original-Path",
        "x-original-url",
        "x-rewrite-url",
        "x-original-uri",
        "x-forwarded-uri",
        "x-forwarded-path",
        "x-forwarded-prefix",
        "x-request-uri",
        "x-original-path",
        "x-uri",
        "x-envoy-original-dst-host",
        "x-http-path-override",
        "x-accel-redirect",
        "x-original-method",
        "x-forwarded-method",
        "x-http-method-override",
        "x-envoy-decorator-operation",
        "forwarded",
        "referer",
    ];
    for target in [
        "/public",
        "/.well-known/agent-card.json",
        "http://agent.example/public",
        "/",
    ] {
        let with_all = |path: &str| {
            names
                .into_iter()
                .fold(get(path), |request, name| request.header(name, target))
        };
        door.refuses(target, with_all("/x"), NO_CREDENTIALS);
        door.refuses(target, with_all("/admin"), RULE_DENIED);
        let good = with_all("/public").header("x-agent-sub", "boss");
        let forwarded = door.admits_nobody(target, good);
        assert_eq!(
            forwarded.headers.all("x-envoy-original-path"),
            Vec::<String>::new()
        );
        assert_eq!(forwarded.headers.all(":path"), ["/public"]);
    }
}
