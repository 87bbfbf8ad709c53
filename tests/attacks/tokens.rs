//! Tokens for upstreams, opaque tokens and assertions: whose they are, and who pays for what strangers send.

use crate::host::proxy::{Proxy, START};
use crate::host::{self, Answer, Callout, Forwarded, Request, Response};
use crate::support::tokens::keys;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

const ASSERTION_KEY: &str = "-----BEGIN PRIVATE KEY----- MEECAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQcEJzAlAgEBBCCOmxCecZCYv5gEh98fXXfpyylgbr7SJjtfV8IT34T0sg== -----END PRIVATE KEY-----";
const SECRET: &str = "the-secret-of-the-gateway";

fn client() -> Value {
    json!({
        "token_endpoint": {"uri": "https://sts.example/token", "cluster": "sts"},
        "client_id": "gateway",
        "auth": {"method": "client_secret_post", "secret": {"inline": SECRET}},
    })
}

fn introspection(path: &str, issuer: Option<&str>) -> Value {
    let mut value = json!({
        "endpoint": {"uri": format!("https://sts.example/{path}"), "cluster": "sts"},
        "client": "sts", "audiences": ["agents"],
    });
    if let Some(issuer) = issuer {
        value["issuer"] = issuer.into();
    }
    value
}

fn member(callout: &Callout, name: &str) -> Option<String> {
    let mut members = form_urlencoded::parse(&callout.body).into_owned();
    members.find(|(own, _)| own == name).map(|(_, value)| value)
}

fn says(answer: &Value) -> Answer {
    Answer::Response(Response::new(200).body(answer.to_string()))
}

fn grants(token: &str) -> Answer {
    says(
        &json!({"access_token": token, "token_type": "Bearer", "expires_in": 300,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}),
    )
}

fn opaque(path: &str, token: &str) -> Request {
    Request::inbound("POST", path).header("authorization", format!("Bearer {token}"))
}

