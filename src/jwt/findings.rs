//! What verification looks at, step by step, with the values: for the program, which tells a person why.
//!
//! The verdict is that of [`Verifier::verify`] alone: its one error names the step that failed, those before it were
//! good, and those behind it were not looked at. What is said of a step that was not looked at is what the token says.

use serde_json::{Map, Value};

use super::claims::NumericDate;
use super::compact::{Compact, Header};
use super::error::Error;
use super::provider::{Audiences, Provider, SubjectPattern};
use super::{MAX_DEPTH, Means, Verifier, audiences};
use crate::findings::{Finding, Kind, Verdict, distance, listed, quoted};
use crate::json;
use crate::time::UnixTime;

impl Verifier {
    /// Every step of a verification, in its order.
    pub fn findings(&self, token: &[u8], means: Means<'_>, now: UnixTime) -> Vec<Finding> {
        let error = self.verify(token, means, now).err();
        let seen = Seen::of(self, token, means, now);
        let failed = error.as_ref().map(|error| seen.stage_of(error));
        let mut result = Verdict::Good;
        seen.stages()
            .into_iter()
            .filter_map(|stage| {
                let is_failed = failed == Some(stage);
                // What a provider does not ask for is no step, unless it is what failed.
                let told = seen.told(stage);
                // Of what was not looked at there are values to tell, and no verdicts.
                let told = match stage {
                    Stage::Form | Stage::Signature | Stage::ClaimTypes | Stage::Use
                        if result == Verdict::Skipped =>
                    {
                        told.map(|_| String::new())
                    }
                    _ => told,
                };
                if told.is_none() && !is_failed {
                    return None;
                }
                let told = told.unwrap_or_default();
                let (now, text) = match (is_failed, &error) {
                    (true, Some(error)) if told.is_empty() => (Verdict::Bad, error.to_string()),
                    (true, Some(error)) => (Verdict::Bad, format!("{error}; {told}")),
                    (true, None) | (false, _) => (result, told),
                };
                if is_failed {
                    result = Verdict::Skipped;
                }
                Some(Finding::new(Kind::Check, stage.name(), now, text))
            })
            .collect()
    }
}

/// A step of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Length,
    Form,
    Header,
    Payload,
    Issuer,
    Algorithm,
    Type,
    Keys,
    Key,
    Signature,
    ClaimTypes,
    Expiry,
    NotBefore,
    IssuedAt,
    Lifetime,
    Use,
    Audience,
    RequiredClaims,
    Subject,
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Form => "form",
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Issuer => "issuer",
            Self::Algorithm => "algorithm",
            Self::Type => "type",
            Self::Keys => "keys",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::ClaimTypes => "types of claims",
            Self::Expiry => "expiry",
            Self::NotBefore => "not before",
            Self::IssuedAt => "issued at",
            Self::Lifetime => "lifetime",
            Self::Use => "use",
            Self::Audience => "audience",
            Self::RequiredClaims => "required claims",
            Self::Subject => "subject",
        }
    }
}

/// A token, as far as it can be read.
struct Seen<'a> {
    verifier: &'a Verifier,
    bytes: usize,
    form: bool,
    header: Option<Header>,
    claims: Option<Map<String, Value>>,
    provider: Option<(usize, &'a Provider)>,
    means: Means<'a>,
    now: UnixTime,
}

impl<'a> Seen<'a> {
    fn of(verifier: &'a Verifier, token: &[u8], means: Means<'a>, now: UnixTime) -> Self {
        let compact = Compact::parse(token, verifier.max_token_bytes).ok();
        let header = compact
            .as_ref()
            .and_then(|compact| Header::parse(&compact.header).ok());
        let claims = compact
            .as_ref()
            .and_then(|compact| json::object(&compact.payload, MAX_DEPTH).ok());
        let provider = claims
            .as_ref()
            .and_then(|claims| verifier.provider_of(claims).ok());
        Self {
            verifier,
            bytes: token.len(),
            form: compact.is_some(),
            header,
            claims,
            provider,
            means,
            now,
        }
    }

    /// The steps in their order. What no provider allows is refused before a claim is read.
    fn stages(&self) -> Vec<Stage> {
        let mut stages = vec![Stage::Length, Stage::Form, Stage::Header];
        let looked_at_late = [Stage::Payload, Stage::Issuer];
        match self.is_refused_early() {
            true => stages.extend([Stage::Algorithm].into_iter().chain(looked_at_late)),
            false => stages.extend(looked_at_late.into_iter().chain([Stage::Algorithm])),
        }
        stages.extend([
            Stage::Type,
            Stage::Keys,
            Stage::Key,
            Stage::Signature,
            Stage::ClaimTypes,
            Stage::Expiry,
            Stage::NotBefore,
            Stage::IssuedAt,
            Stage::Lifetime,
            Stage::Use,
            Stage::Audience,
            Stage::RequiredClaims,
            Stage::Subject,
        ]);
        stages
    }

