//! What MCP clients are told of where tokens come from, and tokens that must go no further.

use serde_json::{Value, json};

use crate::cards::{CARD, KEY, answered, card};
use crate::door::{API_KEY, Door, bearer, get, refused_policy};
use crate::token::Token;

const METADATA: &str = "/.well-known/oauth-protected-resource";

fn door() -> Door {
    Door::with(json!({"inbound": {
        "providers": {"shared": {"forward": true}},
        "protected_resources": [
            {"resource": "https://agent.example/mcp"},
            {"resource": "https://agent.example"},
            {"resource": "https://other.example/mcp"},
        ],
        "rules": [
            {"name": "mcp", "match": {"path_prefixes": ["/mcp"]}, "accept": ["jwt", "api_key"], "protocol": "mcp"},
            {"name": "all", "accept": ["jwt", "api_key"]},
        ],
    }}))
}

/// A login that begins where a stranger's `Host` says ends at the stranger's server.
#[test]
fn a_forged_host_is_nowhere_in_metadata_and_challenges() {
    let mut door = door();
    let forged = ["evil.example", "evil.example:8443", "EVIL.example"];
    let others = [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "evil"),
        ("x-forwarded-port", "666"),
        ("x-forwarded-prefix", "/evil"),
        ("x-original-host", "evil.example"),
        ("forwarded", "host=evil.example;proto=evil"),
        ("x-envoy-original-path", "/evil"),
        ("origin", "https://evil.example"),
        ("referer", "https://evil.example/"),
    ];
    let metadata = [METADATA.to_owned(), format!("{METADATA}/mcp")];
    let paths = metadata
        .iter()
        .map(String::as_str)
        .chain(["/mcp", "/mcp/evil", "/"]);
    for path in paths {
        for host in forged.iter().chain(&["agent.example", "other.example"]) {
            let request = others
                .iter()
                .fold(get(path).header(":authority", host), |request, (name, value)| {
                    request.header(name, value)
                });
            let outputs = door.outputs(request);
            assert!(outputs.is_refusal, "{path} {host}");
            for (what, text) in outputs.texts {
                // The path is the caller's own, and only logs have it.
                if what != "path of the log" {
                    assert!(
                        !text.to_ascii_lowercase().contains("evil"),
                        "{path} {host}: {what}: {text}"
                    );
                }
            }
        }
    }
}

/// A server that hands a caller's token on makes its upstream take it for its own (confused deputy).
#[test]
fn a_callers_token_goes_no_further_with_mcp() {
    let mut door = door();
    let token = Token::quick().sign();
    let forwarded = door.admits("elsewhere the provider says so", bearer(&token));
    assert_eq!(
        forwarded.headers.all("authorization"),
        [format!("Bearer {token}")]
    );
    let mcp = || get("/mcp").header("authorization", format!("Bearer {token}"));
    door.admits_as("a token", mcp(), "mrpink");
    let both = mcp().header("x-api-key", API_KEY);
    door.admits_as("a token beside a key", both, "mrpink");
    // A policy of keys alone leaves the header alone, but here.
    let mut keys = Door::with(json!({"inbound": {
        "providers": null,
        "peers": {"mrpink": {"tokens": null, "bearer_tokens": null}},
        "rules": [
            {"match": {"path_prefixes": ["/mcp"]}, "accept": ["api_key"], "protocol": "mcp"},
            {"accept": ["api_key"]},
        ],
    }}));
    for name in ["authorization", "Authorization"] {
        let request = |path| {
            get(path)
                .header("x-api-key", API_KEY)
                .header(name, "Bearer somebodys-token")
        };
        let left = keys
            .admits("elsewhere", request("/"))
            .headers
            .all("authorization");
        assert_eq!(left, ["Bearer somebodys-token"]);
        keys.admits_as("with MCP", request("/mcp"), "mrpink");
    }
}

