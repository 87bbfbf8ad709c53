//! Tokens for upstreams and opaque tokens, through the compiled module: workers of one process, requests that wait, what
//! others write.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod host;
mod support;

use host::proxy::{Proxy, START, VM_ID};
use host::{Answer, Callout, Request, Response, StreamId};
use serde_json::{Value, json};
use support::tokens::keys;

/// A gateway: who calls is verified, and calls get a token for where they go.
fn gateway() -> Value {
    json!({"version": 1, "role": "gateway",
        "inbound": {
            "providers": {"idp": {
                "issuer": "https://issuer.example",
                "audiences": ["agents"],
                "jwks": {"inline": keys().jwks()},
            }},
            "peers": {"mrpink": {"totp_seeds": [{"inline": SEED}], "tokens": {"idp": "mrpink"}}},
            "totp": {"replay": "one_time"},
            "rules": [
                {"name": "twice", "match": {"path_prefixes": ["/totp"]}, "accept": ["jwt"], "require": {"totp": true}},
                {"name": "all", "accept": ["jwt"]},
            ],
            "limits": {"waiting_requests": 20},
        },
        "outbound": {
            "oauth_clients": {"sts": client()},
            "rules": [rule("search"), rule("charlie")],
        },
    })
}

fn client() -> Value {
    json!({
        "token_endpoint": {"uri": "https://sts.example/token", "cluster": "sts"},
        "client_id": "gateway",
        "auth": {"method": "client_secret_post", "secret": {"inline": CLIENT_SECRET}},
    })
}

fn rule(name: &str) -> Value {
    json!({
        "name": name,
        "match": {"hosts": [format!("{name}.example")], "clusters": ["mcp"]},
        "token": {"client": "sts", "audience": [name]},
    })
}

/// A workload's calls, each with the token of whoever it acts for.
fn sidecar() -> Value {
    let mut policy = gateway();
    policy["role"] = "outbound".into();
    for rule in policy["outbound"]["rules"].as_array_mut().unwrap() {
        rule["token"]["subject"] = json!({"from_header": "authorization"});
    }
    policy
}

fn caller(sub: &str, exp: u64) -> String {
    let header = json!({"alg": "EdDSA", "kid": "ed25519"}).to_string();
    let claims = json!({"iss": "https://issuer.example", "aud": "agents", "sub": sub, "exp": START + exp});
    keys().sign("EdDSA", false, &header, &claims.to_string(), "")
}

fn call(to: &str, sub: &str) -> Request {
    to_host(Request::inbound("POST", "/"), to)
        .header("authorization", format!("Bearer {}", caller(sub, 100_000)))
}

fn to_host(request: Request, to: &str) -> Request {
    request
        .header(":authority", format!("{to}.example"))
        .property("xds.cluster_name", "mcp")
}

fn grants(token: &str) -> Answer {
    let body = json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": 300,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    });
    Answer::Response(Response::new(200).body(body.to_string()))
}

/// The form of a callout: its members in their order.
fn form(callout: &Callout) -> Vec<(String, String)> {
    form_urlencoded::parse(&callout.body).into_owned().collect()
}

fn member(callout: &Callout, name: &str) -> Option<String> {
    let mut members = form(callout).into_iter();
    members.find(|(own, _)| own == name).map(|(_, value)| value)
}

/// Answers the one question that is asked of whoever it is for.
fn answer_for(proxy: &mut Proxy, audience: &str, sub: &str, answer: Answer) {
    let subject = caller(sub, 100_000);
    let mut asked = proxy.callouts();
    asked.retain(|(_, callout)| {
        member(callout, "audience").as_deref() == Some(audience)
            && member(callout, "subject_token").as_deref() == Some(&subject)
    });
    assert_eq!(asked.len(), 1, "{audience} {sub}");
    let (worker, callout) = asked.remove(0);
    proxy.workers[worker].0.answer(&callout, answer).unwrap();
    proxy.tick();
}