    fn is_refused_early(&self) -> bool {
        let allowed = self.verifier.algorithms;
        self.header
            .as_ref()
            .is_none_or(|header| !allowed.contains(header.algorithm))
    }

    /// The step that an error belongs to.
    fn stage_of(&self, error: &Error) -> Stage {
        match error {
            Error::TooLong { .. } => Stage::Length,
            Error::Malformed(_) if self.header.is_some() => Stage::Payload,
            Error::Malformed(_) if self.form => Stage::Header,
            Error::Malformed(_) | Error::Encrypted => Stage::Form,
            Error::CriticalHeader | Error::UnencodedPayload => Stage::Header,
            Error::AlgorithmNotAllowed { .. } => Stage::Algorithm,
            Error::TypeNotAllowed { .. } => Stage::Type,
            Error::IssuerUnknown { .. } => Stage::Issuer,
            Error::KeysMissing { .. } => Stage::Keys,
            Error::KeyUnknown { .. } | Error::KeyMismatch { .. } => Stage::Key,
            Error::SignatureInvalid { .. } => Stage::Signature,
            Error::ClaimType { .. } => Stage::ClaimTypes,
            Error::ClaimMissing { claim } => self.stage_of_missing(claim),
            Error::NotAnAccessToken { .. } => Stage::Use,
            Error::Expired { .. } => Stage::Expiry,
            Error::NotYetValid { .. } => Stage::NotBefore,
            Error::IssuedInFuture { .. } => Stage::IssuedAt,
            Error::LifetimeTooLong { .. } => Stage::Lifetime,
            Error::AudienceInvalid { .. } => Stage::Audience,
            Error::SubjectNotAllowed { .. } => Stage::Subject,
        }
    }

    /// `exp` is always required, `iat` and `sub` by what is asked of them.
    fn stage_of_missing(&self, claim: &str) -> Stage {
        let provider = self.provider.map(|(_, provider)| provider);
        let is_listed =
            provider.is_some_and(|provider| provider.required_claims.iter().any(|own| own == claim));
        let has_lifetime = provider.is_some_and(|provider| provider.max_lifetime_seconds.is_some());
        match claim {
            "exp" => Stage::Expiry,
            "iat" if has_lifetime => Stage::Lifetime,
            "sub" if !is_listed => Stage::Subject,
            _ => Stage::RequiredClaims,
        }
    }

    /// What there is to say of a step; `None` where it asks for nothing, or cannot be read.
    fn told(&self, stage: Stage) -> Option<String> {
        let provider = self.provider.map(|(_, provider)| provider);
        match stage {
            Stage::Length => {
                let limit = self.verifier.max_token_bytes;
                Some(format!("{} bytes of at most {limit}", self.bytes))
            }
            Stage::Form => self.form.then(|| "three segments of base64url".to_owned()),
            Stage::Header => self.header.as_ref().map(|header| {
                let member = |name, value: &Option<String>| {
                    let value = value.as_deref().map(quoted);
                    format!("{name} {}", value.as_deref().unwrap_or("missing"))
                };
                let (kid, typ) = (member("kid", &header.kid), member("typ", &header.typ));
                format!("alg `{}`, {kid}, {typ}", header.algorithm.name())
            }),
            Stage::Payload => {
                let claims = self.claims.as_ref()?;
                Some(format!("claims {}", listed(claims.keys().map(String::as_str))))
            }
            Stage::Issuer => {
                let issuer = quoted(self.claims.as_ref()?.get("iss")?.as_str()?);
                Some(match provider {
                    Some(provider) => format!("{issuer} is provider `{}`", provider.name),
                    None => format!("{issuer}; providers have {}", self.issuers()),
                })
            }
            Stage::Algorithm => self.algorithm(provider),
            Stage::Type => self.header_type(provider?),
            Stage::Keys | Stage::Key | Stage::Signature => self.key(stage),
            Stage::ClaimTypes => self.claims.as_ref().map(|_| "each claim has its type".to_owned()),
            Stage::Expiry | Stage::NotBefore | Stage::IssuedAt | Stage::Lifetime => {
                self.time(stage, provider?)
            }
            Stage::Use => self
                .claims
                .as_ref()
                .map(|_| "no ID token and no logout token".to_owned()),
            Stage::Audience => self.audience(provider?),
            Stage::RequiredClaims => {
                let required = &provider?.required_claims;
                (!required.is_empty()).then(|| listed(required.iter().map(String::as_str)))
            }
            Stage::Subject => self.subject(provider?),
        }
    }

