//! The boundary: the only code that names the host. It reads, asks the core, and applies what the core says; it
//! decides nothing.
//!
//! ```text
//! root.rs         a configuration comes ─► Policy
//! attachment.rs   what its streams share
//! keys.rs         keys are fetched, streams that wait for them are woken
//! signatures.rs   the proxy's cryptography
//! http.rs         a request comes ─► decision::decide ─► applied
//! host.rs         the host calls, each a Result
//! ```

#![expect(
    unsafe_code,
    reason = "the host calls are foreign functions, and the SDK's entry point is an export"
)]

mod attachment;
mod host;
mod http;
mod keys;
mod metrics;
mod root;
mod signatures;
mod state;

use proxy_wasm::traits::RootContext;

use self::root::Root;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|id| -> Box<dyn RootContext> { Box::new(Root::new(id)) });
}}
