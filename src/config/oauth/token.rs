//! The token that a call is given: `token` of an outbound rule.

use crate::config::document::Document;
use crate::config::header::{Use, header};
use crate::config::locations::scheme;
use crate::config::nearest::nearest;
use crate::config::oauth::{Clients, refuse_with};
use crate::config::peers::scope;
use crate::config::problem::{Kind, OauthProblem, PeerProblem, ShapeProblem};
use crate::config::reader::{Node, Object, distinct};
use crate::config::secret::Found;
use crate::config::text::text;
use crate::config::warning::Caution;
use crate::excerpt::Excerpt;
use crate::oauth::{GrantType, Target, TokenType, check_resource};
use crate::policy::location::{AUTHORIZATION, BEARER, TokenForm};
use crate::policy::token::{
    Actor, OnFailure, OnMissingSubject, Subject, SubjectSource, TokenHeader, TokenPlan, Verify,
};

/// What stands around the outbound rules.
#[derive(Debug)]
pub(in crate::config) struct Around<'c> {
    pub(in crate::config) clients: Clients<'c>,
    /// Whether a stream may be a gateway's, where the caller's token was verified on it.
    pub(in crate::config) sees_callers: bool,
    /// The names of the providers, in their order; `None` if they cannot be read.
    providers: Option<Vec<&'c str>>,
    /// The header of the filter's own assertion.
    assertion_header: Option<String>,
}

impl<'c> Around<'c> {
    /// Looks at the inbound half, which is read elsewhere.
    pub(in crate::config) fn new(document: &'c Document, clients: Clients<'c>, sees_callers: bool) -> Self {
        let inbound = document.member("inbound");
        let providers = match inbound.and_then(|inbound| inbound.member("providers")) {
            None => Some(Vec::new()),
            Some(Document::Object(members)) => {
                let there = members
                    .iter()
                    .filter(|(_, value)| !matches!(value, Document::Null));
                Some(there.map(|(name, _)| name.as_str()).collect())
            }
            Some(_) => None,
        };
        let assertion = inbound.and_then(|inbound| inbound.member("forward")?.member("assertion"));
        let header = assertion.and_then(|assertion| match assertion.member("header") {
            Some(Document::Text(name)) => Some(name.expose().to_ascii_lowercase()),
            Some(_) => None,
            None => Some(DEFAULT_ASSERTION_HEADER.to_owned()),
        });
        Self {
            clients,
            sees_callers,
            providers,
            assertion_header: header,
        }
    }
}

/// Reads `token` of a rule.
pub(in crate::config) fn token(node: &Node<'_>, around: &Around<'_>) -> Option<Found<TokenPlan>> {
    let token = node.object(MEMBERS)?;
    let client = token
        .required("client")
        .and_then(|node| around.clients.find(&node));
    let grant = token.or("grant", GrantType::TokenExchange, |node| {
        node.choice(&[
            ("token_exchange", Some(GrantType::TokenExchange)),
            ("jwt_bearer", Some(GrantType::JwtBearer)),
            ("client_credentials", Some(GrantType::ClientCredentials)),
        ])
    });
    let audiences = token.list("audience", distinct(text));
    let resources = token.list("resource", distinct(resource));
    let scopes = token.list("scope", distinct(scope));
    let requested_token_type = token.or("requested_token_type", None, |node| token_type(&node).map(Some));
    let subject = match grant {
        Some(GrantType::ClientCredentials) => Some(None),
        grant => subject(&token, grant, around).map(Some),
    };
    let actor = token.or("actor", None, |node| actor(&node).map(Some));
    let on_missing_subject = on_missing_subject(&token);
    let on_failure = on_failure(&token);

    let is_good = grant.and_then(|grant| check_grant(&token, grant));
    is_good?;
    all_of!(
        client,
        grant,
        resources,
        audiences,
        scopes,
        requested_token_type,
        subject,
        actor,
        on_missing_subject,
        on_failure
    );
    let target = Target {
        resources,
        audiences,
        scopes,
        requested_token_type,
    };
    Some(client.map(|client| TokenPlan {
        client,
        grant,
        target,
        subject,
        actor,
        on_missing_subject,
        on_failure,
    }))
}

