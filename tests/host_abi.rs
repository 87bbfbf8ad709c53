//! The emulated host (`tests/host`), proved with small modules in WebAssembly text: what it answers to single host
//! calls, and which of them it finds to be violations.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod host;
mod wat;

use std::sync::OnceLock;

use host::{
    HeaderMap, Level, LoadError, Module, Phase, Process, Request, Response, StartError, Violation, Vm,
    VmOptions,
};
use wat::{PRELUDE, callbacks, collecting, module, on_request, start, texts};

#[test]
fn headers_are_an_ordered_multimap() {
    let (_, outcome) = on_request(
        "(call $say (call $value (i32.const 0) 'X-One' (i32.const 0) (i32.const 4))) (call $tell)
         (call $say (call $value (i32.const 0) 'x-none' (i32.const 0) (i32.const 4)))
         (call $say (call $replace (i32.const 0) 'X-ONE' 'new'))
         (call $say (call $add (i32.const 0) 'cookie' 'b=2'))
         (call $say (call $remove (i32.const 0) 'x-gone'))
         (call $say (call $replace (i32.const 0) ':path' '/b'))",
        Request::inbound("GET", "/a")
            .header("x-one", "1")
            .header("X-One", "2")
            .header("cookie", "a=1")
            .header("x-gone", [0xff])
            .header("authorization", "a")
            .header("authorization", "b"),
    );
    let forwarded = outcome.forwarded();
    assert_eq!(texts(&forwarded.logs), ["0", "1", "1", "0", "0", "0", "0"]);
    let expected = [
        (":authority", "agent.example"),
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/b"),
        ("cookie", "a=1"),
        ("authorization", "a,b"),
        ("x-one", "new"),
        ("cookie", "b=2"),
    ];
    assert_eq!(forwarded.headers, HeaderMap::raw(expected));
}

#[test]
fn pairs_are_handed_over_in_the_wire_form() {
    let (_, outcome) = on_request(
        "(call $say (call $pairs (i32.const 0) (i32.const 0) (i32.const 4))) (call $tell)
         (call $say (call $set_pairs (i32.const 0) (i32.load (i32.const 0)) (i32.load (i32.const 4))))",
        Request::new([(":path", "/"), ("a", "")]),
    );
    let forwarded = outcome.forwarded();
    let wire = "\u{2}\0\0\0\u{5}\0\0\0\u{1}\0\0\0\u{1}\0\0\0\0\0\0\0:path\0/\0a\0\0";
    assert_eq!(texts(&forwarded.logs), ["0", wire, "0"]);
    assert_eq!(forwarded.headers, HeaderMap::raw([(":path", "/"), ("a", "")]));
}

#[test]
fn header_misuse_is_found() {
    let (mut vm, _) = on_request(
        "(call $say (call $replace (i32.const 0) 'x-a' 'b\\0d\\0ax: y'))
         (call $say (call $add (i32.const 0) ':path' '/c'))
         (call $say (call $remove (i32.const 0) ':method'))
         (call $say (call $replace (i32.const 0) ':sub' 'b'))
         (call $say (call $replace (i32.const 0) 'x a' 'b'))",
        Request::inbound("GET", "/a"),
    );
    let found = |call, name: &str, problem| Violation::Header {
        call,
        name: name.to_owned(),
        problem,
    };
    let replace = "proxy_replace_header_map_value";
    let expected = [
        found(replace, "x-a", "value with CR, LF or NUL"),
        found(
            "proxy_add_header_map_value",
            ":path",
            "pseudo-header added to another",
        ),
        found(
            "proxy_remove_header_map_value",
            ":method",
            "pseudo-header removed",
        ),
        found(replace, ":sub", "unknown pseudo-header"),
        found(replace, "x a", "name is no token"),
    ];
    assert_eq!(vm.take_violations(), expected);
    assert_eq!(texts(vm.logs()), ["0", "0", "0", "0", "0"]);
}

