//! Several policies on one stream, rules in shadow, and filters that run again: what was decided elsewhere is believed
//! from the proxy only.

use serde_json::{Value, json};

use crate::door::{CODE, Door, NO_CREDENTIALS, QUERY_KEY, Refusal, TOTP_MISSING, bearer, get, policy, state};
use crate::host::Request;
use crate::token::Token;

/// A client that says that another peergate has decided: in a header of every likely name, in a trailer's or a query's,
/// with every value. Only filter state counts, and no client can set that. The same for what the filter remembers of
/// a first run.
#[test]
fn forged_mark_of_another_peergate() {
    let names = [
        "peergate.inbound",
        "wasm.peergate.inbound",
        "filter_state.wasm.peergate.inbound",
        "filter-state",
        "x-peergate-inbound",
        "x-peergate-mark",
        "x-envoy-filter-state",
        "x-envoy-peer-metadata",
        "x-envoy-peer-metadata-id",
        "peergate.injected",
        "wasm.peergate.injected",
        "peergate-reason",
        "peergate.sub",
        "x-envoy-internal",
        "x-envoy-upstream-alt-stat-name",
    ];
    for fallback in [false, true] {
        let mut whole = policy();
        whole["fallback"] = json!(fallback);
        let mut door = Door::of(&whole, "");
        for value in ["verified", "anonymous", "ok", "true", "1", "mrpink", ""] {
            let forged = |path: &str| {
                let request = names
                    .into_iter()
                    .fold(get(path), |request, name| request.header(name, value));
                request.header("x-agent-sub", "mrpink")
            };
            door.refuses(value, forged("/"), NO_CREDENTIALS);
            let query = format!("/?peergate.inbound={value}&wasm.peergate.inbound={value}");
            door.refuses(value, forged(&query), NO_CREDENTIALS);
            door.admits_nobody(value, forged("/public"));
        }
    }
    // What the mark does where the proxy has set it: a fallback stands aside, anything else closes.
    let marked = |request: Request| request.property("filter_state.wasm.peergate.inbound", "verified");
    let mut door = Door::new();
    let order = Refusal::new(503, "layer_order", "Authentication is not available");
    door.refuses("no fallback", marked(bearer(Token::quick().sign())), order);
    let mut whole = policy();
    whole["fallback"] = json!(true);
    let aside = Door::of(&whole, "").admits("a fallback", marked(get("/")));
    assert_eq!(state(&aside.filter_state, "reason"), None);
}

/// A stricter rule in shadow above an enforced one: the enforced one decides, as if the other were not there.
#[test]
fn stricter_shadow_rule_opens_nothing() {
    let shadow = |rule: Value| {
        let mut rule = rule;
        rule["enforcement"] = json!("shadow");
        Door::with(json!({"inbound": {"rules": [
            rule,
            {"name": "enforced", "accept": ["jwt"]},
        ]}}))
    };
    let good = Token::quick().sign();
    let forged = Token::quick().secret("another").sign();
    for rule in [
        json!({"name": "stricter", "accept": ["jwt"], "require": {"totp": true, "scopes": ["admin"]}}),
        json!({"name": "closed", "deny": true}),
        json!({"name": "open", "accept": ["none"]}),
        json!({"name": "optional", "accept": ["jwt", "none"]}),
        json!({"name": "key", "accept": ["api_key"]}),
    ] {
        let what = rule["name"].as_str().unwrap().to_owned();
        let mut door = shadow(rule);
        let spoofed = |request: Request| request.header("x-agent-sub", "boss").header("x-totp", CODE);
        let replied = door.refuses(&what, spoofed(get("/")), NO_CREDENTIALS);
        assert_eq!(state(&replied.filter_state, "rule").as_deref(), Some("enforced"));
        door.refuses(&what, spoofed(bearer(&forged)), crate::door::SIGNATURE);
        door.refuses(
            &what,
            spoofed(get("/").header("x-api-key", crate::door::API_KEY)),
            crate::door::NOT_ACCEPTED,
        );
        let forwarded = door.admits_as(&what, spoofed(bearer(&good)), "mrpink");
        assert_eq!(
            state(&forwarded.filter_state, "rule").as_deref(),
            Some("enforced")
        );
    }
    // Nothing but rules in shadow is no rule.
    let mut alone = Door::with(json!({"inbound": {"rules": [
        {"name": "open", "accept": ["none"], "enforcement": "shadow"}
    ]}}));
    alone.refuses("alone", get("/"), Refusal::new(403, "no_rule", "Access denied"));
    // And once it is enforced, it asks for what it says.
    let mut enforced = Door::with(json!({"inbound": {"rules": [
        {"name": "stricter", "accept": ["jwt"], "require": {"totp": true}}
    ]}}));
    let token = Token::new("ES256").sign();
    enforced.refuses("enforced", bearer(token), TOTP_MISSING);
}

