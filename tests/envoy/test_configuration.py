"""How a policy gets into Envoy: its two forms, what becomes of a bad one, and changes while requests are served."""

import json
import subprocess
import threading

import pytest
import yaml

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import ENVIRONMENT, MRWHITE_KEY, bearer, policy, rule, token
from support.client import Client, refusal
from support.credentials import new_secret
from support.dynamic import Dynamic
from support.paths import DEMO_CONFIGURATION, OUTPUT, PROGRAM, ROOT
from support.process import PATIENCE_SECONDS, Envoy, EnvoyDidNotStart, envoy_binary, wait_until

#: Two mistakes, in two rules.
BAD_POLICY = policy(rule("first", ["jwt:nobody"], "/first"), rule("second", ["tokens"]))

GOOD_POLICY = policy(rule("agent", ["jwt"]))


def names_both_mistakes(text):
    """Whether a text says where both mistakes are, and what they are."""
    mistakes = (
        "inbound.rules[0].accept[0]: there is no provider `nobody`",
        "inbound.rules[1].accept[0]: unknown kind of credential `tokens`",
    )
    return all(mistake in text for mistake in mistakes)


def inbound(policy, form="struct"):
    """A listener with a policy."""
    return listener("inbound", [peergate(policy, ENVIRONMENT, form)], "agent")


def test_both_forms_mean_the_same(envoy, agent):
    """Numbers are numbers, lists are lists, text stays text, in plain YAML as in a JSON string."""
    both = policy(
        rule("second-factor", ["jwt"], "/totp", require={"totp": True}),
        rule("agent", ["jwt", "api_key"]),
        provider={"clock_skew_seconds": 0, "claim_to_headers": {"x-agent-roles": "realm_access.roles"}},
        totp={"code": {"digits": 8, "period_seconds": 60, "window_steps": 0}},
        errors={"realm": "north", "jsonrpc_code": -32050},
    )
    requests = [
        ("GET", "/", {}),
        ("POST", "/", {"Content-Type": "application/json"}),
        ("GET", "/", {"X-Api-Key": MRWHITE_KEY}),
        ("GET", "/", bearer(token(realm_access={"roles": ["a", "b"]}))),
        ("GET", "/totp", bearer(token()) | {"X-TOTP": "123456"}),
    ]
    seen = {}
    for form in ("struct", "json"):
        agent.forget()
        running = envoy(bootstrap([inbound(both, form)], [cluster("agent", agent.port)]), ENVIRONMENT)
        with Client(running) as client:
            answers = [client.request(*request) for request in requests]
        seen[form] = (
            [(answer.status_code, answer.text, answer.headers.get("www-authenticate")) for answer in answers],
            [(request.header("x-agent-peer"), request.header("x-agent-roles")) for request in agent.received],
        )
    assert seen["struct"] == seen["json"]
    statuses = [status for status, _, _ in seen["json"][0]]
    assert statuses == [401, 401, 200, 200, 401]
    assert seen["json"][1] == [("mrwhite", None), ("mrpink", "a,b")]
    assert json.loads(seen["json"][0][1][1])["error"]["code"] == -32050


@pytest.mark.parametrize("form", ["struct", "json"])
def test_envoy_does_not_start_with_a_bad_policy(envoy, form):
    with pytest.raises(EnvoyDidNotStart) as refused:
        envoy(bootstrap([inbound(BAD_POLICY, form)], [cluster("agent", 1)]), ENVIRONMENT)
    assert names_both_mistakes(str(refused.value))


@pytest.mark.parametrize("value", ["", "[]", '{"version":1}{}'], ids=lambda value: f"«{value}»")
def test_envoy_does_not_start_with_what_is_no_policy(envoy, value):
    filters = [peergate({}, form="json")]
    filters[0]["typed_config"]["config"]["configuration"]["value"] = value
    with pytest.raises(EnvoyDidNotStart):
        envoy(bootstrap([listener("inbound", filters, "agent")], [cluster("agent", 1)]))


def test_envoy_does_not_start_without_a_policy(envoy):
    filters = [peergate({})]
    del filters[0]["typed_config"]["config"]["configuration"]
    with pytest.raises(EnvoyDidNotStart):
        envoy(bootstrap([listener("inbound", filters, "agent")], [cluster("agent", 1)]))


def test_envoy_does_not_start_without_a_secret_that_the_policy_names(envoy):
    without = {name: value for name, value in ENVIRONMENT.items() if name != "MRPINK_TOTP"}
    with pytest.raises(EnvoyDidNotStart) as refused:
        envoy(bootstrap([inbound(GOOD_POLICY)], [cluster("agent", 1)]), without)
    assert "inbound.peers.mrpink.totp_seeds[0]" in str(refused.value)
    assert "`MRPINK_TOTP`" in str(refused.value)


