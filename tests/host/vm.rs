//! The life of a VM: start, plugin configurations, requests, ticks, callouts.

use std::collections::BTreeMap;

use wasmi::{Instance, Store, Val};

use super::{
    Module,
    exchange::{Answer, Outcome, Request},
    report::{Level, LogLine, Phase, Source, Trap, Violation},
    state::{Callout, Context, Host, Root, Stream, VmOptions},
};

/// One VM, as each worker of Envoy has one per module and VM configuration.
pub(crate) struct Vm {
    pub(super) store: Store<Host>,
    instance: Instance,
    trapped: Option<Trap>,
    last_context: u32,
    /// Outcomes of streams that have ended and were not asked for yet.
    pub(super) ended: BTreeMap<u32, Outcome>,
}

/// A plugin configuration that the module has accepted; its root context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PluginId(u32);

/// A stream that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamId(pub(super) u32);

/// Why a VM did not start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StartError {
    /// The module imports a call under another signature.
    Link(String),
    Trapped(Trap),
}

/// A plugin configuration that the module has refused: at a start Envoy exits, at an update it keeps the old one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// What was logged meanwhile.
    pub(crate) logs: Vec<LogLine>,
    /// The module did not return false, but trapped.
    pub(crate) trap: Option<Trap>,
}

impl Vm {
    /// Instantiates the module and initialises it.
    pub(crate) fn start(module: &Module, options: VmOptions) -> Result<Self, StartError> {
        let mut store = Store::new(module.linker.engine(), Host::new(options));
        // Only a metered module takes fuel, and it never runs out of it.
        let _ = store.set_fuel(u64::MAX);
        let instance = module
            .linker
            .instantiate_and_start(&mut store, &module.compiled)
            .map_err(|error| StartError::Link(error.to_string()))?;
        let mut vm = Self {
            store,
            instance,
            trapped: None,
            last_context: 0,
            ended: BTreeMap::new(),
        };
        let entry = if vm.exports("_initialize") {
            "_initialize"
        } else {
            "_start"
        };
        vm.call(0, Phase::Initialize, entry, &[])
            .map_err(StartError::Trapped)?;
        vm.settle();
        Ok(vm)
    }

    /// Makes a root context with this configuration, the first one or one more.
    #[track_caller]
    pub(crate) fn configure(&mut self, configuration: impl AsRef<[u8]>) -> Result<PluginId, Refused> {
        let logs_before = self.logs().len();
        let size = configuration.as_ref().len() as u32;
        let root = Root {
            configuration: configuration.as_ref().to_vec(),
            tick_milliseconds: None,
        };
        let id = self.add_context(Context::Root(root));
        let vm_size = self.host().options.vm_configuration.len() as u32;
        let accepted = self.create(id, 0).and_then(|()| {
            let started = self.call(id, Phase::VmStart, "proxy_on_vm_start", &[id, vm_size])?;
            let configured = started != Some(0)
                && self.call(id, Phase::Configure, "proxy_on_configure", &[id, size])? != Some(0);
            Ok(configured)
        });
        self.settle();
        match accepted {
            Ok(true) => Ok(PluginId(id)),
            refused => Err(Refused {
                logs: self.logs()[logs_before..].to_vec(),
                trap: refused.err(),
            }),
        }
    }

    /// Ends a plugin configuration, as after an update; streams that run on it go on.
    #[track_caller]
    pub(crate) fn retire(&mut self, plugin: PluginId) -> Result<(), Trap> {
        let PluginId(id) = plugin;
        self.call(id, Phase::Done, "proxy_on_done", &[id])?;
        self.call(id, Phase::Delete, "proxy_on_delete", &[id])?;
        self.host().contexts.remove(&id);
        self.settle();
        Ok(())
    }

    /// Sends a request through the filter, to its end or until the filter pauses.
    #[track_caller]
    pub(crate) fn request(&mut self, plugin: PluginId, request: Request) -> Outcome {
        let stream = Stream::new(plugin.0, request, self.logs().len());
        let id = self.add_context(Context::Stream(Box::new(stream)));
        match self.create(id, plugin.0) {
            Ok(()) => self.run_stream(id),
            Err(trap) => self.end_trapped(id, trap),
        }
        self.settle();
        self.outcome(StreamId(id))
    }

    /// What has become of a stream that was paused. An outcome can be had once.
    pub(crate) fn outcome(&mut self, stream: StreamId) -> Outcome {
        self.ended.remove(&stream.0).unwrap_or(Outcome::Paused(stream))
    }

    /// The client of a paused stream goes away.
    #[track_caller]
    pub(crate) fn disconnect(&mut self, stream: StreamId) -> Result<(), Trap> {
        self.close_stream(stream.0)?;
        self.settle();
        Ok(())
    }

    /// The callouts that wait for an answer, oldest first.
    pub(crate) fn callouts(&self) -> Vec<Callout> {
        self.store.data().callouts.clone()
    }

