"""Measures peergate in a real Envoy against what Envoy has itself. `benches/README.md` says how it is run."""
