//! A stream on its way through the filter: headers, then body, first of the request, then of the response.

use super::{
    exchange::{Forwarded, Outcome, Replied, Response},
    report::{Phase, Trap, Violation},
    state::{Context, Flow, Stream},
    vm::Vm,
};

impl Vm {
    /// Lets every stream go on that was continued or answered; the callback of another context may do that.
    #[track_caller]
    pub(super) fn run_streams(&mut self) {
        let is_stream = |context: &Context| matches!(context, Context::Stream(_));
        let contexts = self.host().contexts.iter();
        let ids: Vec<u32> = contexts
            .filter(|(_, context)| is_stream(context))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.run_stream(id);
        }
        self.settle();
    }

    /// Runs a stream to its end, unless it has to wait.
    pub(super) fn run_stream(&mut self, id: u32) {
        match self.exchange(id) {
            Ok(false) => {}
            Ok(true) => match self.close_stream(id) {
                Ok(outcome) => {
                    self.ended.insert(id, outcome);
                }
                Err(trap) => self.end_trapped(id, trap),
            },
            Err(trap) => self.end_trapped(id, trap),
        }
    }

    pub(super) fn end_trapped(&mut self, id: u32, trap: Trap) {
        self.host().contexts.remove(&id);
        self.ended.insert(id, Outcome::Trapped(trap));
    }

    /// Tells the module that the stream is over, and sums it up.
    pub(super) fn close_stream(&mut self, id: u32) -> Result<Outcome, Trap> {
        self.call(id, Phase::Log, "proxy_on_log", &[id])?;
        self.call(id, Phase::Done, "proxy_on_done", &[id])?;
        self.call(id, Phase::Delete, "proxy_on_delete", &[id])?;
        let Some(Context::Stream(stream)) = self.host().contexts.remove(&id) else {
            panic!("context {id} is no stream");
        };
        let logs = self.logs()[stream.logs_before..].to_vec();
        let named = |(name, value): (Vec<u8>, _)| (format!("wasm.{}", String::from_utf8_lossy(&name)), value);
        let filter_state = stream.filter_state.into_iter().map(named).collect();
        let response = Response {
            headers: stream.response.headers,
            body: stream.response.passed,
        };
        Ok(if stream.replied {
            let number = |name: &str| response.headers.text(name).and_then(|value| value.parse().ok());
            Outcome::Replied(Replied {
                status: number(":status").unwrap_or_default(),
                grpc_status: number("grpc-status").and_then(|status| status.try_into().ok()),
                headers: response.headers,
                body: response.body,
                request: stream.request.headers,
                filter_state,
                logs,
            })
        } else {
            let cluster = stream
                .cluster
                .map(|name| String::from_utf8_lossy(&name).into_owned());
            Outcome::Forwarded(Forwarded {
                headers: stream.request.headers,
                body: stream.request.passed,
                cluster,
                response,
                filter_state,
                logs,
            })
        })
    }

    /// Moves the stream on as far as it goes; true when it has come to its end.
    fn exchange(&mut self, id: u32) -> Result<bool, Trap> {
        if !self.stream(id).response.started {
            if !self.flow(id, REQUEST)? {
                return Ok(false);
            }
            let stream = self.stream(id);
            let response = match stream.reply.take() {
                Some(reply) => {
                    stream.replied = true;
                    reply.into_response(&stream.request.headers)
                }
                None => std::mem::take(&mut stream.upstream),
            };
            stream.response = Flow::new(response.headers, pieces(response.body));
        }
        let passed = self.flow(id, RESPONSE)?;
        let stream = self.stream(id);
        if let Some(reply) = stream.reply.take() {
            // Sent instead of the response; Envoy does not show it to the filter again.
            stream.replied = true;
            let response = reply.into_response(&stream.request.headers);
            stream.response = Flow {
                passed: response.body,
                ..Flow::new(response.headers, None)
            };
        }
        Ok(passed)
    }

    /// Moves one direction on: true when it has passed the filter or the filter has answered itself.
    fn flow(&mut self, id: u32, side: Side) -> Result<bool, Trap> {
        if !side.of(self.stream(id)).started {
            let flow = side.of(self.stream(id));
            (flow.started, flow.open) = (true, true);
            let parameters = [id, flow.headers.len() as u32, u32::from(flow.chunks.is_empty())];
            let action = self.call(id, side.headers_phase, side.on_headers, &parameters)?;
            if self.takes(id, side, action) {
                side.release(self.stream(id));
            } else {
                side.of(self.stream(id)).headers_held = true;
            }
        }
        let hold_bodies = !self.host().options.allow_on_headers_stop_iteration;
        loop {
            let stream = self.stream(id);
            if stream.reply.is_some() {
                return Ok(true);
            }
            if std::mem::take(&mut side.of(stream).continued) {
                side.release(stream);
            }
            let flow = side.of(stream);
            if flow.headers_held && hold_bodies {
                return Ok(false);
            }
            let Some(chunk) = flow.chunks.pop_front() else {
                return Ok(!flow.headers_held && !flow.body_held);
            };
            flow.buffer.extend(chunk);
            let parameters = [id, flow.buffer.len() as u32, u32::from(flow.chunks.is_empty())];
            let action = self.call(id, side.body_phase, side.on_body, &parameters)?;
            if self.takes(id, side, action) {
                side.release(self.stream(id));
            } else {
                side.of(self.stream(id)).body_held = true;
            }
        }
    }

    /// Whether the module lets pass what it was shown. A local reply stops the stream whatever it says.
    fn takes(&mut self, id: u32, side: Side, action: Option<u32>) -> bool {
        let go_on = action.unwrap_or(ACTION_CONTINUE) == ACTION_CONTINUE;
        let answered = self.stream(id).reply.is_some();
        if go_on && answered {
            self.host().violations.push(Violation::AfterReply {
                call: side.on_headers,
            });
        }
        go_on && !answered
    }

    fn stream(&mut self, id: u32) -> &mut Stream {
        match self.host().contexts.get_mut(&id) {
            Some(Context::Stream(stream)) => stream,
            _ => panic!("context {id} is no stream"),
        }
    }
}

