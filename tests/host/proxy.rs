//! A proxy process: workers that run the compiled filter, and share what a process shares.

use std::path::Path;

use serde_json::Value;

use super::{Answer, Callout, Module, Outcome, PluginId, Process, Request, Vm, VmOptions};

/// When it starts, in seconds since the Unix epoch.
pub(crate) const START: u64 = 1_800_000_000;
/// What its shared data belongs to.
pub(crate) const VM_ID: &str = "peergate";

/// A process of this many workers.
pub(crate) struct Proxy {
    pub(crate) process: Process,
    pub(crate) workers: Vec<(Vm, PluginId)>,
}

impl Proxy {
    pub(crate) fn new(workers: usize, policy: &Value) -> Self {
        Self::started(workers, policy, VM_ID, VM_ID)
    }

    /// `vm_id` is what the shared data belongs to, `own_id` what the filter is told of it.
    pub(crate) fn started(workers: usize, policy: &Value, vm_id: &str, own_id: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peergate.wasm");
        let module = Module::load(file).unwrap_or_else(|error| panic!("{error:?}: run `make build` first"));
        let process = Process::default();
        process.set_now(START * 1_000_000_000);
        let start = |worker: usize| {
            let options = VmOptions {
                process: process.clone(),
                vm_id: vm_id.to_owned(),
                properties: [("plugin_vm_id".to_owned(), own_id.as_bytes().to_vec())].into(),
                clusters: ["idp", "sts"].map(str::to_owned).to_vec(),
                random_seed: u64::try_from(worker + 1).unwrap(),
                ..VmOptions::default()
            };
            let mut vm = Vm::start(&module, options).unwrap();
            let plugin = vm.configure(policy.to_string()).unwrap();
            (vm, plugin)
        };
        let workers = (0..workers).map(start).collect();
        Self { process, workers }
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.process.set_now(self.process.now() + seconds * 1_000_000_000);
    }

    /// Lets the timers of all workers fire.
    pub(crate) fn tick(&mut self) {
        for (vm, plugin) in &mut self.workers {
            vm.tick(*plugin).unwrap();
        }
    }

    /// What each worker has asked and not been told.
    pub(crate) fn callouts(&self) -> Vec<(usize, Callout)> {
        let of = |(worker, (vm, _)): (usize, &(Vm, PluginId))| {
            let all = vm.callouts().into_iter();
            all.map(move |callout| (worker, callout)).collect::<Vec<_>>()
        };
        self.workers.iter().enumerate().flat_map(of).collect()
    }

    /// Answers the one callout that is under way, and lets all workers see it.
    pub(crate) fn answer(&mut self, answer: Answer) {
        let mut callouts = self.callouts();
        assert_eq!(callouts.len(), 1, "{callouts:?}");
        let (worker, callout) = callouts.remove(0);
        self.workers[worker].0.answer(&callout, answer).unwrap();
        self.tick();
    }

    pub(crate) fn send(&mut self, worker: usize, request: Request) -> Outcome {
        let (vm, plugin) = &mut self.workers[worker];
        vm.request(*plugin, request)
    }

    pub(crate) fn metric(&self, name: &str) -> u64 {
        self.process.metrics().get(name).copied().unwrap_or_default()
    }

    pub(crate) fn logs(&self, worker: usize) -> Vec<String> {
        let lines = self.workers[worker].0.logs().iter();
        lines.map(|line| line.text.clone()).collect()
    }
}
