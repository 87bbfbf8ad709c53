//! Counters and log lines of decisions.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use proxy_wasm::types::LogLevel;

use crate::decision::record::Severity;
use crate::decision::{Exposure, Record};
use crate::filter::host;
use crate::http::Request;
use crate::redact::Redactor;

/// The counters that were defined in this virtual machine, by name, and what was said once.
#[derive(Default)]
pub(super) struct Metrics {
    counters: RefCell<HashMap<String, u32>>,
    warned: Cell<bool>,
    /// The rules of which it was said that logs show their credential.
    exposed: RefCell<HashSet<String>>,
}

impl Metrics {
    /// Counts and logs decisions. That a number is lost refuses no request.
    pub(super) fn note(&self, records: &[Record<'_>], request: &Request, redactor: &Redactor) {
        for record in records {
            self.count(record.counter());
            let log = |level| host::log(level, &record.line(request, redactor));
            match record.severity() {
                Severity::Silent => {}
                Severity::Info => log(LogLevel::Info),
                Severity::Error => log(LogLevel::Error),
                Severity::WarnOnce if self.warned.replace(true) => {}
                Severity::WarnOnce => log(LogLevel::Warn),
            }
        }
    }

    /// Counts that logs show a credential, and says so once for a rule.
    pub(super) fn note_exposure(&self, exposure: &Exposure<'_>, redactor: &Redactor) {
        self.count(exposure.counter());
        if let Ok(mut exposed) = self.exposed.try_borrow_mut()
            && exposed.insert(exposure.rule.to_owned())
        {
            host::log(LogLevel::Error, &exposure.line(redactor));
        }
    }

    fn count(&self, name: String) {
        let Ok(mut counters) = self.counters.try_borrow_mut() else {
            return;
        };
        let known = counters.get(&name).copied();
        let Some(counter) = known.or_else(|| host::define_counter(&name).ok()) else {
            return;
        };
        let _ = host::increment_counter(counter);
        counters.entry(name).or_insert(counter);
    }
}
