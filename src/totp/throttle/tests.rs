use std::cell::RefCell;

use super::*;
use crate::state::{Glance, Memory, Nowhere, Overtaken, Version};

const THROTTLE: Throttle = Throttle::DEFAULT;

fn subject(name: &str) -> Subject {
    Subject::of("test", &[name.as_bytes()])
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::from_seconds(seconds)
}

fn prepared() -> Memory {
    let memory = Memory::default();
    Ledger::Failures.prepare(&memory);
    memory
}

/// A credential of a peer.
fn guesser(peer: &str, credential: &str) -> Guesser {
    Guesser {
        owner: subject(peer),
        single: subject(credential),
        ceiling: Some(subject(peer)),
    }
}

fn fails(state: &dyn SharedState, peer: &str, credential: &str, seconds: u64) -> Option<u64> {
    let caller = guesser(peer, credential);
    let looked = THROTTLE.look(state, &caller, at(seconds)).unwrap();
    let counted = THROTTLE.count(state, &caller, at(seconds)).unwrap();
    assert_eq!(looked, counted);
    counted
}

#[test]
fn five_codes_in_five_minutes() {
    let memory = prepared();
    for second in [0, 10, 20, 30, 40] {
        assert_eq!(fails(&memory, "peer", "a", 1000 + second), None, "{second}");
    }
    assert_eq!(fails(&memory, "peer", "a", 1040), Some(260));
    assert_eq!(fails(&memory, "peer", "a", 1299), Some(1));
    // The window slides: each failure makes room for one.
    assert_eq!(fails(&memory, "peer", "a", 1300), None);
    assert_eq!(fails(&memory, "peer", "a", 1300), Some(10));
    assert_eq!(fails(&memory, "peer", "a", 1310), None);
    assert_eq!(fails(&memory, "peer", "a", 1310), Some(10));
    assert_eq!(fails(&memory, "peer", "a", 1700), None);
}

#[test]
fn other_credentials_of_the_peer_are_free_up_to_the_ceiling() {
    let memory = prepared();
    for credential in 0..20 {
        for _ in 0..5 {
            assert_eq!(
                fails(&memory, "peer", &credential.to_string(), 1000 + credential),
                None
            );
        }
        assert_eq!(
            fails(&memory, "peer", &credential.to_string(), 1000 + credential),
            Some(300)
        );
        assert_eq!(
            fails(&memory, "another", "another's", 1000 + 300 * credential),
            None
        );
    }
    let wait = fails(&memory, "peer", "fresh", 1020);
    assert!(
        wait.is_some_and(|seconds| (280..=290).contains(&seconds)),
        "{wait:?}"
    );
}

#[test]
fn by_peer_there_is_no_other_limit() {
    let memory = prepared();
    let peer = Guesser {
        owner: subject("peer"),
        single: subject("peer"),
        ceiling: None,
    };
    for _ in 0..5 {
        assert_eq!(THROTTLE.count(&memory, &peer, at(1000)), Ok(None));
    }
    assert_eq!(THROTTLE.count(&memory, &peer, at(1001)), Ok(Some(299)));
}

#[test]
fn a_thousand_failures_are_counted() {
    let throttle = Throttle {
        max_failures: 1000,
        window_seconds: 86_400,
        by: By::Credential,
    };
    let memory = prepared();
    let caller = guesser("peer", "a");
    for failure in 0..1000 {
        assert_eq!(
            throttle.count(&memory, &caller, at(1_000_000 + 50 * failure)),
            Ok(None),
            "{failure}"
        );
    }
    let now = 1_000_000 + 50 * 999;
    let wait = throttle.look(&memory, &caller, at(now)).unwrap().unwrap();
    // That of the first of them, and no more than a grain longer.
    let exact = 86_400 - 50 * 999;
    assert!((exact..=exact + 2700).contains(&wait), "{wait}");
    assert_eq!(throttle.look(&memory, &caller, at(now + wait)), Ok(None));
    assert!(Ledger::Failures.lengths(&memory).into_iter().max().unwrap() < 1000);
}

#[test]
fn who_only_looks_counts_nothing() {
    let memory = prepared();
    let caller = guesser("peer", "a");
    for _ in 0..10 {
        assert_eq!(THROTTLE.count(&Glance(&memory), &caller, at(1000)), Ok(None));
    }
    assert_eq!(THROTTLE.look(&memory, &caller, at(1000)), Ok(None));
}

#[test]
fn without_a_record_nothing_is_known() {
    let caller = guesser("peer", "a");
    let states: [&dyn SharedState; 2] = [&Nowhere, &Memory::default()];
    for state in states {
        assert_eq!(THROTTLE.look(state, &caller, at(1000)), Err(Unavailable));
        assert_eq!(THROTTLE.count(state, &caller, at(1000)), Err(Unavailable));
    }
}