fn waits(proxy: &mut Proxy, worker: usize, request: Request) -> (usize, StreamId) {
    (worker, proxy.send(worker, request).paused())
}

/// What the upstream has got of a request that has waited.
fn authorization(proxy: &mut Proxy, (worker, stream): (usize, StreamId)) -> Option<String> {
    let forwarded = proxy.workers[worker].0.outcome(stream).forwarded();
    forwarded.headers.text("authorization")
}

#[test]
fn one_worker_asks_and_nobody_gets_the_token_of_another() {
    let mut proxy = Proxy::new(3, &gateway());
    let pinks: Vec<_> = (0..3)
        .map(|worker| waits(&mut proxy, worker, call("search", "mrpink")))
        .collect();
    let blues = waits(&mut proxy, 1, call("search", "mrblue"));
    let charlies = waits(&mut proxy, 2, call("charlie", "mrpink"));
    assert_eq!(proxy.callouts().len(), 0);
    assert_eq!(proxy.workers[0].0.tick_period(proxy.workers[0].1), Some(1));
    proxy.tick();
    assert_eq!(proxy.callouts().len(), 3);
    answer_for(&mut proxy, "search", "mrpink", grants("pinks-search"));
    answer_for(&mut proxy, "search", "mrblue", grants("blues-search"));
    answer_for(&mut proxy, "charlie", "mrpink", grants("pinks-charlie"));
    for stream in pinks {
        assert_eq!(
            authorization(&mut proxy, stream).as_deref(),
            Some("Bearer pinks-search")
        );
    }
    assert_eq!(
        authorization(&mut proxy, blues).as_deref(),
        Some("Bearer blues-search")
    );
    assert_eq!(
        authorization(&mut proxy, charlies).as_deref(),
        Some("Bearer pinks-charlie")
    );
    // Whoever comes later, and to whichever worker.
    for worker in 0..3 {
        let forwarded = proxy.send(worker, call("search", "mrblue")).forwarded();
        assert_eq!(
            forwarded.headers.text("authorization").as_deref(),
            Some("Bearer blues-search")
        );
    }
    assert_eq!(
        proxy.metric("peergate_token_requests_total.client.sts.outcome.ok"),
        3
    );
    assert_eq!(
        proxy.metric("peergate_token_waits_total.client.sts.outcome.started"),
        5
    );
    assert_eq!(
        proxy.metric("peergate_token_waits_total.client.sts.outcome.decided"),
        5
    );
}

#[test]
fn the_question_is_that_of_the_standard() {
    let mut proxy = Proxy::new(1, &gateway());
    waits(&mut proxy, 0, call("search", "mrpink"));
    proxy.tick();
    let (_, callout) = proxy.callouts().remove(0);
    assert_eq!(callout.headers.text(":method").as_deref(), Some("POST"));
    assert_eq!(callout.headers.text(":authority").as_deref(), Some("sts.example"));
    assert_eq!(callout.timeout_milliseconds, 5_000);
    let subject = caller("mrpink", 100_000);
    let expected = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", subject.as_str()),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        ),
        ("audience", "search"),
        ("client_id", "gateway"),
        ("client_secret", CLIENT_SECRET),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(form(&callout), expected);
}

/// The code was good when the request came; it is not looked at again when the token has come.
#[test]
fn a_code_that_is_good_once_is_good_for_a_request_that_waits() {
    let mut proxy = Proxy::new(1, &gateway());
    let code = peergate_code(START);
    let request = || {
        let request = call("search", "mrpink").header(":path", "/totp");
        request.header("x-totp", &code)
    };
    let stream = waits(&mut proxy, 0, request());
    proxy.tick();
    answer_for(&mut proxy, "search", "mrpink", grants("pinks-search"));
    assert_eq!(
        authorization(&mut proxy, stream).as_deref(),
        Some("Bearer pinks-search")
    );
    assert_eq!(proxy.send(0, request()).replied().status, 401);
}