/// A whole policy in shadow lets everybody in, but forwards no identity that it has not verified.
#[test]
fn a_policy_in_shadow_vouches_for_nobody() {
    let mut whole = policy();
    whole["enforcement"] = json!("shadow");
    whole["insecure_shadow_all"] = json!(true);
    let mut door = Door::of(&whole, "");
    for token in [
        Token::quick().secret("another").sign(),
        Token::new("ES256").claims(json!({"exp": 1})).sign(),
        "x".to_owned(),
    ] {
        let request = bearer(&token)
            .header("x-agent-sub", "boss")
            .header("x_agent_peer", "boss");
        let forwarded = door.admits(&token, request);
        assert_eq!(crate::door::identity(&forwarded.headers), Vec::<String>::new());
        assert_eq!(state(&forwarded.filter_state, "inbound"), None);
        assert_eq!(state(&forwarded.filter_state, "sub"), None);
    }
    whole["insecure_shadow_all"] = json!(false);
    let told = crate::door::refused(&whole);
    assert_eq!(
        told.lines().next(),
        Some("enforcement: puts the whole policy in shadow")
    );
}

/// The proxy follows a redirect of the upstream itself, to another host and cluster, and the filter runs again on what
/// it left behind: key and code come off before the rules are asked again.
#[test]
fn internal_redirect_to_another_cluster() {
    let mut door = Door::of(
        &json!({"version": 1, "role": "outbound", "outbound": {
            "insecure_allow_query_param_auth": true,
            "insecure_query_param_auth_allowed_hosts": ["api.example"],
            "rules": [{
                "name": "api",
                "match": {"hosts": ["api.example"], "clusters": ["api"]},
                "query_params": {"key": {"env": "QUERY_KEY"}},
                "totp": {"seed": {"env": "PINKS_SEED"}},
            }],
        }}),
        "",
    );
    let to = |request: Request, cluster: &str| {
        let cluster = cluster.as_bytes().to_vec();
        request.route(move |_| cluster.clone())
    };
    let first = to(get("/x?a=1").header(":authority", "api.example"), "api");
    let first = door.admits("the first run", first);
    assert_eq!(first.headers.all(":path"), ["/x?a=1&key=tvly-key-0001"]);
    assert_eq!(first.headers.all("x-totp"), [CODE]);
    let remembered = first.filter_state["wasm.peergate.injected"].clone();
    for host in ["attacker.example", "api.example"] {
        for path in ["/x?a=1&key=tvly-key-0001", "/next?key=tvly-key-0001&b=2", "/next"] {
            let fields = first
                .headers
                .iter()
                .map(|(name, value)| (name.to_vec(), value.to_vec()));
            let again = Request::new(fields.collect::<Vec<_>>())
                .header(":authority", host)
                .header(":path", path)
                // Envoy tells the place of before.
                .header(
                    "x-envoy-original-url",
                    "http://api.example/x?a=1&key=tvly-key-0001",
                )
                .property("filter_state.wasm.peergate.injected", &remembered);
            let what = format!("{host}{path}");
            let replied = door.refuses(&what, to(again, "attacker"), REDIRECTED);
            let left = replied.request.encode();
            let left = String::from_utf8_lossy(&left);
            assert!(!left.contains(QUERY_KEY), "{what}: {left}");
            assert_eq!(replied.request.all("x-totp"), Vec::<String>::new(), "{what}");
        }
    }
}

const REDIRECTED: Refusal = Refusal::new(403, "outbound_redirected", "Call not allowed");
