//! `docs/operations.md` and the code, held together: its table names every reason, with what is answered.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::decision::Outcome;
use crate::decision::answer::{self, Circumstances};
use crate::http::{Headers, Reply, Request};
use crate::jwks::Algorithm;
use crate::jwt::{ForeignMark, Malformed, NumericDate};
use crate::policy::ErrorStyle;
use crate::policy::published::Kind;
use crate::policy::rule::Protocol;
use crate::time::UnixTime;

/// Every row is true of the code, and every reason has its one row.
#[test]
fn the_table_of_reasons_is_that_of_the_code() {
    let table: BTreeMap<String, [String; 3]> = rows();
    assert_eq!(table, expected());
}

/// The refusals below are all that there are: none was forgotten when one was added.
#[test]
fn every_reason_of_the_source_is_made_here() {
    let of = |source: &str, function: &str| {
        let (_, rest) = source.split_once(function).unwrap();
        let (body, _) = rest.split_once("    }\n").unwrap();
        body.lines()
            .filter_map(|line| line.split('"').nth(1))
            .map(str::to_owned)
            .collect::<BTreeSet<String>>()
    };
    let mut written = of(include_str!("../deny.rs"), "pub fn reason(&self)");
    written.append(&mut of(include_str!("token.rs"), "fn reason("));
    let made: BTreeSet<String> = refusals().iter().map(|deny| deny.reason().to_owned()).collect();
    assert_eq!(made, written);
}

/// The rows of the table: HTTP status, gRPC status and text by reason.
fn rows() -> BTreeMap<String, [String; 3]> {
    let document = include_str!("../../../docs/operations.md");
    let (_, section) = document.split_once("\n## Reasons\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let mut rows = BTreeMap::new();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [reason, http, grpc, told, meaning] = cells[..] else {
            panic!("not five columns: {line}")
        };
        assert!(!meaning.is_empty(), "{line}");
        let row = [http, grpc, told].map(str::to_owned);
        let reason = reason.trim_matches('`').to_owned();
        assert_eq!(rows.insert(reason, row), None, "twice: {line}");
    }
    rows
}

/// What the code answers.
fn expected() -> BTreeMap<String, [String; 3]> {
    let goes_on = [
        Outcome::Allowed,
        Outcome::NoMatch,
        Outcome::NoPolicy,
        Outcome::StoodAside,
        Outcome::Published(Kind::Keys),
        Outcome::Published(Kind::Metadata),
        Outcome::Published(Kind::Card),
    ];
    let mut all: BTreeMap<_, _> = goes_on
        .iter()
        .map(|outcome| (outcome.reason().to_owned(), ["–", "–", "–"].map(str::to_owned)))
        .collect();
    for deny in refusals() {
        let grpc = |protocol| answered(&deny, protocol, b"application/grpc");
        let http = |protocol| answered(&deny, protocol, b"text/plain");
        let grpc_status = |protocol| grpc(protocol).grpc_status.unwrap().to_string();
        let row = [
            cell(&|protocol| http(protocol).status.to_string()),
            cell(&grpc_status),
            format!("`{}`", grpc(Protocol::Auto).body.as_str()),
        ];
        let reason = deny.reason().to_owned();
        if let Some(other) = all.insert(reason, row.clone()) {
            assert_eq!(other, row, "two answers for one reason: {deny:?}");
        }
    }
    all
}

fn answered(deny: &Deny, protocol: Protocol, content_type: &[u8]) -> Reply {
    let request = Request {
        headers: Headers::new(vec![(b"content-type".to_vec(), content_type.to_vec())]),
        ..Request::default()
    };
    let style = ErrorStyle::default();
    let circumstances = Circumstances {
        protocol,
        ..Circumstances::plain(&style, &request)
    };
    answer::reply(deny, &circumstances)
}

/// A status as the table writes it: once, unless MCP has one of its own.
fn cell(status: &dyn Fn(Protocol) -> String) -> String {
    let (usual, mcp) = (status(Protocol::Auto), status(Protocol::Mcp));
    match usual == mcp {
        true => usual,
        false => format!("{usual}, `mcp`: {mcp}"),
    }
}

