//! The host calls of proxy-wasm ABI 0.2.1 (`env.proxy_*`): arguments out of the module's memory, the work on
//! [`Host`], results back into it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wasmi::{Caller, Extern, ImportType, Linker, Memory, Val};

use super::{
    exchange::Answer,
    headers::{Change, HeaderMap},
    process::MetricKind,
    reply::LocalReply,
    report::{Level, Phase, Source, Violation},
    state::{Callout, Context, Host, Status},
};

/// Defines host functions: each body is run with a [`Guest`] and ends in `Ok(())` or a status.
macro_rules! host_calls {
    ($(fn $name:ident($guest:ident $(, $argument:ident: $kind:ty)*) $body:block)*) => {
        /// Whether this host answers the call.
        pub(super) fn knows(name: &str) -> bool {
            [$(stringify!($name)),*].contains(&name)
        }

        /// Offers all calls to modules.
        pub(super) fn link(linker: &mut Linker<Host>) {
            $(linker.func_wrap("env", stringify!($name), |caller: Caller<'_, Host>, $($argument: $kind),*| {
                answer(caller, stringify!($name), |$guest| $body)
            }).unwrap();)*
        }
    };
}

host_calls! {
    fn proxy_log(guest, level: u32, text: u32, size: u32) {
        let text = guest.read(text, size)?;
        let level = Level::from_number(level).ok_or_else(|| guest.host().bad_argument("unknown log level"))?;
        guest.host().log(level, Source::Log, &text);
        Ok(())
    }

    fn proxy_get_log_level(guest, level: u32) {
        let number = guest.host().options.log_level as u32;
        guest.write(level, &number.to_le_bytes())
    }

    fn proxy_get_current_time_nanoseconds(guest, time: u32) {
        let now = guest.host().options.process.now();
        guest.write(time, &now.to_le_bytes())
    }

    fn proxy_set_tick_period_milliseconds(guest, period: u32) {
        let host = guest.host();
        if let Some(Context::Root(root)) = host.contexts.get_mut(&host.root_id()) {
            root.tick_milliseconds = (period != 0).then_some(period);
        }
        Ok(())
    }

    fn proxy_set_effective_context(guest, context: u32) {
        let host = guest.host();
        if !host.contexts.contains_key(&context) {
            host.violations.push(Violation::DeadContext { context });
            return Err(Status::BadArgument.into());
        }
        host.effective = Some(context);
        Ok(())
    }

    fn proxy_get_header_map_pairs(guest, map: u32, data: u32, size: u32) {
        let pairs = guest.host().readable_map(map)?.filter(|map| map.len() != 0);
        guest.give(data, size, &pairs.map(|map| map.encode()).unwrap_or_default())
    }

    fn proxy_get_header_map_value(guest, map: u32, name: u32, name_size: u32, data: u32, size: u32) {
        let name = guest.read(name, name_size)?.to_ascii_lowercase();
        let host = guest.host();
        let absent = if host.phase == Phase::Log { Status::NotFound } else { Status::BadArgument };
        let map = host.readable_map(map)?.ok_or(absent)?;
        let value = map.first(&name).ok_or(Status::NotFound)?;
        guest.give(data, size, value)
    }

    fn proxy_add_header_map_value(guest, map: u32, name: u32, name_size: u32, value: u32, size: u32) {
        let (name, value) = (guest.read(name, name_size)?, guest.read(value, size)?);
        Ok(guest.host().change_header(map, &name, Change::Add(&value))?)
    }

    fn proxy_replace_header_map_value(guest, map: u32, name: u32, name_size: u32, value: u32, size: u32) {
        let (name, value) = (guest.read(name, name_size)?, guest.read(value, size)?);
        Ok(guest.host().change_header(map, &name, Change::Replace(&value))?)
    }

    fn proxy_remove_header_map_value(guest, map: u32, name: u32, name_size: u32) {
        let name = guest.read(name, name_size)?;
        Ok(guest.host().change_header(map, &name, Change::Remove)?)
    }

    fn proxy_set_header_map_pairs(guest, map: u32, data: u32, size: u32) {
        let pairs = guest.read_pairs(data, size)?;
        Ok(guest.host().replace_map(map, pairs)?)
    }

    fn proxy_get_buffer_bytes(guest, buffer: u32, start: u32, length: u32, data: u32, size: u32) {
        let bytes = guest.host().buffer(buffer)?;
        let end = start.checked_add(length).ok_or_else(|| guest.host().bad_argument("range over the end"))?;
        let start = bytes.len().min(start as usize);
        let end = bytes.len().min(end as usize);
        guest.give(data, size, &bytes[start..end])
    }

    fn proxy_get_buffer_status(guest, buffer: u32, length: u32, flags: u32) {
        let bytes = guest.host().buffer(buffer)?;
        guest.write(length, &(bytes.len() as u32).to_le_bytes())?;
        guest.write(flags, &0_u32.to_le_bytes())
    }

    fn proxy_set_buffer_bytes(guest, buffer: u32, start: u32, length: u32, data: u32, size: u32) {
        let data = guest.read(data, size)?;
        Ok(guest.host().set_buffer(buffer, start as usize, length as usize, &data)?)
    }

    fn proxy_get_property(guest, path: u32, path_size: u32, data: u32, size: u32) {
        let path = guest.read(path, path_size)?;
        let value = guest.host().property(&path).ok_or(Status::NotFound)?;
        guest.give(data, size, &value)
    }

    fn proxy_set_property(guest, name: u32, name_size: u32, value: u32, size: u32) {
        let (name, value) = (guest.read(name, name_size)?, guest.read(value, size)?);
        Ok(guest.host().set_property(name, value)?)
    }

    fn proxy_get_shared_data(guest, key: u32, key_size: u32, data: u32, size: u32, cas: u32) {
        let key = guest.read(key, key_size)?;
        let options = &guest.host().options;
        let (value, version) = options.process.shared(&options.vm_id, &key).ok_or(Status::NotFound)?;
        guest.give(data, size, &value)?;
        guest.write(cas, &version.to_le_bytes())
    }

    fn proxy_set_shared_data(guest, key: u32, key_size: u32, value: u32, size: u32, cas: u32) {
        let (key, value) = (guest.read(key, key_size)?, guest.read(value, size)?);
        let options = &guest.host().options;
        Ok(options.process.set_shared(&options.vm_id, &key, &value, cas)?)
    }

    fn proxy_define_metric(guest, kind: u32, name: u32, name_size: u32, id: u32) {
        let name = String::from_utf8_lossy(&guest.read(name, name_size)?).into_owned();
        let kind = match kind {
            0 => MetricKind::Counter,
            1 => MetricKind::Gauge,
            2 => MetricKind::Histogram,
            _ => return Err(guest.host().bad_argument("unknown kind of metric").into()),
        };
        let host = guest.host();
        // Envoy's numbers: the kind in the low two bits, a new number for each definition.
        let number = host.metrics.len() as u32 * 4 + 4 + kind as u32;
        host.metrics.insert(number, (kind, name));
        guest.write(id, &number.to_le_bytes())
    }

    fn proxy_increment_metric(guest, id: u32, offset: i64) {
        let (kind, name) = guest.metric(id)?;
        match kind {
            MetricKind::Counter if offset <= 0 => Err(guest.host().bad_argument("counter not increased").into()),
            MetricKind::Histogram => Err(guest.host().bad_argument("histogram increased").into()),
            _ => {
                let process = &guest.host().options.process;
                process.metric(kind, &name, |values| values[0] = values[0].wrapping_add_signed(offset));
                Ok(())
            }
        }
    }

    fn proxy_record_metric(guest, id: u32, value: u64) {
        let (kind, name) = guest.metric(id)?;
        guest.host().options.process.metric(kind, &name, |values| match kind {
            MetricKind::Counter => values[0] += value,
            MetricKind::Gauge => values[0] = value,
            MetricKind::Histogram => values.push(value),
        });
        Ok(())
    }

    fn proxy_get_metric(guest, id: u32, value: u32) {
        let (kind, name) = guest.metric(id)?;
        let process = &guest.host().options.process;
        let present = process.metric(kind, &name, |values| values.first().copied().unwrap_or_default());
        guest.write(value, &present.to_le_bytes())
    }

    fn proxy_send_local_response(
        guest, status: u32, _details: u32, _details_size: u32, body: u32, body_size: u32, headers: u32,
        headers_size: u32, grpc_status: i32
    ) {
        let headers = guest.read_pairs(headers, headers_size)?;
        let reply = LocalReply { status, headers, body: guest.read(body, body_size)?, grpc_status };
        guest.host().send_local_reply(reply);
        Ok(())
    }

    fn proxy_continue_stream(guest, stream: u32) {
        match stream {
            0 | 1 => {
                guest.host().continue_stream(stream == 1);
                Ok(())
            }
            _ => Err(guest.host().bad_argument("no HTTP stream").into()),
        }
    }

    fn proxy_http_call(
        guest, cluster: u32, cluster_size: u32, headers: u32, headers_size: u32, body: u32, body_size: u32,
        _trailers: u32, _trailers_size: u32, timeout: u32, token: u32
    ) {
        let cluster = String::from_utf8_lossy(&guest.read(cluster, cluster_size)?).into_owned();
        let headers = guest.read_pairs(headers, headers_size)?;
        let body = guest.read(body, body_size)?;
        let host = guest.host();
        let complete = [":authority", ":method", ":path"].iter().all(|name| headers.text(name).is_some());
        if !complete || !host.options.clusters.contains(&cluster) {
            return Err(Status::BadArgument.into());
        }
        host.last_token += 4;
        let (number, root) = (host.last_token, host.root_id());
        host.callouts.push(Callout { token: number, cluster, headers, body, timeout_milliseconds: timeout, root });
        guest.write(token, &number.to_le_bytes())
    }

    fn proxy_call_foreign_function(
        guest, name: u32, name_size: u32, arguments: u32, arguments_size: u32, data: u32, size: u32
    ) {
        let name = String::from_utf8_lossy(&guest.read(name, name_size)?).into_owned();
        let arguments = guest.read(arguments, arguments_size)?;
        let result = (guest.host().options.foreign_functions)(&name, &arguments)?;
        guest.give(data, size, &result)
    }
}

