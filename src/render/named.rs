//! What a policy names and does not hold: the variables and the clusters of the proxy that it is for.
//!
//! A policy is looked at here without the proxy's environment: no secret is there, and names in its texts stand for
//! themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::address::Address;
use super::error::RenderError;
use super::hops::ends;
use crate::config::nearest::nearest;
use crate::config::problem::TextProblem;
use crate::config::{Caution, Document, Environment, Errors, Loaded, Problem, load};
use crate::sealed::UNSEALING_KEY;

/// A policy that is good wherever what it names is there.
#[derive(Debug)]
pub struct Subject<'d> {
    /// The policy as it was written.
    pub document: &'d Document,
    /// The policy as it was read, with every secret missing.
    pub loaded: Loaded,
    /// What it names.
    pub named: Named,
}

/// What a policy names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Variables of the proxy's environment.
    pub variables: BTreeSet<String>,
    /// `WORKLOAD` and `NAMESPACE`, which the node's metadata answers first.
    pub metadata: BTreeSet<String>,
    /// Clusters, in the order of the document, each once.
    pub clusters: Vec<Cluster>,
}

impl Named {
    /// The variables but for the platform's, which need not be set.
    pub fn needed_variables(&self) -> impl Iterator<Item = &str> {
        let names = self.variables.iter().map(String::as_str);
        names.filter(|name| *name != HOSTS_BOUND)
    }
}

/// A cluster that a policy names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Where the policy names it first.
    pub path: String,
    /// What is asked or called there, as far as the policy tells.
    pub address: Option<Address>,
    /// Whether the port is no word of the policy, but what HTTPS has.
    pub is_guessed: bool,
}

impl<'d> Subject<'d> {
    /// Looks at a policy, with values for some names of its texts.
    ///
    /// # Errors
    /// Everything that is wrong with it but for what is not there.
    pub fn new(document: &'d Document, texts: &Environment) -> Result<Self, Errors> {
        own_word(document)?;
        let variables = variables(document);
        let mut environment = texts.clone();
        for name in variables.texts.iter().filter(|name| !is_metadata(name)) {
            let value = || placeholder(name, begins_url(document, name, false));
            environment.variables.entry(name.clone()).or_insert_with(value);
        }
        environment.workload.get_or_insert_with(|| "workload".to_owned());
        environment
            .namespace
            .get_or_insert_with(|| "namespace".to_owned());
        environment.variables.remove(UNSEALING_KEY);
        let loaded = load(&forgiving(document), &environment)?;
        let (metadata, texts) = variables.texts.into_iter().partition(|name| is_metadata(name));
        let mut named = Named {
            variables: texts,
            metadata,
            clusters: clusters(document),
        };
        named.variables.extend(variables.secrets);
        if document
            .member("outbound")
            .is_some_and(|half| half.member(QUERY_HOSTS).is_some())
        {
            named.variables.insert(HOSTS_BOUND.to_owned());
        }
        Ok(Self {
            document,
            loaded,
            named,
        })
    }

    /// Clusters of calls where no TLS is spoken, as their names have it and nobody said otherwise.
    pub fn clear_clusters(&self, addresses: &Addresses) -> Vec<&str> {
        let is_clear = |cluster: &&Cluster| cluster.address.as_ref().is_some_and(|address| !address.is_tls);
        let clusters = self.named.clusters.iter().filter(is_clear);
        clusters
            .filter(|cluster| {
                cluster.path.starts_with("outbound.rules") && !addresses.contains_key(&cluster.name)
            })
            .map(|cluster| cluster.name.as_str())
            .collect()
    }

    /// Refuses an address of a cluster that the policy does not have. Rules that name no cluster call their hosts.
    pub(super) fn refuse_unknown(&self, addresses: &Addresses) -> Result<(), RenderError> {
        let rules = self
            .document
            .member("outbound")
            .and_then(|half| half.member("rules"));
        let named = self.named.clusters.iter().map(|cluster| cluster.name.as_str());
        let known: Vec<&str> = named.chain(entries(rules).flat_map(ends)).collect();
        match addresses.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => {
                let near = nearest(name, known.iter().copied()).map(str::to_owned);
                Err(RenderError::NoSuchCluster(name.clone(), near))
            }
            None => Ok(()),
        }
    }

    /// Where secrets are written down, which nobody should copy.
    pub fn inline_secrets(&self) -> Vec<String> {
        let is_secret = |caution: &Caution| matches!(caution, Caution::InlineSecret | Caution::PrivateKey);
        let warnings = self.loaded.warnings.iter();
        let mut places: Vec<String> = warnings
            .filter(|warning| is_secret(warning.caution()))
            .map(|warning| warning.path().to_owned())
            .collect();
        private_keys(self.document, "", &mut places);
        places
    }
}

