use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::state::{Glance, Memory, Nowhere, Overtaken, Version, Versioned};

fn subject(name: &str) -> Subject {
    Subject::of("test", &[name.as_bytes()])
}

fn named(name: &str) -> Subject {
    subject(name)
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::from_seconds(seconds)
}

fn prepared() -> Memory {
    let memory = Memory::default();
    Ledger::OneTime.prepare(&memory);
    Ledger::PerToken.prepare(&memory);
    memory
}

fn once(state: &dyn SharedState, name: &str, over_at: u64) -> Result<bool, Unavailable> {
    let subject = subject(name);
    Used { subject, over_at }.once(state, at(over_at - 60))
}

fn with(state: &dyn SharedState, code: &str, over_at: u64, credential: &str) -> Result<bool, Unavailable> {
    let subject = subject(code);
    Used { subject, over_at }.with(named(credential), state, at(over_at - 60))
}

#[test]
fn a_code_counts_once_and_no_older_one_after_it() {
    let memory = prepared();
    assert_eq!(once(&memory, "a", 1000), Ok(true));
    assert_eq!(once(&memory, "a", 1000), Ok(false));
    assert_eq!(once(&memory, "a", 970), Ok(false));
    assert_eq!(once(&memory, "b", 970), Ok(true));
    assert_eq!(once(&memory, "a", 1030), Ok(true));
    assert_eq!(once(&memory, "a", 1000), Ok(false));
}

#[test]
fn a_code_stays_with_the_credential_that_it_first_came_with() {
    let memory = prepared();
    assert_eq!(with(&memory, "code", 1000, "a"), Ok(true));
    assert_eq!(with(&memory, "code", 1000, "a"), Ok(true));
    assert_eq!(with(&memory, "code", 1000, "b"), Ok(false));
    assert_eq!(with(&memory, "next", 1030, "b"), Ok(true));
    assert_eq!(with(&memory, "code", 1000, "a"), Ok(true));
}

#[test]
fn who_only_looks_uses_nothing_up() {
    let memory = prepared();
    assert_eq!(once(&Glance(&memory), "a", 1000), Ok(true));
    assert_eq!(with(&Glance(&memory), "code", 1000, "a"), Ok(true));
    assert_eq!(once(&memory, "a", 1000), Ok(true));
    assert_eq!(with(&memory, "code", 1000, "b"), Ok(true));
    assert_eq!(once(&Glance(&memory), "a", 1000), Ok(false));
    assert_eq!(with(&Glance(&memory), "code", 1000, "a"), Ok(false));
}

#[test]
fn without_a_record_nothing_is_known() {
    let states: [&dyn SharedState; 2] = [&Nowhere, &Memory::default()];
    for state in states {
        assert_eq!(once(state, "a", 1000), Err(Unavailable));
        assert_eq!(with(state, "code", 1000, "a"), Err(Unavailable));
    }
}

/// In whatever order they come, and however many: no code is let through twice.
#[test]
fn a_record_without_room_forgets_no_code() {
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..2 {
        let memory = prepared();
        let mut let_through = BTreeSet::new();
        let mut last = BTreeMap::new();
        let mut refused_new = 0;
        for tried in 0..20_000_u64 {
            let now = 10_000 + tried / 100;
            let peer = random.u64(..12_000);
            let over_at = now + 30 * random.u64(1..5);
            let name = peer.to_string();
            let used = Used {
                subject: subject(&name),
                over_at,
            };
            let is_newer = last.get(&peer).is_none_or(|last| *last < over_at);
            if used.once(&memory, at(now)).unwrap() {
                assert!(
                    let_through.insert((peer, over_at)) && is_newer,
                    "{peer} {over_at}"
                );
                last.insert(peer, over_at);
            } else if is_newer {
                refused_new += 1;
            }
        }
        assert!(refused_new > 0, "it had room");
        let longest = Ledger::OneTime.lengths(&memory).into_iter().max().unwrap();
        assert!(longest <= 1 + 8 + MAX_ENTRIES * 40, "{longest}");
    }
}

#[test]
fn there_is_room_for_thousands() {
    let memory = prepared();
    for step in 0..3 {
        for peer in 0..2000 {
            assert_eq!(
                once(&memory, &peer.to_string(), 1000 + 30 * step),
                Ok(true),
                "{peer}"
            );
        }
    }
}

#[test]
fn what_is_over_makes_room_and_a_clock_that_is_set_back_opens_nothing() {
    let memory = prepared();
    let key = Ledger::OneTime.key_of(subject("a"));
    let neighbour = (0..)
        .map(|n| n.to_string())
        .find(|name| Ledger::OneTime.key_of(subject(name)) == key)
        .unwrap();
    assert_eq!(once(&memory, "a", 1000), Ok(true));
    assert_eq!(once(&memory, &neighbour, 5000), Ok(true));
    let list = List::parsed(&memory.get(&key).unwrap().value).unwrap();
    assert_eq!((list.entries.len(), list.floor), (1, 1000));
    assert_eq!(once(&memory, "a", 1000), Ok(false));
    assert_eq!(once(&memory, "a", 1030), Ok(true));
}

