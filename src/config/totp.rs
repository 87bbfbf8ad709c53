//! The second factor: seeds, and how codes are made. Both halves read it.

use crate::config::header::{HeaderOwners, own_header};
use crate::config::problem::{PeerProblem, ShapeProblem};
use crate::config::providers::Provider;
use crate::config::reader::{Node, Object};
use crate::config::secret::{Found, present, secret};
use crate::config::sorted;
use crate::config::warning::Caution;
use crate::excerpt::Excerpt;
use crate::jwt::Audiences;
use crate::policy::inbound::Totp;
use crate::totp::{Algorithm, By, CodeParameters, Digits, Replay, Seed, Subject, Throttle};

/// `inbound.totp`, and what it says of the seeds of peers.
#[derive(Debug)]
pub(super) struct SecondFactor {
    /// The compiled section; `None` if something in it is wrong.
    pub(super) totp: Option<Totp>,
    /// How codes are made; `None` if something about that is wrong.
    pub(super) code: Option<CodeParameters>,
    /// What becomes of a code that comes again; `None` if that could not be read.
    pub(super) replay: Option<Replay>,
    /// Whether seeds may be short. Where that cannot be told they may, so that nothing is reported twice.
    pub(super) short_seeds: bool,
    /// Whether there are seeds for callers without their own, be they good or not.
    pub(super) has_shared_seeds: bool,
}

/// Reads `inbound.totp`, and takes its header.
pub(super) fn second_factor(inbound: &Object<'_>, owners: &mut HeaderOwners) -> SecondFactor {
    let Some(totp) = inbound.section("totp", MEMBERS) else {
        return SecondFactor {
            totp: None,
            code: None,
            replay: None,
            short_seeds: true,
            has_shared_seeds: true,
        };
    };
    let header = own_header(&totp, "header", DEFAULT_HEADER, owners);
    let code = totp.section("code", &["algorithm", "digits", "period_seconds", "window_steps"]);
    let code = code.and_then(|code| {
        let window = code.or("window_steps", CodeParameters::DEFAULT.window_steps(), |node| {
            node.integer(0..=MAX_WINDOW_STEPS)
        });
        code_parameters(&code, window)
    });
    let short_seeds = totp.insecure_flag("insecure_allow_short_seeds", Caution::ShortSeeds);
    let shared_seeds = totp.list("insecure_shared_seeds", |node| {
        node.warn(Caution::SharedSeeds);
        seed(&node, short_seeds.unwrap_or(true))
    });
    let replay = totp.or("replay", Replay::default(), |node| replay(&node));
    let throttle = throttle(&totp);
    let read = || {
        replay?;
        short_seeds?;
        code?;
        let (shared_seeds, lacks_shared_seed) = present(shared_seeds?);
        Some(Totp {
            header: header?,
            shared_seeds,
            lacks_shared_seed,
            throttle: throttle?,
            // Both are known when the rules and the providers are.
            is_asked: false,
            scope: Subject::of("", &[]),
        })
    };
    let has_shared_seeds = totp.has_entries("insecure_shared_seeds");
    SecondFactor {
        totp: read(),
        code,
        replay,
        short_seeds: short_seeds.unwrap_or(true),
        has_shared_seeds,
    }
}

/// What becomes of a code that is presented again, as the policy or a rule says.
pub(super) fn replay(node: &Node<'_>) -> Option<Replay> {
    node.choice(&[
        ("allow", Some(Replay::Allow)),
        ("per_token", Some(Replay::PerToken)),
        ("one_time", Some(Replay::OneTime)),
    ])
}

/// How many codes may fail. It cannot be turned off.
fn throttle(totp: &Object<'_>) -> Option<Throttle> {
    let throttle = totp.section("throttle", &["max_failures", "window_seconds", "by"])?;
    let max_failures = throttle.or("max_failures", Throttle::DEFAULT.max_failures, |node| {
        node.integer(1..=MAX_FAILURES)
    });
    let window_seconds = throttle.or("window_seconds", Throttle::DEFAULT.window_seconds, |node| {
        node.integer(MIN_THROTTLE_SECONDS..=MAX_THROTTLE_SECONDS)
    });
    let by = throttle.or("by", Throttle::DEFAULT.by, |node| {
        node.choice(&[("credential", Some(By::Credential)), ("peer", Some(By::Peer))])
    });
    Some(Throttle {
        max_failures: max_failures?,
        window_seconds: window_seconds?,
        by: by?,
    })
}