/// Where key sets (RFC 7517 §5) hold keys that are not public. The reader warns of `d` alone; symmetric keys it passes over.
fn private_keys(value: &Document, path: &str, places: &mut Vec<String>) {
    for (name, value) in members(Some(value)) {
        let path = match path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        for (index, entry) in entries(Some(value)).enumerate() {
            let path = format!("{path}[{index}]");
            let is_private = |member: &str| entry.member(member).is_some();
            let is_key = name == "keys" && entry.member("kty").is_some();
            if is_key && PRIVATE_MEMBERS.iter().any(|member| is_private(member)) && !places.contains(&path) {
                places.push(path.clone());
            }
            private_keys(entry, &path, places);
        }
        private_keys(value, &path, places);
    }
}

struct Variables {
    secrets: BTreeSet<String>,
    texts: BTreeSet<String>,
}

/// The names that the reader itself misses, where nothing is there.
fn variables(document: &Document) -> Variables {
    let mut found = Variables {
        secrets: BTreeSet::new(),
        texts: BTreeSet::new(),
    };
    let mut bare = forgiving(document);
    if let Document::Object(members) = &mut bare {
        let count = members.len();
        // What is sealed there may as well be set.
        members.retain(|(name, _)| name != "sealed_env");
        if members.len() < count {
            found.secrets.insert(UNSEALING_KEY.to_owned());
        }
    }
    let mut environment = Environment::default();
    // Each text tells its first name only: each turn finds a further one.
    loop {
        match load(&bare, &environment) {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    if let Caution::SecretMissing(name) = warning.caution() {
                        found.secrets.insert(name.clone());
                    }
                }
                return found;
            }
            Err(errors) => {
                let count = environment.variables.len();
                for error in errors.iter() {
                    if let Problem::Text(TextProblem::Unset(name)) = error.problem() {
                        found.texts.insert(name.clone());
                        let value = placeholder(name, begins_url(document, name, false));
                        environment.variables.insert(name.clone(), value);
                    }
                }
                if environment.variables.len() == count {
                    return found;
                }
            }
        }
    }
}

