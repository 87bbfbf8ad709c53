//! What an outbound rule has put on a call, as it is remembered on the stream: names, never values.
//!
//! A proxy may run the filter again on the headers that it has changed: after a redirect that the proxy follows itself,
//! or, within a cluster, with each retry. What was put on must then come off before the rules are asked again.

use crate::cookie;
use crate::decision::{ORIGINAL_PATH, ORIGINAL_URL, state};
use crate::http::{Edits, Request};
use crate::query;

/// What was put on, and by which rule.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Injected {
    pub(super) rule: String,
    pub(super) headers: Vec<String>,
    pub(super) parameters: Vec<String>,
    pub(super) cookies: Vec<String>,
}

impl Injected {
    /// What stands on the stream.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let text = std::str::from_utf8(request.injected.as_deref()?).ok()?;
        let mut lines = text.lines();
        let mut injected = Self {
            rule: lines.next()?.to_owned(),
            ..Self::default()
        };
        for line in lines {
            let (kind, name) = line.split_once(' ')?;
            let names = match kind {
                HEADER => &mut injected.headers,
                PARAMETER => &mut injected.parameters,
                _ => &mut injected.cookies,
            };
            names.push(name.to_owned());
        }
        Some(injected)
    }

    /// This, and what a run before it has put on.
    pub(super) fn and(mut self, before: Option<&Self>) -> Self {
        if let Some(before) = before {
            for (names, before) in [
                (&mut self.headers, &before.headers),
                (&mut self.parameters, &before.parameters),
                (&mut self.cookies, &before.cookies),
            ] {
                let further = before
                    .iter()
                    .filter(|name| !names.contains(name))
                    .cloned()
                    .collect::<Vec<_>>();
                names.extend(further);
            }
        }
        self
    }

    /// Puts it on the stream.
    pub(super) fn remember(&self, edits: &mut Edits) {
        let mut text = self.rule.clone();
        let named = [
            (HEADER, &self.headers),
            (PARAMETER, &self.parameters),
            (COOKIE, &self.cookies),
        ];
        for (kind, names) in named {
            for name in names {
                text.extend(["\n", kind, " ", name]);
            }
        }
        edits.set_state(state::INJECTED, text.into_bytes());
    }

    /// Takes it off.
    pub(super) fn removal(&self, request: &Request) -> Edits {
        let mut edits = Edits::default();
        edits.remove(ORIGINAL_URL);
        // The path of the first request is none of the second's.
        edits.remove(ORIGINAL_PATH);
        for header in &self.headers {
            edits.remove(header.as_bytes());
        }
        if let Some(path) = request.path().filter(|_| !self.parameters.is_empty()) {
            let is_ours = |name: &str| self.parameters.iter().any(|own| own == name);
            edits.set(b":path", query::without(path, is_ours));
        }
        if let Some(cookies) = cookies(request).filter(|_| !self.cookies.is_empty()) {
            let is_ours = |name: &[u8]| self.cookies.iter().any(|own| own.as_bytes() == name);
            match cookie::without(&cookies, is_ours) {
                Some(kept) => edits.set(b"cookie", kept),
                None => edits.remove(b"cookie"),
            }
        }
        edits
    }
}

/// All cookies of a request as one header.
pub(super) fn cookies(request: &Request) -> Option<Vec<u8>> {
    let headers: Vec<&[u8]> = request.headers.all(b"cookie").collect();
    (!headers.is_empty()).then(|| headers.join(b"; ".as_slice()))
}

const HEADER: &str = "header";
const PARAMETER: &str = "parameter";
const COOKIE: &str = "cookie";
