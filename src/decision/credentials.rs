//! The credentials of a request: read, then proved. Which of them a rule accepts is not decided here.

#[cfg(not(target_arch = "wasm32"))]
mod findings;

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use crate::answers::Question;
use crate::decision::introspected::Opaque;
use crate::decision::known::Known;
use crate::decision::location::{Found, only, single};
use crate::decision::second_factor::Subjects;
use crate::decision::{Caller, CallersToken, Deny, Means, Method, Wish};
use crate::http::Request;
use crate::policy::inbound::{Peer, Provider};
use crate::policy::location::{Location, TokenForm, TokenLocation};
use crate::policy::{API_KEY_ISSUER, BEARER_TOKEN_ISSUER, Inbound, MTLS_ISSUER};
use crate::secret::Secret;
use crate::time::UnixTime;
use crate::{claims, jwt, spiffe};

/// A credential that was proved, and whose it is.
pub(super) struct Proved<'p> {
    /// The caller.
    pub(super) caller: Rc<Caller>,
    /// The provider of a token.
    pub(super) provider: Option<&'p Provider>,
    /// The name of the introspection of an opaque token.
    pub(super) introspection: Option<Box<str>>,
    /// What an opaque token is for.
    pub(super) audiences: Option<Box<[String]>>,
    /// What is known of it, where it is a token's.
    pub(super) token: Option<Rc<Known>>,
    /// What codes are remembered under, where a rule asks for some.
    pub(super) subjects: Option<Subjects>,
    /// The token itself, where it may be exchanged.
    pub(super) callers_token: Option<CallersToken>,
    /// Where it stands; a certificate stands nowhere in the request.
    pub(super) location: Option<&'p Location>,
}

impl Proved<'_> {
    /// Whether a peergate before this one has checked a one-time password of this caller on this request.
    pub(super) fn has_otp(&self) -> bool {
        self.token.as_ref().is_some_and(|known| known.has_otp)
    }
}

/// What a request presents, proved when a rule first asks for it, and once.
pub(super) struct Presented<'p, 'r> {
    inbound: &'p Inbound,
    means: Means<'p>,
    request: &'r Request,
    now: UnixTime,
    proved: OnceCell<Result<Proofs<'p>, Deny>>,
    /// What has to be asked before more can be said.
    wish: RefCell<Option<Wish>>,
}

/// What came of the credentials of a request.
pub(super) struct Proofs<'p> {
    /// Those that are proved.
    pub(super) proved: Vec<Proved<'p>>,
    /// A token of which a server is to be asked.
    pub(super) opaque: Option<Opaque<'p>>,
}

impl<'p, 'r> Presented<'p, 'r> {
    pub(super) const fn new(
        inbound: &'p Inbound,
        means: Means<'p>,
        request: &'r Request,
        now: UnixTime,
    ) -> Self {
        Self {
            inbound,
            means,
            request,
            now,
            proved: OnceCell::new(),
            wish: RefCell::new(None),
        }
    }

    /// The request itself.
    pub(super) const fn request(&self) -> &'r Request {
        self.request
    }

    /// What it is decided with.
    pub(super) const fn means(&self) -> Means<'p> {
        self.means
    }

    /// The half of the policy that decides.
    pub(super) const fn inbound(&self) -> &'p Inbound {
        self.inbound
    }

    /// Leaves a question that has to be answered first.
    pub(super) fn wish_for(&self, question: Rc<dyn Question>) {
        self.wish.replace(Some(Wish::Answer(question)));
    }

    /// The last wish that was left: each rule has its own.
    pub(super) fn take_wish(&self) -> Option<Wish> {
        self.wish.take()
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
    pub(super) fn proofs(&self) -> Result<&Proofs<'p>, Deny> {
        let prove = || prove(self.inbound, self.means, self.request, self.now);
        match self.proved.get_or_init(prove) {
            Ok(proofs) => Ok(proofs),
            Err(deny) => Err(deny.clone()),
        }
    }

    /// Who has connected, by the certificate of the connection. It is not presented with the request: what is counts
    /// before it, good or bad.
    pub(super) fn connected(&self) -> Option<Proved<'p>> {
        let id = spiffe::parse(self.request.principal.as_deref()?)?;
        let peer = self.inbound.principals.as_ref()?.find(id);
        Some(lasting(self.inbound, certified(id, peer), id.as_bytes(), None))
    }
}

/// A credential that nobody has issued as a token.
fn lasting<'p>(
    inbound: &Inbound,
    caller: Caller,
    credential: &[u8],
    location: Option<&'p Location>,
) -> Proved<'p> {
    let kind = caller.method.as_str();
    Proved {
        subjects: Subjects::new(&inbound.totp, &caller, None, kind, credential),
        caller: Rc::new(caller),
        provider: None,
        introspection: None,
        audiences: None,
        token: None,
        callers_token: None,
        location,
    }
}

fn prove<'p>(
    inbound: &'p Inbound,
    means: Means<'_>,
    request: &Request,
    now: UnixTime,
) -> Result<Proofs<'p>, Deny> {
    let tokens = &inbound.token_locations;
    let token = only(tokens.iter().map(|place| (&place.location, place)), request)?;
    let api_keys = &inbound.api_keys;
    let api_key = only(api_keys.locations.iter().map(|location| (location, ())), request)?;
    let mut proved = Vec::new();
    let mut opaque = None;
    if let Some(Found { meaning, value, .. }) = token {
        match prove_token(inbound, means, meaning, &value, now)? {
            Token::Proved(token) => proved.push(*token),
            Token::Opaque(token) => opaque = Some(token),
        }
    }
    if let Some(Found { location, value, .. }) = api_key {
        let peer = api_keys.keys.find(&value).ok_or(match api_keys.lacks_key {
            true => Deny::SecretMissing,
            false => Deny::ApiKeyUnknown,
        })?;
        let caller = keyed(peer, Method::ApiKey, API_KEY_ISSUER);
        proved.push(lasting(inbound, caller, &value, Some(location)));
    }
    Ok(Proofs { proved, opaque })
}

