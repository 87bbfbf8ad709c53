//! Keys that are fetched, through the compiled module: workers of one process, requests that wait, what others write.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod host;
mod support;

use host::proxy::{Proxy, START, VM_ID};
use host::{Answer, Outcome, Request, Response};
use serde_json::{Value, json};
use support::tokens::keys;

fn policy() -> Value {
    json!({"version": 1, "role": "inbound", "inbound": {
        "providers": {"idp": {
            "issuer": "https://issuer.example",
            "audiences": ["agents"],
            "jwks": {"remote": {"uri": "https://idp.example/keys", "cluster": "idp"}},
        }},
        "limits": {"waiting_requests": 20},
        "rules": [
            {"name": "public", "match": {"paths": ["/card"]}, "accept": ["none"]},
            {"name": "all", "accept": ["jwt"]},
        ],
    }})
}

/// Lets the workers fetch a set.
fn fetch(proxy: &mut Proxy, keys: &Value) {
    proxy.tick();
    proxy.answer(set(keys));
}

fn set(keys: &Value) -> Answer {
    Answer::Response(Response::new(200).body(keys.to_string()))
}

/// The sets before and behind a rotation: one key each.
fn only(kid: &str) -> Value {
    let all = keys().jwks();
    let key = all["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["kid"] == kid);
    json!({"keys": [key.unwrap()]})
}

fn token(kid: &str) -> String {
    let algorithm = match kid {
        "rsa" => "RS256",
        "ed25519" => "EdDSA",
        _ => "ES256",
    };
    let header = json!({"alg": algorithm, "kid": kid}).to_string();
    let claims =
        json!({"iss": "https://issuer.example", "aud": "agents", "sub": "mrpink", "exp": START + 100_000});
    keys().sign(algorithm, false, &header, &claims.to_string(), "")
}

fn with(token: &str) -> Request {
    Request::inbound("POST", "/").header("authorization", format!("Bearer {token}"))
}

const WAITS: &str = "peergate_key_waits_total.provider.idp.outcome";
const FETCHES: &str = "peergate_key_fetches_total.provider.idp.outcome";

#[test]
fn one_worker_asks_for_all() {
    let mut proxy = Proxy::new(4, &policy());
    assert_eq!(proxy.callouts().len(), 0);
    proxy.tick();
    let callouts = proxy.callouts();
    assert_eq!(callouts.len(), 1);
    let callout = &callouts[0].1;
    assert_eq!(
        (callout.cluster.as_str(), callout.timeout_milliseconds),
        ("idp", 5_000)
    );
    assert_eq!(callout.headers.text(":authority").as_deref(), Some("idp.example"));
    assert_eq!(callout.headers.text(":path").as_deref(), Some("/keys"));
    proxy.answer(set(&only("ed25519")));
    for worker in 0..4 {
        proxy.send(worker, with(&token("ed25519"))).forwarded();
    }
    assert_eq!(proxy.metric(&format!("{FETCHES}.ok")), 1);
    assert_eq!(
        proxy.metric("peergate_key_set_fetched_timestamp_seconds.provider.idp"),
        START
    );
    // The shared data belongs to this filter's virtual machine, under names of its own.
    let names = proxy.process.shared_keys(VM_ID);
    let is_ours = |name: &Vec<u8>| name.starts_with(b"peergate.keys.1.");
    assert!(names.len() == 2 && names.iter().all(is_ours), "{names:?}");
}

#[test]
fn requests_wait_for_the_first_keys_and_are_then_decided() {
    let mut proxy = Proxy::new(2, &policy());
    // Both workers, whoever asks; the body comes behind the headers.
    let good = proxy
        .send(1, with(&token("ed25519")).body("hello").body(" world"))
        .paused();
    let bad = proxy.send(0, with(&token("rsa"))).paused();
    // Who needs no key waits for none.
    proxy.send(0, Request::inbound("GET", "/card")).forwarded();
    proxy.send(0, Request::inbound("GET", "/")).replied();
    assert_eq!(proxy.workers[1].0.tick_period(proxy.workers[1].1), Some(20));
    proxy.tick();
    proxy.answer(set(&only("ed25519")));
    let forwarded = proxy.workers[1].0.outcome(good).forwarded();
    assert_eq!(forwarded.body, b"hello world");
    assert_eq!(forwarded.headers.text("x-agent-sub").as_deref(), Some("mrpink"));
    assert_eq!(forwarded.headers.text("authorization"), None);
    // It came after the question: there is nothing newer.
    let replied = proxy.workers[0].0.outcome(bad).replied();
    assert_eq!(replied.status, 401);
    proxy.tick();
    assert_eq!(proxy.workers[1].0.tick_period(proxy.workers[1].1), Some(1_000));
    assert_eq!(proxy.metric(&format!("{WAITS}.started")), 2);
    assert_eq!(proxy.metric(&format!("{WAITS}.decided")), 2);
}

#[test]
fn a_wait_has_an_end() {
    let mut proxy = Proxy::new(1, &policy());
    let stream = proxy.send(0, with(&token("ed25519"))).paused();
    proxy.tick();
    proxy.answer(Answer::Failed);
    for _ in 0..5 {
        proxy.pass(1);
        proxy.tick();
        if let [(_, _)] = proxy.callouts()[..] {
            proxy.answer(Answer::Response(Response::new(503)));
        }
    }
    let replied = proxy.workers[0].0.outcome(stream).replied();
    assert_eq!(
        (
            replied.status,
            replied.text().contains("Unable to fetch signing keys")
        ),
        (503, true)
    );
    assert_eq!(replied.headers.text("retry-after").as_deref(), Some("5"));
    // Either its time has passed, or the next fetch is further away than that.
    let ends = ["timed_out", "decided"].map(|end| proxy.metric(&format!("{WAITS}.{end}")));
    assert_eq!(ends.iter().sum::<u64>(), 1);
    let lines = proxy.logs(0);
    let down = "peergate: keys of provider `idp`: down since 2027-01-15T08:00:00Z (1 failed): no answer; there are none";
    assert!(lines.iter().any(|line| line == down), "{lines:#?}");
}

#[test]
fn places_to_wait_in_are_few_and_given_back() {
    let mut proxy = Proxy::new(1, &policy());
    // A tenth of the twenty is for tokens of an unknown `kid`.
    let waiting: Vec<_> = (0..18)
        .map(|_| proxy.send(0, with(&token("ed25519"))).paused())
        .collect();
    let replied = proxy.send(0, with(&token("ed25519"))).replied();
    assert_eq!(replied.status, 503);
    assert_eq!(proxy.metric(&format!("{WAITS}.full")), 1);
    for stream in waiting {
        proxy.workers[0].0.disconnect(stream).unwrap();
    }
    proxy.tick();
    assert_eq!(proxy.metric(&format!("{WAITS}.gone")), 18);
    let stream = proxy.send(0, with(&token("ed25519"))).paused();
    proxy.answer(set(&only("ed25519")));
    proxy.workers[0].0.outcome(stream).forwarded();
}

#[test]
fn an_unknown_kid_waits_for_one_fetch() {
    let mut proxy = Proxy::new(2, &policy());
    fetch(&mut proxy, &only("ed25519"));
    proxy.pass(1);
    // The issuer has rotated; a request in each worker brings the new key.
    let streams = [0, 1].map(|worker| proxy.send(worker, with(&token("rsa"))).paused());
    proxy.tick();
    proxy.answer(set(&only("rsa")));
    for (worker, stream) in streams.into_iter().enumerate() {
        proxy.workers[worker].0.outcome(stream).forwarded();
    }
    assert_eq!(proxy.metric(&format!("{FETCHES}.ok")), 2);
}

#[test]
fn a_flood_of_unknown_kids_costs_one_fetch_in_an_interval_and_a_tenth_of_the_places() {
    let mut proxy = Proxy::new(2, &policy());
    fetch(&mut proxy, &only("ed25519"));
    proxy.pass(1);
    let mut waiting = 0;
    for _ in 0..50 {
        for worker in 0..2 {
            match proxy.send(worker, with(&token("p256"))) {
                Outcome::Paused(_) => waiting += 1,
                other => assert_eq!(other.replied().status, 401),
            }
            proxy.send(worker, with(&token("ed25519"))).forwarded();
        }
    }
    // A tenth of twenty, in each worker.
    assert_eq!(waiting, 4);
    proxy.tick();
    proxy.answer(set(&only("ed25519")));
    let mut calls = 0;
    for _ in 0..10 {
        for worker in 0..2 {
            let replied = proxy.send(worker, with(&token("p256"))).replied();
            assert_eq!(replied.status, 401);
        }
        proxy.pass(1);
        proxy.tick();
        calls += proxy.callouts().len();
    }
    assert_eq!(calls, 0);
}

#[test]
fn a_key_that_has_left_the_set_verifies_nothing_more() {
    let mut proxy = Proxy::new(3, &policy());
    fetch(&mut proxy, &only("ed25519"));
    let old = token("ed25519");
    for worker in 0..3 {
        proxy.send(worker, with(&old)).forwarded();
        proxy.send(worker, with(&old)).forwarded();
    }
    proxy.pass(600);
    fetch(&mut proxy, &only("p256"));
    // Out of the interval of an unknown `kid`, which would be asked for first.
    for worker in 0..3 {
        proxy.send(worker, with(&token("p256"))).forwarded();
        match proxy.send(worker, with(&old)) {
            Outcome::Paused(stream) => proxy.workers[worker].0.disconnect(stream).unwrap(),
            other => assert_eq!(other.replied().status, 401),
        }
    }
}

#[test]
fn a_lease_whose_holder_has_died_is_taken_over() {
    let mut proxy = Proxy::new(2, &policy());
    proxy.tick();
    let holder = proxy.callouts()[0].0;
    proxy.workers.remove(holder);
    proxy.pass(6);
    proxy.tick();
    assert_eq!(proxy.callouts().len(), 0);
    proxy.pass(1);
    fetch(&mut proxy, &only("ed25519"));
    proxy.send(0, with(&token("ed25519"))).forwarded();
}

#[test]
fn a_worker_that_comes_later_and_a_new_configuration_have_the_keys_at_once() {
    let mut proxy = Proxy::new(1, &policy());
    fetch(&mut proxy, &only("ed25519"));
    let mut changed = policy();
    changed["inbound"]["providers"]["idp"]["jwks"]["cache"] = json!({"max_stale_seconds": 604_800});
    let (vm, plugin) = &mut proxy.workers[0];
    let next = vm.configure(changed.to_string()).unwrap();
    vm.retire(*plugin).unwrap();
    *plugin = next;
    proxy.send(0, with(&token("ed25519"))).forwarded();
}

#[test]
fn without_a_vm_of_its_own_each_worker_asks_for_itself_unless_it_can_seal() {
    let mut alone = Proxy::started(2, &policy(), "", "");
    alone.tick();
    assert_eq!(alone.callouts().len(), 2);
    assert_eq!(alone.process.shared_keys("").len(), 0);
    let said = "peergate: each worker fetches keys and tokens for itself: the VM has no `vm_id` of its own, and there is no \
                `shared_state_key`";
    assert!(alone.logs(0).iter().any(|line| line == said));
    // It keeps them over a change of its configuration.
    let callouts = alone.callouts();
    for (worker, callout) in &callouts {
        alone.workers[*worker]
            .0
            .answer(callout, set(&only("ed25519")))
            .unwrap();
    }
    let (vm, plugin) = &mut alone.workers[0];
    *plugin = vm.configure(policy().to_string()).unwrap();
    alone.send(0, with(&token("ed25519"))).forwarded();

    let mut sealed = policy();
    sealed["shared_state_key"] = json!({"inline": "0123456789abcdef0123456789abcdef"});
    let mut proxy = Proxy::started(2, &sealed, "", "");
    fetch(&mut proxy, &only("ed25519"));
    for worker in 0..2 {
        proxy.send(worker, with(&token("ed25519"))).forwarded();
    }
    for name in proxy.process.shared_keys("") {
        let (value, _) = proxy.process.shared("", &name).unwrap();
        assert!(!String::from_utf8_lossy(&value).contains("kty"));
    }
}

#[test]
fn what_another_module_writes_into_shared_data_is_no_key() {
    let mut sealed = policy();
    sealed["shared_state_key"] = json!({"inline": "0123456789abcdef0123456789abcdef"});
    let mut proxy = Proxy::started(2, &sealed, "", "");
    fetch(&mut proxy, &only("ed25519"));
    for name in proxy.process.shared_keys("") {
        let forged = match name.ends_with(b".keys") {
            true => format!("7\n{}\n{}", START * 1_000, only("p256")),
            false => "7 0 0 0 0 0 0 0".to_owned(),
        };
        proxy.process.set_shared("", &name, forged.as_bytes(), 0).unwrap();
    }
    proxy.tick();
    let stranger = proxy.send(0, with(&token("p256")));
    assert!(!matches!(stranger, Outcome::Forwarded(_)), "{stranger:?}");
    proxy.send(1, with(&token("ed25519"))).forwarded();
    assert_eq!(
        proxy.metric("peergate_shared_keys_rejected_total.provider.idp"),
        2
    );
}

#[test]
fn a_cluster_that_does_not_exist_is_a_failed_fetch() {
    let mut other = policy();
    other["inbound"]["providers"]["idp"]["jwks"]["remote"]["cluster"] = json!("typo");
    let mut proxy = Proxy::new(1, &other);
    proxy.tick();
    assert_eq!(proxy.metric(&format!("{FETCHES}.no_cluster")), 1);
    let lines = proxy.logs(0);
    let said = "peergate: keys of provider `idp`: down since 2027-01-15T08:00:00Z (1 failed): the proxy has no such \
                cluster; there are none";
    assert!(lines.iter().any(|line| line == said), "{lines:#?}");
}
