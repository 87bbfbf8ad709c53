//! The token that a call gets in place of its caller's.
//!
//! ```text
//! whose? ─► [verified?] ─► [in whose name?] ─► there? ─► put on
//!                                            └► [where to ask?] ─► wait ─► decided again
//! ```

use std::rc::Rc;

use crate::answers::{Answers, FailureKind, Found, Question};
use crate::assertion;
use crate::decision::known::Known;
use crate::decision::questions::{self, ForEndpoint, ForToken, HeldToken};
use crate::decision::{CallersToken, Deny, Means, Permit, Wish, record};
use crate::http::{Repeated, Request};
use crate::jwt;
use crate::oauth::{Client, GrantType, Target, TokenEndpoint, TokenRequest, TokenType};
use crate::policy::location::Location;
use crate::policy::outbound::{Rule, SharedSecret};
use crate::policy::token::{
    Actor, OnFailure, OnMissingSubject, Subject, SubjectSource, TokenHeader, TokenPlan, Verify,
};
use crate::secret::Secret;
use crate::state::Id;
use crate::time::UnixTime;

use super::{AUTHORIZATION, Call};

/// What a call gets.
pub(super) enum Token {
    /// Nothing: none is meant for it.
    NotMeant,
    /// Nothing, and it goes on as it is, with whatever it came with (`insecure_forward`).
    Untouched,
    /// What an attempt before this one has put there.
    Kept,
    /// Nothing, and it loses the one that it came with.
    Stripped,
    /// This one.
    Got { value: SharedSecret, receipt: Receipt },
}

impl Token {
    pub(super) fn receipt(&self) -> Option<Receipt> {
        match self {
            Self::Got { receipt, .. } => Some(*receipt),
            Self::NotMeant | Self::Untouched | Self::Kept | Self::Stripped => None,
        }
    }
}

/// Which answer a token was, so that it can be forgotten when the upstream refuses it.
#[derive(Debug, Clone, Copy)]
pub(in crate::decision) struct Receipt {
    pub(in crate::decision) id: Id,
    pub(in crate::decision) answer: crate::answers::Receipt,
}

/// How far it came.
pub(super) enum Obtained {
    /// To the end.
    Done(Result<Token, Deny>),
    /// Something is to be asked; and what becomes of the call if that is of no use.
    Asks {
        wish: Wish,
        otherwise: Result<Token, Deny>,
    },
}

/// Why there is no token now.
enum Lack {
    /// The call is refused, whatever the rule says of failures.
    Denied(Deny),
    /// None can be got.
    Failed(Deny),
    /// Something is to be asked first.
    Wish(Wish, Deny),
    /// There is nobody to get one for.
    Subject,
}

/// The token of a call, where its rule has one for it.
pub(super) fn obtain(means: Means<'_>, rule: &Rule, call: &Call<'_>, permit: &Permit) -> Obtained {
    let Some(plan) = &rule.token else {
        return Obtained::Done(Ok(Token::NotMeant));
    };
    let stands = call.request.headers.first(AUTHORIZATION.as_bytes()).is_some();
    if stands && rule.keeps_authorization {
        return Obtained::Done(Ok(Token::NotMeant));
    }
    let own = call.injected.as_ref();
    let own = own.filter(|injected| injected.is_by(&means.policy.identity, &rule.name));
    if stands && own.is_some_and(|injected| injected.headers.iter().any(|name| name == AUTHORIZATION)) {
        return Obtained::Done(Ok(Token::Kept));
    }
    // What another rule has put there is the mesh's own, and nobody's word for whom a call is made.
    let is_given = |name: &str| {
        let mut given = call.injected.iter().flat_map(|injected| &injected.headers);
        given.any(|given| given == name)
    };
    if plan.headers().any(is_given) {
        return Obtained::Done(Err(Deny::SubjectMissing));
    }
    let failed = |deny: Deny| match plan.on_failure {
        OnFailure::Deny => Err(deny),
        OnFailure::InsecureStrip => Ok(Token::Stripped),
        OnFailure::InsecureForward => Ok(Token::Untouched),
    };
    let Some(answers) = means.answers else {
        return Obtained::Done(Err(Deny::Internal("nobody can be asked for a token")));
    };
    let search = Search {
        means,
        answers,
        plan,
        request: call.request,
        is_second_run: call.run_before.is_some(),
        now: call.now,
    };
    match search.run(permit) {
        Ok(token) => Obtained::Done(Ok(token)),
        Err(Lack::Denied(deny)) => Obtained::Done(Err(deny)),
        Err(Lack::Failed(deny)) => Obtained::Done(failed(deny)),
        // Whose keys are missing is not known to be anybody.
        Err(Lack::Wish(wish @ Wish::Keys(_), deny)) => Obtained::Asks {
            wish,
            otherwise: Err(deny),
        },
        Err(Lack::Wish(wish, deny)) => Obtained::Asks {
            wish,
            otherwise: failed(deny),
        },
        Err(Lack::Subject) => Obtained::Done(match plan.on_missing_subject {
            OnMissingSubject::Deny | OnMissingSubject::ClientCredentials => Err(Deny::SubjectMissing),
            OnMissingSubject::InsecureForward => Ok(Token::Untouched),
        }),
    }
}

