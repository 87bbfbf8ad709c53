//! `peergate token`: tokens for tests, and keys for them.
//!
//! A token says what its author wants it to say. Whether a policy would take it is looked at with the filter's own code, and
//! said; nothing is refused for it, for tests need bad tokens too.

mod arguments;
mod decode;
mod new_key;
mod refused;

use std::io;
use std::process::ExitCode;

use peergate_filter::jwks::AlgorithmSet;
use peergate_filter::jwt::Error;
use peergate_filter::mint::{Claims, Expected, MintingKey, Wish};
use peergate_filter::secret::Secret;
use peergate_filter::time::UnixTime;

use self::refused::Refused;
use super::{finish, loaded, say, secrets};

pub(crate) use self::arguments::Arguments;

/// Mints, makes a key, or shows what a token says.
pub(crate) fn token(arguments: &Arguments) -> ExitCode {
    if let Err(trouble) = arguments.misplaced.refuse() {
        return finish(Err(Refused::Trouble(trouble)));
    }
    finish(match (&arguments.new_key, &arguments.out) {
        (Some(algorithm), Some(file)) => new_key::new_key(*algorithm, file, arguments.kid.as_deref()),
        _ if arguments.decode => decode::decode(arguments.from.as_deref()),
        _ => mint(arguments),
    })
}

fn mint(arguments: &Arguments) -> Result<String, Refused> {
    // The parser of the command line has seen to it that there is one.
    let file = arguments.key.as_deref().ok_or(Refused::NoKey)?;
    let loaded = match &arguments.policy {
        Some(policy) => Some(loaded::load(policy, &arguments.surroundings)?),
        None => None,
    };
    let expected = match (&loaded, &arguments.provider) {
        (Some(loaded), Some(name)) => {
            let found = Expected::find(&loaded.policy, name);
            Some(found.ok_or_else(|| Refused::NoProvider(name.clone()))?)
        }
        _ => None,
    };
    let key = key(
        arguments,
        file,
        expected.map(|expected| expected.provider.algorithms),
    )?;
    let now = arguments.moment.time();
    let claims = claims(arguments, expected).at(now);
    let typ = arguments.typ.as_deref();
    let typ = typ
        .or_else(|| expected.and_then(|expected| expected.typ()))
        .unwrap_or(DEFAULT_TYPE);
    let salt = secrets::random()?;
    let token = key
        .mint(Some(typ).filter(|typ| !typ.is_empty()), &claims, salt.expose())
        .ok_or(Refused::Arithmetic)?;
    if let Some(expected) = expected {
        warn(expected, &key, &token, now);
    }
    Ok(token.expose().clone())
}

fn key(
    arguments: &Arguments,
    file: &std::path::Path,
    allowed: Option<AlgorithmSet>,
) -> Result<MintingKey, Refused> {
    let text = secrets::read(file)?;
    let unusable = |error| Refused::Key(file.to_owned(), error);
    let wish = Wish {
        algorithm: arguments.alg,
        allowed,
        kid: arguments.kid.as_deref(),
    };
    // A shared secret that is written as such has a line end, as any text has.
    let text = secrets::without_line_end(&text).ok_or(Refused::NoKey)?;
    MintingKey::parse(&text, wish).map_err(unusable)
}

/// What the arguments say, and where they say nothing, what the provider wants.
fn claims(arguments: &Arguments, expected: Option<Expected<'_>>) -> Claims {
    let issuer = expected.map(|expected| expected.provider.issuer.clone());
    let audience = expected.and_then(|expected| expected.audience());
    let limit = expected.and_then(|expected| expected.provider.max_lifetime_seconds);
    let lifetime = arguments.expires_in.map(|duration| duration.as_secs());
    Claims {
        issuer: arguments.iss.clone().or(issuer),
        subject: arguments.sub.clone(),
        audiences: match arguments.aud.is_empty() {
            true => audience.map(str::to_owned).into_iter().collect(),
            false => arguments.aud.clone(),
        },
        scopes: arguments.scope.clone(),
        lifetime_seconds: lifetime.unwrap_or_else(|| match limit {
            Some(limit) => DEFAULT_LIFETIME_SECONDS.min(limit.into()),
            None => DEFAULT_LIFETIME_SECONDS,
        }),
        others: arguments.claim.clone(),
    }
}

/// What the filter would say of the token.
fn warn(expected: Expected<'_>, key: &MintingKey, token: &Secret<String>, now: UnixTime) {
    let name = &expected.provider.name;
    if let Err(error) = expected.judge(key, token.expose(), now) {
        tell(&format!(
            "warning: provider `{name}` would refuse this token: {error}"
        ));
        let is_of_key = matches!(
            error,
            Error::KeyUnknown { .. } | Error::KeyMismatch { .. } | Error::SignatureInvalid { .. }
        );
        match key.public_jwk().filter(|_| is_of_key) {
            Some(jwk) => tell(&format!(
                "  help: the key is not one of `jwks.inline.keys`: put {jwk} there"
            )),
            None if is_of_key => tell("  help: the secret is not one of `jwks.secrets`"),
            None => {}
        }
    } else if expected.fetches_keys() {
        tell(&format!(
            "warning: provider `{name}` fetches its keys: whether this one is among them is not known here"
        ));
    }
}

fn tell(line: &str) {
    say(&mut io::stderr(), line);
}

/// What says no more than its absence (RFC 7519 §5.1).
const DEFAULT_TYPE: &str = "JWT";
/// Ours: long enough to try something, and of no use to who finds it.
const DEFAULT_LIFETIME_SECONDS: u64 = 300;
