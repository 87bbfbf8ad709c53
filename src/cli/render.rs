//! `peergate render`: from a policy to what a proxy is given.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use peergate_filter::config::Environment;
use peergate_filter::render::{
    self, Address, Addresses, EnvoyOptions, Gateway, IstioCaution, IstioOptions, Kind, Mode, Phase,
    RenderError, Subject, Target,
};
use peergate_filter::visible::visible;

use super::role::RoleArgument;
use super::{USAGE, kubernetes, policy_file, report, say};
use crate::cli::shown_path;

/// What `render` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    form: Form,
}

#[derive(clap::Subcommand)]
enum Form {
    /// Make an Envoy file that runs as it is: listeners, clusters, the filter, the policy
    #[command(after_long_help = ENVOY_EXAMPLES)]
    Envoy(Box<Envoy>),
    /// Make a WasmPlugin with the policy in it, and what it needs beside it
    ///
    /// Every release of Istio takes it.
    #[command(after_long_help = WASM_PLUGIN_EXAMPLES)]
    IstioWasmplugin(Box<Istio>),
    /// Make the same as a TrafficExtension, which Istio has since 1.30
    #[command(after_long_help = TRAFFIC_EXTENSION_EXAMPLES)]
    IstioTrafficextension(Box<Istio>),
    /// Make of a gateway's policy that of the sidecars behind it
    ///
    /// They verify the gateway's assertion.
    #[command(after_long_help = SIDECAR_EXAMPLES)]
    SidecarPolicy(SidecarPolicy),
}

/// The policy, and what every form takes.
#[derive(clap::Args)]
struct Policy {
    /// The policy, as YAML or JSON
    file: PathBuf,
    /// A variable that a text of the policy names (`${NAME}`), for what is to be seen of it here; may be repeated
    #[arg(long = "env", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// Render secrets that are written down in the policy, for trials: every reader of the output has them
    #[arg(long)]
    insecure_inline_secrets: bool,
}

#[derive(clap::Args)]
struct Envoy {
    #[command(flatten)]
    policy: Policy,
    /// Nothing but the HTTP filter, for a listener or a cluster of your own
    #[arg(long)]
    filter_only: bool,
    /// Where the filter stands, if the policy leaves that to the place [default: a sidecar, inbound and outbound as the
    /// policy has them]
    #[arg(long, value_name = "ROLE")]
    role: Option<RoleArgument>,
    /// The file of the module, as Envoy finds it
    #[arg(long, value_name = "FILE", default_value = "target/peergate.wasm")]
    module: String,
    /// The workload that callers call
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9000", value_parser = host_and_port)]
    agent: Address,
    /// The first port, of callers; calls out and the administration have the two behind it
    #[arg(long, value_name = "PORT", default_value_t = 10000, value_parser = clap::value_parser!(u16).range(1..=65533))]
    port: u16,
    /// Where a cluster leads: `--cluster api=https://api.example`; may be repeated
    #[arg(long = "cluster", value_name = "NAME=URL", value_parser = cluster)]
    clusters: Vec<(String, Address)>,
    /// The authorities that servers' certificates are verified with
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/ssl/certs/ca-certificates.crt"
    )]
    ca_file: String,
    /// The workload that the proxy stands at: `${WORKLOAD}`
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
    /// The namespace of that workload: `${NAMESPACE}`
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
}