#[test]
fn who_gets_no_token_is_refused_and_nothing_of_why_is_told() {
    let error = json!({"error": "invalid_target", "error_description": "the secret reason"}).to_string();
    for (answer, status, told, reason) in [
        (
            Answer::Response(Response::new(400).body(&error)),
            502,
            "Unable to get a token for the upstream",
            "token_refused",
        ),
        (
            Answer::Response(Response::new(200).body("{}")),
            502,
            "Unable to get a token for the upstream",
            "token_refused",
        ),
        (
            Answer::Response(Response::new(503)),
            503,
            "Token service unavailable",
            "token_unavailable",
        ),
        (
            Answer::Failed,
            503,
            "Token service unavailable",
            "token_unavailable",
        ),
    ] {
        let mut proxy = Proxy::new(1, &gateway());
        let (worker, stream) = waits(&mut proxy, 0, call("search", "mrpink"));
        proxy.tick();
        proxy.answer(answer);
        let replied = proxy.workers[worker].0.outcome(stream).replied();
        assert_eq!(
            (replied.status, replied.text().contains(told)),
            (status, true),
            "{reason}"
        );
        assert!(!replied.text().contains("invalid_target") && !replied.text().contains("secret reason"));
        let logs = proxy.logs(0).join("\n");
        assert!(logs.contains(&format!("reason={reason}")), "{logs}");
        assert!(!logs.contains("secret reason"), "{logs}");
        // Nobody asks again at once.
        assert_eq!(proxy.send(0, call("search", "mrpink")).replied().status, status);
        assert_eq!(proxy.callouts().len(), 0);
        proxy.pass(11);
        waits(&mut proxy, 0, call("search", "mrpink"));
        proxy.tick();
        assert_eq!(proxy.callouts().len(), 1);
    }
}

#[test]
fn a_wait_has_an_end() {
    let mut proxy = Proxy::new(1, &gateway());
    let (worker, stream) = waits(&mut proxy, 0, call("search", "mrpink"));
    proxy.tick();
    proxy.pass(6);
    proxy.tick();
    let replied = proxy.workers[worker].0.outcome(stream).replied();
    assert_eq!(replied.status, 503);
    assert_eq!(
        proxy.metric("peergate_token_waits_total.client.sts.outcome.timed_out"),
        1
    );
}

#[test]
fn a_client_that_leaves_takes_nothing_along() {
    let mut proxy = Proxy::new(1, &gateway());
    let (_, gone) = waits(&mut proxy, 0, call("search", "mrpink"));
    proxy.tick();
    proxy.workers[0].0.disconnect(gone).unwrap();
    let stays = waits(&mut proxy, 0, call("search", "mrpink"));
    answer_for(&mut proxy, "search", "mrpink", grants("pinks-search"));
    assert_eq!(
        authorization(&mut proxy, stays).as_deref(),
        Some("Bearer pinks-search")
    );
    assert_eq!(
        proxy.metric("peergate_token_waits_total.client.sts.outcome.gone"),
        1
    );
}

#[test]
fn places_to_wait_in_are_few() {
    let mut proxy = Proxy::new(1, &gateway());
    for _ in 0..20 {
        waits(&mut proxy, 0, call("search", "mrpink"));
    }
    assert_eq!(proxy.send(0, call("search", "mrpink")).replied().status, 503);
    assert_eq!(
        proxy.metric("peergate_token_waits_total.client.sts.outcome.full"),
        1
    );
}