fn caller(sub: &str) -> String {
    let header = json!({"alg": "EdDSA", "kid": "ed25519"}).to_string();
    let claims =
        json!({"iss": "https://issuer.example", "aud": "agents", "sub": sub, "exp": START + 100_000});
    keys().sign("EdDSA", false, &header, &claims.to_string(), "")
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// A sidecar as the documentation has it, with two servers of opaque tokens.
fn two_servers() -> Value {
    json!({"version": 1, "role": "auto",
        "inbound": {
            "introspection": {
                "strong": introspection("strong", Some("https://strong.example")),
                "weak": introspection("weak", Some("https://weak.example")),
            },
            "rules": [{"name": "all", "accept": ["introspection:strong", "introspection:weak"]}],
            "forward": {"assertion": {
                "keys": [{"kid": "a", "key": {"inline": ASSERTION_KEY}}],
                "issuer": "https://mesh.example", "audience": "https://agent.example",
            }},
        },
        "outbound": {
            "oauth_clients": {"sts": client()},
            "rules": [{"name": "search", "match": {"hosts": ["search.example"], "clusters": ["mcp"]},
                "token": {"client": "sts", "audience": ["search"], "subject": {"from_header": "x-agent-assertion"}}}],
        },
    })
}

/// Each server is asked about a token; the strong one knows the victim's, the weak one the attacker's.
fn introspected(proxy: &mut Proxy, token: &str, knows: &str) -> host::Forwarded {
    let stream = proxy.send(0, opaque("/", token)).paused();
    for _ in 0..3 {
        proxy.tick();
        for (worker, callout) in proxy.callouts() {
            let path = callout.headers.text(":path").unwrap();
            let answer = match path == format!("/{knows}") {
                true => json!({"active": true, "sub": "alice", "aud": "agents", "client_id": "web"}),
                false => json!({"active": false}),
            };
            proxy.workers[worker].0.answer(&callout, says(&answer)).unwrap();
        }
    }
    proxy.workers[0].0.outcome(stream).forwarded()
}

#[test]
fn the_same_sub_at_two_servers_is_two_callers_in_an_assertion() {
    let mut proxy = Proxy::new(1, &two_servers());
    let victim = introspected(&mut proxy, "victims-token", "strong");
    let attacker = introspected(&mut proxy, "attackers-token", "weak");
    let asserted = |forwarded: &host::Forwarded| forwarded.headers.text("x-agent-assertion").unwrap();
    assert_eq!(
        attacker.headers.text("x-agent-iss").as_deref(),
        Some("https://weak.example")
    );
    let (victims, attackers) = (asserted(&victim), asserted(&attacker));
    assert_eq!(claims(&victims)["idp_iss"], "https://strong.example");
    // What the agent passes on for the attacker is exchanged: for whose token?
    let call = Request::outbound("POST", "/")
        .header(":authority", "search.example")
        .header("x-agent-assertion", &attackers)
        .property("xds.cluster_name", "mcp");
    proxy.send(0, call).paused();
    proxy.tick();
    let (_, callout) = proxy.callouts().remove(0);
    assert_eq!(
        (
            claims(&attackers)["idp_iss"].as_str(),
            member(&callout, "subject_token").as_deref()
        ),
        (Some("https://weak.example"), Some("attackers-token"))
    );
}

#[test]
fn each_opaque_token_of_one_caller_has_an_assertion_of_its_own() {
    let mut proxy = Proxy::new(1, &two_servers());
    let first = introspected(&mut proxy, "first-token", "strong");
    let second = introspected(&mut proxy, "second-token", "strong");
    let asserted = |forwarded: &host::Forwarded| forwarded.headers.text("x-agent-assertion").unwrap();
    assert_ne!(asserted(&first), asserted(&second));
}

fn gateway() -> Value {
    json!({"version": 1, "role": "gateway",
        "inbound": {
            "providers": {"idp": {"issuer": "https://issuer.example", "audiences": ["agents"],
                "jwks": {"inline": keys().jwks()}}},
            "introspection": {"op": introspection("introspect", None)},
            "rules": [
                {"name": "opaque", "match": {"path_prefixes": ["/opaque"]}, "accept": ["introspection:op"]},
                {"name": "all", "accept": ["jwt"]},
            ],
        },
        "outbound": {
            "oauth_clients": {"sts": client()},
            "rules": [{"name": "search", "match": {"hosts": ["search.example"], "clusters": ["mcp"]},
                "token": {"client": "sts", "audience": ["search"]}}],
        },
    })
}

fn call(sub: &str) -> Request {
    Request::inbound("POST", "/")
        .header("authorization", format!("Bearer {}", caller(sub)))
        .header(":authority", "search.example")
        .property("xds.cluster_name", "mcp")
}

/// Strangers with opaque tokens that nobody knows, and who leave at once, against a caller who was verified.
#[test]
fn strangers_that_leave_keep_no_verified_caller_from_a_token() {
    let mut proxy = Proxy::new(1, &gateway());
    for number in 0..1_100 {
        let stream = proxy.send(0, opaque("/opaque", &format!("garbage-{number}")));
        if let host::Outcome::Paused(stream) = stream {
            proxy.workers[0].0.disconnect(stream).unwrap();
        }
    }
    proxy.send(0, call("mrpink")).paused();
    proxy.tick();
    let exchanges = proxy
        .callouts()
        .into_iter()
        .filter(|(_, callout)| callout.headers.text(":path").as_deref() == Some("/token"))
        .count();
    assert_eq!(exchanges, 1);
}

/// The proxy looks after those who wait as often as answers can come, and not as often as it can.
#[test]
fn strangers_who_wait_do_not_keep_the_worker_busy() {
    let mut proxy = Proxy::new(1, &gateway());
    for number in 0..1_000 {
        proxy
            .send(0, opaque("/opaque", &format!("garbage-{number}")))
            .paused();
    }
    proxy.tick();
    assert_eq!(proxy.callouts().len(), 16);
    assert_eq!(proxy.workers[0].0.tick_period(proxy.workers[0].1), Some(20));
}

/// RFC 7662 leaves clocks to both sides: 60 seconds between them are documented.
#[test]
fn an_opaque_token_within_the_skew_is_asked_about_once() {
    let mut proxy = Proxy::new(1, &gateway());
    proxy.send(0, opaque("/opaque", "late")).paused();
    let mut asked = 0;
    for _ in 0..50 {
        proxy.tick();
        for (worker, callout) in proxy.callouts() {
            asked += 1;
            let answer = json!({"active": true, "sub": "a", "aud": "agents", "exp": START - 10});
            proxy.workers[worker].0.answer(&callout, says(&answer)).unwrap();
        }
    }
    assert_eq!(asked, 1);
}

/// An upstream that answers 401 to everything.
#[test]
fn an_upstream_that_says_401_does_not_have_every_call_exchanged() {
    let mut proxy = Proxy::new(1, &gateway());
    let mut exchanges = 0;
    for _ in 0..20 {
        let outcome = proxy.send(0, call("mrpink").upstream(Response::new(401)));
        if let host::Outcome::Paused(_) = outcome {
            proxy.tick();
            proxy.answer(grants("token"));
            exchanges += 1;
        }
    }
    assert!(exchanges <= 2, "{exchanges}");
}

fn sidecar(rule: Value) -> Value {
    json!({"version": 1, "role": "auto",
        "inbound": {"providers": {"idp": {"issuer": "https://issuer.example", "audiences": ["agents"],
                "jwks": {"inline": keys().jwks()}}},
            "rules": [{"name": "all", "accept": ["jwt"]}]},
        "outbound": {"oauth_clients": {"sts": client()}, "rules": [rule]}})
}

/// `keep_authorization` leaves the `Authorization` of a webhook's receiver alone; the user's token is none of its business.
#[test]
fn the_subjects_token_does_not_go_to_a_webhook() {
    let mut proxy = Proxy::new(
        1,
        &sidecar(json!({"name": "hook",
        "match": {"hosts": ["hook.example"], "clusters": ["mcp"]}, "keep_authorization": true,
        "token": {"client": "sts", "audience": ["hook"], "subject": {"from_header": "x-user-token"}}})),
    );
    let call = Request::outbound("POST", "/")
        .header(":authority", "hook.example")
        .header("authorization", "Bearer of-the-receiver")
        .header("x-user-token", caller("mrpink"))
        .property("xds.cluster_name", "mcp");
    let forwarded = proxy.send(0, call).forwarded();
    assert_eq!(forwarded.headers.text("x-user-token"), None);
}

/// A listener's filter has exchanged the token for `search`; the cluster's filter meets another rule, for the authority
/// was rewritten on the way.
#[test]
fn what_was_exchanged_is_not_exchanged_again() {
    let rule = |name: &str| {
        json!({"name": name, "match": {"hosts": [format!("{name}.example")], "clusters": ["mcp"]},
        "token": {"client": "sts", "audience": [name],
            "subject": {"from_header": "authorization", "insecure_unverified_subject": true}}})
    };
    let mut policy = sidecar(rule("search"));
    policy["outbound"]["rules"] = json!([rule("search"), rule("charlie")]);
    policy["role"] = "auto".into();
    let mut proxy = Proxy::new(1, &policy);
    let call = Request::outbound("POST", "/")
        .header(":authority", "search.example")
        .header("authorization", format!("Bearer {}", caller("mrpink")))
        .property("xds.cluster_name", "mcp");
    let stream = proxy.send(0, call).paused();
    proxy.tick();
    proxy.answer(grants("exchanged"));
    let first = proxy.workers[0].0.outcome(stream).forwarded();
    let second = Request::outbound("POST", "/")
        .header(":authority", "charlie.example")
        .header("authorization", first.headers.text("authorization").unwrap())
        .property("xds.cluster_name", "mcp")
        .property("upstream.address", "10.0.0.1:80");
    run_again(&mut proxy, second, &first);
    let subjects: Vec<_> = proxy
        .callouts()
        .iter()
        .map(|(_, callout)| member(callout, "subject_token"))
        .collect();
    assert!(subjects.is_empty(), "{subjects:?}");
}

/// Sends what the proxy makes of a call that it runs again: with the filter state of the first run.
fn run_again(proxy: &mut Proxy, mut second: Request, first: &Forwarded) {
    for (name, value) in &first.filter_state {
        second = second.property(&format!("filter_state.{name}"), value);
    }
    proxy.send(0, second);
    proxy.tick();
}

/// A redirect to the same upstream: the user's subject is gone; the client's own token is not what takes its place.
#[test]
fn a_redirect_does_not_turn_a_users_call_into_the_clients_own() {
    let rule = json!({"name": "search", "match": {"hosts": ["search.example"], "clusters": ["mcp"]},
        "token": {"client": "sts", "audience": ["search"], "subject": {"from_header": "authorization"},
            "on_missing_subject": "client_credentials"}});
    let mut proxy = Proxy::new(1, &sidecar(rule));
    let call = Request::outbound("POST", "/")
        .header(":authority", "search.example")
        .header("authorization", format!("Bearer {}", caller("mrpink")))
        .property("xds.cluster_name", "mcp");
    let stream = proxy.send(0, call).paused();
    proxy.tick();
    proxy.answer(grants("of-mrpink"));
    let first = proxy.workers[0].0.outcome(stream).forwarded();
    let second = Request::outbound("POST", "/next")
        .header(":authority", "search.example")
        .header("authorization", first.headers.text("authorization").unwrap())
        .header("x-envoy-original-url", "http://search.example/")
        .property("xds.cluster_name", "mcp");
    run_again(&mut proxy, second, &first);
    let grants: Vec<_> = proxy
        .callouts()
        .iter()
        .map(|(_, callout)| member(callout, "grant_type"))
        .collect();
    assert!(grants.is_empty(), "{grants:?}");
}

/// Without a `vm_id` of its own a worker keeps for itself; the records of answers push out those of keys.
#[test]
fn records_of_answers_leave_those_of_keys_alone() {
    let mut policy = gateway();
    policy["inbound"]["providers"]["idp"]["jwks"] =
        json!({"remote": {"uri": "https://idp.example/keys", "cluster": "idp"}});
    let mut fetches = 0;
    let mut proxy = Proxy::started(1, &policy, "", "");
    for _ in 0..4 {
        proxy.tick();
        for (worker, callout) in proxy.callouts() {
            fetches += 1;
            proxy.workers[worker]
                .0
                .answer(&callout, says(&keys().jwks()))
                .unwrap();
        }
    }
    assert_eq!(fetches, 1);
    proxy.send(0, call("mrpink")).paused();
    // Another policy comes, which has nothing to do with these keys.
    proxy.workers[0].0.configure(two_servers().to_string()).unwrap();
    for _ in 0..4 {
        proxy.tick();
        for (worker, callout) in proxy.callouts() {
            if callout.headers.text(":path").as_deref() == Some("/keys") {
                fetches += 1;
                proxy.workers[worker]
                    .0
                    .answer(&callout, says(&keys().jwks()))
                    .unwrap();
            }
        }
    }
    assert_eq!(fetches, 1);
}

/// A configuration comes while a stream waits; the proxy keeps the old root until its streams are gone.
#[test]
fn a_new_configuration_leaves_who_waits_waiting_for_its_answer() {
    let mut proxy = Proxy::new(1, &gateway());
    let stream = proxy.send(0, call("mrpink")).paused();
    proxy.tick();
    proxy.workers[0].0.configure(gateway().to_string()).unwrap();
    proxy.answer(grants("token"));
    let forwarded = proxy.workers[0].0.outcome(stream).forwarded();
    assert_eq!(
        forwarded.headers.text("authorization").as_deref(),
        Some("Bearer token")
    );
}

/// All kinds of answers of a hostile server: none traps, none leaves a stream waiting behind its time.
#[test]
fn hostile_answers_for_tokens_give_none() {
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"{".to_vec(),
        b"[]".to_vec(),
        b"null".to_vec(),
        vec![b'['; 100_000],
        vec![0xff; 1000],
        br#"{"access_token":"a\r\nx: y","token_type":"bearer"}"#.to_vec(),
        br#"{"access_token":"a b","token_type":"bearer"}"#.to_vec(),
        br#"{"access_token":"","token_type":"bearer"}"#.to_vec(),
        br#"{"access_token":"a","token_type":"N_A"}"#.to_vec(),
        br#"{"access_token":"a","token_type":"DPoP"}"#.to_vec(),
        br#"{"access_token":"a","token_type":"bearer","expires_in":-1}"#.to_vec(),
        br#"{"access_token":"a","token_type":"bearer","expires_in":1e400}"#.to_vec(),
        br#"{"access_token":"a","access_token":"b","token_type":"bearer"}"#.to_vec(),
        format!(
            r#"{{"access_token":"{}","token_type":"bearer"}}"#,
            "a".repeat(70_000)
        )
        .into_bytes(),
        format!(
            r#"{{"access_token":"a","token_type":"bearer","x":"{}"}}"#,
            "a".repeat(10_000_000)
        )
        .into_bytes(),
    ];
    for body in bodies {
        for status in [200, 302, 400, 500] {
            let mut proxy = Proxy::new(1, &gateway());
            let stream = proxy.send(0, call("mrpink")).paused();
            proxy.tick();
            proxy.answer(Answer::Response(
                Response::new(status)
                    .header("location", "http://evil/")
                    .body(&body),
            ));
            let replied = proxy.workers[0].0.outcome(stream).replied();
            assert!(replied.status == 502 || replied.status == 503);
            assert!(proxy.callouts().is_empty());
        }
    }
    for expires in ["1e308", "99999999999999999999", "0", "0.5", "3e9"] {
        let mut proxy = Proxy::new(1, &gateway());
        let stream = proxy.send(0, call("mrpink")).paused();
        proxy.tick();
        proxy.answer(Answer::Response(Response::new(200).body(format!(
            r#"{{"access_token":"a","token_type":"bearer","expires_in":{expires}}}"#
        ))));
        proxy.workers[0].0.outcome(stream).forwarded();
        // Never behind the end of the caller's token; a day at the most.
        proxy.pass(86_401);
        proxy.send(0, call("mrpink")).paused();
    }
}

