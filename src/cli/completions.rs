//! `peergate completions SHELL`: what a shell completes commands and arguments with.

use std::process::ExitCode;

use clap_complete::Shell;

use super::{command, print};

/// What `completions` takes.
#[derive(clap::Args)]
#[command(after_long_help = PLACES)]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

/// Prints the script of a shell.
pub(crate) fn completions(arguments: &Arguments) -> ExitCode {
    // Not to the standard output itself: the library panics where nobody reads.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command(), NAME, &mut script);
    print(&String::from_utf8_lossy(&script))
}

const NAME: &str = "peergate";

const PLACES: &str = "\
Where shells look for it:
  bash  ~/.local/share/bash-completion/completions/peergate
  zsh   a file `_peergate` in a folder of $fpath
  fish  ~/.config/fish/completions/peergate.fish

Examples:
  For every new shell:
    peergate completions bash \\
      > ~/.local/share/bash-completion/completions/peergate
  For this one:
    source <(peergate completions bash)";
