//! The host calls that the filter uses (proxy-wasm ABI 0.2.1), each returning a `Result`.
//!
//! The SDK has them too, but panics on most statuses it does not expect, such as a header written too late. A panic
//! is no denial: it costs the virtual machine.

#![expect(
    clippy::as_conversions,
    reason = "the ABI's enumerations are numbers; the SDK gives no other way to them"
)]

mod calls;

use std::fmt;
use std::ptr::null_mut;

use proxy_wasm::types::{BufferType, LogLevel, MapType, MetricType};
use zeroize::Zeroize;

use crate::http::{Headers, Reply};
use crate::redact::Clean;
use crate::time::UnixTime;

use self::calls::{
    proxy_add_header_map_value, proxy_call_foreign_function, proxy_continue_stream, proxy_define_metric,
    proxy_get_buffer_bytes, proxy_get_current_time_nanoseconds, proxy_get_header_map_pairs,
    proxy_get_log_level, proxy_get_property, proxy_get_shared_data, proxy_increment_metric, proxy_log,
    proxy_record_metric, proxy_remove_header_map_value, proxy_replace_header_map_value,
    proxy_send_local_response, proxy_set_buffer_bytes, proxy_set_effective_context, proxy_set_property,
    proxy_set_shared_data, proxy_set_tick_period_milliseconds,
};

/// A host call that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HostError {
    call: &'static str,
    status: u32,
}