/// Offers a call that belongs to the ABI but is not emulated: it answers `Unimplemented` and is a violation.
pub(super) fn link_stub(linker: &mut Linker<Host>, import: &ImportType<'_>) -> bool {
    let (Some(call), Some(signature)) = (
        NOT_EMULATED.into_iter().find(|name| *name == import.name()),
        import.ty().func(),
    ) else {
        return false;
    };
    let stub = move |mut caller: Caller<'_, Host>, _: &[Val], results: &mut [Val]| {
        let violation = Violation::Argument {
            call,
            problem: "not emulated",
        };
        caller.data_mut().violations.push(violation);
        results[0] = Val::I32(Status::Unimplemented as i32);
        Ok(())
    };
    linker.func_new("env", call, signature.clone(), stub).is_ok()
}

/// A host call in progress, with the memory of the module that made it.
struct Guest<'a>(Caller<'a, Host>);

/// Why a host call does not end well.
enum Failure {
    Status(Status),
    /// The module trapped while it was asked for memory.
    Trap(wasmi::Error),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

fn answer<'a>(
    mut caller: Caller<'a, Host>,
    call: &'static str,
    body: impl FnOnce(&mut Guest<'a>) -> Result<(), Failure>,
) -> Result<u32, wasmi::Error> {
    caller.data_mut().call = call;
    if caller.data().phase == Phase::Initialize && call != "proxy_log" {
        return Err(wasmi::Error::new(format!(
            "`{call}` is not allowed before the VM is started"
        )));
    }
    let mut guest = Guest(caller);
    match catch_unwind(AssertUnwindSafe(|| body(&mut guest))) {
        Ok(Ok(())) => Ok(0),
        Ok(Err(Failure::Status(status))) => Ok(status as u32),
        Ok(Err(Failure::Trap(trap))) => Err(trap),
        // The interpreter cannot be unwound: the panic of a test's closure goes on once it has returned.
        Err(panic) => {
            guest.host().panic = Some(panic);
            Err(wasmi::Error::new("the host has panicked"))
        }
    }
}

impl Guest<'_> {
    fn host(&mut self) -> &mut Host {
        self.0.data_mut()
    }

