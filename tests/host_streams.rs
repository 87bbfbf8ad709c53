//! The emulated host (`tests/host`), proved with small modules in WebAssembly text: what becomes of streams, plugin
//! configurations and VMs.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod host;
mod wat;

use host::{
    Answer, HeaderMap, Outcome, Phase, Request, Response, RouteRefresh, StreamId, Trap, Violation, Vm,
    VmOptions,
};
use wat::{callbacks, collecting, module, on_request, start, texts};

#[test]
#[should_panic(expected = "the module violates the ABI")]
fn a_violation_ends_the_test() {
    let module = module(&callbacks(&[
        ("proxy_on_tick", ""),
        ("proxy_on_log", "(drop (call $continue (i32.const 0)))"),
    ]));
    let mut vm = start(&module, VmOptions::default());
    let plugin = vm.configure("").unwrap();
    vm.request(plugin, Request::inbound("GET", "/"));
}

#[test]
fn the_route_follows_the_path_but_the_property_lags_behind() {
    let body = "(call $read 'xds\\00cluster_name') (drop (call $replace (i32.const 0) ':path' '/other'))
                (call $read 'xds\\00cluster_name')";
    let cluster_seen = |route_refresh| {
        let module = module(&callbacks(&[("proxy_on_request_headers", body)]));
        let mut vm = start(
            &module,
            VmOptions {
                route_refresh,
                ..VmOptions::default()
            },
        );
        let plugin = vm.configure("").unwrap();
        let route = |headers: &HeaderMap| headers.first(b":path").unwrap_or_default().to_vec();
        let forwarded = vm
            .request(plugin, Request::inbound("GET", "/main").route(route))
            .forwarded();
        assert_eq!(forwarded.cluster.as_deref(), Some("/other"));
        texts(&forwarded.logs).join(" ")
    };
    assert_eq!(cluster_seen(RouteRefresh::WhenForwarded), "0 /main 0 /main");
    assert_eq!(cluster_seen(RouteRefresh::AtOnce), "0 /main 0 /other");
}

#[test]
#[should_panic(expected = "asked again")]
fn a_panic_of_the_test_itself_is_no_trap() {
    let module = module(&callbacks(&[(
        "proxy_on_request_headers",
        "(drop (call $replace (i32.const 0) 'x-a' 'b'))",
    )]));
    let route_refresh = RouteRefresh::AtOnce;
    let mut vm = start(
        &module,
        VmOptions {
            route_refresh,
            ..VmOptions::default()
        },
    );
    let plugin = vm.configure("").unwrap();
    let route = |headers: &HeaderMap| match headers.text("x-a") {
        None => b"main".to_vec(),
        Some(_) => panic!("asked again"),
    };
    vm.request(plugin, Request::inbound("GET", "/").route(route));
}

#[test]
fn a_local_reply_becomes_a_response() {
    let deny = "(call $say (call $reply (i32.const 401) '' 'no entry' '\\01\\00\\00\\00\\03\\00\\00\\00\\01\\00\\00\\00X-A\\00b\\00' (i32.const -1)))
                (return (i32.const 1))";
    let module = module(&callbacks(&[
        ("proxy_on_request_headers", deny),
        (
            "proxy_on_response_headers",
            "(drop (call $add (i32.const 2) 'x-response' '1'))",
        ),
    ]));
    let mut vm = start(&module, VmOptions::default());
    let plugin = vm.configure("").unwrap();

    let replied = vm.request(plugin, Request::inbound("GET", "/a")).replied();
    let expected = [
        (":status", "401"),
        ("x-a", "b"),
        ("content-length", "8"),
        ("content-type", "text/plain"),
        ("x-response", "1"),
    ];
    assert_eq!(replied.headers, HeaderMap::raw(expected));
    assert_eq!(
        (replied.status, replied.text().as_str(), replied.grpc_status),
        (401, "no entry", None)
    );
    assert_eq!(replied.request.text(":path").as_deref(), Some("/a"));

    let head = vm.request(plugin, Request::inbound("HEAD", "/")).replied();
    assert_eq!(
        (
            head.headers.text("content-length").as_deref(),
            head.text().as_str()
        ),
        (Some("8"), "")
    );

    for (content_type, grpc) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc-web", false),
    ] {
        let request = Request::inbound("POST", "/").header("content-type", content_type);
        let replied = vm.request(plugin, request).replied();
        assert_eq!(replied.grpc_status, grpc.then_some(16), "{content_type}");
        assert_eq!(replied.status, if grpc { 200 } else { 401 }, "{content_type}");
    }
}

