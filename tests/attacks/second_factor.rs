//! Codes that come again and codes that are guessed, at several workers of one proxy.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};

use crate::door::{API_KEY, CODE, Door, EXPIRED, NOW, Refusal, TOTP_INVALID, bearer, get};
use crate::host::{Process, Request};
use crate::support::case::merge;
use crate::support::tokens::keys;
use crate::token::Token;

const WRONG: &str = "005925";
const REPLAYED: Refusal = Refusal::second_factor(401, "totp_replayed", "Invalid TOTP code");
const THROTTLED: Refusal = Refusal::second_factor(429, "totp_throttled", "Too many failed TOTP codes");
const UNAVAILABLE: Refusal = Refusal::second_factor(503, "internal", "Authentication is not available");

/// Rules by what becomes of a code that comes again, and a second peer with another seed.
fn changes() -> Value {
    let totp = |path: &str, accept: Value, replay: &str| json!({"name": replay, "match": {"path_prefixes": [path]}, "accept": accept, "require": {"totp": {"replay": replay}}});
    json!({"inbound": {
        "totp": null,
        "peers": {"mrwhite": {"tokens": {"main": "mrwhite"}, "totp_seeds": [{"env": "PINKS_SEED"}]}},
        "rules": [
            totp("/once", json!(["jwt", "api_key"]), "one_time"),
            totp("/bound", json!(["jwt"]), "per_token"),
            totp("/", json!(["jwt", "api_key"]), "allow"),
        ],
    }})
}

/// So many workers of one proxy.
fn workers(process: &Process, count: usize) -> Vec<Door> {
    process.set_now(NOW * 1_000_000_000);
    (0..count).map(|_| Door::worker(process, changes())).collect()
}

/// A token of a peer.
fn token(peer: &str, jti: &str) -> String {
    Token::new("ES256")
        .claims(json!({"sub": peer, "jti": jti}))
        .sign()
}

fn with(token: &str, path: &str, code: &str) -> Request {
    bearer(token).header(":path", path).header("x-totp", code)
}

/// CVE-2025-43798, CVE-2026-27855: a code that was seen on its way, and a token of the same peer from elsewhere.
#[test]
fn a_code_with_another_token() {
    let workers = &mut workers(&Process::default(), 2);
    let (owners, stolen) = (token("mrpink", "owners"), token("mrpink", "stolen"));
    for _ in 0..3 {
        for worker in workers.iter_mut() {
            worker.admits_as("the owner", with(&owners, "/bound", CODE), "mrpink");
            worker.refuses("the thief", with(&stolen, "/bound", CODE), REPLAYED);
        }
    }
    // Who is another caller has codes of its own, be it by the same seed.
    workers[1].admits_as(
        "another",
        with(&token("mrwhite", "owners"), "/bound", CODE),
        "mrwhite",
    );
}

/// Whatever it comes with, and whichever worker gets it.
#[test]
fn a_code_a_second_time() {
    let process = Process::default();
    let workers = &mut workers(&process, 3);
    let key = || get("/once").header("x-api-key", API_KEY).header("x-totp", CODE);
    workers[0].admits_as("once", with(&token("mrpink", "a"), "/once", CODE), "mrpink");
    for worker in workers.iter_mut() {
        worker.refuses("again", with(&token("mrpink", "a"), "/once", CODE), REPLAYED);
        worker.refuses(
            "with another token",
            with(&token("mrpink", "b"), "/once", CODE),
            REPLAYED,
        );
        worker.refuses("with a key", key(), REPLAYED);
        worker.refuses(
            "the one before",
            with(&token("mrpink", "a"), "/once", "980357"),
            REPLAYED,
        );
    }
    // A worker that is started anew, with a policy that has changed.
    let mut late = Door::worker(
        &process,
        json!({"inbound": {"rules": [
            {"name": "new", "accept": ["jwt"], "require": {"totp": {"replay": "one_time", "window_steps": 0}}}
        ]}}),
    );
    late.refuses(
        "of a new policy",
        with(&token("mrpink", "a"), "/", CODE),
        REPLAYED,
    );
    // Another policy of the same proxy, for other callers or for something else, has nothing to do with it.
    for other in [
        json!({"errors": {"realm": "another"}}),
        json!({"providers": {"main": {"audiences": ["agents", "others"]}}}),
        json!({"providers": {"other": null}}),
    ] {
        let mut apart = changes();
        merge(&mut apart, json!({"inbound": other}));
        let mut apart = Door::worker(&process, apart);
        let code = with(&token("mrpink", "a"), "/once", CODE);
        apart.admits_as("of another policy", code, "mrpink");
    }
}

