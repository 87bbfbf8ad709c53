//! Modules in WebAssembly text for tests of the emulated host: each callback is written as the few host calls that
//! a test is about.

// Each test file uses a part of this, and test code may panic.
#![allow(dead_code)]
#![allow(clippy::unwrap_used)]

use crate::host::{LogLine, Module, Outcome, Request, Vm, VmOptions};

/// Runs one request through a module that does this on its headers; violations are collected.
pub(crate) fn on_request(body: &str, request: Request) -> (Vm, Outcome) {
    let module = module(&callbacks(&[("proxy_on_request_headers", body)]));
    let mut vm = start(&module, collecting());
    let plugin = vm.configure("").unwrap();
    let outcome = vm.request(plugin, request);
    (vm, outcome)
}

pub(crate) fn start(module: &Module, options: VmOptions) -> Vm {
    Vm::start(module, options).unwrap()
}

pub(crate) fn collecting() -> VmOptions {
    VmOptions {
        collect_violations: true,
        ..VmOptions::default()
    }
}

pub(crate) fn texts(logs: &[LogLine]) -> Vec<&str> {
    logs.iter().map(|line| line.text.as_str()).collect()
}

/// Functions of these names: their bodies may end without a result, which is then "continue" or "accepted".
pub(crate) fn callbacks(bodies: &[(&str, &str)]) -> String {
    let function = |(name, body): &(&str, &str)| {
        let parameters = match *name {
            "proxy_on_http_call_response" => "i32 i32 i32 i32 i32",
            "proxy_on_request_headers" | "proxy_on_response_headers" | "proxy_on_request_body" => {
                "i32 i32 i32"
            }
            "proxy_on_configure" | "proxy_on_vm_start" => "i32 i32",
            _ => "i32",
        };
        let accepted = i32::from(*name == "proxy_on_configure");
        format!("(func (export \"{name}\") (param {parameters}) (result i32) {body} (i32.const {accepted}))")
    };
    bodies.iter().map(function).collect()
}

/// A module of the prelude and these functions, in which `'text'` stands for the address and length of the text.
pub(crate) fn module(functions: &str) -> Module {
    let mut text = format!("(module {PRELUDE} ");
    let mut data = String::new();
    let mut address = 1024;
    for (index, part) in functions.split('\'').enumerate() {
        if index % 2 == 0 {
            text.push_str(part);
            continue;
        }
        let size = part.len() - 2 * part.matches('\\').count();
        text.push_str(&format!("(i32.const {address}) (i32.const {size})"));
        data.push_str(&format!("(data (i32.const {address}) \"{part}\")"));
        address += size;
    }
    Module::from_bytes(format!("{text} {data})")).unwrap()
}

/// Imports, memory, an allocator, and helpers that log a status, what addresses 0 and 4 point to, and a property.
pub(crate) const PRELUDE: &str = r#"
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (import "env" "proxy_get_header_map_value" (func $value (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
    (import "env" "proxy_set_header_map_pairs" (func $set_pairs (param i32 i32 i32) (result i32)))
    (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_replace_header_map_value" (func $replace (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_remove_header_map_value" (func $remove (param i32 i32 i32) (result i32)))
    (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_buffer_bytes" (func $set_buffer (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_property" (func $set_property (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_shared_data" (func $get_shared (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_shared_data" (func $set_shared (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
    (import "env" "proxy_get_metric" (func $get_metric (param i32 i32) (result i32)))
    (import "env" "proxy_get_current_time_nanoseconds" (func $now (param i32) (result i32)))
    (import "env" "proxy_set_tick_period_milliseconds" (func $set_tick (param i32) (result i32)))
    (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_http_call" (func $http_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $wasi_now (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (memory (export "memory") 2)
    (global $heap (mut i32) (i32.const 65536))
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32)
        (global.get $heap) (global.set $heap (i32.add (global.get $heap) (local.get 0))))
    (func $log_bytes (param i32 i32) (drop (call $log (i32.const 2) (local.get 0) (local.get 1))))
    (func $tell (call $log_bytes (i32.load (i32.const 0)) (i32.load (i32.const 4))))
    (func $log_error (param i32 i32)
        (i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (local.get 1))
        (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8))))
    (func $say (param $number i32)
        (i32.store8 (i32.const 512) (i32.add (i32.const 48) (i32.div_u (local.get $number) (i32.const 10))))
        (i32.store8 (i32.const 513) (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10))))
        (if (i32.lt_u (local.get $number) (i32.const 10))
            (then (call $log_bytes (i32.const 513) (i32.const 1)))
            (else (call $log_bytes (i32.const 512) (i32.const 2)))))
    (func $read (param i32 i32) (local $status i32)
        (local.set $status (call $property (local.get 0) (local.get 1) (i32.const 0) (i32.const 4)))
        (call $say (local.get $status))
        (if (i32.eqz (local.get $status)) (then (call $tell))))
"#;
