//! What a rule asks of its caller, check by check: [`super::super::authenticate`], told as it goes.

use crate::decision::credentials::{Presented, Proved};
use crate::decision::second_factor::SecondFactor;
use crate::decision::{Caller, Deny, Wish, assertion, identity};
use crate::findings::{Finding, Kind, Verdict, listed, quoted};
use crate::http::Edits;
use crate::policy::Inbound;
use crate::policy::rule::{Accept, AcceptedTokens, Require, Rule};

use super::super::{check_accepted, check_audience, check_authorization};

/// What was found so far. Behind a refusal nothing is looked at.
#[derive(Default)]
pub(super) struct Trail {
    pub(super) findings: Vec<Finding>,
    is_refused: bool,
}

impl Trail {
    /// As the machine proves a caller, and that it has all that the rule asks for.
    pub(super) fn authenticate(
        &mut self,
        inbound: &Inbound,
        rule: &Rule,
        (accept, require): (&Accept, &Require),
        presented: &Presented<'_, '_>,
    ) {
        let code = presented.code();
        if let Err(deny) = &code {
            return self.refuse("code", deny);
        }
        let proofs = match presented.proofs() {
            Ok(proofs) => proofs,
            Err(deny) => return self.refuse("credentials", &deny),
        };
        for credential in &proofs.proved {
            self.accepted(accept, credential);
        }
        if self.is_refused {
            return;
        }
        let introspected = proofs
            .opaque
            .as_ref()
            .map(|opaque| opaque.prove(presented, accept));
        let introspected = match introspected.transpose() {
            Ok(introspected) => introspected,
            Err(deny) => return self.refuse_opaque(&deny, presented.take_wish()),
        };
        let connected = match introspected.is_none() && proofs.proved.is_empty() && accept.mtls {
            true => presented.connected(),
            false => None,
        };
        for credential in introspected.iter().chain(&connected) {
            self.accepted(accept, credential);
        }
        let mut proved = introspected.iter().chain(&proofs.proved).chain(&connected);
        let Some(credential) = proved.next() else {
            let text = format!("accepted are {}", accepted(accept));
            let missing = match accept.none {
                true => Ok(()),
                false => Err(Deny::CredentialsMissing),
            };
            return self.check("accept", missing, text);
        };
        self.note("caller", caller(&credential.caller));
        self.requirements(inbound, require, credential, code.ok().flatten(), presented);
        self.forwarded(inbound, rule, require, credential, presented);
    }

    /// Whether the rule takes a credential of this kind.
    fn accepted(&mut self, accept: &Accept, credential: &Proved<'_>) {
        let words = accepted(accept);
        match check_accepted(accept, credential) {
            Ok(()) => self.check(
                "accept",
                Ok(()),
                format!("{}; accepted are {words}", kind_of(credential)),
            ),
            Err(deny) => self.check("accept", Err(deny), format!("accepted are {words}")),
        }
    }

    /// First that the caller is who it says, then that it may do this.
    fn requirements(
        &mut self,
        inbound: &Inbound,
        require: &Require,
        credential: &Proved<'_>,
        code: Option<&[u8]>,
        presented: &Presented<'_, '_>,
    ) {
        if !require.audiences.is_empty() {
            let of_token = credential.token.as_ref().map(|token| &*token.audiences);
            let actual = of_token.or(credential.audiences.as_deref());
            let actual = match actual {
                Some(audiences) => format!("for {}", texts(audiences)),
                None => "keys have no audience".to_owned(),
            };
            let text = format!("{actual}; wanted is one of {}", texts(&require.audiences));
            self.check("audience", check_audience(require, credential), text);
        }
        if let Some(requirement) = require.totp {
            if credential.has_otp() {
                self.check("code", Ok(()), "checked by the peergate that asserts the caller");
            } else {
                let second_factor = SecondFactor {
                    totp: &inbound.totp,
                    requirement,
                    credential,
                    state: presented.means().state,
                    now: presented.now(),
                };
                let text = second_factor.told(code);
                self.check("code", second_factor.check(code), text);
            }
        }
        self.authorization(require, &credential.caller);
    }

    /// Scopes, then peers, then claims: what the one refusal is about tells how far it came.
    fn authorization(&mut self, require: &Require, caller: &Caller) {
        let mut refusal = check_authorization(require, caller).err();
        if !require.scopes.is_empty() {
            let result = take_if(&mut refusal, |deny| {
                matches!(deny, Deny::ScopeInsufficient { .. })
            });
            let text = format!(
                "the caller has {}; wanted are all of {}",
                texts(&caller.scopes),
                texts(&require.scopes)
            );
            self.check("scopes", result, text);
        }
        if !require.peers.is_empty() {
            let result = take_if(&mut refusal, |deny| matches!(deny, Deny::PeerNotAllowed));
            let peer = caller
                .peer
                .as_ref()
                .map_or("no peer".to_owned(), |peer| quoted(&peer.name));
            self.check(
                "peer",
                result,
                format!("{peer}; wanted is one of {}", texts(&require.peers)),
            );
        }
        for (claim, values) in &require.claims {
            let result = take_if(
                &mut refusal,
                |deny| matches!(deny, Deny::ClaimNotAllowed { claim: failed } if failed == claim.as_str()),
            );
            let actual = claim
                .find(&caller.claims)
                .and_then(crate::claims::string_or_strings);
            let actual = actual
                .as_deref()
                .map_or("not there, or no text".to_owned(), quoted);
            let text = format!(
                "`{}` is {actual}; wanted is one of {}",
                claim.as_str(),
                texts(values)
            );
            self.check("claim", result, text);
        }
    }

