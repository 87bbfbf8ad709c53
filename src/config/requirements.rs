//! What a rule asks of a caller: `accept` and `require`.

use crate::claims::ClaimPath;
use crate::config::document::Document;
use crate::config::forward::claim_path;
use crate::config::nearest::nearest;
use crate::config::peers::scope;
use crate::config::problem::{AcceptedKind, RuleProblem};
use crate::config::reader::{Node, Object, distinct, plain_text};
use crate::config::surroundings::Surroundings;
use crate::config::text::text;
use crate::config::totp::{MAX_WINDOW_STEPS, replay};
use crate::excerpt::Excerpt;
use crate::policy::rule::{Accept, AcceptedTokens, Require, TotpRequirement};
use crate::totp::Replay;

/// Reads `accept`.
pub(super) fn accept(node: &Node<'_>, around: &Surroundings<'_, '_>) -> Option<Accept> {
    let accepts_all_tokens = match node.document() {
        Document::List(entries) => entries
            .iter()
            .any(|entry| matches!(entry, Document::Text(text) if text.expose() == "jwt")),
        _ => false,
    };
    let kinds = node.non_empty_list(distinct(|node| {
        let kind = kind(node, around)?;
        match (&kind, accepts_all_tokens) {
            (AcceptedCredential::TokensOf(_), true) => node.refuse(RuleProblem::AcceptRedundant),
            _ => Some(kind),
        }
    }))?;
    let mut accept = Accept::default();
    let mut providers = Vec::new();
    for kind in kinds {
        match kind {
            AcceptedCredential::Tokens => accept.jwt = AcceptedTokens::Any,
            AcceptedCredential::TokensOf(provider) => providers.push(provider),
            AcceptedCredential::Opaque(introspection) => accept.introspections.push(introspection),
            AcceptedCredential::ApiKey => accept.api_key = true,
            AcceptedCredential::BearerToken => accept.bearer_token = true,
            AcceptedCredential::Mtls => accept.mtls = true,
            AcceptedCredential::None => accept.none = true,
        }
    }
    if !providers.is_empty() {
        accept.jwt = AcceptedTokens::Of(providers);
    }
    Some(accept)
}

/// Reads `require`. What the rule accepts is `None` where it accepts nothing, or where that could not be read.
pub(super) fn require(
    node: &Node<'_>,
    accept: Option<&Accept>,
    around: &Surroundings<'_, '_>,
) -> Option<Require> {
    let require = node.object(REQUIREMENTS)?;
    require.refuse_null(REQUIREMENTS);
    let totp = require.or("totp", None, |node| totp(&node, accept, around));
    let scopes = require.list("scopes", distinct(scope));
    let audiences = require.list("audiences", distinct(text));
    let peers = require.list(
        "peers",
        distinct(|node| {
            let name = node.text()?;
            around.declared.check_peer(node, name)?;
            Some(name.to_owned())
        }),
    );
    let claims = require.list("claims", |node| claim(&node));
    check_only_tokens(&require, accept, &["audiences", "claims"])?;
    Some(Require {
        totp: totp?,
        scopes: scopes?,
        audiences: audiences?,
        peers: peers?,
        claims: claims?,
    })
}

/// One entry of `accept`.
enum AcceptedCredential {
    Tokens,
    TokensOf(String),
    Opaque(String),
    ApiKey,
    BearerToken,
    Mtls,
    None,
}

fn kind(node: &Node<'_>, around: &Surroundings<'_, '_>) -> Option<AcceptedCredential> {
    let declared = &around.declared;
    let text = node.text()?;
    let exists = |exists: bool, kind: AcceptedKind, accepted: AcceptedCredential| match exists {
        true => Some(accepted),
        false => node.refuse(RuleProblem::AcceptsNobody(kind)),
    };
    match text {
        "jwt" => exists(
            declared.has_providers(),
            AcceptedKind::Jwt,
            AcceptedCredential::Tokens,
        ),
        "api_key" => exists(
            declared.api_keys,
            AcceptedKind::ApiKey,
            AcceptedCredential::ApiKey,
        ),
        "bearer_token" => exists(
            declared.bearer_tokens,
            AcceptedKind::BearerToken,
            AcceptedCredential::BearerToken,
        ),
        "none" => Some(AcceptedCredential::None),
        "mtls" if around.validates_certificates => Some(AcceptedCredential::Mtls),
        "mtls" => node.refuse(RuleProblem::CertificatesUnvalidated),
        other => match other.split_once(':') {
            Some(("jwt", provider)) => {
                declared.check_provider(node, provider)?;
                Some(AcceptedCredential::TokensOf(provider.to_owned()))
            }
            Some(("introspection", introspection)) => {
                declared.check_introspection(node, introspection)?;
                Some(AcceptedCredential::Opaque(introspection.to_owned()))
            }
            _ => node.refuse(RuleProblem::AcceptUnknown {
                found: Excerpt::new(other),
                nearest: nearest(other, KINDS),
            }),
        },
    }
}

