//! A proxy's cryptography: what it is asked, when it is believed, and that it changes no answer. Natively, and through
//! the module in the emulated host.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

mod host;
mod support;

use std::cell::{Cell, RefCell};
use std::path::Path;

use host::{Level, Module, Process, Proxy, Request, Status, Vm, VmOptions, verify_signature};
use peergate_filter::jwks::{
    Algorithm, HostScheme, HostSignatures, Key, KeySet, NoHostSignatures, Proven, VerifiedBy,
};
use serde_json::{Value, json};
use support::tokens::keys;

type Answer = fn(&Double, HostScheme, Option<bool>) -> Option<bool>;

/// A hand-written double: a proxy whose answers are bent.
struct Double {
    proxy: Proxy,
    bend: Answer,
    is_tried: Cell<bool>,
    noted: RefCell<Vec<VerifiedBy>>,
}

impl Double {
    fn new(bend: Answer) -> Self {
        Self {
            proxy: Proxy::default(),
            bend,
            is_tried: Cell::new(false),
            noted: RefCell::default(),
        }
    }

    fn proven(bend: Answer) -> Proven<Self> {
        let proven = Proven::by_known_answers(Self::new(bend));
        proven.host().is_tried.set(true);
        proven
    }
}

impl HostSignatures for Double {
    fn verify(&self, scheme: HostScheme, key: &[u8], signature: &[u8], message: &[u8]) -> Option<bool> {
        (self.bend)(self, scheme, self.proxy.verify(scheme, key, signature, message))
    }

    fn note(&self, by: VerifiedBy) {
        self.noted.borrow_mut().push(by);
    }
}

fn set(jwks: &Value) -> KeySet {
    KeySet::from_jwks(jwks.as_object().unwrap()).unwrap()
}

/// The key of an algorithm in the set of `tests/support`, and the parts of a good token.
fn token(algorithm: Algorithm) -> (String, Vec<u8>, Vec<u8>) {
    let kid = match algorithm {
        Algorithm::Es256 => "p256",
        Algorithm::Es384 => "p384",
        Algorithm::Es512 => "p521",
        Algorithm::Es256K => "secp256k1",
        Algorithm::EdDsa => "ed25519",
        _ => "rsa",
    };
    let input = b"header.payload".to_vec();
    let signature = keys().sign_input(algorithm.name(), false, &input, "");
    (kid.to_owned(), input, signature)
}

fn key<'s>(set: &'s KeySet, kid: &str, algorithm: Algorithm) -> &'s Key {
    set.candidates(Some(kid), algorithm).unwrap().next().unwrap()
}

const FOR_PROXY: [Algorithm; 6] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::Es512,
];

#[test]
fn a_proxy_is_believed_for_what_it_does_right() {
    let honest: Answer = |_, _, answer| answer;
    let proven = Double::proven(honest);
    assert!(proven.is_complete());
    assert_eq!(
        proven.to_string(),
        "the proxy verifies RS256, RS384, RS512, ES256, ES384, ES512"
    );
    let set = set(&keys().jwks());
    for algorithm in FOR_PROXY {
        let (kid, input, signature) = token(algorithm);
        let key = key(&set, &kid, algorithm);
        assert!(key.verify(algorithm, &input, &signature, &proven), "{algorithm}");
        assert!(
            !key.verify(algorithm, b"other", &signature, &proven),
            "{algorithm}"
        );
        assert_eq!(proven.host().noted.take(), [VerifiedBy::Host; 2], "{algorithm}");
    }
    for algorithm in [Algorithm::Ps256, Algorithm::Es256K, Algorithm::EdDsa] {
        let asked = proven.host().proxy.asked();
        let (kid, input, signature) = token(algorithm);
        let key = key(&set, &kid, algorithm);
        assert!(key.verify(algorithm, &input, &signature, &proven), "{algorithm}");
        assert_eq!(proven.host().proxy.asked(), asked, "{algorithm}");
        assert_eq!(proven.host().noted.take(), [VerifiedBy::Module], "{algorithm}");
    }
}

#[test]
fn a_proxy_that_does_wrong_is_not_asked_again() {
    let bent: [(&str, Answer); 4] = [
        ("says yes to everything", |_, _, _| Some(true)),
        ("says no to everything", |_, _, _| Some(false)),
        ("says nothing", |_, _, _| None),
        ("says nothing of what is bad", |_, _, answer| {
            answer.filter(|good| *good)
        }),
    ];
    let set = set(&keys().jwks());
    for (what, bend) in bent {
        let proven = Double::proven(bend);
        assert_eq!(
            proven.to_string(),
            "the proxy does not verify RS256, RS384, RS512, ES256, ES384, ES512: \
             that is done in the module, which is slower",
            "{what}"
        );
        let asked = proven.host().proxy.asked();
        for algorithm in FOR_PROXY {
            let (kid, input, signature) = token(algorithm);
            let key = key(&set, &kid, algorithm);
            assert!(key.verify(algorithm, &input, &signature, &proven), "{what}");
            assert!(!key.verify(algorithm, b"other", &signature, &proven), "{what}");
        }
        assert_eq!(proven.host().proxy.asked(), asked, "{what}");
        assert_eq!(proven.host().noted.take(), [VerifiedBy::Module; 12], "{what}");
    }
}

