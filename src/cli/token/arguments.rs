//! What `token` takes.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use peergate_filter::jwks::Algorithm;
use peergate_filter::mint::claim;
use serde_json::Value;

use crate::cli::clock::Moment;
use crate::cli::secrets::Misplaced;
use crate::cli::surroundings::Surroundings;

/// What `token` takes.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
#[group(id = "task", required = true, multiple = false, args = ["key", "new_key", "decode"])]
pub(crate) struct Arguments {
    /// Mint a token with this private key: a JWK, a set of them, PEM (PKCS#8), or with `--alg HS256` a shared secret
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<PathBuf>,
    /// Make a key pair: the private JWK goes into `--out`, the public one to the standard output, as a policy takes it
    #[arg(long, value_name = "ALG", value_parser = algorithm, requires = "out")]
    pub(super) new_key: Option<Algorithm>,
    /// Show what a token on the standard input says. It is not verified
    #[arg(long)]
    pub(super) decode: bool,

    /// The file for the new private key, which must not be there
    #[arg(long, value_name = "FILE", requires = "new_key", conflicts_with_all = ["key", "decode"])]
    pub(super) out: Option<PathBuf>,
    /// Read the token to decode from this file, in place of the standard input
    #[arg(long, value_name = "FILE", requires = "decode", conflicts_with_all = ["key", "new_key"])]
    pub(super) from: Option<PathBuf>,
    /// The name of the key, in the token's header and in the JWK; of a key set, the key of this name
    #[arg(long, value_name = "KID", conflicts_with = "decode")]
    pub(super) kid: Option<String>,

    /// The algorithm [default: the key's, or one that the provider allows]
    #[arg(long, value_name = "ALG", value_parser = algorithm, conflicts_with_all = NO_TOKEN, help_heading = MINTED)]
    pub(super) alg: Option<Algorithm>,
    /// The `typ` of its header; an empty one leaves it away [default: the provider's, or JWT]
    #[arg(long, value_name = "TYPE", conflicts_with_all = NO_TOKEN, help_heading = MINTED)]
    pub(super) typ: Option<String>,
    /// The issuer [default: the provider's]
    #[arg(long, value_name = "URL", conflicts_with_all = NO_TOKEN, help_heading = MINTED)]
    pub(super) iss: Option<String>,
    /// The subject
    #[arg(long, value_name = "NAME", conflicts_with_all = NO_TOKEN, help_heading = MINTED)]
    pub(super) sub: Option<String>,
    /// An audience; may be repeated [default: the provider's first]
    #[arg(long, value_name = "NAME", conflicts_with_all = NO_TOKEN, help_heading = MINTED)]
    pub(super) aud: Vec<String>,
    /// A scope; may be repeated
    #[arg(long, value_name = "SCOPE", conflicts_with_all = NO_TOKEN, help_heading = MINTED)]
    pub(super) scope: Vec<String>,
    /// How long it is good [default: 5m, or less where the provider wants it]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, conflicts_with_all = NO_TOKEN, help_heading = MINTED)]
    pub(super) expires_in: Option<Duration>,
    /// Another claim, or one of those in another way: its value is JSON, and null takes it away; may be repeated
    #[arg(long, value_name = "NAME=JSON", value_parser = claim, conflicts_with_all = NO_TOKEN, help_heading = MINTED)]
    pub(super) claim: Vec<(String, Value)>,
    #[command(flatten, next_help_heading = MINTED)]
    pub(super) moment: Moment,

    /// The policy of the provider
    #[arg(long, value_name = "FILE", requires = "provider", conflicts_with_all = NO_TOKEN, help_heading = OF_POLICY)]
    pub(super) policy: Option<PathBuf>,
    /// Make the token as this provider of the policy wants it, and say what it would say of it
    #[arg(long, value_name = "NAME", requires = "policy", help_heading = OF_POLICY)]
    pub(super) provider: Option<String>,
    #[command(flatten, next_help_heading = OF_POLICY)]
    pub(super) surroundings: Surroundings,
    #[command(flatten)]
    pub(super) misplaced: Misplaced,
}

fn algorithm(name: &str) -> Result<Algorithm, NoAlgorithm> {
    Algorithm::from_name(name).ok_or(NoAlgorithm)
}

/// A name that no algorithm has.
#[derive(Debug)]
struct NoAlgorithm;

impl fmt::Display for NoAlgorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Algorithm::ALL.map(Algorithm::name);
        write!(formatter, "there are {}", names.join(", "))
    }
}

impl std::error::Error for NoAlgorithm {}

/// What makes no token.
const NO_TOKEN: [&str; 2] = ["new_key", "decode"];
const MINTED: &str = "The token";
const OF_POLICY: &str = "From a policy";

const EXAMPLES: &str = "\
Examples:
  A key, and a policy that takes its tokens:
    peergate token --new-key ES256 --out test.jwk > test.jwks
  A token of that key:
    peergate token --key test.jwk --iss https://issuer.example \\
      --aud charlie --sub mrpink --claim 'roles=[\"admin\"]'
  One as the provider `idp` of a policy wants it:
    peergate token --key test.jwk --policy policy.yaml --provider idp \\
      --sub mrpink --expires-in 1m
  What a token says:
    printf %s \"$TOKEN\" | peergate token --decode

A policy that trusts a key which was made for tests trusts everybody who
has that key.";