#[test]
fn a_header_write_out_of_phase_is_refused_and_a_violation() {
    let module = module(&callbacks(&[(
        "proxy_on_response_headers",
        "(call $say (call $replace (i32.const 0) 'x-late' '1'))
         (call $say (call $replace (i32.const 2) 'x-in-time' '1'))",
    )]));
    let mut vm = start(&module, collecting());
    let plugin = vm.configure("").unwrap();
    let forwarded = vm.request(plugin, Request::inbound("GET", "/")).forwarded();
    assert_eq!(texts(&forwarded.logs), ["2", "0"]);
    assert_eq!(forwarded.headers.text("x-late"), None);
    assert_eq!(forwarded.response, Response::new(200).header("x-in-time", "1"));
    let call = "proxy_replace_header_map_value";
    assert_eq!(
        vm.take_violations(),
        [Violation::OutOfPhase {
            call,
            phase: Phase::ResponseHeaders
        }]
    );
}

#[test]
fn senseless_arguments_are_violations() {
    let (mut vm, _) = on_request(
        "(call $say (call $set_property (i32.const -2) (i32.const 9) 'x'))
         (call $say (call $set_pairs (i32.const 0) '\\01\\00\\00\\00\\09'))
         (call $say (call $pairs (i32.const 8) (i32.const 0) (i32.const 4)))
         (call $say (call $log (i32.const 6) 'x'))
         (call $say (call $pairs (i32.const 6) (i32.const 0) (i32.const 4)))",
        Request::new([(":path", "/")]),
    );
    assert_eq!(texts(vm.logs()), ["6", "0", "2", "2", "0"]);
    let argument = |call, problem| Violation::Argument { call, problem };
    let expected = [
        argument("proxy_set_property", "outside of the module's memory"),
        argument("proxy_set_header_map_pairs", "malformed pairs"),
        argument("proxy_get_header_map_pairs", "unknown map"),
        argument("proxy_log", "unknown log level"),
        Violation::OutOfPhase {
            call: "proxy_get_header_map_pairs",
            phase: Phase::RequestHeaders,
        },
    ];
    assert_eq!(vm.take_violations(), expected);
}

#[test]
fn buffers_of_other_phases_are_violations() {
    let (mut vm, _) = on_request(
        "(call $say (call $buffer (i32.const 0) (i32.const 0) (i32.const 9) (i32.const 0) (i32.const 4)))
         (call $say (call $buffer (i32.const 7) (i32.const 0) (i32.const 9) (i32.const 0) (i32.const 4)))
         (call $say (call $buffer (i32.const 9) (i32.const 0) (i32.const 9) (i32.const 0) (i32.const 4)))",
        Request::inbound("GET", "/"),
    );
    assert_eq!(texts(vm.logs()), ["0", "1", "2"]);
    let call = "proxy_get_buffer_bytes";
    let out_of_phase = Violation::OutOfPhase {
        call,
        phase: Phase::RequestHeaders,
    };
    let unknown = Violation::Argument {
        call,
        problem: "unknown buffer",
    };
    assert_eq!(
        vm.take_violations(),
        [out_of_phase.clone(), out_of_phase, unknown]
    );
}

#[test]
fn properties_and_filter_state() {
    let module = module(&callbacks(&[
        ("proxy_on_configure", "(call $read 'xds\\00node\\00id') (call $read 'xds\\00listener_direction')"),
        (
            "proxy_on_request_headers",
            "(call $read 'xds\\00cluster_name') (call $read 'xds\\00listener_direction')
             (call $say (call $set_property 'peergate.sub' 'alice'))
             (call $read 'peergate.sub') (call $read 'filter_state\\00wasm.peergate.sub') (call $read 'wasm.peergate.sub')",
        ),
    ]));
    let mut options = VmOptions::default();
    options
        .properties
        .insert("xds.node.id".to_owned(), b"sidecar~1".to_vec());
    let mut vm = start(&module, options);
    let plugin = vm.configure("").unwrap();
    let request = Request::outbound("GET", "/").property("xds.cluster_name", "main");
    let forwarded = vm.request(plugin, request).forwarded();
    let direction = "\u{2}\0\0\0\0\0\0\0";
    let expected = ["0", "main", "0", direction, "0", "0", "alice", "0", "alice", "1"];
    assert_eq!(texts(vm.logs())[..3], ["0", "sidecar~1", "1"]);
    assert_eq!(texts(&forwarded.logs), expected);
    assert_eq!(
        forwarded.filter_state,
        [("wasm.peergate.sub".to_owned(), b"alice".to_vec())].into()
    );
}

