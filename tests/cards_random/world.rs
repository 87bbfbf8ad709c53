//! A policy by chance, a caller that has every credential there is, and what is decided of its messages.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use fastrand::Rng;
use peergate_filter::answers::Answers;
use peergate_filter::callout::{Answer, Body};
use peergate_filter::config::{self, Document, Environment};
use peergate_filter::decision::{self, KnownTokens, Means, Step, Wish};
use peergate_filter::http::{Headers, Request};
use peergate_filter::jwks::{KeySet, KeySets, NoHostSignatures};
use peergate_filter::jwt;
use peergate_filter::policy::{Inbound, Policy};
use peergate_filter::role::Role;
use peergate_filter::state::{Glance, Memory};
use peergate_filter::time::UnixTime;
use peergate_filter::totp::{self, CodeParameters, Seed};
use serde_json::{Map, Value, json};

use crate::reader::{Asked, Scheme};

/// A policy, and all that its decisions need.
pub(crate) struct World {
    pub(crate) document: Value,
    policy: Policy,
    keys: KeySets,
    known: KnownTokens,
    memory: Memory,
    answers: Answers,
    tokens: RefCell<HashMap<String, String>>,
}

/// Where a message is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) authority: String,
    pub(crate) path: String,
}

/// A credential on a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Header(String, String),
    Cookie(String, String),
    Query(String, String),
    Certificate,
}

/// A kind of credential that the caller has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Jwt(&'static str),
    Opaque,
    Static,
    ApiKey,
    Mtls,
}

pub(crate) const KINDS: [Kind; 8] = [
    Kind::Jwt("written"),
    Kind::Jwt("found"),
    Kind::Jwt("cookie"),
    Kind::Jwt("scheme"),
    Kind::Opaque,
    Kind::Static,
    Kind::ApiKey,
    Kind::Mtls,
];

impl World {
    /// A policy whose rules match some of these.
    pub(crate) fn new(random: &mut Rng) -> Self {
        let document = document(random);
        let read = Document::from_json(document.to_string().as_bytes()).unwrap();
        let policy = match config::load(&read, &Environment::default()) {
            Ok(loaded) => loaded.policy,
            Err(errors) => panic!("{document}\n{errors}"),
        };
        // What would be fetched.
        let written = KeySet::from_jwks(jwks().as_object().unwrap()).unwrap();
        let written = Rc::new(written);
        let inbound = policy.inbound.as_ref().unwrap();
        let keys = KeySets::new(inbound.providers.iter().map(|_| Some(Rc::clone(&written))));
        let memory = Memory::default();
        decision::prepare(&policy, &memory);
        Self {
            document,
            known: KnownTokens::new(&policy, [7; 16]),
            policy,
            keys,
            memory,
            answers: Answers::new(Box::new(Memory::default()), None, [1; 16], 10),
            tokens: RefCell::default(),
        }
    }

    pub(crate) fn inbound(&self) -> &Inbound {
        self.policy.inbound.as_ref().unwrap()
    }

    /// The host that messages go to: a proxy before this one may have changed it.
    pub(crate) fn host(&self, named: &str) -> String {
        let host = self.document["inbound"]["agent_card"]["host"].as_str();
        host.unwrap_or(named).to_owned()
    }

    fn totp_header(&self) -> &str {
        self.document["inbound"]["totp"]["header"].as_str().unwrap()
    }

    fn has_provider(&self, name: &str) -> bool {
        self.document["inbound"]["providers"].get(name).is_some()
    }

    /// The code of the caller, where codes are looked for.
    pub(crate) fn code(&self) -> Piece {
        let seed = Seed::parse(SEED).unwrap();
        let code = totp::code_at(&seed, &CodeParameters::DEFAULT, NOW);
        let code = String::from_utf8(code.expose().to_vec()).unwrap();
        Piece::Header(self.totp_header().to_owned(), code)
    }

