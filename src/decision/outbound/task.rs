//! What a rule puts on a call: into its query, its headers, its cookies; and what takes it off again.

use std::rc::Rc;

use crate::authority::{Authority, HostName};
use crate::cookie;
use crate::decision::injected::{Hand, Injected, cluster, cookies};
use crate::decision::{Deny, ORIGINAL_PATH};
use crate::echo::Given;
use crate::http::{Edits, Repeated, Request};
use crate::policy::location::Location;
use crate::policy::outbound::{ParameterValue, QueryToHeader, Rule, SharedSecret};
use crate::policy::owned::is_same_header;
use crate::query::{self, ParameterName};
use crate::redact::Redactor;
use crate::secret::Secret;
use crate::time::UnixTime;
use crate::totp;

use super::AUTHORIZATION;
use super::token::Token;

/// A rule and the call that it is for.
pub(super) struct Task<'a> {
    /// The only hosts that are sent a credential in the query.
    pub(super) hosts: &'a [HostName],
    pub(super) rule: &'a Rule,
    pub(super) redactor: &'a Redactor,
    pub(super) authority: &'a Authority<'a>,
    pub(super) request: &'a Request,
    /// The identity of the policy.
    pub(super) policy: &'a str,
    /// Whether the filter stands within the cluster that the call goes to.
    pub(super) is_within_cluster: bool,
    pub(super) now: UnixTime,
    /// What a run before this one has put on the same headers: another filter, or an attempt within the cluster.
    pub(super) before: Option<&'a Injected>,
}

/// What was put on.
#[derive(Default)]
pub(super) struct Applied {
    /// Takes it off again, for the access log of a call that is refused after all.
    pub(super) undo: Edits,
    /// The secrets among it.
    pub(super) given: Given,
    /// The headers among it.
    pub(super) headers: Vec<String>,
}

/// A parameter, and what it gets.
type Credential<'a> = (&'a ParameterName, SharedSecret);

