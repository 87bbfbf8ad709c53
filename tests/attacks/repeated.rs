//! Servers and upstreams that repeat what they were shown, or what they grant, to have it logged.

use serde_json::{Value, json};

use crate::door::bearer;
use crate::host::proxy::{Proxy, START};
use crate::host::{Answer, Request, Response};
use crate::support::case::merge;
use crate::support::tokens::keys;
use crate::token::Token;

const CLIENT_SECRET: &str = "the-secret-of-the-gateway";
const GRANTED: &str = "granted-token-0001";
const OPAQUE: &str = "opaque-token-of-somebody";

/// RFC 6749 §5.2: `error` is any text, and it is the server's.
#[test]
fn a_server_that_echoes_secrets_has_them_logged_nowhere() {
    for (is_opaque, echo) in [(false, CLIENT_SECRET), (true, CLIENT_SECRET), (true, OPAQUE)] {
        let mut proxy = Proxy::new(1, &gateway());
        let mut asked = 0;
        for body in [
            json!({"error": echo}).to_string(),
            json!({"error": "invalid_request", "error_description": echo}).to_string(),
            format!(r#"{{"{echo}": 1, "{echo}": 2}}"#),
            echo.to_owned(),
        ] {
            for status in [200, 302, 400, 500] {
                let request = if is_opaque { opaque() } else { call() };
                proxy.send(0, request).paused();
                proxy.tick();
                let answer = Response::new(status).header("location", echo).body(&body);
                proxy.answer(Answer::Response(answer));
                // Until it is asked again.
                proxy.pass(300);
                asked += 1;
            }
        }
        let logs = proxy.logs(0);
        let failures = logs
            .iter()
            .filter(|line| line.starts_with("peergate: deny "))
            .count();
        assert_eq!(failures, asked, "{logs:#?}");
        assert!(!logs.iter().any(|line| line.contains(echo)), "{logs:#?}");
    }
}

/// What it grants, where a type or a number should stand.
#[test]
fn a_server_that_repeats_a_token_in_its_type_has_it_logged_nowhere() {
    let mut proxy = Proxy::new(1, &gateway());
    for members in [
        json!({"token_type": GRANTED}),
        json!({"issued_token_type": GRANTED}),
        json!({"expires_in": GRANTED}),
        json!({GRANTED: GRANTED, "token_type": "N_A"}),
    ] {
        let mut answer = json!({"access_token": GRANTED, "token_type": "Bearer", "expires_in": 300});
        merge(&mut answer, members);
        proxy.send(0, call()).paused();
        proxy.tick();
        proxy.answer(says(&answer));
        proxy.pass(3_600);
        let logs = proxy.logs(0).join("\n");
        assert!(!logs.contains(GRANTED), "{answer}: {logs}");
    }
}

/// The proxy follows an upstream's redirect to itself, with the token that the call was given in its path.
#[test]
fn a_redirect_with_the_exchanged_token_in_its_path_has_it_logged_nowhere() {
    let mut proxy = Proxy::new(1, &sidecar());
    let first = Request::outbound("POST", "/")
        .header(":authority", "search.example")
        .header("authorization", format!("Bearer {}", token()))
        .property("xds.cluster_name", "mcp");
    let stream = proxy.send(0, first).paused();
    proxy.tick();
    proxy.answer(says(
        &json!({"access_token": GRANTED, "token_type": "Bearer", "expires_in": 300,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}),
    ));
    let given = proxy.workers[0].0.outcome(stream).forwarded();
    let authorization = given.headers.text("authorization").unwrap();
    assert_eq!(authorization, format!("Bearer {GRANTED}"));
    for path in ["/next/granted-token-0001", "/next/granted%2Dtoken%2D0001/x"] {
        let mut second = Request::outbound("POST", path)
            .header(":authority", "search.example")
            .header("authorization", &authorization)
            .header("x-envoy-original-url", "http://search.example/")
            .property("xds.cluster_name", "mcp");
        for (name, value) in &given.filter_state {
            second = second.property(&format!("filter_state.{name}"), value);
        }
        let replied = proxy.send(0, second).replied();
        assert_eq!(replied.status, 403, "{path}");
        assert_eq!(
            replied.request.all(":path").concat().find("granted"),
            None,
            "{path}"
        );
        let logs = proxy.logs(0).join("\n");
        assert!(!logs.contains("granted"), "{logs}");
    }
}

/// A gateway that asks one server about opaque tokens and for tokens.
fn gateway() -> Value {
    json!({"version": 1, "role": "gateway",
        "inbound": {
            "providers": {"idp": provider()},
            "introspection": {"op": {
                "endpoint": {"uri": "https://sts.example/introspect", "cluster": "sts"},
                "client": "sts",
                "audiences": ["agents"],
            }},
            "rules": [
                {"name": "opaque", "match": {"path_prefixes": ["/opaque"]}, "accept": ["introspection:op"]},
                {"name": "all", "accept": ["jwt"]},
            ],
        },
        "outbound": outbound(json!({"client": "sts", "audience": ["search"]})),
    })
}

/// A workload's proxy, where the workload passes its caller's token on.
fn sidecar() -> Value {
    json!({"version": 1, "role": "auto",
        "inbound": {"providers": {"idp": provider()}, "rules": [{"name": "all", "accept": ["jwt"]}]},
        "outbound": outbound(
            json!({"client": "sts", "audience": ["search"], "subject": {"from_header": "authorization"}}),
        ),
    })
}

fn provider() -> Value {
    json!({
        "issuer": "https://issuer.example",
        "audiences": ["agents"],
        "jwks": {"inline": keys().jwks()},
    })
}

fn outbound(token: Value) -> Value {
    json!({
        "oauth_clients": {"sts": {
            "token_endpoint": {"uri": "https://sts.example/token", "cluster": "sts"},
            "client_id": "gateway",
            "auth": {"method": "client_secret_post", "secret": {"inline": CLIENT_SECRET}},
        }},
        "rules": [{
            "name": "search",
            "match": {"hosts": ["search.example"], "clusters": ["mcp"]},
            "token": token,
        }],
    })
}

/// Of a caller, for as long as the tests last.
fn token() -> String {
    Token::new("ES256")
        .claims(json!({"iat": START - 10, "exp": START + 100_000}))
        .sign()
}

fn call() -> Request {
    bearer(token())
        .header(":authority", "search.example")
        .property("xds.cluster_name", "mcp")
}

fn opaque() -> Request {
    bearer(OPAQUE).header(":path", "/opaque")
}

fn says(answer: &Value) -> Answer {
    Answer::Response(Response::new(200).body(answer.to_string()))
}