/// What stands in a URL is logged, cached and sent on as `Referer`.
#[test]
fn a_token_in_the_query_of_mcp_in_any_spelling() {
    let mut door = Door::with(json!({"inbound": {
        "providers": {"main": {"insecure_from_params": ["ticket"]}},
        "rules": [{"accept": ["jwt"], "protocol": "mcp"}],
    }}));
    let token = Token::quick().sign();
    for name in [
        "access_token",
        "ACCESS_TOKEN",
        "access%5Ftoken",
        "%61%63%63ess_token",
        "+access_token",
        "access_token%20",
        "ticket",
        "%74icket",
        "Ticket",
    ] {
        for before in ["", "a=b&", "a=b;", "a;", "&&;"] {
            let path = format!("/mcp?{before}{name}={token}");
            for request in [
                get(&path),
                get(&path).header("authorization", format!("Bearer {token}")),
            ] {
                let outputs = door.outputs(request);
                assert!(outputs.is_refusal, "{before}{name}");
                let body = outputs.texts.into_iter().find(|(what, _)| *what == "body");
                let body: Value = serde_json::from_str(&body.unwrap().1).unwrap();
                assert_eq!(body["error"]["message"], "Token in the query", "{before}{name}");
            }
        }
    }
    for line in door.everything() {
        assert!(!line.contains(&token), "{line}");
    }
}

/// Where the policy has a header or a cookie of its own for tokens as well.
#[test]
fn a_token_in_a_place_of_its_own_goes_no_further_with_mcp() {
    let token = Token::quick().sign();
    for (place, name, value) in [
        (
            json!({"from_cookies": ["sid"]}),
            "cookie",
            format!("a=b; sid={token}"),
        ),
        (
            json!({"from_headers": [{"name": "x-token"}]}),
            "x-token",
            token.clone(),
        ),
        (
            json!({"from_headers": [{"name": "proxy-authorization", "value_prefix": "Bearer "}]}),
            "proxy-authorization",
            format!("Bearer {token}"),
        ),
    ] {
        let mut door = Door::with(json!({"inbound": {
            "providers": {"shared": place},
            "rules": [
                {"match": {"path_prefixes": ["/mcp"]}, "accept": ["jwt:shared"], "protocol": "mcp"},
                {"accept": ["jwt:shared"]},
            ],
        }}));
        let mut left = |path: &str| {
            let forwarded = door.admits(name, get(path).header(name, &value));
            String::from_utf8_lossy(&forwarded.headers.encode()).contains(&token)
        };
        assert!(!left("/mcp"), "{name}");
    }
}

/// Another server behind the same filter, which says itself what it wants.
#[test]
fn metadata_of_one_host_do_not_stand_in_the_way_of_another() {
    let mut door = Door::with(json!({"inbound": {
        "protected_resources": [{"resource": "https://a.example"}],
        "agent_card": {"static": card(&["https://a.example/"]), "host": "a.example"},
        "rules": [
            {"match": {"hosts": ["b.example"], "path_prefixes": ["/.well-known"]}, "accept": ["none"]},
            {"match": {"hosts": ["b.example"]}, "accept": ["api_key"]},
            {"match": {"hosts": ["a.example"]}, "accept": ["jwt"], "protocol": "mcp"},
        ],
    }}));
    for path in [METADATA, CARD] {
        let here = door.outputs(get(path).header(":authority", "a.example"));
        assert!(here.is_refusal, "{path}: answered by the filter");
        let elsewhere = get(path).header(":authority", "b.example");
        let forwarded = door.admits(path, elsewhere.upstream(answered("{}")));
        assert_eq!(forwarded.response.body, b"{}", "{path}");
    }
    for (what, text) in door.outputs(get("/").header(":authority", "b.example")).texts {
        assert!(!text.contains("a.example"), "{what}: {text}");
    }
}

/// Whoever asks for a key by its name would take either.
#[test]
fn two_keys_of_one_name_are_not_served_as_one_set() {
    const OTHER: &str = "-----BEGIN PRIVATE KEY----- MEECAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQcEJzAlAgEBBCCOmxCecZCYv5gEh98fXXfpyylgbr7SJjtfV8IT34T0sw== -----END PRIVATE KEY-----";
    let refusal = refused_policy(json!({"inbound": {
        "agent_card": {
            "signed": "resign",
            "host": "agent.example",
            "keys": [{"kid": "k", "key": {"inline": OTHER}}],
            "jwks_path": "/keys",
        },
        "forward": {"assertion": {
            "keys": [{"kid": "k", "key": {"inline": KEY}}],
            "issuer": "https://mesh.example",
            "audience": "https://agent.example",
            "jwks_path": "/keys",
        }},
    }}));
    assert!(refusal.starts_with("inbound.agent_card"), "{refusal}");
}
