//! The case table against the core, natively.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;

use peergate_filter::config::{self, Environment, Loaded};
use peergate_filter::decision::{self, CardMeans, Cards, KnownTokens, Means, Permit, Step};
use peergate_filter::explain::{self, End, Explanation, Report};
use peergate_filter::findings::{Finding, Kind, Verdict};
use peergate_filter::http::{self, Edits, Headers, Request};
use peergate_filter::policy::{NO_RULE, Policy};
use peergate_filter::role::{Place, Role};
use peergate_filter::signer::NoHostSigner;
use peergate_filter::spiffe;
use peergate_filter::state::{Glance, Memory};
use peergate_filter::time::UnixTime;
use serde_json::Value;

use support::case::Prepared;
use support::seen::{Reply, Seen, hold_against_table};

#[test]
fn every_case_natively() {
    hold_against_table(|case| run(case, Way::Once));
}

/// A token that is known already changes no answer.
#[test]
fn every_case_natively_a_second_time() {
    hold_against_table(|case| run(case, Way::Twice));
}

/// What is told of a decision is the decision, its steps say the same, and no secret is told.
#[test]
fn every_case_explained() {
    hold_against_table(|case| run(case, Way::Explained));
}

/// What no configuration can bring about: a stream without a policy, and a host that fails.
#[test]
fn what_cannot_be_decided_is_refused() {
    let headers = [
        (b":method".to_vec(), b"GET".to_vec()),
        (b":path".to_vec(), b"/a?token=hunter2".to_vec()),
    ];
    let request = Request {
        headers: Headers::new(headers),
        ..Request::default()
    };
    for (decision, reason) in [
        (decision::without_policy(&request), "not_configured"),
        (decision::host_failed(None, &request), "internal"),
    ] {
        assert_eq!(
            decision
                .records
                .iter()
                .map(|record| record.outcome.reason())
                .collect::<Vec<_>>(),
            [reason]
        );
        let Step::Reply(reply) = decision.step else {
            panic!("{reason}: not refused")
        };
        assert_eq!((reply.status, reply.details), (503, reason));
        let path = reply
            .edits
            .settings()
            .find(|(name, _)| *name == b":path")
            .map(|(_, value)| value.to_vec());
        assert_eq!(path, Some(b"/a?token=*****".to_vec()));
    }
}

/// A host that fails in the midst of a request: its path is logged as it came, but for the names of this policy.
#[test]
fn a_request_on_which_the_host_failed_is_logged_without_its_credentials() {
    let policy = locations_policy();
    let headers = [(b":path".to_vec(), b"/a?pass=hunter2&b=1".to_vec())];
    let request = Request {
        headers: Headers::new(headers),
        ..Request::default()
    };
    let Step::Reply(reply) = decision::host_failed(Some(&policy), &request).step else {
        panic!("not refused")
    };
    let settings: Vec<_> = reply.edits.settings().collect();
    assert_eq!(settings, [(b":path".as_slice(), b"/a?pass=*****&b=1".as_slice())]);
}

/// Some servers read trailers like headers.
#[test]
fn trailers_hold_no_credential_either() {
    let policy = locations_policy();
    let pairs = |names: &[(&str, &str)]| {
        let bytes = |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        Headers::new(names.iter().map(bytes))
    };
    let request = Request {
        headers: pairs(&[
            (":method", "GET"),
            (":path", "/"),
            (":authority", "agent.example"),
        ]),
        ..Request::default()
    };
    let decided = decision::decide(
        Means::of(&policy),
        Role::Inbound,
        &request,
        UnixTime::from_seconds(0),
    );
    let Step::Forward(permit, _) = decided.step else {
        panic!("not let in")
    };
    let removed = |trailers: &[(&str, &str)]| {
        let edits = decision::decide_trailers(&policy, &permit, &pairs(trailers));
        let names: Vec<String> = edits
            .removals()
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        names
    };
    assert_eq!(
        removed(&[("x-key", "a"), ("X_Agent_Sub", "a"), ("grpc-status", "0")]),
        ["x-key", "x_agent_sub"]
    );
    assert_eq!(removed(&[("cookie", "a=1; key=2")]), ["cookie"]);
    assert_eq!(removed(&[("cookie", "a=1; keys=2")]), [""; 0]);
}

