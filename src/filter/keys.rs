//! The keys of one configuration in one worker: asks what the core says is due, hands over what comes back, and wakes the
//! streams that wait.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::types::LogLevel;

use crate::callout::{Answer, Body, Callout};
use crate::decision::Record;
use crate::filter::host::{self, Map};
use crate::filter::http::{Slot, resume};
use crate::filter::metrics;
use crate::filter::state::Store;
use crate::jwks::KeySets;
use crate::keys::{Event, Keys, MAX_DOCUMENT_BYTES, Place, Random, Turn, WaitEnd, Wish};
use crate::policy::{KeyPlan, Policy};
use crate::redact::Redactor;
use crate::time::UnixTime;

/// See the module.
pub(super) struct KeyRing {
    keys: RefCell<Keys>,
    store: Store,
    redactor: Redactor,
    waiting: RefCell<Vec<Waiter>>,
    /// The provider of each callout that is under way, by its token.
    callouts: RefCell<HashMap<u32, usize>>,
    /// The numbers of its counters: the host remembers each definition for ever.
    counters: RefCell<HashMap<String, u32>>,
    news: Cell<u64>,
    tick_milliseconds: Cell<u32>,
}

/// A stream that waits, for as long as it is there.
struct Waiter {
    context: u32,
    slot: Weak<Slot>,
    wish: Wish,
    deadline: UnixTime,
    _place: Place,
}

impl KeyRing {
    /// For a policy; what others have fetched is there at once.
    pub(super) fn new(policy: &Policy) -> Self {
        let plan = &policy.keys;
        let redactor = policy.errors.redactor.clone();
        let store = store(plan, &redactor);
        let mut keys = Keys::new(
            &plan.written,
            plan.sources.iter().cloned(),
            plan.sealing.clone(),
            plan.waits,
            // This one hides nothing.
            &random().unwrap_or(Random([0; 20])),
        );
        let events = match host::now() {
            Ok(now) => keys.prepare(&store, now),
            Err(_) => Vec::new(),
        };
        let ring = Self {
            keys: RefCell::new(keys),
            store,
            redactor,
            waiting: RefCell::default(),
            callouts: RefCell::default(),
            counters: RefCell::default(),
            news: Cell::new(0),
            tick_milliseconds: Cell::new(0),
        };
        ring.tell(&events);
        if ring.keys.borrow().fetches() {
            ring.set_tick(SOON_MILLISECONDS);
        }
        ring
    }

    /// The sets that stand now.
    pub(super) fn sets(&self) -> Rc<KeySets> {
        self.keys.borrow().sets()
    }