    /// A credential of a kind, with these scopes where it has scopes of its own. `None`: the policy knows no such.
    pub(crate) fn credential(&self, kind: Kind, scopes: &[String]) -> Option<Piece> {
        let authorization = |scheme: &str, token: &str| {
            Piece::Header("authorization".to_owned(), format!("{scheme} {token}"))
        };
        Some(match kind {
            Kind::Jwt(provider) if !self.has_provider(provider) => return None,
            Kind::Jwt("cookie") => Piece::Cookie("agent_token".to_owned(), self.token("cookie", scopes)),
            Kind::Jwt("scheme") => authorization("Token", &self.token("scheme", scopes)),
            Kind::Jwt(provider) => authorization("Bearer", &self.token(provider, scopes)),
            Kind::Opaque => authorization("Bearer", &format!("opaque.{}", scopes.join("."))),
            Kind::Static => authorization("Bearer", STATIC_TOKEN),
            Kind::ApiKey => {
                let place = &self.document["inbound"]["api_key"]["from"][0];
                let (place, name) = place.as_object().unwrap().iter().next().unwrap();
                let (name, key) = (name.as_str().unwrap().to_owned(), API_KEY.to_owned());
                match place.as_str() {
                    "header" => Piece::Header(name, key),
                    "cookie" => Piece::Cookie(name, key),
                    _ => Piece::Query(name, key),
                }
            }
            Kind::Mtls => Piece::Certificate,
        })
    }

    /// The kinds of credentials that a scheme may mean. `None`: it is not the filter's.
    pub(crate) fn kinds(&self, scheme: &Scheme) -> Option<Vec<Kind>> {
        let is_known = |kind: &Kind| self.credential(*kind, &[]).is_some();
        let kinds: Vec<Kind> = match scheme {
            Scheme::Http { scheme, format } => match (scheme.as_str(), format.as_deref()) {
                ("bearer", Some("JWT")) => vec![Kind::Jwt("written"), Kind::Jwt("found")],
                ("bearer", None) => vec![Kind::Static, Kind::Opaque],
                ("token", None) => vec![Kind::Jwt("scheme")],
                other => panic!("{other:?}"),
            },
            Scheme::ApiKey { place, name } => {
                let is_meant = |piece: Piece| match (place.as_str(), piece) {
                    ("header", Piece::Header(own, _)) => own.eq_ignore_ascii_case(name),
                    ("cookie", Piece::Cookie(own, _)) | ("query", Piece::Query(own, _)) => own == *name,
                    _ => false,
                };
                if is_meant(self.code()) {
                    return Some(Vec::new());
                }
                let kinds = [Kind::ApiKey, Kind::Jwt("cookie")].into_iter();
                let kinds: Vec<Kind> = kinds
                    .filter(|kind| self.credential(*kind, &[]).is_some_and(is_meant))
                    .collect();
                if kinds.is_empty() {
                    return None;
                }
                kinds
            }
            Scheme::OpenIdConnect { url } => {
                let is_its_own =
                    |name: &&&str| *url == format!("{}/.well-known/openid-configuration", issuer(name));
                vec![Kind::Jwt(PROVIDERS.iter().find(is_its_own)?)]
            }
            Scheme::OAuth2 { token_url, .. } if token_url == TOKEN_URL => vec![Kind::Jwt("found")],
            Scheme::OAuth2 { .. } => return None,
            Scheme::MutualTls => vec![Kind::Mtls],
            Scheme::Unknown(definition) => panic!("{definition}"),
        };
        let kinds: Vec<Kind> = kinds.into_iter().filter(is_known).collect();
        assert!(!kinds.is_empty(), "{scheme:?} {}", self.document);
        Some(kinds)
    }

    /// All that may be meant by a credential that a card asks for. Empty: it is not the filter's, and not sent to it.
    pub(crate) fn pieces(&self, asked: &Asked) -> Vec<Piece> {
        match self.kinds(&asked.scheme) {
            None => Vec::new(),
            Some(kinds) if kinds.is_empty() => vec![self.code()],
            Some(kinds) => kinds
                .into_iter()
                .filter_map(|kind| self.credential(kind, &asked.scopes))
                .collect(),
        }
    }