/// With MCP it is no place of a credential here, and goes all the same.
#[test]
fn trailers_carry_no_token_on_with_mcp() {
    for (protocol, left) in [("mcp", vec!["authorization"]), ("http", vec![])] {
        let policy = format!(
            r#"{{"version": 1, "role": "inbound", "inbound": {{"rules": [
            {{"accept": ["api_key", "none"], "protocol": "{protocol}"}}],
            "peers": {{"mrpink": {{"api_keys": [{{"inline": "pinks-key-0001-long"}}]}}}}}}}}"#
        );
        let policy = config::from_plugin_configuration(policy.as_bytes(), &Environment::default())
            .unwrap()
            .policy;
        let pairs = |pairs: &[(&str, &str)]| {
            let bytes = |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
            Headers::new(pairs.iter().map(bytes))
        };
        let request = Request {
            headers: pairs(&[
                (":method", "POST"),
                (":path", "/"),
                (":authority", "agent.example"),
            ]),
            ..Request::default()
        };
        let now = UnixTime::from_seconds(0);
        let decided = decision::decide(Means::of(&policy), Role::Inbound, &request, now);
        let Step::Forward(permit, _) = decided.step else {
            panic!("not let in")
        };
        let trailers = pairs(&[("authorization", "Bearer a"), ("grpc-status", "0")]);
        let edits = decision::decide_trailers(&policy, &permit, &trailers);
        assert_eq!(
            edits.removals().collect::<Vec<_>>(),
            left.iter().map(|name| name.as_bytes()).collect::<Vec<_>>()
        );
    }
}

/// What is put on comes once, and not again behind the body.
#[test]
fn trailers_do_not_repeat_what_was_put_on() {
    let policy = r#"{"version": 1, "role": "upstream", "outbound": {"rules": [
        {"headers": {"X-K": {"value": {"inline": "a-key-0123456789"}}}}]}}"#;
    let policy = config::from_plugin_configuration(policy.as_bytes(), &Environment::default())
        .unwrap()
        .policy;
    let pairs = |names: &[(&str, &str)]| {
        let bytes = |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        Headers::new(names.iter().map(bytes))
    };
    let request = Request {
        headers: pairs(&[(":path", "/"), (":authority", "api.example")]),
        ..Request::default()
    };
    let decided = decision::decide(
        Means::of(&policy),
        Role::Upstream,
        &request,
        UnixTime::from_seconds(0),
    );
    let Step::Forward(permit, _) = decided.step else {
        panic!("not let go")
    };
    let trailers = pairs(&[("x_k", "own"), ("X-K", "own"), ("grpc-status", "0")]);
    let edits = decision::decide_trailers(&policy, &permit, &trailers);
    assert_eq!(edits.removals().collect::<Vec<_>>(), [b"x_k", b"x-k"]);
}

fn locations_policy() -> Policy {
    let policy = r#"{"version": 1, "inbound": {
        "api_key": {"from": [{"header": "x-key"}, {"cookie": "key"}, {"insecure_param": "pass"}]},
        "rules": [{"accept": ["none"]}]}}"#;
    config::from_plugin_configuration(policy.as_bytes(), &Environment::default())
        .unwrap()
        .policy
}

/// How a case is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Once,
    /// With what is known of the first time.
    Twice,
    Explained,
}