/// Each of them reads that the code is new before the other one has written that it is not.
#[test]
fn two_workers_race_for_one_code() {
    for (path, first, second) in [("/once", "a", "a"), ("/once", "a", "b"), ("/bound", "a", "b")] {
        let process = Process::default();
        let mut pair = workers(&process, 2).into_iter();
        let mut slow = pair.next().unwrap();
        let fast = Rc::new(RefCell::new(pair.next().unwrap()));
        let (racer, code) = (Rc::clone(&fast), with(&token("mrpink", first), path, CODE));
        process.before_next_write(move || {
            racer.borrow_mut().admits_as("the first", code, "mrpink");
        });
        slow.refuses(path, with(&token("mrpink", second), path, CODE), REPLAYED);
        let again = with(&token("mrpink", second), path, CODE);
        fast.borrow_mut().refuses(path, again, REPLAYED);
    }
}

/// CVE-2026-27801.
#[test]
fn codes_guessed_over_many_workers() {
    let workers = &mut workers(&Process::default(), 4);
    let stolen = token("mrpink", "stolen");
    for guess in 0..5 {
        workers[guess % 4].refuses("a guess", with(&stolen, "/", WRONG), TOTP_INVALID);
    }
    for worker in workers.iter_mut() {
        for path in ["/", "/once", "/bound"] {
            worker.refuses("a guess", with(&stolen, path, WRONG), THROTTLED);
            let right = worker.refuses("the right one", with(&stolen, path, CODE), THROTTLED);
            assert_eq!(right.headers.all("retry-after"), ["300"]);
        }
        worker.admits_as("another peer", with(&token("mrwhite", "w"), "/", CODE), "mrwhite");
    }
}

/// The fifth failure of one worker overtakes that of another one: it was looked at, and is refused like the next.
#[test]
fn guesses_of_racing_workers_are_all_counted() {
    let process = Process::default();
    let mut pair = workers(&process, 2).into_iter();
    let mut slow = pair.next().unwrap();
    let fast = Rc::new(RefCell::new(pair.next().unwrap()));
    let stolen = token("mrpink", "stolen");
    for _ in 0..4 {
        slow.refuses("a guess", with(&stolen, "/", WRONG), TOTP_INVALID);
    }
    let (racer, guess) = (Rc::clone(&fast), with(&stolen, "/", WRONG));
    process.before_next_write(move || {
        racer.borrow_mut().refuses("the fifth", guess, TOTP_INVALID);
    });
    slow.refuses("the sixth", with(&stolen, "/", WRONG), THROTTLED);
    fast.borrow_mut()
        .refuses("the right one", with(&stolen, "/", CODE), THROTTLED);
}

/// A ceiling bounds what a thief of many tokens can try.
#[test]
fn codes_guessed_with_many_tokens() {
    let worker = &mut workers(&Process::default(), 1)[0];
    let mut tries = 0;
    for stolen in 0..30 {
        let stolen = token("mrpink", &stolen.to_string());
        for _ in 0..5 {
            let answer = worker.answer(with(&stolen, "/", WRONG));
            tries += u32::from(answer == (401, "totp_invalid".to_owned()));
        }
    }
    assert_eq!(tries, 100);
    worker.admits_as("another peer", with(&token("mrwhite", "w"), "/", CODE), "mrwhite");
}

/// With no token, with one that is no more, and with one of the victim's that was stolen.
#[test]
fn the_throttle_locks_no_victim_out() {
    let worker = &mut workers(&Process::default(), 1)[0];
    let expired = Token::new("ES256").claims(json!({"exp": 1})).sign();
    for _ in 0..50 {
        for request in [get("/").header("x-totp", WRONG), with(&expired, "/", WRONG)] {
            assert_eq!(worker.answer(request).0, 401);
        }
        let key = get("/")
            .header("x-api-key", "another-key-0001")
            .header("x-totp", WRONG);
        assert_eq!(worker.answer(key), (401, "api_key_unknown".to_owned()));
    }
    for _ in 0..50 {
        worker.answer(with(&token("mrpink", "stolen"), "/", WRONG));
    }
    worker.admits_as("the owner", with(&token("mrpink", "owners"), "/", CODE), "mrpink");
    let key = get("/").header("x-api-key", API_KEY).header("x-totp", CODE);
    worker.admits_as("with a key", key, "mrpink");
}