#[derive(clap::Args)]
struct Istio {
    #[command(flatten)]
    policy: Policy,
    /// The module's image, by its digest: `oci://registry.example/peergate@sha256:…`
    #[arg(long, value_name = "URL")]
    image: String,
    /// The digest, where the image is named by a tag, or comes by http
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// A Secret that the image is pulled with
    #[arg(long, value_name = "NAME", value_parser = kubernetes::subdomain)]
    pull_secret: Option<String>,
    /// The namespace; Istio's root namespace for the whole mesh
    #[arg(long, value_name = "NAME", value_parser = kubernetes::label)]
    namespace: String,
    /// A label of the workloads; may be repeated. Without it, all of the namespace
    #[arg(long = "selector", value_name = "LABEL=VALUE", value_parser = label, conflicts_with = "references")]
    selector: Vec<(String, String)>,
    /// A Gateway, GatewayClass, Service or ServiceEntry in place of labels, as waypoints want it; may be repeated
    #[arg(long = "target-ref", value_name = "KIND/NAME", value_parser = reference)]
    references: Vec<(String, String)>,
    /// The name of the resource, and the beginning of the names of the others
    #[arg(long, value_name = "NAME", default_value = "peergate", value_parser = kubernetes::subdomain)]
    name: String,
    /// When it runs
    #[arg(long, value_name = "PHASE", default_value = "AUTHN", ignore_case = true)]
    phase: PhaseArgument,
    /// Its place within the phase: higher is earlier [default: 30; of a fallback 20, in the root namespace 10]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// What it sees [default: what the policy has a half for; all that passes a gateway]
    #[arg(long, value_name = "MODE", ignore_case = true)]
    mode: Option<ModeArgument>,
    /// Put keys into the query on the listener, where logs see them
    #[arg(long)]
    simple_query: bool,
    /// The Secret that variables come from
    #[arg(long, value_name = "NAME", default_value = "peergate", value_parser = kubernetes::subdomain)]
    secret: String,
    /// Where a cluster leads: `--cluster 'outbound|80||api.example=http://api.example'`; may be repeated
    #[arg(long = "cluster", value_name = "NAME=URL", value_parser = cluster)]
    clusters: Vec<(String, Address)>,
    /// Istio's root namespace: a resource there without a selector is for the whole mesh
    #[arg(long, value_name = "NAME", default_value = "istio-system", value_parser = kubernetes::label)]
    root_namespace: String,
    /// What the names of the mesh's services end with, behind `.svc.`
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local", value_parser = kubernetes::subdomain)]
    cluster_domain: String,
    /// The policy is a gateway's: render the sidecars behind it as well, which verify its assertion
    #[arg(long, requires = "sidecar_namespace")]
    pair: bool,
    /// The namespace of the sidecars
    #[arg(long, value_name = "NAME", requires = "pair", value_parser = kubernetes::label)]
    sidecar_namespace: Option<String>,
    /// A label of the sidecars' workloads; may be repeated
    #[arg(long = "sidecar-selector", value_name = "LABEL=VALUE", value_parser = label, requires = "pair")]
    sidecar_selector: Vec<(String, String)>,
    /// The service of the gateway, which publishes the keys [default: of `--selector istio=ingressgateway`,
    /// istio-ingressgateway in its namespace, port 80]
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port, requires = "pair")]
    gateway_service: Option<Address>,
}