fn run(case: &Prepared, way: Way) -> Seen {
    let environment = Environment {
        variables: case.environment.clone(),
        workload: None,
        namespace: None,
    };
    let loaded = config::from_plugin_configuration(case.policy.to_string().as_bytes(), &environment)
        .unwrap_or_else(|errors| panic!("{}: {errors}", case.title));
    let place = Place {
        node_id: case.place.node_id.clone().into_bytes(),
        listener_direction: match case.place.direction.as_deref() {
            None => Some(0),
            Some("inbound") => Some(1),
            Some("outbound") => Some(2),
            Some(other) => panic!("no direction: {other}"),
        },
        is_within_cluster: case.place.within_cluster,
    };
    let role = loaded.policy.role.role(&place);
    let request = |headers: &[(Vec<u8>, Vec<u8>)]| Request {
        headers: Headers::new(headers.iter().cloned()),
        cluster: case.place.cluster.clone().map(String::into_bytes),
        mark: case.place.mark.clone().map(String::into_bytes),
        principal: match loaded.policy.asks_for_principal(role) {
            true => spiffe::principal(&place.node_id, |path| case.place.property(path)),
            false => None,
        },
        injected: case.place.injected.clone().map(String::into_bytes),
    };
    let mut stream = Stream {
        headers: case.headers.clone(),
        ..Stream::default()
    };
    let redactor = &loaded.policy.errors.redactor;
    let now = UnixTime::from_seconds(case.now);
    let known = KnownTokens::new(&loaded.policy, [7; 16]);
    let memory = Memory::default();
    decision::prepare(&loaded.policy, &memory);
    let means = Means {
        known: Some(&known),
        state: &memory,
        machine_key: Some([9; 16]),
        ..Means::of(&loaded.policy)
    };
    for sent in &case.before {
        for _ in 0..sent.times {
            let request = request(&sent.headers);
            let decided = decision::decide(means, role, &request, UnixTime::from_seconds(sent.now));
            let reason = decided.records.last().map(|record| record.outcome.reason());
            assert_eq!(reason, Some(sent.reason.as_str()), "{}: before", case.title);
        }
    }
    let request = request(&case.headers);
    if way == Way::Explained {
        return explained(case, &loaded, (means, role, &request), stream);
    }
    if way == Way::Twice {
        // What was decided before is remembered, but for what is used up.
        let glance = Means {
            state: &Glance(&memory),
            ..means
        };
        decision::decide(glance, role, &request, now);
    }
    let mut next = decision::decide(means, role, &request, now);
    loop {
        stream
            .seen
            .counters
            .extend(next.records.iter().map(|record| record.counter()));
        stream.seen.logs.extend(
            next.records
                .iter()
                .map(|record| record.line(&request, redactor, 0).to_string()),
        );
        match next.step {
            Step::Forward(permit, edits) => {
                stream.apply(&edits);
                return stream.forwarded(case, &loaded.policy, permit);
            }
            Step::Reply(reply) => {
                stream.apply(&reply.edits);
                return stream.replied(&reply);
            }
            Step::Wait(pending) => next = pending.refuse(),
            Step::Recheck(edits, recheck) => {
                stream.apply(&edits);
                let cluster = case
                    .place
                    .cluster_after_edits
                    .as_ref()
                    .or(case.place.cluster.as_ref());
                next = recheck.resume(&request, cluster.map(String::as_bytes));
            }
        }
    }
}

