//! An emulated Envoy: runs the compiled filter on an interpreter and speaks proxy-wasm ABI 0.2.1 to it, so that
//! tests see what a client, an upstream, an access log and an operator would see, without a proxy.
//!
//! ```text
//! let module = Module::load(path)?;                        // parsed once, shared by the tests of a file
//! let mut vm = Vm::start(&module, VmOptions::default())?;   // one worker
//! let plugin = vm.configure(json)?;                        // Err(Refused) with the logs
//! let replied = vm.request(plugin, Request::inbound("GET", "/")).replied();
//! assert_eq!((replied.status, vm.metrics()), (401, expected));
//! ```
//!
//! The host keeps state (headers, filter state, shared data, metrics, a clock) and asserts outcomes, not sequences
//! of host calls. It answers as Envoy 1.40 was seen to answer, and it is stricter in one respect: a call that Envoy
//! would tolerate, ignore or answer with a defect of its own is a [`Violation`], and the test panics with it.
//!
//! Not emulated: routing, codecs, timeouts, header limits, other filters, TCP, gRPC callouts and shared queues.
//! Time stands still until a test moves it. Failure policies are not applied: a trap is [`Outcome::Trapped`], and
//! a VM that has trapped takes no further calls.

// Each integration test uses a part of this, and test code may panic.
#![allow(dead_code, unused_imports)]
#![allow(
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod abi;
mod access;
mod cryptography;
mod exchange;
mod headers;
mod process;
pub(crate) mod proxy;
mod reply;
mod report;
mod state;
mod stream;
mod vm;
mod wasi;

use std::path::Path;

use self::state::Host;

pub(crate) use self::{
    cryptography::{Answer as SignatureAnswer, Proxy, verify_signature},
    exchange::{Answer, Forwarded, Outcome, Replied, Request, Response},
    headers::HeaderMap,
    process::Process,
    report::{Level, LogLine, Phase, Source, Trap, Violation, output_path},
    state::{Callout, ForeignFunctions, RouteRefresh, Status, VmOptions},
    vm::{PluginId, Refused, StartError, StreamId, Vm},
};

/// A module that was parsed and checked once; tests share it and start their own VMs from it.
pub(crate) struct Module {
    compiled: wasmi::Module,
    linker: wasmi::Linker<Host>,
}

/// Why a module cannot be run at all.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LoadError {
    /// The file cannot be read.
    Unreadable(String),
    /// Not a WebAssembly module.
    Malformed(String),
    /// The module imports what neither Envoy nor this host offers, as `module.name`.
    UnknownImport(String),
    /// The module lacks an export that Envoy needs.
    MissingExport(&'static str),
}

impl Module {
    /// Reads a module from a file, as binary or as text.
    pub(crate) fn load(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path)
            .map_err(|error| LoadError::Unreadable(format!("`{}`: {error}", path.display())))?;
        Self::from_bytes(bytes)
    }

    /// Takes a module as binary or as text.
    pub(crate) fn from_bytes(bytes: impl AsRef<[u8]>) -> Result<Self, LoadError> {
        Self::compile(&wasmi::Engine::default(), bytes.as_ref())
    }

    /// The same, on an interpreter that counts what it does: see [`Vm::work`].
    pub(crate) fn metered(bytes: impl AsRef<[u8]>) -> Result<Self, LoadError> {
        let mut configuration = wasmi::Config::default();
        configuration
            .consume_fuel(true)
            .compilation_mode(wasmi::CompilationMode::Eager);
        Self::compile(&wasmi::Engine::new(&configuration), bytes.as_ref())
    }

    fn compile(engine: &wasmi::Engine, bytes: &[u8]) -> Result<Self, LoadError> {
        let compiled =
            wasmi::Module::new(engine, bytes).map_err(|error| LoadError::Malformed(error.to_string()))?;
        let required = ["memory", "proxy_abi_version_0_2_1", "proxy_on_memory_allocate"];
        for export in required {
            compiled
                .get_export(export)
                .ok_or(LoadError::MissingExport(export))?;
        }
        let mut linker = wasmi::Linker::new(engine);
        abi::link(&mut linker);
        wasi::link(&mut linker);
        for import in compiled.imports() {
            let known = match import.module() {
                "env" => abi::knows(import.name()) || abi::link_stub(&mut linker, &import),
                "wasi_snapshot_preview1" => {
                    wasi::knows(import.name()) || wasi::link_stub(&mut linker, &import)
                }
                _ => false,
            };
            if !known {
                return Err(LoadError::UnknownImport(format!(
                    "{}.{}",
                    import.module(),
                    import.name()
                )));
            }
        }
        Ok(Self { compiled, linker })
    }
}
