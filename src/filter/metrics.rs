//! Counters and log lines of decisions.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use proxy_wasm::types::LogLevel;

use crate::decision::Record;
use crate::decision::record::Severity;
use crate::filter::host;
use crate::http::Request;

/// The counters that were defined in this virtual machine, by name, and what was said once.
#[derive(Default)]
pub(super) struct Metrics {
    counters: RefCell<HashMap<String, u32>>,
    warned: Cell<bool>,
}

impl Metrics {
    /// Counts and logs decisions. That a number is lost refuses no request.
    pub(super) fn note(&self, records: &[Record<'_>], request: &Request) {
        for record in records {
            self.count(record.counter());
            match record.severity() {
                Severity::Silent => {}
                Severity::Info => log(LogLevel::Info, record, request),
                Severity::Error => log(LogLevel::Error, record, request),
                Severity::WarnOnce if self.warned.replace(true) => {}
                Severity::WarnOnce => log(LogLevel::Warn, record, request),
            }
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

fn log(level: LogLevel, record: &Record<'_>, request: &Request) {
    host::log(level, &record.line(request));
}
