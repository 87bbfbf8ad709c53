"""docs/secrets.md: its commands run, from the first key to the second, and a real Envoy takes what they made."""

import os
import re
import stat
import subprocess

import pytest
import yaml

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.client import Client
from support.credentials import new_secret, new_seed, totp
from support.paths import PROGRAM, ROOT
from support.registry import remember
from support.sealing import UNSEALING_KEY

GUIDE = (ROOT / "docs/secrets.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", GUIDE, re.DOTALL)
COMMANDS = [text for kind, text in BLOCKS if kind == "sh" and not text.startswith("kubectl ")]
OF_KUBERNETES = [text for kind, text in BLOCKS if kind == "sh" and text.startswith("kubectl ")]
ENVOYS, PLUGIN, POD = (yaml.safe_load(text) for kind, text in BLOCKS if kind == "yaml")

API_KEY = new_secret("API key of the guide to secrets")
SEED = new_seed("TOTP seed of the guide to secrets")


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """A folder in which every command of the guide was given, and what each printed."""
    folder = tmp_path_factory.mktemp("guide")
    (folder / "bin").mkdir()
    (folder / "bin/peergate").symlink_to(PROGRAM)
    (folder / "seed.txt").write_text(f"{SEED}\n", encoding="utf-8")
    (folder / "secrets.env").write_text(f"MRPINK_KEY={API_KEY}\nMRPINK_TOTP={SEED}\n", encoding="utf-8")
    environment = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "API_KEY": API_KEY}
    printed = []
    for command in COMMANDS:
        done = subprocess.run(
            ["bash", "-euc", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    for file in folder.glob("unsealing*.jwk"):
        for number in re.findall(r'"d":"([^"]+)"', file.read_text(encoding="utf-8")):
            remember("private number of the guide to secrets", number)
    return folder, printed


def test_each_block_is_one_that_is_tested():
    assert (len(COMMANDS), len(OF_KUBERNETES)) == (6, 1)
    assert len(BLOCKS) == 6 + 1 + 3


def test_each_command_says_what_is_looked_for(followed):
    folder, printed = followed
    made, sealed, policy, checked, rotated, checked_again = printed
    assert made == policy == rotated == ""
    assert [line.count(".") for line in sealed.splitlines()] == [4, 4]
    assert (checked, checked_again) == ("ok\nok\n", "ok\n")
    for private in ("unsealing.jwk", "unsealing-2.jwk"):
        assert stat.S_IMODE((folder / private).stat().st_mode) == 0o600
    for public in ("sealing.jwk", "sealing-2.jwk", "policy.yaml"):
        text = (folder / public).read_text(encoding="utf-8")
        assert '"d"' not in text
        assert API_KEY not in text
        assert SEED not in text


@pytest.mark.parametrize("key", ["unsealing.jwk", "unsealing-2.jwk"])
def test_envoy_takes_the_policy_with_the_key_of_before_and_the_next(followed, envoy, agent, key):
    folder, _ = followed
    policy = yaml.safe_load((folder / "policy.yaml").read_text(encoding="utf-8"))
    sealed = peergate(policy)
    # As the guide has it, the module of the tests.
    machine = ENVOYS["vm_config"] | {"code": sealed["typed_config"]["config"]["vm_config"]["code"]}
    sealed["typed_config"]["config"]["vm_config"] = machine
    configuration = bootstrap([listener("inbound", [sealed], "agent")], [cluster("agent", agent.port)])
    # The end of the file is in the variable, as it is in one from a Kubernetes Secret.
    running = envoy(configuration, {UNSEALING_KEY: (folder / key).read_text(encoding="utf-8")})
    with Client(running) as client:
        headers = {"x-api-key": API_KEY, "X-TOTP": totp(SEED)}
        assert client.get("/", headers).status_code == 200
        assert client.get("/", headers | {"x-api-key": SEED}).status_code == 401


def test_every_place_names_the_variable():
    assert ENVOYS["vm_config"]["environment_variables"]["host_env_keys"] == [UNSEALING_KEY]
    assert PLUGIN["spec"]["vmConfig"]["env"] == [{"name": UNSEALING_KEY, "valueFrom": "HOST"}]
    (container,) = POD["spec"]["template"]["spec"]["containers"]
    ((name, source),) = [(each["name"], each["valueFrom"]["secretKeyRef"]) for each in container["env"]]
    assert (container["name"], container["image"], name) == ("istio-proxy", "auto", UNSEALING_KEY)
    (command,) = OF_KUBERNETES
    assert f"create secret generic {source['name']} --from-file={source['key']}=" in command
