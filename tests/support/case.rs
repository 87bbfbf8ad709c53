//! Reads the table and fills in its tokens.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use peergate_filter::config::identity;

use super::tokens::keys;

/// One file of `tests/cases`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// What the file is about.
    #[allow(dead_code)]
    about: String,
    /// The policy of its cases.
    policy: Value,
    /// The virtual machine's environment.
    #[serde(default)]
    environment: BTreeMap<String, String>,
    /// The time, in seconds since 1970.
    #[serde(default = "default_now")]
    now: u64,
    /// Where the filter stands.
    #[serde(default)]
    place: Place,
    /// Tokens by name; `${name}` stands for one anywhere in a request.
    #[serde(default)]
    tokens: BTreeMap<String, Token>,
    cases: Vec<Case>,
}

/// Where the filter stands: properties that the proxy has.
#[derive(Deserialize, Default, Clone)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    /// Envoy's node id.
    #[serde(default)]
    pub(crate) node_id: String,
    /// `inbound` or `outbound`; neither is unspecified.
    pub(crate) direction: Option<String>,
    /// The cluster of the route.
    pub(crate) cluster: Option<String>,
    /// The cluster of the route once the path is another one.
    pub(crate) cluster_after_edits: Option<String>,
    /// Whether the filter stands among those of a cluster, where the upstream's address is known.
    #[serde(default)]
    pub(crate) within_cluster: bool,
    /// What an inbound decision before this one left on the stream: `verified` or `anonymous`.
    pub(crate) mark: Option<String>,
    /// Further properties, by their names with dots; `\xNN` is that byte.
    #[serde(default)]
    pub(crate) properties: BTreeMap<String, String>,
    /// What an outbound decision before this one has put on the stream: a rule, then a line for each name.
    pub(crate) injected: Option<String>,
}

impl Place {
    /// One of the further properties.
    pub(crate) fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        self.properties.get(&path.join(".")).map(|value| bytes(value))
    }
}

/// A token to sign.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    /// The algorithm it is signed with; the header says the same unless it says otherwise.
    signed: String,
    /// Whether the other issuer's key signs.
    #[serde(default)]
    by_other: bool,
    /// Members of the header beside `alg` and `kid`, or instead of them; `null` leaves one away.
    #[serde(default)]
    header: Map<String, Value>,
    /// The claims, beside the usual ones; `null` leaves one away.
    #[serde(default)]
    claims: Map<String, Value>,
    /// The header or payload as text, for what JSON libraries cannot write.
    raw_header: Option<String>,
    raw_payload: Option<String>,
    /// The secret of HS*.
    #[serde(default)]
    secret: String,
}

/// One request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Members of the policy that differ from the file's, merged into it.
    pub(crate) policy: Option<Value>,
    pub(crate) now: Option<u64>,
    pub(crate) place: Option<Place>,
    pub(crate) environment: Option<BTreeMap<String, String>>,
    /// What was sent before, to the same proxy.
    #[serde(default)]
    pub(crate) before: Vec<Before>,
    pub(crate) request: Request,
    /// Headers of the upstream's answer, as `name: value` lines; `:status` is 200 unless it is there.
    #[serde(default)]
    pub(crate) answered: Vec<String>,
    /// Its body: a text, or JSON.
    pub(crate) answered_body: Option<Value>,
    /// What the router has put into `x-envoy-original-path` when the request is logged.
    pub(crate) original_path_at_log: Option<String>,
    pub(crate) expect: Expect,
}

/// A request that was sent before the one of the case.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Before {
    pub(crate) request: Request,
    /// When it was sent, where that is another time.
    pub(crate) now: Option<u64>,
    /// How often.
    #[serde(default = "once")]
    pub(crate) times: u32,
    /// What became of it: the reason.
    pub(crate) reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    #[serde(default = "default_method")]
    pub(crate) method: String,
    /// `null` is a request without a path.
    #[serde(default = "default_path")]
    pub(crate) path: Option<String>,
    #[serde(default = "default_host")]
    pub(crate) host: String,
    /// `name: value` lines; a name may come more than once. `\xNN` is that byte.
    #[serde(default)]
    pub(crate) headers: Vec<String>,
    /// The body: a text, or JSON.
    pub(crate) body: Option<Value>,
}

