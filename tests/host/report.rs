//! What the host reports to a test beside outcomes: violations, traps and log lines; and the file that all text
//! goes to.

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::Mutex,
};

/// Which callback of the module runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Initialize,
    Create,
    VmStart,
    Configure,
    Tick,
    CalloutResponse,
    RequestHeaders,
    RequestBody,
    ResponseHeaders,
    ResponseBody,
    Log,
    Done,
    Delete,
}

/// A host call that a correct filter does not make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Violation {
    /// What the call touches is not there in this phase, or must not be changed any more.
    OutOfPhase { call: &'static str, phase: Phase },
    /// A second local reply on one stream: Envoy hangs or closes it.
    SecondReply,
    /// The stream was let through although a local reply was sent.
    AfterReply { call: &'static str },
    /// The stream was continued although it does not wait.
    NotWaiting { call: &'static str },
    /// The context does not exist (any more).
    DeadContext { context: u32 },
    /// A header that Envoy or a codec would choke on, or let through to do harm.
    Header {
        call: &'static str,
        name: String,
        problem: &'static str,
    },
    /// An argument that no correct filter passes.
    Argument {
        call: &'static str,
        problem: &'static str,
    },
}

/// The module has trapped: Envoy would answer 503 and reload or disable it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trap {
    /// The exported function that was called.
    pub(crate) callback: &'static str,
    /// What the interpreter says.
    pub(crate) message: String,
    /// What the module said in this callback, critically or on standard error: the text of a panic.
    pub(crate) panic: String,
}

/// One line that would stand in Envoy's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogLine {
    pub(crate) level: Level,
    pub(crate) source: Source,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

impl Level {
    pub(super) fn from_number(number: u32) -> Option<Self> {
        use Level::{Critical, Debug, Error, Info, Trace, Warn};
        [Trace, Debug, Info, Warn, Error, Critical]
            .get(number as usize)
            .copied()
    }
}

/// Which host call a log line came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Log,
    StandardOutput,
    StandardError,
}

/// The file `target/test-output/wasm-<test binary>-<test>.log`. Everything that a module says in a test is in it:
/// a later check looks for secrets there.
pub(super) struct OutputFile(File);

impl OutputFile {
    /// Opens the file of the running test; the first time in a run it is emptied.
    pub(super) fn open() -> Self {
        let path = output_path();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        if OPENED.lock().unwrap().insert(path.clone()) {
            File::create(&path).unwrap();
        }
        Self(OpenOptions::new().append(true).open(path).unwrap())
    }

    /// The one way of writing into it.
    pub(super) fn append(&mut self, line: &LogLine) {
        let text = format!("{:?} {:?}: {}\n", line.level, line.source, line.text);
        self.0.write_all(text.as_bytes()).unwrap();
    }
}

/// Where the running test's output goes.
pub(crate) fn output_path() -> PathBuf {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("unnamed").replace("::", "-");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target
        .join("test-output")
        .join(format!("wasm-{}-{test}.log", env!("CARGO_CRATE_NAME")))
}

static OPENED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
