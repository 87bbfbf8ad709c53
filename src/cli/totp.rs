//! `peergate totp`: seeds for callers, their codes, and what is wrong with a code.
//!
//! It is a client's half of the second factor, and an operator's look at it. It remembers nothing: whether a proxy has seen a
//! code before, only that proxy knows.

mod arguments;
mod known;
mod qr;
mod refused;

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use peergate_filter::enrolment::{self, Account, Finding};
use peergate_filter::secret::Secret;
use peergate_filter::totp::{CodeParameters, code_at};

use self::arguments::{Action, Check, Code, New, Uri};
use self::known::known;
use self::refused::Refused;
use super::{finish, say, secrets};
use crate::cli::shown_path;

pub(crate) use self::arguments::Arguments;

/// Does one of the four.
pub(crate) fn totp(arguments: &Arguments) -> ExitCode {
    finish(match &arguments.action {
        Action::Code(arguments) => code(arguments),
        Action::New(arguments) => new(arguments),
        Action::Uri(arguments) => uri(arguments),
        Action::Check(arguments) => check(arguments),
    })
}

/// The code alone on the standard output, for `$(…)`; how long it is good beside it.
fn code(arguments: &Code) -> Result<String, Refused> {
    let known = known(&arguments.of, &arguments.coding)?;
    let now = arguments.moment.time();
    let code = code_at(known.seed(arguments.of.seed)?, &known.parameters, now);
    let life = enrolment::life(&known.parameters, now);
    let left = life.until.seconds().saturating_sub(now.seconds());
    if known.seeds.len() > 1 {
        let (number, count) = (arguments.of.seed, known.seeds.len());
        tell(&format!(
            "the code of seed {number} of {count}: `--seed` takes another"
        ));
    }
    tell(&format!(
        "from {} to {}, for {left} more s",
        life.from, life.until
    ));
    Ok(String::from_utf8_lossy(code.expose()).into_owned())
}

fn new(arguments: &New) -> Result<String, Refused> {
    let parameters = arguments
        .coding
        .parameters(CodeParameters::DEFAULT.window_steps())?;
    let account = arguments
        .label
        .as_ref()
        .map(|label| Account::new(arguments.issuer.as_deref(), label));
    let account = account.transpose()?;
    let seed = enrolment::new_seed(parameters.algorithm(), &secrets::random()?)?;
    let text = seed.to_base32();
    let mut shown = Vec::new();
    match &arguments.out {
        Some(file) => {
            secrets::write_private(file, &text)?;
            tell(&format!("seed written to {}", shown_path(file)));
        }
        None => shown.push(text),
    }
    if let Some(account) = account {
        let uri = account.uri(&seed, &parameters);
        let drawn = arguments.qr.then(|| drawn(&uri)).transpose()?;
        shown.extend(arguments.uri.then_some(uri));
        shown.extend(drawn);
        warn(&parameters);
    }
    Ok(joined(&shown))
}

fn uri(arguments: &Uri) -> Result<String, Refused> {
    let known = known(&arguments.of, &arguments.coding)?;
    let account = Account::new(arguments.issuer.as_deref(), &arguments.label)?;
    let uri = account.uri(known.seed(arguments.of.seed)?, &known.parameters);
    warn(&known.parameters);
    let drawn = arguments.qr.then(|| drawn(&uri)).transpose()?;
    let shown: Vec<_> = [Some(uri), drawn].into_iter().flatten().collect();
    Ok(joined(&shown))
}

/// Which step a code is of. The code comes from the standard input, so that the seed must come from elsewhere.
fn check(arguments: &Check) -> Result<String, Refused> {
    arguments.of.misplaced.refuse()?;
    if !arguments.of.is_named() {
        return Err(Refused::SeedPlace);
    }
    let known = known(&arguments.of, &arguments.coding)?;
    let parameters = match arguments.window_steps {
        Some(steps) => known
            .parameters
            .with_window_steps(steps)
            .map_err(Refused::Parameters)?,
        None => known.parameters,
    };
    let text = secrets::standard_input()?;
    let code = secrets::without_line_end(&text).ok_or(Refused::NoCode)?;
    let digits = code.expose().bytes().all(|byte| byte.is_ascii_digit());
    if !digits {
        return Err(Refused::NotDigits);
    }
    let code = code.expose().as_bytes();
    let now = arguments.moment.time();
    let reach =
        u32::try_from(arguments.within.as_secs()).unwrap_or(u32::MAX) / parameters.period_seconds().max(1);
    match enrolment::find(&known.seeds, &parameters, code, now, reach.min(MAX_REACH_STEPS)) {
        Some(found) if found.steps_behind.unsigned_abs() <= parameters.window_steps().into() => {
            Ok(format!("good: {}", Told(found, known.seeds.len())))
        }
        Some(found) => Err(Refused::Outside {
            told: Told(found, known.seeds.len()).to_string(),
            window: parameters.window_steps(),
        }),
        None => Err(Refused::NoSuchCode {
            now,
            within: arguments.within,
            other: enrolment::by_other_parameters(&known.seeds, &parameters, code, now),
        }),
    }
}

/// What authenticators are known for.
fn warn(parameters: &CodeParameters) {
    if parameters.with_window_steps(CodeParameters::DEFAULT.window_steps()) != Ok(CodeParameters::DEFAULT) {
        tell(
            "warning: some authenticators take no notice of `algorithm`, `digits` and `period`, and make codes of SHA1, 6 \
             digits and 30 seconds\n  help: hold a code against `peergate totp check` before you rely on it",
        );
    }
}

fn drawn(uri: &Secret<String>) -> Result<Secret<String>, Refused> {
    qr::draw(uri.expose(), io::stdout().is_terminal()).ok_or(Refused::TooLong)
}

fn joined(texts: &[Secret<String>]) -> String {
    let texts: Vec<&str> = texts.iter().map(|text| text.expose().as_str()).collect();
    texts.join("\n")
}

fn tell(line: &str) {
    say(&mut io::stderr(), line);
}

/// Which step it is of, and what clock makes such a code now; of how many seeds.
struct Told(Finding, usize);

impl fmt::Display for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(found, count) = self;
        let steps = found.steps_behind.unsigned_abs();
        let plural = if steps == 1 { "" } else { "s" };
        match found.steps_behind {
            0 => formatter.write_str("the code of this step")?,
            1.. => write!(formatter, "the code of {steps} step{plural} ago")?,
            _ => write!(formatter, "the code of {steps} step{plural} from now")?,
        }
        if *count > 1 {
            write!(formatter, ", of seed {} of {count}", found.seed.saturating_add(1))?;
        }
        let (least, most) = found.seconds_behind;
        match found.steps_behind {
            0 => Ok(()),
            1.. => write!(
                formatter,
                ": its clock is {least} to {most} seconds behind, or it is that old"
            ),
            _ => write!(
                formatter,
                ": its clock is {} to {} seconds ahead",
                most.unsigned_abs(),
                least.unsigned_abs()
            ),
        }
    }
}

/// Ours: a day of the shortest steps that a policy has.
const MAX_REACH_STEPS: u32 = 5_760;