#[test]
fn shared_data_compares_and_swaps() {
    let set = |value: &str, cas: &str| format!("(call $say (call $set_shared 'key' '{value}' {cas}))");
    let get = "(call $say (call $get_shared 'key' (i32.const 0) (i32.const 4) (i32.const 8)))";
    let present = "(i32.load (i32.const 8))";
    let body = [
        get,
        &set("first", "(i32.const 77)"),
        get,
        "(call $tell)",
        &set("stale", "(i32.const 77)"),
        &set("second", present),
        &set("third", present),
        &set("fourth", "(i32.const 0)"),
    ];
    let module = module(&callbacks(&[("proxy_on_request_headers", &body.join("\n"))]));
    let process = Process::default();
    let mut vm = start(
        &module,
        VmOptions {
            process: process.clone(),
            ..VmOptions::default()
        },
    );
    let plugin = vm.configure("").unwrap();
    vm.request(plugin, Request::inbound("GET", "/")).forwarded();
    assert_eq!(texts(vm.logs()), ["1", "0", "0", "first", "8", "0", "8", "0"]);
    assert_eq!(process.shared("", b"key"), Some((b"fourth".to_vec(), 3)));
    assert_eq!(process.shared("other", b"key"), None);
}

#[test]
fn another_worker_can_come_in_between() {
    let body = "(drop (call $get_shared 'key' (i32.const 0) (i32.const 4) (i32.const 8)))
                (call $say (call $set_shared 'key' 'mine' (i32.load (i32.const 8))))";
    let module = module(&callbacks(&[("proxy_on_request_headers", body)]));
    let process = Process::default();
    process.set_shared("vm", b"key", b"old", 0).unwrap();
    let options = || VmOptions {
        process: process.clone(),
        vm_id: "vm".to_owned(),
        ..VmOptions::default()
    };
    let (mut first, mut second) = (start(&module, options()), start(&module, options()));
    let (plugin, other_plugin) = (first.configure("").unwrap(), second.configure("").unwrap());
    process.before_next_write(move || {
        second
            .request(other_plugin, Request::inbound("GET", "/"))
            .forwarded();
        assert_eq!(texts(second.logs()), ["0"]);
    });
    first.request(plugin, Request::inbound("GET", "/")).forwarded();
    assert_eq!(texts(first.logs()), ["8"]);
    assert_eq!(process.shared("vm", b"key"), Some((b"mine".to_vec(), 2)));
}

#[test]
fn metrics_have_names_and_numbers() {
    let (vm, _) = on_request(
        "(call $say (call $define (i32.const 0) 'hits' (i32.const 0)))
         (call $say (call $define (i32.const 0) 'hits' (i32.const 4)))
         (call $say (i32.load (i32.const 0))) (call $say (i32.load (i32.const 4)))
         (call $say (call $increment (i32.load (i32.const 0)) (i64.const 2)))
         (call $say (call $increment (i32.load (i32.const 4)) (i64.const 3)))
         (call $say (call $get_metric (i32.const 4) (i32.const 8))) (call $say (i32.load (i32.const 8)))
         (call $say (call $increment (i32.const 4) (i64.const 0)))
         (call $say (call $increment (i32.const 400) (i64.const 1)))",
        Request::inbound("GET", "/"),
    );
    assert_eq!(
        texts(vm.logs()),
        ["0", "0", "4", "8", "0", "0", "0", "5", "2", "1"]
    );
    assert_eq!(vm.metrics(), [("hits".to_owned(), 5)].into());
}

