//! Providers of `jwt_authn`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Findings;
use super::draft::{Keys, Provider};
use super::members::Members;
use crate::query::ParameterName;

/// The names that providers get, each by the name that it had. `None`: its tokens cannot be verified here.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<(String, Option<String>)>);

impl Names {
    /// What a provider is called now.
    pub(super) fn find(&self, written: &str) -> Option<&str> {
        let (_, name) = self.0.iter().find(|(other, _)| other == written)?;
        name.as_deref()
    }

    /// Takes a name that a policy can have, and nobody else has.
    pub(super) fn take(&mut self, written: &str) -> String {
        let letters = written.chars().map(|character| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' => character,
            _ => '-',
        });
        let base: String = letters.take(LONGEST_NAME).collect();
        let base = if base.is_empty() {
            "provider".to_owned()
        } else {
            base
        };
        let is_taken = |name: &str| self.0.iter().any(|(_, other)| other.as_deref() == Some(name));
        let mut name = base.clone();
        let mut number = 2;
        while is_taken(&name) {
            name = format!("{base}-{number}");
            number += 1;
        }
        self.0.push((written.to_owned(), Some(name.clone())));
        name
    }

    /// Remembers one that is not carried over.
    pub(super) fn lose(&mut self, written: &str) {
        self.0.push((written.to_owned(), None));
    }
}

/// Reads a provider; the reason why it is none is told.
pub(super) fn provider(
    name: String,
    provider: &Members<'_>,
    others: &[Provider],
    findings: &mut Findings,
) -> Option<Provider> {
    let Some(issuer) = provider.text("issuer") else {
        findings.lost(
            provider.path_of("issuer"),
            "a provider needs an `issuer` here, for a token is known by it: rules that require this one refuse",
        );
        return None;
    };
    if others.iter().any(|other| other.issuer == issuer) {
        findings.lost(
            provider.path_of("issuer"),
            "two providers of one issuer cannot be told apart here: rules that require this one refuse",
        );
        return None;
    }
    let subject = subject(provider, findings)?;
    let (keys, algorithms) = keys(provider, findings)?;
    let mut comments = Vec::new();
    let audiences = provider.texts("audiences");
    if audiences.is_empty() {
        findings.note(
            provider.path_of("audiences"),
            "none: a token for anybody is good, as before. Name the audience of this workload instead",
        );
        comments
            .push("DECIDE: tokens for anybody are good, as before; better `audiences: [...]`.".to_owned());
    }
    let (skew, max_lifetime) = times(provider, findings);
    let claim_headers = claim_headers(provider, findings);
    let places = Places::read(provider, findings);
    if places.is_default {
        comments.push(
            "The query was a place of tokens by default. Take `insecure_from_params` away unless callers use it."
                .to_owned(),
        );
    }
    let read = Provider {
        name,
        issuer: issuer.to_owned(),
        audiences,
        keys,
        algorithms,
        from_headers: places.headers,
        from_cookies: places.cookies,
        from_params: places.params,
        forwards: provider.flag("forward"),
        payload_header: provider.text("forward_payload_header").map(str::to_owned),
        claim_headers,
        skew,
        max_lifetime,
        subject,
        comments,
    };
    tell_rest(provider, findings);
    Some(read)
}

/// `clock_skew_seconds` and `max_lifetime`.
fn times(provider: &Members<'_>, findings: &mut Findings) -> (Option<u64>, Option<u64>) {
    let skew = provider
        .number("clock_skew_seconds")
        .filter(|seconds| *seconds > 0);
    if skew.is_some_and(|seconds| seconds > MAX_SKEW) {
        findings.lost(
            provider.path_of("clock_skew_seconds"),
            format!("at most {MAX_SKEW} here"),
        );
    }
    let max_lifetime = provider.seconds("max_lifetime").map(|seconds| seconds.max(1));
    if max_lifetime.is_some() {
        findings.note(
            provider.path_of("max_lifetime"),
            "is counted from `iat` here, which a token must have then, and not from now",
        );
    }
    (skew.map(|seconds| seconds.min(MAX_SKEW)), max_lifetime)
}

