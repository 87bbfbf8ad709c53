//! `render istio-wasmplugin` and `render istio-trafficextension`: what Istio is given, and what the policy needs beside it.

mod cautions;
mod closing;
mod documents;
mod hosts;
mod refusals;
mod second_hop;
mod target;

pub use self::cautions::{IstioCaution, istio_cautions};
pub use self::target::Target;

use super::error::RenderError;
use super::hops;
use super::named::{Addresses, Subject, entries};
use super::pair::{Gateway, sidecar_policy};
use super::yaml::{comment, document, fill, scalar};
use crate::config::{Document, Environment};
use crate::role::{Role, RoleSetting};

/// The resource that carries the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of every release.
    WasmPlugin,
    /// Since 1.30, in its place.
    TrafficExtension,
}

/// What `mode` of a `match` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// What comes in at a sidecar.
    Server,
    /// What goes out of a sidecar, and all that passes a gateway.
    Client,
    /// Both.
    ClientAndServer,
}

/// What `phase` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before Istio's own authentication.
    Authn,
    /// Between Istio's authentication and authorization.
    Authz,
    /// Behind both.
    Stats,
}

/// What the policy does not say.
#[derive(Debug, Clone)]
pub struct IstioOptions {
    /// The resource.
    pub kind: Kind,
    /// Its name, and the beginning of the others'.
    pub name: String,
    /// Whom it is for.
    pub target: Target,
    /// The module: `oci://registry.example/peergate@sha256:…`.
    pub image: String,
    /// The digest, where the image does not name it.
    pub sha256: Option<String>,
    /// A Secret that the image is pulled with.
    pub pull_secret: Option<String>,
    /// When it runs.
    pub phase: Phase,
    /// Its place within the phase.
    pub priority: Option<i32>,
    /// On which side it runs.
    pub mode: Option<Mode>,
    /// Keys go into the query on the first hop.
    pub simple_query: bool,
    /// The Secret that variables come from.
    pub secret: String,
    /// Where clusters lead.
    pub addresses: Addresses,
    /// Whom the sidecars behind this gateway belong to, and where they find its keys.
    pub pair: Option<(Target, Gateway)>,
    /// Istio's: a resource there without a selector is for the whole mesh.
    pub root_namespace: String,
    /// What the names of the cluster's services end with, behind `.svc.`.
    pub cluster_domain: String,
    /// Secrets may be written down.
    pub allows_inline_secrets: bool,
}

/// The manifests, one after the other.
///
/// # Errors
/// [`RenderError`].
pub fn istio(subject: &Subject<'_>, options: &IstioOptions) -> Result<String, RenderError> {
    let is_hopping = refusals::hops(subject, options)?;
    let split =
        is_hopping.then(|| hops::split(subject.document, second_hop::first_name, second_hop::second_name));
    let policy = split.as_ref().map_or(subject.document, |hops| &hops.first);
    let about = match &options.pair {
        Some(_) => "The gateway: it asks who is calling, and signs what it found.",
        None => "Made by `peergate render`: apply all of it (kubectl apply -f FILE).",
    };
    let mut text = plugin(subject, policy, options, &options.target, about);
    if let Some((target, gateway)) = &options.pair {
        text.push_str(&sidecar(subject, options, target, gateway)?);
    }
    let with_key: Vec<String> = match &split {
        Some(_) => hops::with_key(subject.document).into_iter().collect(),
        None => Vec::new(),
    };
    text.push_str(&hosts::render(subject, options, &with_key));
    if let Some(hops) = &split {
        text.push_str(&second_hop::render(subject, &hops.second, options, &with_key)?);
    }
    documents::refuse_twins(&text)?;
    text.push_str(&closing::render(subject, options));
    Ok(text)
}

fn is_gateway(subject: &Subject<'_>, options: &IstioOptions) -> bool {
    subject.loaded.policy.role == RoleSetting::Fixed(Role::Gateway)
        || options.pair.is_some()
        || options.target.is_gateway()
}

fn plugin(
    subject: &Subject<'_>,
    policy: &Document,
    options: &IstioOptions,
    target: &Target,
    about: &str,
) -> String {
    let is_gateway = is_gateway(subject, options) && *target == options.target;
    let (kind, wasm) = (options.kind, wasm(subject, policy, options));
    let wasm = match kind {
        Kind::WasmPlugin => wasm,
        Kind::TrafficExtension => fill("wasm:\n  {{wasm}}\n", &[("wasm", &wasm)]),
    };
    let name = match kind {
        Kind::WasmPlugin => "WasmPlugin",
        Kind::TrafficExtension => "TrafficExtension",
    };
    let (phase, phase_comment) = match options.phase {
        Phase::Authn => (
            "AUTHN",
            "Before Istio's own authentication and authorization, which then see who was found.",
        ),
        Phase::Authz => (
            "AUTHZ",
            "Behind Istio's own authentication, before its authorization.",
        ),
        Phase::Stats => ("STATS", "Behind Istio's own authentication and authorization."),
    };
    let is_fallback = subject.loaded.policy.is_fallback;
    let usual = match (is_fallback, target.namespace == options.root_namespace) {
        (false, _) => OWN_PRIORITY,
        (true, true) => MESH_PRIORITY,
        (true, false) => NAMESPACE_PRIORITY,
    };
    let priority_comment = "Of one phase, the higher priority runs first: a workload's own policy has 30, a namespace's fallback 20, \
                            the mesh's 10.";
    fill(
        PLUGIN,
        &[
            ("comment", &comment(about)),
            ("kind", name),
            ("name", &scalar(&options.name)),
            ("namespace", &scalar(&target.namespace)),
            ("target", &target.render()),
            ("match", &mode(subject, options, is_gateway)),
            ("phase_comment", phase_comment),
            ("phase", phase),
            ("priority_comment", priority_comment),
            ("priority", &options.priority.unwrap_or(usual).to_string()),
            ("wasm", &wasm),
        ],
    )
}

