//! Requests that the filter makes itself. They are sent from the root context: an answer to a stream's own is lost when its
//! client leaves.

use std::time::Duration;

use proxy_wasm::hostcalls;

use crate::callout::{Answer, Body, Callout};
use crate::filter::host::{self, Map};

/// Sends a request; the number comes back with its answer. `None` where the proxy does not send it.
pub(super) fn send(callout: &Callout) -> Option<u32> {
    let authorization = callout.authorization.as_ref();
    let headers: Vec<(&str, &str)> = callout
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .chain(authorization.map(|value| ("authorization", value.expose().as_str())))
        .collect();
    let body = Some(callout.body.expose().as_slice()).filter(|body| !body.is_empty());
    let timeout = Duration::from_secs(callout.timeout_seconds.into());
    hostcalls::dispatch_http_call(&callout.cluster, headers, body, Vec::new(), timeout).ok()
}

/// What has come back, while its callback runs.
pub(super) fn received(headers: usize, body_bytes: usize, most: usize) -> Answer {
    if headers == 0 {
        return Answer::Nothing;
    }
    let Ok(headers) = host::read(Map::Callout) else {
        return Answer::Nothing;
    };
    let body = match body_bytes {
        0 => Ok(Body::Whole(Vec::new())),
        bytes if bytes > most => Ok(Body::TooLong { bytes }),
        bytes => host::body(host::Body::Callout, bytes).map(Body::Whole),
    };
    body.map_or(Answer::Nothing, |body| Answer::Received { headers, body })
}