#[test]
fn a_grpc_reply_is_trailers_only() {
    let (_, outcome) = on_request(
        "(call $say (call $reply (i32.const 403) '' 'nö 100%\\0a' '' (i32.const 14))) (return (i32.const 1))",
        Request::inbound("POST", "/").header("content-type", "application/grpc"),
    );
    let replied = outcome.replied();
    let expected = [
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-status", "14"),
        ("grpc-message", "n%C3%B6 100%25%0A"),
    ];
    assert_eq!(replied.headers, HeaderMap::raw(expected));
    assert_eq!(replied.text(), "");
}

#[test]
fn two_replies_and_going_on_after_one_are_violations() {
    let (mut vm, outcome) = on_request(
        "(call $say (call $reply (i32.const 401) '' 'first' '' (i32.const -1)))
         (call $say (call $reply (i32.const 403) '' 'second' '' (i32.const -1)))
         (call $say (call $continue (i32.const 0)))",
        Request::inbound("GET", "/"),
    );
    assert_eq!(outcome.replied().text(), "first");
    let expected = [
        Violation::SecondReply,
        Violation::AfterReply {
            call: "proxy_continue_stream",
        },
        Violation::AfterReply {
            call: "proxy_on_request_headers",
        },
    ];
    assert_eq!(vm.take_violations(), expected);
}

#[test]
fn a_trap_is_reported_with_its_last_words() {
    let (mut vm, outcome) = on_request(
        "(call $log_error 'what went') (call $log_error 'wrong') (unreachable)",
        Request::inbound("GET", "/"),
    );
    let expected = Trap {
        callback: "proxy_on_request_headers",
        message: "wasm `unreachable` instruction executed".to_owned(),
        panic: "what went\nwrong".to_owned(),
    };
    assert_eq!(outcome, Outcome::Trapped(expected));
    let again = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| vm.configure("")));
    assert!(again.is_err(), "a VM that has trapped takes no further calls");
}

#[test]
fn bodies_are_held_until_the_filter_goes_on() {
    let module = module(&callbacks(&[
        ("proxy_on_request_headers", "(return (i32.const 1))"),
        (
            "proxy_on_request_body",
            "(call $say (local.get 1)) (call $say (local.get 2))
             (if (i32.eqz (local.get 2)) (then (return (i32.const 1))))
             (drop (call $set_buffer (i32.const 0) (i32.const 0) (i32.const 2) 'X'))",
        ),
        (
            "proxy_on_tick",
            "(call $say (call $effective (i32.const 2))) (call $say (call $continue (i32.const 0)))",
        ),
        ("proxy_on_configure", "(drop (call $set_tick (i32.const 50)))"),
    ]));
    let request = || Request::inbound("POST", "/").body("ab").body("cd");
    let mut vm = start(&module, VmOptions::default());
    let plugin = vm.configure("").unwrap();
    let stream = vm.request(plugin, request()).paused();
    assert_eq!((vm.tick_period(plugin), texts(vm.logs())), (Some(50), vec![]));
    vm.tick(plugin).unwrap();
    assert_eq!(vm.outcome(stream).forwarded().body, b"Xcd");
    assert_eq!(texts(vm.logs()), ["0", "0", "2", "0", "4", "1"]);

    // Under this setting a filter that pauses only the headers lets the request through with the body.
    let mut vm = start(
        &module,
        VmOptions {
            allow_on_headers_stop_iteration: true,
            ..VmOptions::default()
        },
    );
    let plugin = vm.configure("").unwrap();
    assert_eq!(vm.request(plugin, request()).forwarded().body, b"Xcd");
}

