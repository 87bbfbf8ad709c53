//! The filter: natively for speed, and as the compiled module.

use std::collections::BTreeMap;
use std::path::Path;

use peergate_filter::config::{self, Environment};
use peergate_filter::decision::Means;
use peergate_filter::policy::Policy;
use peergate_filter::time::UnixTime;
use serde_json::{Map, Value, json};

use crate::host::{Module, Outcome, PluginId, Process, Request, Vm, VmOptions};
use crate::support::tokens::keys;

pub(crate) const MAIN: &str = "https://issuer.example";
pub(crate) const SHARED: &str = "https://shared.example";
pub(crate) const AUDIENCES: [&str; 2] = ["agents", "https://agents.example"];
pub(crate) const SKEW_SECONDS: u64 = 60;
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The algorithms that both sides know.
pub(crate) const ALGORITHMS: [&str; 9] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];

/// What a token must be, for both sides.
fn policy() -> Value {
    json!({
        "version": 1,
        "role": "inbound",
        "inbound": {
            "providers": {
                "main": {
                    "issuer": MAIN,
                    "audiences": AUDIENCES,
                    "algorithms": ALGORITHMS,
                    "jwks": {"inline": keys().jwks()},
                    "clock_skew_seconds": SKEW_SECONDS,
                    "required_claims": ["sub"],
                },
                "shared": {
                    "issuer": SHARED,
                    "audiences": AUDIENCES,
                    "jwks": {"secrets": [{"alg": "HS256", "kid": "shared", "secret": {"inline": SECRET}}]},
                    "clock_skew_seconds": SKEW_SECONDS,
                    "required_claims": ["sub"],
                },
            },
            "rules": [{"name": "all", "accept": ["jwt"]}],
            "limits": {"max_token_bytes": 65536},
        },
    })
}

/// Natively.
pub(crate) struct Filter(Policy);

impl Filter {
    pub(crate) fn new() -> Self {
        Self(load(&policy()))
    }

    /// The claims of a token that is good at this second.
    pub(crate) fn verify(&self, token: &[u8], now: u64) -> Result<Map<String, Value>, String> {
        let tokens = &self.0.inbound.as_ref().unwrap().tokens;
        match tokens.verify(token, Means::of(&self.0).tokens, UnixTime::from_seconds(now)) {
            Ok(verified) => Ok(verified.claims().clone()),
            Err(error) => Err(error.to_string()),
        }
    }
}

pub(crate) fn load(policy: &Value) -> Policy {
    let environment = Environment {
        variables: BTreeMap::new(),
        workload: None,
        namespace: None,
    };
    config::from_plugin_configuration(policy.to_string().as_bytes(), &environment)
        .unwrap_or_else(|errors| panic!("{errors}"))
        .policy
}

/// As the compiled module.
pub(crate) struct Compiled {
    vm: Vm,
    plugin: PluginId,
}

impl Compiled {
    pub(crate) fn new() -> Self {
        Self::of(&policy())
    }

    pub(crate) fn of(policy: &Value) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peergate.wasm");
        let module = Module::load(file).unwrap_or_else(|error| panic!("{error:?}: run `make build` first"));
        let options = VmOptions {
            process: Process::default(),
            ..VmOptions::default()
        };
        let mut vm = Vm::start(&module, options).unwrap();
        let plugin = vm.configure(policy.to_string()).unwrap();
        Self { vm, plugin }
    }

    /// Whether a request with this token goes on at this second.
    pub(crate) fn admits(&mut self, token: &[u8], now: u64) -> bool {
        let value = [b"Bearer ", token].concat();
        self.sends(Request::inbound("GET", "/").header("authorization", value), now)
    }

    /// Whether a request for this path goes on.
    pub(crate) fn admits_path(&mut self, path: &[u8]) -> bool {
        self.sends(Request::inbound("GET", "/").header(":path", path), 0)
    }

    fn sends(&mut self, request: Request, now: u64) -> bool {
        self.vm.set_now(now * 1_000_000_000);
        match self.vm.request(self.plugin, request) {
            Outcome::Forwarded(_) => true,
            Outcome::Replied(replied) => {
                assert!([400, 401].contains(&replied.status), "{}", replied.status);
                false
            }
            other => panic!("{other:#?}"),
        }
    }
}
