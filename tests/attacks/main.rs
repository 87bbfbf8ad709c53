//! Attacks, each a test through the compiled module in the emulated host, named after what is tried. `docs/attacks.md`
//! lists them beside the cases in which others fell to them.
//!
//! A test shows what the attacker gets: status, reason and text of the refusal, whom filter state names, and what an
//! upstream would see. Whatever the attack, no credential of the request may stand in a log line or in the answer, and
//! nothing may call out ([`door::Door`]).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

#[path = "../host/mod.rs"]
mod host;
#[path = "../support/mod.rs"]
mod support;

mod door;
mod token;

mod algorithms;
mod cards;
mod claims;
mod credentials;
mod encoding;
mod headers;
mod keys;
mod layers;
mod list;
mod outbound;
mod repeated;
mod resources;
mod second_factor;
mod secrets;
mod signatures;
mod targets;
mod tokens;
mod work;
