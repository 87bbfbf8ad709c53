//! The credentials of a request: read, then proved. Which of them a rule accepts is not decided here.

use std::cell::OnceCell;
use std::rc::Rc;

use crate::decision::{Caller, Deny, Method};
use crate::http::{Headers, Repeated, Request};
use crate::policy::inbound::{Peer, Provider};
use crate::policy::{API_KEY_ISSUER, BEARER_TOKEN_ISSUER, Inbound};
use crate::time::UnixTime;
use crate::{claims, jwt};

/// A credential that was proved, and whose it is.
pub(super) struct Proved<'p> {
    /// The caller.
    pub(super) caller: Rc<Caller>,
    /// The provider of a token.
    pub(super) provider: Option<&'p Provider>,
    /// The token, where it is a token's.
    pub(super) token: Option<jwt::Verified>,
}

/// What a request presents, proved when a rule first asks for it, and once.
pub(super) struct Presented<'p, 'r> {
    inbound: &'p Inbound,
    request: &'r Request,
    now: UnixTime,
    proved: OnceCell<Result<Vec<Proved<'p>>, Deny>>,
}

impl<'p, 'r> Presented<'p, 'r> {
    pub(super) const fn new(inbound: &'p Inbound, request: &'r Request, now: UnixTime) -> Self {
        Self {
            inbound,
            request,
            now,
            proved: OnceCell::new(),
        }
    }

    /// The request itself.
    pub(super) const fn request(&self) -> &'r Request {
        self.request
    }

    /// When it came.
    pub(super) const fn now(&self) -> UnixTime {
        self.now
    }

    /// The code of its second factor, as it stands there.
    pub(super) fn code(&self) -> Result<Option<&'r [u8]>, Deny> {
        single(&self.request.headers, &self.inbound.totp.header)
    }

    /// Every credential, each proved; the one that gives the identity first. One that is presented and not valid
    /// refuses the request, whatever else it carries.
    pub(super) fn proved(&self) -> Result<&[Proved<'p>], Deny> {
        let prove = || prove(self.inbound, &self.request.headers, self.now);
        match self.proved.get_or_init(prove) {
            Ok(proved) => Ok(proved),
            Err(deny) => Err(deny.clone()),
        }
    }
}

fn prove<'p>(inbound: &'p Inbound, headers: &Headers, now: UnixTime) -> Result<Vec<Proved<'p>>, Deny> {
    let bearer = match inbound.reads_authorization() {
        true => bearer(headers)?,
        false => None,
    };
    let api_key = match inbound.api_keys.in_use {
        true => single(headers, &inbound.api_keys.header)?,
        false => None,
    };
    let mut proved = Vec::new();
    if let Some(bearer) = bearer {
        proved.push(prove_bearer(inbound, bearer, now)?);
    }
    if let Some(api_key) = api_key {
        let peer = inbound
            .api_keys
            .keys
            .find(api_key)
            .ok_or(match inbound.api_keys.lacks_key {
                true => Deny::SecretMissing,
                false => Deny::ApiKeyUnknown,
            })?;
        proved.push(Proved {
            caller: Rc::new(keyed(peer, Method::ApiKey, API_KEY_ISSUER)),
            provider: None,
            token: None,
        });
    }
    Ok(proved)
}

/// A header that may come once. Envoy joins repeated ones with a comma, which no credential holds.
fn single<'h>(headers: &'h Headers, name: &str) -> Result<Option<&'h [u8]>, Deny> {
    let repeated = || Deny::CredentialRepeated {
        header: name.to_owned(),
    };
    match headers.single(name.as_bytes()) {
        Ok(Some(value)) if value.contains(&b',') => Err(repeated()),
        Ok(value) => Ok(value),
        Err(Repeated) => Err(repeated()),
    }
}