/// What an explanation says becomes of a case.
fn explained(
    case: &Prepared,
    loaded: &Loaded,
    (means, role, request): (Means<'_>, Role, &Request),
    mut stream: Stream,
) -> Seen {
    let now = UnixTime::from_seconds(case.now);
    let cluster = case
        .place
        .cluster_after_edits
        .as_ref()
        .or(case.place.cluster.as_ref());
    let explanation = explain::explain(means, role, request, cluster.map(String::as_bytes), now);
    assert_eq!(explanation.disagreement(), None, "{}", case.title);
    let told = &explanation.findings;
    for findings in [&told.request, &told.credentials, &told.inbound, &told.outbound] {
        assert_in_order(findings, &case.title);
    }
    if let Some(denied) = explanation.records.last().map(|record| record.outcome.reason())
        && told
            .credentials
            .iter()
            .any(|finding| finding.result == Verdict::Bad)
        && told.inbound.last().is_some_and(|rule| rule.reasons() == [denied])
    {
        // A credential that is not good is why.
        let reasons: Vec<_> = told.credentials.iter().flat_map(Finding::reasons).collect();
        assert_eq!(reasons, [denied], "{}", case.title);
    }
    let setting = explain::Setting {
        policy: &loaded.policy,
        redactor: &loaded.redactor,
        request,
        role,
        role_because: "",
        now,
        notes: &[],
    };
    let report = Report::new(&explanation, setting);
    assert_reported(&report, &explanation, request, &case.title);
    for told in [report.to_string(), report.json()] {
        for secret in secrets(case) {
            assert!(
                !told.contains(&secret),
                "{}: `{secret}` is told:\n{told}",
                case.title
            );
        }
    }
    for record in &explanation.records {
        stream.seen.counters.push(record.counter());
        let line = record.line(request, &loaded.policy.errors.redactor, 0);
        stream.seen.logs.push(line.to_string());
    }
    for edits in &explanation.edits {
        stream.apply(edits);
    }
    match explanation.end {
        End::Forwarded(permit) => stream.forwarded(case, &loaded.policy, permit),
        End::Answered(reply) => stream.replied(&reply),
    }
}

/// A report says what becomes of the request: the answer, or what the upstream gets.
fn assert_reported(report: &Report, explanation: &Explanation<'_>, request: &Request, title: &str) {
    let state = |name: &str| report.filter_state.get(name).map(String::as_str);
    if let Some(reason) = state("peergate.reason") {
        assert_eq!(
            (reason, state("peergate.rule").filter(|rule| *rule != NO_RULE)),
            (report.reason, report.rule.as_deref()),
            "{title}"
        );
    }
    match (&explanation.end, &report.answer, &report.upstream) {
        (End::Answered(reply), Some(answer), None) => {
            let headers = reply
                .headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.to_string()));
            assert_eq!(answer.headers, headers.collect::<Vec<_>>(), "{title}");
            assert_eq!(answer.body, reply.body.to_string(), "{title}");
        }
        (End::Forwarded(_), None, Some(upstream)) => {
            let came: Vec<_> = request
                .headers
                .iter()
                .map(|(name, value)| (name.to_vec(), value.to_vec()))
                .collect();
            let sent = explanation.edits.iter().fold(came, edited);
            let is_sent = |name: &String| sent.iter().any(|(other, _)| other == name.as_bytes());
            for (name, value) in &upstream.set {
                let is_shown =
                    |(other, sent): &(Vec<u8>, Vec<u8>)| other == name.as_bytes() && sent == value.as_bytes();
                // A credential is shown by its length, a key in a path not at all, what is long by its beginning, and no byte that is none of UTF-8 as it is.
                let is_cut = [" bytes)", "*****", "…", "\\x"]
                    .iter()
                    .any(|mark| value.contains(mark));
                assert!(is_cut || sent.iter().any(is_shown), "{title}: {name}: {value}");
                assert!(is_sent(name), "{title}: {name}");
            }
            assert!(!upstream.removed.iter().any(is_sent), "{title}: {upstream:?}");
        }
        told => panic!("{title}: {told:?}"),
    }
}

/// Behind what is not good nothing is looked at, and what leads to a refusal is not good.
fn assert_in_order(findings: &[Finding], title: &str) {
    let mut is_refused = false;
    for finding in findings {
        let is_good = matches!(finding.result, Verdict::Good | Verdict::Unknown);
        let is_step = matches!(finding.kind, Kind::Check | Kind::Request);
        assert!(!(is_refused && is_step && is_good), "{title}: {findings:#?}");
        assert!(
            finding.reason.is_none() || finding.result != Verdict::Good,
            "{title}: {finding:#?}"
        );
        // An opaque token is none of a provider's, and goes on.
        is_refused |= is_step && finding.result == Verdict::Bad && !is_opaque(findings);
        assert_in_order(&finding.findings, title);
    }
}

fn is_opaque(findings: &[Finding]) -> bool {
    findings
        .last()
        .is_some_and(|finding| finding.name == "introspection")
}

/// What nobody may be told: of a token the signature, what stands in the environment and in the policy as a secret, and
/// the code of the moment, in which RFC 6238 has put a zero that times have not.
fn secrets(case: &Prepared) -> Vec<String> {
    let mut secrets = case.secrets.clone();
    let signatures = case.secrets.iter().filter_map(|token| token.rsplit_once('.'));
    secrets.extend(signatures.map(|(_, signature)| signature.to_owned()));
    inline(&case.policy, &mut secrets);
    secrets.push("005924".to_owned());
    let codes = case
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"x-totp"));
    secrets.extend(codes.map(|(_, code)| String::from_utf8_lossy(code).into_owned()));
    // What stands in every time is told with it.
    let time = case.now.to_string();
    secrets.retain(|secret| secret.len() > 5 && !time.contains(secret));
    secrets
}