/// `true`, or an object with what is stricter than the policy. `false` asks for no code.
fn totp(
    node: &Node<'_>,
    accept: Option<&Accept>,
    around: &Surroundings<'_, '_>,
) -> Option<Option<TotpRequirement>> {
    let mut code = around.code;
    let mut replay = around.replay;
    match node.document() {
        Document::Object(_) => {
            let totp = node.object(&["window_steps", "replay"])?;
            let own = totp.or("replay", replay, |node| stricter(&node, around.replay).map(Some));
            let widest = code.map_or(MAX_WINDOW_STEPS, |code| code.window_steps().into());
            let window = totp.or("window_steps", None, |node| {
                node.integer::<u8>(0..=widest).map(Some)
            });
            replay = own?;
            if let Some(window) = window? {
                code = code.and_then(|code| code.with_window_steps(window).ok());
            }
        }
        _ => {
            if !node.flag()? {
                return Some(None);
            }
        }
    }
    match around.has_seeds {
        true => {
            // Without them an error was reported where they stand.
            let (code, replay) = (code?, replay?);
            check_binds(node, replay, accept, around)?;
            Some(Some(TotpRequirement { code, replay }))
        }
        false => node.refuse(RuleProblem::TotpWithoutSeed),
    }
}

/// What becomes of a code that comes again, in a rule of its own.
fn stricter(node: &Node<'_>, default: Option<Replay>) -> Option<Replay> {
    let own = replay(node)?;
    match default {
        Some(default) if own < default => node.refuse(RuleProblem::ReplayWeaker),
        Some(_) | None => Some(own),
    }
}

/// A code that is bound to a credential: what is the same with every request, or whoever has the seed, binds nothing.
fn check_binds(
    node: &Node<'_>,
    replay: Replay,
    accept: Option<&Accept>,
    around: &Surroundings<'_, '_>,
) -> Option<()> {
    match (replay, accept.and_then(lasting)) {
        (Replay::Allow | Replay::OneTime, _) => Some(()),
        (Replay::PerToken, Some(accepted)) => node.refuse(RuleProblem::BindsNothing { accepted }),
        (Replay::PerToken, None) if around.has_shared_seeds => node.refuse(RuleProblem::BindsSharedSeeds),
        (Replay::PerToken, None) => Some(()),
    }
}

fn claim(node: &Node<'_>) -> Option<(ClaimPath, Vec<String>)> {
    let claim = node.object(&["name", "values"])?;
    let name = claim.required("name").and_then(|node| claim_path(&node));
    let values = claim
        .required("values")
        .and_then(|node| node.non_empty_list(distinct(plain_text)));
    Some((name?, values?))
}

/// A caller with a key or a certificate has no claims, so that a rule which accepts these could never let it pass.
fn check_only_tokens(require: &Object<'_>, accept: Option<&Accept>, members: &[&'static str]) -> Option<()> {
    let Some(other) = accept.and_then(lasting) else {
        return Some(());
    };
    let mut result = Some(());
    for member in members.iter().filter(|member| require.has_entries(member)) {
        result = require.refuse_member(member, RuleProblem::OnlyTokens { accepted: other });
    }
    result
}

/// What a rule accepts besides tokens that somebody issues.
const fn lasting(accept: &Accept) -> Option<&'static str> {
    match accept {
        Accept { api_key: true, .. } => Some("api_key"),
        Accept {
            bearer_token: true, ..
        } => Some("bearer_token"),
        Accept { mtls: true, .. } => Some("mtls"),
        Accept {
            api_key: false,
            bearer_token: false,
            mtls: false,
            ..
        } => None,
    }
}

const KINDS: [&str; 5] = ["jwt", "api_key", "bearer_token", "none", "mtls"];

const REQUIREMENTS: &[&str] = &["totp", "scopes", "audiences", "peers", "claims"];
