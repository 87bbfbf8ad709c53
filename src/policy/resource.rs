//! Protected resources (RFC 9728): what clients of OAuth, those of MCP before all, are told of where tokens come from.
//!
//! Besides its name, all that is told of a resource follows from the rules that decide there. Nothing of a request goes
//! into it: URLs begin as the resource was written.

use serde_json::Value;

use crate::authority::Authority;
use crate::callout::Url;
use crate::matcher::{HostMatch, PathPrefix, PathTemplate};
use crate::path::RequestPath;
use crate::policy::rule::{Action, Condition, Rule};
use crate::policy::{Enforcement, Inbound};

/// A protected resource (`inbound.protected_resources[]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its identifier, byte for byte as it was written: a URL without query and fragment.
    pub identifier: String,
    /// A name for people.
    pub name: Option<String>,
    /// Scheme and authority of the identifier.
    pub origin: String,
    /// The host, in the spelling of [`Authority::host`].
    pub host: String,
    /// The path: what lies below it is part of the resource.
    pub path: PathPrefix,
}

impl Resource {
    /// Where its metadata are served (RFC 9728 §3.1): a slash alone behind the host goes.
    pub fn metadata_path(&self) -> String {
        let path = self.identifier.strip_prefix(&self.origin).unwrap_or_default();
        let mut metadata = WELL_KNOWN.to_owned();
        if path != "/" {
            metadata.push_str(path);
        }
        metadata
    }

    /// The URL of its metadata, for challenges (RFC 9728 §5.1).
    pub fn metadata_url(&self) -> String {
        self.origin.clone() + &self.metadata_path()
    }

    /// Its metadata (RFC 9728 §2). What is empty is left away (§3.2).
    pub fn metadata(&self, inbound: &Inbound) -> String {
        let mut servers = Vec::new();
        let mut scopes = Vec::new();
        for rule in self.rules(&inbound.rules) {
            let Action::Authenticate(accept, require) = &rule.action else {
                continue;
            };
            for provider in &inbound.providers {
                // A gateway's assertions are nothing that a client could ask for.
                if !provider.is_assertion && accept.jwt.accepts(&provider.name) {
                    add_server(&mut servers, &provider.issuer);
                }
            }
            for asked in &inbound.introspections {
                if let (true, Some(issuer)) = (accept.introspections.contains(&asked.name), &asked.issuer) {
                    add_server(&mut servers, issuer);
                }
            }
            // Scopes of keys are nothing that a client could ask for.
            if accept.takes_issued_tokens() {
                for scope in &require.scopes {
                    if scope != OFFLINE_ACCESS {
                        add(&mut scopes, scope);
                    }
                }
            }
        }
        let mut document = "{\"resource\":".to_owned();
        add_json(&mut document, &self.identifier);
        add_list(&mut document, ",\"authorization_servers\":", &servers);
        add_list(&mut document, ",\"scopes_supported\":", &scopes);
        document.push_str(",\"bearer_methods_supported\":[\"header\"]");
        if let Some(name) = &self.name {
            document.push_str(",\"resource_name\":");
            add_json(&mut document, name);
        }
        if let Some(assertion) = &inbound.assertion
            && let Some(path) = &assertion.jwks_path
        {
            document.push_str(",\"jwks_uri\":");
            add_json(&mut document, &(self.origin.clone() + path));
        }
        document.push('}');
        document
    }

