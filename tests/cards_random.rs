//! Cards by chance, and clients that know nothing but the card.
//!
//! Cases are drawn from fixed seeds; one that fails prints its own.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "clippy knows tests by their attribute, and helpers have none; seeds are printed"
)]

#[path = "cards_random/mutated.rs"]
mod mutated;
#[path = "cards_random/offered.rs"]
mod offered;
#[path = "cards_random/reader.rs"]
mod reader;
#[path = "cards_random/world.rs"]
mod world;

use fastrand::Rng;

/// Runs a case for each of the seeds behind this one.
fn for_each_seed(first: u64, cases: u64, case: impl Fn(&mut Rng)) {
    for seed in first..first + cases {
        let _printed = Printed(seed);
        case(&mut Rng::with_seed(seed));
    }
}

/// Tells the seed of a case that fails.
struct Printed(u64);

impl Drop for Printed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("with seed {:#x}", self.0);
        }
    }
}
