//! How Envoy turns a filter's local reply into a response (`Http::Utility::prepareLocalReply`).

use super::{exchange::Response, headers::HeaderMap};

/// A local reply as the filter asked for it.
#[derive(Debug, Clone)]
pub(super) struct LocalReply {
    pub(super) status: u32,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Ignored by Envoy unless it is a gRPC status.
    pub(super) grpc_status: i32,
}

impl LocalReply {
    /// The response, before the filter's own response callbacks.
    pub(super) fn into_response(self, request: &HeaderMap) -> Response {
        let head = request.first(b":method") == Some(b"HEAD");
        if is_grpc(request) {
            self.into_trailers_only(head)
        } else {
            self.into_plain(head)
        }
    }

    fn into_plain(self, head: bool) -> Response {
        let mut headers = HeaderMap::received([(":status", self.status.to_string())]);
        for (name, value) in self.headers.iter() {
            headers.add(name, value);
        }
        if self.body.is_empty() {
            headers.remove(b"content-length");
            headers.remove(b"content-type");
        } else {
            headers.replace(b"content-length", self.body.len().to_string().as_bytes());
            if headers.first(b"content-type").is_none() {
                headers.add(b"content-type", b"text/plain");
            }
        }
        Response {
            headers,
            body: if head { Vec::new() } else { self.body },
        }
    }

    /// Trailers-only: everything in the headers, HTTP status 200, no body.
    fn into_trailers_only(self, head: bool) -> Response {
        let mut headers = HeaderMap::received([(":status", "200")]);
        for (name, value) in self.headers.iter() {
            headers.add(name, value);
        }
        headers.replace(b"content-type", b"application/grpc");
        if headers.first(b"grpc-status").is_none() {
            let given = u32::try_from(self.grpc_status)
                .ok()
                .filter(|status| *status <= GRPC_STATUS_MAXIMUM);
            let status = given.unwrap_or_else(|| grpc_status_of(self.status));
            headers.add(b"grpc-status", status.to_string().as_bytes());
        }
        if !self.body.is_empty() && !head {
            headers.replace(b"grpc-message", percent_encode(&self.body).as_bytes());
        }
        headers.remove(b"content-length");
        Response {
            headers,
            body: Vec::new(),
        }
    }
}

/// Whether Envoy takes the request for gRPC; grpc-web does not count.
fn is_grpc(request: &HeaderMap) -> bool {
    let content_type = request.first(b"content-type").unwrap_or_default();
    match content_type.strip_prefix(b"application/grpc") {
        Some(suffix) => suffix.is_empty() || suffix.starts_with(b"+"),
        None => false,
    }
}

/// The gRPC status for an HTTP status (grpc.io, "HTTP to gRPC Status Code Mapping").
fn grpc_status_of(status: u32) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// `grpc-message` (gRPC over HTTP/2, "Responses"): Envoy also encodes the tilde.
fn percent_encode(message: &[u8]) -> String {
    let encode = |byte: &u8| match byte {
        b'%' => "%25".to_owned(),
        b' '..=b'}' => char::from(*byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    message.iter().map(encode).collect()
}

/// `Unauthenticated`, the last well-known status.
const GRPC_STATUS_MAXIMUM: u32 = 16;
