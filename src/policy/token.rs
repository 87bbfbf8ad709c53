//! How a call gets a token of its own (`outbound.rules[].token`).

use std::rc::Rc;

use crate::oauth::{Client, GrantType, Target, TokenType};
use crate::policy::location::TokenForm;

/// Which token a call is given, and what stands for it.
#[derive(Debug)]
pub struct TokenPlan {
    /// Who asks for it.
    pub client: Rc<Client>,
    /// In exchange for what.
    pub grant: GrantType,
    /// For whom it is.
    pub target: Target,
    /// Whose token is exchanged. `None`: nobody's, for the grant is client credentials.
    pub subject: Option<Subject>,
    /// In whose name, in a token exchange.
    pub actor: Option<Actor>,
    /// What becomes of a call without a subject.
    pub on_missing_subject: OnMissingSubject,
    /// What becomes of a call for which no token is got.
    pub on_failure: OnFailure,
}

impl TokenPlan {
    /// The headers that tokens come in, in lower case: they are the mesh's, and no upstream's.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        let subject = self.subject.as_ref().and_then(|subject| match &subject.source {
            SubjectSource::Inbound => None,
            SubjectSource::Header(header, _) | SubjectSource::Assertion(header) => Some(header),
        });
        let actor = self.actor.as_ref().and_then(|actor| match actor {
            Actor::ClientCredentials => None,
            Actor::Header(header, _) => Some(header),
        });
        subject
            .into_iter()
            .chain(actor)
            .map(|header| header.name.as_str())
    }

    /// Whether it is the caller's own token, as it was verified on the stream, that is exchanged.
    pub fn exchanges_callers(&self) -> bool {
        let source = self.subject.as_ref().map(|subject| &subject.source);
        matches!(source, Some(SubjectSource::Inbound))
    }
}

/// Whose token is exchanged (`subject`).
#[derive(Debug)]
pub struct Subject {
    /// Where it comes from.
    pub source: SubjectSource,
    /// Its kind, in a token exchange.
    pub token_type: TokenType,
}

/// Where the subject's token comes from.
#[derive(Debug)]
pub enum SubjectSource {
    /// It is the one that was verified on this very stream, in a gateway.
    Inbound,
    /// The workload passes it on in a header.
    Header(TokenHeader, Verify),
    /// The workload passes the filter's own assertion on: it is the verified token behind that.
    Assertion(TokenHeader),
}

/// A header with a token.
#[derive(Debug)]
pub struct TokenHeader {
    /// Its name, in lower case.
    pub name: String,
    /// How a token is written there.
    pub form: TokenForm,
}

/// Who must have issued a token that a workload passes on (`verify`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// The provider of this index.
    Provider(usize),
    /// Whoever: it is not looked at (`insecure_unverified_subject`).
    Unverified,
}

/// In whose name a token is exchanged (`actor`).
#[derive(Debug)]
pub enum Actor {
    /// The client's own, with a token that it gets by its credentials.
    ClientCredentials,
    /// The workload passes a token on in a header.
    Header(TokenHeader, TokenType),
}

/// What becomes of a call without a subject (`on_missing_subject`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissingSubject {
    /// It is refused.
    Deny,
    /// It gets a token of the client's own.
    ClientCredentials,
    /// It goes on as it is.
    InsecureForward,
}

/// What becomes of a call for which no token is got (`on_failure`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It is refused.
    Deny,
    /// It goes on without the token that it came with.
    InsecureStrip,
    /// It goes on as it is.
    InsecureForward,
}
