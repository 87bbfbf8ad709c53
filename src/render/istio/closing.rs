//! The comment at the end: how the variables of the policy get into the proxy.

use super::IstioOptions;
use crate::render::named::Subject;
use crate::render::yaml::comment;
use crate::visible::visible;

/// How the variables get there.
pub(super) fn render(subject: &Subject<'_>, options: &IstioOptions) -> String {
    let names: Vec<&str> = subject.named.needed_variables().collect();
    if names.is_empty() {
        return String::new();
    }
    let (namespace, secret) = (&visible(&options.target.namespace), &visible(&options.secret));
    let is_mesh_wide = options.target.is_all() && options.target.namespace == options.root_namespace;
    let place = match is_mesh_wide {
        true => format!(
            "Every proxy of the mesh needs them, in the namespace of each: one without them refuses the whole policy and answers 500 \
             to everything, unless the policy has `on_missing_secret: deny_rule`. For each namespace, {namespace} here:"
        ),
        false => format!("In the namespace of each workload, {namespace} here:"),
    };
    let about = format!(
        "The variables ({}) come from a Secret into the container istio-proxy, and from there, by name, into the module. A proxy \
         reads them when it starts. {place}",
        names.join(", ")
    );
    let mut text = format!(
        "\n{}#\n#   kubectl --namespace {namespace} create secret generic {secret}",
        comment(&about)
    );
    for name in &names {
        text.push_str(&format!(" \\\n#     --from-file={name}=FILE"));
    }
    let (way, indent) = match options.target.is_made_by_istio() {
        true => (
            GATEWAY_OF_ISTIO.replace("{{namespace}}", namespace),
            "#               ",
        ),
        false => (WORKLOAD.replace("{{namespace}}", namespace), "#           "),
    };
    text.push_str(&way);
    for name in &names {
        text.push_str(&format!(
            "{indent}- {{name: {name}, valueFrom: {{secretKeyRef: {{name: {secret}, key: {name}}}}}}}\n"
        ));
    }
    if options.target.is_made_by_istio() {
        text.push_str(NAMED_BY_GATEWAY);
    }
    text
}

const WORKLOAD: &str = include_str!("closing_workload.txt");
const GATEWAY_OF_ISTIO: &str = include_str!("closing_gateway.txt");
const NAMED_BY_GATEWAY: &str = include_str!("closing_named.txt");
