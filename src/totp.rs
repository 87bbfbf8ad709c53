//! Time-based one-time passwords: RFC 6238 on top of RFC 4226.
//!
//! Computes the code of a moment, and says which step of the window a presented code belongs to. What was used is
//! remembered by `replay`, what has failed is counted by `throttle`, both in a state that others keep. None of it knows
//! whose seed is whose, nor what is asked of whom: the inbound machine does.

mod ledger;
mod replay;
mod subject;
mod throttle;

use std::fmt;

use hmac::{Hmac, KeyInit, Mac, digest::common::Key};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroize;

use crate::secret::{REDACTED, Secret, constant_time_eq};
use crate::time::UnixTime;

pub use self::ledger::{Ledger, Unavailable};
pub use self::replay::{Replay, Used};
use self::subject::SUBJECT_BYTES;
pub use self::subject::Subject;
pub use self::throttle::{By, Guesser, Throttle};

/// A shared secret from which codes are computed.
#[derive(Clone)]
pub struct Seed {
    bytes: Secret<Vec<u8>>,
    /// Of the seed, by which its codes are told from others'.
    marker: Secret<[u8; SUBJECT_BYTES]>,
}

impl fmt::Debug for Seed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Seed(*****)")
    }
}

impl Seed {
    /// From base32 (RFC 4648 §6), upper or lower case, with at least 128 bits (RFC 4226 §4, R6).
    ///
    /// Padding is optional, because key URIs leave it out and encoders write it; if there is any it must be
    /// complete. Spaces and hyphens are errors, and so are bits that no encoder leaves over (RFC 4648 §3.5): they
    /// are what a mistyped last character looks like.
    ///
    /// # Errors
    /// [`SeedError`], which never holds a part of the seed.
    pub fn parse(text: &str) -> Result<Self, SeedError> {
        let seed = Self::parse_insecure_short(text)?;
        let bits = seed.bytes.expose().len() * 8;
        if bits < MINIMUM_SEED_BITS {
            return Err(SeedError::TooShort { bits });
        }
        Ok(seed)
    }

    /// Like [`Seed::parse`], but of any length above zero: for the 80-bit seeds that some systems hand out.
    ///
    /// # Errors
    /// [`SeedError`], but never [`SeedError::TooShort`].
    pub fn parse_insecure_short(text: &str) -> Result<Self, SeedError> {
        let characters = unpadded(text)?;
        if !characters.bytes().all(is_base32) {
            return Err(SeedError::Character);
        }
        // The decoder knows upper case only.
        let upper = Secret::new(characters.to_ascii_uppercase());
        let alphabet = base32::Alphabet::Rfc4648 { padding: false };
        let bytes = base32::decode(alphabet, upper.expose()).ok_or(SeedError::Length)?;
        let bytes = Secret::new(bytes);
        let canonical = Secret::new(base32::encode(alphabet, bytes.expose()));
        if canonical.expose().len() != upper.expose().len() {
            return Err(SeedError::Length);
        }
        if canonical.expose() != upper.expose() {
            return Err(SeedError::TrailingBits);
        }
        Ok(Self::of(bytes))
    }

    fn of(bytes: Secret<Vec<u8>>) -> Self {
        let marker = Secret::new(*Subject::of("seed", &[bytes.expose()]).as_bytes());
        Self { bytes, marker }
    }

    /// In base32 without padding: for whoever hands it on.
    pub fn to_base32(&self) -> Secret<String> {
        let alphabet = base32::Alphabet::Rfc4648 { padding: false };
        Secret::new(base32::encode(alphabet, self.bytes.expose()))
    }

    /// Stands for the code that this seed has in a step: nobody without the seed finds the code by trying.
    pub fn subject(&self, owner: Subject, step: u64) -> Subject {
        owner.marked(self.marker.expose(), step)
    }
}

/// Why a seed was refused. Holds nothing of the seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeedError {
    /// There is no seed.
    Empty,
    /// A character is outside the base32 alphabet. Which one is not told: that is a word on a seed which may be sealed.
    Character,
    /// No byte string has a base32 form of this length, or the padding is not complete.
    Length,
    /// The last character holds bits that belong to no byte.
    TrailingBits,
    /// The seed holds fewer bits than RFC 4226 demands.
    TooShort {
        /// How many it holds.
        bits: usize,
    },
}

impl fmt::Display for SeedError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("seed is empty"),
            Self::Character => formatter.write_str("seed is not base32 (A-Z and 2-7, no spaces)"),
            Self::Length => formatter.write_str("seed is not complete base32"),
            Self::TrailingBits => {
                formatter.write_str("last character of the seed is not one that base32 ends with")
            }
            Self::TooShort { bits } => {
                write!(
                    formatter,
                    "seed has {bits} bits, at least {MINIMUM_SEED_BITS} are needed"
                )
            }
        }
    }
}

impl std::error::Error for SeedError {}

/// The hash under the HMAC (RFC 6238 §1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC-SHA-1, which nearly every authenticator uses.
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

impl Algorithm {
    /// As policies and key URIs write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }
}

