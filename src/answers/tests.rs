//! One process: workers that share a store, and a server that counts.

use std::cell::Cell;

use super::*;
use crate::callout::{Body, Endpoint, Url};
use crate::http::Headers;
use crate::state::{Memory, Nowhere};

#[derive(Debug)]
struct Asks {
    id: Id,
    server: &'static str,
    can_ask: bool,
}

impl Question for Asks {
    fn id(&self) -> &Id {
        &self.id
    }

    fn kind(&self) -> Kind {
        Kind::Token
    }

    fn server(&self) -> Rc<str> {
        self.server.into()
    }

    fn timeout_seconds(&self) -> u16 {
        5
    }

    fn ask(&self, _now: UnixTime, _random: &Random) -> Option<Callout> {
        let endpoint = Endpoint {
            url: Url::parse("http://sts.example/token").unwrap(),
            cluster: "sts".to_owned(),
            timeout_seconds: 5,
        };
        self.can_ask.then(|| Callout::get(&endpoint))
    }

    fn read(&self, answer: Answer, now: UnixTime) -> Result<Good, Failure> {
        match answer {
            Answer::Received {
                body: Body::Whole(body),
                ..
            } if body != b"no" => Ok(Good {
                value: Secret::new(body),
                expires_at: at(now.seconds() + 100),
            }),
            Answer::Received { .. } => Err(Failure::new(FailureKind::Refused, "no")),
            Answer::Nothing | Answer::NotSent => Err(Failure::new(FailureKind::Unavailable, "nothing")),
        }
    }
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::from_seconds(seconds)
}

fn question(number: u8) -> Rc<dyn Question> {
    Rc::new(Asks {
        id: [number; 32],
        server: "sts",
        can_ask: true,
    })
}

fn says(body: &str) -> Answer {
    Answer::Received {
        headers: Headers::default(),
        body: Body::Whole(body.as_bytes().to_vec()),
    }
}

/// Workers of one process.
struct Process {
    shared: Rc<Memory>,
    workers: Vec<Answers>,
}

impl Process {
    fn of(workers: u8, secret: Option<&str>) -> Self {
        let shared = Rc::new(Memory::default());
        let sealing = secret.map(|secret| Rc::new(SealingKey::new(secret).unwrap()));
        let worker = |number: u8| {
            let answers = Answers::new(Box::new(Rc::clone(&shared)), sealing.clone(), [number; 16], 100);
            answers.prepare();
            answers
        };
        Self {
            workers: (1..=workers).map(worker).collect(),
            shared,
        }
    }
}

fn value(answers: &Answers, number: u8, now: u64) -> Option<String> {
    let found = answers.find(&[number; 32], at(now))?;
    Some(match found.value() {
        Ok(value) => String::from_utf8_lossy(value).into_owned(),
        Err(failure) => format!("{}: {failure}", failure.kind.as_str()),
    })
}

fn sent(answers: &Answers, now: u64) -> usize {
    answers.tick(at(now), &[7; 48]).callouts.len()
}

#[test]
fn one_worker_asks_and_all_have_the_answer() {
    for secret in [None, Some("0123456789abcdef0123456789abcdef")] {
        let process = Process::of(3, secret);
        for worker in &process.workers {
            worker.want(&question(1), at(1_006));
        }
        let calls: Vec<usize> = process.workers.iter().map(|worker| sent(worker, 1_000)).collect();
        assert_eq!(calls, [1, 0, 0]);
        assert!(
            process
                .workers
                .iter()
                .all(|worker| worker.wanted().contains(&[1; 32]))
        );
        let event = process.workers[0]
            .answered(&[1; 32], says("token"), at(1_001))
            .unwrap();
        assert_eq!(
            event.counter(),
            "peergate_token_requests_total.client.sts.outcome.ok"
        );
        for worker in &process.workers {
            assert_eq!(sent(worker, 1_001), 0);
            assert!(!worker.wanted().contains(&[1; 32]));
            assert_eq!(value(worker, 1, 1_002).unwrap(), "token");
            assert_eq!(value(worker, 1, 1_101), None);
            assert_eq!(value(worker, 2, 1_002), None);
        }
    }
}