#[test]
fn a_clock_that_is_set_back_keeps_nobody_out_for_longer_than_a_window() {
    let memory = prepared();
    for _ in 0..5 {
        assert_eq!(fails(&memory, "peer", "a", 100_000), None);
    }
    let caller = guesser("peer", "a");
    for (now, wait) in [(50_000, Some(300)), (50_299, Some(1)), (50_300, None)] {
        assert_eq!(THROTTLE.look(&memory, &caller, at(now)), Ok(wait), "{now}");
    }
    // A little is no harm.
    for _ in 0..5 {
        assert_eq!(fails(&memory, "peer", "b", 200_000), None);
    }
    assert_eq!(
        THROTTLE.look(&memory, &guesser("peer", "b"), at(199_990)),
        Ok(Some(300))
    );
    assert_eq!(
        THROTTLE.look(&memory, &guesser("peer", "b"), at(200_000)),
        Ok(Some(290))
    );
}

#[test]
fn a_policy_with_another_window_counts_the_same_failures() {
    let short = Throttle {
        window_seconds: 30,
        ..THROTTLE
    };
    let memory = prepared();
    let caller = guesser("peer", "a");
    for _ in 0..3 {
        assert_eq!(THROTTLE.count(&memory, &caller, at(1000)), Ok(None));
    }
    for _ in 0..2 {
        assert_eq!(short.count(&memory, &caller, at(1000)), Ok(None));
    }
    for (now, wait) in [(1000, Some(30)), (1029, Some(1)), (1030, None)] {
        assert_eq!(short.look(&memory, &caller, at(now)), Ok(wait), "{now}");
        assert_eq!(THROTTLE.look(&memory, &caller, at(now)), Ok(wait), "{now}");
    }
    for _ in 0..2 {
        assert_eq!(THROTTLE.count(&memory, &caller, at(1030)), Ok(None));
    }
    for (now, wait) in [(1030, Some(270)), (1299, Some(1)), (1300, None)] {
        assert_eq!(short.look(&memory, &caller, at(now)), Ok(wait), "{now}");
        assert_eq!(THROTTLE.look(&memory, &caller, at(now)), Ok(wait), "{now}");
    }
    // A clock that is set back.
    for (now, wait) in [(100, Some(300)), (399, Some(1)), (400, None)] {
        assert_eq!(short.look(&memory, &caller, at(now)), Ok(wait), "{now}");
    }
}

#[test]
fn nonsense_locks_for_a_window_and_does_not_stay() {
    let wrong: [&[u8]; 5] = [b"", b"\x02", &[1, 0xff], &[1; 40], &[0xff; 64]];
    for nonsense in wrong {
        let memory = prepared();
        let caller = guesser("peer", "a");
        memory
            .set(&Ledger::Failures.key_of(subject("peer")), nonsense, None)
            .unwrap();
        assert_eq!(
            THROTTLE.look(&memory, &caller, at(1000)),
            Ok(Some(300)),
            "{nonsense:?}"
        );
        assert_eq!(
            THROTTLE.look(&memory, &caller, at(1299)),
            Ok(Some(1)),
            "{nonsense:?}"
        );
        assert_eq!(fails(&memory, "peer", "a", 1300), None, "{nonsense:?}");
    }
}

/// Every text of a record that begins as one should is read, or is nonsense; nothing panics.
#[test]
fn any_bytes_at_all() {
    let mut random = fastrand::Rng::with_seed(3);
    let memory = prepared();
    let key = Ledger::Failures.key_of(subject("peer"));
    for _ in 0..5000 {
        let mut bytes = vec![1];
        bytes.extend((0..random.usize(..200)).map(|_| {
            if random.bool() {
                random.u8(..)
            } else {
                random.u8(..3)
            }
        }));
        memory.set(&key, &bytes, None).unwrap();
        let caller = guesser("peer", "a");
        let _ = THROTTLE.look(&memory, &caller, at(1000)).unwrap();
        let _ = THROTTLE.count(&memory, &caller, at(2000)).unwrap();
        assert!(Record::parsed(&memory.get(&key).unwrap().value).is_some());
    }
}

