//! What a hint says. The words are part of the contract: each stands in a test. Nothing of a secret is among them, and
//! no value of a header.

use std::fmt;

use crate::advice::samples::NOBODYS_HOST;
use crate::advice::strength::Weakness;
use crate::excerpt::Excerpt;

/// What may not be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "what a variant says tells what its fields hold")]
pub enum Advice {
    /// One half, which the role never looks at.
    NeverLookedAt { role: &'static str },
    /// A rule all of whose requests an earlier one takes.
    NeverMatches { by: String },
    /// A stricter rule misses some requests, and a weaker one behind it gets them.
    FallsThrough {
        requests: Requests,
        to: String,
        weakness: Weakness,
    },
    /// A path with another slash at its end goes to a weaker rule.
    SiblingFallsThrough {
        sibling: String,
        of: String,
        to: String,
        weakness: Weakness,
    },
    /// What stands below a path, of which one segment is free, goes to a weaker rule.
    BelowFallsThrough {
        of: String,
        to: String,
        weakness: Weakness,
    },
    /// `*` where it stands for itself.
    NoWildcard { member: &'static str },
    /// A method that nobody sends, with such a character in it.
    NoSuchMethod,
    /// A weaker rule takes some requests that a stricter one behind it names.
    TakesAway {
        requests: Requests,
        from: String,
        weakness: Weakness,
    },
    /// Clients cannot fetch the agent card.
    CardNotPublic,
    /// A rule in shadow, and a request that it matches and no enforced rule does.
    ShadowRefused {
        method: String,
        host: Option<String>,
        path: String,
    },
    /// No rule lets anybody in.
    LetsNobodyIn,
    /// A refusal that holds without the rule.
    RepeatsDefault,
    /// Credentials are optional on every path.
    OptionalEverywhere,
    /// An audience that every workload of the policy has.
    AudienceShared,
    /// Nobody can come as this peer.
    PeerWithoutCredential,
    /// A peer that a rule asks for, and whose credentials it does not accept.
    PeerNotAccepted { peer: String },
    /// A peer that a rule asks for together with a code, and that has no seed.
    PeerWithoutSeed { peer: String },
    /// No caller that a rule accepts has a seed.
    CodeOfNobody,
    /// No caller that a rule accepts has the scopes.
    ScopesOfNobody,
    /// Assertions that are good for this many seconds.
    AssertionLongLived(u32),
    /// Scopes of a peer that has tokens only.
    ScopesUncounted,
    /// No rule accepts this kind of credential.
    NotAccepted(Credential),
    /// No rule asks for a code.
    SeedUnused,
    /// A seed stands in two places.
    SeedShared { with: String },
    /// A key that can be guessed.
    KeyShort { bytes: usize },
    /// A secret that can be guessed.
    OneCharacter,
    /// No rule sends a key in the query.
    QuerySwitchUnused,
    /// No rule sends a key to this host.
    QueryHostUnused,
    /// No rule and no introspection has this client.
    ClientUnused,
    /// Every upstream for which a rule gets a token takes it for its own.
    TokenForAnybody,
    /// A path that the filter answers before any rule.
    ServedItself,
    /// A rule for MCP that lies in no protected resource.
    McpWithoutResource,
    /// A rule for MCP that accepts the tokens of a provider which has them forwarded.
    TokenBarred { provider: String },
    /// A protected resource for which nobody issues tokens.
    ResourceWithoutServer,
    /// A call that no rule matches takes a caller's token along, in this header.
    TokenTakenAlong {
        /// The header.
        header: String,
    },
}

/// The requests that another rule decides than the one that was written for them. Without paths, all.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "what a variant says tells what its fields hold")]
pub enum Requests {
    /// With methods that the stricter rule does not name.
    Methods {
        paths: Vec<String>,
        methods: Vec<&'static str>,
    },
    /// With methods that the weaker rule names.
    NamedMethods {
        paths: Vec<String>,
        methods: Vec<String>,
    },
    /// Without the header that the stricter rule asks for.
    WithoutHeader { paths: Vec<String> },
    /// With the header that the weaker rule asks for.
    WithHeader { paths: Vec<String> },
    /// To hosts that the stricter rule does not name.
    OtherHosts { paths: Vec<String> },
    /// To hosts that the weaker rule names.
    TheseHosts { paths: Vec<String> },
}

/// A kind of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// Tokens of a provider.
    Jwt,
    /// API keys.
    ApiKey,
    /// Static bearer tokens.
    BearerToken,
    /// Certificates of connections.
    Certificate,
    /// Opaque tokens of which a server is asked.
    Opaque,
}

impl Advice {
    /// What to do about it, where that is not plain.
    pub fn help(&self) -> Option<String> {
        let help = match self {
            Self::NeverMatches { .. } => {
                "the first rule that matches decides: put it before that one, or take it away"
            }
            Self::FallsThrough { requests, to, .. } => return Some(requests.help_with_fall(to)),
            Self::SiblingFallsThrough { .. } => {
                "some servers take one for the other: a prefix in `path_prefixes` covers both, or list both"
            }
            Self::BelowFallsThrough { .. } => "`**` at the end is everything below",
            Self::NoWildcard { .. } => {
                "`path_templates` knows `*` and `{name}` (one segment) and `**` (everything below); a prefix covers what is \
                 below it by itself"
            }
            Self::NoSuchMethod => "list the methods, or leave `methods` away for all of them",
            Self::TakesAway { requests, from, .. } => return Some(requests.help_with_taking(from)),
            Self::CardNotPublic => {
                "callers fetch it before they have a credential: put \
                 `{name: card, match: {paths: [/.well-known/agent-card.json], methods: [GET, HEAD]}, accept: [none]}` first"
            }
            Self::ShadowRefused { .. } => {
                "a rule in shadow neither refuses nor lets in: write one behind it that does what is done today, such as \
                 `accept: [none]`, or put the whole policy in shadow"
            }
            Self::LetsNobodyIn => "write a rule with `accept`",
            Self::RepeatsDefault => {
                "take it away, or give it a `name`, under which metrics and logs tell its refusals apart"
            }
            Self::OptionalEverywhere => {
                "name the paths that are for everybody in a rule with `accept: [none]`, and take `none` out here"
            }
            Self::AudienceShared => {
                "write `${WORKLOAD}` or `${NAMESPACE}` into it, or into `require.audiences` of the rules"
            }
            Self::PeerWithoutCredential => {
                "give it `tokens` (provider: value of its `peer_claim`), `api_keys`, `bearer_tokens` or `principals`"
            }
            Self::PeerNotAccepted { .. } => "add what the peer has to `accept`, or take it out of `peers`",
            Self::PeerWithoutSeed { .. } | Self::CodeOfNobody => {
                "add one under `inbound.peers.NAME.totp_seeds`"
            }
            Self::ScopesOfNobody => "add them under `inbound.peers.NAME.scopes`",
            Self::AssertionLongLived(_) => {
                "it is renewed by itself; a longer life is for messages that wait in a queue"
            }
            Self::ScopesUncounted => {
                "a token says its scopes itself, in the provider's `scope_claims`: these are for keys, static tokens and certificates"
            }
            Self::NotAccepted(credential) => return Some(credential.help()),
            Self::SeedUnused => "a rule asks for one with `require: {totp: true}`",
            Self::SeedShared { .. } => {
                "whoever holds it can make the codes of both: give each a seed of its own"
            }
            Self::KeyShort { .. } | Self::OneCharacter => {
                "make one by chance: `openssl rand -hex 32`, in base32 for a seed"
            }
            Self::QuerySwitchUnused | Self::QueryHostUnused | Self::ClientUnused => {
                "take it away until a rule needs it"
            }
            Self::ServedItself => "take it away: what the filter serves itself is public",
            Self::McpWithoutResource => {
                "add the URL that they reach it under to `inbound.protected_resources`"
            }
            Self::TokenBarred { .. } => {
                "the upstream gets the caller in headers, or in an assertion; `insecure_token_passthrough: true` of the \
                 rule lets tokens go on"
            }
            Self::ResourceWithoutServer => {
                "add `jwt` to `accept` of a rule for it, of a provider whose issuer is a URL"
            }
            Self::TokenTakenAlong { header } => {
                return Some(format!("`on_no_match: deny`, or `{header}` in `strip_headers`"));
            }
            Self::TokenForAnybody => "say for whom it is: `audience` (RFC 8693) or `resource` (RFC 8707)",
            Self::NeverLookedAt { .. } => return None,
        };
        Some(help.into())
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverLookedAt { role } => write!(formatter, "is never looked at, for `role` is `{role}`"),
            Self::NeverMatches { by } => {
                write!(formatter, "can never match: rule `{by}` takes everything that it would")
            }
            Self::FallsThrough {
                requests,
                to,
                weakness,
            } => write!(formatter, "{requests} fall to rule `{to}`, which {weakness}"),
            Self::SiblingFallsThrough {
                sibling,
                of,
                to,
                weakness,
            } => write!(
                formatter,
                "covers `{}` but not `{}`, which falls to rule `{to}`, and that {weakness}",
                Excerpt::new(of),
                Excerpt::new(sibling)
            ),
            Self::BelowFallsThrough { of, to, weakness } => write!(
                formatter,
                "`*` is one segment: what is below `{}` falls to rule `{to}`, which {weakness}",
                Excerpt::new(of)
            ),
            Self::NoWildcard { member } => {
                write!(formatter, "`*` stands for itself in `{member}`, and for nothing else")
            }
            Self::NoSuchMethod => formatter.write_str("`*` stands for itself, and no method has it"),
            Self::TakesAway {
                requests,
                from,
                weakness,
            } => write!(
                formatter,
                "{requests} never reach rule `{from}`: this one takes them, and {weakness}"
            ),
            Self::CardNotPublic => formatter.write_str("no rule makes the agent card public (`/.well-known/agent-card.json`)"),
            Self::ShadowRefused { method, host, path } => {
                let (host, whither) = match host.as_deref() {
                    Some(NOBODYS_HOST) => ("", " to a host that no rule names"),
                    host => (host.unwrap_or_default(), ""),
                };
                write!(
                    formatter,
                    "in shadow, and no enforced rule is for all that it matches: `{method} {}`{whither} is refused as `no_rule`",
                    Excerpt::new(&format!("{host}{path}"))
                )
            }
            Self::LetsNobodyIn => formatter.write_str("no rule lets anybody in"),
            Self::RepeatsDefault => formatter.write_str("refuses what would be refused without it"),
            Self::OptionalEverywhere => {
                formatter.write_str("callers without a credential get in on every path that no earlier rule matches")
            }
            Self::AudienceShared => formatter.write_str(
                "every workload that this policy serves has the same audience: a token for one is good at all others",
            ),
            Self::PeerWithoutCredential => {
                formatter.write_str("nobody can come as this peer: no token, key, static token or principal is its own")
            }
            Self::PeerNotAccepted { peer } => write!(formatter, "peer `{peer}` has nothing that this rule accepts"),
            Self::PeerWithoutSeed { peer } => write!(formatter, "peer `{peer}` has no seed, and this rule asks for a code"),
            Self::CodeOfNobody => formatter.write_str("no peer that this rule accepts has a seed"),
            Self::ScopesOfNobody => formatter.write_str("no peer that this rule accepts has these scopes"),
            Self::AssertionLongLived(seconds) => {
                write!(formatter, "who gets hold of an assertion can show it to the agent for {seconds} seconds")
            }
            Self::ScopesUncounted => formatter.write_str("never count: the peer comes with tokens only"),
            Self::NotAccepted(Credential::Jwt) => formatter.write_str("no rule accepts its tokens"),
            Self::NotAccepted(Credential::ApiKey) => formatter.write_str("no rule accepts `api_key`"),
            Self::NotAccepted(Credential::BearerToken) => formatter.write_str("no rule accepts `bearer_token`"),
            Self::NotAccepted(Credential::Opaque) => formatter.write_str("no rule accepts what it knows"),
            Self::NotAccepted(Credential::Certificate) => formatter.write_str("no rule accepts `mtls`"),
            Self::SeedUnused => formatter.write_str("no rule asks for a code"),
            Self::SeedShared { with } => write!(formatter, "is the same seed as {with}"),
            Self::KeyShort { bytes } => write!(formatter, "key has {bytes} bytes, and can be guessed below {LEAST_KEY_BYTES}"),
            Self::OneCharacter => formatter.write_str("is one character again and again"),
            Self::QuerySwitchUnused => formatter.write_str("no rule has `query_params`"),
            Self::QueryHostUnused => formatter.write_str("no rule sends a key to this host"),
            Self::ClientUnused => formatter.write_str("no rule and no introspection has this client"),
            Self::ServedItself => {
                formatter.write_str("the filter answers `GET` of this path itself, before any rule")
            }
            Self::McpWithoutResource => formatter
                .write_str("lies in no protected resource: MCP clients are not told where tokens come from"),
            Self::TokenBarred { provider } => write!(
                formatter,
                "tokens of provider `{provider}` go no further from here, for all its `forward: true`: MCP forbids it"
            ),
            Self::ResourceWithoutServer => formatter.write_str(
                "no rule there accepts tokens that a client could ask for: its metadata name no authorization server",
            ),
            Self::TokenTakenAlong { header } => write!(
                formatter,
                "a call that no rule matches, for its cluster perhaps, takes the caller's token in `{header}` along"
            ),
            Self::TokenForAnybody => formatter.write_str(
                "says nothing of whom the token is for: an upstream that gets it can use it at others",
            ),
        }
    }
}

