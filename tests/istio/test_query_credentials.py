"""The second hop in a sidecar, by an EnvoyFilter: the API is sent the key, and no log of the proxy has it."""

import contextlib
import json

import pytest

from mesh.shipped import shipped
from mesh.watching import await_status, await_true
from mesh.world import SEARCH_KEY
from support.certificates import tls_server
from support.upstream import Upstream

HOST = "search.example"


@pytest.fixture
def search(tmp_path):
    """The API, by TLS, and the file of the authorities that vouch for it."""
    with contextlib.ExitStack() as stack:
        authorities, tls = tls_server(tmp_path, HOST)
        yield stack.enter_context(Upstream("search", tls)), authorities


def second_hop(url, api, authorities):
    """The shipped manifests, with places for all that they refer to."""
    service, second_hop = shipped("query-credentials.yaml")
    # In place of the registry, of DNS, and of the authorities of the proxy's system.
    service["spec"] |= {"resolution": "STATIC", "endpoints": [{"address": "127.0.0.1"}]}
    changed = json.dumps(second_hop)
    for old, new in {
        '"oci://registry.example/peergate@sha256:' + "0" * 64 + '"': json.dumps(url),
        '"address": "search.example", "port_value": 443': f'"address": "127.0.0.1", "port_value": {api.port}',
        '"/etc/ssl/certs/ca-certificates.crt"': json.dumps(str(authorities)),
    }.items():
        assert changed.count(old) == 1
        changed = changed.replace(old, new)
    return service, json.loads(changed)


def test_the_key_is_put_on_where_nothing_is_logged(apply, image, search, outbound, proxies):
    api, authorities = search
    apply(*second_hop(image, api, authorities))
    await_status(lambda: outbound.get("/find?q=agents", headers={"Host": HOST}), 200)
    api.forget()
    headers = {"Host": HOST, "X-Envoy-Original-Path": "/forged"}
    assert outbound.get("/search?apiKey=mine&q=agents", headers=headers).status_code == 200
    assert sorted(api.only().query) == [("apiKey", SEARCH_KEY), ("q", "agents")]
    log = proxies["agent"].daemon
    outbound.get("/last", headers={"Host": HOST})
    # The first hop logs, as Istio's listeners do.
    await_true(lambda: '"GET /last' in log.log(), "the access log is written")
    assert '"GET /search?apiKey=mine&q=agents' in log.log()
    assert SEARCH_KEY not in log.log()
    assert "/forged" not in log.log()


def test_without_the_module_no_call_goes_out(apply, registry, search, outbound):
    api, authorities = search
    apply(*second_hop(registry.image("nowhere") + "@sha256:" + "0" * 64, api, authorities))
    await_true(lambda: outbound.get("/", headers={"Host": HOST}).status_code == 500, "closed")
    assert api.received == []