#[test]
fn both_clocks_are_the_one_that_the_test_sets() {
    let body = "(call $say (call $now (i32.const 0))) (call $say (call $wasi_now (i32.const 0) (i64.const 0) (i32.const 8)))
                (call $log_bytes (i32.const 0) (i32.const 16))";
    let module = module(&callbacks(&[("proxy_on_request_headers", body)]));
    let mut vm = start(&module, VmOptions::default());
    let plugin = vm.configure("").unwrap();
    vm.set_now(0x0102_0304);
    vm.request(plugin, Request::inbound("GET", "/")).forwarded();
    let time = "\u{4}\u{3}\u{2}\u{1}\0\0\0\0";
    assert_eq!(texts(vm.logs()), ["0", "0", &format!("{time}{time}")]);
}

#[test]
fn randomness_is_repeatable() {
    let body = "(call $say (call $random (i32.const 0) (i32.const 4)))
                (call $say (i32.rem_u (i32.load (i32.const 0)) (i32.const 100)))
                (call $say (call $random (i32.const 0) (i32.const 4)))
                (call $say (i32.rem_u (i32.load (i32.const 0)) (i32.const 100)))";
    let module = module(&callbacks(&[("proxy_on_configure", body)]));
    let drawn = |random_seed| {
        let mut vm = start(
            &module,
            VmOptions {
                random_seed,
                ..VmOptions::default()
            },
        );
        vm.configure("").unwrap();
        texts(vm.logs()).join(" ")
    };
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
}

#[test]
fn the_environment_is_that_of_the_vm() {
    let body = "(call $say (call $environ_sizes (i32.const 0) (i32.const 4)))
                (call $say (i32.load (i32.const 0))) (call $say (i32.load (i32.const 4)))
                (call $say (call $environ (i32.const 16) (i32.const 64))) (call $say (i32.load (i32.const 20)))
                (call $log_bytes (i32.const 64) (i32.const 9))";
    let module = module(&callbacks(&[("proxy_on_configure", body)]));
    let environment = [("A", "1"), ("B", "22")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let mut vm = start(
        &module,
        VmOptions {
            environment,
            ..VmOptions::default()
        },
    );
    vm.configure("").unwrap();
    assert_eq!(texts(vm.logs()), ["0", "2", "9", "0", "68", "A=1\0B=22\0"]);
}

#[test]
fn unknown_imports_are_named() {
    let text = PRELUDE.replacen("\"proxy_log\"", "\"proxy_unheard_of\"", 1);
    let error = Module::from_bytes(format!("(module {text})")).err();
    assert_eq!(
        error,
        Some(LoadError::UnknownImport("env.proxy_unheard_of".to_owned()))
    );
    let trapping = module("(func (export \"_initialize\") (drop (call $now (i32.const 0))))");
    let Err(StartError::Trapped(trap)) = Vm::start(&trapping, VmOptions::default()) else {
        panic!("host calls are not allowed before the VM is started");
    };
    let message = "`proxy_get_current_time_nanoseconds` is not allowed before the VM is started";
    assert_eq!((trap.callback, trap.message.as_str()), ("_initialize", message));
}

#[test]
fn what_a_module_says_is_kept_in_a_file() {
    static SHARED: OnceLock<Module> = OnceLock::new();
    let module = SHARED.get_or_init(|| {
        module(&callbacks(&[(
            "proxy_on_configure",
            "(call $say (i32.const 42))",
        )]))
    });
    let mut vm = start(module, VmOptions::default());
    vm.configure("").unwrap();
    assert_eq!(vm.logs()[0].level, Level::Info);
    assert_eq!(
        std::fs::read_to_string(host::output_path()).unwrap(),
        "Info Log: 42\n"
    );
}