/// Refuses what a grant has no use for.
fn check_grant(token: &Object<'_>, grant: GrantType) -> Option<()> {
    let (members, with): (&[&'static str], _) = match grant {
        GrantType::TokenExchange => return Some(()),
        GrantType::JwtBearer => (&["actor", "requested_token_type"], "grant `jwt_bearer`"),
        GrantType::ClientCredentials => (
            &["subject", "actor", "requested_token_type", "on_missing_subject"],
            "grant `client_credentials`",
        ),
    };
    refuse_with(token, members, with)
}

/// Reads `subject`. Without a header it is the caller's token that a gateway has verified.
fn subject(token: &Object<'_>, grant: Option<GrantType>, around: &Around<'_>) -> Option<Subject> {
    let subject = token.section(
        "subject",
        &[
            "from_header",
            "value_prefix",
            "type",
            "verify",
            "insecure_unverified_subject",
        ],
    )?;
    let token_type = subject.or("type", TokenType::ACCESS_TOKEN, |node| match grant {
        Some(GrantType::JwtBearer) => node.refuse(OauthProblem::NotWith("grant `jwt_bearer`")),
        _ => token_type(&node),
    });
    let unverified = subject.insecure_flag("insecure_unverified_subject", Caution::UnverifiedSubject);
    let source = match subject.optional("from_header") {
        Some(_) => {
            let header = token_header(&subject);
            let is_assertion = header
                .as_ref()
                .is_some_and(|header| around.assertion_header.as_deref() == Some(header.name.as_str()));
            match is_assertion {
                true => not_with(&subject, "the filter's own assertion")
                    .and(header)
                    .map(SubjectSource::Assertion),
                false => {
                    let verify = verify(&subject, unverified, around);
                    Some(SubjectSource::Header(header?, verify?))
                }
            }
        }
        None if subject.is_mistyped("from_header") => None,
        None if !around.sees_callers => subject.refuse_member("from_header", OauthProblem::SubjectMissing),
        None => not_with(&subject, "a caller's token that was verified on its way in")
            .map(|()| SubjectSource::Inbound),
    };
    Some(Subject {
        source: source?,
        token_type: token_type?,
    })
}

/// Refuses words on the verification of what is verified already.
fn not_with(subject: &Object<'_>, what: &'static str) -> Option<()> {
    refuse_with(subject, &["verify", "insecure_unverified_subject"], what)
}

/// Reads `verify`: a provider by its name, or the only one.
fn verify(subject: &Object<'_>, unverified: Option<bool>, around: &Around<'_>) -> Option<Verify> {
    let providers = around.providers.as_deref();
    match (subject.optional("verify"), unverified?) {
        (Some(_), true) => subject.node().refuse(ShapeProblem::Excluding(vec![
            "verify",
            "insecure_unverified_subject",
        ])),
        (None, true) => Some(Verify::Unverified),
        (Some(node), false) => {
            let name = node.text()?;
            match providers?.iter().position(|provider| *provider == name) {
                Some(index) => Some(Verify::Provider(index)),
                None => node.refuse(PeerProblem::ProviderUnknown {
                    name: Excerpt::new(name),
                    nearest: nearest(name, providers?.iter().copied().take(MAX_CANDIDATES))
                        .map(|name| Excerpt::new(name).to_string()),
                }),
            }
        }
        (None, false) => match providers? {
            [_] => Some(Verify::Provider(0)),
            others => {
                let has_some = !others.is_empty();
                subject.refuse_missing("verify", OauthProblem::VerifyMissing { has_some })
            }
        },
    }
}

/// Reads `actor`.
fn actor(node: &Node<'_>) -> Option<Actor> {
    if node.kind() != Kind::Object {
        return node
            .choice(&[("client_credentials", Some(()))])
            .map(|()| Actor::ClientCredentials);
    }
    let actor = node.object(&["from_header", "value_prefix", "type"])?;
    let token_type = actor.or("type", TokenType::ACCESS_TOKEN, |node| token_type(&node));
    let header = actor.required("from_header").and_then(|_| token_header(&actor));
    Some(Actor::Header(header?, token_type?))
}

/// Reads `from_header` and `value_prefix`.
fn token_header(object: &Object<'_>) -> Option<TokenHeader> {
    let name = object
        .optional("from_header")
        .and_then(|node| header(&node, Use::PutOn));
    let scheme = match object.optional("value_prefix") {
        Some(node) => scheme(&node),
        None => Some((name.as_deref() == Some(AUTHORIZATION)).then(|| BEARER.to_owned())),
    };
    Some(TokenHeader {
        name: name?,
        form: TokenForm {
            scheme: scheme?,
            providers: Vec::new(),
            is_for_static_tokens: false,
            is_for_opaque_tokens: false,
        },
    })
}

fn token_type(node: &Node<'_>) -> Option<TokenType> {
    let name = node.text()?;
    match TokenType::parse(name) {
        Some(token_type) => Some(token_type),
        None => node.refuse(OauthProblem::TokenType(Excerpt::new(name))),
    }
}

fn resource(node: &Node<'_>) -> Option<String> {
    let resource = text(node)?;
    match check_resource(&resource) {
        Ok(()) => Some(resource),
        Err(error) => node.refuse(OauthProblem::Resource(error)),
    }
}

fn on_missing_subject(token: &Object<'_>) -> Option<OnMissingSubject> {
    token.or("on_missing_subject", OnMissingSubject::Deny, |node| {
        let action = node.choice(&[
            ("deny", Some(OnMissingSubject::Deny)),
            ("client_credentials", Some(OnMissingSubject::ClientCredentials)),
            ("insecure_forward", Some(OnMissingSubject::InsecureForward)),
        ])?;
        if action == OnMissingSubject::InsecureForward {
            node.warn(Caution::MissingSubjectForwarded);
        }
        Some(action)
    })
}

fn on_failure(token: &Object<'_>) -> Option<OnFailure> {
    token.or("on_failure", OnFailure::Deny, |node| {
        let action = node.choice(&[
            ("deny", Some(OnFailure::Deny)),
            ("insecure_strip", Some(OnFailure::InsecureStrip)),
            ("insecure_forward", Some(OnFailure::InsecureForward)),
        ])?;
        match action {
            OnFailure::Deny => {}
            OnFailure::InsecureStrip => node.warn(Caution::FailureStripped),
            OnFailure::InsecureForward => node.warn(Caution::FailureForwarded),
        }
        Some(action)
    })
}

const MEMBERS: &[&str] = &[
    "client",
    "grant",
    "audience",
    "resource",
    "scope",
    "subject",
    "actor",
    "requested_token_type",
    "on_missing_subject",
    "on_failure",
];
const DEFAULT_ASSERTION_HEADER: &str = "x-agent-assertion";
/// Ours: names that are compared with a wrong one, which may stand in each of many rules.
const MAX_CANDIDATES: usize = 100;
