//! What all VMs of one Envoy process have in common: the clock, shared data and metrics.

use std::{cell::RefCell, collections::BTreeMap, fmt, rc::Rc};

use super::state::Status;

/// One Envoy process. Clones are the same process: give it to two VMs to have two workers.
#[derive(Clone, Default)]
pub(crate) struct Process(Rc<RefCell<Inner>>);

#[derive(Default)]
struct Inner {
    now: u64,
    shared: BTreeMap<(String, Vec<u8>), (Vec<u8>, u32)>,
    last_cas: u32,
    metrics: BTreeMap<(MetricKind, String), Vec<u64>>,
    between_get_and_set: Option<Box<dyn FnOnce()>>,
}

impl Process {
    /// The time in nanoseconds since the Unix epoch.
    pub(crate) fn now(&self) -> u64 {
        self.0.borrow().now
    }

    /// Sets the time in nanoseconds since the Unix epoch.
    pub(crate) fn set_now(&self, nanoseconds: u64) {
        self.0.borrow_mut().now = nanoseconds;
    }

    /// A value of shared data with its version.
    pub(crate) fn shared(&self, vm_id: &str, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.0
            .borrow()
            .shared
            .get(&(vm_id.to_owned(), key.to_vec()))
            .cloned()
    }

    /// All keys of shared data under one `vm_id`.
    pub(crate) fn shared_keys(&self, vm_id: &str) -> Vec<Vec<u8>> {
        let inner = self.0.borrow();
        inner
            .shared
            .keys()
            .filter(|(id, _)| id == vm_id)
            .map(|(_, key)| key.clone())
            .collect()
    }

    /// Writes shared data. A version other than 0 must be the present one, but only if the key is present.
    pub(crate) fn set_shared(&self, vm_id: &str, key: &[u8], value: &[u8], cas: u32) -> Result<(), Status> {
        let hook = self.0.borrow_mut().between_get_and_set.take();
        if let Some(hook) = hook {
            hook();
        }
        let inner = &mut *self.0.borrow_mut();
        let key = (vm_id.to_owned(), key.to_vec());
        match inner.shared.get(&key) {
            Some((_, version)) if cas != 0 && cas != *version => Err(Status::CasMismatch),
            _ => {
                inner.last_cas += 1;
                inner.shared.insert(key, (value.to_vec(), inner.last_cas));
                Ok(())
            }
        }
    }

    /// Runs this once, just before the next write of shared data: what another worker does in between.
    pub(crate) fn before_next_write(&self, hook: impl FnOnce() + 'static) {
        self.0.borrow_mut().between_get_and_set = Some(Box::new(hook));
    }

    /// All counters and gauges that are not zero, by name.
    pub(crate) fn metrics(&self) -> BTreeMap<String, u64> {
        let inner = self.0.borrow();
        let scalar = inner
            .metrics
            .iter()
            .filter(|((kind, _), _)| *kind != MetricKind::Histogram);
        let named = scalar.map(|((_, name), values)| (name.clone(), values[0]));
        named.filter(|(_, value)| *value != 0).collect()
    }

    /// All values recorded in a histogram.
    pub(crate) fn histogram(&self, name: &str) -> Vec<u64> {
        let key = (MetricKind::Histogram, name.to_owned());
        self.0.borrow().metrics.get(&key).cloned().unwrap_or_default()
    }

    /// Works on the values of one metric: one of a counter or gauge, all of a histogram.
    pub(super) fn metric<T>(&self, kind: MetricKind, name: &str, work: impl FnOnce(&mut Vec<u64>) -> T) -> T {
        let start = || {
            if kind == MetricKind::Histogram {
                Vec::new()
            } else {
                vec![0]
            }
        };
        work(
            self.0
                .borrow_mut()
                .metrics
                .entry((kind, name.to_owned()))
                .or_insert_with(start),
        )
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Process").finish_non_exhaustive()
    }
}

/// The kinds of metrics, with their numbers in the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MetricKind {
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
}