/// A rule that does not accept opaque tokens asks nobody about them.
#[test]
fn a_rule_that_takes_no_opaque_token_asks_nobody() {
    let mut policy = gateway();
    policy["inbound"]["rules"] = json!([
        {"name": "opaque", "match": {"path_prefixes": ["/opaque"]}, "accept": ["introspection:op"]},
        {"name": "optional", "match": {"path_prefixes": ["/optional"]}, "accept": ["jwt", "none"]},
        {"name": "public", "match": {"path_prefixes": ["/public"]}, "accept": ["none"]},
        {"name": "all", "accept": ["jwt"]},
    ]);
    let mut proxy = Proxy::new(1, &policy);
    let stream = proxy.send(0, opaque("/opaque", "known")).paused();
    proxy.tick();
    proxy.answer(says(&json!({"active": true, "sub": "a", "aud": "agents"})));
    proxy.workers[0].0.outcome(stream).forwarded();
    for path in ["/", "/optional"] {
        assert_eq!(
            proxy.send(0, opaque(path, "known")).replied().status,
            401,
            "{path}"
        );
        assert_eq!(
            proxy.send(0, opaque(path, "other")).replied().status,
            401,
            "{path}"
        );
    }
    let forwarded = proxy.send(0, opaque("/public", "known")).forwarded();
    assert_eq!(forwarded.headers.text("x-agent-sub"), None);
    // Refresh tokens, other audiences and issuers.
    for (token, answer) in [
        (
            "a",
            json!({"active": true, "sub": "a", "token_use": "refresh_token"}),
        ),
        (
            "b",
            json!({"active": true, "sub": "a", "token_type": "refresh_token"}),
        ),
        ("c", json!({"active": true, "sub": "a", "typ": "Refresh"})),
        ("d", json!({"active": true, "sub": "a", "aud": ["others"]})),
        ("e", json!({"active": true, "sub": ["a"]})),
        ("f", json!({"active": 1, "sub": "a"})),
        ("g", json!({"active": true, "sub": "a", "exp": "never"})),
        ("h", json!({"active": true, "sub": "a", "nbf": START + 100})),
        ("i", json!({"active": true, "sub": "a", "token_type": "DPoP"})),
    ] {
        let stream = proxy.send(0, opaque("/opaque", token)).paused();
        proxy.tick();
        proxy.answer(says(&answer));
        assert!(
            proxy.workers[0].0.outcome(stream).replied().status >= 401,
            "{answer}"
        );
    }
}