#[test]
fn a_token_that_the_upstream_refuses_is_got_anew() {
    let mut proxy = Proxy::new(2, &gateway());
    let first = waits(&mut proxy, 0, call("search", "mrpink"));
    proxy.tick();
    answer_for(&mut proxy, "search", "mrpink", grants("old"));
    authorization(&mut proxy, first);
    let refused = call("search", "mrpink").upstream(Response::new(401));
    let forwarded = proxy.send(1, refused).forwarded();
    // The caller sees it; the request is not repeated.
    assert_eq!(forwarded.response.headers.text(":status").as_deref(), Some("401"));
    let again = waits(&mut proxy, 1, call("search", "mrpink"));
    proxy.tick();
    answer_for(&mut proxy, "search", "mrpink", grants("new"));
    assert_eq!(authorization(&mut proxy, again).as_deref(), Some("Bearer new"));
}

#[test]
fn a_token_is_not_kept_beyond_its_end_nor_its_subjects() {
    let mut proxy = Proxy::new(1, &gateway());
    let first = waits(&mut proxy, 0, call("search", "mrpink"));
    proxy.tick();
    answer_for(&mut proxy, "search", "mrpink", grants("old"));
    authorization(&mut proxy, first);
    proxy.pass(294);
    proxy.send(0, call("search", "mrpink")).forwarded();
    proxy.pass(1);
    waits(&mut proxy, 0, call("search", "mrpink"));

    let mut proxy = Proxy::new(1, &gateway());
    let short = || {
        let token = caller("mrpink", 20);
        to_host(Request::inbound("POST", "/"), "search").header("authorization", format!("Bearer {token}"))
    };
    let (_, stream) = waits(&mut proxy, 0, short());
    proxy.tick();
    proxy.answer(grants("long"));
    proxy.workers[0].0.outcome(stream).forwarded();
    proxy.pass(19);
    proxy.send(0, short()).forwarded();
    proxy.pass(2);
    // The skew of clocks lets the caller in, but what it got for its token is over.
    waits(&mut proxy, 0, short());
}

#[test]
fn what_another_module_writes_is_not_believed() {
    let mut policy = gateway();
    policy["shared_state_key"] = json!({"inline": "0123456789abcdef0123456789abcdef"});
    // The virtual machine has no id of its own: others see what it shares.
    let mut proxy = Proxy::started(2, &policy, "", "");
    let first = waits(&mut proxy, 0, call("search", "mrpink"));
    proxy.tick();
    answer_for(&mut proxy, "search", "mrpink", grants("pinks-search"));
    authorization(&mut proxy, first);
    let mut slots = 0;
    for name in proxy.process.shared_keys("") {
        let (value, _) = proxy.process.shared("", &name).unwrap();
        let holds = |text: &[u8]| value.windows(text.len()).any(|window| window == text);
        assert!(!holds(b"pinks-search") && !holds(CLIENT_SECRET.as_bytes()));
        if name.starts_with(b"peergate.answers.1.") && value.len() > 1 {
            slots += 1;
            let mut changed = value.clone();
            *changed.last_mut().unwrap() ^= 1;
            proxy.process.set_shared("", &name, &changed, 0).unwrap();
        }
    }
    assert_eq!(slots, 1);
    waits(&mut proxy, 1, call("search", "mrpink"));
}

#[test]
fn without_a_place_of_its_own_each_worker_asks() {
    let mut proxy = Proxy::started(2, &gateway(), "", "");
    let streams: Vec<_> = (0..2)
        .map(|worker| waits(&mut proxy, worker, call("search", "mrpink")))
        .collect();
    proxy.tick();
    for (worker, callout) in proxy.callouts() {
        let token = format!("of-{worker}");
        proxy.workers[worker].0.answer(&callout, grants(&token)).unwrap();
    }
    for stream in streams {
        let token = format!("Bearer of-{}", stream.0);
        assert_eq!(authorization(&mut proxy, stream), Some(token));
    }
    let names = proxy.process.shared_keys("");
    assert!(!names.iter().any(|name| name.starts_with(b"peergate.answers.")));
}