impl Requests {
    /// Where the stricter rule misses them.
    fn help_with_fall(&self, to: &str) -> String {
        match self {
            Self::Methods { .. } | Self::NamedMethods { .. } => {
                format!("leave `methods` away here, or name those of rule `{to}`")
            }
            Self::WithoutHeader { .. } | Self::WithHeader { .. } => {
                "any caller can leave a header away: be as strict with those who do".into()
            }
            Self::OtherHosts { .. } | Self::TheseHosts { .. } => {
                format!(
                    "the host is the caller's word: leave `hosts` away here, or name those of rule `{to}`"
                )
            }
        }
    }

    /// Where the weaker rule takes them.
    fn help_with_taking(&self, from: &str) -> String {
        match self {
            Self::Methods { .. } | Self::NamedMethods { .. } => {
                format!("put rule `{from}` before this one, or name its methods")
            }
            Self::WithoutHeader { .. } | Self::WithHeader { .. } => {
                "any caller can send a header, which proves nothing".into()
            }
            Self::OtherHosts { .. } | Self::TheseHosts { .. } => {
                format!("the host is the caller's word: put rule `{from}` before this one, or name its hosts")
            }
        }
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = |paths: &[String]| match paths {
            [] => "requests".to_owned(),
            paths => format!("requests for {}", in_a_row(paths, "and")),
        };
        match self {
            Self::Methods { paths, methods } => {
                write!(
                    formatter,
                    "{} with method {}",
                    start(paths),
                    in_a_row(methods, "or")
                )
            }
            Self::NamedMethods { paths, methods } => {
                write!(
                    formatter,
                    "{} with method {}",
                    start(paths),
                    in_a_row(methods, "or")
                )
            }
            Self::WithoutHeader { paths } => write!(formatter, "{} without this header", start(paths)),
            Self::WithHeader { paths } => write!(formatter, "{} with this header", start(paths)),
            Self::OtherHosts { paths } => write!(formatter, "{} to other hosts", start(paths)),
            Self::TheseHosts { paths } => write!(formatter, "{} to these hosts", start(paths)),
        }
    }
}