#[derive(clap::Args)]
struct SidecarPolicy {
    #[command(flatten)]
    policy: Policy,
    /// Where the gateway is reached, up to the path: `http://gateway.example`
    #[arg(long, value_name = "URL")]
    gateway: String,
    /// The cluster that leads there
    #[arg(long, value_name = "NAME", default_value = "gateway")]
    cluster: String,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum PhaseArgument {
    #[value(name = "AUTHN")]
    Authn,
    #[value(name = "AUTHZ")]
    Authz,
    #[value(name = "STATS")]
    Stats,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum ModeArgument {
    #[value(name = "SERVER")]
    Server,
    #[value(name = "CLIENT")]
    Client,
    #[value(name = "CLIENT_AND_SERVER")]
    ClientAndServer,
}

/// Renders a policy onto the standard output, or says on the standard error why not.
pub(crate) fn render(arguments: &Arguments) -> ExitCode {
    match &arguments.form {
        Form::Envoy(arguments) => with_subject(&arguments.policy, |subject| envoy(arguments, subject)),
        Form::IstioWasmplugin(arguments) => with_subject(&arguments.policy, |subject| {
            istio(Kind::WasmPlugin, arguments, subject)
        }),
        Form::IstioTrafficextension(arguments) => with_subject(&arguments.policy, |subject| {
            istio(Kind::TrafficExtension, arguments, subject)
        }),
        Form::SidecarPolicy(arguments) => with_subject(&arguments.policy, |subject| {
            let gateway = Gateway {
                origin: arguments.gateway.trim_end_matches('/').to_owned(),
                cluster: arguments.cluster.clone(),
            };
            render::sidecar_policy(subject.document, &gateway).map(|policy| render::policy(&policy))
        }),
    }
}

fn envoy(arguments: &Envoy, subject: &Subject<'_>) -> Result<String, RenderError> {
    let options = EnvoyOptions {
        role: arguments.role.as_ref().map(|role| role.0),
        module: arguments.module.clone(),
        agent: arguments.agent.clone(),
        port: arguments.port,
        ca_file: arguments.ca_file.clone(),
        addresses: arguments.clusters.iter().cloned().collect::<Addresses>(),
        workload: arguments.workload.clone(),
        namespace: arguments.namespace.clone(),
        filter_only: arguments.filter_only,
        allows_inline_secrets: arguments.policy.insecure_inline_secrets,
    };
    let text = render::envoy(subject, &options)?;
    let clear = subject.clear_clusters(&options.addresses);
    for cluster in clear.into_iter().filter(|_| !options.filter_only) {
        let cluster = visible(cluster);
        let warning = format!(
            "warning: cluster `{cluster}`: no TLS: what the rules put onto calls goes there in the clear\n  help: where TLS is \
             spoken: `--cluster '{cluster}=https://HOST'`"
        );
        say(&mut io::stderr(), &warning);
    }
    Ok(text)
}

fn istio(kind: Kind, arguments: &Istio, subject: &Subject<'_>) -> Result<String, RenderError> {
    let target = Target {
        namespace: arguments.namespace.clone(),
        selector: arguments.selector.clone(),
        references: arguments.references.clone(),
    };
    let pair = match &arguments.sidecar_namespace {
        Some(namespace) => {
            let sidecars = Target {
                namespace: namespace.clone(),
                selector: arguments.sidecar_selector.clone(),
                references: Vec::new(),
            };
            Some((sidecars, gateway(arguments, &target)?))
        }
        None => None,
    };
    let options = IstioOptions {
        kind,
        name: arguments.name.clone(),
        target,
        image: arguments.image.clone(),
        sha256: arguments.sha256.clone(),
        pull_secret: arguments.pull_secret.clone(),
        phase: match arguments.phase {
            PhaseArgument::Authn => Phase::Authn,
            PhaseArgument::Authz => Phase::Authz,
            PhaseArgument::Stats => Phase::Stats,
        },
        priority: arguments.priority,
        mode: arguments.mode.map(|mode| match mode {
            ModeArgument::Server => Mode::Server,
            ModeArgument::Client => Mode::Client,
            ModeArgument::ClientAndServer => Mode::ClientAndServer,
        }),
        simple_query: arguments.simple_query,
        secret: arguments.secret.clone(),
        addresses: arguments.clusters.iter().cloned().collect::<Addresses>(),
        pair,
        root_namespace: arguments.root_namespace.clone(),
        cluster_domain: arguments.cluster_domain.clone(),
        allows_inline_secrets: arguments.policy.insecure_inline_secrets,
    };
    let text = render::istio(subject, &options)?;
    warn_of_istio(arguments, &render::istio_cautions(subject, &options));
    Ok(text)
}

/// Where the sidecars get the keys. Only of one gateway the service's name is known.
fn gateway(arguments: &Istio, target: &Target) -> Result<Gateway, RenderError> {
    let Address { host, port, .. } = match &arguments.gateway_service {
        Some(service) => service.clone(),
        None if target.is_usual_gateway() => {
            let (namespace, domain) = (&arguments.namespace, &arguments.cluster_domain);
            Address::new(&format!("istio-ingressgateway.{namespace}.svc.{domain}"), 80)
        }
        None => return Err(RenderError::GatewayService),
    };
    let authority = if port == 80 {
        host.clone()
    } else {
        format!("{host}:{port}")
    };
    Ok(Gateway {
        origin: format!("http://{authority}"),
        cluster: format!("outbound|{port}||{host}"),
    })
}

/// What loads, and will not do what is meant.
fn warn_of_istio(arguments: &Istio, cautions: &[IstioCaution]) {
    let is_pinned = arguments.image.contains("@sha256:") || arguments.sha256.is_some();
    if !is_pinned {
        say(
            &mut io::stderr(),
            "warning: --image: names no digest: whoever can write to the registry says what runs, and a tag that is moved is \
             not pulled again\n  help: `oci://…@sha256:…`, or `--sha256`",
        );
    }
    for IstioCaution { what, help } in cautions {
        say(
            &mut io::stderr(),
            &format!("warning: {}\n  help: {}", visible(what), visible(help)),
        );
    }
}

/// Reads the policy, and prints what is made of it.
fn with_subject(
    arguments: &Policy,
    make: impl FnOnce(&Subject<'_>) -> Result<String, RenderError>,
) -> ExitCode {
    let mut variables = BTreeMap::new();
    for variable in &arguments.variables {
        let Some((name, value)) = variable.split_once('=') else {
            say(&mut io::stderr(), "error: `--env` takes NAME=VALUE");
            return ExitCode::from(USAGE);
        };
        variables.insert(name.to_owned(), value.to_owned());
    }
    // Nothing of this process's own environment: what is rendered is the same wherever it is.
    let environment = Environment {
        variables,
        workload: None,
        namespace: None,
    };
    let document = match policy_file::read(&arguments.file) {
        Ok(document) => document,
        Err(error) => return fail(arguments, &error.to_string(), None),
    };
    let subject = match Subject::new(&document, &environment) {
        Ok(subject) => subject,
        Err(errors) => {
            report::errors(&errors);
            return ExitCode::FAILURE;
        }
    };
    match make(&subject) {
        Ok(text) => {
            report::warnings_but_of_missing_secrets(&subject.loaded);
            say(&mut io::stdout(), text.trim_end_matches('\n'));
            ExitCode::SUCCESS
        }
        Err(error) => fail(arguments, &error.to_string(), error.help()),
    }
}

fn fail(arguments: &Policy, error: &str, help: Option<&str>) -> ExitCode {
    say(
        &mut io::stderr(),
        &format!("error: {}: {error}", shown_path(&arguments.file)),
    );
    if let Some(help) = help {
        say(&mut io::stderr(), &format!("  help: {help}"));
    }
    ExitCode::FAILURE
}

fn host_and_port(text: &str) -> Result<Address, &'static str> {
    Address::of_host_and_port(text).ok_or("expected HOST:PORT")
}

fn cluster(text: &str) -> Result<(String, Address), &'static str> {
    let (name, url) = text.rsplit_once('=').ok_or("expected NAME=URL")?;
    let address = Address::of_url(url).ok_or("expected an `http` or `https` URL behind NAME=")?;
    Ok((name.to_owned(), address))
}

fn label(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("expected LABEL=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn reference(text: &str) -> Result<(String, String), &'static str> {
    let (kind, name) = text
        .split_once('/')
        .filter(|(kind, name)| REFERENCES.contains(kind) && !name.is_empty())
        .ok_or("expected KIND/NAME, where KIND is Gateway, GatewayClass, Service or ServiceEntry")?;
    Ok((kind.to_owned(), name.to_owned()))
}

/// What Istio's resources can be attached to by name.
const REFERENCES: [&str; 4] = ["Gateway", "GatewayClass", "Service", "ServiceEntry"];

const ENVOY_EXAMPLES: &str = "\
Examples:
  peergate render envoy policy.yaml --agent 127.0.0.1:9000 > envoy.yaml
  peergate render envoy policy.yaml --filter-only";

const WASM_PLUGIN_EXAMPLES: &str = "\
Examples:
  peergate render istio-wasmplugin policy.yaml --namespace agents \\
    --selector app=agent --image oci://registry.example/peergate@sha256:… \\
    | kubectl apply -f -";

const TRAFFIC_EXTENSION_EXAMPLES: &str = "\
Examples:
  peergate render istio-trafficextension policy.yaml --namespace agents \\
    --selector app=agent --image oci://registry.example/peergate@sha256:…";

const SIDECAR_EXAMPLES: &str = "\
Examples:
  peergate render sidecar-policy gateway.yaml \\
    --gateway http://gateway.example > sidecar.yaml";