    fn token(&self, provider: &str, scopes: &[String]) -> String {
        let scopes = scopes.join(" ");
        let mut tokens = self.tokens.borrow_mut();
        let token = tokens.entry(format!("{provider} {scopes}")).or_insert_with(|| {
            let claims = json!({
                "iss": issuer(provider), "aud": "agents", "sub": "pink", "scope": scopes, "role": "agent",
                "exp": NOW_SECONDS + 600,
            });
            let header = json!({"alg": "EdDSA", "kid": "k"}).to_string();
            let [header, claims] = [header, claims.to_string()].map(|part| URL_SAFE_NO_PAD.encode(part));
            let input = format!("{header}.{claims}");
            let signature = signing_key().sign(input.as_bytes()).to_bytes();
            format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
        });
        token.clone()
    }

    /// Whether a message with these credentials is let in, and why not.
    pub(crate) fn lets_in(
        &self,
        target: &Target,
        pieces: &[Piece],
        is_gold: bool,
    ) -> Result<(), &'static str> {
        let request = message(target, pieces, is_gold);
        let state = Glance(&self.memory);
        let means = Means {
            tokens: jwt::Means {
                keys: &self.keys,
                signatures: &NoHostSignatures,
            },
            known: Some(&self.known),
            state: &state,
            answers: Some(&self.answers),
            ..Means::of(&self.policy)
        };
        let mut decided = decision::decide(means, Role::Inbound, &request, NOW);
        loop {
            let reason = decided.records.last().map(|record| record.outcome.reason());
            match decided.step {
                Step::Forward(..) => return Ok(()),
                Step::Reply(_) => return Err(reason.unwrap()),
                Step::Recheck(..) => panic!("inbound only"),
                Step::Wait(pending) => {
                    let Wish::Answer(question) = pending.wish().clone() else {
                        panic!("all keys are there")
                    };
                    self.answers
                        .want(&question, UnixTime::from_seconds(NOW_SECONDS + 5));
                    let turn = self.answers.tick(NOW, &[2; 48]);
                    assert_eq!(turn.callouts.len(), 1);
                    for (id, callout) in turn.callouts {
                        self.answers
                            .answered(&id, introspected(callout.body.expose()), NOW);
                    }
                    let (_, held) = pending.hold();
                    decided = decision::decide_on(means, Role::Inbound, &request, held, NOW);
                }
            }
        }
    }
}

/// What the server of opaque tokens says of one: these are named after their scopes.
fn introspected(form: &[u8]) -> Answer {
    let token = form_urlencoded::parse(form)
        .find(|(name, _)| name == "token")
        .unwrap()
        .1;
    let document = match token.strip_prefix("opaque.") {
        Some(scopes) => {
            json!({"active": true, "sub": "pink", "aud": "agents", "scope": scopes.replace('.', " "), "role": "agent"})
        }
        None => json!({"active": false}),
    };
    let status = (b":status".to_vec(), b"200".to_vec());
    let kind = (b"content-type".to_vec(), b"application/json".to_vec());
    Answer::Received {
        headers: Headers::new([status, kind]),
        body: Body::Whole(document.to_string().into_bytes()),
    }
}

fn message(target: &Target, pieces: &[Piece], is_gold: bool) -> Request {
    let mut path = target.path.clone();
    let mut headers = vec![
        (":method".to_owned(), "POST".to_owned()),
        (":authority".to_owned(), target.authority.clone()),
    ];
    if is_gold {
        headers.push(("x-tier".to_owned(), "gold".to_owned()));
    }
    let mut principal = None;
    for piece in pieces {
        match piece.clone() {
            Piece::Header(name, value) => headers.push((name, value)),
            Piece::Cookie(name, value) => headers.push(("cookie".to_owned(), format!("{name}={value}"))),
            Piece::Query(name, value) => path = format!("{path}?{name}={value}"),
            Piece::Certificate => principal = Some(PRINCIPAL.as_bytes().to_vec()),
        }
    }
    headers.push((":path".to_owned(), path));
    let bytes = headers
        .into_iter()
        .map(|(name, value)| (name.into_bytes(), value.into_bytes()));
    Request {
        headers: Headers::new(bytes),
        principal,
        ..Request::default()
    }
}