#[test]
fn nonsense_opens_nothing_and_does_not_stay() {
    let wrong: [&[u8]; 6] = [
        b"",
        b"\x02",
        b"\x01\x00",
        &[1; 10],
        &[0xff; 64],
        &[1; 1 + 8 + 33 * 40],
    ];
    for nonsense in wrong {
        for ledger in [Ledger::OneTime, Ledger::PerToken] {
            let memory = prepared();
            let now = 1_000_000;
            let used = |over_at| Used {
                subject: subject("a"),
                over_at,
            };
            let uses = |over_at, now| match ledger {
                Ledger::PerToken => used(over_at).with(subject("credential"), &memory, at(now)),
                _ => used(over_at).once(&memory, at(now)),
            };
            let key = ledger.key_of(subject("a"));
            memory.set(&key, nonsense, None).unwrap();
            assert_eq!(uses(now + 90, now), Ok(false), "{nonsense:?}");
            assert_eq!(uses(now + 1500, now + 1410), Ok(false), "{nonsense:?}");
            assert_eq!(uses(now + 1501, now + 1411), Ok(true), "{nonsense:?}");
        }
    }
}

#[test]
fn a_record_reads_as_it_was_written() {
    let mut random = fastrand::Rng::with_seed(7);
    for length in [0, 1, 31, 32] {
        let entry = |_| Listed {
            used: Used {
                subject: subject(&random.u64(..).to_string()),
                over_at: random.u64(..),
            },
            holder: subject(&random.u64(..).to_string()),
        };
        let list = List {
            floor: 77,
            entries: (0..length).map(entry).collect(),
            is_read: true,
        };
        let read = List::parsed(&list.written()).unwrap();
        assert_eq!(read.floor, 77);
        assert_eq!(read.written(), list.written());
    }
}

/// Workers that overtake each other, as often as chance has it, and a store that fails: of all who come with a code one
/// is let through, or nobody.
#[test]
fn of_racing_workers_one_wins() {
    for seed in 0..1000 {
        let race = Race::new(seed);
        let waiting: Vec<(u64, u64)> = (0..6_u64)
            .map(|worker| (worker % 2, 1000 + 30 * (worker / 4)))
            .collect();
        race.waiting.replace(waiting);
        race.run_some(1.0);
        let results = race.results.into_inner();
        assert_eq!(results.len(), 6);
        for code in [(0, 1000), (1, 1000), (0, 1030), (1, 1030)] {
            let wins = results
                .iter()
                .filter(|(other, result)| *other == code && *result == Ok(true))
                .count();
            let is_last = code.1 == 1030;
            // The older code may come too late.
            assert!(wins <= 1 && (wins == 1 || !is_last), "{seed}: {results:?}");
        }
    }
}

/// A store whose readers are overtaken by others, between their reading and their writing.
struct Race {
    memory: Memory,
    random: RefCell<fastrand::Rng>,
    waiting: RefCell<Vec<(u64, u64)>>,
    #[expect(clippy::type_complexity, reason = "the codes, and what became of them")]
    results: RefCell<Vec<((u64, u64), Result<bool, Unavailable>)>>,
}

impl Race {
    fn new(seed: u64) -> Self {
        Self {
            memory: prepared(),
            random: RefCell::new(fastrand::Rng::with_seed(seed)),
            waiting: RefCell::default(),
            results: RefCell::default(),
        }
    }

    /// Lets workers begin who have not yet.
    fn run_some(&self, eagerness: f64) {
        while self.random.borrow_mut().f64() < eagerness {
            let Some((peer, over_at)) = self.waiting.borrow_mut().pop() else {
                return;
            };
            let result = once(self, &peer.to_string(), over_at);
            self.results.borrow_mut().push(((peer, over_at), result));
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

/// A store that never takes anything.
struct Full(Memory);

impl SharedState for Full {
    fn get(&self, key: &str) -> Option<Versioned> {
        self.0.get(key)
    }

    fn set(&self, _key: &str, _value: &[u8], _seen: Option<Version>) -> Result<(), Overtaken> {
        Err(Overtaken)
    }
}

#[test]
fn what_cannot_be_written_down_does_not_count() {
    let full = Full(prepared());
    assert_eq!(once(&full, "a", 1000), Err(Unavailable));
    assert_eq!(with(&full, "code", 1000, "a"), Err(Unavailable));
}
