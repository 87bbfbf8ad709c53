//! From a refusal to the answer that the caller understands: status, challenge, body.

use serde_json::Value;

use crate::decision::deny::{Class, Deny, Told};
use crate::decision::{ORIGINAL_PATH, ORIGINAL_URL};
use crate::http::{Edits, Reply, Request, media_type};
use crate::path::{RequestPath, without_query};
use crate::policy::resource::{self, Resource};
use crate::policy::rule::Protocol;
use crate::policy::{ErrorStyle, Inbound};
use crate::redact::Redactor;

/// What the answer depends on besides the refusal.
#[derive(Debug)]
pub struct Circumstances<'a> {
    /// How refusals are worded.
    pub style: &'a ErrorStyle,
    /// The request.
    pub request: &'a Request,
    /// What the rule says its callers speak.
    pub protocol: Protocol,
    /// The scopes that the rule wants.
    pub scopes: &'a [String],
    /// The half that has decided, for its protected resources.
    pub inbound: Option<&'a Inbound>,
}

impl<'a> Circumstances<'a> {
    /// Where no rule was found.
    pub const fn plain(style: &'a ErrorStyle, request: &'a Request) -> Self {
        Self {
            style,
            request,
            protocol: Protocol::Auto,
            scopes: &[],
            inbound: None,
        }
    }

    /// The protected resource that the request is for.
    fn resource(&self) -> Option<&'a Resource> {
        let inbound = self.inbound?;
        let path = RequestPath::raw(self.request.path()?);
        let resource = resource::of_request(&inbound.resources, &path, self.request.authority())?;
        (!inbound.is_for_another(&resource.host, self.request.authority())).then_some(resource)
    }
}

/// The answer to a refused request.
pub fn reply(deny: &Deny, circumstances: &Circumstances<'_>) -> Reply {
    let Circumstances { style, request, .. } = circumstances;
    let speech = Speech::of(circumstances.protocol, request);
    let status = status(deny, circumstances.protocol);
    let told = match deny.class() {
        // A second factor too that is 403, for MCP: what stands for a 401 tells no more than one.
        Class::Unauthenticated | Class::InvalidToken | Class::SecondFactor if !style.verbose => Told {
            reason: status.google,
            ..Told::credentials_invalid()
        },
        _ => deny.told(),
    };
    let mut headers = Vec::new();
    if let Some(challenge) = challenge(deny, &status, &told.text, circumstances) {
        headers.push(("www-authenticate", challenge));
    }
    if let Some(seconds) = retry_after(deny) {
        headers.push(("retry-after", seconds.to_string()));
    }
    if style.exposes_challenge && !headers.is_empty() && request.headers.first(b"origin").is_some() {
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        headers.push(("access-control-expose-headers", names.join(", ")));
    }
    let (content_type, body) = body(speech, &status, &told, style);
    headers.push(("content-type", content_type.to_owned()));
    headers.push(("cache-control", "no-store".to_owned()));
    let redactor = &style.redactor;
    let clean = |(name, value)| (name, redactor.clean(value));
    Reply {
        status: status.http,
        details: deny.reason(),
        grpc_status: (speech == Speech::Grpc).then_some(status.grpc),
        headers: headers.into_iter().map(clean).collect(),
        body: redactor.clean(body),
        edits: without_secrets(redactor, request),
    }
}

/// What a caller understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    Grpc,
    JsonRpc,
    A2aRest,
    Http,
}

