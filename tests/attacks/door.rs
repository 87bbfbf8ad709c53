//! The door that attackers stand before: one worker with the compiled module and a policy, and what an attack must come
//! to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::host::{
    Forwarded, HeaderMap, Level, Module, Outcome, Process, Replied, Request, RouteRefresh, Status, Vm,
    VmOptions,
};
use crate::host::{PluginId, Refused};
use crate::support::case::{merge, remember};
use crate::support::tokens::keys;

/// The first second of a TOTP step.
pub(crate) const NOW: u64 = 1_234_567_890;

/// The code of [`SEED`] at [`NOW`] (RFC 6238 appendix B).
pub(crate) const CODE: &str = "005924";

pub(crate) const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
pub(crate) const API_KEY: &str = "pinks-key-0001";
pub(crate) const STATIC_TOKEN: &str = "pinks-static-token";
pub(crate) const SHARED_SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const QUERY_KEY: &str = "tvly-key-0001";

/// One worker of a proxy, with one policy.
pub(crate) struct Door {
    vm: Vm,
    plugin: PluginId,
    /// In nanoseconds since the Unix epoch.
    now: u64,
}

impl Door {
    /// Before a workload: everything asks for a token or an API key of [`policy`], but what it says itself.
    pub(crate) fn new() -> Self {
        Self::with(json!({}))
    }

    /// With members that differ from those of [`policy`]; `null` takes one away.
    #[track_caller]
    pub(crate) fn with(changes: Value) -> Self {
        let mut whole = policy();
        merge(&mut whole, changes);
        Self::of(&whole, "")
    }

    /// With this policy, in a proxy of this node id.
    #[track_caller]
    pub(crate) fn of(policy: &Value, node_id: &str) -> Self {
        Self::behind(start(module(), node_id), policy)
    }

    /// Lets time pass.
    pub(crate) fn pass_milliseconds(&mut self, milliseconds: u64) {
        self.now += milliseconds * 1_000_000;
        self.vm.set_now(self.now);
    }

    /// With members that differ from those of [`policy`], on an interpreter that counts its work.
    #[track_caller]
    pub(crate) fn metered(changes: Value) -> Self {
        let mut whole = policy();
        merge(&mut whole, changes);
        let module = Module::metered(std::fs::read(module_file()).unwrap()).unwrap();
        // What a proxy's cryptography would do is not counted: here all is the module's own work.
        let options = VmOptions {
            foreign_functions: Box::new(|_, _| Err(Status::NotFound)),
            ..options("")
        };
        Self::behind(Vm::start(&module, options).unwrap(), &whole)
    }

    /// One of several workers of a proxy.
    #[track_caller]
    pub(crate) fn worker(process: &Process, changes: Value) -> Self {
        let mut whole = policy();
        merge(&mut whole, changes);
        let options = VmOptions {
            process: process.clone(),
            ..options("")
        };
        Self::behind(Vm::start(module(), options).unwrap(), &whole)
    }

    #[track_caller]
    fn behind(mut vm: Vm, policy: &Value) -> Self {
        let plugin = vm
            .configure(policy.to_string())
            .unwrap_or_else(|refused| panic!("{refused:#?}"));
        let now = NOW * 1_000_000_000;
        Self { vm, plugin, now }
    }

    /// What a metered module has done so far.
    pub(crate) fn work(&self) -> u64 {
        self.vm.work()
    }

    /// What was logged while the policy was loaded, and since.
    pub(crate) fn logs(&self, level: Level) -> Vec<&str> {
        let lines = self.vm.logs().iter().filter(|line| line.level == level);
        lines.map(|line| line.text.as_str()).collect()
    }

    /// How a request is refused: status and reason.
    #[track_caller]
    pub(crate) fn answer(&mut self, request: Request) -> (u16, String) {
        match self.vm.request(self.plugin, request) {
            Outcome::Replied(replied) => (
                replied.status,
                state(&replied.filter_state, "reason").unwrap_or_default(),
            ),
            other => panic!("not refused but {other:#?}"),
        }
    }