/// A body in the pieces in which it arrives: two, where it has two bytes.
fn pieces(mut body: Vec<u8>) -> Vec<Vec<u8>> {
    let second = body.split_off(body.len() / 2);
    let is_there = |piece: &Vec<u8>| !piece.is_empty();
    [body, second].into_iter().filter(is_there).collect()
}

/// One of the two directions.
#[derive(Clone, Copy)]
struct Side {
    of: fn(&mut Stream) -> &mut Flow,
    headers_phase: Phase,
    on_headers: &'static str,
    body_phase: Phase,
    on_body: &'static str,
}

impl Side {
    fn of(self, stream: &mut Stream) -> &mut Flow {
        (self.of)(stream)
    }

    /// Lets headers and body go on to the next filter, which asks for the route.
    fn release(self, stream: &mut Stream) {
        let flow = self.of(stream);
        (flow.open, flow.headers_held, flow.body_held) = (false, false, false);
        let body = std::mem::take(&mut flow.buffer);
        flow.passed.extend(body);
        stream.refresh_route();
    }
}

const REQUEST: Side = Side {
    of: |stream| &mut stream.request,
    headers_phase: Phase::RequestHeaders,
    on_headers: "proxy_on_request_headers",
    body_phase: Phase::RequestBody,
    on_body: "proxy_on_request_body",
};

const RESPONSE: Side = Side {
    of: |stream| &mut stream.response,
    headers_phase: Phase::ResponseHeaders,
    on_headers: "proxy_on_response_headers",
    body_phase: Phase::ResponseBody,
    on_body: "proxy_on_response_body",
};

const ACTION_CONTINUE: u32 = 0;
