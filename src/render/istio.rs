//! `render istio-wasmplugin` and `render istio-trafficextension`: what Istio is given, and what the policy needs beside it.

mod hosts;
mod second_hop;

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

/// Whom a resource is for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// Its namespace: the root namespace is the whole mesh.
    pub namespace: String,
    /// Labels of the workloads; none: all of the namespace.
    pub selector: Vec<(String, String)>,
    /// Gateways and services, by kind and name. Waypoints know nothing else.
    pub references: Vec<(String, String)>,
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
    /// Secrets may be written down.
    pub allows_inline_secrets: bool,
}

/// The manifests, one after the other.
///
/// # Errors
/// [`RenderError`].
pub fn istio(subject: &Subject<'_>, options: &IstioOptions) -> Result<String, RenderError> {
    let inline = subject.inline_secrets();
    if !options.allows_inline_secrets && !inline.is_empty() {
        let places = inline.into_iter().map(str::to_owned).collect();
        return Err(RenderError::InlineSecrets(places));
    }
    let calls = subject.loaded.policy.outbound.is_some();
    let is_hopping = calls && !options.simple_query && !hops::with_key(subject.document).is_empty();
    if is_hopping && is_gateway(subject, options) {
        return Err(RenderError::QueryAtGateway);
    }
    let is_placed = matches!(subject.loaded.policy.role, RoleSetting::Fixed(Role::Upstream));
    if is_placed {
        return Err(RenderError::UpstreamInIstio);
    }
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
    text.push_str(&secret(subject, options));
    Ok(text)
}

/// Clusters of the policy that Istio never makes: calls to them get nothing.
pub fn unknown_clusters<'s>(subject: &'s Subject<'_>) -> Vec<&'s str> {
    let clusters = subject.named.clusters.iter();
    clusters
        .filter(|cluster| super::Address::of_istio(&cluster.name).is_none())
        .map(|cluster| cluster.name.as_str())
        .collect()
}

fn is_gateway(subject: &Subject<'_>, options: &IstioOptions) -> bool {
    subject.loaded.policy.role == RoleSetting::Fixed(Role::Gateway)
        || options.pair.is_some()
        || !options.target.references.is_empty()
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
    let usual = match (is_fallback, target.namespace.as_str()) {
        (false, _) => OWN_PRIORITY,
        (true, ROOT_NAMESPACE) => MESH_PRIORITY,
        (true, _) => NAMESPACE_PRIORITY,
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

impl Target {
    fn render(&self) -> String {
        if !self.references.is_empty() {
            let mut text = String::from("targetRefs:\n");
            for (kind, name) in &self.references {
                let group = match kind.as_str() {
                    "Gateway" | "GatewayClass" => "group: gateway.networking.k8s.io, ",
                    "ServiceEntry" => "group: networking.istio.io, ",
                    _ => "group: \"\", ",
                };
                text.push_str(&format!(
                    "- {{{group}kind: {}, name: {}}}\n",
                    scalar(kind),
                    scalar(name)
                ));
            }
            return text;
        }
        match self.selector.is_empty() {
            true => "# No selector: every workload of the namespace, and of the mesh if it is the root namespace.\n".to_owned(),
            false => format!("selector: {{matchLabels: {{{}}}}}\n", self.labels()),
        }
    }

    fn labels(&self) -> String {
        let labels = self.selector.iter();
        let labels: Vec<String> = labels
            .map(|(name, value)| format!("{}: {}", scalar(name), scalar(value)))
            .collect();
        labels.join(", ")
    }
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
        ..options.clone()
    };
    let about = "The sidecars behind it: they verify the gateway's word, so that nobody who gets round the gateway gets in. \
                 Where their egress is restricted (kind Sidecar), the gateway's service must be in its list.";
    Ok(format!("---\n{}", plugin(&own, &policy, &options, target, about)))
}

/// How the variables get there.
fn secret(subject: &Subject<'_>, options: &IstioOptions) -> String {
    let names: Vec<&str> = subject.named.needed_variables().collect();
    if names.is_empty() {
        return String::new();
    }
    let (namespace, secret) = (&options.target.namespace, &options.secret);
    let about = format!(
        "The variables ({}) come from a Secret into the container istio-proxy, and from there, by name, into the module. A proxy \
         reads them when it starts. In the namespace of each workload, {namespace} here:",
        names.join(", ")
    );
    let mut text = format!(
        "\n{}#\n#   kubectl --namespace {namespace} create secret generic {secret}",
        comment(&about)
    );
    for name in &names {
        text.push_str(&format!(" \\\n#     --from-file={name}=FILE"));
    }
    text.push_str(&format!(
        "\n#\n# and this patch, in a file, for the workload (what a pod says of istio-proxy is laid over what Istio injects):\n#\n#   \
         kubectl --namespace {namespace} patch deployment NAME --patch-file=FILE\n#\n#   spec:\n#     template:\n#       spec:\n#         \
         containers:\n#         - name: istio-proxy\n#           image: auto\n#           env:\n"
    ));
    for name in &names {
        text.push_str(&format!(
            "#           - {{name: {name}, valueFrom: {{secretKeyRef: {{name: {secret}, key: {name}}}}}}}\n"
        ));
    }
    text
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
/// Istio's default.
const ROOT_NAMESPACE: &str = "istio-system";