fn claim_headers(provider: &Members<'_>, findings: &mut Findings) -> Vec<(String, String)> {
    let claims = provider.objects("claim_to_headers");
    let mut claim_headers: Vec<(String, String)> = Vec::new();
    for claim in &claims {
        match (claim.text("header_name"), claim.text("claim_name")) {
            (Some(header), Some(name)) if !claim_headers.iter().any(|(other, _)| other == header) => {
                claim_headers.push((header.to_owned(), name.to_owned()));
            }
            _ => findings.lost(claim.path(), "a header has one claim here"),
        }
    }
    claim_headers
}

fn tell_rest(provider: &Members<'_>, findings: &mut Findings) {
    // What holds here anyhow, or changes no answer.
    for name in ["require_expiration", "jwt_cache_config"] {
        let _ = provider.get(name);
    }
    for name in METADATA {
        if provider.get(name).is_some_and(|value| value.as_str() != Some("")) {
            findings.lost(
                provider.path_of(name),
                "there is no dynamic metadata here: use `require.claims`, `claim_to_headers`, or the filter state `wasm.peergate.sub`",
            );
        }
    }
    findings.rest(provider, "has no counterpart here");
}

/// One pattern for `sub`. `None`: it cannot be said here, and was told.
fn subject(provider: &Members<'_>, findings: &mut Findings) -> Option<Option<(&'static str, String)>> {
    let Some(matcher) = provider.object("subjects") else {
        return Some(None);
    };
    let found = ["exact", "prefix", "suffix"]
        .into_iter()
        .find_map(|kind| Some((kind, matcher.text(kind)?.to_owned())));
    match found {
        Some(found) if !matcher.flag("ignore_case") => Some(Some(found)),
        _ => {
            findings.lost(
                matcher.path(),
                "only `exact`, `prefix` and `suffix` can be said here: rules that require this provider refuse",
            );
            None
        }
    }
}

/// Where tokens stand.
struct Places {
    headers: Option<Vec<(String, String)>>,
    cookies: Vec<String>,
    params: Vec<String>,
    is_default: bool,
}

impl Places {
    fn read(provider: &Members<'_>, findings: &mut Findings) -> Self {
        let headers = provider.objects("from_headers");
        let params = provider.texts("from_params");
        let cookies = provider.texts("from_cookies");
        if headers.is_empty() && params.is_empty() && cookies.is_empty() {
            return Self {
                headers: None,
                cookies,
                params: vec!["access_token".to_owned()],
                is_default: true,
            };
        }
        let mut read: Vec<(String, String)> = Vec::new();
        for header in &headers {
            let prefix = header.text("value_prefix").unwrap_or_default();
            let is_scheme = prefix.is_empty() || prefix.strip_suffix(' ').is_some_and(crate::cookie::is_name);
            match header.text("name") {
                Some(name) if is_scheme => read.push((name.to_ascii_lowercase(), prefix.to_owned())),
                _ => findings.lost(
                    header.path(),
                    "a prefix is a scheme and one space here, or nothing: this place is left out",
                ),
            }
        }
        let (params, odd): (Vec<String>, Vec<String>) = params
            .into_iter()
            .partition(|name| ParameterName::parse(name).is_ok());
        for name in odd {
            findings.lost(
                provider.path_of("from_params"),
                format!("`{name}` is no name of a parameter here: this place is left out"),
            );
        }
        Self {
            headers: Some(read),
            cookies,
            params,
            is_default: false,
        }
    }
}