/// Held against a list of all failures, by chance: never laxer, and, where there is room, exact.
#[test]
fn never_laxer_than_a_list_of_everything() {
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        let credentials = if seed % 2 == 0 { 8 } else { 2000 };
        let (memory, mut all) = (prepared(), Vec::new());
        let mut now = 1000;
        for _ in 0..2000 {
            now += random.u64(..4) * random.u64(..4) * random.u64(..8);
            let peer = random.u64(..credentials / 4);
            let credential = random.u64(..credentials / 4) * 1000 + peer;
            let count = |fits: &dyn Fn(&(u64, u64, u64)) -> bool| {
                all.iter()
                    .filter(|failure: &&(u64, u64, u64)| failure.0 + 300 > now && fits(failure))
                    .count()
            };
            let is_free =
                count(&|failure| failure.1 == credential) < 5 && count(&|failure| failure.2 == peer) < 100;
            let wait = fails(&memory, &peer.to_string(), &credential.to_string(), now);
            if credentials == 8 {
                assert_eq!(wait.is_none(), is_free, "{seed} {now}");
            }
            assert!(is_free || wait.is_some(), "{seed} {now}");
            if wait.is_none() {
                all.push((now, credential, peer));
            }
        }
    }
}

#[test]
fn who_floods_a_record_keeps_others_free() {
    let memory = prepared();
    // As many credentials as the ceiling lets one peer have.
    for credential in 0..100 {
        assert_eq!(fails(&memory, "flood", &credential.to_string(), 1000), None);
    }
    let key = Ledger::Failures.key_of(subject("flood"));
    let neighbour = (0..).map(|n| format!("n{n}"));
    let mut neighbours = neighbour.filter(|name| Ledger::Failures.key_of(subject(name)) == key);
    let victim = neighbours.next().unwrap();
    assert_eq!(
        THROTTLE.look(&memory, &guesser(&victim, "mine"), at(1000)),
        Ok(None)
    );
    for _ in 0..5 {
        assert_eq!(fails(&memory, &victim, "mine", 1000), None);
    }
    assert_eq!(fails(&memory, &victim, "mine", 1000), Some(300));
    assert!(memory.get(&key).unwrap().value.len() < 4096);
}

#[test]
fn who_made_room_is_remembered_with_those_who_are_not_listed() {
    let one = |marks: &[(u64, u16)]| {
        Failures(
            marks
                .iter()
                .map(|(until, count)| Mark {
                    until: *until,
                    seconds: 300,
                    count: *count,
                })
                .collect(),
        )
    };
    for (left, right, both) in [
        (one(&[]), one(&[(5, 2)]), one(&[(5, 2)])),
        (one(&[(3, 2)]), one(&[(5, 1)]), one(&[(3, 1), (5, 1)])),
        (
            one(&[(3, 1), (5, 3)]),
            one(&[(4, 2), (6, 1)]),
            one(&[(3, 1), (5, 2), (6, 1)]),
        ),
    ] {
        assert_eq!(left.or(&right), both);
        assert_eq!(right.or(&left), both);
    }
}

/// Several workers with the same credential: as many codes are looked at as the limit says, and what is refused beyond
/// it is not counted.
#[test]
fn racing_workers_count_every_failure() {
    for seed in 0..200 {
        let race = Race {
            memory: prepared(),
            random: RefCell::new(fastrand::Rng::with_seed(seed)),
            waiting: RefCell::new(12),
            counted: RefCell::default(),
        };
        race.run_some(1.0);
        let counted = race.counted.into_inner();
        assert_eq!(
            counted.iter().filter(|wait| **wait == Ok(None)).count(),
            5,
            "{seed}: {counted:?}"
        );
        assert_eq!(
            counted.iter().filter(|wait| **wait == Ok(Some(300))).count(),
            7,
            "{seed}: {counted:?}"
        );
    }
}

/// A store whose readers are overtaken by others, between their reading and their writing.
struct Race {
    memory: Memory,
    random: RefCell<fastrand::Rng>,
    waiting: RefCell<u32>,
    counted: RefCell<Vec<Result<Option<u64>, Unavailable>>>,
}

impl Race {
    fn run_some(&self, eagerness: f64) {
        while self.random.borrow_mut().f64() < eagerness {
            let left = *self.waiting.borrow();
            if left == 0 {
                return;
            }
            self.waiting.replace(left - 1);
            let counted = THROTTLE.count(self, &guesser("peer", "a"), at(1000));
            self.counted.borrow_mut().push(counted);
        }
    }
}

impl SharedState for Race {
    fn get(&self, key: &str) -> Option<Versioned> {
        self.memory.get(key)
    }

    fn set(&self, key: &str, value: &[u8], seen: Option<Version>) -> Result<(), Overtaken> {
        self.run_some(0.5);
        if self.random.borrow_mut().f64() < 0.2 {
            return Err(Overtaken);
        }
        self.memory.set(key, value, seen)
    }
}