    /// The request must be refused just so.
    #[track_caller]
    pub(crate) fn refuses(&mut self, what: &str, request: Request, refusal: Refusal) -> Replied {
        let credentials = credentials(&request);
        let replied = match self.vm.request(self.plugin, request) {
            Outcome::Replied(replied) => replied,
            other => panic!("{what}: not refused with {refusal:?} but {other:#?}"),
        };
        let seen = (replied.status, state(&replied.filter_state, "reason"));
        assert_eq!(seen, (refusal.status, Some(refusal.reason.to_owned())), "{what}");
        if let Some(detail) = refusal.detail {
            let told: Value = serde_json::from_slice(&replied.body).unwrap();
            let expected = json!({
                "type": "about:blank", "title": refusal.title(), "status": refusal.status, "detail": detail
            });
            assert_eq!(told, expected, "{what}");
        }
        if !refusal.knows_caller {
            assert_eq!(identity_in(&replied.filter_state), Vec::<String>::new(), "{what}");
        }
        let answer = [&replied.headers.encode(), replied.body.as_slice()].concat();
        self.assert_quiet(what, &credentials, &answer);
        replied
    }

    /// The request must go on.
    #[track_caller]
    pub(crate) fn admits(&mut self, what: &str, request: Request) -> Forwarded {
        let credentials = credentials(&request);
        let forwarded = match self.vm.request(self.plugin, request) {
            Outcome::Forwarded(forwarded) => forwarded,
            other => panic!("{what}: did not go on but {other:#?}"),
        };
        self.assert_quiet(what, &credentials, &[]);
        forwarded
    }

    /// The request must go on as nobody's: no identity, no credential, not in filter state either.
    #[track_caller]
    pub(crate) fn admits_nobody(&mut self, what: &str, request: Request) -> Forwarded {
        let forwarded = self.admits(what, request);
        assert_eq!(identity(&forwarded.headers), Vec::<String>::new(), "{what}");
        assert_eq!(
            identity_in(&forwarded.filter_state),
            Vec::<String>::new(),
            "{what}"
        );
        assert_eq!(
            credentials_left(&forwarded.headers),
            Vec::<String>::new(),
            "{what}"
        );
        forwarded
    }

    /// The request must go on as this subject's, with a token that stays here.
    #[track_caller]
    pub(crate) fn admits_as(&mut self, what: &str, request: Request, subject: &str) -> Forwarded {
        let forwarded = self.admits(what, request);
        assert_eq!(forwarded.headers.all("x-agent-sub"), [subject], "{what}");
        assert_eq!(
            state(&forwarded.filter_state, "sub").as_deref(),
            Some(subject),
            "{what}"
        );
        assert_eq!(
            credentials_left(&forwarded.headers),
            Vec::<String>::new(),
            "{what}"
        );
        forwarded
    }

    /// Whatever becomes of the request: all that somebody may read of it, but the upstream.
    #[track_caller]
    pub(crate) fn outputs(&mut self, request: Request) -> Outputs {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let state = |filter_state: BTreeMap<String, Vec<u8>>| {
            format!("{:?}", filter_state.into_values().map(text).collect::<Vec<_>>())
        };
        match self.vm.request(self.plugin, request) {
            Outcome::Replied(replied) => Outputs {
                is_refusal: true,
                texts: vec![
                    ("answer", text(replied.headers.encode())),
                    ("body", text(replied.body)),
                    // An access log reads it once the request is over; a refused one keeps its own other headers.
                    ("path of the log", replied.request.all(":path").concat()),
                    ("filter state", state(replied.filter_state)),
                ],
            },
            Outcome::Forwarded(forwarded) => Outputs {
                is_refusal: false,
                texts: vec![
                    ("answer", text(forwarded.response.headers.encode())),
                    (
                        "path of the log",
                        forwarded.headers.all("x-envoy-original-path").concat(),
                    ),
                    ("filter state", state(forwarded.filter_state)),
                ],
            },
            other => panic!("{other:#?}"),
        }
    }

    /// Every log line, and the name of every metric.
    pub(crate) fn everything(&self) -> Vec<String> {
        let lines = self.vm.logs().iter().map(|line| line.text.clone());
        lines.chain(self.vm.metrics().into_keys()).collect()
    }