fn document(random: &mut Rng) -> Value {
    let mut providers = Map::new();
    for name in PROVIDERS {
        if random.u8(..3) > 0 {
            providers.insert(name.to_owned(), provider(name));
        }
    }
    if providers.is_empty() {
        providers.insert("written".to_owned(), provider("written"));
    }
    let names: Vec<String> = providers.keys().cloned().collect();
    let mut tokens: Map<String, Value> = names.iter().map(|name| (name.clone(), json!("pink"))).collect();
    tokens.insert("opaque".to_owned(), json!("pink"));
    let count = random.usize(1..6);
    let mut rules: Vec<Value> = (0..count).map(|_| rule(&names, random)).collect();
    if random.u8(..4) > 0 {
        let mut last = rule(&names, random);
        last.as_object_mut().unwrap().remove("match");
        rules.push(last);
    }
    let place = [
        json!({"header": "x-api-key"}),
        json!({"header": "X-Key"}),
        json!({"cookie": "key"}),
        json!({"insecure_param": "key"}),
    ];
    let mut card = json!({"merge": if random.bool() { "and" } else { "replace" }});
    if random.u8(..5) == 0 {
        card["host"] = json!(host(random));
    }
    if providers.contains_key("found") && random.bool() {
        card["oauth2"] = json!({"found": {"token_url": TOKEN_URL, "scopes": ["a", "b", "c"]}});
    }
    let mut policy = json!({"version": 1, "role": "inbound", "inbound": {
        "providers": providers,
        "introspection": {"opaque": {
            "endpoint": {"uri": "https://sts.example/introspect", "cluster": "sts"},
            "client": "sts", "audiences": ["agents"],
        }},
        "peers": {"pink": {
            "tokens": tokens, "api_keys": [{"inline": API_KEY}], "bearer_tokens": [{"inline": STATIC_TOKEN}],
            "principals": [PRINCIPAL], "totp_seeds": [{"inline": SEED}], "scopes": ["a", "b", "c"],
        }},
        "api_key": {"from": [random.choice(place).unwrap()]},
        "mtls": {"listener_validates_client_certificates": true},
        "totp": {
            "header": random.choice(["x-totp", "X-Code"]).unwrap(),
            "replay": random.choice(["allow", "one_time"]).unwrap(),
        },
        "rules": rules,
        "agent_card": card,
    }});
    policy["outbound"]["oauth_clients"] = json!({"sts": {
        "token_endpoint": {"uri": "https://sts.example/token", "cluster": "sts"},
        "client_id": "gateway",
        "auth": {"method": "client_secret_post", "secret": {"inline": "client-secret-0123456789"}},
    }});
    policy
}

fn provider(name: &str) -> Value {
    let mut provider = json!({"issuer": issuer(name), "audiences": ["agents"], "jwks": {"inline": jwks()}});
    match name {
        "found" => provider["jwks"] = json!({"discovery": {"cluster": "idp"}}),
        "cookie" => {
            provider["from_headers"] = json!([]);
            provider["from_cookies"] = json!(["agent_token"]);
        }
        "scheme" => {
            provider["from_headers"] = json!([{"name": "authorization", "value_prefix": "Token "}]);
        }
        _ => {}
    }
    provider
}