/// How long a code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digits {
    /// Six digits.
    Six,
    /// Eight digits.
    Eight,
}

impl Digits {
    /// The number of digits.
    pub const fn count(self) -> usize {
        match self {
            Self::Six => 6,
            Self::Eight => 8,
        }
    }
}

/// How codes are computed and how far clocks may differ; always within the limits of [`CodeParameters::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeParameters {
    algorithm: Algorithm,
    digits: Digits,
    period_seconds: u32,
    window_steps: u8,
}

impl CodeParameters {
    /// SHA-1, six digits, 30 seconds, one step to either side: what authenticators do.
    pub const DEFAULT: Self = Self {
        algorithm: Algorithm::Sha1,
        digits: Digits::Six,
        period_seconds: 30,
        window_steps: 1,
    };

    /// `window_steps` is how many steps before and after the current one are accepted too.
    ///
    /// # Errors
    /// A period outside 1–300 seconds, or a window of more than two steps.
    pub const fn new(
        algorithm: Algorithm,
        digits: Digits,
        period_seconds: u32,
        window_steps: u8,
    ) -> Result<Self, CodeParametersError> {
        if period_seconds == 0 || period_seconds > MAXIMUM_PERIOD_SECONDS {
            return Err(CodeParametersError::Period { period_seconds });
        }
        if window_steps > MAXIMUM_WINDOW_STEPS {
            return Err(CodeParametersError::Window { window_steps });
        }
        Ok(Self {
            algorithm,
            digits,
            period_seconds,
            window_steps,
        })
    }

    /// The same with another window: what a rule may ask for.
    ///
    /// # Errors
    /// A window of more than two steps.
    pub const fn with_window_steps(self, window_steps: u8) -> Result<Self, CodeParametersError> {
        Self::new(self.algorithm, self.digits, self.period_seconds, window_steps)
    }

    /// The hash under the HMAC.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// How long a code is.
    pub const fn digits(&self) -> Digits {
        self.digits
    }

    /// How many steps before and after the current one are accepted too.
    pub const fn window_steps(&self) -> u8 {
        self.window_steps
    }

    /// The length of a step in seconds.
    pub const fn period_seconds(&self) -> u32 {
        self.period_seconds
    }

    /// From which second on no code of a step is good any more, in the widest window that there may be: rules have
    /// windows of their own. It tells newer codes from older ones whatever their period.
    pub fn over_at(&self, step: u64) -> u64 {
        step.saturating_add(u64::from(MAXIMUM_WINDOW_STEPS) + 1)
            .saturating_mul(self.period_seconds.into())
    }

    /// All but the window, as bytes: codes of other parameters are other codes.
    pub fn tag(&self) -> [u8; 6] {
        let algorithm = match self.algorithm {
            Algorithm::Sha1 => 1,
            Algorithm::Sha256 => 2,
            Algorithm::Sha512 => 3,
        };
        let digits = match self.digits {
            Digits::Six => 6,
            Digits::Eight => 8,
        };
        let [a, b, c, d] = self.period_seconds.to_be_bytes();
        [algorithm, digits, a, b, c, d]
    }

    /// The number of the step that a time lies in: T of RFC 6238 §4.2, with T0 = 0.
    pub fn step_at(&self, time: UnixTime) -> u64 {
        // The constructor keeps zero out; the minimum of one says so to the compiler.
        time.seconds() / u64::from(self.period_seconds.max(1))
    }
}

/// A parameter outside its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeParametersError {
    /// The period is zero or too long.
    Period {
        /// The period asked for.
        period_seconds: u32,
    },
    /// The window is too wide.
    Window {
        /// The window asked for.
        window_steps: u8,
    },
}

impl fmt::Display for CodeParametersError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Period { period_seconds } => write!(
                formatter,
                "period of `{period_seconds}` seconds is not within 1 to {MAXIMUM_PERIOD_SECONDS}"
            ),
            Self::Window { window_steps } => write!(
                formatter,
                "window of `{window_steps}` steps is not within 0 to {MAXIMUM_WINDOW_STEPS}"
            ),
        }
    }
}

impl std::error::Error for CodeParametersError {}

/// One code: ASCII digits. `Debug` prints `*****`.
#[derive(Clone)]
pub struct Code {
    // Right-aligned: six digits leave the first two places at zero.
    places: Secret<[u8; MAXIMUM_DIGITS]>,
    digits: Digits,
}

impl Code {
    /// The digits: every use is a place to review.
    pub fn expose(&self) -> &[u8] {
        let unused = MAXIMUM_DIGITS - self.digits.count();
        self.places.expose().get(unused..).unwrap_or_default()
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(REDACTED)
    }
}

/// The code of a moment.
pub fn code_at(seed: &Seed, parameters: &CodeParameters, now: UnixTime) -> Code {
    code_of_step(seed, parameters, parameters.step_at(now))
}

/// The step of the window to which a presented code belongs, or `None` if it is no valid code.
///
/// The code must be exactly as many ASCII digits as the parameters say: nothing is trimmed. A caller that checks
/// often within one step keeps the [`Window`] instead.
pub fn verify(seeds: &[Seed], parameters: &CodeParameters, presented: &[u8], now: UnixTime) -> Option<Match> {
    Window::new(seeds, parameters, now).matching(presented)
}