#[test]
fn a_workload_passes_on_whose_token_it_acts_for() {
    let mut proxy = Proxy::new(1, &sidecar());
    let call = |token: &str| {
        let request = to_host(Request::outbound("POST", "/"), "search");
        request.header("authorization", format!("Bearer {token}"))
    };
    let good = waits(&mut proxy, 0, call(&caller("mrpink", 100_000)));
    // Garbage is not asked about, nor is what is over.
    assert_eq!(proxy.send(0, call("garbage")).replied().status, 401);
    let expired = keys().sign(
        "EdDSA",
        false,
        &json!({"alg": "EdDSA", "kid": "ed25519"}).to_string(),
        &json!({"iss": "https://issuer.example", "aud": "agents", "sub": "mrpink", "exp": START - 100})
            .to_string(),
        "",
    );
    let replied = proxy.send(0, call(&expired)).replied();
    assert!(replied.status == 401 && replied.text().contains("Token has expired"));
    let nobodys = to_host(Request::outbound("POST", "/"), "search");
    assert_eq!(proxy.send(0, nobodys).replied().status, 403);
    proxy.tick();
    assert_eq!(proxy.callouts().len(), 1);
    answer_for(&mut proxy, "search", "mrpink", grants("pinks-search"));
    assert_eq!(
        authorization(&mut proxy, good).as_deref(),
        Some("Bearer pinks-search")
    );
}

#[test]
fn a_client_gets_its_own_token_before_the_last_one_runs_out() {
    let mut policy = sidecar();
    let rule = &mut policy["outbound"]["rules"][0]["token"];
    *rule = json!({"client": "sts", "grant": "client_credentials", "scope": ["read", "write"]});
    let mut proxy = Proxy::new(2, &policy);
    let call = || to_host(Request::outbound("GET", "/"), "search");
    let streams: Vec<_> = (0..2).map(|worker| waits(&mut proxy, worker, call())).collect();
    proxy.tick();
    let (_, callout) = proxy.callouts().remove(0);
    assert_eq!(member(&callout, "scope").as_deref(), Some("read write"));
    proxy.answer(grants("one"));
    for stream in streams {
        assert_eq!(authorization(&mut proxy, stream).as_deref(), Some("Bearer one"));
    }
    proxy.pass(290);
    for worker in 0..2 {
        // It is still good, and nobody waits.
        let forwarded = proxy.send(worker, call()).forwarded();
        assert_eq!(
            forwarded.headers.text("authorization").as_deref(),
            Some("Bearer one")
        );
    }
    proxy.tick();
    proxy.answer(grants("two"));
    proxy.tick();
    for worker in 0..2 {
        let forwarded = proxy.send(worker, call()).forwarded();
        assert_eq!(
            forwarded.headers.text("authorization").as_deref(),
            Some("Bearer two")
        );
    }
}

#[test]
fn the_insecure_ways_out_are_taken_only_where_they_are_written() {
    for (way, status, left) in [
        ("deny", 503, None),
        ("insecure_strip", 200, None),
        (
            "insecure_forward",
            200,
            Some(format!("Bearer {}", caller("mrpink", 100_000))),
        ),
    ] {
        let mut policy = sidecar();
        policy["outbound"]["rules"][0]["token"]["on_failure"] = way.into();
        let mut proxy = Proxy::new(1, &policy);
        let request = to_host(Request::outbound("POST", "/"), "search")
            .header("authorization", format!("Bearer {}", caller("mrpink", 100_000)));
        let (worker, stream) = waits(&mut proxy, 0, request);
        proxy.tick();
        proxy.answer(Answer::Response(Response::new(500)));
        let outcome = proxy.workers[worker].0.outcome(stream);
        match status {
            200 => assert_eq!(outcome.forwarded().headers.text("authorization"), left, "{way}"),
            _ => assert_eq!(outcome.replied().status, status, "{way}"),
        }
    }
}

