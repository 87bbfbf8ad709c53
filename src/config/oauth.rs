//! Clients of authorization servers: `outbound.oauth_clients`.

mod token;

use std::rc::Rc;

use crate::config::endpoint::{discovery, endpoint};
use crate::config::nearest::nearest;
use crate::config::problem::{Kind, OauthProblem, ProviderProblem};
use crate::config::reader::{Node, Object, all};
use crate::config::secret::{Found, secret};
use crate::config::text::text;
use crate::excerpt::Excerpt;
use crate::jwks::{Algorithm, MAX_KID_BYTES};
use crate::oauth::{Client, ClientAuthentication, TokenEndpoint, is_own_parameter};
use crate::signer::SigningKey;

pub(super) use self::token::{Around, token};

/// All clients, whether or not they are good.
#[derive(Debug)]
pub(super) struct Clients<'c> {
    /// In the order of the document; `None` is one that could not be read.
    by_name: Vec<(&'c str, Option<Found<Rc<Client>>>)>,
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
        let is_read = members.is_some();
        let mut by_name = Vec::new();
        for (name, node) in members.unwrap_or_default() {
            by_name.push((name, client(name, &node)));
        }
        Self { by_name, is_read }
    }

    /// Those whose credentials are there; none if one of all could not be read.
    pub(super) fn all(&self) -> Option<Vec<Rc<Client>>> {
        let mut clients = Vec::new();
        for (_, client) in &self.by_name {
            clients.extend(client.clone()?.there());
        }
        self.is_read.then_some(clients)
    }

    /// The client of this name. Reports a name that is not there.
    pub(super) fn find(&self, node: &Node<'_>) -> Option<Found<Rc<Client>>> {
        let name = node.text()?;
        match self.by_name.iter().find(|(own, _)| *own == name) {
            Some((_, client)) => client.clone(),
            None if !self.is_read => None,
            None => node.refuse(OauthProblem::ClientUnknown {
                name: Excerpt::new(name),
                nearest: nearest(
                    name,
                    self.by_name.iter().map(|(name, _)| *name).take(MAX_CANDIDATES),
                )
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
    let authentication = client.required("auth").and_then(|node| {
        let issuer = issuer.as_ref().and_then(Option::as_deref);
        authentication(&node, client_id.as_deref(), issuer, token_endpoint.as_ref())
    });
    let parameters = client.or("parameters", Vec::new(), |node| parameters(&node));

    is_named.and(issuer)?;
    all_of!(token_endpoint, client_id, parameters, authentication);
    Some(authentication.map(|authentication| {
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
fn authentication(
    node: &Node<'_>,
    client_id: Option<&str>,
    issuer: Option<&str>,
    token_endpoint: Option<&TokenEndpoint>,
) -> Option<Found<ClientAuthentication>> {
    let auth = node.object(&["method", "secret", "key", "kid", "alg", "audience"])?;
    let method = auth.required("method").and_then(|node| {
        node.choice(&[
            ("none", Some(Method::None)),
            ("client_secret_basic", Some(Method::Basic)),
            ("client_secret_basic_raw", Some(Method::BasicRaw)),
            ("client_secret_post", Some(Method::Post)),
            ("private_key_jwt", Some(Method::PrivateKeyJwt)),
        ])
    })?;
    let (unused, with): (&[&'static str], _) = match method {
        Method::None => (&["secret", "key", "kid", "alg", "audience"], "method `none`"),
        Method::Basic | Method::BasicRaw | Method::Post => (&["key", "kid", "alg", "audience"], "a secret"),
        Method::PrivateKeyJwt => (&["secret"], "a key"),
    };
    refuse_with(&auth, unused, with)?;
    let make: fn(_) -> _ = match method {
        Method::None => return Some(Found::There(ClientAuthentication::None)),
        Method::PrivateKeyJwt => return private_key_jwt(&auth, issuer, token_endpoint),
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
    PrivateKeyJwt,
}

/// Without another word an assertion is for the issuer; where nobody names that, for the token endpoint.
fn private_key_jwt(
    auth: &Object<'_>,
    issuer: Option<&str>,
    token_endpoint: Option<&TokenEndpoint>,
) -> Option<Found<ClientAuthentication>> {
    let kid = auth.or("kid", None, |node| match text(&node)? {
        kid if kid.len() > MAX_KID_BYTES => node.refuse(ProviderProblem::KidTooLong(kid.len())),
        kid => Some(Some(kid)),
    });
    let algorithm = auth.or("alg", Algorithm::Es256, |node| {
        node.choice(&[
            ("ES256", Some(Algorithm::Es256)),
            ("RS256", Some(Algorithm::Rs256)),
            ("PS256", Some(Algorithm::Ps256)),
        ])
    });
    let audience = match (auth.optional("audience"), issuer, token_endpoint) {
        (Some(node), _, _) => text(&node),
        (None, Some(issuer), _) => Some(issuer.to_owned()),
        (None, None, Some(TokenEndpoint::At(endpoint))) => Some(endpoint.url.to_string()),
        // Metadata without an issuer was reported.
        (None, None, Some(TokenEndpoint::Discovered { .. }) | None) => None,
    };
    let node = auth.required("key")?;
    let (text, kid, algorithm) = (secret(&node), kid?, algorithm?);
    let key = text?.and_then(
        |text| match SigningKey::parse(text.expose(), algorithm, kid.as_deref()) {
            Ok(key) => Some(Box::new(key)),
            Err(error) => node.refuse(OauthProblem::SigningKey(error)),
        },
    )?;
    let audience = audience?;
    Some(key.map(|key| ClientAuthentication::PrivateKeyJwt { key, audience }))
}

/// Refuses what means nothing beside what else is said.
fn refuse_with(object: &Object<'_>, unused: &[&'static str], with: &'static str) -> Option<()> {
    let mut result = Some(());
    for member in unused.iter().filter(|member| object.has(member)) {
        result = object.refuse_member(member, OauthProblem::NotWith(with));
    }
    result
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