#[test]
fn a_worker_that_dies_is_waited_for_no_longer_than_a_question_takes() {
    let process = Process::of(2, None);
    process.workers[0].want(&question(1), at(1_006));
    process.workers[1].want(&question(1), at(1_020));
    assert_eq!(sent(&process.workers[0], 1_000), 1);
    assert_eq!(sent(&process.workers[1], 1_005), 0);
    assert_eq!(sent(&process.workers[1], 1_006), 1);
}

#[test]
fn a_failure_is_remembered_for_a_while() {
    let process = Process::of(2, None);
    for (answer, now, told, until) in [
        (says("no"), 1_000, "refused: no", 1_010),
        (Answer::Nothing, 2_000, "unavailable: nothing", 2_001),
    ] {
        process.workers[0].want(&question(1), at(now + 6));
        assert_eq!(sent(&process.workers[0], now), 1);
        process.workers[0].answered(&[1; 32], answer, at(now));
        for worker in &process.workers {
            assert_eq!(value(worker, 1, now).unwrap(), told);
            assert_eq!(value(worker, 1, until), None);
        }
    }
}

#[test]
fn what_is_asked_often_is_asked_again_before_it_runs_out() {
    let process = Process::of(2, None);
    let [first, second] = process.workers.as_slice() else {
        return;
    };
    first.want(&question(1), at(1_006));
    sent(first, 1_000);
    first.answered(&[1; 32], says("one"), at(1_000));
    assert!(first.find_fresh(&question(1), at(1_080)).is_some());
    assert_eq!(sent(first, 1_080), 0);
    for worker in [first, second] {
        assert!(worker.find_fresh(&question(1), at(1_081)).is_some());
    }
    assert_eq!((sent(first, 1_081), sent(second, 1_081)), (1, 0));
    // The one before is good while the server fails, and is not asked for without end.
    first.answered(&[1; 32], Answer::Nothing, at(1_082));
    assert_eq!(value(first, 1, 1_082).unwrap(), "one");
    assert!(first.find_fresh(&question(1), at(1_082)).is_some());
    assert_eq!(sent(first, 1_082), 0);
    assert!(second.find_fresh(&question(1), at(1_090)).is_some());
    assert_eq!(sent(second, 1_090), 1);
    second.answered(&[1; 32], says("two"), at(1_090));
    assert_eq!(value(second, 1, 1_091).unwrap(), "two");
    // This worker has one that is good, and learns of the newer one when it asks again.
    assert!(first.find_fresh(&question(1), at(1_091)).is_some());
    assert_eq!(sent(first, 1_091), 0);
    assert_eq!(value(first, 1, 1_091).unwrap(), "two");
}

#[test]
fn what_turned_out_to_be_no_good_is_forgotten() {
    let process = Process::of(2, None);
    let put = |text: &str, now: u64| {
        let value = Ok(Secret::new(text.as_bytes().to_vec()));
        process.workers[0].store_answer(&[1; 32], value, 2_000_000, now * 1_000);
    };
    put("one", 1_000);
    assert_eq!(value(&process.workers[1], 1, 1_001).unwrap(), "one");
    let found = process.workers[0].find(&[1; 32], at(1_001)).unwrap();
    process.workers[0].forget(&[1; 32], found.receipt(), at(1_002));
    assert_eq!(value(&process.workers[0], 1, 1_002), None);
    put("two", 1_003);
    // Who is late with the same news takes nothing away.
    process.workers[1].forget(&[1; 32], found.receipt(), at(1_004));
    assert_eq!(value(&process.workers[1], 1, 1_004).unwrap(), "two");
}

#[test]
fn a_server_is_asked_so_many_questions_at_once() {
    let process = Process::of(1, None);
    let worker = &process.workers[0];
    for number in 0..40 {
        worker.want(&question(number), at(1_006));
    }
    assert_eq!(sent(worker, 1_000), 16);
    assert_eq!(sent(worker, 1_000), 0);
    worker.answered(&[0; 32], says("a"), at(1_000));
    assert_eq!(sent(worker, 1_000), 1);
    // Nobody waits for the rest any more.
    assert_eq!(sent(worker, 1_006), 0);
    assert!(!worker.wanted().contains(&[39; 32]));
}