/// Two policies of one proxy for the same callers: what the one has counted for five minutes, the other counts as long.
#[test]
fn a_policy_with_a_short_window_does_not_end_the_lock_of_another() {
    let process = Process::default();
    let mut long = workers(&process, 1).remove(0);
    let with_window = |seconds: u64| {
        let mut changes = changes();
        merge(
            &mut changes,
            json!({"inbound": {"totp": {"throttle": {"max_failures": 5, "window_seconds": seconds}}}}),
        );
        Door::worker(&process, changes)
    };
    let mut short = with_window(30);
    let stolen = token("mrpink", "stolen");
    for _ in 0..5 {
        long.refuses("a guess", with(&stolen, "/", WRONG), TOTP_INVALID);
    }
    for seconds in [0, 31, 62, 120, 299] {
        process.set_now((NOW + seconds) * 1_000_000_000);
        // One that is loaded again is the same.
        for worker in [&mut short, &mut long, &mut with_window(300)] {
            let locked = worker.refuses("the lock", with(&stolen, "/", CODE), THROTTLED);
            assert_eq!(locked.headers.all("retry-after"), [(300 - seconds).to_string()]);
        }
    }
}

/// An assertion vouches for a code, and lives a minute: so it is not good for another one.
#[test]
fn an_assertion_with_a_code_is_over_when_it_says_so() {
    let mut door = Door::of(
        &json!({"version": 1, "role": "inbound", "inbound": {
            "providers": {"gateway": {
                "issuer": "https://issuer.example",
                "audiences": ["agents"],
                "jwks": {"inline": keys().jwks()},
                "assertion": true,
                "from_headers": [{"name": "x-agent-assertion"}],
            }},
            "peers": {"mrpink": {}},
            "rules": [{"name": "all", "accept": ["jwt"], "require": {"totp": true}}],
        }}),
        "",
    );
    let assertion = |late: u64| {
        let assertion = Token::new("ES256")
            .header(json!({"typ": "peergate+jwt"}))
            .claims(json!({
                "iat": NOW - 60 - late, "exp": NOW - late,
                "peer": "mrpink", "idp_iss": "https://idp.example", "amr": ["jwt", "otp"],
            }))
            .sign();
        get("/").header("x-agent-assertion", assertion)
    };
    for late in 0..5 {
        door.admits("as far as two clocks differ", assertion(late));
    }
    for late in [5, 6, 30, 59, 60, 61] {
        door.refuses("over", assertion(late), EXPIRED);
    }
}

/// A success resets nothing.
#[test]
fn a_thief_who_shares_the_token_with_its_owner() {
    let worker = &mut workers(&Process::default(), 1)[0];
    let shared = token("mrpink", "shared");
    for _ in 0..5 {
        for _ in 0..10 {
            worker.admits_as("the owner", with(&shared, "/", CODE), "mrpink");
        }
        worker.refuses("the thief", with(&shared, "/", WRONG), TOTP_INVALID);
    }
    worker.refuses("the thief", with(&shared, "/", WRONG), THROTTLED);
}

/// Records that mean nothing are taken for the worst that they may have meant; one that is gone is not made anew.
#[test]
fn another_module_writes_what_is_remembered_of_codes() {
    let nonsense: [&[u8]; 7] = [
        b"",
        b"\0",
        b"\x01\x00",
        &[1; 9],
        &[0xff; 60],
        &[1; 4000],
        b"{\"floor\": 0}",
    ];
    for nonsense in nonsense {
        let process = Process::default();
        let worker = &mut workers(&process, 1)[0];
        worker.admits_as("once", with(&token("mrpink", "a"), "/once", CODE), "mrpink");
        let keys = process.shared_keys("");
        let ours: Vec<_> = keys
            .iter()
            .filter(|key| key.starts_with(b"peergate.totp.1."))
            .collect();
        assert_eq!(ours.len(), 3 * 128);
        for key in ours {
            process.set_shared("", key, nonsense, 0).unwrap();
        }
        let expected = if nonsense.is_empty() {
            UNAVAILABLE
        } else {
            THROTTLED
        };
        for path in ["/", "/once", "/bound"] {
            for code in [CODE, WRONG, "590587"] {
                worker.refuses(path, with(&token("mrpink", "b"), path, code), expected);
            }
        }
        if !nonsense.is_empty() {
            process.set_now((NOW + 300) * 1_000_000_000);
            let token = Token::new("ES256").claims(json!({"exp": NOW + 1000})).sign();
            worker.refuses(
                "still of unknown codes",
                with(&token, "/once", "335825"),
                REPLAYED,
            );
            worker.admits_as("where it does not matter", with(&token, "/", "335825"), "mrpink");
        }
    }
}
