//! Workers that share what they know, a clock that is set by hand, and a server that answers as it is told.

mod process;

use serde_json::json;

use self::process::{Process, answer, discovered, endpoint, good, set, source};
use super::*;
use crate::callout::Body;
use crate::http::Headers;

const ANY: Wish = Wish::AnyKeys { provider: 0 };
const NEWER: Wish = Wish::NewerKeys { provider: 0 };
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn path(callout: &Callout) -> &str {
    &callout
        .headers
        .iter()
        .find(|(name, _)| *name == ":path")
        .unwrap()
        .1
}

#[test]
fn one_worker_fetches_for_all() {
    for sealing in [None, Some(SECRET)] {
        let mut process = Process::new(&source(), 3, sealing);
        let sent = process.tick();
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].1, Callout::get(&endpoint("https://idp.example/keys")));
        assert_eq!(process.tick(), []);
        let turn = process.answer(sent[0].0, good(&set("a")));
        assert_eq!(
            turn.events[0].line().unwrap(),
            "peergate: keys of provider `kc`: 1 fetched"
        );
        assert_eq!(process.tick(), []);
        assert_eq!(process.kids(), [Some(true); 3]);
        // Nothing until it is due, and then one.
        process.pass(480);
        let sent = process.tick();
        assert!(sent.len() <= 1);
        process.pass(95);
        assert_eq!(process.tick().len() + sent.len(), 1);
    }
}

#[test]
fn discovery_asks_twice() {
    let mut process = Process::new(&discovered(), 1, None);
    let (worker, callout) = process.tick().remove(0);
    assert_eq!(path(&callout), "/.well-known/openid-configuration");
    let metadata = json!({"issuer": "https://idp.example/", "jwks_uri": "https://idp.example/k?v=1"});
    let turn = process.answer(worker, good(&metadata.to_string()));
    assert_eq!(turn.events, []);
    assert_eq!(path(&turn.callouts[0].1), "/k?v=1");
    process.answer(worker, good(&set("a")));
    assert_eq!(process.kids(), [Some(true)]);
}

