//! The policy that comes out: what it holds, and how it is written.

use std::fmt::Write as _;

use serde_json::Value;

use crate::render::yaml::{comment, list, scalar};
use crate::visible::visible;

/// A policy before it is written.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) providers: Vec<Provider>,
    pub(super) rules: Vec<Rule>,
    pub(super) passes_preflights: bool,
    pub(super) is_terse: bool,
}

/// An issuer of tokens.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) name: String,
    pub(super) issuer: String,
    /// None: any will do.
    pub(super) audiences: Vec<String>,
    pub(super) keys: Keys,
    pub(super) algorithms: Vec<&'static str>,
    /// Name and prefix; none is the default.
    pub(super) from_headers: Option<Vec<(String, String)>>,
    pub(super) from_cookies: Vec<String>,
    pub(super) from_params: Vec<String>,
    pub(super) forwards: bool,
    pub(super) payload_header: Option<String>,
    pub(super) claim_headers: Vec<(String, String)>,
    pub(super) skew: Option<u64>,
    pub(super) max_lifetime: Option<u64>,
    /// `exact`, `prefix` or `suffix`, and the text.
    pub(super) subject: Option<(&'static str, String)>,
    pub(super) comments: Vec<String>,
}

/// Where keys come from.
#[derive(Debug)]
pub(super) enum Keys {
    Inline(Value),
    Remote {
        uri: String,
        cluster: String,
        timeout: Option<u64>,
        cache: Option<u64>,
    },
    Discovery {
        cluster: String,
    },
}

/// What a rule matches. Empty: everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) hosts: Vec<String>,
    pub(super) paths: Vec<String>,
    pub(super) prefixes: Vec<String>,
    pub(super) templates: Vec<String>,
    pub(super) methods: Vec<String>,
    pub(super) headers: Vec<(String, String)>,
}

impl Match {
    /// Whether it says nothing of paths.
    pub(super) fn is_any_path(&self) -> bool {
        let nothing = self.paths.is_empty() && self.prefixes.is_empty() && self.templates.is_empty();
        nothing || self.prefixes.iter().any(|prefix| prefix == "/")
    }

    /// Whether it takes every request.
    pub(super) fn is_everything(&self) -> bool {
        self.is_any_path() && self.hosts.is_empty() && self.methods.is_empty() && self.headers.is_empty()
    }

    fn write(&self) -> Option<String> {
        let mut parts = Vec::new();
        for (name, values) in [
            ("hosts", &self.hosts),
            ("paths", &self.paths),
            ("path_prefixes", &self.prefixes),
            ("path_templates", &self.templates),
            ("methods", &self.methods),
        ] {
            if !values.is_empty() {
                parts.push(format!("{name}: {}", list(values)));
            }
        }
        if !self.headers.is_empty() {
            let headers = self.headers.iter();
            let headers: Vec<String> = headers
                .map(|(name, value)| format!("{}: {}", scalar(name), scalar(value)))
                .collect();
            parts.push(format!("headers: {{{}}}", headers.join(", ")));
        }
        (!parts.is_empty()).then(|| format!("{{{}}}", parts.join(", ")))
    }
}

/// What a rule asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Deny,
    /// Nobody looks at a credential.
    Public,
    Accept(Accept),
}

/// The tokens that are good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Accept {
    /// None: of any provider.
    pub(super) providers: Vec<String>,
    /// Whether a request without a token passes.
    pub(super) is_optional: bool,
    pub(super) audiences: Vec<String>,
    pub(super) claims: Vec<(String, Vec<String>)>,
}

/// A rule of the policy.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) name: Option<&'static str>,
    pub(super) condition: Match,
    pub(super) action: Action,
    pub(super) comments: Vec<String>,
    /// Written as a comment: somebody must decide.
    pub(super) is_withheld: bool,
}

impl Rule {
    pub(super) fn new(condition: Match, action: Action) -> Self {
        Self {
            name: None,
            condition,
            action,
            comments: Vec::new(),
            is_withheld: false,
        }
    }

    /// In YAML, on one line.
    pub(super) fn written(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.name.map(|name| format!("name: {name}")));
        parts.extend(
            self.condition
                .write()
                .map(|condition| format!("match: {condition}")),
        );
        match &self.action {
            Action::Deny => parts.push("deny: true".to_owned()),
            Action::Public => parts.push("accept: [none]".to_owned()),
            Action::Accept(accept) => parts.extend(accept.parts()),
        }
        format!("{{{}}}", parts.join(", "))
    }
}

