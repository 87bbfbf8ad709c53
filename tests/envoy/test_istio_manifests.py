"""The manifests in `istio/`: Kubernetes would take them, and their policies are good ones.

What Istio makes of them is for `make istio`, which has a real one.
"""

import json
import subprocess

import pytest
import yaml

from support import crds, kubernetes
from support.credentials import SigningKey, new_secret, new_seed
from support.paths import DEMO_CONFIGURATION, PROGRAM, ROOT

#: Parts of Deployments, for `kubectl patch`.
PATCHES = {"agent-secrets": "agents", "gateway-secrets": "istio-ingress"}

FILES = sorted(
    str(file.relative_to(ROOT))
    for file in (ROOT / "istio").rglob("*.yaml")
    if not file.name.endswith(".patch.yaml")
)
PAIRS = sorted(file.name for file in (ROOT / "istio/wasmplugin").iterdir())

#: What the variables of the manifests hold, where the form matters.
VALUES = {"ASSERTION_KEY": SigningKey.generate("ES256", "assertion").private_pem()}

#: The variables of secrets.yaml that have a form: policies that read them, and where.
READERS = {
    "MRPINK_TOTP": "wasmplugin/sidecar-inbound",
    "CHARLIE_TOTP": "wasmplugin/sidecar-outbound",
    "ASSERTION_KEY": "wasmplugin/gateway",
}


def manifests(file):
    return list(yaml.safe_load_all((ROOT / file).read_text(encoding="utf-8")))


def plugins():
    """Each policy that is in a manifest, with the part of the resource that loads it."""
    for file in FILES:
        for manifest in manifests(file):
            if (plugin := crds.plugin(manifest)) is not None:
                yield pytest.param(plugin, id=file)


def test_there_are_manifests():
    assert len(PAIRS) == 5
    assert len(FILES) > 2 * len(PAIRS)


@pytest.mark.parametrize("file", FILES)
def test_kubernetes_takes_every_resource(file):
    for manifest in manifests(file):
        if crds.is_istio(manifest):
            assert crds.faults(manifest) == []
        else:
            assert kubernetes.faults(manifest) == []


@pytest.mark.parametrize("file", FILES)
def test_the_command_at_its_head_applies_it(file):
    assert f"#   kubectl apply -f {file}\n" in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("plugin", [*plugins()])
def test_the_policy_is_a_good_one(plugin, tmp_path):
    """Without a word of what may not have been meant; each variable that it reads is let in, and no other."""
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(plugin["pluginConfig"]), encoding="utf-8")
    names = [each["name"] for each in plugin.get("vmConfig", {}).get("env", [])]
    assert set(names) == set(variables(plugin["pluginConfig"]))
    command = [PROGRAM, "check", policy, "--deny-hints", "--workload", "agent", "--namespace", "agents"]
    for name in names:
        command += ["--env", f"{name}={VALUES.get(name) or new_seed(f'manifests: {name}')}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


def test_the_policy_of_the_second_hop_is_a_good_one(tmp_path):
    """It is warned about, as keys in URLs always are."""
    _, second_hop = manifests("istio/query-credentials.yaml")
    (configuration,) = crds.discovered(second_hop)
    (policy,) = crds.policies(second_hop)
    vm = configuration["vm_config"]
    assert vm["environment_variables"] == {"host_env_keys": [*variables(policy)]}
    assert vm["code"]["remote"]["http_uri"]["uri"].partition("@sha256:")[2] == "0" * 64
    assert configuration["failure_policy"] == "FAIL_RELOAD"
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy), encoding="utf-8")
    secret = f"SEARCH_KEY={new_secret('manifests: SEARCH_KEY')}"
    done = subprocess.run([PROGRAM, "check", file, "--env", secret], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "ok\n")
    assert done.stderr.startswith("warning: outbound.insecure_allow_query_param_auth: ")


