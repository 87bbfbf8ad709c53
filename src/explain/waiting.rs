//! What a request would wait for, which the program asks nobody for.

use serde::Serialize;

use crate::answers::Kind;
use crate::callout::{Callout, Endpoint};
use crate::decision::Wish;
use crate::keys::{self, Location};
use crate::policy::Policy;
use crate::secret::REDACTED;
use crate::time::UnixTime;

/// A request of the filter's own: to whom it goes and what it says, without a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// `keys`, `token`, `metadata` or `introspection`.
    pub what: &'static str,
    /// The name of the provider, client or introspection in the policy.
    pub of: String,
    /// Method and URL.
    pub request: String,
    /// The Envoy cluster that it goes to.
    pub cluster: String,
    /// How long an answer may take.
    pub timeout_seconds: u16,
    /// What it says; the values of what could be secret are `*****`.
    pub parameters: Vec<(String, String)>,
}

impl Waiting {
    pub(super) fn of(wish: &Wish, policy: &Policy, now: UnixTime) -> Self {
        match wish {
            Wish::Keys(wish) => Self::of_keys(wish, policy),
            Wish::Answer(question) => {
                let what = match question.kind() {
                    Kind::Token => "token",
                    Kind::Metadata => "metadata",
                    Kind::Introspection => "introspection",
                };
                // Nothing that is signed with it is shown.
                let callout = question.ask(now, &[0; 48]);
                let unknown = Self {
                    what,
                    of: question.server().as_ref().to_owned(),
                    request: "cannot be made".to_owned(),
                    cluster: String::new(),
                    timeout_seconds: question.timeout_seconds(),
                    parameters: Vec::new(),
                };
                match callout {
                    Some(callout) => unknown.sending(&callout),
                    None => unknown,
                }
            }
        }
    }

    fn of_keys(wish: &keys::Wish, policy: &Policy) -> Self {
        let (keys::Wish::AnyKeys { provider } | keys::Wish::NewerKeys { provider }) = wish;
        let source = policy.keys.sources.iter().find(|(index, _)| index == provider);
        let endpoint = source.map(|(_, source)| match &source.location {
            Location::KeySet(endpoint) => endpoint,
            Location::Metadata { metadata, key_set } => key_set.as_ref().unwrap_or(metadata),
        });
        Self {
            what: "keys",
            of: source
                .map(|(_, source)| source.provider.clone())
                .unwrap_or_default(),
            request: endpoint
                .map(|endpoint| format!("GET {}", endpoint.url))
                .unwrap_or_default(),
            cluster: endpoint
                .map(|endpoint| endpoint.cluster.clone())
                .unwrap_or_default(),
            timeout_seconds: endpoint.map_or(0, |endpoint: &Endpoint| endpoint.timeout_seconds),
            parameters: Vec::new(),
        }
    }

    fn sending(self, callout: &Callout) -> Self {
        let header = |name: &str| {
            let mut headers = callout.headers.iter();
            headers
                .find(|(other, _)| *other == name)
                .map_or("", |(_, value)| value.as_str())
        };
        let request = [
            header(":method"),
            " ",
            header(":scheme"),
            "://",
            header(":authority"),
            header(":path"),
        ];
        let authorization = callout
            .authorization
            .as_ref()
            .map(|_| ("header authorization", REDACTED));
        let authorization = authorization.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let form = form_urlencoded::parse(callout.body.expose()).map(|(name, value)| {
            let value = if PLAIN.contains(&&*name) {
                &*value
            } else {
                REDACTED
            };
            (name.into_owned(), value.to_owned())
        });
        Self {
            request: request.concat(),
            cluster: callout.cluster.clone(),
            timeout_seconds: callout.timeout_seconds,
            parameters: authorization.into_iter().chain(form).collect(),
            ..self
        }
    }
}

/// Parameters that no secret stands in (RFC 6749, 7523, 7662, 8693, 8707).
const PLAIN: [&str; 11] = [
    "actor_token_type",
    "audience",
    "client_assertion_type",
    "client_id",
    "grant_type",
    "requested_token_type",
    "requested_token_use",
    "resource",
    "scope",
    "subject_token_type",
    "token_type_hint",
];
