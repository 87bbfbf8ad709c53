//! Credentials of the mesh: sent where they belong, and nowhere else.

use serde_json::{Value, json};

use crate::door::{
    ANONYMOUS, CLUSTER_CHANGED, CODE, Door, HOST, NO_CREDENTIALS, QUERY_KEY, SEED, bearer, get, identity,
    policy, refused_outbound,
};
use crate::host::{Forwarded, Replied, Request};
use crate::token::Token;

/// A key in the query goes to a listed host in a named cluster. With `Host` of the listed one on a route to somebody
/// else it stays here: the host is the caller's word, the cluster is Envoy's choice.
#[test]
fn query_key_asked_for_another_destination() {
    let mut door = sidecar(json!({}));
    assert_eq!(
        sent(&door.admits("home", call("api.example", "api"))),
        ["/x?k=1", QUERY_PATH]
    );
    for cluster in [
        "attacker",
        "",
        "API",
        "api ",
        " api",
        "api2",
        "ap",
        "outbound|443||api",
        "api,attacker",
        "api\0",
    ] {
        for host in ["api.example", "API.example:443"] {
            let forwarded = door.admits(cluster, call(host, cluster));
            assert_eq!(sent(&forwarded), ["/x?k=1"], "{cluster}");
        }
    }
    let unrouted = get("/x?k=1").header(":authority", "api.example");
    assert_eq!(sent(&door.admits("no route", unrouted)), ["/x?k=1"]);
    let mut strict = sidecar(json!({"on_no_match": "deny"}));
    let refusal = crate::door::Refusal::new(403, "outbound_no_match", "Call not allowed");
    let replied = strict.refuses("strict", call("api.example", "attacker"), refusal);
    assert_clean(&replied);
}

/// The same for codes, static headers and cookies: another cluster gets none of them, and what the caller sends under
/// their names is its own there.
#[test]
fn static_credentials_asked_for_another_destination() {
    let mut door = sidecar(json!({}));
    let own = |host: &str, cluster: &str| {
        call(host, cluster)
            .header("x-key", "mine")
            .header("cookie", "a=1; sid=mine")
            .header("x-totp", "000000")
    };
    for cluster in ["attacker", "", "API", "api,attacker"] {
        for host in ["static.example", "peer.example"] {
            let forwarded = door.admits(cluster, own(host, cluster));
            assert_eq!(forwarded.headers.all("x-key"), ["mine"], "{host} at {cluster}");
            assert_eq!(forwarded.headers.all("cookie"), ["a=1; sid=mine"]);
            assert_eq!(forwarded.headers.all("x-totp"), ["000000"]);
        }
    }
    for host in [
        "static.example,attacker.example",
        "static.example@attacker.example",
        "",
    ] {
        door.refuses(host, call(host, "api"), HOST);
    }
    let forwarded = door.admits("home", own("static.example", "api"));
    assert_eq!(forwarded.headers.all("x-key"), [QUERY_KEY]);
    assert_eq!(forwarded.headers.all("cookie"), ["a=1; sid=tvly-key-0001"]);
    assert_eq!(
        door.admits("home", own("peer.example", "api"))
            .headers
            .all("x-totp"),
        [CODE]
    );
}

