//! The case table: a configuration, requests, and what must come of each. The same table runs natively against the
//! core (`tests/cases.rs`) and through the compiled module (`tests/wasm.rs`); `tests/cases/README.md` explains the
//! format.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions
)]

pub(crate) mod case;
pub(crate) mod seen;
pub(crate) mod tokens;