/// The token of `Authorization: Bearer <token>`: the scheme's name without case, one or more spaces, one token
/// (RFC 9110 §11.4).
fn bearer(headers: &Headers) -> Result<Option<&[u8]>, Deny> {
    let Some(value) = single(headers, AUTHORIZATION)? else {
        return Ok(None);
    };
    let (scheme, rest) = value
        .split_at_checked(SCHEME.len())
        .ok_or(Deny::AuthorizationMalformed)?;
    let token = rest.trim_ascii_start();
    let spaces = rest.len() - token.len();
    let is_parted_by_spaces = spaces > 0 && rest.iter().take(spaces).all(|byte| *byte == b' ');
    // What is longer than any token is refused for its length: an attacker gets no work for it.
    let looked_at = token.get(..jwt::MAX_TOKEN_BYTES).unwrap_or(token);
    if !scheme.eq_ignore_ascii_case(SCHEME)
        || !is_parted_by_spaces
        || token.is_empty()
        || looked_at.iter().any(u8::is_ascii_whitespace)
    {
        return Err(Deny::AuthorizationMalformed);
    }
    Ok(Some(token))
}

fn prove_bearer<'p>(inbound: &'p Inbound, bearer: &[u8], now: UnixTime) -> Result<Proved<'p>, Deny> {
    if let Some(peer) = inbound.bearer_tokens.find(bearer) {
        return Ok(Proved {
            caller: Rc::new(keyed(peer, Method::BearerToken, BEARER_TOKEN_ISSUER)),
            provider: None,
            token: None,
        });
    }
    if inbound.providers.is_empty() {
        return Err(match inbound.lacks_bearer_token {
            true => Deny::SecretMissing,
            false => Deny::BearerTokenUnknown,
        });
    }
    let token = inbound
        .tokens
        .verify(bearer, now)
        .map_err(|error| token_refused(inbound, error))?;
    let provider = inbound
        .providers
        .get(token.provider())
        .ok_or(Deny::Internal("a verified token of no provider"))?;
    Ok(Proved {
        caller: Rc::new(tokened(provider, &token)),
        provider: Some(provider),
        token: Some(token),
    })
}

/// Why a token is refused. What may be good and cannot be checked here, for a secret is not there, is not called bad.
fn token_refused(inbound: &Inbound, error: jwt::Error) -> Deny {
    let lacks_keys = |provider: usize| {
        inbound
            .providers
            .get(provider)
            .is_some_and(|provider| provider.lacks_keys)
    };
    match error {
        jwt::Error::KeyUnknown { provider, .. }
        | jwt::Error::KeyMismatch { provider, .. }
        | jwt::Error::SignatureInvalid { provider }
            if lacks_keys(provider) =>
        {
            Deny::SecretMissing
        }
        // No token at all: a static one, perhaps.
        jwt::Error::Malformed(_) if inbound.lacks_bearer_token => Deny::SecretMissing,
        error => Deny::Token(error),
    }
}

/// The caller that a verified token stands for: the peer that the configuration gives it to, or, where it gives it to
/// none, a caller without a peer.
fn tokened(provider: &Provider, token: &jwt::Verified) -> Caller {
    let claims = token.claims();
    let text = |name: &str| {
        claims
            .get(name)
            .and_then(|value| value.as_str())
            .map(str::to_owned)
    };
    let peer = provider
        .peer_claim
        .find(claims)
        .and_then(|value| value.as_str())
        .and_then(|value| provider.peers.get(value));
    Caller {
        method: Method::Jwt,
        peer: peer.cloned(),
        sub: text("sub"),
        iss: text("iss").unwrap_or_default(),
        display_name: text("name"),
        scopes: claims::scopes(claims, &provider.scope_claims),
        claims: claims.clone(),
    }
}

/// The caller that a key of the configuration stands for.
fn keyed(peer: &Rc<Peer>, method: Method, issuer: &str) -> Caller {
    Caller {
        method,
        sub: Some(peer.name.clone()),
        iss: issuer.to_owned(),
        display_name: peer.display_name.clone(),
        scopes: peer.scopes.clone(),
        claims: claims::Claims::new(),
        peer: Some(Rc::clone(peer)),
    }
}

/// The header of bearer credentials, and their scheme.
pub(super) const AUTHORIZATION: &str = "authorization";
const SCHEME: &[u8] = b"Bearer";