/// What tells this policy's callers and codes from those of others in the same proxy: the realm, how codes are made, who
/// issues tokens, and for whom.
pub(super) fn scope(realm: &str, code: &CodeParameters, providers: &[Provider]) -> Subject {
    // In whatever order they stand: no two have one issuer.
    let mut issuers: Vec<String> = Vec::new();
    for provider in providers {
        sorted::insert(&mut issuers, provider.verification.issuer.clone());
    }
    issuers.iter().fold(
        Subject::of("policy", &[realm.as_bytes(), &code.tag()]),
        |scope, issuer| {
            let mut named = providers.iter().map(|provider| &provider.verification);
            let Some(provider) = named.find(|provider| provider.issuer == *issuer) else {
                return scope;
            };
            let names = [scope.as_bytes(), provider.name.as_bytes(), issuer.as_bytes()];
            let mut audiences = Vec::new();
            if let Audiences::OneOf(unsorted) = &provider.audiences {
                for audience in unsorted {
                    sorted::insert(&mut audiences, audience.clone());
                }
            }
            audiences
                .iter()
                .fold(Subject::of("provider", &names), |scope, audience| {
                    Subject::of("audience", &[scope.as_bytes(), audience.as_bytes()])
                })
        },
    )
}

/// A seed out of a SECRET.
pub(super) fn seed(node: &Node<'_>, may_be_short: bool) -> Option<Found<Seed>> {
    secret(node)?.and_then(|text| {
        let seed = match may_be_short {
            true => Seed::parse_insecure_short(text.expose()),
            false => Seed::parse(text.expose()),
        };
        match seed {
            Ok(seed) => Some(seed),
            Err(error) => node.refuse(PeerProblem::Seed(error)),
        }
    })
}

/// How codes are made, with a window that was read elsewhere.
pub(super) fn code_parameters(code: &Object<'_>, window_steps: Option<u8>) -> Option<CodeParameters> {
    let algorithm = code.or("algorithm", Algorithm::Sha1, |node| {
        node.choice(&[
            ("SHA1", Some(Algorithm::Sha1)),
            ("SHA256", Some(Algorithm::Sha256)),
            ("SHA512", Some(Algorithm::Sha512)),
        ])
    });
    let digits = code.or("digits", Digits::Six, |node| {
        match node.integer::<i64>(i64::MIN..=i64::MAX)? {
            6 => Some(Digits::Six),
            8 => Some(Digits::Eight),
            other => node.refuse(ShapeProblem::NotOneOf {
                found: Excerpt::new(&other.to_string()),
                choices: vec!["6", "8"],
                nearest: None,
            }),
        }
    });
    let period = code.or(
        "period_seconds",
        CodeParameters::DEFAULT.period_seconds(),
        |node| node.integer(MIN_PERIOD_SECONDS..=MAX_PERIOD_SECONDS),
    );
    // Within the limits of the parameters, for they were read within narrower ones.
    CodeParameters::new(algorithm?, digits?, period?, window_steps?).ok()
}

const MEMBERS: &[&str] = &[
    "header",
    "code",
    "insecure_shared_seeds",
    "insecure_allow_short_seeds",
    "replay",
    "throttle",
];

/// The header of codes, inbound and outbound.
pub(super) const DEFAULT_HEADER: &str = "x-totp";
/// Ours: below it, the clocks of two machines differ by more than a step.
const MIN_PERIOD_SECONDS: i64 = 15;
/// As [`CodeParameters::new`] has it.
const MAX_PERIOD_SECONDS: i64 = 300;
/// Ours: with more, a code is no second factor.
const MAX_FAILURES: i64 = 1000;
/// Ours: less than a code's own life would throttle nobody.
const MIN_THROTTLE_SECONDS: i64 = 30;
/// Ours: a day.
const MAX_THROTTLE_SECONDS: i64 = 86_400;
/// As [`CodeParameters::new`] has it.
pub(super) const MAX_WINDOW_STEPS: i64 = 2;
