//! What host calls may see and change, by phase: header maps, buffers, properties, and the stream itself.
//!
//! Envoy's answers are given as they are; what a correct filter would not have asked is recorded beside.

use super::{
    exchange::Answer,
    headers::{Change, HeaderMap, objection},
    reply::LocalReply,
    report::{Phase, Violation},
    state::{Context, Host, RouteRefresh, Status, Stream},
};

impl Host {
    /// A map to read. A map that is not there now is `None` and a violation.
    pub(super) fn readable_map(&mut self, number: u32) -> Result<Option<HeaderMap>, Status> {
        let logging = self.phase == Phase::Log;
        let map = match number {
            REQUEST_HEADERS => {
                let stream = self.stream();
                stream
                    .filter(|stream| logging || stream.request.open)
                    .map(|stream| stream.request.headers.clone())
            }
            RESPONSE_HEADERS => {
                let readable =
                    |stream: &&mut Stream| stream.response.open || logging && stream.response.started;
                self.stream()
                    .filter(readable)
                    .map(|stream| stream.response.headers.clone())
            }
            CALLOUT_HEADERS => match &self.answer {
                Some(Answer::Response(response)) => Some(response.headers.clone()),
                _ => None,
            },
            // Trailers and gRPC metadata are legal to ask for; this host never has any.
            _ if number < MAPS => return Ok(None),
            _ => return Err(self.bad_argument("unknown map")),
        };
        if map.is_none() && !logging {
            self.out_of_phase();
        }
        Ok(map)
    }

    /// Changes one header, as far as Envoy lets it.
    pub(super) fn change_header(
        &mut self,
        number: u32,
        name: &[u8],
        change: Change<'_>,
    ) -> Result<(), Status> {
        let (call, phase) = (self.call, self.phase);
        let headers = self.writable_map(number)?;
        if let Some(problem) = objection(headers, &name.to_ascii_lowercase(), change) {
            let name = String::from_utf8_lossy(name).into_owned();
            self.violations.push(Violation::Header { call, name, problem });
        }
        let headers = self.writable_map(number)?;
        match change {
            Change::Add(value) => headers.add(name, value),
            Change::Replace(value) => headers.replace(name, value),
            Change::Remove => headers.remove(name),
        }
        if number == REQUEST_HEADERS {
            self.request_headers_changed(phase);
        }
        Ok(())
    }

    /// Puts a whole map in place of another.
    pub(super) fn replace_map(&mut self, number: u32, map: HeaderMap) -> Result<(), Status> {
        *self.writable_map(number)? = HeaderMap::default();
        for (name, value) in map.iter() {
            self.change_header(number, name, Change::Add(value))?;
        }
        Ok(())
    }

    fn writable_map(&mut self, number: u32) -> Result<&mut HeaderMap, Status> {
        let open = match (number, self.stream()) {
            (REQUEST_HEADERS, Some(stream)) => stream.request.open,
            (RESPONSE_HEADERS, Some(stream)) => stream.response.open,
            (number, _) if number >= MAPS => return Err(self.bad_argument("unknown map")),
            _ => false,
        };
        if !open {
            self.out_of_phase();
            return Err(Status::BadArgument);
        }
        let stream = self.stream().unwrap();
        Ok(if number == REQUEST_HEADERS {
            &mut stream.request.headers
        } else {
            &mut stream.response.headers
        })
    }

    /// Envoy still takes a change after the reply was sent, but it reports a defect of its own (`envoy_bug`).
    fn request_headers_changed(&mut self, phase: Phase) {
        let request_phases = [
            Phase::RequestHeaders,
            Phase::RequestBody,
            Phase::CalloutResponse,
            Phase::Tick,
        ];
        if !request_phases.contains(&phase) {
            self.out_of_phase();
        }
        let at_once = self.options.route_refresh == RouteRefresh::AtOnce;
        let stream = self.stream().unwrap();
        stream.route_is_stale = true;
        if at_once {
            stream.refresh_route();
        }
    }

    /// A property by its path, names separated by zero bytes.
    pub(super) fn property(&mut self, path: &[u8]) -> Option<Vec<u8>> {
        let dotted = String::from_utf8_lossy(path).replace('\0', ".");
        let of_vm = self.options.properties.get(&dotted).cloned();
        let Some(stream) = self.stream() else {
            return of_vm;
        };
        if let (XDS_CLUSTER_NAME, Some(cluster)) = (path, &stream.cluster) {
            return Some(cluster.clone());
        }
        if path == REQUEST_ID {
            let headers = &stream.request.headers;
            return headers.first(b"x-request-id").map(<[u8]>::to_vec);
        }
        let state = path.strip_prefix(b"filter_state\0wasm.").unwrap_or(path);
        let of_stream = stream
            .properties
            .get(&dotted)
            .or_else(|| stream.filter_state.get(state));
        of_stream.cloned().or(of_vm)
    }

    /// Sets filter state; a root context has none.
    pub(super) fn set_property(&mut self, name: Vec<u8>, value: Vec<u8>) -> Result<(), Status> {
        match self.stream() {
            Some(stream) => {
                stream.filter_state.insert(name, value);
                Ok(())
            }
            None => {
                self.out_of_phase();
                Err(Status::NotFound)
            }
        }
    }