/// What a token turned out to be.
enum Token<'p> {
    Proved(Box<Proved<'p>>),
    Opaque(Opaque<'p>),
}

/// Proves what stands in a place of tokens. One that is not written as tokens are there is none.
fn prove_token<'p>(
    inbound: &'p Inbound,
    means: Means<'_>,
    place: &'p TokenLocation,
    value: &[u8],
    now: UnixTime,
) -> Result<Token<'p>, Deny> {
    let location = &place.location;
    // What is known already is written as it should be.
    let known = |form: &'p TokenForm| {
        let token = form.behind_scheme(value)?;
        let known = means.known?.find(inbound, token, means.tokens, now)?;
        Some((form, token, known))
    };
    if let Some((form, token, known)) = place.forms.iter().find_map(known) {
        return placed(inbound, means, location, form, (token, known)).map(proved);
    }
    let written = |form: &'p TokenForm| Some((form, form.token(value)?));
    let Some((form, token)) = place.forms.iter().find_map(written) else {
        return Err(Deny::AuthorizationMalformed {
            place: location.to_string(),
        });
    };
    if form.is_for_static_tokens
        && let Some(peer) = inbound.bearer_tokens.find(token)
    {
        let caller = keyed(peer, Method::BearerToken, BEARER_TOKEN_ISSUER);
        return Ok(proved(lasting(inbound, caller, token, Some(location))));
    }
    let opaque =
        |otherwise| match form.is_for_opaque_tokens && token.len() <= inbound.tokens.max_token_bytes() {
            true => Ok(Token::Opaque(Opaque {
                token: Rc::new(Secret::new(token.to_vec())),
                location,
                otherwise,
            })),
            false => Err(otherwise),
        };
    if inbound.providers.is_empty() {
        return opaque(match inbound.lacks_bearer_token {
            true => Deny::SecretMissing,
            false => Deny::BearerTokenUnknown,
        });
    }
    match Known::verified(inbound, means, token, now) {
        Ok(known) => placed(inbound, means, location, form, (token, known)).map(proved),
        // No provider's: whoever else has issued it may know it.
        Err(
            error @ (jwt::Error::Malformed(_) | jwt::Error::Encrypted | jwt::Error::IssuerUnknown { .. }),
        ) => opaque(token_refused(inbound, form, error)),
        Err(error) => Err(token_refused(inbound, form, error)),
    }
}

fn proved(token: Proved<'_>) -> Token<'_> {
    Token::Proved(Box::new(token))
}

/// A verified token counts only where its provider lists the place.
fn placed<'p>(
    inbound: &'p Inbound,
    means: Means<'_>,
    location: &'p Location,
    form: &TokenForm,
    (token, known): (&[u8], Rc<Known>),
) -> Result<Proved<'p>, Deny> {
    let provider = provider(inbound, known.provider())?;
    if form.providers.binary_search(&known.provider()).is_err() {
        return Err(Deny::TokenMisplaced {
            provider: provider.name.as_str().into(),
            place: location.to_string().into(),
        });
    }
    Ok(Proved {
        caller: Rc::clone(&known.caller),
        provider: Some(provider),
        subjects: known.subjects,
        callers_token: means.policy.needs.callers_tokens.then(|| CallersToken {
            token: Rc::new(Secret::new(token.to_vec())),
            expires_at: known.expires_at(),
        }),
        introspection: None,
        audiences: None,
        token: Some(known),
        location: Some(location),
    })
}

fn provider(inbound: &Inbound, index: usize) -> Result<&Provider, Deny> {
    let provider = inbound.providers.get(index);
    provider.ok_or(Deny::Internal("a verified token of no provider"))
}

/// Why a token is refused. What may be good and cannot be checked here, for a secret is not there, is not called bad.
fn token_refused(inbound: &Inbound, form: &TokenForm, error: jwt::Error) -> Deny {
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
        jwt::Error::Malformed(_) if inbound.lacks_bearer_token && form.is_for_static_tokens => {
            Deny::SecretMissing
        }
        error => Deny::Token(error),
    }
}

/// The caller that a key of the configuration stands for.
fn keyed(peer: &Rc<Peer>, method: Method, issuer: &str) -> Caller {
    Caller {
        method,
        sub: Some(Rc::clone(&peer.name)),
        iss: issuer.into(),
        display_name: peer.display_name.as_deref().map(Into::into),
        scopes: peer.scopes.clone(),
        claims: claims::Claims::new(),
        peer: Some(Rc::clone(peer)),
    }
}

/// The caller that a certificate stands for: a peer, or, where none has its name, a caller without a peer.
fn certified(id: &str, peer: Option<&Rc<Peer>>) -> Caller {
    Caller {
        method: Method::Mtls,
        sub: Some(id.into()),
        iss: MTLS_ISSUER.into(),
        display_name: peer.and_then(|peer| peer.display_name.as_deref().map(Into::into)),
        scopes: peer.map(|peer| peer.scopes.clone()).unwrap_or_default(),
        claims: claims::Claims::new(),
        peer: peer.cloned(),
    }
}