impl Accept {
    fn parts(&self) -> Vec<String> {
        let mut kinds: Vec<String> = match self.providers.is_empty() {
            true => vec!["jwt".to_owned()],
            false => self.providers.iter().map(|name| format!("jwt:{name}")).collect(),
        };
        if self.is_optional {
            kinds.push("none".to_owned());
        }
        let mut parts = vec![format!("accept: {}", list(&kinds))];
        let mut require = Vec::new();
        if !self.audiences.is_empty() {
            require.push(format!("audiences: {}", texts(&self.audiences)));
        }
        if !self.claims.is_empty() {
            let claims = self.claims.iter();
            let claims: Vec<String> = claims
                .map(|(name, values)| format!("{{name: {}, values: {}}}", scalar(name), list(values)))
                .collect();
            require.push(format!("claims: [{}]", claims.join(", ")));
        }
        if !require.is_empty() {
            parts.push(format!("require: {{{}}}", require.join(", ")));
        }
        parts
    }
}

impl Draft {
    /// The policy in YAML.
    pub(super) fn written(&self, head: &[String]) -> String {
        let mut text = String::new();
        for line in head {
            text += &comment(&visible(line));
        }
        text += "version: 1\nrole: inbound\ninbound:\n";
        if !self.providers.is_empty() {
            text += "  providers:\n";
            for provider in &self.providers {
                provider.write(&mut text);
            }
        }
        if self.passes_preflights {
            text += "  cors_preflight: pass\n";
        }
        if self.is_terse {
            text += "  errors: {verbose: false}\n";
        }
        match self.rules.iter().any(|rule| !rule.is_withheld) {
            true => text += "  rules:\n",
            false => text += "  # No rule: nobody is let in.\n  rules: []\n",
        }
        for rule in &self.rules {
            for line in &rule.comments {
                indented(&mut text, "    ", &comment(&visible(line)));
            }
            let mark = if rule.is_withheld { "# " } else { "" };
            let written = rule.written();
            let written = if rule.is_withheld {
                visible(&written)
            } else {
                written
            };
            text += &format!("    {mark}- {written}\n");
        }
        text
    }
}

impl Provider {
    fn write(&self, text: &mut String) {
        *text += &format!("    {}:\n", self.name);
        for line in &self.comments {
            indented(text, "      ", &comment(&visible(line)));
        }
        let mut member = |name: &str, value: String| *text += &format!("      {name}: {value}\n");
        member("issuer", escaped(&self.issuer));
        match self.audiences.is_empty() {
            true => member("insecure_any_audience", "true".to_owned()),
            false => member("audiences", texts(&self.audiences)),
        }
        member("jwks", self.keys.written());
        member("algorithms", list(&self.algorithms));
        member("required_claims", "[]".to_owned());
        if let Some((kind, subject)) = &self.subject {
            member("subjects", format!("[{{{kind}: {}}}]", scalar(subject)));
        }
        if let Some(skew) = self.skew {
            member("clock_skew_seconds", skew.to_string());
        }
        if let Some(seconds) = self.max_lifetime {
            member("max_lifetime_seconds", seconds.to_string());
        }
        if let Some(headers) = &self.from_headers {
            let headers = headers.iter();
            let headers: Vec<String> = headers
                .map(|(name, prefix)| match prefix.is_empty() {
                    true => format!("{{name: {}}}", scalar(name)),
                    false => format!("{{name: {}, value_prefix: {}}}", scalar(name), scalar(prefix)),
                })
                .collect();
            member("from_headers", format!("[{}]", headers.join(", ")));
        }
        if !self.from_cookies.is_empty() {
            member("from_cookies", list(&self.from_cookies));
        }
        if !self.from_params.is_empty() {
            member("insecure_from_params", list(&self.from_params));
        }
        if self.forwards {
            member("forward", "true".to_owned());
        }
        if let Some(header) = &self.payload_header {
            member("forward_payload_header", scalar(header));
        }
        if !self.claim_headers.is_empty() {
            let headers = self.claim_headers.iter();
            let headers: Vec<String> = headers
                .map(|(name, claim)| format!("{}: {}", scalar(name), scalar(claim)))
                .collect();
            member("claim_to_headers", format!("{{{}}}", headers.join(", ")));
        }
    }
}

impl Keys {
    fn written(&self) -> String {
        match self {
            // JSON is YAML too.
            Self::Inline(keys) => format!("{{inline: {keys}}}"),
            Self::Remote {
                uri,
                cluster,
                timeout,
                cache,
            } => {
                let mut text = format!("{{remote: {{uri: {}, cluster: {}", escaped(uri), scalar(cluster));
                if let Some(timeout) = timeout {
                    let _ = write!(text, ", timeout_seconds: {timeout}");
                }
                text.push('}');
                if let Some(cache) = cache {
                    let _ = write!(text, ", cache: {{seconds: {cache}}}");
                }
                text + "}"
            }
            Self::Discovery { cluster } => format!("{{discovery: {{cluster: {}}}}}", scalar(cluster)),
        }
    }
}

/// A TEXT, in which `${` would be a name.
fn escaped(text: &str) -> String {
    scalar(&text.replace('$', "$$"))
}

fn texts(texts: &[String]) -> String {
    list(texts.iter().map(|text| text.replace('$', "$$")))
}

fn indented(text: &mut String, indentation: &str, lines: &str) {
    for line in lines.lines() {
        *text += indentation;
        *text += line;
        text.push('\n');
    }
}