#[test]
fn each_scheme_is_believed_by_itself() {
    let proven = Double::proven(|_, scheme, answer| answer.filter(|_| scheme != HostScheme::Es512));
    assert!(!proven.is_complete());
    assert_eq!(
        proven.to_string(),
        "the proxy does not verify ES512: that is done in the module, which is slower"
    );
    let set = set(&keys().jwks());
    for (algorithm, by) in [
        (Algorithm::Es384, VerifiedBy::Host),
        (Algorithm::Es512, VerifiedBy::Module),
    ] {
        let (kid, input, signature) = token(algorithm);
        let key = key(&set, &kid, algorithm);
        assert!(key.verify(algorithm, &input, &signature, &proven));
        assert_eq!(proven.host().noted.take(), [by]);
    }
}

/// What a proxy does not answer in a single call is computed here, be it good or bad.
#[test]
fn a_call_that_fails_costs_time_and_nothing_else() {
    let proven = Double::proven(|double, _, answer| answer.filter(|_| !double.is_tried.get()));
    assert!(proven.is_complete());
    let set = set(&keys().jwks());
    for algorithm in FOR_PROXY {
        let (kid, input, signature) = token(algorithm);
        let key = key(&set, &kid, algorithm);
        assert!(key.verify(algorithm, &input, &signature, &proven));
        assert!(!key.verify(algorithm, b"other", &signature, &proven));
        assert_eq!(proven.host().noted.take(), [VerifiedBy::Module; 2]);
    }
}

/// What cannot be a signature of the key is refused before anybody computes: a wrong length, and for ECDSA an r or s
/// outside 1..n−1. Libraries differ in such things, so they are not asked.
#[test]
fn what_cannot_be_a_signature_reaches_no_proxy() {
    let proven = Double::proven(|_, _, answer| answer);
    let set = set(&keys().jwks());
    let asked = proven.host().proxy.asked();
    for algorithm in FOR_PROXY {
        let (kid, input, good) = token(algorithm);
        let key = key(&set, &kid, algorithm);
        let size = good.len();
        let mut bad = vec![
            Vec::new(),
            good[1..].to_vec(),
            good[..size - 1].to_vec(),
            [&good[..], &[0]].concat(),
            [&[0], &good[..]].concat(),
            good[..size / 2].to_vec(),
        ];
        if !algorithm.name().starts_with("RS") {
            let (r, s) = good.split_at(size / 2);
            let (zero, order) = (vec![0; r.len()], order(algorithm));
            bad.extend([
                [&zero, s].concat(),
                [r, &zero].concat(),
                [&zero[..], &zero].concat(),
                [&order, s].concat(),
                [r, &order].concat(),
                vec![0xff; size],
            ]);
        }
        for signature in bad {
            assert!(
                !key.verify(algorithm, &input, &signature, &proven),
                "{algorithm} {signature:x?}"
            );
            assert!(!key.verify(algorithm, &input, &signature, &NoHostSignatures));
        }
    }
    assert_eq!(proven.host().proxy.asked(), asked);
    assert_eq!(proven.host().noted.take(), []);
}