    fn memory(&self) -> Memory {
        self.0.get_export("memory").and_then(Extern::into_memory).unwrap()
    }

    fn read(&mut self, pointer: u32, size: u32) -> Result<Vec<u8>, Failure> {
        let range = pointer as usize..pointer as usize + size as usize;
        let bytes = self.memory().data(&self.0).get(range).map(<[u8]>::to_vec);
        bytes.ok_or_else(|| self.out_of_bounds())
    }

    fn read_pairs(&mut self, pointer: u32, size: u32) -> Result<HeaderMap, Failure> {
        if size == 0 {
            return Ok(HeaderMap::default());
        }
        let bytes = self.read(pointer, size)?;
        let pairs = HeaderMap::decode(&bytes);
        Ok(pairs.unwrap_or_else(|| {
            self.host().bad_argument("malformed pairs");
            HeaderMap::default()
        }))
    }

    fn write(&mut self, pointer: u32, bytes: &[u8]) -> Result<(), Failure> {
        let memory = self.memory();
        memory
            .write(&mut self.0, pointer as usize, bytes)
            .map_err(|_| self.out_of_bounds())
    }

    /// Hands bytes over in memory that the module allocates for them; nothing is a null pointer.
    fn give(&mut self, data: u32, size: u32, bytes: &[u8]) -> Result<(), Failure> {
        let mut pointer = 0;
        if !bytes.is_empty() {
            let allocate = self
                .0
                .get_export("proxy_on_memory_allocate")
                .and_then(Extern::into_func)
                .unwrap();
            let allocate = allocate.typed::<u32, u32>(&self.0).map_err(Failure::Trap)?;
            pointer = allocate
                .call(&mut self.0, bytes.len() as u32)
                .map_err(Failure::Trap)?;
            self.write(pointer, bytes)?;
        }
        self.write(data, &pointer.to_le_bytes())?;
        self.write(size, &(bytes.len() as u32).to_le_bytes())
    }

    fn metric(&mut self, id: u32) -> Result<(MetricKind, String), Failure> {
        match self.host().metrics.get(&id) {
            Some(metric) => Ok(metric.clone()),
            None => {
                self.host().bad_argument("unknown metric");
                Err(Status::NotFound.into())
            }
        }
    }

    fn out_of_bounds(&mut self) -> Failure {
        self.host().bad_argument("outside of the module's memory");
        Status::InvalidMemoryAccess.into()
    }
}

const NOT_EMULATED: [&str; 13] = [
    "proxy_close_stream",
    "proxy_dequeue_shared_queue",
    "proxy_done",
    "proxy_enqueue_shared_queue",
    "proxy_get_header_map_size",
    "proxy_get_status",
    "proxy_grpc_call",
    "proxy_grpc_cancel",
    "proxy_grpc_close",
    "proxy_grpc_send",
    "proxy_grpc_stream",
    "proxy_register_shared_queue",
    "proxy_resolve_shared_queue",
];