    /// The rules that decide at the resource or below it, in their order, up to the one that leaves nothing to others.
    pub fn rules<'r>(&self, rules: &'r [Rule]) -> Vec<&'r Rule> {
        let mut deciding = Vec::new();
        for rule in rules {
            if rule.enforcement == Enforcement::Enforce
                && let Some(is_all) = self.is_reached_by(&rule.condition)
            {
                deciding.push(rule);
                if is_all {
                    break;
                }
            }
        }
        deciding
    }

    /// Whether a rule can match here, and then whether it matches whatever is asked for here.
    fn is_reached_by(&self, condition: &Condition) -> Option<bool> {
        if !self.is_on_one_of(&condition.hosts) {
            return None;
        }
        let own = self.path.as_bytes();
        // Whether one of the paths is reached, and one of them whole.
        let mut reached = condition.is_any_path().then_some(true);
        let mut note = |is_all: bool| reached = Some(is_all || reached == Some(true));
        for path in &condition.paths {
            if is_within(path.as_bytes(), own) {
                note(false);
            }
        }
        for prefix in &condition.path_prefixes {
            let is_all = is_within(own, prefix.as_bytes());
            if is_all || is_within(prefix.as_bytes(), own) {
                note(is_all);
            }
        }
        for template in &condition.path_templates {
            if let Some(is_all) = is_reached_by_template(own, template) {
                note(is_all);
            }
        }
        reached.map(|is_all| is_all && condition.methods.is_empty() && condition.headers.is_empty())
    }

    fn is_on_one_of(&self, hosts: &[HostMatch]) -> bool {
        let authority = self.origin.split_once("://");
        let authority = authority.and_then(|(_, authority)| Authority::parse(authority.as_bytes()).ok());
        hosts.is_empty() || authority.is_some_and(|own| hosts.iter().any(|host| host.matches(&own)))
    }
}

/// The resource that a request is for: at its path or below it, the longest of these. Where resources of several hosts
/// are there, of that host; a proxy before this one may have given the host another name.
pub fn of_request<'p>(
    resources: &'p [Resource],
    path: &RequestPath<'_>,
    authority: &[u8],
) -> Option<&'p Resource> {
    let longest_of = |host: Option<&str>| {
        let mut longest: Option<&Resource> = None;
        for resource in resources {
            let length = resource.path.as_bytes().len();
            if resource.path.matches(path)
                && host.is_none_or(|host| host == resource.host)
                && longest.is_none_or(|other| other.path.as_bytes().len() < length)
            {
                longest = Some(resource);
            }
        }
        longest
    };
    let longest = longest_of(None)?;
    let is_of_another = |other: &Resource| other.host != longest.host && other.path.matches(path);
    match resources.iter().any(is_of_another) {
        true => longest_of(Some(Authority::parse(authority).ok()?.host())),
        false => Some(longest),
    }
}

/// Whether a path is a prefix, or below it.
fn is_within(path: &[u8], prefix: &[u8]) -> bool {
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// As [`Resource::is_reached_by`], of one template.
fn is_reached_by_template(own: &[u8], template: &PathTemplate) -> Option<bool> {
    let segments = || own.split(|byte| *byte == b'/').skip(1);
    let count = segments().count();
    let free = template.segments();
    if !free.iter().zip(segments()).all(|(free, own)| free.matches(own)) {
        return None;
    }
    match template.is_open() {
        // The rest is one segment at least, which may be empty: every path has one.
        true => Some(free.len() < count || free.is_empty()),
        false => (free.len() >= count).then_some(false),
    }
}

/// Adds an issuer, if it is a URL that a client can ask.
fn add_server<'t>(servers: &mut Vec<&'t str>, issuer: &'t str) {
    if Url::parse(issuer).is_ok() {
        add(servers, issuer);
    }
}

/// Adds a text that is not there yet.
fn add<'t>(texts: &mut Vec<&'t str>, text: &'t str) {
    if !texts.contains(&text) {
        texts.push(text);
    }
}

fn add_json(document: &mut String, text: &str) {
    document.push_str(&Value::from(text).to_string());
}

fn add_list(document: &mut String, name: &str, texts: &[&str]) {
    for (index, text) in texts.iter().enumerate() {
        document.push_str(if index == 0 { name } else { "," });
        document.push_str(if index == 0 { "[" } else { "" });
        add_json(document, text);
    }
    if !texts.is_empty() {
        document.push(']');
    }
}

/// RFC 9728 §3.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
/// A scope that says how long a client wants to stay, and nothing of a resource (OpenID Connect Core §11).
const OFFLINE_ACCESS: &str = "offline_access";

#[cfg(test)]
mod tests;
