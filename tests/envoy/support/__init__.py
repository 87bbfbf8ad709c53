"""What the demo and the tests against a real Envoy share."""