    fn forwarded(
        &mut self,
        inbound: &Inbound,
        rule: &Rule,
        require: &Require,
        credential: &Proved<'_>,
        presented: &Presented<'_, '_>,
    ) {
        if self.is_refused {
            return;
        }
        let mut edits = Edits::default();
        let done = identity::forward(inbound, rule, credential, presented.request(), &mut edits);
        let names = edits
            .settings()
            .map(|(name, _)| String::from_utf8_lossy(name).into_owned());
        let names: Vec<String> = names.collect();
        self.check("forward", done, format!("headers {}", texts(&names)));
        if let Some(assertion) = inbound.assertion.as_ref().filter(|_| !self.is_refused) {
            let has_otp = require.totp.is_some() || credential.has_otp();
            let (means, now) = (presented.means(), presented.now());
            let done = assertion::add(inbound, means, credential, has_otp, now, &mut edits);
            let text = format!(
                "header `{}`, good for {} s",
                assertion.header, assertion.lifetime_seconds
            );
            self.check("assertion", done, text);
        }
    }

    fn check(&mut self, name: &str, result: Result<(), Deny>, text: impl Into<String>) {
        let text = text.into();
        let finding = match result {
            _ if self.is_refused => Finding::new(Kind::Check, name, Verdict::Skipped, text),
            Ok(()) => Finding::new(Kind::Check, name, Verdict::Good, text),
            Err(deny) => {
                self.is_refused = true;
                let text = match text.is_empty() {
                    true => deny.to_string(),
                    false => format!("{deny}; {text}"),
                };
                Finding::new(Kind::Check, name, Verdict::Bad, text).because(deny.reason())
            }
        };
        self.findings.push(finding);
    }

    fn refuse(&mut self, name: &str, deny: &Deny) {
        self.check(name, Err(deny.clone()), "");
    }

    /// An opaque token of which a server is to be asked, or of which none is.
    fn refuse_opaque(&mut self, deny: &Deny, wish: Option<Wish>) {
        self.refuse("introspection", deny);
        if let (Some(last), Some(_)) = (self.findings.last_mut(), wish) {
            last.result = Verdict::Unknown;
            last.text = "a server is asked first; without its answer the request is refused".to_owned();
        }
    }

    fn note(&mut self, name: &str, text: String) {
        self.findings
            .push(Finding::new(Kind::Check, name, Verdict::Note, text));
    }
}

/// The refusal, if it is about this; what comes behind it is not looked at any more.
fn take_if(refusal: &mut Option<Deny>, is_meant: impl Fn(&Deny) -> bool) -> Result<(), Deny> {
    match refusal.take_if(|deny| is_meant(deny)) {
        Some(deny) => Err(deny),
        None => Ok(()),
    }
}

fn texts(texts: &[String]) -> String {
    listed(texts.iter().map(String::as_str))
}

fn kind_of(credential: &Proved<'_>) -> String {
    let method = credential.caller.method.as_str();
    let provider = credential.provider.map(|provider| provider.name.as_str());
    match provider.or(credential.introspection.as_deref()) {
        Some(name) => format!("`{method}:{name}`"),
        None => format!("`{method}`"),
    }
}

/// In the words of a policy.
fn accepted(accept: &Accept) -> String {
    let mut words = match &accept.jwt {
        AcceptedTokens::None => Vec::new(),
        AcceptedTokens::Any => vec!["jwt".to_owned()],
        AcceptedTokens::Of(names) => names.iter().map(|name| format!("jwt:{name}")).collect(),
    };
    words.extend(
        accept
            .introspections
            .iter()
            .map(|name| format!("introspection:{name}")),
    );
    let kinds = [
        (accept.api_key, "api_key"),
        (accept.bearer_token, "bearer_token"),
        (accept.mtls, "mtls"),
        (accept.none, "none"),
    ];
    words.extend(
        kinds
            .into_iter()
            .filter(|(is_accepted, _)| *is_accepted)
            .map(|(_, word)| word.to_owned()),
    );
    texts(&words)
}

fn caller(caller: &Caller) -> String {
    let peer = caller.peer.as_ref().map_or("no peer".to_owned(), |peer| {
        format!("peer {}", quoted(&peer.name))
    });
    let sub = caller
        .sub
        .as_deref()
        .map_or("no `sub`".to_owned(), |sub| format!("sub {}", quoted(sub)));
    let scopes = match caller.scopes.is_empty() {
        true => "no scopes".to_owned(),
        false => format!("scopes {}", texts(&caller.scopes)),
    };
    format!(
        "{peer}, {sub}, iss {}, by `{}`, {scopes}",
        quoted(&caller.iss),
        caller.method.as_str()
    )
}
