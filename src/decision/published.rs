//! Answers with the documents that the filter serves itself. Anybody may have them, from a page of any origin too.

use crate::decision::answer;
use crate::http::{Reply, Request};
use crate::policy::Policy;
use crate::policy::published::{CACHE_CONTROL, Kind};

/// The answer to a request for a document of the filter's own, and what that is: `GET` and `HEAD`, and the preflights of
/// both. Other methods of the path go the way of every request.
pub(super) fn published(policy: &Policy, request: &Request) -> Option<(Reply, Kind)> {
    let inbound = policy.inbound.as_ref()?;
    let asked = match request.method() {
        method @ (b"GET" | b"HEAD") => method,
        b"OPTIONS" => {
            request.headers.first(b"origin")?;
            request.headers.first(b"access-control-request-method")?
        }
        _ => return None,
    };
    if !matches!(asked, b"GET" | b"HEAD") {
        return None;
    }
    let page = inbound.published.find(request.path()?, request.authority())?;
    if let Some(host) = &page.host
        && inbound.is_for_another(host, request.authority())
    {
        return None;
    }
    let redactor = &policy.errors.redactor;
    let answer = [
        ("access-control-allow-origin", "*"),
        ("content-type", page.kind.content_type()),
        ("cache-control", CACHE_CONTROL),
    ];
    let (status, headers, body) = match (request.method(), &page.clean) {
        (b"OPTIONS", _) => (204, PREFLIGHT.as_slice(), redactor.clean(String::new())),
        (_, Some(clean)) => (200, answer.as_slice(), clean.clone()),
        (_, None) => (200, answer.as_slice(), redactor.clean(page.body.clone())),
    };
    let clean = |&(name, value): &(&'static str, &str)| (name, redactor.clean(value.to_owned()));
    let reply = Reply {
        status,
        details: reason(page.kind),
        grpc_status: None,
        headers: headers.iter().map(clean).collect(),
        body,
        edits: answer::without_secrets(redactor, request),
    };
    Some((reply, page.kind))
}

/// The reason of an answer, in logs and metrics.
pub(super) const fn reason(kind: Kind) -> &'static str {
    match kind {
        Kind::Keys => "keys_published",
        Kind::Metadata => "metadata_published",
        Kind::Card => "card_published",
    }
}

/// What a preflight is told. Of headers, all: `*` leaves `authorization` out, which must be named (Fetch standard §3.3.4);
/// clients send `mcp-protocol-version` and `a2a-version`, and some the token that they have.
const PREFLIGHT: [(&str, &str); 4] = [
    ("access-control-allow-origin", "*"),
    ("access-control-allow-methods", "GET, HEAD"),
    ("access-control-allow-headers", "*, authorization"),
    // What Chromium holds it down to.
    ("access-control-max-age", "7200"),
];