    /// No credential in any log line or in the answer, and no call to anywhere.
    #[track_caller]
    fn assert_quiet(&self, what: &str, credentials: &[Vec<u8>], answer: &[u8]) {
        assert_eq!(self.vm.callouts(), [], "{what}: calls out");
        for credential in credentials {
            assert!(
                !holds(answer, credential),
                "{what}: the answer holds the credential"
            );
            for line in self.vm.logs() {
                assert!(!holds(line.text.as_bytes(), credential), "{what}: {}", line.text);
            }
        }
    }
}

/// What may be read of a request, each with the place where it stands.
pub(crate) struct Outputs {
    pub(crate) is_refusal: bool,
    pub(crate) texts: Vec<(&'static str, String)>,
}

/// A policy that must be refused; the faults, as they are told.
#[track_caller]
pub(crate) fn refused_policy(changes: Value) -> String {
    let mut whole = policy();
    merge(&mut whole, changes);
    refused(&whole)
}

/// An outbound half that must be refused; the faults, as they are told.
#[track_caller]
pub(crate) fn refused_outbound(outbound: &Value) -> String {
    refused(&json!({"version": 1, "outbound": outbound}))
}

/// A whole policy that must be refused; the faults, as they are told.
#[track_caller]
pub(crate) fn refused(policy: &Value) -> String {
    let Refused { logs, trap } = match start(module(), "").configure(policy.to_string()) {
        Ok(_) => panic!("accepted: {policy:#}"),
        Err(refused) => refused,
    };
    assert_eq!(trap, None);
    let errors: Vec<&str> = logs
        .iter()
        .filter(|line| line.level >= Level::Error)
        .map(|line| line.text.as_str())
        .collect();
    let [error] = errors[..] else {
        panic!("{errors:#?}")
    };
    error
        .strip_prefix("peergate: configuration refused:\n")
        .unwrap()
        .to_owned()
}

/// The policy of an agent with everything that can be attacked.
pub(crate) fn policy() -> Value {
    json!({
        "version": 1,
        "role": "inbound",
        "inbound": {
            "providers": {
                "main": {
                    "issuer": "https://issuer.example",
                    "audiences": ["agents"],
                    "jwks": {"inline": keys().jwks()},
                    "algorithms": [
                        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
                        "ES256", "ES384", "ES512", "ES256K", "EdDSA",
                    ],
                },
                "other": {
                    "issuer": "https://other.example",
                    "audiences": ["agents"],
                    "jwks": {"inline": keys().other_jwks()},
                },
                "shared": {
                    "issuer": "https://shared.example",
                    "audiences": ["agents"],
                    "jwks": {"secrets": [{"alg": "HS256", "kid": "shared", "secret": {"env": "SHARED"}}]},
                },
            },
            "peers": {
                "mrpink": {
                    "tokens": {"main": "mrpink"},
                    "api_keys": [{"env": "PINKS_KEY"}],
                    "bearer_tokens": [{"env": "PINKS_TOKEN"}],
                    "totp_seeds": [{"env": "PINKS_SEED"}],
                },
            },
            // Tests try many wrong codes, but those of the throttle itself.
            "totp": {"throttle": {"max_failures": 1000}},
            "rules": [
                {"name": "card", "match": {"paths": ["/.well-known/agent-card.json"]}, "accept": ["none"]},
                {"name": "public", "match": {"path_prefixes": ["/public"]}, "accept": ["none"]},
                {"name": "optional", "match": {"path_prefixes": ["/optional"]}, "accept": ["jwt", "none"]},
                {"name": "admin", "match": {"path_prefixes": ["/admin"]}, "deny": true},
                {"name": "totp", "match": {"path_prefixes": ["/totp"]}, "accept": ["jwt"], "require": {"totp": true}},
                {"name": "all", "accept": ["jwt", "api_key", "bearer_token"]},
            ],
        },
    })
}

/// How a request is refused: the status, the reason in filter state, and what the caller is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) reason: &'static str,
    /// `None` where the caller speaks something else than problem+json.
    pub(crate) detail: Option<&'static str>,
    /// Whether filter state may name the caller: its first factor was good.
    knows_caller: bool,
}