/// The secrets that a policy holds.
fn inline(value: &Value, secrets: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            secrets.extend(members.get("inline").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| inline(member, secrets));
        }
        Value::Array(items) => items.iter().for_each(|item| inline(item, secrets)),
        _ => {}
    }
}

/// Headers as the boundary leaves them.
fn edited(mut headers: Vec<(Vec<u8>, Vec<u8>)>, edits: &Edits) -> Vec<(Vec<u8>, Vec<u8>)> {
    let remove = |headers: &mut Vec<(Vec<u8>, Vec<u8>)>, name: &[u8]| {
        headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    };
    for name in edits.removals() {
        remove(&mut headers, name);
    }
    for (name, value) in edits.settings() {
        remove(&mut headers, name);
        headers.push((name.to_vec(), value.to_vec()));
    }
    headers
}

/// What the boundary does with edits, on a header map of our own.
#[derive(Default)]
struct Stream {
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    seen: Seen,
}

impl Stream {
    fn apply(&mut self, edits: &Edits) {
        self.headers = edited(std::mem::take(&mut self.headers), edits);
        let state: BTreeMap<String, Vec<u8>> = edits
            .state()
            .map(|(name, value)| (name.to_owned(), value.to_vec()))
            .collect();
        self.seen.state.extend(state);
    }

    /// The way of the body, and of the answer. Bodies come in two pieces.
    fn answered(&mut self, case: &Prepared, policy: &Policy, permit: &mut Permit) {
        for (part, is_end) in pieces(&case.body) {
            if permit.wants_request() > 0 {
                permit.see_request(part, is_end);
            }
        }
        let answer = Headers::new(case.answered.iter().cloned());
        let mut edits = permit.decide_answer(&answer);
        let (of_card, note) = permit.decide_card(policy, &answer);
        edits.merge(of_card);
        self.seen.returned = edited(case.answered.clone(), &edits);
        let mut notes = Vec::from_iter(note);
        let cards = Cards::default();
        for (part, is_end) in pieces(&case.answered_body) {
            if !permit.holds_answer() {
                self.seen.returned_body.extend(part);
                continue;
            }
            let means = CardMeans {
                policy,
                signer: &NoHostSigner,
                cards: &cards,
            };
            if let Some(passed) = permit.take_answer(means, part, is_end) {
                self.seen.returned_body.extend(&*passed.body);
                notes.push(passed.note);
            }
        }
        for note in notes {
            self.seen.counters.push(note.counter());
            let line = note.line(permit.card_path(), permit.card_request(), &policy.errors.redactor);
            self.seen.logs.extend(line.map(|line| line.to_string()));
        }
    }

    fn request_id(&self) -> Option<&[u8]> {
        let id = self.headers.iter().find(|(name, _)| name == b"x-request-id");
        id.map(|(_, value)| value.as_slice())
    }

    fn forwarded(mut self, case: &Prepared, policy: &Policy, mut permit: Permit) -> Seen {
        self.seen.upstream = Some(self.headers.clone());
        self.answered(case, policy, &mut permit);
        let logged = case.original_path_at_log.as_deref().map(str::as_bytes);
        if let Some(exposure) = permit.exposure(logged) {
            self.seen.counters.push(exposure.counter());
            let line = exposure.line(self.request_id(), &policy.errors.redactor);
            self.seen.logs.push(line.to_string());
        }
        self.ended()
    }

    fn replied(mut self, reply: &http::Reply) -> Seen {
        self.seen.reply = Some(Reply {
            // For a gRPC caller Envoy makes a 200 with trailers of the answer.
            status: if reply.grpc_status.is_some() {
                200
            } else {
                reply.status
            },
            grpc_status: reply.grpc_status,
            headers: reply
                .headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.to_string()))
                .collect(),
            body: reply.body.to_string(),
        });
        self.ended()
    }

    fn ended(mut self) -> Seen {
        let path = self.headers.iter().find(|(name, _)| name == b":path");
        self.seen.logged_path = path.map(|(_, value)| value.clone());
        self.seen.logged = self.headers;
        self.seen
    }
}

/// A body in two pieces; none if it is empty.
fn pieces(body: &[u8]) -> Vec<(&[u8], bool)> {
    let (first, second) = body.split_at(body.len() / 2);
    match body {
        [] => Vec::new(),
        _ => vec![(first, false), (second, true)],
    }
}
