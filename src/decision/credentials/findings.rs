//! Which credentials a request presents, where, and what came of each: for the program, which tells a person why.
//!
//! Each is asked about as [`super::prove`] asks: with the same functions, in the same order.

use crate::decision::Deny;
use crate::decision::location::{Found, only};
use crate::findings::{Finding, Kind, Verdict, quoted_bytes, shortened};
use crate::policy::location::TokenLocation;
use crate::spiffe;

use super::{Presented, Proved, Token, prove_token};

impl Presented<'_, '_> {
    /// Each credential and each place of one, in the order in which they are looked at.
    pub(in crate::decision) fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let is_good = self.token_findings(&mut findings);
        if is_good {
            self.api_key_findings(&mut findings);
        }
        findings.extend(self.certificate_finding());
        findings.push(self.code_finding());
        findings
    }

    /// Whether what comes behind it is looked at.
    fn token_findings(&self, findings: &mut Vec<Finding>) -> bool {
        let places = self.inbound.token_locations.iter();
        let found = only(places.map(|place| (&place.location, place)), self.request);
        let keys = self.inbound.api_keys.locations.iter();
        // Both kinds are looked for before one is proved.
        let keys = only(keys.map(|location| (location, ())), self.request);
        match found {
            Err(deny) => {
                findings.push(refused("token", &deny, String::new()));
                false
            }
            Ok(None) => {
                let places = self.inbound.token_locations.iter();
                findings.extend(absent("token", places.map(|place| place.location.to_string())));
                true
            }
            Ok(Some(found)) => match keys {
                Err(deny) => {
                    findings.push(refused("api key", &deny, String::new()));
                    false
                }
                Ok(_) => {
                    let finding = self.token_finding(&found);
                    let is_good = finding.result != Verdict::Bad;
                    findings.push(finding);
                    is_good
                }
            },
        }
    }

    fn token_finding(&self, found: &Found<'_, '_, &TokenLocation>) -> Finding {
        let place: &TokenLocation = found.meaning;
        let written = place
            .forms
            .iter()
            .find_map(|form| Some((form, form.token(&found.value)?)));
        let mut checks = Vec::new();
        let text = match written {
            Some((form, token)) => {
                let scheme = form.scheme.as_deref();
                let scheme = scheme
                    .map(|scheme| format!(" behind `{scheme}`"))
                    .unwrap_or_default();
                let is_static = form.is_for_static_tokens && self.inbound.bearer_tokens.find(token).is_some();
                if !is_static && !self.inbound.providers.is_empty() {
                    checks = self.inbound.tokens.findings(token, self.means.tokens, self.now);
                }
                format!("in {}{scheme}: {}", place.location, shortened(token))
            }
            None => format!("in {}", place.location),
        };
        let proved = prove_token(self.inbound, self.means, place, &found.value, self.now);
        match proved {
            Ok(Token::Proved(proved)) => {
                checks.push(belongs(&proved));
                Finding::new(Kind::Credential, "token", Verdict::Good, text).with(checks)
            }
            Ok(Token::Opaque(_)) => {
                checks.push(Finding::new(
                    Kind::Check,
                    "introspection",
                    Verdict::Unknown,
                    "no token of a provider and no static one: a server is asked whose it is",
                ));
                Finding::new(Kind::Credential, "token", Verdict::Unknown, text).with(checks)
            }
            Err(deny) => {
                // What a check above says is not said again.
                if !checks.iter().any(|check| check.result == Verdict::Bad) || deny == Deny::SecretMissing {
                    checks.push(Finding::new(Kind::Check, "token", Verdict::Bad, deny.to_string()));
                }
                let finding = Finding::new(Kind::Credential, "token", Verdict::Bad, text);
                finding.because(deny.reason()).with(checks)
            }
        }
    }

    fn api_key_findings(&self, findings: &mut Vec<Finding>) {
        let keys = &self.inbound.api_keys;
        let found = only(keys.locations.iter().map(|location| (location, ())), self.request);
        findings.extend(match found {
            Err(deny) => Some(refused("api key", &deny, String::new())),
            Ok(None) => absent("api key", keys.locations.iter().map(ToString::to_string)),
            Ok(Some(Found { location, value, .. })) => {
                let text = format!("in {location}: {}", shortened(&value));
                Some(match (keys.keys.find(&value), keys.lacks_key) {
                    (Some(peer), _) => {
                        let whose = format!("{text}, of peer `{}`", peer.name);
                        Finding::new(Kind::Credential, "api key", Verdict::Good, whose)
                    }
                    (None, true) => refused("api key", &Deny::SecretMissing, text),
                    (None, false) => refused("api key", &Deny::ApiKeyUnknown, text),
                })
            }
        });
    }

    /// Who has connected, where the policy asks.
    fn certificate_finding(&self) -> Option<Finding> {
        let peers = self.inbound.principals.as_ref()?;
        let note = |text: String| Some(Finding::new(Kind::Credential, "certificate", Verdict::Note, text));
        let Some(principal) = self.request.principal.as_deref() else {
            return note("the proxy names nobody who has connected".to_owned());
        };
        let Some(id) = spiffe::parse(principal) else {
            return note(format!("{} is no SPIFFE ID", quoted_bytes(principal)));
        };
        note(match peers.find(id) {
            Some(peer) => format!("{} is peer `{}`", quoted_bytes(principal), peer.name),
            None => format!("{} is of no peer", quoted_bytes(principal)),
        })
    }

    fn code_finding(&self) -> Finding {
        let header = &self.inbound.totp.header;
        let kind = Kind::Credential;
        match self.code() {
            Err(deny) => refused("code", &deny, String::new()),
            Ok(None) => Finding::new(kind, "code", Verdict::Note, format!("none in header `{header}`")),
            Ok(Some(code)) => {
                let text = format!("in header `{header}`: {} characters", code.len());
                Finding::new(kind, "code", Verdict::Note, text)
            }
        }
    }
}

/// Whose a token is.
fn belongs(proved: &Proved<'_>) -> Finding {
    let of = match (&proved.provider, &proved.caller.peer) {
        (Some(provider), _) => format!("counts there for provider `{}`", provider.name),
        (None, Some(peer)) => format!("the static one of peer `{}`", peer.name),
        (None, None) => "a static one".to_owned(),
    };
    Finding::new(Kind::Check, "place", Verdict::Good, of)
}

fn refused(name: &str, deny: &Deny, text: String) -> Finding {
    let text = match text.is_empty() {
        true => deny.to_string(),
        false => format!("{text}; {deny}"),
    };
    Finding::new(Kind::Credential, name, Verdict::Bad, text).because(deny.reason())
}

/// That nothing stands in these places; nothing to say where there are none.
fn absent(name: &str, places: impl Iterator<Item = String>) -> Option<Finding> {
    let places: Vec<String> = places.collect();
    let text = format!("none in {}", places.join(", "));
    (!places.is_empty()).then(|| Finding::new(Kind::Credential, name, Verdict::Note, text))
}