    fn issuers(&self) -> String {
        listed(
            self.verifier
                .providers
                .iter()
                .map(|provider| provider.issuer.as_str()),
        )
    }

    fn algorithm(&self, provider: Option<&Provider>) -> Option<String> {
        let algorithm = self.header.as_ref()?.algorithm;
        let allowed = match provider {
            Some(provider) if !self.is_refused_early() => provider.algorithms,
            Some(_) | None => self.verifier.algorithms,
        };
        let allowed: Vec<&str> = allowed.iter().map(|algorithm| algorithm.name()).collect();
        let allowed = listed(allowed);
        Some(format!("`{}`; allowed are {allowed}", algorithm.name()))
    }

    fn header_type(&self, provider: &Provider) -> Option<String> {
        let typ = self.header.as_ref()?.typ.as_deref();
        let typ = typ.map_or("no `typ`".to_owned(), quoted);
        Some(match provider.types.is_empty() {
            true => format!("{typ}; any but those of ID and logout tokens"),
            false => {
                let allowed = provider.types.iter().map(|allowed| allowed.as_str());
                format!("{typ}; allowed are {}", listed(allowed))
            }
        })
    }

    fn key(&self, stage: Stage) -> Option<String> {
        let header = self.header.as_ref()?;
        let (index, provider) = self.provider?;
        let name = &provider.name;
        let Some(keys) = self.means.keys.get(index) else {
            return (stage == Stage::Keys).then(|| format!("provider `{name}` has none here"));
        };
        let counted = |count: usize| match (count, keys.is_symmetric()) {
            (1, true) => "1 shared secret".to_owned(),
            (_, true) => format!("{count} shared secrets"),
            (1, false) => "1 key".to_owned(),
            (_, false) => format!("{count} keys"),
        };
        let kid = match header.kid.as_deref() {
            Some(kid) => format!("kid {}", quoted(kid)),
            None => "no kid".to_owned(),
        };
        let algorithm = header.algorithm.name();
        match stage {
            Stage::Keys => Some(format!("provider `{name}` has {}", counted(keys.len()))),
            Stage::Key => {
                let candidates = keys.candidates(header.kid.as_deref(), header.algorithm);
                let count = candidates.map_or(0, Iterator::count);
                Some(format!("{kid}: {} for `{algorithm}`", counted(count)))
            }
            _ => Some(format!("`{algorithm}` with the key of {kid}")),
        }
    }

    fn time(&self, stage: Stage, provider: &Provider) -> Option<String> {
        let claims = self.claims.as_ref()?;
        let date = |claim: &str| claims.get(claim).and_then(Value::as_f64);
        let told = |claim: &str| {
            let seconds = date(claim)?;
            let time = UnixTime::from_numeric_date(seconds);
            let skew = provider.clock_skew_seconds;
            let written = NumericDate(seconds);
            Some(format!(
                "`{claim}` {written} is {time}, {}; clocks may differ by {skew} s",
                distance(time, self.now)
            ))
        };
        match stage {
            Stage::Expiry => told("exp"),
            Stage::NotBefore => told("nbf"),
            Stage::IssuedAt => told("iat"),
            _ => {
                let limit = provider.max_lifetime_seconds?;
                let lifetime = date("exp")
                    .zip(date("iat"))
                    .map(|(exp, iat)| NumericDate(exp - iat));
                let lifetime = lifetime.map(|lifetime| format!("{lifetime} s"));
                Some(format!(
                    "{} of at most {limit} s",
                    lifetime.as_deref().unwrap_or("no `iat`")
                ))
            }
        }
    }

    fn audience(&self, provider: &Provider) -> Option<String> {
        let actual = listed(audiences(self.claims.as_ref()?));
        Some(match &provider.audiences {
            Audiences::Any => format!("for {actual}; any will do"),
            Audiences::OneOf(wanted) => {
                format!(
                    "for {actual}; wanted is one of {}",
                    listed(wanted.iter().map(String::as_str))
                )
            }
        })
    }

    fn subject(&self, provider: &Provider) -> Option<String> {
        let subject = self.claims.as_ref()?.get("sub").and_then(Value::as_str);
        let subject = subject.map_or("no `sub`".to_owned(), quoted);
        let pattern = |pattern: &SubjectPattern| match pattern {
            SubjectPattern::Exact(exact) => exact.clone(),
            SubjectPattern::Prefix(prefix) => format!("{prefix}*"),
            SubjectPattern::Suffix(suffix) => format!("*{suffix}"),
        };
        let patterns: Vec<String> = provider.subjects.iter().map(pattern).collect();
        Some(match patterns.is_empty() {
            true => subject,
            false => format!(
                "{subject}; allowed are {}",
                listed(patterns.iter().map(String::as_str))
            ),
        })
    }
}
