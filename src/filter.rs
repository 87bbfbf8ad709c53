//! The boundary: the only code that names the host. It reads, asks the core, and applies what the core says; it
//! decides nothing.
//!
//! ```text
//! root.rs         a configuration comes ─► Policy
//! attachment.rs   what its streams share
//! errands.rs      servers are asked, streams that wait for their answers are woken
//! callout.rs      what is sent to them, and what comes back
//! signatures.rs   the proxy's cryptography
//! http.rs         a request comes ─► decision::decide ─► applied
//! host.rs         the host calls, each a Result
//! ```

#![expect(
    unsafe_code,
    reason = "the host calls are foreign functions, and the SDK's entry point is an export"
)]

mod attachment;
mod callout;
mod errands;
mod host;
mod http;
mod metrics;
mod root;
mod signatures;
mod state;

use proxy_wasm::traits::RootContext;

use self::root::Root;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|id| -> Box<dyn RootContext> { Box::new(Root::new(id)) });
}}