/// ContextForge's gap: a host that is not listed, by `Host`, by another header, by a target in absolute form (which Envoy
/// has made the authority of), and by what resembles the listed one.
#[test]
fn query_key_for_a_host_that_is_not_listed() {
    let mut door = sidecar(json!({}));
    for host in [
        "attacker.example",
        "x.api.example",
        "api.example.attacker.example",
        "apixexample",
        "example",
        "api",
        "api-example",
        "127.0.0.1",
        "[::1]",
        "xn--pi-example",
        "api.exampl",
        "api.examplee",
    ] {
        let others = [
            "host",
            "x-forwarded-host",
            "x-host",
            "x-original-host",
            "forwarded",
            ":host",
        ];
        let mut request = call(host, "api");
        for name in others {
            request = request.header(name, "api.example");
        }
        let forwarded = door.admits(host, request);
        assert_eq!(sent(&forwarded), ["/x?k=1"], "{host}");
    }
    for host in [
        "api.example,attacker.example",
        "attacker.example,api.example",
        "api.example@attacker.example",
        "attacker.example@api.example",
        "api.example attacker.example",
        "api.example.",
        "api.example:",
        "api.example:x",
        "api.example/",
        "api.example#",
        "api.example?",
        "",
        "api.example\\",
        "api%2eexample",
        "http://api.example",
    ] {
        let replied = door.refuses(&format!("{host:?}"), call(host, "api"), HOST);
        assert_clean(&replied);
    }
    for host in [
        "api.example",
        "API.EXAMPLE",
        "api.example:443",
        "api.example:8443",
    ] {
        assert_eq!(
            sent(&door.admits(host, call(host, "api")))[1],
            QUERY_PATH,
            "{host}"
        );
    }
    // Nobody writes a policy in which it is otherwise.
    for (changes, told) in [
        (
            json!({"insecure_query_param_auth_allowed_hosts": []}),
            "outbound.rules[0].match.hosts[0]: Host 'api.example' is not in the allowed hosts for query parameter auth. Allowed hosts: none",
        ),
        (
            json!({"insecure_query_param_auth_allowed_hosts": ["*.example"]}),
            "outbound.insecure_query_param_auth_allowed_hosts[0]: host holds a wildcard, only exact names are allowed",
        ),
        (
            json!({"insecure_query_param_auth_allowed_hosts": ["example", "x.api.example"]}),
            "outbound.rules[0].match.hosts[0]: Host 'api.example' is not in the allowed hosts for query parameter auth. Allowed hosts: example, x.api.example",
        ),
        (
            json!({"insecure_allow_query_param_auth": false}),
            "outbound.rules[0].query_params: Query parameter authentication is disabled. Set insecure_allow_query_param_auth to true to enable. WARNING: API keys in URLs may appear in proxy logs.",
        ),
        (
            json!({"rules": [{"name": "api", "match": {"clusters": ["api"]}, "query_params": {"k": {"env": "QUERY_KEY"}}}]}),
            "outbound.rules[0].match.hosts: is required where `query_params` are",
        ),
        (
            json!({"rules": [{"name": "api", "match": {"hosts": ["api.example"]}, "query_params": {"k": {"env": "QUERY_KEY"}}}]}),
            "outbound.rules[0]: a rule that adds a secret needs `match.clusters` or `insecure_any_cluster: true`",
        ),
    ] {
        let mut outbound = outbound();
        crate::support::case::merge(&mut outbound, changes.clone());
        let refused = refused_outbound(&outbound);
        assert_eq!(refused.lines().next(), Some(told), "{changes}");
    }
}

/// A caller that names the parameter itself, in any spelling, does not choose what is sent under it, nor see it doubled.
#[test]
fn query_key_of_the_callers_own_is_replaced() {
    let mut door = sidecar(json!({}));
    for (path, expected, logged) in [
        ("/x?key=mine", "/x?key=tvly-key-0001", "/x"),
        ("/x?key=mine&key=again", "/x?key=tvly-key-0001", "/x"),
        ("/x?%6bey=mine&a=1", "/x?a=1&key=tvly-key-0001", "/x?a=1"),
        ("/x?k%65y=mine", "/x?key=tvly-key-0001", "/x"),
        ("/x?key", "/x?key=tvly-key-0001", "/x"),
        ("/x?key=", "/x?key=tvly-key-0001", "/x"),
        ("/x?a=1&&key=mine&", "/x?a=1&&&key=tvly-key-0001", "/x?a=1&&"),
        ("/x?KEY=mine", "/x?KEY=mine&key=tvly-key-0001", "/x?KEY=mine"),
        (
            "/x?a=key=mine",
            "/x?a=key=mine&key=tvly-key-0001",
            "/x?a=key=mine",
        ),
        ("/x", "/x?key=tvly-key-0001", "/x"),
    ] {
        let forwarded = door.admits(path, call("api.example", "api").header(":path", path));
        assert_eq!(sent(&forwarded), [logged, expected], "{path}");
    }
}

