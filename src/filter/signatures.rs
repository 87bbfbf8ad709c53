//! Envoy's cryptography, by its foreign functions `verify_signature` and `sign`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use proxy_wasm::types::LogLevel;

use crate::filter::host;
use crate::jwks::{Hash, HostScheme, HostSignatures, Proven, VerifiedBy};
use crate::redact::Redactor;
use crate::signer::HostSigner;

/// Envoy's cryptography as far as it was proven in this virtual machine, and who has verified how much.
pub(super) struct Signatures {
    proven: Proven<Envoy>,
    by_host: Counter,
    by_module: Counter,
}

impl Signatures {
    /// Those of this virtual machine, in which the host is tried once.
    pub(super) fn of_this_machine() -> Rc<Self> {
        thread_local! {
            static TRIED: RefCell<Option<Rc<Signatures>>> = const { RefCell::new(None) };
        }
        TRIED.with_borrow_mut(|tried| Rc::clone(tried.get_or_insert_with(|| Rc::new(Self::tried()))))
    }

    fn tried() -> Self {
        let proven = Proven::by_known_answers(Envoy);
        let level = match proven.is_complete() {
            true => LogLevel::Info,
            false => LogLevel::Warn,
        };
        host::log(level, &Redactor::default().clean(format!("peergate: {proven}")));
        Self {
            proven,
            by_host: Counter::new("peergate_signatures_total.by.proxy"),
            by_module: Counter::new("peergate_signatures_total.by.module"),
        }
    }
}

impl HostSignatures for Signatures {
    fn verify(
        &self,
        scheme: HostScheme,
        public_key: &[u8],
        signature: &[u8],
        message: &[u8],
    ) -> Option<bool> {
        self.proven.verify(scheme, public_key, signature, message)
    }

    fn note(&self, by: VerifiedBy) {
        match by {
            VerifiedBy::Host => self.by_host.increment(),
            VerifiedBy::Module => self.by_module.increment(),
        }
    }
}

/// Envoy, asked for everything.
struct Envoy;

impl HostSignatures for Envoy {
    fn verify(
        &self,
        scheme: HostScheme,
        public_key: &[u8],
        signature: &[u8],
        message: &[u8],
    ) -> Option<bool> {
        host::verify_signature(name(scheme.hash()), public_key, signature, message)
            .ok()
            .flatten()
    }
}

/// Each key sees for itself whether this is right.
impl HostSigner for Signatures {
    fn sign(&self, hash: Hash, private_key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
        host::sign(name(hash), private_key, message)
    }
}

const fn name(hash: Hash) -> &'static str {
    match hash {
        Hash::Sha256 => "sha256",
        Hash::Sha384 => "sha384",
        Hash::Sha512 => "sha512",
    }
}

/// A counter that is defined when it first counts.
struct Counter {
    name: &'static str,
    number: Cell<Option<u32>>,
}

impl Counter {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            number: Cell::new(None),
        }
    }

    /// That a number is lost refuses no request.
    fn increment(&self) {
        let number = self.number.get().or_else(|| host::define_counter(self.name).ok());
        self.number.set(number);
        if let Some(number) = number {
            let _ = host::increment_counter(number);
        }
    }
}
