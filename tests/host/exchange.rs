//! One HTTP exchange as a test describes it, and what became of it.

use std::collections::BTreeMap;

use super::{
    headers::HeaderMap,
    report::{LogLine, Trap},
    vm::StreamId,
};

/// A request as Envoy's connection manager hands it to the filter, with the answer that the upstream would give.
pub(crate) struct Request {
    pub(crate) headers: HeaderMap,
    /// The body in the pieces in which it arrives; without any the headers end the stream.
    pub(crate) body: Vec<Vec<u8>>,
    /// Properties of this stream by path, dots for zero bytes, over those of the VM.
    pub(crate) properties: BTreeMap<String, Vec<u8>>,
    /// The route table: from headers to the name of a cluster. Without it `xds.cluster_name` is a plain property.
    pub(crate) route: Option<Route>,
    pub(crate) upstream: Response,
}

/// From request headers to the name of a cluster.
pub(crate) type Route = Box<dyn Fn(&HeaderMap) -> Vec<u8>>;

impl Request {
    /// A request with exactly these headers, pseudo-headers included.
    pub(crate) fn new<N: AsRef<[u8]>, V: AsRef<[u8]>>(headers: impl IntoIterator<Item = (N, V)>) -> Self {
        Self {
            headers: HeaderMap::received(headers),
            body: Vec::new(),
            properties: BTreeMap::new(),
            route: None,
            upstream: Response::new(200),
        }
    }

    /// A plain request to `agent.example` as it arrives at a sidecar's inbound listener.
    pub(crate) fn inbound(method: &str, path: &str) -> Self {
        let headers = [
            (":authority", "agent.example"),
            (":path", path),
            (":method", method),
            (":scheme", "http"),
        ];
        Self::new(headers).property("xds.listener_direction", 1_i64.to_le_bytes())
    }

    /// The same as it arrives at a sidecar's outbound listener.
    pub(crate) fn outbound(method: &str, path: &str) -> Self {
        Self::inbound(method, path).property("xds.listener_direction", 2_i64.to_le_bytes())
    }

    /// Adds a header as the codec would; pseudo-headers are replaced.
    pub(crate) fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        if name.as_ref().starts_with(b":") {
            self.headers.replace(name.as_ref(), value.as_ref());
        } else {
            self.headers.add(name.as_ref(), value.as_ref());
        }
        self
    }

    pub(crate) fn property(mut self, path: &str, value: impl AsRef<[u8]>) -> Self {
        self.properties.insert(path.to_owned(), value.as_ref().to_vec());
        self
    }

    pub(crate) fn route(mut self, route: impl Fn(&HeaderMap) -> Vec<u8> + 'static) -> Self {
        self.route = Some(Box::new(route));
        self
    }

    /// Adds a piece of body.
    pub(crate) fn body(mut self, piece: impl AsRef<[u8]>) -> Self {
        self.body.push(piece.as_ref().to_vec());
        self
    }

    pub(crate) fn upstream(mut self, response: Response) -> Self {
        self.upstream = response;
        self
    }
}

/// A response: of an upstream, of a callout's cluster, or as the client sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            headers: HeaderMap::received([(":status", status.to_string())]),
            body: Vec::new(),
        }
    }

    pub(crate) fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(name.as_ref(), value.as_ref());
        self
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }
}

/// What a callout comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A response; Envoy reports a timeout as 504 and a refused connection as 503.
    Response(Response),
    /// The connection was reset or the body too large: the filter sees a response without any header.
    Failed,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Forwarded(Forwarded),
    Replied(Replied),
    /// The filter waits, for instance for a callout; see [`super::Vm::outcome`].
    Paused(StreamId),
    Trapped(Trap),
}

/// The request reached the upstream, and its response the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forwarded {
    /// The headers as the upstream and the access log see them.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// The cluster that the request really went to.
    pub(crate) cluster: Option<String>,
    pub(crate) response: Response,
    /// Filter state by its name in Envoy, `wasm.<name>`.
    pub(crate) filter_state: BTreeMap<String, Vec<u8>>,
    /// What was logged since the stream began.
    pub(crate) logs: Vec<LogLine>,
}

/// The filter answered itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replied {
    pub(crate) status: u16,
    /// The headers of the answer as the client sees them.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) grpc_status: Option<u8>,
    /// The headers of the request as the access log sees them.
    pub(crate) request: HeaderMap,
    /// Filter state by its name in Envoy, `wasm.<name>`.
    pub(crate) filter_state: BTreeMap<String, Vec<u8>>,
    /// What was logged since the stream began.
    pub(crate) logs: Vec<LogLine>,
}

impl Outcome {
    #[track_caller]
    pub(crate) fn forwarded(self) -> Forwarded {
        match self {
            Self::Forwarded(forwarded) => forwarded,
            other => panic!("not forwarded but {other:#?}"),
        }
    }

    #[track_caller]
    pub(crate) fn replied(self) -> Replied {
        match self {
            Self::Replied(replied) => replied,
            other => panic!("not replied but {other:#?}"),
        }
    }

    #[track_caller]
    pub(crate) fn paused(self) -> StreamId {
        match self {
            Self::Paused(stream) => stream,
            other => panic!("not paused but {other:#?}"),
        }
    }

    #[track_caller]
    pub(crate) fn trapped(self) -> Trap {
        match self {
            Self::Trapped(trap) => trap,
            other => panic!("not trapped but {other:#?}"),
        }
    }
}

impl Replied {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
