//! The state behind the host calls: options, contexts, streams, and the record of logs and violations.

use std::{
    any::Any,
    collections::{BTreeMap, VecDeque},
};

use super::{
    cryptography::{sign, verify_signature},
    exchange::{Answer, Request, Response, Route},
    headers::HeaderMap,
    process::{MetricKind, Process},
    reply::LocalReply,
    report::{Level, LogLine, OutputFile, Phase, Source, Violation},
};

/// The results of host calls, with their numbers in the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    NotFound = 1,
    BadArgument = 2,
    SerializationFailure = 3,
    InvalidMemoryAccess = 6,
    CasMismatch = 8,
    InternalFailure = 10,
    Unimplemented = 12,
}

/// When a property shows the cluster of a route that changed with the headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum RouteRefresh {
    /// When the headers go on to the next filter, as seen on Envoy 1.40: every change of a request header clears the
    /// route, but `xds.cluster_name` answers the old cluster until something asks for the route again.
    #[default]
    WhenForwarded,
    /// With the change itself.
    AtOnce,
}

/// Answers a foreign function by its name and arguments; `NotFound` for those that the host does not have.
pub(crate) type ForeignFunctions = Box<dyn FnMut(&str, &[u8]) -> Result<Vec<u8>, Status>>;

/// How a VM is started.
pub(crate) struct VmOptions {
    pub(crate) process: Process,
    pub(crate) vm_id: String,
    /// `vm_config.configuration`.
    pub(crate) vm_configuration: Vec<u8>,
    /// `vm_config.environment_variables`.
    pub(crate) environment: BTreeMap<String, String>,
    /// Properties that every context has, by path with dots: `xds.node.id`, `xds.node.metadata.NAMESPACE`.
    pub(crate) properties: BTreeMap<String, Vec<u8>>,
    /// The clusters that callouts can go to.
    pub(crate) clusters: Vec<String>,
    pub(crate) foreign_functions: ForeignFunctions,
    pub(crate) route_refresh: RouteRefresh,
    /// The plugin's `allow_on_headers_stop_iteration`: bodies arrive while the headers are held.
    pub(crate) allow_on_headers_stop_iteration: bool,
    /// What the module is told about the log level; all lines are kept whatever it is.
    pub(crate) log_level: Level,
    pub(crate) random_seed: u64,
    /// Keeps violations for [`super::Vm::take_violations`] instead of panicking with them.
    pub(crate) collect_violations: bool,
}

impl Default for VmOptions {
    fn default() -> Self {
        Self {
            process: Process::default(),
            vm_id: String::new(),
            vm_configuration: Vec::new(),
            environment: BTreeMap::new(),
            properties: BTreeMap::new(),
            clusters: Vec::new(),
            // What the filter asks of every Envoy.
            foreign_functions: Box::new(|name, arguments| match name {
                "declare_property" => Ok(Vec::new()),
                "verify_signature" => verify_signature(arguments),
                "sign" => sign(arguments),
                _ => Err(Status::NotFound),
            }),
            route_refresh: RouteRefresh::default(),
            allow_on_headers_stop_iteration: false,
            log_level: Level::Info,
            random_seed: 1,
            collect_violations: false,
        }
    }
}

/// A callout that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Callout {
    pub(crate) token: u32,
    pub(crate) cluster: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) timeout_milliseconds: u32,
    /// The root context that Envoy calls with the answer.
    pub(super) root: u32,
}

/// Everything behind one VM.
pub(super) struct Host {
    pub(super) options: VmOptions,
    pub(super) contexts: BTreeMap<u32, Context>,
    /// The context of the running callback.
    pub(super) current: u32,
    /// The context that the module chose in its place, for the rest of the callback.
    pub(super) effective: Option<u32>,
    pub(super) phase: Phase,
    /// The host call that is being answered.
    pub(super) call: &'static str,
    pub(super) callouts: Vec<Callout>,
    pub(super) last_token: u32,
    /// The answer whose callback is running.
    pub(super) answer: Option<Answer>,
    /// Metrics by the module's number for them.
    pub(super) metrics: BTreeMap<u32, (MetricKind, String)>,
    pub(super) random: u64,
    pub(super) logs: Vec<LogLine>,
    pub(super) violations: Vec<Violation>,
    /// A panic inside a host call, to go on when the module has returned.
    pub(super) panic: Option<Box<dyn Any + Send>>,
    output: OutputFile,
}

