//! `peergate explain POLICY [REQUEST]`: what would become of this request, and why?
//!
//! The answer is that of the filter's own code. It starts no proxy, fetches nothing and asks nobody: what it cannot know
//! it says.

use std::fmt;
use std::fs;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

use peergate_filter::answers::{Answers, Kind, Question};
use peergate_filter::config::{self, Loaded};
use peergate_filter::decision::{self, Means};
use peergate_filter::explain::report::Decision;
use peergate_filter::explain::request::{RawRequest, RequestError};
use peergate_filter::explain::{Report, Setting, answer, explain as explained};
use peergate_filter::http::{Headers, Request};
use peergate_filter::json;
use peergate_filter::jwks::{self, KeySet, KeySets};
use peergate_filter::role::{Place, Role, RoleSetting};
use peergate_filter::state::Memory;

use super::clock::Moment;
use super::role::RoleArgument;
use super::surroundings::Surroundings;
use super::{loaded, say};
use crate::cli::shown_path;

/// What `explain` takes.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The policy, as YAML or JSON
    policy: PathBuf,
    /// The request, as HTTP/1.1 text, as `curl -v` prints it, or with pseudo-headers; `-` is the standard input
    #[arg(default_value = "-")]
    request: PathBuf,
    #[command(flatten)]
    moment: Moment,
    /// What the filter does on the stream, where the policy says `role: auto`
    #[arg(long, value_enum)]
    role: Option<RoleArgument>,
    /// The proxy's node id, which in Istio tells gateways from sidecars
    #[arg(long, value_name = "ID", conflicts_with = "role")]
    node_id: Option<String>,
    /// The Envoy cluster that the route goes to: outbound rules ask for it
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// The SPIFFE ID in the certificate of who has connected
    #[arg(long, value_name = "ID")]
    principal: Option<String>,
    /// What a policy before this one has said of the caller
    #[arg(long, value_enum, value_name = "MARK")]
    decided_before: Option<Mark>,
    /// The keys of a provider that publishes its own: a file with a JWK Set; may be repeated
    #[arg(long, value_name = "PROVIDER=FILE")]
    jwks: Vec<String>,
    /// What the server of an introspection says of the token: a file with its JSON answer; may be repeated
    #[arg(long, value_name = "NAME=FILE")]
    introspected: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    surroundings: Surroundings,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Mark {
    Verified,
    Anonymous,
}

/// Explains: the report on the standard output and a status that says what becomes of the request.
pub(crate) fn explain(arguments: &Arguments) -> ExitCode {
    let loaded = match loaded::load(&arguments.policy, &arguments.surroundings) {
        Ok(loaded) => loaded,
        Err(failure) => return super::finish(Err::<String, _>(failure)),
    };
    match told(arguments, &loaded) {
        Ok((report, disagreement)) => {
            let text = if arguments.json {
                report.json()
            } else {
                report.to_string()
            };
            say(&mut io::stdout(), text.trim_end());
            if let Some(disagreement) = disagreement {
                let line = format!(
                    "warning: the steps say otherwise than the decision, which counts: {disagreement}\n  help: this is a \
                     fault of peergate; report it"
                );
                say(&mut io::stderr(), loaded.redactor.clean(line).as_str());
            }
            match report.decision {
                Decision::Forward | Decision::Publish => ExitCode::SUCCESS,
                Decision::Refuse => ExitCode::from(REFUSED),
                Decision::Wait => ExitCode::from(WAITS),
            }
        }
        Err(failure) => super::finish(Err::<String, _>(failure)),
    }
}