/// Opaque tokens of one server are shown to no other one.
#[test]
fn an_opaque_token_is_shown_to_its_own_server_only() {
    let mut policy = two_servers();
    let weak = policy["inbound"]["introspection"]["weak"].clone();
    policy["inbound"]["introspection"]["a-weak"] = weak;
    policy["inbound"]["rules"][0]["accept"] = json!(["introspection:strong", "introspection:a-weak"]);
    let mut proxy = Proxy::new(1, &policy);
    let stream = proxy.send(0, opaque("/", "victims-token")).paused();
    proxy.tick();
    let asked: Vec<_> = proxy
        .callouts()
        .iter()
        .map(|(_, callout)| callout.headers.text(":path").unwrap())
        .collect();
    // And when the weak one is broken, so is the strong one.
    proxy.answer(Answer::Response(Response::new(500)));
    for _ in 0..3 {
        proxy.tick();
    }
    let _ = proxy.workers[0].0.outcome(stream);
    assert!(asked.iter().all(|path| path == "/strong"), "{asked:?}");
}

/// An assertion that is over, changed, of another process, or of another header's words finds nobody.
#[test]
fn an_assertion_that_was_changed_or_is_over_finds_nobody() {
    let mut policy = gateway();
    policy["role"] = "auto".into();
    policy["inbound"]["forward"] = two_servers()["inbound"]["forward"].clone();
    policy["outbound"]["rules"][0]["token"]["subject"] = json!({"from_header": "x-agent-assertion"});
    let mut proxy = Proxy::new(2, &policy);
    let inbound =
        Request::inbound("POST", "/").header("authorization", format!("Bearer {}", caller("mrpink")));
    let assertion = proxy
        .send(0, inbound)
        .forwarded()
        .headers
        .text("x-agent-assertion")
        .unwrap();
    let out = |assertion: &str| {
        Request::outbound("POST", "/")
            .header(":authority", "search.example")
            .header("x-agent-assertion", assertion)
            .property("xds.cluster_name", "mcp")
    };
    for position in [0, assertion.len() / 2, assertion.len() - 1] {
        let mut changed = assertion.clone().into_bytes();
        changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(proxy.send(1, out(&changed)).replied().status, 403);
    }
    for odd in ["", "garbage", "a,b"] {
        let status = proxy.send(1, out(odd)).replied().status;
        assert!(status >= 400, "{odd} {status}");
    }
    assert_eq!(
        proxy
            .send(1, out(&assertion).header("x-agent-assertion", "x"))
            .replied()
            .status,
        400
    );
    let mut other = Proxy::new(1, &policy);
    assert_eq!(other.send(0, out(&assertion)).replied().status, 403);
    // To a host without a rule it does not go on.
    let elsewhere = Request::outbound("POST", "/")
        .header(":authority", "elsewhere.example")
        .header("x-agent-assertion", &assertion)
        .property("xds.cluster_name", "mcp");
    assert_eq!(
        proxy
            .send(1, elsewhere)
            .forwarded()
            .headers
            .text("x-agent-assertion"),
        None
    );
    proxy.send(1, out(&assertion)).paused();
    proxy.pass(61);
    assert_eq!(proxy.send(1, out(&assertion)).replied().status, 403);
}