pub(super) enum Context {
    Root(Root),
    Stream(Box<Stream>),
}

/// One plugin configuration in this VM.
pub(super) struct Root {
    pub(super) configuration: Vec<u8>,
    pub(super) tick_milliseconds: Option<u32>,
}

/// One HTTP stream.
pub(super) struct Stream {
    pub(super) root: u32,
    pub(super) request: Flow,
    pub(super) response: Flow,
    pub(super) upstream: Response,
    pub(super) reply: Option<LocalReply>,
    /// The reply has become the response.
    pub(super) replied: bool,
    pub(super) properties: BTreeMap<String, Vec<u8>>,
    pub(super) filter_state: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) route: Option<Route>,
    pub(super) route_is_stale: bool,
    pub(super) cluster: Option<Vec<u8>>,
    pub(super) logs_before: usize,
}

/// One direction of a stream on its way through the filter.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) headers: HeaderMap,
    pub(super) chunks: VecDeque<Vec<u8>>,
    pub(super) started: bool,
    /// Whether the filter has the header map in its hands: from the header callback until it lets the headers go.
    pub(super) open: bool,
    pub(super) headers_held: bool,
    pub(super) body_held: bool,
    /// The filter has asked to go on; done after the callback.
    pub(super) continued: bool,
    pub(super) buffer: Vec<u8>,
    pub(super) passed: Vec<u8>,
}

impl Host {
    pub(super) fn new(options: VmOptions) -> Self {
        Self {
            // Spreads small seeds over all bits (2^64 divided by the golden ratio); zero would stay zero.
            random: options.random_seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).max(1),
            options,
            contexts: BTreeMap::new(),
            current: 0,
            effective: None,
            phase: Phase::Initialize,
            call: "",
            callouts: Vec::new(),
            last_token: 0,
            answer: None,
            metrics: BTreeMap::new(),
            logs: Vec::new(),
            violations: Vec::new(),
            panic: None,
            output: OutputFile::open(),
        }
    }

    pub(super) fn log(&mut self, level: Level, source: Source, text: &[u8]) {
        let line = LogLine {
            level,
            source,
            text: String::from_utf8_lossy(text).into_owned(),
        };
        self.output.append(&line);
        self.logs.push(line);
    }

    pub(super) fn out_of_phase(&mut self) {
        self.violations.push(Violation::OutOfPhase {
            call: self.call,
            phase: self.phase,
        });
    }

    pub(super) fn bad_argument(&mut self, problem: &'static str) -> Status {
        self.violations.push(Violation::Argument {
            call: self.call,
            problem,
        });
        Status::BadArgument
    }

    pub(super) fn context_id(&self) -> u32 {
        self.effective
            .filter(|id| self.contexts.contains_key(id))
            .unwrap_or(self.current)
    }

    /// The stream that calls act on, if they do not act on a root context.
    pub(super) fn stream(&mut self) -> Option<&mut Stream> {
        match self.contexts.get_mut(&self.context_id()) {
            Some(Context::Stream(stream)) => Some(stream),
            _ => None,
        }
    }

    /// The root context of the one that calls act on.
    pub(super) fn root_id(&self) -> u32 {
        match self.contexts.get(&self.context_id()) {
            Some(Context::Stream(stream)) => stream.root,
            _ => self.context_id(),
        }
    }
}

impl Stream {
    pub(super) fn new(root: u32, request: Request, logs_before: usize) -> Self {
        let mut stream = Self {
            root,
            request: Flow::new(request.headers, request.body),
            response: Flow::default(),
            upstream: request.upstream,
            reply: None,
            replied: false,
            properties: request.properties,
            filter_state: BTreeMap::new(),
            route: request.route,
            route_is_stale: true,
            cluster: None,
            logs_before,
        };
        stream.refresh_route();
        stream
    }

    /// Asks the route table again if the headers have changed.
    pub(super) fn refresh_route(&mut self) {
        if let (true, Some(route)) = (self.route_is_stale, &self.route) {
            self.cluster = Some(route(&self.request.headers));
        }
        self.route_is_stale = false;
    }
}

impl Flow {
    pub(super) fn new(headers: HeaderMap, body: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self {
            headers,
            chunks: body.into_iter().collect(),
            ..Self::default()
        }
    }
}
