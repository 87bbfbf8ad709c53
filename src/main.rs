//! The `peergate` program: looks at policies before a proxy does.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