impl Speech {
    /// A rule may say it; else the request shows it. A gRPC caller is answered in gRPC whatever the rule says, for
    /// it understands nothing else, and nobody else is.
    fn of(protocol: Protocol, request: &Request) -> Self {
        let content_type = request.headers.first(b"content-type").unwrap_or_default();
        if content_type == b"application/grpc" || content_type.starts_with(b"application/grpc+") {
            return Self::Grpc;
        }
        match protocol {
            Protocol::JsonRpc | Protocol::Mcp => Self::JsonRpc,
            Protocol::A2aRest => Self::A2aRest,
            Protocol::Http | Protocol::Grpc => Self::Http,
            Protocol::Auto => {
                let is_rest_path = request.path().is_some_and(is_a2a_rest_path);
                let is_post_of_json =
                    request.method() == b"POST" && is_media_type(content_type, b"application/json");
                if is_post_of_json && !is_rest_path {
                    Self::JsonRpc
                } else if is_rest_path
                    || is_media_type(content_type, b"application/a2a+json")
                    || request.headers.first(b"a2a-version").is_some()
                {
                    Self::A2aRest
                } else {
                    Self::Http
                }
            }
        }
    }
}

/// The routes of A2A over HTTP and JSON: `/v1/…` (0.3), and the custom verbs of 1.0 wherever they are mounted.
fn is_a2a_rest_path(path: &[u8]) -> bool {
    let path = without_query(path);
    path.starts_with(b"/v1/") || A2A_VERBS.iter().any(|verb| path.ends_with(verb))
}

/// Whether a `Content-Type` is of this media type.
fn is_media_type(content_type: &[u8], wanted: &[u8]) -> bool {
    media_type(content_type).eq_ignore_ascii_case(wanted)
}

/// After how long the same request may meet another answer (RFC 9110 §10.2.3).
fn retry_after(deny: &Deny) -> Option<u64> {
    match deny.class() {
        Class::Unavailable => Some(RETRY_AFTER_SECONDS),
        Class::Throttled { seconds } => Some(seconds),
        Class::InvalidRequest
        | Class::Unauthenticated
        | Class::InvalidToken
        | Class::SecondFactor
        | Class::InsufficientScope
        | Class::Forbidden
        | Class::BadGateway => None,
    }
}

struct Status {
    http: u16,
    title: &'static str,
    /// Of google.rpc.Code.
    grpc: u8,
    google: &'static str,
}

fn status(deny: &Deny, protocol: Protocol) -> Status {
    match deny.class() {
        Class::InvalidRequest => Status {
            http: 400,
            title: "Bad Request",
            grpc: 3,
            google: "INVALID_ARGUMENT",
        },
        // Any 401 restarts the OAuth flow of an MCP client, browser and all; its bearer token was good.
        Class::SecondFactor if protocol == Protocol::Mcp => FORBIDDEN,
        Class::Unauthenticated | Class::InvalidToken | Class::SecondFactor => Status {
            http: UNAUTHORIZED,
            title: "Unauthorized",
            grpc: 16,
            google: "UNAUTHENTICATED",
        },
        Class::Throttled { .. } => Status {
            http: 429,
            title: "Too Many Requests",
            grpc: 8,
            google: "RESOURCE_EXHAUSTED",
        },
        Class::InsufficientScope | Class::Forbidden => FORBIDDEN,
        Class::BadGateway => Status {
            http: 502,
            title: "Bad Gateway",
            grpc: 14,
            google: "UNAVAILABLE",
        },
        Class::Unavailable => Status {
            http: 503,
            title: "Service Unavailable",
            grpc: 14,
            google: "UNAVAILABLE",
        },
    }
}

/// The challenge (RFC 6750 §3, RFC 9728 §5.1). The Bearer challenge comes first: MCP clients take the first hit.
fn challenge(deny: &Deny, status: &Status, text: &str, circumstances: &Circumstances<'_>) -> Option<String> {
    let class = deny.class();
    let error = match class {
        Class::Unauthenticated => None,
        Class::InvalidToken => Some("invalid_token"),
        Class::SecondFactor if status.http == UNAUTHORIZED => Some("insufficient_user_authentication"),
        Class::InsufficientScope => Some("insufficient_scope"),
        Class::InvalidRequest
            if matches!(
                deny,
                Deny::CredentialRepeated { .. } | Deny::CredentialsInTwoPlaces { .. } | Deny::TokenInQuery
            ) =>
        {
            Some("invalid_request")
        }
        Class::SecondFactor
        | Class::Throttled { .. }
        | Class::InvalidRequest
        | Class::Forbidden
        | Class::BadGateway
        | Class::Unavailable => return None,
    };
    let mut challenge = "Bearer ".to_owned();
    let realm = &circumstances.style.realm;
    parameter(&mut challenge, "realm", realm);
    if let Some(error) = error {
        parameter(&mut challenge, ", error", error);
        if class != Class::InsufficientScope {
            parameter(&mut challenge, ", error_description", &description(text));
        }
    }
    if class != Class::InvalidRequest {
        if let Some(resource) = circumstances.resource() {
            parameter(&mut challenge, ", resource_metadata", &resource.metadata_url());
        }
        if !circumstances.scopes.is_empty() {
            parameter(&mut challenge, ", scope", &circumstances.scopes.join(" "));
        }
    }
    if class == Class::SecondFactor {
        parameter(&mut challenge, ", TOTP realm", realm);
    }
    Some(challenge)
}