fn keys(provider: &Members<'_>, findings: &mut Findings) -> Option<(Keys, Vec<&'static str>)> {
    if let Some(remote) = provider.object("remote_jwks") {
        let uri = remote.object("http_uri")?;
        let timeout = uri
            .seconds("timeout")
            .map(|seconds| seconds.clamp(1, MAX_TIMEOUT));
        let keys = Keys::Remote {
            uri: uri.text("uri")?.to_owned(),
            cluster: uri.text("cluster")?.to_owned(),
            timeout,
            cache: remote
                .seconds("cache_duration")
                .map(|seconds| seconds.clamp(1, MAX_CACHE)),
        };
        // Keys are fetched before they are needed anyhow, and again where it fails.
        for name in ["async_fetch", "retry_policy"] {
            let _ = remote.get(name);
        }
        findings.rest(&remote, "has no counterpart here");
        return Some((keys, PUBLIC.to_vec()));
    }
    let local = provider.object("local_jwks");
    let text = local.as_ref().and_then(|local| {
        let inline = local.text("inline_string").map(str::to_owned);
        inline.or_else(|| String::from_utf8(STANDARD.decode(local.text("inline_bytes")?).ok()?).ok())
    });
    let Some(text) = text else {
        findings.lost(
            provider.path_of("local_jwks"),
            "the keys stand elsewhere: write them into the input as `inline_string`. Rules that require this provider refuse",
        );
        return None;
    };
    inline(&text, &provider.path_of("local_jwks"), findings)
}

/// Reads a key set that is written down.
pub(super) fn inline(text: &str, path: &str, findings: &mut Findings) -> Option<(Keys, Vec<&'static str>)> {
    let mut keys: Value = match serde_json::from_str(text) {
        Ok(keys) => keys,
        Err(_) => {
            findings.lost(
                path,
                "is no key set in JSON: rules that require this provider refuse",
            );
            return None;
        }
    };
    let list = keys.get_mut("keys").and_then(Value::as_array_mut);
    let Some(list) = list else {
        findings.lost(path, "has no `keys`: rules that require this provider refuse");
        return None;
    };
    let count = list.len();
    list.retain(|key| key.get("kty").and_then(Value::as_str) != Some("oct"));
    if list.len() < count {
        findings.lost(
            path,
            "a shared secret is not repeated: put it into a variable of the proxy and write `jwks: {secrets: [{alg: HS256, secret: {env: NAME}}]}` into a provider of its own",
        );
    }
    for key in list.iter_mut().filter_map(Value::as_object_mut) {
        key.retain(|name, _| !PRIVATE.contains(&name.as_str()));
    }
    let is_there = |kind: &str, curve: Option<&str>| {
        list.iter().any(|key| {
            key.get("kty").and_then(Value::as_str) == Some(kind)
                && (curve.is_none() || key.get("crv").and_then(Value::as_str) == curve)
        })
    };
    let algorithms: Vec<&'static str> = PUBLIC
        .into_iter()
        .filter(|algorithm| match *algorithm {
            "ES256" => is_there("EC", Some("P-256")),
            "ES384" => is_there("EC", Some("P-384")),
            "ES512" => is_there("EC", Some("P-521")),
            "EdDSA" => is_there("OKP", None),
            _ => is_there("RSA", None),
        })
        .collect();
    if algorithms.is_empty() {
        findings.lost(
            path,
            "holds no key that is used here: rules that require this provider refuse",
        );
        return None;
    }
    Some((Keys::Inline(keys), algorithms))
}

/// What `jwt_authn` verifies with public keys.
pub(super) const PUBLIC: [&str; 10] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
];
/// The private members of a key (RFC 7518 §6.2.2, §6.3.2), which verify nothing.
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];
const METADATA: [&str; 4] = [
    "payload_in_metadata",
    "header_in_metadata",
    "failed_status_in_metadata",
    "normalize_payload_in_metadata",
];
/// As `inbound.providers` has them.
const LONGEST_NAME: usize = 60;
const MAX_SKEW: u64 = 300;
const MAX_TIMEOUT: u64 = 60;
const MAX_CACHE: u64 = 86_400;
