//! Whom a resource of Istio is for.

use super::scalar;

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

impl Target {
    pub(super) fn render(&self) -> String {
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

    pub(super) fn labels(&self) -> String {
        let labels = self.selector.iter();
        let labels: Vec<String> = labels
            .map(|(name, value)| format!("{}: {}", scalar(name), scalar(value)))
            .collect();
        labels.join(", ")
    }

    /// Whether it is for all workloads of its namespace.
    pub(super) fn is_all(&self) -> bool {
        self.selector.is_empty() && self.references.is_empty()
    }

    /// Whether it is plainly for gateways: by a reference, as waypoints are, or by a label that only gateways have.
    pub(super) fn is_gateway(&self) -> bool {
        !self.references.is_empty()
            || self
                .selector
                .iter()
                .any(|(label, value)| is_of_gateways(label, value))
    }

    /// Whether it is for gateways whose Deployment Istio makes.
    pub(super) fn is_made_by_istio(&self) -> bool {
        !self.references.is_empty() || self.selector.iter().any(|(label, _)| label == GATEWAY_NAME)
    }

    /// Whether it is for the ingress gateway as Istio installs it, whose service has a known name.
    pub fn is_usual_gateway(&self) -> bool {
        self.selector
            .iter()
            .any(|(label, value)| label == ISTIO_LABEL && value == INGRESS_GATEWAY)
    }
}

fn is_of_gateways(label: &str, value: &str) -> bool {
    match label {
        GATEWAY_NAME => true,
        ISTIO_LABEL | "app" => GATEWAYS.contains(&value.strip_prefix("istio-").unwrap_or(value)),
        _ => false,
    }
}

/// Of the pods of a Gateway (Gateway API, GEP-1762).
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
/// Of the pods of the gateways that Istio's charts install; `app` is `istio-ingressgateway` then.
const ISTIO_LABEL: &str = "istio";
const INGRESS_GATEWAY: &str = "ingressgateway";
const GATEWAYS: [&str; 3] = [INGRESS_GATEWAY, "egressgateway", "eastwestgateway"];