#[test]
fn what_is_no_good_answer_gives_no_keys() {
    let metadata = |issuer: &str, uri: &str| good(&json!({"issuer": issuer, "jwks_uri": uri}).to_string());
    let too_long = Answer::Received {
        headers: Headers::new([(b":status".to_vec(), b"200".to_vec())]),
        body: Body::TooLong { bytes: 10_000_000 },
    };
    for (source, answer, reason, text) in [
        (
            source(),
            Answer::NotSent,
            "no_cluster",
            "the proxy has no such cluster",
        ),
        (source(), Answer::Nothing, "no_answer", "no answer"),
        (source(), answer("500", &[], "{}"), "status", "status 500"),
        (
            source(),
            answer("302", &[("location", "https://evil.example/")], ""),
            "status",
            "status 302",
        ),
        (
            source(),
            too_long,
            "too_long",
            "a document of 10000000 bytes, more than 262144",
        ),
        (
            source(),
            good("<html>"),
            "malformed",
            "the document: invalid JSON at line 1 column 1",
        ),
        (
            source(),
            good(r#"{"keys": 1}"#),
            "no_key_set",
            "not a key set: no array `keys`",
        ),
        (
            source(),
            good(r#"{"keys": []}"#),
            "no_usable_key",
            "a key set without keys",
        ),
        (
            source(),
            good(r#"{"keys": [{"kty": "oct", "k": "AAAA"}]}"#),
            "no_usable_key",
            "none of the 1 keys of the set can be used",
        ),
        (
            discovered(),
            metadata("https://idp.example", "https://idp.example/k"),
            "issuer_differs",
            "the metadata is of issuer `https://idp.example`",
        ),
        (
            discovered(),
            good("{}"),
            "issuer_differs",
            "the metadata names no issuer",
        ),
        (
            discovered(),
            good(r#"{"issuer": "https://idp.example/"}"#),
            "jwks_uri",
            "the metadata has no `jwks_uri`",
        ),
        (
            discovered(),
            metadata("https://idp.example/", "file:///k"),
            "jwks_uri",
            "`jwks_uri` of the metadata: the scheme of the URL is not `http` or `https`",
        ),
        (
            discovered(),
            metadata("https://idp.example/", "https://keys.example/k"),
            "jwks_uri",
            "`jwks_uri` of the metadata stands at `keys.example`; name its cluster in `jwks.jwks_uri`",
        ),
    ] {
        let mut process = Process::new(&source, 1, None);
        process.tick();
        let turn = process.answer(0, answer);
        assert_eq!(turn.callouts, []);
        let Happened::Failed { error, has_keys, .. } = &turn.events[0].happened else {
            panic!("{turn:?}")
        };
        assert_eq!(
            (error.reason(), error.to_string().as_str(), *has_keys),
            (reason, text, false)
        );
        assert_eq!(
            turn.events[0].line().unwrap(),
            format!(
                "peergate: keys of provider `kc`: down since 2027-01-15T08:00:00Z (1 failed): {text}; there are none"
            )
        );
        assert_eq!(process.kids(), [None]);
        // Nobody waits for an answer any more.
        assert_eq!(process.answer(0, good(&set("a"))), Turn::default());
    }
}

#[test]
fn an_outage_is_waited_out_and_spoken_of_less_and_less() {
    let mut process = Process::new(&source(), 2, None);
    process.fetch(&set("a"));
    process.pass(600);
    let (mut lines, mut calls) = (Vec::new(), 0);
    for _ in 0..1_000 {
        for (worker, _) in process.tick() {
            calls += 1;
            let turn = process.answer(worker, answer("503", &[], ""));
            lines.extend(turn.events[0].line());
            assert_eq!(
                turn.events[0].counters(),
                ["peergate_key_fetches_total.provider.kc.outcome.status"]
            );
        }
        process.pass(1);
    }
    assert!((17..=26).contains(&calls), "{calls}");
    assert_eq!(lines.len(), 5);
    assert!(
        lines[4].ends_with("(16 failed): status 503; the keys of before stay"),
        "{}",
        lines[4]
    );
    assert_eq!(process.kids(), [Some(true); 2]);
    // It comes back, and says how long it was away.
    process.pass(100);
    let (worker, _) = process.tick().remove(0);
    let line = process.answer(worker, good(&set("a"))).events[0].line().unwrap();
    assert!(
        line.starts_with("peergate: keys of provider `kc`: unchanged; was down since "),
        "{line}"
    );
}

#[test]
fn a_set_that_nobody_renews_is_believed_for_a_while_only() {
    let mut process = Process::new(&source(), 2, None);
    process.fetch(&set("a"));
    process.pass(3_600);
    process.tick();
    assert_eq!(process.kids(), [Some(true); 2]);
    process.pass(1);
    process.tick();
    assert_eq!(process.kids(), [None; 2]);
}

#[test]
fn a_lease_whose_holder_has_died_is_taken_over() {
    let mut process = Process::new(&source(), 2, None);
    let (dead, _) = process.tick().remove(0);
    process.workers.remove(dead);
    process.pass(6);
    assert_eq!(process.tick(), []);
    process.pass(1);
    assert_eq!(process.tick().len(), 1);
}

#[test]
fn a_key_that_has_gone_goes_everywhere() {
    let mut process = Process::new(&source(), 3, Some(SECRET));
    process.fetch(&set("a"));
    process.pass(600);
    process.fetch(&set("b"));
    assert_eq!(process.has("a"), [Some(false); 3]);
    assert_eq!(process.has("b"), [Some(true); 3]);
}

#[test]
fn an_unknown_kid_is_asked_for_once_in_an_interval() {
    let mut process = Process::new(&source(), 2, None);
    process.fetch(&set("a"));
    // An ordinary fetch just before does not count.
    process.pass(1);
    let came = process.time();
    for keys in &mut process.workers {
        keys.note(NEWER, came);
    }
    assert_eq!(process.patience(NEWER, came), Some(6));
    let sent = process.tick();
    assert_eq!(sent.len(), 1);
    assert_eq!(process.patience(NEWER, came), Some(6));
    process.answer(sent[0].0, good(&set("a")));
    process.tick();
    // It has had its answer, and so has everybody who comes in the next seconds.
    assert_eq!(process.patience(NEWER, came), None);
    let mut calls = 0;
    for _ in 0..30 {
        process.pass(1);
        let now = process.time();
        for keys in &mut process.workers {
            keys.note(NEWER, now);
        }
        for (worker, _) in process.tick() {
            calls += 1;
            process.answer(worker, good(&set("a")));
        }
    }
    assert_eq!(calls, 3);
}

#[test]
fn who_waits_and_how_long() {
    let mut process = Process::new(&source(), 1, None);
    let came = process.time();
    assert_eq!(process.patience(ANY, came), Some(5));
    process.tick();
    process.pass(1);
    assert_eq!(process.patience(ANY, came), Some(5));
    // It failed, and will be tried in time.
    process.answer(0, Answer::Nothing);
    assert_eq!(process.patience(ANY, came), Some(5));
    process.pass(4);
    assert_eq!(process.patience(ANY, came), None);
    // After some failures the next one is too far away.
    for _ in 0..6 {
        process.pass(60);
        process.tick();
        process.answer(0, Answer::Nothing);
    }
    assert_eq!(process.patience(ANY, process.time()), None);
    assert_eq!(process.patience(Wish::AnyKeys { provider: 1 }, came), None);
}

#[test]
fn what_another_module_writes_is_not_believed() {
    let mut process = Process::new(&source(), 2, Some(SECRET));
    process.fetch(&set("a"));
    let names = |what: &str| {
        format!(
            "{}.{what}",
            process.workers[0].followed[0]
                .record_name
                .rsplit_once('.')
                .unwrap()
                .0
        )
    };
    let (record, document) = (names("record"), names("keys"));
    let old = (
        process.shared.get(&record).unwrap(),
        process.shared.get(&document).unwrap(),
    );
    process.pass(600);
    process.fetch(&set("b"));
    // Its own set, with and without the envelope.
    for forged in [
        format!("9\n1\n{}", set("evil")),
        format!("9\n{}", set("evil")),
        "9\n".to_owned(),
    ] {
        process.shared.set(&document, forged.as_bytes(), None).unwrap();
        process.shared.set(&record, b"9 0 0 0 0 0 0 0", None).unwrap();
        process.tick();
        assert_eq!(process.has("evil"), [Some(false); 2]);
        assert_eq!(process.has("b"), [Some(true); 2]);
    }
    // The set of before, as it was sealed: a key that was taken away does not come back.
    process.shared.set(&document, &old.1.value, None).unwrap();
    process.shared.set(&record, &old.0.value, None).unwrap();
    process.tick();
    assert_eq!(process.has("a"), [Some(false); 2]);
    assert_eq!(process.has("b"), [Some(true); 2]);
    // A record that says for ever that all is well.
    let mut calls = 0;
    for _ in 0..3_000 {
        process.pass(1);
        let text = format!("9 0 0 {} 0 0 0 0", process.now + 600_000);
        process.shared.set(&record, text.as_bytes(), None).unwrap();
        calls += process.tick().len();
    }
    assert!(calls > 1, "{calls}");
}

#[test]
fn a_policy_that_changes_how_long_keys_are_kept_keeps_them() {
    let mut process = Process::new(&source(), 1, None);
    process.fetch(&set("a"));
    let mut changed = source();
    changed.cache.max_stale_seconds = 100_000;
    let mut keys = Keys::new(
        &KeySets::new([None]),
        [(0, changed)],
        None,
        WaitLimits::default(),
        &Random([9; 20]),
    );
    let now = process.time();
    keys.prepare(&process.shared, now);
    assert!(keys.sets().get(0).is_some());
}

#[test]
fn max_age_is_honoured_within_bounds() {
    let due = |headers: &[(&str, &str)]| {
        let mut process = Process::new(&source(), 1, None);
        process.tick();
        process.answer(0, answer("200", headers, &set("a")));
        (process.workers[0].followed[0].schedule.due_at - process.now) / 1_000
    };
    for (headers, earliest, latest) in [
        (&[][..], 480, 570),
        (&[("cache-control", "public, max-age=100")], 80, 95),
        (&[("cache-control", "Max-Age=\"100\"")], 80, 95),
        (&[("cache-control", "max-age=1")], 24, 29),
        (&[("cache-control", "no-cache, no-store")], 480, 570),
        (&[("cache-control", "max-age=31536000")], 480, 570),
        (&[("cache-control", "max-age=-1")], 480, 570),
    ] {
        let due = due(headers);
        assert!((earliest..=latest).contains(&due), "{headers:?}: {due}");
    }
}

#[test]
fn a_worker_that_cannot_read_what_stands_there_asks_at_once() {
    let mut process = Process::new(&source(), 1, None);
    process.fetch(&set("a"));
    let document = process.workers[0].followed[0]
        .record_name
        .replace(".record", ".keys");
    process.shared.set(&document, b"1\ngarbage", None).unwrap();
    let mut keys = Keys::new(
        &KeySets::new([None]),
        [(0, source())],
        None,
        WaitLimits::default(),
        &Random([9; 20]),
    );
    let now = process.time();
    keys.prepare(&process.shared, now);
    assert!(keys.patience(ANY, now, now).is_some());
    assert_eq!(keys.tick(&process.shared, now).callouts.len(), 1);
    // It has tried; the next time is not at once.
    keys.answered(0, Answer::Nothing, &process.shared, now, &Random([9; 20]));
    assert_eq!(keys.tick(&process.shared, now).callouts.len(), 0);
}

#[test]
fn another_sealing_key_is_another_store() {
    let mut process = Process::new(&source(), 1, Some(SECRET));
    process.fetch(&set("a"));
    let rotated = SealingKey::new("another secret, which is as long as the first").unwrap();
    for sealing in [None, Some(Rc::new(rotated))] {
        let (written, random) = (KeySets::new([None]), Random([9; 20]));
        let limits = WaitLimits::default();
        let mut keys = Keys::new(&written, [(0, source())], sealing, limits, &random);
        let now = process.time();
        assert_eq!(keys.prepare(&process.shared, now), []);
        assert_eq!(keys.tick(&process.shared, now).callouts.len(), 1);
    }
}

#[test]
fn a_clock_that_is_set_back_keeps_no_withdrawn_key_and_nobody_waiting() {
    let mut process = Process::new(&source(), 3, None);
    process.fetch(&set("a"));
    let came = process.time();
    process.now -= 3_600_000;
    assert_eq!(process.patience(NEWER, came), None);
    assert!(process.workers[0].is_over(came, process.time()));
    // What was to be asked then is asked now, and a withdrawn key goes everywhere.
    let sent = process.tick();
    assert_eq!(sent.len(), 1);
    process.pass(1);
    process.answer(sent[0].0, good(&set("b")));
    process.tick();
    assert_eq!(process.has("a"), [Some(false); 3]);
    assert_eq!(process.has("b"), [Some(true); 3]);
}

#[test]
fn a_late_answer_takes_nothing_back() {
    let mut process = Process::new(&source(), 2, None);
    process.fetch(&set("a"));
    process.pass(600);
    let (slow, _) = process.tick().remove(0);
    assert_eq!(slow, 0);
    // Its lease runs out.
    process.pass(8);
    let (fast, now) = (1, process.time());
    let turn = process.workers[fast].tick(&process.shared, now);
    assert_eq!(turn.callouts.len(), 1);
    process.answer(fast, good(&set("b")));
    process.answer(slow, good(&set("a")));
    process.tick();
    assert_eq!(process.has("b"), [Some(true); 2]);
}
