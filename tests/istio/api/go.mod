// Istio's resources as Kubernetes checks them: `kubernetes/customresourcedefinitions.gen.yaml` of this module. No code of it is used.
module peergate.example/tests/istio/api

go 1.25

require istio.io/api v1.31.1