/// Whether `on_missing_secret` is well written, in whose place another word is read.
fn own_word(document: &Document) -> Result<(), Errors> {
    let bare = Document::from_json(br#"{"version": 1, "outbound": {}}"#).ok();
    let (Some(Document::Object(mut members)), Some(word)) = (bare, document.member(ON_MISSING_SECRET)) else {
        return Ok(());
    };
    members.push((ON_MISSING_SECRET.to_owned(), word.clone()));
    load(&Document::Object(members), &Environment::default()).map(|_| ())
}

/// The policy, with every secret allowed to be missing: that is no fault of the policy.
fn forgiving(document: &Document) -> Document {
    let mut document = document.clone();
    if let Document::Object(members) = &mut document {
        members.retain(|(name, _)| name != ON_MISSING_SECRET);
        let word = Document::from_json(br#"{"word": "deny_rule"}"#).ok();
        let word = word.as_ref().and_then(|word| word.member("word")).cloned();
        members.extend(word.map(|word| (ON_MISSING_SECRET.to_owned(), word)));
    }
    document
}

/// What a name stands for while nobody has said it: good for a host, or for a URL. No two are alike.
fn placeholder(name: &str, is_url: bool) -> String {
    let host = format!(
        "{}.placeholder.invalid",
        name.to_ascii_lowercase().replace('_', "-")
    );
    match is_url {
        true => format!("https://{host}"),
        false => host,
    }
}

/// Whether a URL of the policy begins with this name.
fn begins_url(value: &Document, name: &str, is_url: bool) -> bool {
    match value {
        Document::Text(text) => is_url && text.expose().starts_with(&format!("${{{name}}}")),
        Document::List(entries) => entries.iter().any(|entry| begins_url(entry, name, is_url)),
        Document::Object(members) => members
            .iter()
            .any(|(member, value)| begins_url(value, name, URLS.contains(&member.as_str()))),
        Document::Null | Document::Flag(_) | Document::Number(_) => false,
    }
}

fn is_metadata(name: &str) -> bool {
    METADATA.contains(&name)
}

fn clusters(document: &Document) -> Vec<Cluster> {
    let mut found = Clusters::default();
    let (inbound, outbound) = (document.member("inbound"), document.member("outbound"));
    for (name, provider) in members(inbound.and_then(|half| half.member("providers"))) {
        for source in ["discovery", "remote"] {
            let path = format!("inbound.providers.{name}.jwks.{source}.cluster");
            let endpoint = provider.member("jwks").and_then(|jwks| jwks.member(source));
            found.endpoint(endpoint, provider.member("issuer"), path);
        }
    }
    for (name, introspection) in members(inbound.and_then(|half| half.member("introspection"))) {
        let path = format!("inbound.introspection.{name}.endpoint.cluster");
        found.endpoint(introspection.member("endpoint"), None, path);
    }
    for (name, client) in members(outbound.and_then(|half| half.member("oauth_clients"))) {
        for source in ["token_endpoint", "discovery"] {
            let path = format!("outbound.oauth_clients.{name}.{source}.cluster");
            found.endpoint(client.member(source), client.member("issuer"), path);
        }
    }
    for (index, rule) in entries(outbound.and_then(|half| half.member("rules"))).enumerate() {
        let condition = rule.member("match");
        let clusters = texts(condition.and_then(|condition| condition.member("clusters")));
        let hosts = texts(condition.and_then(|condition| condition.member("hosts")));
        let port = entries(condition.and_then(|condition| condition.member("ports"))).find_map(number);
        for (at, cluster) in clusters.iter().enumerate() {
            let address = match (Address::of_istio(cluster), hosts.as_slice()) {
                (Some(address), _) => Some(address),
                (None, [host]) if clusters.len() == 1 => Some(Address::new(host, port.unwrap_or(HTTPS_PORT))),
                (None, _) => None,
            };
            let is_guessed = Address::of_istio(cluster).is_none() && port.is_none();
            found.add(
                cluster,
                address,
                is_guessed,
                format!("outbound.rules[{index}].match.clusters[{at}]"),
            );
        }
    }
    found.0
}

#[derive(Default)]
struct Clusters(Vec<Cluster>);

impl Clusters {
    fn endpoint(&mut self, endpoint: Option<&Document>, issuer: Option<&Document>, path: String) {
        let Some(name) = endpoint
            .and_then(|endpoint| endpoint.member("cluster"))
            .and_then(text)
        else {
            return;
        };
        let uri = endpoint.and_then(|endpoint| endpoint.member("uri")).or(issuer);
        self.add(name, uri.and_then(text).and_then(Address::of_url), false, path);
    }

    fn add(&mut self, name: &str, address: Option<Address>, is_guessed: bool, path: String) {
        let is_guessed = is_guessed && address.is_some();
        match self.0.iter_mut().find(|cluster| cluster.name == name) {
            Some(cluster)
                if cluster.address.is_none() || (cluster.is_guessed && !is_guessed && address.is_some()) =>
            {
                cluster.address = address;
                cluster.is_guessed = is_guessed;
            }
            Some(_) => {}
            None => self.0.push(Cluster {
                name: name.to_owned(),
                path,
                address,
                is_guessed,
            }),
        }
    }
}

/// The members of an object.
pub(super) fn members(object: Option<&Document>) -> impl Iterator<Item = (&str, &Document)> {
    let members = match object {
        Some(Document::Object(members)) => members.as_slice(),
        _ => &[],
    };
    members.iter().map(|(name, value)| (name.as_str(), value))
}

/// The entries of a list.
pub(super) fn entries(list: Option<&Document>) -> impl Iterator<Item = &Document> {
    let entries = match list {
        Some(Document::List(entries)) => entries.as_slice(),
        _ => &[],
    };
    entries.iter()
}

/// The texts of a list.
pub(super) fn texts(list: Option<&Document>) -> Vec<&str> {
    entries(list).filter_map(text).collect()
}

/// A text.
pub(super) fn text(value: &Document) -> Option<&str> {
    match value {
        Document::Text(text) => Some(text.expose()),
        _ => None,
    }
}

fn number(value: &Document) -> Option<u16> {
    match value {
        Document::Number(number) => number.as_u64().and_then(|number| number.try_into().ok()),
        _ => None,
    }
}

/// The platform's bound on hosts that get keys in the query: its own to set, and of no effect where it is not.
const HOSTS_BOUND: &str = "INSECURE_QUERYPARAM_AUTH_ALLOWED_HOSTS";
const QUERY_HOSTS: &str = "insecure_query_param_auth_allowed_hosts";
/// What a JWK has of its own (RFC 7518 §6.2.2, §6.3.2 and §6.4.1).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "k", "p", "q", "dp", "dq", "qi", "oth"];
const ON_MISSING_SECRET: &str = "on_missing_secret";
/// What the node's metadata answers.
const METADATA: [&str; 2] = ["WORKLOAD", "NAMESPACE"];
/// Members that hold URLs.
const URLS: [&str; 4] = ["uri", "issuer", "resource", "token_url"];
/// RFC 9110 §4.2.2.
const HTTPS_PORT: u16 = 443;

/// Addresses by the names of their clusters.
pub type Addresses = BTreeMap<String, Address>;
