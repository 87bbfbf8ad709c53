//! The case table through the compiled module, in the emulated host.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod host;
mod support;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

use host::{HeaderMap, Module, Outcome, Process, Request, Response, RouteRefresh, Status, Vm, VmOptions};
use support::case::Prepared;
use support::seen::{Reply, Seen, hold_against_table};

#[test]
fn every_case_through_the_module() {
    let module = module();
    let by_proxy = Cell::new(0);
    hold_against_table(|case| {
        let (seen, counts) = run(&module, case, VmOptions::default());
        by_proxy.set(by_proxy.get() + counts.get(BY_PROXY).unwrap_or(&0));
        seen
    });
    assert!(by_proxy.get() > 50, "the proxy verified {}", by_proxy.get());
}

/// A proxy's cryptography changes no answer.
#[test]
fn every_case_where_the_proxy_verifies_no_signatures() {
    let module = module();
    hold_against_table(|case| {
        let options = VmOptions {
            foreign_functions: Box::new(|_, _| Err(Status::NotFound)),
            ..VmOptions::default()
        };
        let (seen, counts) = run(&module, case, options);
        assert_eq!(counts.get(BY_PROXY), None, "{}", case.title);
        seen
    });
}

fn module() -> Module {
    Module::load(Path::new(env!("CARGO_MANIFEST_DIR")).join(MODULE))
        .unwrap_or_else(|error| panic!("{error:?}: run `make build` first"))
}

fn run(module: &Module, case: &Prepared, options: VmOptions) -> (Seen, BTreeMap<String, u64>) {
    let process = Process::default();
    process.set_now(case.now * 1_000_000_000);
    let options = VmOptions {
        process: process.clone(),
        environment: case.environment.clone(),
        properties: [("xds.node.id".to_owned(), case.place.node_id.clone().into_bytes())].into(),
        route_refresh: RouteRefresh::AtOnce,
        ..options
    };
    let mut vm = Vm::start(module, options).unwrap();
    let plugin = vm
        .configure(case.policy.to_string())
        .unwrap_or_else(|refused| panic!("{}: {:?}", case.title, refused));
    for sent in &case.before {
        process.set_now(sent.now * 1_000_000_000);
        for _ in 0..sent.times {
            let outcome = vm.request(plugin, request(case, &sent.headers));
            let seen = seen(&vm, outcome, &case.title);
            let reason = ["peergate.reason", "peergate.shadow_reason"]
                .iter()
                .find_map(|name| seen.state.get(*name))
                .map(|reason| text(reason));
            assert_eq!(reason.as_ref(), Some(&sent.reason), "{}: before", case.title);
        }
    }
    process.set_now(case.now * 1_000_000_000);
    let outcome = vm.request(plugin, request(case, &case.headers));
    (seen(&vm, outcome, &case.title), vm.metrics())
}

fn request(case: &Prepared, headers: &[(Vec<u8>, Vec<u8>)]) -> Request {
    let direction = match case.place.direction.as_deref() {
        Some("inbound") => 1_i64,
        Some("outbound") => 2,
        _ => 0,
    };
    let mut request =
        Request::new(headers.iter().cloned()).property("xds.listener_direction", direction.to_le_bytes());
    let answer = case
        .answered
        .iter()
        .fold(Response::default(), |answer, (name, value)| {
            answer.header(name, value)
        });
    request = request.upstream(answer.body(&case.answered_body));
    if !case.body.is_empty() {
        let (first, second) = case.body.split_at(case.body.len() / 2);
        request = request.body(first).body(second);
    }
    if let Some(path) = &case.original_path_at_log {
        request = request.property("request.headers.x-envoy-original-path", path);
    }
    if case.place.within_cluster {
        request = request.property("upstream.address", "10.0.0.9:443");
    }
    for name in case.place.properties.keys() {
        request = request.property(name, case.place.property(&[name.as_str()]).unwrap());
    }
    if let Some(mark) = &case.place.mark {
        request = request.property("filter_state.wasm.peergate.inbound", mark);
    }
    if let Some(injected) = &case.place.injected {
        request = request.property("filter_state.wasm.peergate.injected", injected);
    }
    let Some(cluster) = case.place.cluster.clone() else {
        return request;
    };
    let after_edits = case
        .place
        .cluster_after_edits
        .clone()
        .unwrap_or_else(|| cluster.clone());
    let received = request.headers.clone();
    request.route(move |headers| {
        if *headers == received {
            cluster.clone()
        } else {
            after_edits.clone()
        }
        .into_bytes()
    })
}

fn seen(vm: &Vm, outcome: Outcome, title: &str) -> Seen {
    let mut seen = Seen {
        counters: vm
            .metrics()
            .into_iter()
            .filter(|(_, count)| *count == 1)
            .map(|(name, _)| name)
            .collect(),
        logs: vm.logs().iter().map(|line| line.text.clone()).collect(),
        ..Seen::default()
    };
    let state = match outcome {
        Outcome::Forwarded(forwarded) => {
            seen.logged_path = path_of(&forwarded.headers);
            seen.logged = pairs(&forwarded.headers);
            seen.upstream = Some(pairs(&forwarded.headers));
            seen.returned = pairs(&forwarded.response.headers);
            seen.returned_body = forwarded.response.body;
            forwarded.filter_state
        }
        Outcome::Replied(replied) => {
            seen.logged_path = path_of(&replied.request);
            seen.logged = pairs(&replied.request);
            seen.reply = Some(Reply {
                status: replied.status,
                grpc_status: replied.grpc_status,
                headers: pairs(&replied.headers)
                    .into_iter()
                    .map(|(name, value)| (text(&name), text(&value)))
                    .collect(),
                // A gRPC caller gets the text as a message, percent-encoded by Envoy (the texts hold spaces).
                body: match replied.headers.text("grpc-message") {
                    Some(message) => message.replace("%20", " "),
                    None => replied.text(),
                },
            });
            replied.filter_state
        }
        other => panic!("{title}: {other:?}"),
    };
    let unprefixed = |(name, value): (String, Vec<u8>)| (name.trim_start_matches("wasm.").to_owned(), value);
    seen.state = state.into_iter().map(unprefixed).collect();
    seen
}

fn pairs(headers: &HeaderMap) -> Vec<(Vec<u8>, Vec<u8>)> {
    headers
        .iter()
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect()
}

fn path_of(headers: &HeaderMap) -> Option<Vec<u8>> {
    headers.first(b":path").map(<[u8]>::to_vec)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const BY_PROXY: &str = "peergate_signatures_total.by.proxy";
const MODULE: &str = "target/peergate.wasm";
