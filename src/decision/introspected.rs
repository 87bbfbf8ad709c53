//! Opaque tokens: what they mean, only their server knows (RFC 7662). It is asked once for all who wait, and what it says
//! is kept for as long as the policy has it.

use std::rc::Rc;

use sha2::{Digest as _, Sha256};

use crate::answers::{FailureKind, Question};
use crate::claims::{self, Claims};
use crate::decision::credentials::{Presented, Proved};
use crate::decision::questions::ForClaims;
use crate::decision::second_factor::Subjects;
use crate::decision::{Caller, CallersToken, Deny, Method};
use crate::json;
use crate::jwt::{self, Audiences};
use crate::oauth::{Client, IntrospectionRequest};
use crate::policy::inbound::Introspection;
use crate::policy::location::Location;
use crate::policy::rule::Accept;
use crate::secret::Secret;
use crate::state::Id;

/// A token that is none of a provider's and no static one.
#[derive(Debug)]
pub(super) struct Opaque<'p> {
    pub(super) token: Rc<Secret<Vec<u8>>>,
    pub(super) location: &'p Location,
    /// Why it is refused where nobody is asked.
    pub(super) otherwise: Deny,
}

impl<'p> Opaque<'p> {
    /// Whose it is: the first of the introspections that a rule accepts which knows it as active.
    ///
    /// # Errors
    /// [`Deny`]. Where a server is to be asked first, the wish is left with what is presented.
    pub(super) fn prove(&self, presented: &Presented<'p, '_>, accept: &Accept) -> Result<Proved<'p>, Deny> {
        let mut refusal = self.otherwise.clone();
        let all = &presented.inbound().introspections;
        // In the order in which the rule names them.
        let named = |name: &String| all.iter().find(|introspection| introspection.name == *name);
        for introspection in accept.introspections.iter().filter_map(named) {
            match self.ask(presented, introspection) {
                // It is not good, there: another server may know it.
                Err(deny @ Deny::TokenInactive { .. }) => refusal = deny,
                proved => return proved,
            }
        }
        Err(refusal)
    }

    fn ask(&self, presented: &Presented<'p, '_>, introspection: &Introspection) -> Result<Proved<'p>, Deny> {
        let client = introspection.client.as_ref().ok_or(Deny::SecretMissing)?;
        let means = presented.means();
        let answers = means.answers.ok_or(Deny::Internal("nobody can be asked"))?;
        let unavailable = |detail: &str| Deny::IntrospectionUnavailable {
            introspection: introspection.name.as_str().into(),
            detail: detail.into(),
        };
        let id = self.id(introspection, client);
        let Some(found) = answers.find(&id, presented.now()) else {
            let question = ForClaims::new(id, introspection, client, Rc::clone(&self.token));
            let question: Rc<dyn Question> = Rc::new(question);
            presented.wish_for(question);
            return Err(unavailable("no answer in time"));
        };
        let document = found.value().map_err(|failure| match failure.kind {
            FailureKind::Refused => Deny::TokenInactive {
                introspection: introspection.name.as_str().into(),
                detail: failure.detail.clone(),
            },
            FailureKind::Unavailable | FailureKind::Malformed => unavailable(&failure.detail),
        })?;
        let claims =
            json::object(document, MAX_DEPTH).map_err(|_| unavailable("an answer that is no object"))?;
        let callers_token = means.policy.needs.callers_tokens.then(|| CallersToken {
            token: Rc::clone(&self.token),
            expires_at: found.expires_at(),
        });
        let audiences = jwt::audiences(&claims).map(str::to_owned).collect();
        let caller = caller(introspection, claims);
        let (totp, kind) = (&presented.inbound().totp, Method::Introspection.as_str());
        Ok(Proved {
            audiences: Some(audiences),
            subjects: Subjects::new(
                totp,
                &caller,
                Some(&introspection.name),
                kind,
                self.token.expose(),
            ),
            caller: Rc::new(caller),
            provider: None,
            introspection: Some(introspection.name.as_str().into()),
            token: None,
            callers_token,
            location: Some(self.location),
        })
    }

    /// What an answer depends on, and what it was held against: another policy may hold it against something else.
    fn id(&self, introspection: &Introspection, client: &Client) -> Id {
        let request = IntrospectionRequest {
            client,
            endpoint: &introspection.endpoint,
            token: self.token.expose(),
        };
        let mut digest = Sha256::new();
        digest.update(request.cache_key().as_bytes());
        digest.update(introspection.cache_seconds.to_be_bytes());
        let audiences = match &introspection.audiences {
            Audiences::Any => &[],
            Audiences::OneOf(audiences) => audiences.as_slice(),
        };
        let issuer = introspection.issuer.as_deref().unwrap_or_default();
        for text in audiences.iter().map(String::as_str).chain([issuer]) {
            digest.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(text);
        }
        digest.finalize().into()
    }
}

/// The caller that an opaque token stands for.
fn caller(introspection: &Introspection, claims: Claims) -> Caller {
    let text = |name: &str| claims.get(name).and_then(|value| value.as_str());
    let peer = introspection
        .peer_claim
        .find(&claims)
        .and_then(|value| value.as_str())
        .and_then(|value| introspection.peers.get(value));
    let issuer = introspection.issuer.clone();
    Caller {
        method: Method::Introspection,
        peer: peer.cloned(),
        sub: text("sub").map(Into::into),
        // Which of several servers has vouched is told by its name where it has no issuer.
        iss: issuer.unwrap_or_else(|| introspection.name.as_str().into()),
        display_name: text("name").or_else(|| text("username")).map(Into::into),
        scopes: claims::scopes(&claims, &introspection.scope_claims),
        claims,
    }
}

/// As of the answer itself.
const MAX_DEPTH: usize = 16;