/// Which code was presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// The number of its step.
    pub step: u64,
    /// The index of its seed.
    pub seed: usize,
}

/// All codes that are valid at one moment: good for as long as [`CodeParameters::step_at`] gives [`Window::step`].
#[derive(Debug, Clone)]
pub struct Window {
    step: u64,
    codes: Vec<(Match, Code)>,
}

impl Window {
    /// Computes the codes of each seed for each step of the window around `now`.
    pub fn new(seeds: &[Seed], parameters: &CodeParameters, now: UnixTime) -> Self {
        let step = parameters.step_at(now);
        let width = u64::from(parameters.window_steps);
        let steps = step.saturating_sub(width)..=step.saturating_add(width);
        let codes = steps
            .flat_map(|step| {
                let seeds = seeds.iter().enumerate();
                seeds.map(move |(index, seed)| {
                    (Match { step, seed: index }, code_of_step(seed, parameters, step))
                })
            })
            .collect();
        Self { step, codes }
    }

    /// The step that the window was computed for.
    pub const fn step(&self) -> u64 {
        self.step
    }

    /// The step and the seed to which a presented code belongs.
    ///
    /// Every code is compared, so that the time says nothing about which step or seed came near. If a code fits
    /// several steps it is the newest one that counts: with an older one, the same code could be used again.
    pub fn matching(&self, presented: &[u8]) -> Option<Match> {
        let mut matching: Option<Match> = None;
        for (candidate, code) in &self.codes {
            if constant_time_eq(code.expose(), presented)
                && matching.is_none_or(|other| other.step < candidate.step)
            {
                matching = Some(*candidate);
            }
        }
        matching
    }
}

/// HOTP of RFC 4226 §5.3, with the number of the step as its counter.
fn code_of_step(seed: &Seed, parameters: &CodeParameters, step: u64) -> Code {
    let key = seed.bytes.expose();
    let counter = step.to_be_bytes();
    let mac = Secret::new(match parameters.algorithm {
        Algorithm::Sha1 => authenticate::<Sha1, Hmac<Sha1>>(key, counter),
        Algorithm::Sha256 => authenticate::<Sha256, Hmac<Sha256>>(key, counter),
        Algorithm::Sha512 => authenticate::<Sha512, Hmac<Sha512>>(key, counter),
    });
    // Dynamic truncation: four bytes, from where the low half of the last byte points to.
    let last = mac.expose().last().copied().unwrap_or_default();
    let chosen = mac.expose().iter().skip(usize::from(last & 0x0f)).take(4);
    let mut number = chosen.fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) & 0x7fff_ffff;

    let mut places = [0; MAXIMUM_DIGITS];
    for place in places.iter_mut().rev().take(parameters.digits.count()) {
        let [.., digit] = (number % 10).to_be_bytes();
        *place = b'0' + digit;
        number /= 10;
    }
    Code {
        places: Secret::new(places),
        digits: parameters.digits,
    }
}

/// HMAC (RFC 2104 §2). The key is brought to the block's length here, because the constructor that takes a slice
/// returns an error that cannot occur and could only be answered with a wrong code.
fn authenticate<H: Digest, M: Mac + KeyInit>(key: &[u8], counter: [u8; 8]) -> Vec<u8> {
    let mut block = Key::<M>::default();
    if key.len() <= block.len() {
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    } else {
        block
            .iter_mut()
            .zip(H::digest(key))
            .for_each(|(to, from)| *to = from);
    }
    let mac = <M as KeyInit>::new(&block).chain_update(counter).finalize();
    block.as_mut_slice().zeroize();
    mac.into_bytes().to_vec()
}

/// The text without its padding, which must be complete if there is any (RFC 4648 §6).
fn unpadded(text: &str) -> Result<&str, SeedError> {
    let characters = text.trim_end_matches('=');
    if characters.is_empty() {
        return Err(SeedError::Empty);
    }
    let padding = text.len() - characters.len();
    if padding > 0 && (padding >= BASE32_GROUP || !text.len().is_multiple_of(BASE32_GROUP)) {
        return Err(SeedError::Length);
    }
    Ok(characters)
}

const fn is_base32(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'2'..=b'7')
}

/// RFC 4226 §4, R6: "The length of the shared secret MUST be at least 128 bits."
const MINIMUM_SEED_BITS: usize = 128;

/// Characters that five bytes make (RFC 4648 §6).
const BASE32_GROUP: usize = 8;

/// Ours: ten times the 30 seconds that RFC 6238 §5.2 recommends. A code stays good for up to five periods.
const MAXIMUM_PERIOD_SECONDS: u32 = 300;

/// Ours: RFC 6238 §5.2 recommends one step; each more is a longer life for a stolen code.
const MAXIMUM_WINDOW_STEPS: u8 = 2;

/// The longest code that [`Digits`] knows.
const MAXIMUM_DIGITS: usize = 8;

#[cfg(test)]
mod tests;