/// The report; and what the steps say otherwise than the decision, which is nothing.
fn told(arguments: &Arguments, loaded: &Loaded) -> Result<(Report, Option<String>), Failure> {
    let policy = &loaded.policy;
    let now = arguments.moment.time();
    let (role, because) = role(arguments, policy.role)?;
    let keys = key_sets(arguments, loaded)?;
    let raw = read_request(&arguments.request)?;
    let bytes = |text: &Option<String>| text.clone().map(String::into_bytes);
    let principal = bytes(&arguments.principal).filter(|_| policy.asks_for_principal(role));
    let mark = arguments.decided_before.map(|mark| match mark {
        Mark::Verified => b"verified".to_vec(),
        Mark::Anonymous => b"anonymous".to_vec(),
    });
    let request = Request {
        headers: Headers::new(raw.headers.iter().cloned()),
        cluster: bytes(&arguments.cluster),
        mark,
        principal,
        injected: None,
    };
    let memory = Memory::default();
    decision::prepare(policy, &memory);
    // Nothing that is made with it leaves the program.
    let answers = Answers::new(Box::new(Memory::default()), None, [0; 16], 1);
    answers.prepare();
    let mut means = Means::of(policy);
    means.tokens.keys = &keys;
    means.state = &memory;
    means.answers = Some(&answers);
    means.machine_key = Some([0; 16]);
    let explain = || explained(means, role, &request, request.cluster.as_deref(), now);
    let mut explanation = explain();
    if let Some(question) = explanation.question.take()
        && let Some(file) = introspected(arguments, &question)?
    {
        answer(&answers, &question, read(file)?, now);
        explanation = explain();
    }
    let notes = notes(arguments, loaded, role, &raw);
    let setting = Setting {
        policy,
        redactor: &loaded.redactor,
        request: &request,
        role,
        role_because: &because,
        now,
        notes: &notes,
    };
    Ok((Report::new(&explanation, setting), explanation.disagreement()))
}

/// The role, and why.
fn role(arguments: &Arguments, setting: RoleSetting) -> Result<(Role, String), Failure> {
    let asked = arguments.role.as_ref().map(|role| role.0);
    match (setting, asked) {
        (RoleSetting::Fixed(fixed), Some(asked)) if fixed != asked => Err(Failure::Role { fixed, asked }),
        (RoleSetting::Fixed(fixed), _) => Ok((fixed, "the policy says so".to_owned())),
        (RoleSetting::Auto, Some(asked)) => Ok((asked, "`--role` says so".to_owned())),
        (RoleSetting::Auto, None) => {
            let place = Place {
                node_id: arguments.node_id.clone().unwrap_or_default().into_bytes(),
                ..Place::default()
            };
            let because = match arguments.node_id {
                Some(_) => "by the node id, on a listener without a direction",
                None => "as on a listener without a direction; `--role` says where else it stands",
            };
            Ok((setting.role(&place), because.to_owned()))
        }
    }
}

/// The keys of the policy, and those that are given for providers with published ones.
fn key_sets(arguments: &Arguments, loaded: &Loaded) -> Result<KeySets, Failure> {
    let mut keys = loaded.policy.keys.written.clone();
    let providers = loaded
        .policy
        .inbound
        .iter()
        .flat_map(|inbound| &inbound.providers);
    for given in &arguments.jwks {
        let (name, file) = named_file(given, "`--jwks` takes PROVIDER=FILE")?;
        let index = providers.clone().position(|provider| provider.name == name);
        let index = index.ok_or_else(|| Failure::Provider(name.to_owned()))?;
        let unread = |error| Failure::KeySet(file.to_owned(), error);
        let document = json::object(&read(file)?, config::MAX_DEPTH);
        let document = document.map_err(|error| unread(KeySetError::Json(error)))?;
        let set = KeySet::from_jwks(&document).map_err(|error| unread(KeySetError::Set(error)))?;
        keys.set(index, Some(Rc::new(set)));
    }
    Ok(keys)
}

/// The file with the answer to a question, where it is of an introspection and one is given.
fn introspected<'a>(
    arguments: &'a Arguments,
    question: &Rc<dyn Question>,
) -> Result<Option<&'a Path>, Failure> {
    for given in &arguments.introspected {
        let (name, file) = named_file(given, "`--introspected` takes NAME=FILE")?;
        if question.kind() == Kind::Introspection && *name == *question.server() {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

fn named_file<'a>(given: &'a str, usage: &'static str) -> Result<(&'a str, &'a Path), Failure> {
    let (name, file) = given.split_once('=').ok_or(Failure::Usage(usage))?;
    Ok((name, Path::new(file)))
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| Failure::File(file.to_owned(), error))
}

