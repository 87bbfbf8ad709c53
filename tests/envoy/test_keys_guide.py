"""docs/keys.md: its policies and its cluster load, its commands run, its tables are complete."""

import re
import subprocess

import certifi
import pytest
import yaml

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import AUDIENCE, bearer, policy, rule
from support.client import Client
from support.credentials import new_secret
from support.identity_provider import OidcProvider, audience
from support.paths import ROOT

GUIDE = (ROOT / "docs/keys.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", GUIDE, re.DOTALL)
POLICIES = [text for kind, text in BLOCKS if kind == "yaml" and text.startswith("version: 1\n")]
CLUSTERS = [text for kind, text in BLOCKS if kind == "yaml" and text.startswith("name: ")]
COMMANDS = [text for kind, text in BLOCKS if kind == "sh"]

#: What the policies read.
ENVIRONMENT = {"PEERGATE_SHARED_STATE": new_secret("shared state key of the guide")}


def test_each_block_is_one_that_is_tested():
    assert (len(POLICIES), len(CLUSTERS), len(COMMANDS)) == (4, 1, 3)
    assert len(BLOCKS) == len(POLICIES) + len(CLUSTERS) + len(COMMANDS) + 1


@pytest.mark.parametrize("text", POLICIES, ids=["keycloak", "zitadel", "any", "istio"])
def test_envoy_takes_the_policy(envoy, agent, text):
    configuration = yaml.safe_load(text)
    listeners = [listener("inbound", [peergate(configuration, ENVIRONMENT)], "agent")]
    client = envoy(bootstrap(listeners, [cluster("agent", agent.port)]), ENVIRONMENT)
    assert "configuration refused" not in client.log()


def test_envoy_takes_the_cluster(envoy):
    (text,) = CLUSTERS
    built = yaml.safe_load(text)
    context = built["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"]
    # Not every machine has its authorities there.
    context["trusted_ca"]["filename"] = certifi.where()
    host = built["transport_socket"]["typed_config"]["sni"]
    assert context["match_typed_subject_alt_names"] == [{"san_type": "DNS", "matcher": {"exact": host}}]
    envoy(bootstrap([], [built]))


@pytest.fixture(scope="module")
def running(envoy, agent):
    """An Envoy that has had keys, and the provider that they are from."""
    with OidcProvider("oidc-provider-guide") as provider:
        jwks = {"discovery": {"cluster": "idp"}}
        known = {"issuer": provider.issuer, "audiences": [AUDIENCE, audience("RS256")], "jwks": jwks}
        filters = [peergate(policy(rule("agent", ["jwt"]), provider=known, peers={}))]
        clusters = [cluster("agent", agent.port), cluster("idp", provider.port)]
        started = envoy(bootstrap([listener("inbound", filters, "agent")], clusters))
        with Client(started) as client:
            assert client.get("/", bearer(provider.token())).status_code == 200
        yield started, provider


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (0, [r'"issuer":"ISSUER"', r'"jwks_uri":"ISSUER/jwks"']),
        (1, [r'peergate_key_fetches_total\{outcome="ok",provider="tests"\} 1']),
        (2, [r"idp::127.0.0.1:\d+::health_flags::healthy", r"idp::127.0.0.1:\d+::rq_total::2"]),
    ],
)
def test_each_command_says_what_is_looked_for(running, command, says):
    envoy, provider = running
    text = COMMANDS[command].replace("http://127.0.0.1:9901", envoy.admin_url)
    text = text.replace("https://issuer.example", provider.issuer)
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True, timeout=20)
    lines = done.stdout.splitlines()
    for pattern in says:
        pattern = pattern.replace("ISSUER", re.escape(provider.issuer))
        assert any(re.fullmatch(pattern, line) for line in lines), done.stdout


def test_each_fault_stands_in_the_table():
    """Those that `FetchError` has a name for."""
    source = (ROOT / "src/keys/fetch.rs").read_text(encoding="utf-8")
    (function,) = re.findall(r"fn reason\(.*?\n    \}", source, re.DOTALL)
    reasons = set(re.findall(r'"(\w+)"', function))
    faults = [line for line in GUIDE.splitlines() if " | 503 | nothing | " in line]
    assert len(reasons) > 5
    outcomes = {fault.split(" | ")[-1].strip(" |`") for fault in faults}
    assert outcomes - {"that of the key set"} == reasons


def test_each_metric_of_keys_is_explained():
    source = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "src").rglob("*.rs")))
    named = set(re.findall(r"\bpeergate_\w*key\w*", source))
    assert named == set(re.findall(r"`(peergate_\w*key\w*)", GUIDE))
