//! Counters and log lines of decisions.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::Hash;

use proxy_wasm::types::LogLevel;

use crate::decision::log_budget::LogBudget;
use crate::decision::record::{Outcome, Severity};
use crate::decision::{CardNote, Exposure, Permit, Record};
use crate::filter::host;
use crate::http::Request;
use crate::policy::Enforcement;
use crate::redact::Redactor;
use crate::role::Direction;
use crate::time::UnixTime;

/// The counters that were defined for a configuration, and what was said once.
#[derive(Default)]
pub(super) struct Metrics {
    /// By what their names are made of.
    counters: RefCell<HashMap<Key, u32>>,
    exposures: RefCell<HashMap<String, u32>>,
    cards: RefCell<HashMap<CardNote, u32>>,
    /// The cards of which it was said what became of them.
    told_cards: RefCell<Vec<(CardNote, String)>>,
    warned: Cell<bool>,
    /// The rules of which it was said that logs show their credential.
    exposed: RefCell<Vec<String>>,
}

impl Metrics {
    /// Counts and logs decisions. That a number is lost refuses no request.
    pub(super) fn note(&self, records: &[Record<'_>], request: &Request, redactor: &Redactor) {
        for record in records {
            count(&self.counters, Key::of(record), || record.counter());
            let log = |level| host::log(level, &record.line(request, redactor, 0));
            match record.severity() {
                Severity::Silent => {}
                Severity::Info => {
                    if let Some(left_out) = within_budget(LogBudget::take) {
                        host::log(LogLevel::Info, &record.line(request, redactor, left_out));
                    }
                }
                Severity::Error => log(LogLevel::Error),
                Severity::WarnOnce if self.warned.replace(true) => {}
                Severity::WarnOnce => log(LogLevel::Warn),
            }
        }
    }

    /// Counts that logs show a credential, and says so once for a rule.
    pub(super) fn note_exposure(&self, exposure: &Exposure<'_>, redactor: &Redactor) {
        count(&self.exposures, exposure.counter(), || exposure.counter());
        if let Ok(mut exposed) = self.exposed.try_borrow_mut()
            && !exposed.iter().any(|rule| rule == exposure.rule)
        {
            exposed.push(exposure.rule.to_owned());
            host::log(
                LogLevel::Error,
                &exposure.line(host::request_id().as_deref(), redactor),
            );
        }
    }

    /// Counts what became of an agent card, and says so once for each path, up to some.
    pub(super) fn note_card(&self, note: CardNote, permit: &Permit, redactor: &Redactor) {
        let path = permit.card_path();
        count(&self.cards, note, || note.counter());
        if let Ok(mut told) = self.told_cards.try_borrow_mut()
            && told.len() < MAX_TOLD_CARDS
            && !told.iter().any(|(other, at)| *other == note && at == path)
            && let Some(line) = note.line(path, permit.card_request(), redactor)
        {
            told.push((note, path.to_owned()));
            host::log(LogLevel::Warn, &line);
        }
    }
}

/// Says how many lines were left out, where no refusal came since that says it.
pub(super) fn note_left_out() {
    if let Some(left_out) = within_budget(LogBudget::take_left_out) {
        let line = format!("peergate: {left_out} lines of refusals left out");
        host::log(LogLevel::Info, &Redactor::default().clean(line));
    }
}

/// Asks the budget of this virtual machine, which all its configurations share. What is not logged takes nothing.
fn within_budget(take: impl FnOnce(&mut LogBudget, UnixTime) -> Option<u64>) -> Option<u64> {
    thread_local! {
        static BUDGET: RefCell<LogBudget> = RefCell::default();
    }
    if !host::logs(LogLevel::Info) {
        return None;
    }
    let now = host::now().ok()?;
    BUDGET.with(|budget| take(&mut *budget.try_borrow_mut().ok()?, now))
}

/// What a counter's name is made of. The texts live as long as the program or the policy, so that their places stand for
/// them: no name is written for a request.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    direction: Direction,
    enforcement: Enforcement,
    is_refusal: bool,
    reason: (*const u8, usize),
    rule: Option<(*const u8, usize)>,
}

impl Key {
    fn of(record: &Record<'_>) -> Self {
        Self {
            direction: record.direction,
            enforcement: record.enforcement,
            is_refusal: matches!(record.outcome, Outcome::Denied(_)),
            reason: place(record.outcome.reason()),
            rule: record.rule.map(place),
        }
    }
}

const fn place(text: &str) -> (*const u8, usize) {
    (text.as_ptr(), text.len())
}

/// Counts one, by the number that was given for the name when it first counted: the host remembers each definition for
/// ever.
pub(super) fn count<K: Eq + Hash>(
    counters: &RefCell<HashMap<K, u32>>,
    key: K,
    name: impl FnOnce() -> String,
) {
    let Ok(mut counters) = counters.try_borrow_mut() else {
        return;
    };
    let known = counters.get(&key).copied();
    let Some(counter) = known.or_else(|| host::define_counter(&name()).ok()) else {
        return;
    };
    let _ = host::increment_counter(counter);
    if known.is_none() {
        counters.insert(key, counter);
    }
}

/// Ours: more cards than one filter has behind it; anybody may make up paths.
const MAX_TOLD_CARDS: usize = 64;
