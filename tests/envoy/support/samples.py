"""The configurations in `envoy/`, for tests that run them as they are."""

import yaml

from .paths import MODULE, ROOT

#: Where each of them has the module: `make build` leaves it there.
MODULE_IN_SAMPLES = "target/peergate.wasm"


def sample(name: str, **upstream_ports: int) -> dict:
    """A configuration with free ports for its listeners, and each cluster where its test upstream listens."""
    configuration = yaml.safe_load((ROOT / "envoy" / name).read_text(encoding="utf-8"))
    resources = configuration["static_resources"]
    _set_port(configuration["admin"], 0)
    for listener in resources["listeners"]:
        _set_port(listener, 0)
        vm = vm_configuration(http_filters(listener))
        assert vm["code"]["local"]["filename"] == MODULE_IN_SAMPLES
        vm["code"]["local"]["filename"] = str(MODULE)
    clusters = {cluster["name"]: cluster for cluster in resources["clusters"]}
    assert clusters.keys() == upstream_ports.keys()
    for cluster_name, port in upstream_ports.items():
        (locality,) = clusters[cluster_name]["load_assignment"]["endpoints"]
        (endpoint,) = locality["lb_endpoints"]
        _set_port(endpoint["endpoint"], port)
    return configuration


def http_filters(listener: dict) -> list[dict]:
    """The HTTP filters of a listener with one chain."""
    (chain,) = listener["filter_chains"]
    (manager,) = chain["filters"]
    return manager["typed_config"]["http_filters"]


def vm_configuration(filters: list[dict]) -> dict:
    """How the filter under test, the first of these, is loaded."""
    return filters[0]["typed_config"]["config"]["vm_config"]


def policy(configuration: dict) -> dict:
    """The policy of a configuration with one listener."""
    (listener,) = configuration["static_resources"]["listeners"]
    return http_filters(listener)[0]["typed_config"]["config"]["configuration"]["value"]


def _set_port(holder: dict, port: int) -> None:
    """Every address of a sample is on loopback: who runs it opens nothing to the network."""
    address = holder["address"]["socket_address"]
    assert address["address"] == "127.0.0.1"
    address["port_value"] = port