    /// Answers a callout, and lets all streams go on that the filter continues then.
    #[track_caller]
    pub(crate) fn answer(&mut self, callout: &Callout, answer: Answer) -> Result<(), Trap> {
        let (headers, size) = match &answer {
            Answer::Response(response) => (response.headers.len() as u32, response.body.len() as u32),
            Answer::Failed => (0, 0),
        };
        let (token, root) = (callout.token, callout.root);
        let host = self.host();
        let waiting = host.callouts.iter().position(|other| other.token == token);
        host.callouts
            .remove(waiting.expect("the callout was answered before"));
        host.answer = Some(answer);
        let parameters = [root, token, headers, size, 0];
        let result = self.call(
            root,
            Phase::CalloutResponse,
            "proxy_on_http_call_response",
            &parameters,
        );
        self.host().answer = None;
        result?;
        self.run_streams();
        Ok(())
    }

    /// The tick period in milliseconds that the plugin has asked for.
    pub(crate) fn tick_period(&self, plugin: PluginId) -> Option<u32> {
        match self.store.data().contexts.get(&plugin.0) {
            Some(Context::Root(root)) => root.tick_milliseconds,
            _ => None,
        }
    }

    /// Lets the plugin's timer fire, and lets all streams go on that the filter continues then.
    #[track_caller]
    pub(crate) fn tick(&mut self, plugin: PluginId) -> Result<(), Trap> {
        assert!(
            self.tick_period(plugin).is_some(),
            "the plugin has not asked for ticks"
        );
        self.call(plugin.0, Phase::Tick, "proxy_on_tick", &[plugin.0])?;
        self.run_streams();
        Ok(())
    }

    /// Sets the time of the process in nanoseconds since the Unix epoch.
    pub(crate) fn set_now(&self, nanoseconds: u64) {
        self.store.data().options.process.set_now(nanoseconds);
    }

    /// The counters and gauges of the process that are not zero.
    pub(crate) fn metrics(&self) -> BTreeMap<String, u64> {
        self.store.data().options.process.metrics()
    }

    /// How much a metered module has done so far, in units of the interpreter: about one for each instruction, and one
    /// for each 64 bytes that are copied.
    pub(crate) fn work(&self) -> u64 {
        u64::MAX - self.store.get_fuel().expect("the module is not metered")
    }

    /// Everything logged so far.
    pub(crate) fn logs(&self) -> &[LogLine] {
        &self.store.data().logs
    }

    /// The violations so far, for tests of the host itself (`collect_violations`).
    pub(crate) fn take_violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.host().violations)
    }

    pub(super) fn host(&mut self) -> &mut Host {
        self.store.data_mut()
    }

    pub(super) fn exports(&self, function: &str) -> bool {
        self.instance.get_func(&self.store, function).is_some()
    }

    /// Calls back into the module. A function that it does not export is passed over, as Envoy does.
    pub(super) fn call(
        &mut self,
        context: u32,
        phase: Phase,
        callback: &'static str,
        parameters: &[u32],
    ) -> Result<Option<u32>, Trap> {
        if let Some(trap) = &self.trapped {
            panic!("call of `{callback}` into a VM that has trapped: {trap:?}");
        }
        let Some(function) = self.instance.get_func(&self.store, callback) else {
            return Ok(None);
        };
        let logs_before = self.logs().len();
        let host = self.host();
        (host.current, host.effective, host.phase) = (context, None, phase);
        let parameters: Vec<Val> = parameters.iter().map(|number| Val::I32(*number as i32)).collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        let result = function.call(&mut self.store, &parameters, &mut results);
        if let Some(panic) = self.host().panic.take() {
            std::panic::resume_unwind(panic);
        }
        match result {
            Ok(()) => Ok(results.first().and_then(Val::i32).map(|number| number as u32)),
            Err(error) => {
                let trap = Trap {
                    callback,
                    message: error.to_string(),
                    panic: self.last_words(logs_before),
                };
                self.trapped = Some(trap.clone());
                Err(trap)
            }
        }
    }

    /// Panics with the violations of this call, if there are any.
    #[track_caller]
    pub(super) fn settle(&mut self) {
        let host = self.host();
        if !host.options.collect_violations && !host.violations.is_empty() {
            panic!("the module violates the ABI: {:#?}", host.violations);
        }
    }

    fn create(&mut self, id: u32, root: u32) -> Result<(), Trap> {
        self.call(id, Phase::Create, "proxy_on_context_create", &[id, root])
            .map(|_| ())
    }

    fn add_context(&mut self, context: Context) -> u32 {
        self.last_context += 1;
        let id = self.last_context;
        self.host().contexts.insert(id, context);
        id
    }

    fn last_words(&self, logs_before: usize) -> String {
        let spoken = self.logs()[logs_before..].iter();
        let last =
            spoken.filter(|line| line.level == Level::Critical || line.source == Source::StandardError);
        last.map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
    }
}