fn rule(providers: &[String], random: &mut Rng) -> Value {
    let mut rule = json!({"match": condition(random)});
    if random.u8(..4) == 0 {
        rule["enforcement"] = json!("shadow");
    }
    match random.u8(..12) {
        0 => {
            rule["deny"] = json!(true);
            return rule;
        }
        1 => {
            rule["accept"] = json!(["none"]);
            return rule;
        }
        _ => {}
    }
    let mut accept: Vec<String> = Vec::new();
    match random.u8(..4) {
        0 | 1 => accept.push("jwt".to_owned()),
        2 => {
            let named = random.choose_multiple(providers, random.clone().usize(1..=providers.len()));
            accept.extend(named.into_iter().map(|name| format!("jwt:{name}")));
        }
        _ => {}
    }
    for kind in ["introspection:opaque", "api_key", "bearer_token", "mtls"] {
        if random.u8(..3) == 0 {
            accept.push(kind.to_owned());
        }
    }
    if accept.is_empty() {
        accept.push("api_key".to_owned());
    }
    // What is required cannot hold for nobody.
    if random.u8(..8) == 0 {
        accept.push("none".to_owned());
        rule["accept"] = json!(accept);
        return rule;
    }
    rule["accept"] = json!(accept);
    let mut require = Map::new();
    if random.u8(..5) < 2 {
        require.insert("totp".to_owned(), json!(true));
    }
    if random.u8(..5) < 2 {
        let scopes = random.choose_multiple(["a", "b", "c"], random.clone().usize(1..3));
        require.insert("scopes".to_owned(), json!(scopes));
    }
    if random.u8(..5) == 0 {
        require.insert("peers".to_owned(), json!(["pink"]));
    }
    if !require.is_empty() {
        rule["require"] = Value::Object(require);
    }
    rule
}

fn condition(random: &mut Rng) -> Value {
    let mut condition = Map::new();
    if random.u8(..3) == 0 {
        let hosts = random.choose_multiple(["a.example", "b.example", "*.example"], 1);
        condition.insert("hosts".to_owned(), json!(hosts));
    }
    if random.u8(..3) > 0 {
        let (member, paths): (_, &[&str]) = match random.u8(..3) {
            0 => ("paths", &["/a2a", "/", "/rest/message:send", "/message:send"]),
            1 => (
                "path_prefixes",
                &[
                    "/a2a",
                    "/",
                    "/rest",
                    "/v1",
                    "/lf.a2a.v1.A2AService",
                    "/a2a.v1.A2AService",
                ],
            ),
            _ => (
                "path_templates",
                &[
                    "/rest/**",
                    "/{a}",
                    "/rest/{tenant}/message:send",
                    "/{service}/SendMessage",
                ],
            ),
        };
        condition.insert(member.to_owned(), json!(random.choose_multiple(paths, 2)));
    }
    if random.u8(..3) == 0 {
        let methods = random.choice([json!(["POST"]), json!(["GET"]), json!(["GET", "POST"])]);
        condition.insert("methods".to_owned(), methods.unwrap());
    }
    if random.u8(..10) == 0 {
        condition.insert("headers".to_owned(), json!({"x-tier": "gold"}));
    }
    Value::Object(condition)
}

pub(crate) fn host(random: &mut Rng) -> &'static str {
    random
        .choice(["a.example", "b.example", "c.b.example", "other"])
        .unwrap()
}

fn issuer(provider: &str) -> String {
    format!("https://{provider}.idp.example")
}

fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[5; 32])
}

fn jwks() -> Value {
    let x = URL_SAFE_NO_PAD.encode(signing_key().verifying_key().as_bytes());
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x}]})
}

const PROVIDERS: [&str; 4] = ["written", "found", "cookie", "scheme"];
const TOKEN_URL: &str = "https://found.idp.example/token";
const API_KEY: &str = "agent-key-0123456789";
const STATIC_TOKEN: &str = "static-token-0123456789";
const PRINCIPAL: &str = "spiffe://mesh.example/ns/agents/sa/pink";
const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const NOW_SECONDS: u64 = 1_800_000_000;
const NOW: UnixTime = UnixTime::from_seconds(NOW_SECONDS);