/// One call, and what its token is made of.
struct Search<'a> {
    means: Means<'a>,
    answers: &'a Answers,
    plan: &'a TokenPlan,
    request: &'a Request,
    is_second_run: bool,
    now: UnixTime,
}

impl Search<'_> {
    fn run(&self, permit: &Permit) -> Result<Token, Lack> {
        let client = &self.plan.client;
        let subject = match &self.plan.subject {
            Some(subject) => self.subject(subject, permit)?,
            None => None,
        };
        // On the second run of a redirect the subject is off, which is not the same as that there was none.
        let for_itself = self.plan.grant == GrantType::ClientCredentials
            || self.plan.on_missing_subject == OnMissingSubject::ClientCredentials && !self.is_second_run;
        let grant = match (subject, self.plan.grant) {
            (Some(subject), GrantType::TokenExchange) => questions::Means::TokenExchange {
                subject,
                actor: self.actor()?,
            },
            (Some(assertion), GrantType::JwtBearer) => questions::Means::JwtBearer { assertion },
            (None, _) if for_itself => questions::Means::ClientCredentials,
            (Some(_), GrantType::ClientCredentials) => questions::Means::ClientCredentials,
            (None, _) => return Err(Lack::Subject),
        };
        let (found, id) = self.token(client, &self.plan.target, grant)?;
        let value = found
            .value()
            .map_err(|failure| Lack::Failed(token_failed(client, failure.kind, &failure.detail)))?;
        Ok(Token::Got {
            value: Rc::new(Secret::new(value.to_vec())),
            receipt: Receipt {
                id,
                answer: found.receipt(),
            },
        })
    }

    /// A token for a target, or a failure to get it.
    fn token(
        &self,
        client: &Rc<Client>,
        target: &Target,
        grant: questions::Means,
    ) -> Result<(Found, Id), Lack> {
        let request = TokenRequest {
            client,
            grant: grant.grant(),
            target,
        };
        let id = *request.cache_key().as_bytes();
        let is_own = matches!(grant, questions::Means::ClientCredentials);
        // Its own tokens a client gets anew before they run out. Those of callers are got when they are needed.
        if !is_own && let Some(found) = self.answers.find(&id, self.now) {
            return Ok((found, id));
        }
        let pending = || token_failed(client, FailureKind::Unavailable, "no answer in time");
        let endpoint = match self.endpoint(client) {
            Ok(endpoint) => endpoint,
            // A token that is there needs no endpoint.
            Err(lack) => match self.answers.find(&id, self.now) {
                Some(found) => return Ok((found, id)),
                None => return Err(lack),
            },
        };
        let question: Rc<dyn Question> = Rc::new(ForToken::new(id, client, endpoint, target, grant));
        let found = if is_own {
            self.answers.find_fresh(&question, self.now)
        } else {
            None
        };
        match found {
            Some(found) => Ok((found, id)),
            None => Err(Lack::Wish(Wish::Answer(question), pending())),
        }
    }

    /// Where a client asks for tokens.
    fn endpoint(&self, client: &Rc<Client>) -> Result<crate::callout::Endpoint, Lack> {
        let question = match (client.token_endpoint(), ForEndpoint::of(client)) {
            (TokenEndpoint::At(endpoint), _) => return Ok(endpoint.clone()),
            (TokenEndpoint::Discovered { .. }, Some(question)) => Rc::new(question),
            (TokenEndpoint::Discovered { .. }, None) => {
                return Err(Lack::Denied(Deny::Internal("no metadata to ask for")));
            }
        };
        let failed = |detail: &str| token_failed(client, FailureKind::Unavailable, detail);
        let asked: Rc<dyn Question> = Rc::<ForEndpoint>::clone(&question);
        let Some(found) = self.answers.find_fresh(&asked, self.now) else {
            return Err(Lack::Wish(Wish::Answer(asked), failed("no metadata in time")));
        };
        let document = found
            .value()
            .map_err(|failure| Lack::Failed(failed(&failure.detail)))?;
        let endpoint = question.endpoint(document);
        endpoint.ok_or_else(|| Lack::Failed(failed("the metadata of the authorization server is of no use")))
    }

    /// Whose token it is, where there is somebody.
    fn subject(&self, subject: &Subject, permit: &Permit) -> Result<Option<HeldToken>, Lack> {
        let held = |token: Vec<u8>, expires_at| HeldToken {
            token: Rc::new(Secret::new(token)),
            token_type: subject.token_type.clone(),
            expires_at,
        };
        match &subject.source {
            SubjectSource::Inbound => Ok(permit.callers_token.as_ref().map(|verified| HeldToken {
                token: Rc::clone(&verified.token),
                token_type: subject.token_type.clone(),
                expires_at: Some(verified.expires_at),
            })),
            SubjectSource::Header(header, verify) => {
                let Some(token) = self.in_header(header)? else {
                    return Ok(None);
                };
                let expires_at = match verify {
                    Verify::Provider(provider) => Some(self.verify(header, *provider, token)?),
                    Verify::Unverified => {
                        jwt::unverified_expiry(token).map(|date| UnixTime::from_numeric_date(date.seconds()))
                    }
                };
                Ok(Some(held(token.to_vec(), expires_at)))
            }
            SubjectSource::Assertion(header) => {
                // Only this process knows what it has kept under the very text of an assertion: one that was made up or
                // changed, or is over, finds nothing.
                let assertion = self.in_header(header)?;
                let kept = assertion
                    .and_then(|assertion| self.answers.find_token(&assertion::id(assertion), self.now));
                let token = kept.and_then(|kept| CallersToken::from_bytes(kept.value().ok()?));
                Ok(token.map(|token| HeldToken {
                    token: token.token,
                    token_type: subject.token_type.clone(),
                    expires_at: Some(token.expires_at),
                }))
            }
        }
    }

    /// In whose name a token is exchanged, where it is in somebody's.
    fn actor(&self) -> Result<Option<HeldToken>, Lack> {
        match &self.plan.actor {
            None => Ok(None),
            Some(Actor::Header(header, token_type)) => {
                let token = self.in_header(header)?;
                let token = token.ok_or(Lack::Denied(Deny::ActorMissing))?;
                Ok(Some(HeldToken {
                    token: Rc::new(Secret::new(token.to_vec())),
                    token_type: token_type.clone(),
                    expires_at: None,
                }))
            }
            Some(Actor::ClientCredentials) => {
                let client = &self.plan.client;
                let own = questions::Means::ClientCredentials;
                let (found, _) = self.token(client, &Target::default(), own)?;
                let token = found
                    .value()
                    .map_err(|failure| Lack::Failed(token_failed(client, failure.kind, &failure.detail)))?;
                Ok(Some(HeldToken {
                    token: Rc::new(Secret::new(token.to_vec())),
                    token_type: TokenType::ACCESS_TOKEN,
                    expires_at: None,
                }))
            }
        }
    }

    /// The token of a header; none where the header is not there.
    fn in_header(&self, header: &TokenHeader) -> Result<Option<&[u8]>, Lack> {
        let place = || Location::Header(header.name.clone()).to_string();
        let value = self.request.headers.single(header.name.as_bytes());
        let value = value.map_err(|Repeated| Lack::Denied(Deny::CredentialRepeated { place: place() }))?;
        match value {
            None => Ok(None),
            Some(value) => match header.form.token(value) {
                Some(token) => Ok(Some(token)),
                None => Err(Lack::Denied(Deny::AuthorizationMalformed { place: place() })),
            },
        }
    }

    /// When a token ends that this provider has issued.
    fn verify(&self, header: &TokenHeader, provider: usize, token: &[u8]) -> Result<UnixTime, Lack> {
        let Some(inbound) = &self.means.policy.inbound else {
            return Err(Lack::Denied(Deny::NotConfigured));
        };
        let known = Known::verified(inbound, self.means, token, self.now);
        let known = known.map_err(|error| match record::wish(&error, &self.means.policy.keys) {
            Some(wish) => Lack::Wish(Wish::Keys(wish), Deny::Token(error)),
            None => Lack::Denied(Deny::Token(error)),
        })?;
        if known.provider() != provider {
            let name = inbound.providers.get(known.provider());
            return Err(Lack::Denied(Deny::TokenMisplaced {
                provider: name.map_or("", |provider| provider.name.as_str()).into(),
                place: Location::Header(header.name.clone()).to_string().into(),
            }));
        }
        Ok(known.expires_at())
    }
}

fn token_failed(client: &Client, kind: FailureKind, detail: &str) -> Deny {
    let (client, detail) = (client.name().into(), detail.into());
    match kind {
        FailureKind::Unavailable => Deny::TokenUnavailable { client, detail },
        FailureKind::Refused | FailureKind::Malformed => Deny::TokenRefused { client, detail },
    }
}