/// The route changes behind the check of the cluster, by the very edits that add the key: refused, and what was put on is
/// off again before an access log sees it.
#[test]
fn route_change_behind_the_cluster_check() {
    let mut door = sidecar(json!({}));
    for (host, rule) in [
        ("api.example", "api"),
        ("peer.example", "peer"),
        ("static.example", "static"),
    ] {
        let before = call(host, "api").headers;
        let request = call(host, "api").route(move |headers| {
            let cluster: &[u8] = if *headers == before { b"api" } else { b"attacker" };
            cluster.to_vec()
        });
        let replied = door.refuses(rule, request, CLUSTER_CHANGED);
        assert_eq!(
            replied.filter_state.get("wasm.peergate.rule").map(Vec::as_slice),
            Some(rule.as_bytes())
        );
        assert_clean(&replied);
        assert_eq!(replied.request.all(":path"), ["/x?k=1"]);
    }
}

/// A stranger asks a gateway, by a public path, for what the mesh adds to its own calls.
#[test]
fn anonymous_request_to_a_gateway_that_injects() {
    let mut door = gateway("");
    let to = |host: &str, path: &str| call(host, "api").header(":path", path);
    for host in ["api.example", "peer.example", "static.example"] {
        for path in ["/public", "/.well-known/agent-card.json", "/optional"] {
            let replied = door.refuses(path, to(host, path), ANONYMOUS);
            assert_clean(&replied);
        }
        // A token that nobody looked at is a stranger's, and so is a code.
        let token = to(host, "/public").header("authorization", format!("Bearer {}", Token::quick().sign()));
        assert_clean(&door.refuses("an unread token", token, ANONYMOUS));
        let code = to(host, "/public")
            .header("x-totp", CODE)
            .header("x-agent-sub", "boss");
        assert_clean(&door.refuses("a code", code, ANONYMOUS));
        assert_clean(&door.refuses("no credential", to(host, "/x"), NO_CREDENTIALS));
    }
    let forwarded = door.admits_nobody("where nothing is added", to("plain.example", "/public"));
    assert_eq!(sent(&forwarded), ["/public"]);
    let verified =
        to("api.example", "/x").header("authorization", format!("Bearer {}", Token::quick().sign()));
    let forwarded = door.admits("a verified caller", verified);
    assert_eq!(forwarded.headers.all(":path"), ["/x?key=tvly-key-0001"]);
    let verified =
        to("peer.example", "/x").header("authorization", format!("Bearer {}", Token::quick().sign()));
    assert_eq!(
        door.admits("a verified caller", verified).headers.all("x-totp"),
        [CODE]
    );
}

/// Istio marks every listener of an ingress gateway OUTBOUND. By the direction alone nobody would be asked there.
#[test]
fn ingress_gateway_of_istio_asks_who_is_calling() {
    for node in [
        "router~10.0.0.1~gateway-1.istio-system~istio-system.svc.cluster.local",
        "waypoint~10.0.0.1~waypoint-1.agents~agents.svc.cluster.local",
    ] {
        let mut door = gateway(node);
        for direction in [0_i64, 1, 2, 3, -1] {
            let marked =
                |request: Request| request.property("xds.listener_direction", direction.to_le_bytes());
            door.refuses(node, marked(get("/x")), NO_CREDENTIALS);
            let bad = marked(bearer(Token::quick().secret("another").sign()));
            door.refuses(node, bad, crate::door::SIGNATURE);
            door.admits_as(node, marked(bearer(Token::quick().sign())), "mrpink");
        }
    }
    // And a listener that says nothing, or nothing that is known, asks too.
    for node in ["", "sidecar~10.0.0.1~agent~cluster.local"] {
        let mut door = gateway(node);
        for direction in [0_i64, 3, -1] {
            let request = get("/x").property("xds.listener_direction", direction.to_le_bytes());
            door.refuses(node, request, NO_CREDENTIALS);
        }
        for garbage in [b"".as_slice(), b"2", b"OUTBOUND", &[2; 9]] {
            door.refuses(
                node,
                get("/x").property("xds.listener_direction", garbage),
                NO_CREDENTIALS,
            );
        }
    }
}

