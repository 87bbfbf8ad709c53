//! What there is to say of a policy, on the standard error: its faults, its warnings, its hints.

use std::io;

use peergate_filter::advice::Hint;
use peergate_filter::config::{Caution, Errors, Loaded};

use super::say;

/// What was accepted and should not stay so.
pub(crate) fn warnings(loaded: &Loaded) {
    for warning in &loaded.warnings {
        let line = loaded.redactor.clean(format!("warning: {warning}"));
        say(&mut io::stderr(), line.as_str());
    }
}

/// The same of a policy that was looked at without the secrets that it names.
pub(crate) fn warnings_but_of_missing_secrets(loaded: &Loaded) {
    let is_missing = |caution: &Caution| matches!(caution, Caution::SecretMissing(_));
    for warning in loaded
        .warnings
        .iter()
        .filter(|warning| !is_missing(warning.caution()))
    {
        let line = loaded.redactor.clean(format!("warning: {warning}"));
        say(&mut io::stderr(), line.as_str());
    }
}

/// What its author may not have meant.
pub(crate) fn hints(loaded: &Loaded, hints: &[Hint]) {
    for hint in hints {
        let help = hint.help().map(|help| format!("  help: {help}"));
        for line in [Some(format!("hint: {hint}")), help].into_iter().flatten() {
            say(&mut io::stderr(), loaded.redactor.clean(line).as_str());
        }
    }
}

/// Every fault, with what to do about it, and how many there are.
pub(crate) fn errors(errors: &Errors) {
    for line in errors.lines() {
        let kind = if line.as_str().starts_with("  help: ") {
            ""
        } else {
            "error: "
        };
        say(&mut io::stderr(), &format!("{kind}{line}"));
    }
    count(errors.iter().len(), "error");
}

/// `1 error`, `2 errors`.
pub(crate) fn count(count: usize, noun: &str) {
    let ending = if count == 1 { "" } else { "s" };
    say(&mut io::stderr(), &format!("{count} {noun}{ending}"));
}
