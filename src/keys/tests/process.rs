//! A process whose workers, clock and identity provider are the test's.

use serde_json::json;

use super::super::*;
use crate::callout::{Body, Endpoint, Url};
use crate::http::Headers;
use crate::state::Memory;

/// When every test begins, in seconds.
pub(super) const START: u64 = 1_800_000_000;

pub(super) fn endpoint(url: &str) -> Endpoint {
    Endpoint {
        url: Url::parse(url).unwrap(),
        cluster: "idp".to_owned(),
        timeout_seconds: 5,
    }
}

pub(super) fn source() -> Source {
    Source {
        provider: "kc".to_owned(),
        issuer: "https://idp.example/".to_owned(),
        location: Location::KeySet(endpoint("https://idp.example/keys")),
        cache: CacheTimes {
            seconds: 600,
            max_stale_seconds: 3600,
            unknown_kid_interval_seconds: 10,
        },
    }
}

pub(super) fn discovered() -> Source {
    let metadata = endpoint("https://idp.example/.well-known/openid-configuration");
    Source {
        location: Location::Metadata {
            metadata,
            key_set: None,
        },
        ..source()
    }
}

/// A key set of this `kid`.
pub(super) fn set(kid: &str) -> String {
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": kid,
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})
    .to_string()
}

pub(super) fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let pairs = [(":status", status)].into_iter().chain(headers.iter().copied());
    Answer::Received {
        headers: Headers::new(pairs.map(|(name, value)| (name.into(), value.into()))),
        body: Body::Whole(body.into()),
    }
}

pub(super) fn good(body: &str) -> Answer {
    answer("200", &[], body)
}

/// A process with its workers.
pub(super) struct Process {
    pub(super) shared: Memory,
    pub(super) now: u64,
    pub(super) workers: Vec<Keys>,
    random: u8,
}

impl Process {
    pub(super) fn new(source: &Source, workers: u8, sealing: Option<&str>) -> Self {
        let sealing = sealing.map(|secret| Rc::new(SealingKey::new(secret).unwrap()));
        let mut process = Self {
            shared: Memory::default(),
            now: START * 1_000,
            workers: Vec::new(),
            random: 0,
        };
        for worker in 0..workers {
            let keys = Keys::new(
                &KeySets::new([None]),
                [(0, source.clone())],
                sealing.clone(),
                WaitLimits::default(),
                &Random([worker + 1; 20]),
            );
            process.workers.push(keys);
            let now = process.time();
            let events = process.workers[usize::from(worker)].prepare(&process.shared, now);
            assert_eq!(events, []);
        }
        process
    }

    pub(super) fn time(&self) -> UnixTime {
        UnixTime::from_nanoseconds(self.now * 1_000_000)
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        self.now += seconds * 1_000;
    }

    /// All callouts of a tick in every worker: who sends what.
    pub(super) fn tick(&mut self) -> Vec<(usize, Callout)> {
        let now = self.time();
        let mut sent = Vec::new();
        for (worker, keys) in self.workers.iter_mut().enumerate() {
            let turn = keys.tick(&self.shared, now);
            sent.extend(turn.callouts.into_iter().map(|(_, callout)| (worker, callout)));
        }
        sent
    }

    pub(super) fn answer(&mut self, worker: usize, answer: Answer) -> Turn {
        self.random += 1;
        let (now, random) = (self.time(), Random([self.random; 20]));
        self.workers[worker].answered(0, answer, &self.shared, now, &random)
    }

    /// Lets whoever is due fetch this set.
    pub(super) fn fetch(&mut self, body: &str) {
        let sent = self.tick();
        assert_eq!(sent.len(), 1);
        let turn = self.answer(sent[0].0, good(body));
        assert_eq!(turn.callouts, []);
        self.tick();
    }

    /// The `kid`s of the set that each worker has.
    pub(super) fn kids(&self) -> Vec<Option<bool>> {
        self.has("a")
    }

    /// Whether each worker has a set with this `kid`.
    pub(super) fn has(&self, kid: &str) -> Vec<Option<bool>> {
        let has = |keys: &Keys| {
            let sets = keys.sets();
            let set = sets.get(0)?;
            Some(set.candidates(Some(kid), crate::jwks::Algorithm::EdDsa).is_ok())
        };
        self.workers.iter().map(has).collect()
    }

    pub(super) fn patience(&self, wish: Wish, since: UnixTime) -> Option<u64> {
        let deadline = self.workers[0].patience(wish, since, self.time())?;
        Some(deadline.seconds() - START)
    }
}