/// What the caller's credentials are worth ends in the gateway: they are taken off, and what the mesh adds is its own.
#[test]
fn a_gateway_does_not_hand_credentials_on() {
    let mut door = gateway("");
    let token = Token::new("ES256").sign();
    let request = call("peer.example", "api")
        .header("authorization", format!("Bearer {token}"))
        .header("x-totp", "000000")
        .header("X_Totp", "000000")
        .header("x-api-key", crate::door::API_KEY);
    let forwarded = door.admits("both", request);
    assert_eq!(forwarded.headers.all("x-totp"), [CODE]);
    for name in ["authorization", "x-api-key", "x_totp", "x_api_key"] {
        assert_eq!(forwarded.headers.all(name), Vec::<String>::new(), "{name}");
    }
    assert_eq!(identity(&forwarded.headers).len(), 4);
}

const QUERY_PATH: &str = "/x?k=1&key=tvly-key-0001";

fn outbound() -> Value {
    json!({
        "insecure_allow_query_param_auth": true,
        "insecure_query_param_auth_allowed_hosts": ["api.example"],
        "rules": [
            {"name": "api", "match": {"hosts": ["api.example"], "clusters": ["api"]}, "query_params": {"key": {"env": "QUERY_KEY"}}},
            {"name": "peer", "match": {"hosts": ["peer.example"], "clusters": ["api"]}, "totp": {"seed": {"env": "PINKS_SEED"}}},
            {
                "name": "static",
                "match": {"hosts": ["static.example"], "clusters": ["api"]},
                "headers": {"x-key": {"value": {"env": "QUERY_KEY"}}},
                "cookies": {"sid": {"env": "QUERY_KEY"}},
            },
        ],
    })
}

/// Behind a workload: its calls are given keys and codes.
fn sidecar(changes: Value) -> Door {
    let mut outbound = outbound();
    crate::support::case::merge(&mut outbound, changes);
    Door::of(
        &json!({"version": 1, "outbound": outbound, "role": "outbound"}),
        "",
    )
}

fn gateway(node_id: &str) -> Door {
    let mut both = policy();
    both["role"] = json!("auto");
    both["outbound"] = outbound();
    Door::of(&both, node_id)
}

/// A call to a host, on a route to a cluster; without a direction.
fn call(host: &str, cluster: &str) -> Request {
    let cluster = cluster.as_bytes().to_vec();
    let mut request = get("/x?k=1").header(":authority", host);
    request.properties.clear();
    request.route(move |_| cluster.clone())
}

/// The path as it was sent, with and, where it is another, without the key.
fn sent(forwarded: &Forwarded) -> Vec<String> {
    let logged = forwarded.headers.all("x-envoy-original-path");
    let path = forwarded.headers.all(":path");
    assert!(logged.iter().all(|path| !path.contains(QUERY_KEY)));
    [logged, path].concat()
}

/// Nothing of the mesh is left in a refused call, as access logs see it, or in its answer.
#[track_caller]
fn assert_clean(replied: &Replied) {
    let everything = [
        replied.request.encode(),
        replied.headers.encode(),
        replied.body.clone(),
    ]
    .concat();
    let text = String::from_utf8_lossy(&everything);
    assert!(!text.contains(QUERY_KEY) && !text.contains(SEED), "{text}");
    let codes = replied.request.all("x-totp");
    assert!(
        codes.is_empty() || !replied.filter_state.contains_key("wasm.peergate.sub"),
        "{codes:?}"
    );
}
