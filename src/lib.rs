//! peergate: authentication for a mesh of AI agents, as one WebAssembly filter for Envoy and Istio.
//!
//! The crate is a sans-I/O core with a thin boundary. A request is read once by the boundary, decided by the
//! core, and the decision is applied once by the boundary:
//!
//! ```text
//! request bytes ─► filter (reads the host) ─► decision (pure) ─► Step ─► filter (applies it)
//! ```
//!
//! The core knows no proxy-wasm, no clock, no randomness, no sockets and no logging backend: whatever is ambient
//! is an argument. It never panics on input, and what it cannot decide it denies.
//!
//! The modules below stand in the order of their dependencies: each uses only those above it.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]
#![cfg_attr(target_arch = "wasm32", deny(unsafe_code))]

// Vocabulary
pub mod http;
pub mod role;
pub mod secret;
pub mod state;
pub mod time;

// Documents, and what may be printed
pub mod excerpt;
pub mod json;
pub mod redact;

// What was looked at on the way to a decision: for the program, and no part of the filter
#[cfg(not(target_arch = "wasm32"))]
pub mod findings;
#[cfg(not(target_arch = "wasm32"))]
pub mod visible;

// Leaf verifiers and matchers
pub mod answers;
pub mod api_key;
pub mod authority;
pub mod callout;
pub mod jwks;
pub mod jwt;
pub mod keys;
pub mod metadata;
pub mod oauth;
pub mod path;
pub mod sealed;
pub mod signer;
pub mod spiffe;
pub mod token_cache;
pub mod totp;

pub mod matcher;

// Transforms
pub mod agent_card;
pub mod assertion;
pub mod claims;
pub mod cookie;
pub mod echo;
pub mod query;

// The compiled policy
pub mod policy;

// From a configuration to a policy
pub mod config;

// What the author of a good policy may not have meant: for the program, and no part of the filter
#[cfg(not(target_arch = "wasm32"))]
pub mod advice;
// From a policy to what a proxy is given: the same
#[cfg(not(target_arch = "wasm32"))]
pub mod render;
// Whether an Envoy file has what a policy names: the same
#[cfg(not(target_arch = "wasm32"))]
pub mod envoy_check;

// From the configuration of others to a policy
#[cfg(not(target_arch = "wasm32"))]
pub mod convert;

// What the program makes for those who call, and for tests: for the program, and no part of the filter
#[cfg(not(target_arch = "wasm32"))]
pub mod enrolment;
#[cfg(not(target_arch = "wasm32"))]
pub mod mint;

// What an editor knows of a configuration: for the program too
#[cfg(not(target_arch = "wasm32"))]
pub mod schema;

// The machines
pub mod decision;

// Why a decision is as it is: for the program, and no part of the filter
#[cfg(not(target_arch = "wasm32"))]
pub mod explain;

// The boundary
#[cfg(target_arch = "wasm32")]
mod filter;