def test_a_bad_secret_is_not_printed(envoy):
    bad = new_secret("something that is no TOTP seed")
    environment = ENVIRONMENT | {"MRPINK_TOTP": f"!{bad}"}
    with pytest.raises(EnvoyDidNotStart) as refused:
        envoy(bootstrap([inbound(GOOD_POLICY)], [cluster("agent", 1)]), environment)
    assert "inbound.peers.mrpink.totp_seeds[0]" in str(refused.value)
    assert bad not in str(refused.value)


@pytest.mark.parametrize("good", [True, False], ids=["good", "bad"])
def test_envoy_validates_a_policy_without_starting(agent, good):
    tried = inbound(GOOD_POLICY if good else BAD_POLICY)
    configuration = bootstrap([tried], [cluster("agent", agent.port)])
    name = f"configuration-validate-{'good' if good else 'bad'}"
    envoy = Envoy(name, configuration, OUTPUT / "envoy", ENVIRONMENT)
    status = envoy.validate()
    assert (status == 0) is good
    assert names_both_mistakes(envoy.log()) is not good


def test_the_demo_as_it_stands_is_valid():
    environment = {
        "MRPINK_TOTP": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "API_KEY": "for the validation only",
        "CLIENT_SECRET": "for the validation only",
    }
    command = [envoy_binary(), "--mode", "validate", "--config-path", DEMO_CONFIGURATION]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    (OUTPUT / "envoy/configuration-demo.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if "[warning]" in line]
    assert [line for line in warnings if "wasm log peergate" not in line] == []


#: What Envoy itself counts where it refuses a listener, or a filter that comes alone.
REFUSALS = {
    "listener": "envoy_listener_manager_lds_update_rejected",
    "filter": "envoy_extension_config_discovery_http_filter_peergate_update_rejected",
}


@pytest.mark.parametrize("kind", ["listener", "filter"])
def test_a_policy_changes_while_requests_are_served(envoy, agent, kind):
    dynamic = Dynamic(kind, OUTPUT / "envoy/dynamic")
    dynamic.put(peergate(GOOD_POLICY, ENVIRONMENT))
    running = envoy(dynamic.bootstrap(cluster("agent", agent.port)), ENVIRONMENT)
    good, key = bearer(token()), {"X-Api-Key": MRWHITE_KEY}
    invalid = (401, "Invalid or missing authentication credentials")
    with Client(running) as client, Client(running) as other:
        assert client.get("/", good).status_code == 200
        assert refusal(client.get("/", key)) == invalid
        statuses, stop = [], threading.Event()

        def keep_asking():
            while not stop.is_set():
                statuses.append(other.get("/", good).status_code)

        asking = threading.Thread(target=keep_asking)
        asking.start()
        try:
            # The bad one is refused, by name, and the good one goes on.
            dynamic.put(peergate(BAD_POLICY, ENVIRONMENT))
            wait_until(
                lambda: names_both_mistakes(running.log()), PATIENCE_SECONDS, "the log names the mistakes"
            )
            assert client.get("/", good).status_code == 200
            assert refusal(client.get("/", key)) == invalid
            # An alert asks for this (observability/alerts.yaml).
            refused = lambda: f"\n{REFUSALS[kind]}{{}} 1\n" in running.admin("/stats/prometheus")  # noqa: E731
            wait_until(refused, PATIENCE_SECONDS, "Envoy counts the refusal")
            # The next good one counts.
            dynamic.put(peergate(policy(rule("agent", ["jwt", "api_key"])), ENVIRONMENT))
            accepted = lambda: client.get("/", key).status_code == 200  # noqa: E731
            wait_until(accepted, PATIENCE_SECONDS, "the new policy counts")
        finally:
            stop.set()
            asking.join()
    assert set(statuses) == {200}


def check(policy, name, **environment):
    """What `peergate check` says of a policy, with its warnings: exit status and output."""
    file = OUTPUT / f"check/{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(policy), encoding="utf-8")
    done = subprocess.run(
        [PROGRAM, "check", file], env=ENVIRONMENT | environment, capture_output=True, text=True, timeout=60
    )
    file.with_suffix(".log").write_text(done.stdout + done.stderr, encoding="utf-8")
    return done.returncode, done.stdout + done.stderr


def test_the_checker_says_what_envoy_says():
    status, said = check(GOOD_POLICY, "good")
    assert (status, "ok" in said.splitlines()) == (0, True)
    status, said = check(BAD_POLICY, "bad")
    assert status == 1
    assert names_both_mistakes(said)


def test_the_checker_takes_the_policy_of_the_demo():
    demo = yaml.safe_load(DEMO_CONFIGURATION.read_text(encoding="utf-8"))
    (chain,) = demo["static_resources"]["listeners"][0]["filter_chains"]
    filters = chain["filters"][0]["typed_config"]["http_filters"]
    shipped = filters[0]["typed_config"]["config"]["configuration"]["value"]
    status, said = check(shipped, "demo", API_KEY="for the check only", CLIENT_SECRET="for the check only")
    assert (status, "ok" in said.splitlines()) == (0, True)
