//! `peergate man`: manual pages, made of what `--help` says.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Command;
use clap_mangen::Man;

use super::{Failure, command, finish, say};
use crate::cli::shown_path;

/// What `man` takes.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Print the page of this command, in place of that of the program
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    commands: Vec<String>,
    /// Write a page for each command into this folder
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// Prints a page, or writes all of them.
pub(crate) fn man(arguments: &Arguments) -> ExitCode {
    let mut program = command().disable_help_subcommand(true);
    // Names all commands in full.
    program.build();
    finish(match &arguments.dir {
        Some(folder) => write(program, folder),
        None => page(program, &arguments.commands),
    })
}

fn page(program: Command, names: &[String]) -> Result<String, Refused> {
    let mut page = &program;
    for name in names {
        page = page
            .find_subcommand(name)
            .ok_or_else(|| Refused::NoCommand(name.clone()))?;
    }
    let mut rendered = Vec::new();
    titled(page.clone())
        .render(&mut rendered)
        .map_err(Refused::Render)?;
    Ok(String::from_utf8_lossy(&rendered).trim_end().to_owned())
}

fn write(program: Command, folder: &Path) -> Result<String, Refused> {
    let failed = |file: &Path| {
        let file = file.to_owned();
        move |error| Refused::File(file, error)
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let mut rest = vec![program];
    let mut count: usize = 0;
    while let Some(page) = rest.pop() {
        rest.extend(
            page.get_subcommands()
                .filter(|command| !command.is_hide_set())
                .cloned(),
        );
        let page = titled(page);
        let file = folder.join(page.get_filename());
        let mut rendered = Vec::new();
        page.render(&mut rendered).map_err(Refused::Render)?;
        fs::write(&file, rendered).map_err(failed(&file))?;
        count = count.saturating_add(1);
    }
    say(
        &mut io::stderr(),
        &format!("{count} pages written to {}", shown_path(folder)),
    );
    Ok(String::new())
}

/// A page under the name by which `man` finds it: `peergate-totp-code`.
fn titled(command: Command) -> Man {
    let name = command
        .get_display_name()
        .unwrap_or(command.get_name())
        .to_owned();
    Man::new(command.display_name(name)).manual("peergate")
}

/// Why there is no page.
enum Refused {
    NoCommand(String),
    File(PathBuf, io::Error),
    Render(io::Error),
}

impl Failure for Refused {
    fn is_usage(&self) -> bool {
        match self {
            Self::NoCommand(_) => true,
            Self::File(..) | Self::Render(_) => false,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCommand(name) => {
                write!(
                    formatter,
                    "there is no command `{name}`\n  help: `peergate help` lists them"
                )
            }
            Self::File(file, error) => write!(formatter, "{}: {error}", shown_path(file)),
            Self::Render(error) => write!(formatter, "the page cannot be written: {error}"),
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  peergate man | man -l -
  peergate man totp code | man -l -
  peergate man --dir ~/.local/share/man/man1";