fn read_request(file: &Path) -> Result<RawRequest, Failure> {
    let is_standard_input = file.as_os_str() == "-";
    let bytes = if is_standard_input {
        let mut input = io::stdin();
        if input.is_terminal() {
            return Err(Failure::Usage(
                "the request is read from the standard input: pipe it in, or name a file",
            ));
        }
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(file)
    };
    let name = if is_standard_input {
        Path::new("the standard input")
    } else {
        file
    };
    let bytes = bytes.map_err(|error| Failure::File(name.to_owned(), error))?;
    RawRequest::parse(&bytes).map_err(|error| Failure::Request(name.to_owned(), error))
}

/// What the program cannot know, or leaves out.
fn notes(arguments: &Arguments, loaded: &Loaded, role: Role, raw: &RawRequest) -> Vec<String> {
    let mut notes = Vec::new();
    if !raw.taken_off.is_empty() {
        let names = raw.taken_off.join("`, `");
        notes.push(format!(
            "Envoy takes `{names}` off before a filter sees the request"
        ));
    }
    let inbound = loaded.policy.inbound.as_ref().filter(|_| role.looks_inbound());
    if inbound.is_some_and(|inbound| inbound.totp.is_asked) {
        notes.push("nothing is remembered of codes here: one that was used before, or a caller that waits, is not known".to_owned());
    }
    let fetched = loaded
        .policy
        .keys
        .sources
        .iter()
        .map(|(_, source)| source.provider.as_str());
    let is_given = |name: &str| {
        arguments
            .jwks
            .iter()
            .any(|given| given.split_once('=').is_some_and(|(own, _)| own == name))
    };
    let fetched: Vec<&str> = fetched.filter(|name| !is_given(name)).collect();
    if !fetched.is_empty() && role.looks_inbound() {
        let names = fetched.join("`, `");
        notes.push(format!("the keys of `{names}` are fetched by the proxy, and not by this program: `--jwks PROVIDER=FILE` gives them"));
    }
    if arguments.principal.is_some() && !loaded.policy.asks_for_principal(role) {
        notes.push("no rule asks who has connected: `--principal` changes nothing".to_owned());
    }
    notes
}

/// Why nothing is explained. Nothing of a request is repeated.
enum Failure {
    Usage(&'static str),
    Role { fixed: Role, asked: Role },
    Provider(String),
    File(PathBuf, io::Error),
    Request(PathBuf, RequestError),
    KeySet(PathBuf, KeySetError),
}

impl super::Failure for Failure {
    fn is_usage(&self) -> bool {
        matches!(self, Self::Usage(_) | Self::Role { .. } | Self::Provider(_))
    }
}

enum KeySetError {
    Json(json::Error),
    Set(jwks::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => formatter.write_str(text),
            Self::Role { fixed, asked } => write!(
                formatter,
                "`--role {}`: the policy says `role: {}`",
                asked.as_str(),
                fixed.as_str()
            ),
            Self::Provider(name) => write!(formatter, "`--jwks`: the policy has no provider `{name}`"),
            Self::File(file, error) => write!(formatter, "{}: {error}", shown_path(file)),
            Self::Request(file, error) => write!(formatter, "{}: {error}", shown_path(file)),
            Self::KeySet(file, KeySetError::Json(error)) => {
                write!(
                    formatter,
                    "{}: is not accepted as JSON: {error}",
                    shown_path(file)
                )
            }
            Self::KeySet(file, KeySetError::Set(error)) => {
                write!(formatter, "{}: is no JWK Set: {error}", shown_path(file))
            }
        }
    }
}

/// A request that is refused: another status than that of a file that cannot be read, so that CI can tell.
const REFUSED: u8 = 3;
/// A request that waits for what the program does not ask for.
const WAITS: u8 = 4;

const EXAMPLES: &str = "\
Examples:
  peergate explain policy.yaml request.http
  printf 'GET / HTTP/1.1\\nHost: a.example\\n\\n' | peergate explain policy.yaml
  peergate explain policy.yaml request.http --at 2026-11-21T22:00:00Z --json";