fn introspecting() -> Value {
    json!({"version": 1, "role": "inbound",
        "outbound": {"oauth_clients": {"rs": client()}},
        "inbound": {
            "introspection": {"op": {
                "endpoint": {"uri": "https://sts.example/introspect", "cluster": "sts"},
                "client": "rs",
                "audiences": ["agents"],
            }},
            "rules": [
                {"name": "public", "match": {"paths": ["/card"]}, "accept": ["none"]},
                {"name": "all", "accept": ["introspection:op"]},
            ],
        },
    })
}

fn opaque(token: &str) -> Request {
    Request::inbound("POST", "/").header("authorization", format!("Bearer {token}"))
}

fn says(answer: &Value) -> Answer {
    Answer::Response(Response::new(200).body(answer.to_string()))
}

#[test]
fn an_opaque_token_is_asked_about_once() {
    let mut proxy = Proxy::new(2, &introspecting());
    let streams: Vec<_> = (0..2)
        .map(|worker| waits(&mut proxy, worker, opaque("opaque-1")))
        .collect();
    proxy.send(0, Request::inbound("GET", "/card")).forwarded();
    proxy.tick();
    let (_, callout) = proxy.callouts().remove(0);
    assert_eq!(callout.headers.text(":path").as_deref(), Some("/introspect"));
    assert_eq!(member(&callout, "token").as_deref(), Some("opaque-1"));
    proxy.answer(says(
        &json!({"active": true, "sub": "mrpink", "aud": "agents", "scope": "read"}),
    ));
    for (worker, stream) in streams {
        let forwarded = proxy.workers[worker].0.outcome(stream).forwarded();
        assert_eq!(forwarded.headers.text("x-agent-sub").as_deref(), Some("mrpink"));
        assert_eq!(
            forwarded.headers.text("x-agent-auth").as_deref(),
            Some("introspection")
        );
        assert_eq!(forwarded.headers.text("authorization"), None);
    }
    proxy.send(1, opaque("opaque-1")).forwarded();
    assert_eq!(
        proxy.metric("peergate_introspections_total.introspection.op.outcome.ok"),
        1
    );
    proxy.pass(61);
    waits(&mut proxy, 0, opaque("opaque-1"));
}

#[test]
fn an_opaque_token_that_is_not_good_is_refused() {
    for (answer, status, told) in [
        (says(&json!({"active": false})), 401, "Token is not active"),
        (
            says(&json!({"active": true, "aud": "others"})),
            401,
            "Token is not active",
        ),
        (
            says(&json!({"active": true, "aud": "agents", "exp": START - 100})),
            401,
            "Token is not active",
        ),
        (
            says(&json!({"active": "true", "aud": "agents"})),
            503,
            "Token introspection service unavailable",
        ),
        (
            Answer::Response(Response::new(500)),
            503,
            "Token introspection service unavailable",
        ),
        (Answer::Failed, 503, "Token introspection service unavailable"),
    ] {
        let mut proxy = Proxy::new(1, &introspecting());
        let (worker, stream) = waits(&mut proxy, 0, opaque("opaque-1"));
        proxy.tick();
        proxy.answer(answer);
        let replied = proxy.workers[worker].0.outcome(stream).replied();
        assert_eq!(
            (replied.status, replied.text().contains(told)),
            (status, true),
            "{}",
            replied.text()
        );
    }
}

#[test]
fn names_in_shared_data_are_the_filters_own() {
    let proxy = Proxy::new(1, &gateway());
    let names = proxy.process.shared_keys(VM_ID);
    assert!(names.iter().all(|name| name.starts_with(b"peergate.")));
    assert!(names.len() > 256);
}

fn peergate_code(seconds: u64) -> String {
    use peergate_filter::time::UnixTime;
    use peergate_filter::totp::{CodeParameters, Seed, code_at};
    let seed = Seed::parse(SEED).unwrap();
    let code = code_at(&seed, &CodeParameters::DEFAULT, UnixTime::from_seconds(seconds));
    String::from_utf8_lossy(code.expose()).into_owned()
}

const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const CLIENT_SECRET: &str = "the-secret-of-the-gateway";