/// What must come of a request. What is not written is not looked at, but for `status`: without one the request must
/// be forwarded.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    pub(crate) status: Option<u16>,
    pub(crate) grpc_status: Option<u8>,
    /// The reason in filter state; `ok` where forwarded.
    pub(crate) reason: Option<String>,
    /// The rule in filter state.
    pub(crate) rule: Option<String>,
    /// Headers of the answer; `null` must be absent.
    #[serde(default)]
    pub(crate) answer: BTreeMap<String, Option<String>>,
    /// The body, byte by byte.
    pub(crate) body: Option<String>,
    /// Headers as the upstream sees them; `null` must be absent.
    #[serde(default)]
    pub(crate) upstream: BTreeMap<String, Option<String>>,
    /// What the assertion in `x-agent-assertion` says, but for its `jti`; `by` is its `kid`.
    pub(crate) asserted: Option<Value>,
    /// Headers of the upstream's answer as the caller sees them; `null` must be absent.
    #[serde(default)]
    pub(crate) returned: BTreeMap<String, Option<String>>,
    /// The body of the upstream's answer as the caller sees it: a text, byte by byte, or what it says as JSON.
    pub(crate) returned_body: Option<Value>,
    /// Filter state; `null` must be absent.
    #[serde(default)]
    pub(crate) state: BTreeMap<String, Option<String>>,
    /// A part of a log line.
    pub(crate) log: Option<String>,
    /// Headers of the request as an access log prints them; `null` must be absent.
    #[serde(default)]
    pub(crate) logged: BTreeMap<String, Option<String>>,
    /// The path of the request as an access log prints it.
    pub(crate) logged_path: Option<String>,
    /// Counters that went up by one.
    #[serde(default)]
    pub(crate) counters: Vec<String>,
}

/// A case with everything filled in.
pub(crate) struct Prepared {
    /// `file: name`.
    pub(crate) title: String,
    pub(crate) policy: Value,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) now: u64,
    pub(crate) place: Place,
    /// What was sent before.
    pub(crate) before: Vec<Sent>,
    /// Pseudo-headers first.
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// Headers of the upstream's answer.
    pub(crate) answered: Vec<(Vec<u8>, Vec<u8>)>,
    /// Its body.
    pub(crate) answered_body: Vec<u8>,
    pub(crate) original_path_at_log: Option<String>,
    pub(crate) expect: Expect,
    /// What no log may show.
    pub(crate) secrets: Vec<String>,
}

/// A request that was sent, so often, and what became of it each time.
pub(crate) struct Sent {
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) now: u64,
    pub(crate) times: u32,
    pub(crate) reason: String,
}

/// Every case of every file, in the order of names and lines.
pub(crate) fn all() -> Vec<Prepared> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files.iter().flat_map(|file| read(file)).collect()
}

fn read(path: &Path) -> Vec<Prepared> {
    let text = std::fs::read_to_string(path).unwrap();
    let file: File =
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
    let File {
        policy,
        environment,
        now,
        place,
        tokens,
        cases,
        ..
    } = file;
    cases
        .into_iter()
        .map(|case| {
            let now = case.now.unwrap_or(now);
            // Only what the request names: an RSA signature takes its time.
            let tokens: BTreeMap<&str, String> = tokens
                .iter()
                .filter(|(name, _)| {
                    let mut requests = case.before.iter().map(|before| &before.request);
                    case.request.names(name) || requests.any(|request| request.names(name))
                })
                .map(|(name, token)| (name.as_str(), token.signed(now)))
                .collect();
            let environment = case.environment.unwrap_or_else(|| environment.clone());
            let mut policy = policy.clone();
            merge(&mut policy, case.policy.unwrap_or_default());
            insert_key_sets(&mut policy);
            let body = content(case.request.body.as_ref());
            let headers = case.request.into_headers(&tokens);
            let sent = |before: Before| Sent {
                headers: before.request.into_headers(&tokens),
                now: before.now.unwrap_or(now),
                times: before.times,
                reason: before.reason,
            };
            let before: Vec<Sent> = case.before.into_iter().map(sent).collect();
            let mut expect = case.expect;
            let identity = identity(policy.to_string().as_bytes());
            let mut place = case.place.unwrap_or_else(|| place.clone());
            let injected = expect.state.get_mut("peergate.injected").and_then(Option::as_mut);
            for text in place.injected.iter_mut().chain(injected) {
                *text = text.replace("${policy}", &identity);
            }
            for value in expect.upstream.values_mut().flatten() {
                *value = filled(value, &tokens);
            }
            let mut secrets: Vec<String> = tokens.into_values().filter(|token| token.len() > 20).collect();
            secrets.extend(environment.values().filter(|value| value.len() > 8).cloned());
            remember("case table", &secrets);
            Prepared {
                title: format!("{stem}: {}", case.name),
                policy,
                environment,
                now,
                place,
                before,
                headers,
                body,
                answered: answer(&case.answered),
                answered_body: content(case.answered_body.as_ref()),
                original_path_at_log: case.original_path_at_log,
                expect,
                secrets,
            }
        })
        .collect()
}

/// Has the check after the whole suite look for these in everything that was printed (`tests/secrets_check.py`).
pub(crate) fn remember(suite: &str, secrets: &[String]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-output/secrets");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{}-{}.txt", suite.replace(' ', "-"), std::process::id()));
    let mut register = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .unwrap();
    let lines: String = secrets
        .iter()
        .map(|secret| format!("a secret of the {suite}\t{secret}\n"))
        .collect();
    std::io::Write::write_all(&mut register, lines.as_bytes()).unwrap();
}