@pytest.mark.parametrize("plugin", [*plugins()])
def test_nothing_fails_open_and_the_module_is_pinned(plugin):
    assert plugin["failStrategy"] == "FAIL_RELOAD"
    assert plugin["url"].partition("@sha256:")[2] == "0" * 64
    assert all(
        each["valueFrom"] == "HOST" and "value" not in each
        for each in plugin.get("vmConfig", {}).get("env", [])
    )


@pytest.mark.parametrize("name", PAIRS)
def test_both_kinds_say_the_same(name):
    (plugin,), (extension,) = (
        manifests(f"istio/{kind}/{name}") for kind in ("wasmplugin", "trafficextension")
    )
    wasm = extension["spec"].pop("wasm")
    assert plugin["spec"] == extension["spec"] | wasm
    assert plugin["metadata"] == extension["metadata"]


def given(name):
    """The variables that a patch gives to the proxy, with the Secrets that they come from."""
    (patch,) = manifests(f"istio/{name}.patch.yaml")
    (proxy,) = patch["spec"]["template"]["spec"]["containers"]
    assert (proxy["name"], proxy["image"]) == ("istio-proxy", "auto")
    return {each["name"]: each["valueFrom"]["secretKeyRef"] for each in proxy["env"]}


def wanted(namespace):
    """The variables that the policies of a namespace read."""
    for file in FILES:
        for manifest in manifests(file):
            if manifest["metadata"]["namespace"] == namespace:
                for policy in crds.policies(manifest):
                    yield from variables(policy)


@pytest.mark.parametrize(("name", "namespace"), PATCHES.items())
def test_a_patch_and_its_secret_have_what_the_policies_read(name, namespace):
    (secret,) = (
        each for each in manifests("istio/secrets.yaml") if each["metadata"]["namespace"] == namespace
    )
    assert set(given(name)) == set(secret["stringData"]) == set(wanted(namespace))
    for variable, reference in given(name).items():
        assert reference.items() >= {"name": secret["metadata"]["name"], "key": variable}.items()


@pytest.mark.parametrize(("name", "namespace"), PATCHES.items())
def test_kubernetes_takes_a_deployment_with_the_patch(name, namespace):
    (patch,) = manifests(f"istio/{name}.patch.yaml")
    assert patch.keys() == {"spec"}
    labels = {"app": "agent"}
    patch["spec"]["template"]["metadata"] = {"labels": labels}
    assert (
        kubernetes.faults(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "agent", "namespace": namespace},
                "spec": patch["spec"] | {"selector": {"matchLabels": labels}},
            }
        )
        == []
    )
    command = f"--namespace {namespace} --patch-file istio/{name}.patch.yaml\n"
    assert command in (ROOT / f"istio/{name}.patch.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(("variable", "file"), READERS.items())
def test_a_secret_that_was_left_as_it_stands_is_refused(variable, file, tmp_path):
    """Nobody shall run a seed or a key that everybody knows."""
    (resource,) = manifests(f"istio/{file}.yaml")
    values = {
        name: value
        for secret in manifests("istio/secrets.yaml")
        if secret["metadata"]["namespace"] == resource["metadata"]["namespace"]
        for name, value in secret["stringData"].items()
    }
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(resource["spec"]["pluginConfig"]), encoding="utf-8")
    names = [each["name"] for each in resource["spec"]["vmConfig"]["env"]]
    good = {name: VALUES.get(name) or new_seed(f"manifests: {name}") for name in names}
    command = [PROGRAM, "check", policy]
    for name, value in (good | {variable: values[variable]}).items():
        command += ["--env", f"{name}={value}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("1 error\n")


def test_the_labels_of_metrics_are_those_of_the_envoy_samples():
    (configuration,) = manifests("istio/metrics.yaml")
    demo = yaml.safe_load(DEMO_CONFIGURATION.read_text(encoding="utf-8"))
    assert json.loads(configuration["data"]["custom_bootstrap.json"]) == {
        "stats_config": demo["stats_config"]
    }


def variables(value):
    """The names in every `{env: NAME}`."""
    match value:
        case {"env": str(name)}:
            yield name
        case dict():
            for each in value.values():
                yield from variables(each)
        case list():
            for each in value:
                yield from variables(each)