/// On which side it stands: where the policy has something to say.
fn mode(subject: &Subject<'_>, options: &IstioOptions, is_gateway: bool) -> String {
    let policy = &subject.loaded.policy;
    let mode = options
        .mode
        .or(match (policy.role, &policy.inbound, &policy.outbound) {
            _ if is_gateway => None,
            (RoleSetting::Fixed(Role::Inbound), ..) | (RoleSetting::Auto, Some(_), None) => {
                Some(Mode::Server)
            }
            (RoleSetting::Fixed(Role::Outbound), ..) | (RoleSetting::Auto, None, Some(_)) => {
                Some(Mode::Client)
            }
            _ => None,
        });
    match mode {
        None if is_gateway => {
            "# No `match`: Istio calls all that passes a gateway CLIENT. The filter knows the gateway by its node, and asks \
             everybody.\n"
                .to_owned()
        }
        None => "# No `match`: what comes in and what goes out. The direction tells which half of the policy decides.\n".to_owned(),
        Some(Mode::Server) => "# What comes in. Gateways are no SERVER: they want a policy of their own.\nmatch: [{mode: SERVER}]\n".to_owned(),
        Some(Mode::Client) => "# What goes out.\nmatch: [{mode: CLIENT}]\n".to_owned(),
        Some(Mode::ClientAndServer) => "match: [{mode: CLIENT_AND_SERVER}]\n".to_owned(),
    }
}

fn wasm(subject: &Subject<'_>, policy: &Document, options: &IstioOptions) -> String {
    let own = Subject::new(policy, &Environment::default()).ok();
    let named = own.as_ref().map_or(&subject.named, |own| &own.named);
    let mut environment = String::new();
    if !named.variables.is_empty() {
        environment.push_str(
            "# Secrets come by name from the container istio-proxy: values written here would stand in /config_dump.\n\
             vmConfig:\n  env:\n",
        );
        for name in &named.variables {
            environment.push_str(&format!("  - {{name: {}, valueFrom: HOST}}\n", scalar(name)));
        }
    }
    let member = |name: &str, value: &Option<String>| {
        let value = value.as_deref().map(|value| format!("{name}: {}", scalar(value)));
        value.unwrap_or_default()
    };
    fill(
        WASM,
        &[
            ("url", &scalar(&options.image)),
            ("sha256", &member("sha256", &options.sha256)),
            ("pull_secret", &member("imagePullSecret", &options.pull_secret)),
            ("environment", &environment),
            ("sharing", if asks_for_itself(policy) { NOT_SHARED } else { "" }),
            ("policy", &document(policy)),
        ],
    )
}

/// Whether each worker fetches what all could share.
fn asks_for_itself(policy: &Document) -> bool {
    let clusters = Subject::new(policy, &Environment::default()).map(|own| own.named.clusters);
    let asks = clusters.is_ok_and(|clusters| {
        clusters
            .iter()
            .any(|cluster| !cluster.path.starts_with("outbound.rules"))
    });
    asks && policy.member("shared_state_key").is_none()
}

fn sidecar(
    subject: &Subject<'_>,
    options: &IstioOptions,
    target: &Target,
    gateway: &Gateway,
) -> Result<String, RenderError> {
    let policy = sidecar_policy(subject.document, gateway)?;
    let own = match Subject::new(&policy, &Environment::default()) {
        Ok(own) => own,
        Err(errors) => return Err(RenderError::Derived(errors.to_string())),
    };
    let options = IstioOptions {
        mode: Some(Mode::Server),
        priority: Some(OWN_PRIORITY),
        // Never the gateway's, nor that of a resource which the namespace has for its own policy.
        name: format!("{}-sidecar", options.name),
        ..options.clone()
    };
    let about = "The sidecars behind it: they verify the gateway's word, so that nobody who gets round the gateway gets in. \
                 Where their egress is restricted (kind Sidecar), the gateway's service must be in its list.";
    Ok(format!("---\n{}", plugin(&own, &policy, &options, target, about)))
}

/// Rules of a policy, for the parts of this module.
fn rules(document: &Document) -> impl Iterator<Item = &Document> {
    entries(document.member("outbound").and_then(|half| half.member("rules")))
}

const NOT_SHARED: &str = "# Istio gives the module no vm_id of its own: without `shared_state_key` each worker asks for keys and tokens itself.";
const PLUGIN: &str = include_str!("istio/plugin.yaml");
const WASM: &str = include_str!("istio/wasm.yaml");
/// As in `istio/` of the project.
const OWN_PRIORITY: i32 = 30;
const NAMESPACE_PRIORITY: i32 = 20;
const MESH_PRIORITY: i32 = 10;
