// Where the schemas of Envoy Gateway come from, with those of the Gateway API: nothing here is built.
module peergate.example/tests/envoy-gateway

go 1.25

require github.com/envoyproxy/gateway v1.9.1
