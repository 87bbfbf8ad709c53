//! The filter against parsers that others wrote. Thousands of mutated tokens go to it and to the crate `jsonwebtoken`,
//! thousands of paths to it and to `url`, which normalises as browsers do (WHATWG). What the filter takes and the other
//! refuses, or reads otherwise, fails; what only the filter refuses is counted.
//!
//! `differential/exceptions.yaml` holds the differences that were looked at and found to be right, each with its reason.
//! One that no longer occurs fails, too.
//!
//! The mutations are drawn from fixed seeds. Keys and times are new in each run, so a failure prints its token.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "clippy knows tests by their attribute, and helpers have none; the counts are printed"
)]

mod host;
mod support;

#[path = "differential/exceptions.rs"]
mod exceptions;
#[path = "differential/filter.rs"]
mod filter;
#[path = "differential/jsonwebtoken.rs"]
mod independent;
#[path = "differential/mutations.rs"]
mod mutations;
#[path = "differential/paths.rs"]
mod paths;
#[path = "differential/tokens.rs"]
mod tokens;