    /// Notes which keys refused requests have asked for.
    pub(super) fn note(&self, plan: &KeyPlan, records: &[Record<'_>]) {
        for wish in records.iter().filter_map(|record| record.wish(plan)) {
            if let (Ok(mut keys), Ok(now)) = (self.keys.try_borrow_mut(), host::now()) {
                keys.note(wish, now);
            }
        }
    }

    /// Until when a stream that came at `since` shall wait.
    pub(super) fn patience(&self, wish: Wish, since: UnixTime, now: UnixTime) -> Option<UnixTime> {
        self.keys.borrow().patience(wish, since, now)
    }

    /// Lets a stream wait. Whether it has found a place.
    pub(super) fn enlist(
        &self,
        context: u32,
        slot: &Rc<Slot>,
        wish: Wish,
        deadline: UnixTime,
        now: UnixTime,
    ) -> bool {
        let Some(place) = self.keys.borrow().place(wish) else {
            self.count_wait(wish, WaitEnd::Full.as_str());
            return false;
        };
        self.count_wait(wish, "started");
        self.keys.borrow_mut().note(wish, now);
        self.waiting.borrow_mut().push(Waiter {
            context,
            slot: Rc::downgrade(slot),
            wish,
            deadline,
            _place: place,
        });
        self.set_tick(SOON_MILLISECONDS);
        true
    }

    /// What is to be done from time to time. `root` is the context that callouts are sent from.
    pub(super) fn tick(&self, root: u32) {
        let Ok(now) = host::now() else { return };
        let turn = self.keys.borrow_mut().tick(&self.store, now);
        self.run(turn);
        self.wake(root, now);
        let is_busy = !self.waiting.borrow().is_empty();
        self.set_tick(if is_busy {
            SOON_MILLISECONDS
        } else {
            IDLE_MILLISECONDS
        });
    }

    /// The answer to a callout has come; its headers and body can be read.
    pub(super) fn answered(&self, root: u32, token: u32, headers: usize, body_bytes: usize) {
        let Some(provider) = self.callouts.borrow_mut().remove(&token) else {
            return;
        };
        let turn = self.hand_over(provider, received(headers, body_bytes));
        self.run(turn);
        if let Ok(now) = host::now() {
            self.wake(root, now);
        }
    }

    fn hand_over(&self, provider: usize, answer: Answer) -> Turn {
        let (Ok(now), Some(random)) = (host::now(), random()) else {
            return Turn::default();
        };
        let mut keys = self.keys.borrow_mut();
        keys.answered(provider, answer, &self.store, now, &random)
    }

    fn run(&self, mut turn: Turn) {
        self.tell(&turn.events);
        while let Some((provider, callout)) = turn.callouts.pop() {
            match send(&callout) {
                Some(token) => {
                    self.callouts.borrow_mut().insert(token, provider);
                }
                None => {
                    let failed = self.hand_over(provider, Answer::NotSent);
                    self.tell(&failed.events);
                }
            }
        }
    }

    /// Decides streams again for which there is news, or which have waited long enough.
    fn wake(&self, root: u32, now: UnixTime) {
        let news = self.keys.borrow().news();
        let is_news = self.news.replace(news) != news;
        let waiting = self.waiting.take();
        let mut stay = Vec::with_capacity(waiting.len());
        for waiter in waiting {
            let is_over = self.keys.borrow().is_over(waiter.deadline, now);
            match waiter.slot.upgrade() {
                None => self.count_wait(waiter.wish, WaitEnd::Gone.as_str()),
                Some(_) if !is_news && !is_over => stay.push(waiter),
                Some(slot) => {
                    if host::act_on(waiter.context).is_ok() && resume(&slot, now) {
                        let end = if is_over {
                            WaitEnd::TimedOut
                        } else {
                            WaitEnd::Decided
                        };
                        self.count_wait(waiter.wish, end.as_str());
                    } else {
                        stay.push(waiter);
                    }
                }
            }
        }
        let _ = host::act_on(root);
        self.waiting.borrow_mut().append(&mut stay);
    }

    fn set_tick(&self, milliseconds: u32) {
        if self.tick_milliseconds.replace(milliseconds) != milliseconds {
            let _ = host::set_tick_period(milliseconds);
        }
    }

    fn tell(&self, events: &[Event]) {
        for event in events {
            for name in event.counters() {
                self.count(name);
            }
            if let Some((name, value)) = event.gauge() {
                let _ = host::record_gauge(&name, value);
            }
            if let Some(line) = event.line() {
                let level = if event.is_bad() {
                    LogLevel::Warn
                } else {
                    LogLevel::Info
                };
                host::log(level, &self.redactor.clean(line));
            }
        }
    }

    fn count_wait(&self, wish: Wish, what: &str) {
        self.count(self.keys.borrow().wait_counter(wish, what));
    }

    fn count(&self, name: String) {
        metrics::count(&self.counters, name.clone(), || name);
    }
}

/// Whether workers may share: where no other module can write what they share, or cannot read it.
fn store(plan: &KeyPlan, redactor: &Redactor) -> Store {
    let has_own_vm = host::property(&["plugin_vm_id"]).is_some_and(|id| !id.is_empty());
    if has_own_vm || plan.sealing.is_some() {
        return Store::Shared;
    }
    if !plan.sources.is_empty() {
        let line = "peergate: each worker fetches keys for itself: the VM has no `vm_id` of its own, and there is no \
                    `shared_state_key`";
        host::log(LogLevel::Info, &redactor.clean(line.to_owned()));
    }
    Store::Own
}

fn send(callout: &Callout) -> Option<u32> {
    let authorization = callout.authorization.as_ref();
    let headers: Vec<(&str, &str)> = callout
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .chain(authorization.map(|value| ("authorization", value.expose().as_str())))
        .collect();
    let body = Some(callout.body.expose().as_slice()).filter(|body| !body.is_empty());
    let timeout = Duration::from_secs(callout.timeout_seconds.into());
    hostcalls::dispatch_http_call(&callout.cluster, headers, body, Vec::new(), timeout).ok()
}

fn received(headers: usize, body_bytes: usize) -> Answer {
    if headers == 0 {
        return Answer::Nothing;
    }
    let Ok(headers) = host::read(Map::Callout) else {
        return Answer::Nothing;
    };
    let body = match body_bytes {
        0 => Ok(Body::Whole(Vec::new())),
        bytes if bytes > MAX_DOCUMENT_BYTES => Ok(Body::TooLong { bytes }),
        bytes => host::callout_body(bytes).map(Body::Whole),
    };
    body.map_or(Answer::Nothing, |body| Answer::Received { headers, body })
}

/// Without random bytes nothing can be sealed.
fn random() -> Option<Random> {
    host::random().ok().map(Random)
}

/// Ours: while requests wait. What costs nothing to look for is looked for often.
const SOON_MILLISECONDS: u32 = 20;
/// Ours: else. A set that another worker has fetched is in use here after this time at the latest.
const IDLE_MILLISECONDS: u32 = 1_000;