/// One of each.
fn refusals() -> Vec<Deny> {
    let text = String::new;
    let mut all = vec![
        Deny::NotConfigured,
        Deny::LayerOrder,
        Deny::PathMissing,
        Deny::PathAmbiguous(Ambiguity::EmptySegment),
        Deny::HostInvalid(AuthorityError::Empty),
        Deny::ConnectionNamesOwned,
        Deny::MethodAmbiguous,
        Deny::HeaderRepeated { rule: text() },
        Deny::CredentialRepeated { place: text() },
        Deny::CredentialsInTwoPlaces {
            first: text().into(),
            second: text().into(),
        },
        Deny::TokenInQuery,
        Deny::NoRule,
        Deny::RuleDenied,
        Deny::CredentialsMissing,
        Deny::AuthorizationMalformed { place: text() },
        Deny::BearerTokenUnknown,
        Deny::ApiKeyUnknown,
        Deny::CredentialNotAccepted {
            method: Method::Jwt,
            provider: None,
        },
        Deny::TokenMisplaced {
            provider: text().into(),
            place: text().into(),
        },
        Deny::AudienceNotAccepted,
        Deny::ClaimNotForwardable { header: text() },
        Deny::TotpMissing,
        Deny::TotpNotConfigured,
        Deny::TotpInvalid,
        Deny::TotpReplayed,
        Deny::TotpThrottled { seconds: 1 },
        Deny::ScopeInsufficient { required: Vec::new() },
        Deny::PeerNotAllowed,
        Deny::ClaimNotAllowed { claim: text() },
        Deny::OutboundNoMatch,
        Deny::OutboundAnonymous,
        Deny::QueryHostNotAllowed { host: text() },
        Deny::OutboundClusterChanged,
        Deny::OutboundRedirected,
        Deny::SubjectMissing,
        Deny::ActorMissing,
        Deny::TokenUnavailable {
            client: "kc".into(),
            detail: "".into(),
        },
        Deny::TokenRefused {
            client: "kc".into(),
            detail: "".into(),
        },
        Deny::IntrospectionUnavailable {
            introspection: "op".into(),
            detail: "".into(),
        },
        Deny::TokenInactive {
            introspection: "op".into(),
            detail: "".into(),
        },
        Deny::CredentialMalformed,
        Deny::SecretMissing,
        Deny::Internal(""),
    ];
    all.extend(token_errors().into_iter().map(Deny::Token));
    all
}

fn token_errors() -> Vec<jwt::Error> {
    let excerpt = || crate::excerpt::Excerpt::new("");
    let (date, now) = (NumericDate(0.0), UnixTime::from_nanoseconds(0));
    vec![
        jwt::Error::TooLong { bytes: 2, limit: 1 },
        jwt::Error::Malformed(Malformed::Segments { count: 1 }),
        jwt::Error::Encrypted,
        jwt::Error::CriticalHeader,
        jwt::Error::UnencodedPayload,
        jwt::Error::AlgorithmNotAllowed { algorithm: excerpt() },
        jwt::Error::TypeNotAllowed { typ: None },
        jwt::Error::NotAnAccessToken {
            mark: ForeignMark::TypClaim,
        },
        jwt::Error::IssuerUnknown { issuer: None },
        jwt::Error::KeysMissing { provider: 0 },
        jwt::Error::KeyUnknown {
            provider: 0,
            kid: None,
        },
        jwt::Error::KeyMismatch {
            provider: 0,
            kid: excerpt(),
            algorithm: Algorithm::Rs256,
        },
        jwt::Error::SignatureInvalid { provider: 0 },
        jwt::Error::ClaimType { claim: "exp" },
        jwt::Error::ClaimMissing {
            claim: "NAME".to_owned(),
        },
        jwt::Error::Expired {
            expired_at: date,
            now,
        },
        jwt::Error::NotYetValid {
            not_before: date,
            now,
        },
        jwt::Error::IssuedInFuture { issued_at: date, now },
        jwt::Error::LifetimeTooLong {
            seconds: date,
            limit_seconds: 0,
        },
        jwt::Error::AudienceInvalid { audience: None },
        jwt::Error::SubjectNotAllowed { subject: excerpt() },
    ]
}