/// Adds a parameter in quotes. No value holds what would need an escape there (RFC 9110 §5.6.4): realm, scopes and
/// resources are read so, descriptions made so.
fn parameter(challenge: &mut String, name: &str, value: &str) {
    challenge.push_str(name);
    challenge.push_str("=\"");
    challenge.push_str(value);
    challenge.push('"');
}

/// The characters of `error_description` (RFC 6750 §3): printable ASCII without `"` and `\`.
fn description(text: &str) -> String {
    text.chars()
        .filter(|character| matches!(character, ' ' | '!' | '#'..='[' | ']'..='~'))
        .collect()
}

/// The body, and its media type. Only the text may hold what needs an escape.
fn body(
    speech: Speech,
    status: &Status,
    Told { reason, text }: &Told,
    style: &ErrorStyle,
) -> (&'static str, String) {
    let message = Value::from(&**text).to_string();
    let http = status.http.to_string();
    match speech {
        Speech::Grpc => ("application/grpc", text.to_string()),
        Speech::JsonRpc => {
            let code = style.jsonrpc_code.to_string();
            let start = "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":";
            let body = [start, &code, ",\"message\":", &message, "}}"].concat();
            ("application/json", body)
        }
        // The form of google.rpc.Status.
        Speech::A2aRest => {
            let start = "{\"error\":{\"code\":";
            let info = ",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"";
            let code = [start, &http, ",\"status\":\"", status.google].concat();
            let end = [info, reason, "\",\"domain\":\"peergate\"}]}}"].concat();
            let body = [&code, "\",\"message\":", &message, &end].concat();
            ("application/json", body)
        }
        // RFC 9457 §4.2.1: with `about:blank` the title is the status's own phrase.
        Speech::Http => {
            let start = "{\"type\":\"about:blank\",\"title\":\"";
            let status = [start, status.title, "\",\"status\":", &http].concat();
            let body = [&status, ",\"detail\":", &message, "}"].concat();
            ("application/problem+json", body)
        }
    }
}

/// What access logs print of a refused request is the request as it stands when it is answered.
pub(super) fn without_secrets(redactor: &Redactor, request: &Request) -> Edits {
    let mut edits = Edits::default();
    // Envoy's default log prints it as the path: a caller's own would hide what was asked for.
    edits.remove(ORIGINAL_PATH);
    for name in LOGGED_URLS {
        if let Some(url) = request.headers.first(name) {
            let redacted = redactor.sanitize(url);
            if redacted != url {
                edits.set(name, redacted);
            }
        }
    }
    edits
}

/// What holds URLs that access logs print.
const LOGGED_URLS: [&[u8]; 3] = [b":path", ORIGINAL_URL, b"referer"];
const UNAUTHORIZED: u16 = 401;
const FORBIDDEN: Status = Status {
    http: 403,
    title: "Forbidden",
    grpc: 7,
    google: "PERMISSION_DENIED",
};
/// A new virtual machine, or a repaired configuration, is there in about this time.
const RETRY_AFTER_SECONDS: u64 = 5;
const A2A_VERBS: [&[u8]; 4] = [b":send", b":stream", b":cancel", b":subscribe"];