impl Token {
    fn signed(&self, now: u64) -> String {
        let key = match self.signed.as_str() {
            "ES256" => "p256",
            "ES384" => "p384",
            "ES512" => "p521",
            "ES256K" => "secp256k1",
            "EdDSA" | "Ed25519" => "ed25519",
            _ => "rsa",
        };
        let mut header = serde_json::json!({"alg": self.signed, "kid": key});
        merge(&mut header, Value::Object(self.header.clone()));
        let mut claims = serde_json::json!({
            "iss": "https://issuer.example", "aud": "agents", "sub": "mrpink", "iat": now - 10, "exp": now + 300
        });
        merge(&mut claims, Value::Object(self.claims.clone()));
        let header = self.raw_header.clone().unwrap_or_else(|| header.to_string());
        let claims = self.raw_payload.clone().unwrap_or_else(|| claims.to_string());
        keys().sign(&self.signed, self.by_other, &header, &claims, &self.secret)
    }
}

impl Request {
    fn names(&self, token: &str) -> bool {
        let placeholder = format!("${{{token}}}");
        let mut texts = self.headers.iter().chain(&self.path).chain([&self.host]);
        texts.any(|text| text.contains(&placeholder))
    }

    fn into_headers(self, tokens: &BTreeMap<&str, String>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let fill = |text: &str| {
            let filled = filled(text, tokens);
            assert!(!filled.contains("${"), "no such token: {filled}");
            bytes(&filled)
        };
        let mut headers = vec![(b":method".to_vec(), self.method.into_bytes())];
        headers.push((b":scheme".to_vec(), b"http".to_vec()));
        headers.push((b":authority".to_vec(), fill(&self.host)));
        if let Some(path) = &self.path {
            headers.push((b":path".to_vec(), fill(path)));
        }
        headers.extend(self.headers.iter().map(|line| header(line, fill)));
        headers
    }
}

/// The headers of an answer.
fn answer(lines: &[String]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut headers: Vec<_> = lines.iter().map(|line| header(line, bytes)).collect();
    if !headers.iter().any(|(name, _)| name == b":status") {
        headers.insert(0, (b":status".to_vec(), b"200".to_vec()));
    }
    headers
}

/// A body: a text as it is, or JSON.
fn content(value: Option<&Value>) -> Vec<u8> {
    match value {
        None => Vec::new(),
        Some(Value::String(text)) => bytes(text),
        Some(value) => value.to_string().into_bytes(),
    }
}

/// A header out of a `name: value` line.
fn header(line: &str, fill: impl Fn(&str) -> Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let start = usize::from(line.starts_with(':'));
    let (name, value) = line[start..]
        .find(':')
        .map(|colon| (&line[..start + colon], &line[start + colon + 1..]))
        .unwrap_or_else(|| panic!("no header line: {line}"));
    let value = fill(value.strip_prefix(' ').unwrap_or(value));
    (name.trim().as_bytes().to_vec(), value)
}

/// A text with its tokens filled in.
fn filled(text: &str, tokens: &BTreeMap<&str, String>) -> String {
    tokens.iter().fold(text.to_owned(), |text, (name, token)| {
        text.replace(&format!("${{{name}}}"), token)
    })
}

/// `\xNN` in a text is that byte.
fn bytes(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend(&part.as_bytes()[2..]);
    }
    bytes
}

/// Members of the second object are put into the first, at every depth; `null` takes one away.
pub(crate) fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                match value {
                    Value::Null => {
                        into.remove(&name);
                    }
                    value if value.is_object() && into.get(&name).is_some_and(Value::is_object) => {
                        merge(into.get_mut(&name).unwrap(), value);
                    }
                    value => {
                        into.insert(name, value);
                    }
                }
            }
        }
        (_, Value::Null) => {}
        (into, from) => *into = from,
    }
}

/// `inline: keys` and `inline: other keys` stand for the test keys' sets.
fn insert_key_sets(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match (name.as_str(), member.as_str()) {
                    ("inline", Some("keys")) => *member = keys().jwks(),
                    ("inline", Some("other keys")) => *member = keys().other_jwks(),
                    _ => insert_key_sets(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(insert_key_sets),
        _ => {}
    }
}

/// A step of 30 seconds begins here, and RFC 6238 appendix B knows its code: 005924.
fn default_now() -> u64 {
    1_234_567_890
}

fn once() -> u32 {
    1
}

fn default_method() -> String {
    "GET".into()
}

fn default_path() -> Option<String> {
    Some("/".into())
}

fn default_host() -> String {
    "agent.example".into()
}
