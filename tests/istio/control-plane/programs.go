//go:build programs

// Istio's own programs, which `make istio` builds. Nothing here is code of this project: the module only pins their versions.
package programs

import (
	_ "istio.io/istio/pilot/cmd/pilot-agent"
	_ "istio.io/istio/pilot/cmd/pilot-discovery"
)