impl Task<'_> {
    /// Puts it on. Precedence, low to high: what the call comes with, what is moved, what the policy holds.
    pub(super) fn apply(&self, token: &Token, edits: &mut Edits) -> Result<Applied, Deny> {
        let mut applied = Applied::default();
        let mut injected = Injected::by(Hand {
            policy: self.policy.to_owned(),
            rule: self.rule.name.clone(),
            cluster: self.is_within_cluster.then(|| cluster(self.request)),
        });
        self.rewrite_query(edits, &mut applied, &mut injected)?;
        if let Some(moved) = &self.rule.query_to_header {
            self.move_to_header(moved, edits, &mut applied, &mut injected)?;
        }
        self.put_token(token, edits, &mut applied, &mut injected);
        for (name, value) in &self.rule.headers {
            if !self.is_kept(name) {
                let header = value.whole.expose().clone();
                self.put_header(name, header, edits, &mut applied, &mut injected);
                for secret in &value.secrets {
                    applied.given.add(Rc::clone(secret));
                }
            }
        }
        self.put_cookies(edits, &mut applied, &mut injected);
        if let Some(totp) = &self.rule.totp {
            let code = totp::code_at(&totp.seed, &totp.code, self.now);
            let code = code.expose().to_vec();
            applied.given.add(Rc::new(Secret::new(code.clone())));
            self.put_header(&totp.header, code, edits, &mut applied, &mut injected);
        }
        applied.headers.clone_from(&injected.headers);
        if self.rule.puts_on() {
            injected.and(self.before).remember(edits);
        }
        Ok(applied)
    }

    fn rewrite_query(
        &self,
        edits: &mut Edits,
        applied: &mut Applied,
        injected: &mut Injected,
    ) -> Result<(), Deny> {
        let moved_away = self
            .rule
            .query_to_header
            .as_ref()
            .map(|moved| moved.from.as_str());
        if self.rule.query_parameters.is_empty() && moved_away.is_none() {
            return Ok(());
        }
        let path = self.request.path().ok_or(Deny::PathMissing)?;
        let credentials = match self.rule.query_parameters.is_empty() {
            true => Vec::new(),
            false => self.query_credentials(edits)?,
        };
        let names = || self.rule.query_parameters.iter().map(|(name, _)| name.as_str());
        let is_removed = |name: &str| {
            Some(name) == moved_away
                || names().any(|own| own == name) && !self.is_moved_already(name, &credentials)
        };
        let values = credentials
            .iter()
            .map(|(name, value)| (*name, value.expose().as_slice()));
        let rewritten = query::rewrite(path, is_removed, values);
        // Of a retry, the clean path is the one without what the attempt before has moved.
        let clean_path = query::without(&rewritten.clean_path, |name| names().any(|own| own == name));
        applied.undo.set(b":path", self.redactor.sanitize(&clean_path));
        applied.undo.remove(ORIGINAL_PATH);
        edits.set(b":path", rewritten.path);
        if !self.rule.query_parameters.is_empty() {
            // Envoy's default access log and its tracers print this header in place of the path.
            edits.set(ORIGINAL_PATH, clean_path);
            injected.parameters.extend(names().map(str::to_owned));
        }
        for (_, value) in credentials {
            applied.given.add(value);
        }
        Ok(())
    }

    /// The parameters that are put on, and their values; the headers that these come from go.
    fn query_credentials(&self, edits: &mut Edits) -> Result<Vec<Credential<'_>>, Deny> {
        // The configuration lists no other host; the request decides again, for this is where a key would leave.
        if !self.hosts.iter().any(|listed| listed.matches(self.authority)) {
            return Err(Deny::QueryHostNotAllowed {
                host: self.authority.host().to_owned(),
            });
        }
        let mut credentials = Vec::new();
        for (name, value) in &self.rule.query_parameters {
            match value {
                ParameterValue::Secret(secret) => credentials.push((name, Rc::clone(secret))),
                ParameterValue::FromHeader(header) => {
                    edits.remove_all(&self.request.headers, |other| {
                        is_same_header(other, header.as_bytes())
                    });
                    if let Some(value) = self.single(header)?.filter(|value| !value.is_empty()) {
                        credentials.push((name, Rc::new(Secret::new(value.to_vec()))));
                    }
                }
            }
        }
        Ok(credentials)
    }

    /// Whether a parameter is what the attempt before has moved out of a header, which is gone now.
    fn is_moved_already(&self, name: &str, credentials: &[Credential<'_>]) -> bool {
        let was_put_on = |injected: &Injected| injected.parameters.iter().any(|own| own == name);
        self.retried().is_some_and(was_put_on) && !credentials.iter().any(|(own, _)| own.as_str() == name)
    }

    fn move_to_header(
        &self,
        moved: &QueryToHeader,
        edits: &mut Edits,
        applied: &mut Applied,
        injected: &mut Injected,
    ) -> Result<(), Deny> {
        let path = self.request.path().ok_or(Deny::PathMissing)?;
        let mut values = query::values(path, &moved.from).filter(|value| !value.is_empty());
        let value = match (values.next(), values.next()) {
            (_, Some(_)) => {
                return Err(Deny::CredentialRepeated {
                    place: Location::Parameter(moved.from.clone()).to_string(),
                });
            }
            (None, None) => None,
            (Some(value), None) => Some(value),
        };
        let Some(value) = value else {
            // A retry: the attempt before has moved it.
            injected.headers.extend(self.retried().map(|_| moved.to.clone()));
            return Ok(());
        };
        if self.is_kept(&moved.to) {
            return Ok(());
        }
        let is_carried = value.bytes().all(|byte| matches!(byte, b'!'..=b'~'));
        if !is_carried {
            return Err(Deny::CredentialMalformed);
        }
        let header = format!("{}{value}", moved.prefix).into_bytes();
        self.put_header(&moved.to, header, edits, applied, injected);
        applied
            .given
            .add(Rc::new(Secret::new(value.into_owned().into_bytes())));
        Ok(())
    }

    /// Puts a token in place of the one that the call came with, and takes off what it was got with.
    fn put_token(&self, token: &Token, edits: &mut Edits, applied: &mut Applied, injected: &mut Injected) {
        let Some(plan) = &self.rule.token else { return };
        match token {
            Token::Untouched => return,
            Token::NotMeant => {}
            Token::Kept => injected.headers.push(AUTHORIZATION.to_owned()),
            Token::Stripped => edits.remove_all(&self.request.headers, |name| {
                is_same_header(name, AUTHORIZATION.as_bytes())
            }),
            Token::Got { value, .. } => {
                let header = [b"Bearer ".as_slice(), value.expose()].concat();
                self.put_header(AUTHORIZATION, header, edits, applied, injected);
                applied.given.add(Rc::clone(value));
            }
        }
        for name in plan.headers().filter(|name| *name != AUTHORIZATION) {
            edits.remove_all(&self.request.headers, |other| {
                is_same_header(other, name.as_bytes())
            });
        }
    }

    /// Sets a header in place of every one that a careless server takes for it.
    fn put_header(
        &self,
        name: &str,
        value: Vec<u8>,
        edits: &mut Edits,
        applied: &mut Applied,
        injected: &mut Injected,
    ) {
        edits.remove_all(&self.request.headers, |other| {
            is_same_header(other, name.as_bytes())
        });
        edits.set(name.as_bytes(), value);
        applied.undo.remove(name.as_bytes());
        injected.headers.push(name.to_owned());
    }

    fn put_cookies(&self, edits: &mut Edits, applied: &mut Applied, injected: &mut Injected) {
        if self.rule.cookies.is_empty() {
            return;
        }
        let before = cookies(self.request);
        let merged = self
            .rule
            .cookies
            .iter()
            .fold(before.clone(), |merged, (name, value)| {
                Some(cookie::with(merged.as_deref(), name, value.expose()))
            });
        edits.set(b"cookie", merged.unwrap_or_default());
        match before {
            Some(before) => applied.undo.set(b"cookie", before),
            None => applied.undo.remove(b"cookie"),
        }
        for (name, value) in &self.rule.cookies {
            applied.given.add(Rc::clone(value));
            injected.cookies.push(name.clone());
        }
    }

    /// What this very rule has put on before: within a cluster a retry finds what the first attempt has moved.
    fn retried(&self) -> Option<&Injected> {
        self.before
            .filter(|before| before.is_by(self.policy, &self.rule.name))
    }

    /// Whether what the call comes with stays: an `Authorization` that is meant for somebody behind the upstream.
    fn is_kept(&self, header: &str) -> bool {
        self.rule.keeps_authorization
            && header == AUTHORIZATION
            && self.request.headers.first(AUTHORIZATION.as_bytes()).is_some()
    }

    fn single(&self, header: &str) -> Result<Option<&[u8]>, Deny> {
        self.request
            .headers
            .single(header.as_bytes())
            .map_err(|Repeated| Deny::CredentialRepeated {
                place: Location::Header(header.to_owned()).to_string(),
            })
    }
}
