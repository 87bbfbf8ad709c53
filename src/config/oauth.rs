//! Clients of authorization servers: `outbound.oauth_clients`.

mod token;

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::config::endpoint::{discovery, endpoint};
use crate::config::nearest::nearest;
use crate::config::problem::{Kind, OauthProblem};
use crate::config::reader::{Node, Object, all};
use crate::config::secret::{Found, secret};
use crate::config::text::text;
use crate::excerpt::Excerpt;
use crate::oauth::{Client, ClientAuthentication, TokenEndpoint, is_own_parameter};

pub(super) use self::token::{Around, token};

/// All clients, whether or not they are good.
#[derive(Debug)]
pub(super) struct Clients<'c> {
    /// `None` is one that could not be read.
    by_name: BTreeMap<&'c str, Option<Found<Rc<Client>>>>,
    /// Whether the section itself could be read: if not, every name could be meant to be there.
    is_read: bool,
}

impl<'c> Clients<'c> {
    /// Reads them. The outbound half is read elsewhere: only its clients are looked at.
    pub(super) fn read(document: &Object<'c>) -> Self {
        let section = document
            .optional("outbound")
            .filter(|node| node.kind() == Kind::Object)
            .and_then(|node| node.open_object()?.optional("oauth_clients"));
        let members = section.map_or_else(|| Some(Vec::new()), |node| node.members());
        Self {
            is_read: members.is_some(),
            by_name: members
                .unwrap_or_default()
                .into_iter()
                .map(|(name, node)| (name, client(name, &node)))
                .collect(),
        }
    }

    /// Those whose credentials are there; none if one of all could not be read.
    pub(super) fn all(&self) -> Option<Vec<Rc<Client>>> {
        let read = all(self.by_name.values().cloned())?;
        self.is_read
            .then(|| read.into_iter().filter_map(Found::there).collect())
    }

    /// The client of this name. Reports a name that is not there.
    pub(super) fn find(&self, node: &Node<'_>) -> Option<Found<Rc<Client>>> {
        let name = node.text()?;
        match self.by_name.get(name) {
            Some(client) => client.clone(),
            None if !self.is_read => None,
            None => node.refuse(OauthProblem::ClientUnknown {
                name: Excerpt::new(name),
                nearest: nearest(name, self.by_name.keys().copied().take(MAX_CANDIDATES))
                    .map(|name| Excerpt::new(name).to_string()),
            }),
        }
    }
}

fn client(name: &str, node: &Node<'_>) -> Option<Found<Rc<Client>>> {
    let is_named = node.check_name(name, LONGEST_NAME, "_-");
    let client = node.object(MEMBERS)?;
    let issuer = client.or("issuer", None, |node| text(&node).map(Some));
    let token_endpoint = token_endpoint(&client, issuer.as_ref());
    let client_id = client.required("client_id").and_then(|node| client_id(&node));
    let authentication = client
        .required("auth")
        .and_then(|node| authentication(&node, client_id.as_deref()));
    let parameters = client.or("parameters", Vec::new(), |node| parameters(&node));

    is_named?;
    issuer?;
    let (token_endpoint, client_id, parameters) = (token_endpoint?, client_id?, parameters?);
    Some(authentication?.map(|authentication| {
        Rc::new(Client::new(
            name.to_owned(),
            token_endpoint,
            client_id,
            authentication,
            parameters,
        ))
    }))
}

/// Reads `token_endpoint`, or `discovery` with `issuer`. An issuer that could not be read is `None`.
fn token_endpoint(client: &Object<'_>, issuer: Option<&Option<String>>) -> Option<TokenEndpoint> {
    let node = client.one_of(&["token_endpoint", "discovery"])?;
    if client.has("token_endpoint") {
        return endpoint(&node).map(TokenEndpoint::At);
    }
    let issuer = match issuer {
        Some(None) => client.refuse_missing("issuer", OauthProblem::IssuerMissing),
        issuer => issuer.cloned().flatten(),
    };
    let metadata = discovery(&node, issuer.as_deref());
    Some(TokenEndpoint::Discovered {
        metadata: metadata?,
        issuer: issuer?,
    })
}

/// RFC 6749 appendix A.1.
fn client_id(node: &Node<'_>) -> Option<String> {
    match text(node)? {
        id if id.bytes().all(|byte| matches!(byte, b' '..=b'~')) => Some(id),
        _ => node.refuse(OauthProblem::ClientId),
    }
}

/// Reads `auth`: the method, and what it rests on.
fn authentication(node: &Node<'_>, client_id: Option<&str>) -> Option<Found<ClientAuthentication>> {
    let auth = node.object(&["method", "secret"])?;
    let method = auth.required("method").and_then(|node| {
        node.choice(&[
            ("none", Some(Method::None)),
            ("client_secret_basic", Some(Method::Basic)),
            ("client_secret_basic_raw", Some(Method::BasicRaw)),
            ("client_secret_post", Some(Method::Post)),
            ("private_key_jwt", None),
        ])
    })?;
    let make: fn(_) -> _ = match method {
        Method::None => {
            return match auth.has("secret") {
                true => auth.refuse_member("secret", OauthProblem::NotWith("method `none`")),
                false => Some(Found::There(ClientAuthentication::None)),
            };
        }
        Method::Basic => ClientAuthentication::ClientSecretBasic,
        Method::BasicRaw => ClientAuthentication::ClientSecretBasicRaw,
        Method::Post => ClientAuthentication::ClientSecretPost,
    };
    let secret = auth.required("secret").and_then(|node| secret(&node));
    // RFC 7617 §2: the first colon ends the name.
    if method == Method::BasicRaw && client_id.is_some_and(|id| id.contains(':')) {
        return auth.refuse_member("method", OauthProblem::ColonInId);
    }
    secret.map(|secret| secret.map(make))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    None,
    Basic,
    BasicRaw,
    Post,
}

/// Reads `parameters`, in the order of the document.
fn parameters(node: &Node<'_>) -> Option<Vec<(String, String)>> {
    all(node.members()?.into_iter().map(|(name, node)| {
        if is_own_parameter(name) {
            return node.refuse(OauthProblem::OwnParameter);
        }
        Some((name.to_owned(), text(&node)?))
    }))
}

const MEMBERS: &[&str] = &[
    "token_endpoint",
    "discovery",
    "issuer",
    "client_id",
    "auth",
    "parameters",
];
/// Ours: a name is a label of metrics.
const LONGEST_NAME: usize = 64;
/// Ours: names that are compared with a wrong one, which may stand in each of many rules.
const MAX_CANDIDATES: usize = 100;
