"""What editors show of a policy: completion, explanations and faults, from the schemas of `schema/`."""

import re
import subprocess

import pytest

from support.credentials import SigningKey, new_seed
from support.editor import Editor
from support.paths import PROGRAM, ROOT

SEED = new_seed("editor: whatever an example names")
#: What the examples read; a seed is a good key as well.
ENVIRONMENT = {
    "MESH_KEY": SigningKey.generate("ES256", "editor").private_pem(),
    **dict.fromkeys(("MRPINK_TOTP", "CHARLIE_TOTP", "KC_SECRET", "BILLING_KEY"), SEED),
}

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
SAMPLES = [*EXAMPLES, *sorted((ROOT / "envoy").glob("*.yaml")), *sorted((ROOT / "istio").rglob("*.yaml"))]
#: The first line of a file that is a policy.
POLICY = "# yaml-language-server: $schema=../schema/peergate.schema.json\nversion: 1\n"

RULES = POLICY + "inbound:\n  rules:\n  - name: agent\n"


@pytest.fixture(scope="module")
def editor():
    with Editor() as editor:
        yield editor


def named(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("example", EXAMPLES, ids=named)
def test_examples_are_good_and_nothing_is_said_of_them(example):
    command = [PROGRAM, "check", "--deny-hints", example, "--workload", "charlie", "--namespace", "agents"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


@pytest.mark.parametrize("sample", SAMPLES, ids=named)
def test_samples_name_their_schema_and_are_good(editor, sample):
    text = sample.read_text(encoding="utf-8")
    (schema,) = set(re.findall(r"^# yaml-language-server: \$schema=(\S+)$", text, re.MULTILINE))
    assert (sample.parent / schema).resolve().parent == ROOT / "schema"
    assert editor.problems(sample.parent, text) == []


@pytest.mark.parametrize("sample", SAMPLES, ids=named)
def test_a_fault_in_a_sample_is_shown(editor, sample):
    """Wherever the policy stands in it, it is looked at."""
    text = sample.read_text(encoding="utf-8")
    if not re.search(r"^ *version: 1$", text, re.MULTILINE):
        pytest.skip("has no policy")
    broken = re.sub(r"^( *)version: 1$", r"\1version: 1\n\1versoin: 2", text, count=1, flags=re.MULTILINE)
    line = broken.splitlines().index(next(line for line in broken.splitlines() if "versoin" in line)) + 1
    assert editor.problems(sample.parent, broken) == [f"{line}: Property versoin is not allowed."]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (POLICY, "needs `inbound`, `outbound` or both"),
        (RULES, "a rule needs `accept` or `deny: true`"),
        (
            RULES + "    accept: [jwt]\n    deny: true\n",
            "`accept` and `deny: true` exclude each other: keep one of them",
        ),
        (RULES + "    accept: [jwt]\n    paths: [/a]\n", "Property paths is not allowed."),
        (RULES + "    accept: [jwt]\n    match: {paths: [admin]}\n", "a path begins with `/`"),
        (
            POLICY + "inbound:\n  peers: {mrpink: {api_keys: [{}]}}\n",
            "needs exactly one of `sha256`, `env`, `sealed` and `inline`",
        ),
        (
            POLICY
            + "inbound:\n  providers: {kc: {issuer: a, audiences: [b], jwks: {inline: {keys: []}, secrets: []}}}\n",
            "needs exactly one of `discovery`, `remote`, `inline` and `secrets`",
        ),
        (
            POLICY + "inbound:\n  ambiguous_paths: off\n",
            'Value is not accepted. Valid values: "reject", "raw".',
        ),
        (POLICY + "inbound:\n  limits: {max_token_bytes: 0}\n", "Value is below the minimum of 1."),
    ],
)
def test_faults_are_told_in_words(editor, text, problem):
    assert problem in [found.partition(": ")[2] for found in editor.problems(ROOT / "examples", text)]


def test_members_are_offered_and_explained(editor):
    offered = editor.offers(ROOT / "examples", RULES + "    |\n")
    assert {"match", "accept", "require", "deny", "protocol"} <= offered.keys()
    assert offered["deny"] == "`true` refuses whoever asks, with 403."
    assert "name" not in offered
    secret = POLICY + "inbound:\n  peers:\n    mrpink:\n      totp_seeds:\n      - |\n"
    assert {"env", "sealed", "inline"} <= editor.offers(ROOT / "examples", secret).keys()


def test_values_are_offered(editor):
    assert editor.offers(ROOT / "examples", RULES + "    protocol: |\n").keys() >= {"auto", "mcp", "grpc"}
    assert editor.offers(ROOT / "examples", RULES + "    accept: [|]\n").keys() >= {"jwt", "api_key", "none"}


def test_a_policy_within_an_envoy_file_is_completed(editor):
    text = (ROOT / "envoy/sidecar-inbound.yaml").read_text(encoding="utf-8")
    before, rules, _ = text.partition("                      rules:\n")
    assert rules
    offered = editor.offers(
        ROOT / "envoy", before + rules + "                      - name: a\n                        |\n"
    )
    assert {"match", "accept", "require"} <= offered.keys()


def test_a_word_is_explained(editor):
    shown = editor.explanation(ROOT / "examples", POLICY + "inbound:\n  cors_|preflight: pass\n")
    assert "Let through without a credential." in shown