impl Refusal {
    pub(crate) const fn new(status: u16, reason: &'static str, detail: &'static str) -> Self {
        Self {
            status,
            reason,
            detail: Some(detail),
            knows_caller: false,
        }
    }

    /// Of a token: all that does not help to get a better one is told in one text.
    pub(crate) const fn token(reason: &'static str) -> Self {
        Self::new(401, reason, "Invalid or missing authentication credentials")
    }

    /// Of a caller whose first factor was good.
    pub(crate) const fn second_factor(status: u16, reason: &'static str, detail: &'static str) -> Self {
        Self {
            knows_caller: true,
            ..Self::new(status, reason, detail)
        }
    }

    /// Of a caller that is known and may not.
    pub(crate) const fn forbidden(reason: &'static str, detail: &'static str) -> Self {
        Self {
            knows_caller: true,
            ..Self::new(403, reason, detail)
        }
    }

    const fn title(&self) -> &'static str {
        match self.status {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            429 => "Too Many Requests",
            _ => "Service Unavailable",
        }
    }
}

pub(crate) const MALFORMED: Refusal = Refusal::token("token_malformed");
pub(crate) const TOO_LONG: Refusal = Refusal::token("token_too_long");
pub(crate) const ENCRYPTED: Refusal = Refusal::token("token_encrypted");
pub(crate) const HEADER_REJECTED: Refusal = Refusal::token("token_header_rejected");
pub(crate) const ALGORITHM: Refusal = Refusal::token("algorithm_not_allowed");
pub(crate) const KEY_UNKNOWN: Refusal = Refusal::token("key_unknown");
pub(crate) const SIGNATURE: Refusal = Refusal::token("signature_invalid");
pub(crate) const CLAIM_TYPE: Refusal = Refusal::token("claim_malformed");
pub(crate) const NOT_ACCEPTED: Refusal = Refusal::token("credential_not_accepted");
pub(crate) const API_KEY_UNKNOWN: Refusal = Refusal::token("api_key_unknown");
pub(crate) const NOT_FORWARDABLE: Refusal = Refusal {
    knows_caller: true,
    ..Refusal::token("claim_not_forwardable")
};
pub(crate) const EXPIRED: Refusal = Refusal::new(401, "token_expired", "Token has expired");
pub(crate) const ISSUER: Refusal = Refusal::new(401, "issuer_invalid", "Invalid token issuer");
pub(crate) const AUDIENCE: Refusal = Refusal::new(401, "audience_invalid", "Invalid token audience");
pub(crate) const MISSING_EXP: Refusal = Refusal::new(401, "claim_missing", "Missing required claim: exp");
pub(crate) const NO_CREDENTIALS: Refusal = Refusal::new(
    401,
    "credentials_missing",
    "Missing or invalid Authorization header",
);
pub(crate) const NO_BEARER: Refusal = Refusal::new(
    401,
    "authorization_malformed",
    "Missing or invalid Authorization header",
);
pub(crate) const REPEATED: Refusal =
    Refusal::new(400, "credential_repeated", "More than one credential of a kind");
pub(crate) const PATH: Refusal = Refusal::new(400, "path_ambiguous", "Ambiguous request path");
pub(crate) const NO_PATH: Refusal = Refusal::new(400, "path_missing", "Request without a path");
pub(crate) const HOST: Refusal = Refusal::new(400, "host_invalid", "Invalid host");
pub(crate) const METHOD: Refusal = Refusal::new(400, "method_ambiguous", "Invalid method");
pub(crate) const CONNECTION: Refusal =
    Refusal::new(400, "connection_names_owned", "Invalid Connection header");
