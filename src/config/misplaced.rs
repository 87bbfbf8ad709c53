//! Members that were written one level too high: `paths` in a rule, where it belongs into `match`.

use crate::config::nearest::nearest;

/// Where a name that is unknown in an object is known, below it: `match.paths`. The object is told by its members.
pub(super) fn below(written: &str, known: &[&str]) -> Option<&'static str> {
    let (_, members) = SECTIONS.iter().find(|(member, _)| known.contains(member))?;
    let name = |member: &'static str| member.rsplit_once('.').map_or(member, |(_, name)| name);
    let meant = nearest(written, members.iter().map(|member| name(member)))?;
    members.iter().copied().find(|member| name(member) == meant)
}

/// By a member that only this kind of object has: what people look for in it, and where it is.
const SECTIONS: &[(&str, &[&str])] = &[
    (
        "accept",
        &[
            "match.hosts",
            "match.paths",
            "match.path_prefixes",
            "match.path_templates",
            "match.methods",
            "match.headers",
            "require.totp",
            "require.scopes",
            "require.audiences",
            "require.peers",
            "require.claims",
        ],
    ),
    (
        "query_params",
        &[
            "match.hosts",
            "match.clusters",
            "match.ports",
            "match.path_prefixes",
        ],
    ),
    (
        "providers",
        &[
            "errors.realm",
            "errors.expose_challenge",
            "agent_card.signed",
            "agent_card.static",
            "agent_card.merge",
            "forward.identity_headers",
            "forward.rb_auth_claims",
            "limits.max_token_bytes",
        ],
    ),
    (
        "inbound",
        &[
            "inbound.providers",
            "inbound.peers",
            "inbound.totp",
            "inbound.rules",
            "inbound.forward",
            "inbound.errors",
            "inbound.agent_card",
            "inbound.protected_resources",
            "inbound.introspection",
        ],
    ),
];