impl fmt::Display for HostError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` answered status {}", self.call, self.status)
    }
}

/// A header map of the stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Map {
    /// The headers of the request.
    Headers,
    /// Its trailers.
    Trailers,
    /// The headers of the answer.
    Answer,
    /// The headers of the answer to a callout, whose callback is running.
    Callout,
}

impl Map {
    const fn number(self) -> u32 {
        match self {
            Self::Headers => MapType::HttpRequestHeaders as u32,
            Self::Trailers => MapType::HttpRequestTrailers as u32,
            Self::Answer => MapType::HttpResponseHeaders as u32,
            Self::Callout => MapType::HttpCallResponseHeaders as u32,
        }
    }
}

/// All of a map, in one call; values as they are, text or not.
pub(super) fn read(map: Map) -> Result<Headers, HostError> {
    const CALL: &str = "proxy_get_header_map_pairs";
    let pairs = owned(CALL, |data, size| unsafe {
        proxy_get_header_map_pairs(map.number(), data, size)
    })?;
    headers(pairs).ok_or(HostError {
        call: CALL,
        status: SERIALIZATION_FAILURE,
    })
}

/// Removes every header of a name.
pub(super) fn remove(map: Map, name: &[u8]) -> Result<(), HostError> {
    checked("proxy_remove_header_map_value", unsafe {
        proxy_remove_header_map_value(map.number(), name.as_ptr(), name.len())
    })
}

/// Adds a header, of a name that no header has.
pub(super) fn add(map: Map, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    checked("proxy_add_header_map_value", unsafe {
        proxy_add_header_map_value(
            map.number(),
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Puts a value in place of that of the first header of a name: Envoy keeps the rest.
pub(super) fn replace_first(map: Map, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    checked("proxy_replace_header_map_value", unsafe {
        proxy_replace_header_map_value(
            map.number(),
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// A property of the stream or the proxy; `None` where it has none of this name.
pub(super) fn property(path: &[&str]) -> Option<Vec<u8>> {
    let path = path.join("\0");
    owned("proxy_get_property", |data, size| unsafe {
        proxy_get_property(path.as_ptr(), path.len(), data, size)
    })
    .ok()
}

/// The id of the request of the stream in effect: its `x-request-id`.
pub(super) fn request_id() -> Option<Vec<u8>> {
    property(&["request", "id"])
}

/// Sets a filter state object, which Envoy names `wasm.<name>`.
pub(super) fn set_filter_state(name: &str, value: &[u8]) -> Result<(), HostError> {
    checked("proxy_set_property", unsafe {
        proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

/// Lets a filter state object of this name, set from now on, outlive a redirect that the proxy follows itself. For root
/// contexts; Envoy takes `envoy.source.extensions.common.wasm.DeclarePropertyArguments`.
pub(super) fn keep_over_redirects(name: &str) -> Result<(), HostError> {
    let mut arguments = Vec::new();
    field(&mut arguments, 1, name.as_bytes());
    // `span: DownstreamRequest`.
    arguments.extend([0x28, 0x01]);
    foreign("declare_property", &arguments).map(|_| ())
}

/// Whether a signature is good, by Envoy's own cryptography (`VerifySignatureArguments`, `VerifySignatureResult`). `None`
/// where Envoy says that it has not come so far as to compare: it does not know the hash or cannot use the key.
pub(super) fn verify_signature(
    hash: &str,
    public_key: &[u8],
    signature: &[u8],
    message: &[u8],
) -> Result<Option<bool>, HostError> {
    let sizes = [hash.len(), public_key.len(), signature.len(), message.len()];
    let mut arguments = Vec::with_capacity(sizes.into_iter().fold(FIELD_HEADS, usize::saturating_add));
    for (number, value) in (1..).zip([hash.as_bytes(), public_key, signature, message]) {
        field(&mut arguments, number, value);
    }
    let answer = foreign("verify_signature", &arguments)?;
    // Field 1, a flag, is written first and only where it is set; field 2 says why it is not.
    if answer.starts_with(&[0x08, 0x01]) {
        return Ok(Some(true));
    }
    let text = answer.strip_prefix(&[0x12]).and_then(|rest| rest.get(1..));
    Ok(text
        .is_some_and(|text| text.starts_with(SIGNATURE_IS_BAD))
        .then_some(false))
}

/// A signature by Envoy's own cryptography (`SignArguments`, `SignResult`; from 1.37 on). `None` where Envoy made none.
pub(super) fn sign(hash: &str, private_key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let mut arguments = Vec::new();
    for (number, value) in (1..).zip([hash.as_bytes(), private_key, message]) {
        field(&mut arguments, number, value);
    }
    let answer = foreign("sign", &arguments);
    arguments.zeroize();
    // Field 1, a flag, is written first and only where it is set; field 2 is the signature.
    let field = answer.ok()?.strip_prefix(&[0x08, 0x01, 0x12])?.to_vec();
    match *field.as_slice() {
        [size @ ..=0x7f, ref signature @ ..] if signature.len() == usize::from(size) => {
            Some(signature.to_vec())
        }
        // Longer ones have two bytes of length, seven bits in each, the lower first.
        [low, high @ ..=0x7f, ref signature @ ..]
            if signature.len() == usize::from(low & 0x7f) | usize::from(high) << 7 =>
        {
            Some(signature.to_vec())
        }
        _ => None,
    }
}

fn foreign(function: &str, arguments: &[u8]) -> Result<Vec<u8>, HostError> {
    owned("proxy_call_foreign_function", |data, size| unsafe {
        proxy_call_foreign_function(
            function.as_ptr(),
            function.len(),
            arguments.as_ptr(),
            arguments.len(),
            data,
            size,
        )
    })
}

/// Adds a field of text or bytes to a protobuf message.
fn field(message: &mut Vec<u8>, number: u8, value: &[u8]) {
    message.push(number << 3 | 2);
    let mut size = value.len();
    while let (low, rest @ 1..) = (size & 0x7f, size >> 7) {
        message.push(0x80 | u8::try_from(low).unwrap_or_default());
        size = rest;
    }
    message.push(u8::try_from(size).unwrap_or_default());
    message.extend(value);
}

/// Answers the request. To be called once for a stream: a second answer hangs it.
pub(super) fn send_local_response(reply: &Reply) -> Result<(), HostError> {
    let headers = serialized(&reply.headers);
    let details = format!("peergate_{}", reply.details);
    let body = reply.body.as_str();
    checked("proxy_send_local_response", unsafe {
        proxy_send_local_response(
            u32::from(reply.status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            reply.grpc_status.map_or(NO_GRPC_STATUS, i32::from),
        )
    })
}

/// Writes a line to Envoy's log. Nothing can be done about a log that fails.
pub(super) fn log(level: LogLevel, line: &Clean) {
    let line = line.as_str();
    let _ = unsafe { proxy_log(level as u32, line.as_ptr(), line.len()) };
}

/// Whether lines of this level are written. A host that does not tell is taken to.
pub(super) fn logs(level: LogLevel) -> bool {
    let mut lowest = 0;
    let told = unsafe { proxy_get_log_level(&mut lowest) };
    told != OK || lowest <= level as u32
}

/// The configuration of the plugin whose root context is in effect.
pub(super) fn plugin_configuration() -> Result<Vec<u8>, HostError> {
    owned("proxy_get_buffer_bytes", |data, size| unsafe {
        proxy_get_buffer_bytes(BufferType::PluginConfiguration as u32, 0, usize::MAX, data, size)
    })
}

/// Sets a gauge.
pub(super) fn record_gauge(name: &str, value: u64) -> Result<(), HostError> {
    let mut number = 0;
    checked("proxy_define_metric", unsafe {
        proxy_define_metric(MetricType::Gauge as u32, name.as_ptr(), name.len(), &mut number)
    })?;
    checked("proxy_record_metric", unsafe {
        proxy_record_metric(number, value)
    })
}

/// Asks for calls of the root context every so many milliseconds.
pub(super) fn set_tick_period(milliseconds: u32) -> Result<(), HostError> {
    checked("proxy_set_tick_period_milliseconds", unsafe {
        proxy_set_tick_period_milliseconds(milliseconds)
    })
}

/// Lets the following calls act on another context.
pub(super) fn act_on(context: u32) -> Result<(), HostError> {
    checked("proxy_set_effective_context", unsafe {
        proxy_set_effective_context(context)
    })
}

/// Lets a request go on that was paused.
pub(super) fn continue_request() -> Result<(), HostError> {
    checked("proxy_continue_stream", unsafe {
        proxy_continue_stream(REQUEST_STREAM)
    })
}

/// A body that a callback can see.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    /// Of the request: what has come, or is held.
    Request,
    /// Of the answer.
    Answer,
    /// Of the answer to a callout, whose callback is running.
    Callout,
}

impl Body {
    const fn number(self) -> u32 {
        match self {
            Self::Request => BufferType::HttpRequestBody as u32,
            Self::Answer => BufferType::HttpResponseBody as u32,
            Self::Callout => BufferType::HttpCallResponseBody as u32,
        }
    }
}

/// A body, from its start; not more than this.
pub(super) fn body(body: Body, limit: usize) -> Result<Vec<u8>, HostError> {
    owned("proxy_get_buffer_bytes", |data, size| unsafe {
        proxy_get_buffer_bytes(body.number(), 0, limit, data, size)
    })
}

/// Puts other bytes in place of a whole body.
pub(super) fn replace_body(body: Body, bytes: &[u8]) -> Result<(), HostError> {
    checked("proxy_set_buffer_bytes", unsafe {
        proxy_set_buffer_bytes(body.number(), 0, usize::MAX, bytes.as_ptr(), bytes.len())
    })
}

/// A value of shared data, and its version.
pub(super) fn shared_data(key: &str) -> Result<(Vec<u8>, u32), HostError> {
    let mut version = 0;
    let value = owned("proxy_get_shared_data", |data, size| unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &mut version)
    })?;
    Ok((value, version))
}

/// Replaces a value of shared data, if it still has this version; 0 is every version.
pub(super) fn set_shared_data(key: &str, value: &[u8], version: u32) -> Result<(), HostError> {
    checked("proxy_set_shared_data", unsafe {
        proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version)
    })
}

/// Defines a counter and gives its number.
pub(super) fn define_counter(name: &str) -> Result<u32, HostError> {
    let mut number = 0;
    checked("proxy_define_metric", unsafe {
        proxy_define_metric(MetricType::Counter as u32, name.as_ptr(), name.len(), &mut number)
    })?;
    Ok(number)
}

/// Counts one.
pub(super) fn increment_counter(number: u32) -> Result<(), HostError> {
    checked("proxy_increment_metric", unsafe {
        proxy_increment_metric(number, 1)
    })
}

/// The time.
pub(super) fn now() -> Result<UnixTime, HostError> {
    let mut nanoseconds = 0;
    checked("proxy_get_current_time_nanoseconds", unsafe {
        proxy_get_current_time_nanoseconds(&mut nanoseconds)
    })?;
    Ok(UnixTime::from_nanoseconds(nanoseconds))
}

fn checked(call: &'static str, status: u32) -> Result<(), HostError> {
    match status {
        OK => Ok(()),
        status => Err(HostError { call, status }),
    }
}

/// Bytes that the host lays into this module's memory, which from then on owns them.
fn owned(
    call: &'static str,
    ask: impl FnOnce(*mut *mut u8, *mut usize) -> u32,
) -> Result<Vec<u8>, HostError> {
    let mut data = null_mut();
    let mut size = 0;
    checked(call, ask(&mut data, &mut size))?;
    match data.is_null() {
        true => Ok(Vec::new()),
        // SAFETY: the host asked the SDK's `proxy_on_memory_allocate` for `size` bytes, which makes a `Vec` of that
        // capacity and forgets it, and wrote all of them.
        false => Ok(unsafe { Vec::from_raw_parts(data, size, size) }),
    }
}

/// The form in which the host gives a header map: the number of pairs, then the sizes of each, then each name and
/// value with a NUL behind it; numbers are little-endian.
fn headers(map: Vec<u8>) -> Option<Headers> {
    if map.is_empty() {
        return Some(Headers::default());
    }
    let number = |at: usize| {
        let bytes = map.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let count = number(0)?;
    let mut next = count.checked_mul(8)?.checked_add(4)?;
    let mut ranges = Vec::with_capacity(count.min(map.len()));
    let mut take = |size: usize| {
        let end = next.checked_add(size).filter(|end| *end < map.len())?;
        let range = next..end;
        next = end.checked_add(1)?;
        Some(range)
    };
    for sizes in (4..).step_by(8).take(count) {
        ranges.push((take(number(sizes)?)?, take(number(sizes.checked_add(4)?)?)?));
    }
    Some(Headers::within(map, ranges))
}

/// The same form, the other way round.
fn serialized(headers: &[(&str, Clean)]) -> Vec<u8> {
    let number = |size: usize| u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes();
    let mut map = number(headers.len()).to_vec();
    for (name, value) in headers {
        map.extend(number(name.len()));
        map.extend(number(value.as_str().len()));
    }
    for (name, value) in headers {
        map.extend(name.as_bytes());
        map.push(0);
        map.extend(value.as_str().as_bytes());
        map.push(0);
    }
    map
}

/// How Envoy's answer for a signature that is not good begins, 1.36 to 1.40. Its other texts are about keys and hashes.
const SIGNATURE_IS_BAD: &[u8] = b"Failed to verify digest";

/// Room for the tags and lengths of four fields.
const FIELD_HEADS: usize = 16;

const OK: u32 = 0;
const REQUEST_STREAM: u32 = 0;
const SERIALIZATION_FAILURE: u32 = 3;
/// Envoy then chooses the gRPC status itself, and for plain HTTP none.
const NO_GRPC_STATUS: i32 = -1;

/// Random bytes, of the host's source.
pub(super) fn random<const SIZE: usize>() -> Result<[u8; SIZE], HostError> {
    let mut bytes = [0; SIZE];
    checked(
        "random_get",
        u32::from(unsafe { random_get(bytes.as_mut_ptr(), SIZE) }),
    )?;
    Ok(bytes)
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn random_get(bytes: *mut u8, size: usize) -> u16;
}
