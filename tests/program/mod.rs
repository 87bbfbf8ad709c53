//! The program in a folder of a test's own.
//!
//! What it prints is kept in `target/test-output`, with the secrets that were used beside it, so that a later check can look
//! for them in everything that the tests printed.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

use std::cell::RefCell;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Exit status, standard output, standard error.
pub(crate) type Seen = (i32, String, String);

/// What is wrong, and nothing else.
pub(crate) fn refused(error: &str) -> Seen {
    (1, String::new(), error.to_owned())
}

/// The same, where the command was not given as it is meant.
pub(crate) fn misused(error: &str) -> Seen {
    (2, String::new(), error.to_owned())
}

/// Runs the program in a folder with nothing in the environment but what is given, and keeps nothing.
pub(crate) fn run_in(
    folder: impl AsRef<Path>,
    arguments: &[&str],
    input: &str,
    environment: &[(&str, &str)],
) -> Seen {
    let mut child = Command::new(env!("CARGO_BIN_EXE_peergate"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever refuses the arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// A folder where the program runs.
pub(crate) struct Folder {
    path: PathBuf,
    area: &'static str,
    secrets: RefCell<Vec<String>>,
}

impl Folder {
    /// Empty, for the test of this name in this file of tests.
    pub(crate) fn new(area: &'static str, name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(area).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self::at(area, path)
    }

    /// One that is there, with what is in it: a test only reads it.
    pub(crate) fn at(area: &'static str, path: PathBuf) -> Self {
        Self {
            path,
            area,
            secrets: RefCell::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path.join(file), content).unwrap();
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path.join(file)).unwrap()
    }

    /// Asserts that nobody but its owner can read a file.
    pub(crate) fn assert_private(&self, file: &str) {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(self.path.join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    /// Remembers a secret, which nothing that is kept from here on may hold.
    pub(crate) fn secret(&self, secret: &str) {
        let file = self.kept().join(format!("secrets/{}.txt", self.area));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let mut register = OpenOptions::new().create(true).append(true).open(file).unwrap();
        // In one piece: other tests write there too.
        register.write_all(format!("{secret}\n").as_bytes()).unwrap();
        self.secrets.borrow_mut().push(secret.to_owned());
    }

    /// Runs the program with nothing in the environment but what is given, and keeps what it prints.
    pub(crate) fn run(&self, arguments: &[&str], input: &str, environment: &[(&str, &str)]) -> Seen {
        let seen = self.run_unkept(arguments, input, environment);
        let (status, output, errors) = &seen;
        // The values of variables stand in the arguments because a person wrote them there.
        let names = arguments
            .iter()
            .map(|argument| argument.split_once('=').map_or(*argument, |(name, _)| name));
        let entry = format!(
            "peergate {} -> {status}\n{output}{errors}\n",
            names.collect::<Vec<_>>().join(" ")
        );
        let log = self.kept().join(format!("{}.log", self.area));
        fs::create_dir_all(log.parent().unwrap()).unwrap();
        let mut log = OpenOptions::new().create(true).append(true).open(log).unwrap();
        log.write_all(entry.as_bytes()).unwrap();
        for secret in self.secrets.borrow().iter() {
            assert!(!entry.contains(secret), "{entry}");
        }
        seen
    }

    /// The same for what shows a secret, as it is asked to.
    pub(crate) fn run_unkept(&self, arguments: &[&str], input: &str, environment: &[(&str, &str)]) -> Seen {
        run_in(&self.path, arguments, input, environment)
    }

    fn kept(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-output")
    }
}