#[test]
fn callouts_are_answered_by_the_test() {
    let answered = |answer| {
        let (mut vm, stream) = waiting_for_callout();
        let [callout] = vm.callouts().try_into().unwrap();
        assert_eq!(
            (callout.cluster.as_str(), callout.timeout_milliseconds),
            ("sts", 500)
        );
        assert_eq!(
            callout.headers,
            HeaderMap::raw([(":method", "POST"), (":path", "/"), (":authority", "s")])
        );
        assert_eq!(callout.body, b"body");
        vm.answer(&callout, answer).unwrap();
        assert_eq!(vm.callouts(), []);
        vm.outcome(stream)
    };
    let forwarded = answered(Answer::Response(Response::new(200).body("token"))).forwarded();
    assert_eq!(forwarded.headers.text("x-token").as_deref(), Some("yes"));
    assert_eq!(texts(&forwarded.logs), ["0", "2", "1", "0", "token", "0", "0"]);
    assert_eq!(answered(Answer::Failed).replied().status, 503);
}

#[test]
fn a_client_that_leaves_takes_its_stream_along() {
    let (mut vm, stream) = waiting_for_callout();
    vm.disconnect(stream).unwrap();
    let callouts = vm.callouts();
    vm.answer(&callouts[0], Answer::Failed).unwrap();
    assert_eq!(vm.outcome(stream), Outcome::Paused(stream));
    assert_eq!(texts(vm.logs()), ["0", "2", "0", "2", "0"]);
    let call = "proxy_send_local_response";
    let expected = [
        Violation::DeadContext { context: 2 },
        Violation::OutOfPhase {
            call,
            phase: Phase::CalloutResponse,
        },
    ];
    assert_eq!(vm.take_violations(), expected);
}

#[test]
fn configurations_come_and_go() {
    let module = module(&callbacks(&[
        (
            "proxy_on_configure",
            "(drop (call $buffer (i32.const 7) (i32.const 0) (i32.const 99) (i32.const 0) (i32.const 4))) (call $tell)
             (return (i32.ne (local.get 1) (i32.const 3)))",
        ),
        ("proxy_on_delete", "(call $say (local.get 0))"),
        ("proxy_on_tick", "(call $say (call $effective (i32.const 3)))"),
        ("proxy_on_vm_start", "(drop (call $set_tick (i32.const 1))) (return (i32.const 1))"),
    ]));
    let mut vm = start(&module, collecting());
    let first = vm.configure("good").unwrap();
    let refused = vm.configure("bad").unwrap_err();
    assert_eq!((texts(&refused.logs), refused.trap), (vec!["bad"], None));
    let second = vm.configure("better").unwrap();
    vm.request(second, Request::inbound("GET", "/")).forwarded();
    vm.retire(second).unwrap();
    vm.tick(first).unwrap();
    assert_eq!(texts(vm.logs()), ["good", "bad", "better", "4", "3", "2"]);
    assert_eq!(vm.take_violations(), [Violation::DeadContext { context: 3 }]);
}

/// A VM with one stream that waits for a callout: to go on with its body, or to be denied if it fails.
fn waiting_for_callout() -> (Vm, StreamId) {
    let pairs = r"\03\00\00\00\07\00\00\00\04\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00";
    let headers = r":method\00POST\00:path\00/\00:authority\00s\00";
    let call = |cluster| {
        format!(
            "(call $say (call $http_call '{cluster}' '{pairs}{headers}' 'body' '' (i32.const 500) (i32.const 0)))"
        )
    };
    let module = module(&callbacks(&[
        ("proxy_on_request_headers", &format!("{} {} (return (i32.const 1))", call("sts"), call("none"))),
        (
            "proxy_on_http_call_response",
            "(call $say (local.get 2)) (call $say (call $effective (i32.const 2)))
             (if (local.get 2) (then
               (drop (call $buffer (i32.const 4) (i32.const 0) (i32.const 9) (i32.const 0) (i32.const 4))) (call $tell)
               (call $say (call $replace (i32.const 0) 'x-token' 'yes'))
               (call $say (call $continue (i32.const 0))) (return (i32.const 0))))
             (call $say (call $reply (i32.const 503) '' '' '' (i32.const -1)))",
        ),
    ]));
    let mut vm = start(
        &module,
        VmOptions {
            clusters: vec!["sts".to_owned()],
            ..collecting()
        },
    );
    let plugin = vm.configure("").unwrap();
    let stream = vm.request(plugin, Request::inbound("GET", "/")).paused();
    assert_eq!(vm.take_violations(), []);
    (vm, stream)
}