    /// A buffer to read or change. What is not there is not found, except bodies, which are empty.
    pub(super) fn buffer(&mut self, number: u32) -> Result<Vec<u8>, Status> {
        let (phase, root) = (self.phase, self.current);
        let buffer = match (number, &self.answer) {
            (REQUEST_BODY, _) if phase == Phase::RequestBody => {
                self.stream().map(|stream| stream.request.buffer.clone())
            }
            (RESPONSE_BODY, _) if phase == Phase::ResponseBody => {
                self.stream().map(|stream| stream.response.buffer.clone())
            }
            (CALLOUT_BODY, Some(Answer::Response(response))) => Some(response.body.clone()),
            (VM_CONFIGURATION, _) => Some(self.options.vm_configuration.clone()),
            (PLUGIN_CONFIGURATION, _) if phase == Phase::Configure => match self.contexts.get(&root) {
                Some(Context::Root(root)) => Some(root.configuration.clone()),
                _ => None,
            },
            (number, _) if number >= BUFFERS => return Err(self.bad_argument("unknown buffer")),
            _ => None,
        };
        if buffer.is_none() {
            self.out_of_phase();
        }
        match number {
            REQUEST_BODY | RESPONSE_BODY => Ok(buffer.unwrap_or_default()),
            _ => buffer.ok_or(Status::NotFound),
        }
    }

    /// Changes a body: prepends (`start` 0, dropping `length` bytes) or appends (`start` at the end), as Envoy's
    /// buffers can.
    pub(super) fn set_buffer(
        &mut self,
        number: u32,
        start: usize,
        length: usize,
        data: &[u8],
    ) -> Result<(), Status> {
        let present = self.buffer(number)?;
        let changed = match start {
            0 => [data, present.get(length..).unwrap_or_default()].concat(),
            start if start >= present.len() => [&present, data].concat(),
            _ => return Err(self.bad_argument("neither start nor end of the buffer")),
        };
        match (number, self.phase, self.stream()) {
            (REQUEST_BODY, Phase::RequestBody, Some(stream)) => stream.request.buffer = changed,
            (RESPONSE_BODY, Phase::ResponseBody, Some(stream)) => stream.response.buffer = changed,
            _ => {
                self.out_of_phase();
                return Err(Status::BadArgument);
            }
        }
        Ok(())
    }

    /// Takes a local reply, to be sent after the callback. Where it cannot be sent Envoy drops it silently.
    pub(super) fn send_local_reply(&mut self, reply: LocalReply) {
        let call = self.call;
        for (name, value) in reply.headers.iter() {
            let no_headers = HeaderMap::default();
            let problem = match objection(&no_headers, name, Change::Add(value)) {
                None if name.starts_with(b":") => Some("pseudo-header in a local reply"),
                problem => problem,
            };
            if let Some(problem) = problem {
                let name = String::from_utf8_lossy(name).into_owned();
                self.violations.push(Violation::Header { call, name, problem });
            }
        }
        if !(200..600).contains(&reply.status) {
            self.bad_argument("no final HTTP status");
        }
        let late = [Phase::ResponseBody, Phase::Log, Phase::Done, Phase::Delete].contains(&self.phase);
        match self.stream() {
            Some(stream) if stream.reply.is_some() || stream.replied => {
                self.violations.push(Violation::SecondReply)
            }
            Some(stream) if !late => stream.reply = Some(reply),
            _ => self.out_of_phase(),
        }
    }

    /// Lets a stream go on, after the callback. The request's header map is given back at once.
    pub(super) fn continue_stream(&mut self, response: bool) {
        let call = self.call;
        let over = [Phase::Log, Phase::Done, Phase::Delete].contains(&self.phase);
        let Some(stream) = self.stream().filter(|_| !over) else {
            return self.out_of_phase();
        };
        let answered = stream.reply.is_some() || (stream.replied && !response);
        let flow = if response {
            &mut stream.response
        } else {
            &mut stream.request
        };
        let waits = flow.headers_held || flow.body_held;
        let again = flow.continued;
        flow.continued = waits && !answered;
        stream.request.open = false;
        if answered {
            self.violations.push(Violation::AfterReply { call });
        } else if !waits || again {
            self.violations.push(Violation::NotWaiting { call });
        }
    }
}

const REQUEST_HEADERS: u32 = 0;
const RESPONSE_HEADERS: u32 = 2;
const CALLOUT_HEADERS: u32 = 6;
/// How many numbers of maps the ABI knows.
const MAPS: u32 = 8;

const REQUEST_BODY: u32 = 0;
const RESPONSE_BODY: u32 = 1;
const CALLOUT_BODY: u32 = 4;
const VM_CONFIGURATION: u32 = 6;
const PLUGIN_CONFIGURATION: u32 = 7;
/// How many numbers of buffers the ABI knows.
const BUFFERS: u32 = 9;

const REQUEST_ID: &[u8] = b"request\0id";
const XDS_CLUSTER_NAME: &[u8] = b"xds\0cluster_name";