impl Credential {
    fn help(self) -> String {
        let entry = match self {
            Self::Jwt => "jwt",
            Self::ApiKey => "api_key",
            Self::BearerToken => "bearer_token",
            Self::Certificate => "mtls",
            Self::Opaque => "introspection:NAME",
        };
        format!("add `{entry}` to `accept` of a rule, or take it away here")
    }
}

/// Names in backticks; of many, the first and how many more there are.
fn in_a_row(names: &[impl AsRef<str>], word: &str) -> String {
    let mut shown: Vec<String> = names
        .iter()
        .take(MAX_SHOWN)
        .map(|name| format!("`{}`", Excerpt::new(name.as_ref())))
        .collect();
    if names.len() > MAX_SHOWN {
        return format!("{} {word} {} more", shown.join(", "), names.len() - MAX_SHOWN);
    }
    match shown.pop() {
        Some(last) if !shown.is_empty() => format!("{} {word} {last}", shown.join(", ")),
        last => last.unwrap_or_default(),
    }
}

/// Ours: as the SHA-1 of TOTP seeds (RFC 4226 §4), 128 bits, were every byte by chance.
pub(crate) const LEAST_KEY_BYTES: usize = 16;
/// Ours: all methods that are looked for, and as many paths.
const MAX_SHOWN: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_counted() {
        let names: Vec<String> = (0..9).map(|index| format!("/{index}")).collect();
        assert_eq!(in_a_row(&names[..1], "or"), "`/0`");
        assert_eq!(in_a_row(&names[..3], "or"), "`/0`, `/1` or `/2`");
        assert_eq!(
            in_a_row(&names, "and"),
            "`/0`, `/1`, `/2`, `/3`, `/4`, `/5`, `/6` and 2 more"
        );
    }
}
