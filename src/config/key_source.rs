//! Keys that are fetched: `discovery`, `remote`, `jwks_uri` and `cache` of `inbound.providers[].jwks`.

use crate::config::endpoint::{discovery, endpoint};
use crate::config::problem::KeySourceProblem;
use crate::config::reader::Object;
use crate::keys::{CacheTimes, Location};

/// Reads where keys are fetched from. `issuer` is where metadata stands, if nothing else is said.
pub(super) fn location(jwks: &Object<'_>, issuer: Option<&str>) -> Option<Location> {
    let key_set = jwks.or("jwks_uri", None, |node| endpoint(&node).map(Some));
    if let Some(remote) = jwks.optional("remote") {
        if jwks.has("jwks_uri") {
            return jwks.refuse_member("jwks_uri", KeySourceProblem::UriWithoutDiscovery);
        }
        return endpoint(&remote).map(Location::KeySet);
    }
    let metadata = discovery(&jwks.optional("discovery")?, issuer);
    Some(Location::Metadata {
        metadata: metadata?,
        key_set: key_set?,
    })
}

/// Reads `cache`.
pub(super) fn cache(jwks: &Object<'_>) -> Option<CacheTimes> {
    let cache = jwks.section(
        "cache",
        &["seconds", "max_stale_seconds", "unknown_kid_interval_seconds"],
    )?;
    let seconds = cache.or("seconds", DEFAULT_SECONDS, |node| node.integer(1..=MAX_SECONDS));
    let max_stale_seconds = cache.or("max_stale_seconds", DEFAULT_MAX_STALE_SECONDS, |node| {
        node.integer(1..=LONGEST_STALE_SECONDS)
    });
    let unknown_kid_interval_seconds =
        cache.or("unknown_kid_interval_seconds", DEFAULT_INTERVAL_SECONDS, |node| {
            node.integer(1..=MAX_INTERVAL_SECONDS)
        });
    let (seconds, max_stale_seconds) = (seconds?, max_stale_seconds?);
    if max_stale_seconds < seconds {
        return cache.refuse_member("max_stale_seconds", KeySourceProblem::StaleBeforeFetched(seconds));
    }
    Some(CacheTimes {
        seconds,
        max_stale_seconds,
        unknown_kid_interval_seconds: unknown_kid_interval_seconds?,
    })
}

/// Refuses what is said of fetching where nothing is fetched.
pub(super) fn refuse_fetching(jwks: &Object<'_>) -> Option<()> {
    let refused = ["jwks_uri", "cache"].map(|name| {
        jwks.has(name)
            .then(|| jwks.refuse_member::<()>(name, KeySourceProblem::NothingFetched))
    });
    refused.iter().all(Option::is_none).then_some(())
}

/// As Envoy's own filter has it.
const DEFAULT_SECONDS: u32 = 600;
const MAX_SECONDS: i64 = 86_400;
const DEFAULT_MAX_STALE_SECONDS: u32 = 86_400;
/// Ours: thirty days.
const LONGEST_STALE_SECONDS: i64 = 2_592_000;
const DEFAULT_INTERVAL_SECONDS: u32 = 10;
const MAX_INTERVAL_SECONDS: i64 = 3_600;
