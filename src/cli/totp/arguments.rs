//! What `totp` takes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use peergate_filter::totp;

use crate::cli::clock::Moment;
use crate::cli::secrets::Misplaced;
use crate::cli::surroundings::Surroundings;

/// What `totp` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(super) action: Action,
}

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// Print the code of a moment
    ///
    /// How long it is good goes to the standard error.
    #[command(after_long_help = CODE_EXAMPLES)]
    Code(Code),
    /// Make a seed, its key URI for an authenticator, and a QR code of that
    #[command(after_long_help = NEW_EXAMPLES)]
    New(New),
    /// Print the key URI of a seed, by which authenticators take it
    ///
    /// `otpauth://totp/…` holds the seed: it is as secret as that.
    #[command(after_long_help = URI_EXAMPLES)]
    Uri(Uri),
    /// See whether a code is good, and how far off the clock is that made it
    ///
    /// The code is read from the standard input. The exit status is 0 if it is good, else 1.
    #[command(after_long_help = CHECK_EXAMPLES)]
    Check(Check),
}

#[derive(clap::Args)]
pub(super) struct Code {
    #[command(flatten)]
    pub(super) of: Of,
    #[command(flatten)]
    pub(super) coding: Coding,
    #[command(flatten)]
    pub(super) moment: Moment,
}

#[derive(clap::Args)]
pub(super) struct New {
    /// Write the seed into this file, which must not be there, and not to the standard output
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Print the key URI, which holds the seed
    #[arg(long, requires = "label")]
    pub(super) uri: bool,
    /// Draw the key URI as a QR code
    #[arg(long, requires = "label")]
    pub(super) qr: bool,
    /// Who the caller is, as its authenticator shows it
    #[arg(long, value_name = "NAME")]
    pub(super) label: Option<String>,
    /// Who asks for the codes, as the authenticator shows it
    #[arg(long, value_name = "NAME", requires = "label")]
    pub(super) issuer: Option<String>,
    #[command(flatten)]
    pub(super) coding: Coding,
}

#[derive(clap::Args)]
pub(super) struct Uri {
    #[command(flatten)]
    pub(super) of: Of,
    /// Draw it as a QR code as well
    #[arg(long)]
    pub(super) qr: bool,
    /// Who the caller is, as its authenticator shows it
    #[arg(long, value_name = "NAME")]
    pub(super) label: String,
    /// Who asks for the codes, as the authenticator shows it
    #[arg(long, value_name = "NAME")]
    pub(super) issuer: Option<String>,
    #[command(flatten)]
    pub(super) coding: Coding,
}

#[derive(clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    pub(super) of: Of,
    #[command(flatten)]
    pub(super) coding: Coding,
    /// How many steps away a code is good [default: 1, or the most that a rule of the policy has]
    #[arg(long, value_name = "STEPS")]
    pub(super) window_steps: Option<u8>,
    /// How far away to look for the step of the code
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    pub(super) within: Duration,
    #[command(flatten)]
    pub(super) moment: Moment,
}

/// Where the seed comes from.
#[derive(clap::Args)]
pub(super) struct Of {
    /// Read the seed from this file, in place of the standard input
    #[arg(long, value_name = "FILE", conflicts_with = "from_env")]
    pub(super) from: Option<PathBuf>,
    /// Take the seed from this variable
    #[arg(long, value_name = "NAME")]
    pub(super) from_env: Option<String>,
    /// Take the seed and the way of codes from this policy, of the peer that `--peer` names
    #[arg(
        long,
        value_name = "FILE",
        requires = "peer",
        conflicts_with_all = ["from", "from_env", "algorithm", "digits", "period", "insecure_allow_short"]
    )]
    policy: Option<PathBuf>,
    /// The peer whose seed it is
    #[arg(long, value_name = "NAME", requires = "policy")]
    peer: Option<String>,
    /// Which seed of the peer, where it has several
    #[arg(long, value_name = "NUMBER", default_value_t = 1, requires = "policy")]
    pub(super) seed: usize,
    /// Take a seed below 128 bits
    #[arg(long)]
    pub(super) insecure_allow_short: bool,
    #[command(flatten)]
    pub(super) surroundings: Surroundings,
    #[command(flatten)]
    pub(super) misplaced: Misplaced,
}

impl Of {
    /// The policy, and the peer in it.
    pub(super) fn policy(&self) -> Option<(&Path, &str)> {
        Some((self.policy.as_deref()?, self.peer.as_deref()?))
    }

    /// Whether it is said where the seed comes from, and that is not the standard input.
    pub(super) const fn is_named(&self) -> bool {
        self.from.is_some() || self.from_env.is_some() || self.policy.is_some()
    }
}

/// How codes are made.
#[derive(clap::Args)]
pub(super) struct Coding {
    /// The hash under the code
    #[arg(long, value_enum, ignore_case = true, default_value_t = Algorithm::Sha1)]
    pub(super) algorithm: Algorithm,
    /// How long codes are
    #[arg(long, value_enum, default_value_t = Digits::Six)]
    pub(super) digits: Digits,
    /// How long a step is, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = totp::CodeParameters::DEFAULT.period_seconds())]
    pub(super) period: u32,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Algorithm {
    #[value(name = "SHA1")]
    Sha1,
    #[value(name = "SHA256")]
    Sha256,
    #[value(name = "SHA512")]
    Sha512,
}

impl From<Algorithm> for totp::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha1 => Self::Sha1,
            Algorithm::Sha256 => Self::Sha256,
            Algorithm::Sha512 => Self::Sha512,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Digits {
    #[value(name = "6")]
    Six,
    #[value(name = "8")]
    Eight,
}

impl From<Digits> for totp::Digits {
    fn from(digits: Digits) -> Self {
        match digits {
            Digits::Six => Self::Six,
            Digits::Eight => Self::Eight,
        }
    }
}

const CODE_EXAMPLES: &str = "\
Examples:
  peergate totp code --from mrpink.seed
  peergate totp code --policy policy.yaml --peer mrpink
  curl -H \"X-TOTP: $(peergate totp code --from-env MRPINK_TOTP)\" …";

const NEW_EXAMPLES: &str = "\
Examples:
  For a program, which takes the seed as it is:
    peergate totp new --out mrpink.seed
  For a person, who takes it with an authenticator:
    peergate totp new --out mrpink.seed --issuer agents --label mrpink --qr";

const URI_EXAMPLES: &str = "\
Examples:
  peergate totp uri --from mrpink.seed --issuer agents --label mrpink
  peergate totp uri --policy policy.yaml --peer mrpink --label mrpink --qr";

const CHECK_EXAMPLES: &str = "\
Examples:
  echo 005924 | peergate totp check --from mrpink.seed
  echo 005924 | peergate totp check --policy policy.yaml --peer mrpink
  echo 005924 | peergate totp check --from mrpink.seed --at 2026-11-21T22:00:00Z";
