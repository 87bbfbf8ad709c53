"""Where things stand in the project."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

#: The compiled filter. `PEERGATE_MODULE` names another one, for trying the harness with it.
MODULE = Path(os.environ.get("PEERGATE_MODULE", ROOT / "target/peergate.wasm"))

#: The native command-line program, as `cargo build` leaves it.
PROGRAM = ROOT / "target/debug/peergate"

#: The configuration that the demo runs.
DEMO_CONFIGURATION = ROOT / "envoy/demo.yaml"

#: The recommended form of calls with a key in the query.
QUERY_CREDENTIALS_CONFIGURATION = ROOT / "envoy/query-credentials.yaml"

#: The schemas of Istio's resources, as `make setup` fetches them.
ISTIO_CRDS = ROOT / "target/istio/crds.yaml"

#: Those of Envoy Gateway and of the Gateway API.
GATEWAY_CRDS = ROOT / "target/envoy-gateway/crds.yaml"

#: Everything that the tests capture. `tests/secrets_check.py` reads every `*.log` below it.
OUTPUT = ROOT / "target/test-output"

#: Where each secret that a test uses is written down, for `tests/secrets_check.py`.
SECRETS = OUTPUT / "secrets"
