//! Istio's RequestAuthentication, with the AuthorizationPolicy of the same workload.

use serde_json::Value;

use super::draft::{Draft, Keys, Provider};
use super::istio_rules::rules;
use super::jwt_authn::without_providers;
use super::manifests::{check, is_dry_run, is_istio, tell_of_others};
use super::members::Members;
use super::provider::{Names, PUBLIC, inline};
use super::{ConvertError, Converted, Findings, Options};
use crate::callout::Url;

/// Converts resources of one workload.
pub(super) fn convert(all: &[Value], options: Options) -> Result<Converted, ConvertError> {
    let resources: Vec<&Value> = all.iter().filter(|resource| is_istio(resource)).collect();
    if !are_of_one_workload(&resources) {
        return Err(ConvertError::SeveralWorkloads);
    }
    let mut findings = Findings::default();
    tell_of_others(all, &mut findings)?;
    let mut draft = Draft::default();
    let mut names = Names::default();
    let mut policies = Vec::new();
    for resource in &resources {
        let kind = resource.get("kind").and_then(Value::as_str).unwrap_or_default();
        let name = resource.get("metadata").and_then(|metadata| metadata.get("name"));
        let path = format!("{kind}/{}", name.and_then(Value::as_str).unwrap_or("?"));
        check(resource, &path)?;
        // Without rules, an ALLOW lets nobody in.
        let nothing = Value::Object(serde_json::Map::new());
        let spec = resource.get("spec").filter(|spec| !spec.is_null());
        let spec = spec.unwrap_or(&nothing);
        match kind {
            "RequestAuthentication" => {
                let Some(spec) = Members::new(spec, path) else {
                    return Err(ConvertError::Nothing);
                };
                for rule in spec.objects("jwt_rules") {
                    provider(&rule, &mut names, &mut draft, &mut findings);
                }
            }
            _ if is_dry_run(resource) => {
                findings.note(path, "`istio.io/dry-run`: decides nothing, and is left out");
            }
            _ => policies.push((spec.clone(), path)),
        }
    }
    if draft.providers.is_empty() {
        findings.lost(
            "RequestAuthentication",
            "no provider comes out of it, and a rule needs one: everything is refused",
        );
    }
    let has_tokens = !draft.providers.is_empty();
    draft.rules = rules(&policies, &draft.providers, options, &mut findings);
    without_providers(&mut draft, has_tokens);
    let mut head = vec![
        "Made of Istio's resources by `peergate convert`. The differences that always hold stand in docs/migration.md.".to_owned(),
    ];
    head.extend(
        findings
            .0
            .iter()
            .filter(|finding| finding.is_lost)
            .map(ToString::to_string),
    );
    Ok(Converted {
        policy: draft.written(&head),
        findings: findings.0,
    })
}

fn are_of_one_workload(resources: &[&Value]) -> bool {
    let of = |resource: &Value| {
        let spec = resource.get("spec");
        let get = |name| spec.and_then(|spec| spec.get(name)).cloned();
        let namespace = resource
            .get("metadata")
            .and_then(|metadata| metadata.get("namespace"));
        (
            namespace.cloned(),
            get("selector"),
            get("targetRef"),
            get("targetRefs"),
        )
    };
    let mut workloads = resources.iter().map(|resource| of(resource));
    let first = workloads.next();
    workloads.all(|workload| Some(workload) == first)
}

fn provider(rule: &Members<'_>, names: &mut Names, draft: &mut Draft, findings: &mut Findings) {
    let issuer = rule.text("issuer").unwrap_or_default();
    if issuer.is_empty() || draft.providers.iter().any(|other| other.issuer == issuer) {
        findings.lost(
            rule.path_of("issuer"),
            "a token is known by its issuer here, which one provider has: this one is left out, and its tokens are refused",
        );
        return;
    }
    let Some((keys, algorithms)) = keys(rule, issuer, findings) else {
        return;
    };
    let mut comments = Vec::new();
    let audiences = rule.texts("audiences");
    if audiences.is_empty() {
        findings.note(
            rule.path_of("audiences"),
            "none: a token for anybody is good, as before. Name the audience of this workload instead",
        );
        comments
            .push("DECIDE: tokens for anybody are good, as before; better `audiences: [...]`.".to_owned());
    }
    let headers = rule.objects("from_headers");
    let from_headers = from_headers(&headers, findings);
    let (params, cookies) = (rule.texts("from_params"), rule.texts("from_cookies"));
    let is_default = headers.is_empty() && params.is_empty() && cookies.is_empty();
    if is_default {
        comments.push(
            "The query was a place of tokens by default. Take `insecure_from_params` away unless callers use it."
                .to_owned(),
        );
    }
    let claims = rule.objects("output_claim_to_headers");
    let claim_headers = claims
        .iter()
        .filter_map(|claim| Some((claim.text("header")?.to_owned(), claim.text("claim")?.to_owned())))
        .collect();
    draft.providers.push(Provider {
        name: names.take(issuer.rsplit_once("://").map_or(issuer, |(_, rest)| rest)),
        issuer: issuer.to_owned(),
        audiences,
        keys,
        algorithms,
        from_headers: (!is_default).then_some(from_headers),
        from_cookies: cookies,
        from_params: match is_default {
            true => vec!["access_token".to_owned()],
            false => params,
        },
        forwards: rule.flag("forward_original_token"),
        payload_header: rule.text("output_payload_to_header").map(str::to_owned),
        claim_headers,
        skew: None,
        max_lifetime: None,
        subject: None,
        comments,
    });
    findings.rest(rule, "has no counterpart here");
}

fn from_headers(headers: &[Members<'_>], findings: &mut Findings) -> Vec<(String, String)> {
    headers
        .iter()
        .filter_map(|header| {
            let prefix = header.text("prefix").unwrap_or_default().to_owned();
            let is_scheme = prefix.is_empty() || prefix.strip_suffix(' ').is_some_and(crate::cookie::is_name);
            if !is_scheme {
                findings.lost(
                    header.path(),
                    "a prefix is a scheme and one space here, or nothing: this place is left out",
                );
                return None;
            }
            Some((header.text("name")?.to_ascii_lowercase(), prefix))
        })
        .collect()
}

fn keys(rule: &Members<'_>, issuer: &str, findings: &mut Findings) -> Option<(Keys, Vec<&'static str>)> {
    if let Some(text) = rule.text("jwks") {
        return inline(text, &rule.path_of("jwks"), findings);
    }
    let uri = rule.text("jwks_uri");
    let Ok(url) = Url::parse(uri.unwrap_or(issuer)) else {
        findings.lost(
            rule.path(),
            "nothing says where its keys are: it is left out, and its tokens are refused",
        );
        return None;
    };
    let (host, port) = match url.authority().rsplit_once(':') {
        Some((host, port)) => (host, port),
        None if uri.unwrap_or(issuer).starts_with("http:") => (url.authority(), "80"),
        None => (url.authority(), "443"),
    };
    let cluster = format!("outbound|{port}||{host}");
    findings.note(
        rule.path_of("jwks_uri"),
        format!(
            "the proxy fetches keys through the cluster `{cluster}`: a host outside the mesh needs a ServiceEntry, and \
             a DestinationRule with TLS"
        ),
    );
    let keys = match uri {
        Some(uri) => Keys::Remote {
            uri: uri.to_owned(),
            cluster,
            timeout: rule.seconds("timeout").map(|seconds| seconds.clamp(1, 60)),
            cache: None,
        },
        None => Keys::Discovery { cluster },
    };
    Some((keys, PUBLIC.to_vec()))
}