pub(crate) const RULE_DENIED: Refusal = Refusal::new(403, "rule_denied", "Access denied");
pub(crate) const TOTP_MISSING: Refusal = Refusal {
    knows_caller: true,
    ..Refusal::new(401, "totp_missing", "Missing X-TOTP header")
};
pub(crate) const TOTP_INVALID: Refusal = Refusal {
    knows_caller: true,
    ..Refusal::new(401, "totp_invalid", "Invalid TOTP code")
};
pub(crate) const TOTP_NOT_CONFIGURED: Refusal = Refusal {
    knows_caller: true,
    ..Refusal::new(401, "totp_not_configured", "TOTP not configured for this peer")
};
pub(crate) const ANONYMOUS: Refusal = Refusal::new(403, "outbound_anonymous", "Call not allowed");
pub(crate) const CLUSTER_CHANGED: Refusal = Refusal::new(403, "outbound_cluster_changed", "Call not allowed");

/// A request to the agent.
pub(crate) fn get(path: &str) -> Request {
    Request::inbound("GET", path)
}

/// A request with a value behind `Bearer`.
pub(crate) fn bearer(token: impl AsRef<[u8]>) -> Request {
    get("/").header("authorization", [b"Bearer ", token.as_ref()].concat())
}

/// Every header that the filter writes of a caller, as `name: value`.
pub(crate) fn identity(headers: &HeaderMap) -> Vec<String> {
    let owned = [
        "x-agent-peer",
        "x-agent-sub",
        "x-agent-iss",
        "x-agent-auth",
        "rb-auth-claims",
    ];
    headers
        .iter()
        .map(|(name, value)| {
            (
                String::from_utf8_lossy(name).replace('_', "-"),
                value.escape_ascii(),
            )
        })
        .filter(|(name, _)| owned.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect()
}

/// Filter state of Envoy.
pub(crate) fn state(filter_state: &BTreeMap<String, Vec<u8>>, name: &str) -> Option<String> {
    filter_state
        .get(&format!("wasm.peergate.{name}"))
        .map(|value| String::from_utf8_lossy(value).into_owned())
}

fn identity_in(filter_state: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    ["peer", "sub", "iss", "method"]
        .into_iter()
        .filter_map(|name| Some(format!("{name}: {}", state(filter_state, name)?)))
        .collect()
}

/// Credentials that would reach the upstream.
fn credentials_left(headers: &HeaderMap) -> Vec<String> {
    let names = ["authorization", "x-api-key", "x_api_key", "x-totp", "x_totp"];
    names
        .into_iter()
        .filter(|name| headers.first(name.as_bytes()).is_some())
        .map(str::to_owned)
        .collect()
}

/// What stands where credentials stand: each part of it that is long enough not to be found by chance.
fn credentials(request: &Request) -> Vec<Vec<u8>> {
    request
        .headers
        .iter()
        .filter(|(name, _)| name.ends_with(b"authorization") || name.ends_with(b"key"))
        .flat_map(|(_, value)| value.split(|byte| b" .,".contains(byte)))
        .filter(|part| (16..10_000).contains(&part.len()))
        .map(<[u8]>::to_vec)
        .collect()
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn module_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peergate.wasm")
}

fn module() -> &'static Module {
    static MODULE: OnceLock<Module> = OnceLock::new();
    MODULE.get_or_init(|| {
        Module::load(module_file()).unwrap_or_else(|error| panic!("{error:?}: run `make build` first"))
    })
}

fn start(module: &Module, node_id: &str) -> Vm {
    Vm::start(module, options(node_id)).unwrap()
}

fn options(node_id: &str) -> VmOptions {
    let process = Process::default();
    process.set_now(NOW * 1_000_000_000);
    VmOptions {
        process,
        environment: environment(),
        properties: [("xds.node.id".to_owned(), node_id.as_bytes().to_vec())].into(),
        route_refresh: RouteRefresh::AtOnce,
        ..VmOptions::default()
    }
}

fn environment() -> BTreeMap<String, String> {
    let variables = [
        ("PINKS_KEY", API_KEY),
        ("PINKS_TOKEN", STATIC_TOKEN),
        ("PINKS_SEED", SEED),
        ("SHARED", SHARED_SECRET),
        ("QUERY_KEY", QUERY_KEY),
    ];
    static REMEMBERED: OnceLock<()> = OnceLock::new();
    REMEMBERED.get_or_init(|| remember("attacks", &variables.map(|(_, value)| value.to_owned())));
    variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}