#[test]
fn a_question_that_cannot_be_made_fails() {
    let process = Process::of(1, None);
    let broken: Rc<dyn Question> = Rc::new(Asks {
        id: [1; 32],
        server: "sts",
        can_ask: false,
    });
    process.workers[0].want(&broken, at(1_006));
    let turn = process.workers[0].tick(at(1_000), &[7; 48]);
    assert_eq!((turn.callouts.len(), turn.events.len()), (0, 1));
    assert_eq!(
        value(&process.workers[0], 1, 1_000).unwrap(),
        "refused: the question could not be made"
    );
}

#[test]
fn what_another_module_writes_is_not_believed() {
    let process = Process::of(2, Some("0123456789abcdef0123456789abcdef"));
    process.workers[0].store_answer(&[1; 32], Ok(Secret::new(b"one".to_vec())), 2_000_000, 1_000_000);
    let name = &(0..256)
        .map(|number| format!("peergate.answers.1.{number}"))
        .find(|name| process.shared.get(name).is_some_and(|held| held.value.len() > 1))
        .unwrap();
    let record = process.shared.get(name).unwrap().value;
    assert!(!record.windows(3).any(|window| window == b"one"));
    for index in 0..record.len() {
        let mut changed = record.clone();
        changed[index] ^= 1;
        process.shared.set(name, &changed, None).unwrap();
        // Whose lease it is, until when, and what was there before, is no part of the answer.
        let is_lease = (33..57).contains(&index);
        assert_eq!(
            value(&process.workers[1], 1, 1_001).is_some(),
            is_lease,
            "{index}"
        );
        process.workers[1].kept.remove(&[1; 32]);
    }
    let other = Answers::new(
        Box::new(Rc::clone(&process.shared)),
        Some(Rc::new(SealingKey::new(&"a".repeat(32)).unwrap())),
        [9; 16],
        100,
    );
    process.shared.set(name, &record, None).unwrap();
    assert_eq!(value(&other, 1, 1_001), None);
}

#[test]
fn a_lease_without_end_stops_nobody() {
    let process = Process::of(1, None);
    SLOTS.change(process.shared.as_ref(), &[1; 32], 1_000_000, |entry| {
        entry.leased_until = u64::MAX;
        true
    });
    process.workers[0].want(&question(1), at(1_006));
    assert_eq!(sent(&process.workers[0], 1_000), 1);
}

#[test]
fn where_nothing_can_be_shared_a_worker_knows_its_own() {
    let answers = Answers::new(Box::new(Nowhere), None, [1; 16], 100);
    answers.want(&question(1), at(1_006));
    assert_eq!(sent(&answers, 1_000), 1);
    answers.answered(&[1; 32], says("token"), at(1_000));
    assert_eq!(value(&answers, 1, 1_001).unwrap(), "token");
}

#[test]
fn who_waits_and_how_long() {
    let answers = Answers::new(Box::new(Nowhere), None, [1; 16], 100);
    let asks = question(1);
    let patience = |since, now| answers.patience(asks.as_ref(), at(since), at(now));
    assert_eq!(patience(1_000, 1_000), Some(at(1_006)));
    assert_eq!(patience(1_000, 1_005), Some(at(1_006)));
    assert_eq!((patience(1_000, 1_006), patience(1_000, 999)), (None, None));
}

#[test]
fn no_nonce_is_used_twice() {
    let answers = Answers::new(Box::new(Nowhere), None, [1; 16], 100);
    let nonces = Cell::new(0);
    let mut seen: Vec<_> = std::iter::from_fn(|| answers.nonce())
        .inspect(|_| nonces.set(nonces.get() + 1))
        .take(1_000)
        .collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((seen.len(), nonces.get()), (1_000, 1_000));
    answers.nonces.set(u32::MAX);
    assert_eq!(answers.nonce(), None);
}

#[test]
fn a_token_is_kept_for_all_workers() {
    let process = Process::of(2, None);
    process.workers[0].keep_token(&[1; 32], b"token".to_vec(), at(1_060), at(1_000));
    let found = |now| process.workers[1].find_token(&[1; 32], at(now));
    assert_eq!(found(1_001).unwrap().value().unwrap(), b"token");
    assert!(found(1_060).is_none());
}