/// The number of points of a curve (SEC 2), which no r or s reaches.
fn order(algorithm: Algorithm) -> Vec<u8> {
    let digits = match algorithm {
        Algorithm::Es256 => "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551".to_owned(),
        Algorithm::Es384 => [
            &"f".repeat(48),
            "c7634d81f4372ddf581a0db248b0a77aecec196accc52973",
        ]
        .concat(),
        _ => [
            "01",
            &"f".repeat(64),
            "fa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
        ]
        .concat(),
    };
    (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

/// An s above half the order is as good as one below: both are the same point's.
#[test]
fn a_high_s_is_good_by_either() {
    let proven = Double::proven(|_, _, answer| answer);
    let set = set(&keys().jwks());
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Es512] {
        let (kid, input, good) = token(algorithm);
        let key = key(&set, &kid, algorithm);
        let (r, s) = good.split_at(good.len() / 2);
        let mut borrow = 0;
        let mut mirrored: Vec<u8> = order(algorithm)
            .iter()
            .zip(s)
            .rev()
            .map(|(order, digit)| {
                let difference = i16::from(*order) - i16::from(*digit) - borrow;
                borrow = i16::from(difference < 0);
                u8::try_from(difference.rem_euclid(256)).unwrap()
            })
            .collect();
        mirrored.reverse();
        let other = [r, &mirrored].concat();
        for signature in [good.clone(), other] {
            assert!(key.verify(algorithm, &input, &signature, &proven), "{algorithm}");
            assert!(
                key.verify(algorithm, &input, &signature, &NoHostSignatures),
                "{algorithm}"
            );
        }
    }
    assert_eq!(proven.host().noted.take(), [VerifiedBy::Host; 6]);
}

/// A policy that takes every algorithm, a request with a token of each, and whether it went on.
fn through_the_module(foreign: host::ForeignFunctions) -> (Vec<bool>, Vm) {
    let module = Module::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peergate.wasm"))
        .unwrap_or_else(|error| panic!("{error:?}: run `make build` first"));
    let process = Process::default();
    process.set_now(1_700_000_000_000_000_000);
    let options = VmOptions {
        process,
        foreign_functions: foreign,
        ..VmOptions::default()
    };
    let mut vm = Vm::start(&module, options).unwrap();
    let names: Vec<&str> = FOR_PROXY.iter().map(|algorithm| algorithm.name()).collect();
    let policy = json!({"version": 1, "inbound": {
        "providers": {"idp": {
            "issuer": "https://issuer.example", "audiences": ["a"], "algorithms": names,
            "jwks": {"inline": keys().jwks()},
        }},
        "rules": [{"name": "all", "accept": ["jwt"]}],
    }});
    let plugin = vm.configure(policy.to_string()).unwrap();
    let mut passed = Vec::new();
    for algorithm in FOR_PROXY {
        let (kid, ..) = token(algorithm);
        let claims = json!({"iss": "https://issuer.example", "aud": "a", "sub": "x", "exp": 1_700_000_600});
        let header = json!({"alg": algorithm.name(), "kid": kid}).to_string();
        let token = keys().sign(algorithm.name(), false, &header, &claims.to_string(), "");
        let (input, signature) = token.rsplit_once('.').unwrap();
        // Not at the head, where r would become too large to be one.
        let (head, tail) = signature.split_at(20);
        let other = if tail.starts_with('A') { "B" } else { "A" };
        let forged = format!("{input}.{head}{other}{}", &tail[1..]);
        for token in [token.clone(), forged] {
            let request = Request::inbound("GET", "/").header("authorization", format!("Bearer {token}"));
            let outcome = vm.request(plugin, request);
            passed.push(matches!(outcome, host::Outcome::Forwarded(_)));
        }
    }
    (passed, vm)
}

fn counted(vm: &Vm, by: &str) -> u64 {
    let name = format!("peergate_signatures_total.by.{by}");
    vm.metrics().get(&name).copied().unwrap_or_default()
}

fn said(vm: &Vm) -> Vec<(Level, String)> {
    vm.logs()
        .iter()
        .filter(|line| line.text.contains("the proxy"))
        .map(|line| (line.level, line.text.clone()))
        .collect()
}

const SLOWER: &str = "peergate: the proxy does not verify RS256, RS384, RS512, ES256, ES384, ES512: \
                      that is done in the module, which is slower";

#[test]
fn the_module_asks_the_proxy() {
    let (passed, vm) = through_the_module(Box::new(|name, arguments| match name {
        "verify_signature" => verify_signature(arguments),
        _ => Err(Status::NotFound),
    }));
    assert_eq!(passed, [true, false].repeat(6));
    assert_eq!((counted(&vm, "proxy"), counted(&vm, "module")), (12, 0));
    let line = "peergate: the proxy verifies RS256, RS384, RS512, ES256, ES384, ES512";
    assert_eq!(said(&vm), [(Level::Info, line.to_owned())]);
}

/// No such function, one that fails, and answers that are no message, or other ones than Envoy's.
#[test]
fn the_module_does_without_the_proxy() {
    type Broken = fn() -> Result<Vec<u8>, Status>;
    let broken: [Broken; 8] = [
        || Err(Status::NotFound),
        || Err(Status::BadArgument),
        || Err(Status::InternalFailure),
        || Ok(Vec::new()),
        || Ok(vec![0xff; 40]),
        || Ok(vec![0x08]),
        || Ok(b"\x08\x01".to_vec()),
        || Ok(b"\x12\x26Failed to verify digest. Error code: 0".to_vec()),
    ];
    for answer in broken {
        let (passed, vm) = through_the_module(Box::new(move |_, _| answer()));
        assert_eq!(passed, [true, false].repeat(6), "{:?}", answer());
        assert_eq!(
            (counted(&vm, "proxy"), counted(&vm, "module")),
            (0, 12),
            "{:?}",
            answer()
        );
        assert_eq!(said(&vm), [(Level::Warn, SLOWER.to_owned())], "{:?}", answer());
    }
}

/// It was right when it was tried, and fails from then on.
#[test]
fn the_module_goes_on_when_the_proxy_fails_later() {
    let mut calls = 0;
    let (passed, vm) = through_the_module(Box::new(move |_, arguments| {
        calls += 1;
        match calls {
            ..=12 => verify_signature(arguments),
            _ => Err(Status::InternalFailure),
        }
    }));
    assert_eq!(passed, [true, false].repeat(6));
    assert_eq!((counted(&vm, "proxy"), counted(&vm, "module")), (0, 12));
}

/// A second configuration in the same virtual machine does not try the proxy again.
#[test]
fn the_proxy_is_tried_once() {
    let (_, mut vm) = through_the_module(Box::new(|_, arguments| verify_signature(arguments)));
    let policy = json!({"version": 1, "inbound": {"rules": [{"name": "all", "accept": ["none"]}]}});
    vm.configure(policy.to_string()).unwrap();
    assert_eq!(said(&vm).len(), 1);
}
