"""Every document does what it says: its commands run, its configurations load, its links lead somewhere.

A document that has a test of its own (`ELSEWHERE`) is run there, block by block; its links are looked at here.
"""

import ast
import json
import re
import subprocess

import pytest
import yaml

from support import crds, kubernetes
from support.bootstrap import bootstrap, cluster, listener, peergate
from support.credentials import SigningKey, new_seed
from support.debian import program
from support.documents import Block, Reader, anchors, blocks, documents, fits, links, output_of
from support.paths import MODULE, OUTPUT, PROGRAM, ROOT
from support.process import Envoy

#: Documents whose blocks a test of their own runs.
ELSEWHERE = {
    "docs/keys.md": "test_keys_guide.py",
    "docs/secrets.md": "test_secrets_guide.py",
    "docs/token-exchange.md": "test_token_guide.py",
}

#: Blocks that are not run here: how they begin, and why.
NOT_RUN = {
    ("benches/README.md", "make bench "): "a quarter of an hour of measuring",
    ("docs/assertion.md", "pip install "): "tests/envoy/test_assertion.py runs the agent",
    ("docs/image.md", "cosign "): "tests/envoy/test_image.py runs cosign, where it has been built",
    ("docs/metrics.md", "promtool "): "tests/envoy/test_watch.py runs promtool, where there is one",
}

#: Parts of an Envoy configuration that are shown alone: a name for each kind, told by its members.
ENVOY_PARTS = {
    "clusters": "clusters",
    "configuration": "configuration",
    "http_filters": "cors",
    "match": "route",
    "status": "access log",
    "tracing": "tracing",
}

SEED = new_seed("documents: whatever a policy names")

#: Variables that cannot be just any text.
ENVIRONMENT = {
    "ASSERTION_KEY": SigningKey.generate("ES256", "documents").private_pem(),
    "CARD_KEY": SigningKey.generate("ES256", "documents: cards").private_pem(),
}

#: What readers have in their environment, as the documents tell them.
READERS_ENVIRONMENT = {"MRPINK_TOTP": SEED, "BATCH_KEY": SEED}

#: Documents whose reader has a proxy beside them, whose administration interface is at `ADMIN`.
BESIDE_A_PROXY = {"docs/runbook.md"}

LANGUAGES = {"sh", "console", "yaml", "json", "python", "text", "promql"}

ALL = [block for document in documents() for block in blocks(document)]
HERE = [block for block in ALL if block.document not in ELSEWHERE and not block.document.startswith("tests/")]


def is_not_run(block: Block) -> bool:
    return any(block.document == document and block.text.startswith(start) for document, start in NOT_RUN)


def of(language: str) -> list[Block]:
    return [block for block in HERE if block.language == language]


def test_what_is_listed_is_there():
    for document, test in ELSEWHERE.items():
        assert document in (ROOT / "tests/envoy" / test).read_text(encoding="utf-8")
    for document, start in NOT_RUN:
        assert [block for block in HERE if block.document == document and block.text.startswith(start)], start


def test_each_block_says_what_it_is():
    drawings = [block for block in ALL if not block.language]
    assert {str(block) for block in ALL if block.language not in LANGUAGES | {""}} == set()
    # Drawings have none, and nothing in them looks like a command or a setting.
    assert not [str(block) for block in drawings if re.search(r"^(\$ |[a-z_]+: )", block.text, re.MULTILINE)]


@pytest.mark.parametrize("document", documents())
def test_links_lead_somewhere(document):
    for link in links(document):
        path, _, anchor = link.partition("#")
        target = (ROOT / document).parent / path if path else ROOT / document
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(str(target.resolve().relative_to(ROOT))), link


def test_each_reason_has_its_row_of_causes():
    """As the table of reasons has, which is held against the code."""
    rows = re.compile(r"^\| ((?:`\w+`(?:, )?)+) \|", re.MULTILINE)
    listed, explained = (
        [name for row in rows.findall(text) for name in re.findall(r"\w+", row)]
        for text in (
            (ROOT / "docs/operations.md").read_text(encoding="utf-8").split("\n## ")[1],
            (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8"),
        )
    )
    assert sorted(explained) == sorted(listed)


TYPED = sorted({block.document for block in [*of("sh"), *of("console")] if not is_not_run(block)})


@pytest.fixture(scope="module")
def admin(envoy, agent):
    """The administration interface of a proxy with the first policy of the README."""
    policy = next(block for block in blocks("README.md") if block.title == "policy.yaml")
    filters = [peergate(yaml.safe_load(policy.text), READERS_ENVIRONMENT)]
    running = envoy(
        bootstrap([listener("inbound", filters, "agent")], [cluster("agent", agent.port)]),
        READERS_ENVIRONMENT,
    )
    return running.admin_url


@pytest.mark.parametrize("document", TYPED)
def test_its_commands_run(document, tmp_path, request):
    """In the order of the document, in one shell, in a folder with the project and what the document has saved."""
    reader = Reader(tmp_path)
    mine = [block for block in blocks(document) if not is_not_run(block)]
    for block in mine:
        if block.title:
            reader.save(block)
    typed = [block for block in mine if block.language in {"sh", "console"}]
    environment = dict(READERS_ENVIRONMENT)
    if document in BESIDE_A_PROXY:
        environment["ADMIN"] = request.getfixturevalue("admin")
    for block, printed in zip(typed, reader.type(typed, environment), strict=True):
        if block.language == "console":
            assert fits(printed, output_of(block)), f"{block} prints\n{printed}"


def checked(policy: dict, tmp_path) -> subprocess.CompletedProcess:
    text = json.dumps(policy)
    names = set(re.findall(r'"env": "(\w+)"', text)) | set(re.findall(r"\$\{(\w+)\}", text))
    environment = {name: ENVIRONMENT.get(name, SEED) for name in names}
    file = tmp_path / "policy.json"
    file.write_text(text, encoding="utf-8")
    place = ["--workload", "agent", "--namespace", "agents", "--without-unsealing-key"]
    return subprocess.run([PROGRAM, "check", file, *place], env=environment, capture_output=True, text=True)


def is_policy(document: object) -> bool:
    return (
        isinstance(document, dict)
        and "version" in document
        and not {"apiVersion", "static_resources"} & document.keys()
    )


def is_manifest(document: object) -> bool:
    return isinstance(document, dict) and "apiVersion" in document


def is_part_of_a_policy(document: object) -> bool:
    return (
        isinstance(document, dict)
        and bool({"inbound", "outbound"} & document.keys())
        and not is_policy(document)
    )


@pytest.mark.parametrize("block", of("yaml"), ids=str)
def test_its_configurations_load(block, tmp_path):
    for document in yaml.safe_load_all(block.text):
        if is_manifest(document):
            if crds.is_known(document):
                assert crds.faults(document) == []
            else:
                assert kubernetes.faults(document) == []
            for policy in crds.policies(document):
                done = checked(policy, tmp_path)
                assert done.returncode == 0, done.stderr
            continue
        if isinstance(document, dict) and document.keys() == {"protected_resources"}:
            document = {"inbound": document}
        if is_policy(document):
            done = checked(document, tmp_path)
            assert done.returncode == 0, done.stderr
        elif is_part_of_a_policy(document):
            # What it leaves out may be missed, and nothing else.
            done = checked({"version": 1} | document, tmp_path)
            faults = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
            assert not [fault for fault in faults if not re.search(r"is required|there is no ", fault)], (
                faults
            )
        elif isinstance(document, dict) and "scrape_configs" in document:
            file = tmp_path / "prometheus.yaml"
            file.write_text(block.text, encoding="utf-8")
            done = subprocess.run(
                [program("promtool"), "check", "config", file], capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
        else:
            assert kind_of_part(document), f"{block}: what is this a configuration of?"


def test_envoy_takes_the_parts_of_its_configuration():
    """All of them in one configuration: filters, a cluster, a route, an access log."""
    parts = {}
    for block in of("yaml"):
        for document in yaml.safe_load_all(block.text):
            if not is_manifest(document) and (kind := kind_of_part(document)):
                assert kind not in parts, f"{block}: a second one"
                parts[kind] = document
    assert parts.keys() == {"filters", *ENVOY_PARTS.values()}
    (shown,) = parts["filters"]
    config = shown["typed_config"]["config"]
    config["vm_config"]["code"]["local"]["filename"] = str(MODULE)
    as_json = peergate({"version": 1, "inbound": {}})
    as_json["typed_config"]["config"]["configuration"] = parts["configuration"]["configuration"]
    of_pages = parts["cors"]
    of_pages["http_filters"][-1] |= {"typed_config": shown["typed_config"]}
    (guarded,) = parts["clusters"]["clusters"]
    (options,) = guarded["typed_extension_protocol_options"].values()
    options["http_filters"][0]["typed_config"] = shown["typed_config"]
    routes = [{"name": "mcp", "domains": ["*"], "routes": [parts["route"]]}]
    listeners = [
        listener("filters", [shown], "agent", access_log=[json_log(parts["access log"])], **parts["tracing"]),
        listener("json", [as_json], "agent"),
        listener("cors", of_pages["http_filters"], "agent"),
        listener("route", [shown], "agent", route_config={"virtual_hosts": routes}),
    ]
    listeners[2]["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"] = [
        each | {"routes": [parts["route"]]} for each in of_pages["virtual_hosts"]
    ]
    clusters = [cluster(name, 1) for name in ("agent", "mcp", "otel-collector")]
    clusters.append(cluster("charlie", 1) | guarded)
    envoy = Envoy("documents", bootstrap(listeners, clusters), OUTPUT / "documents", {"MRPINK_TOTP": SEED})
    assert envoy.validate() == 0, envoy.log()


def json_log(fields: dict) -> dict:
    return {
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"json_format": fields},
        },
    }


@pytest.mark.parametrize("block", of("json"), ids=str)
def test_its_json_is_json(block):
    text = block.text.strip()
    while text:
        _, end = json.JSONDecoder().raw_decode(text)
        text = text[end:].lstrip()


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_its_python_is_python(block):
    ast.parse(block.text)


def kind_of_part(document: object) -> str | None:
    """What part of an Envoy configuration this is."""
    if isinstance(document, list):
        return "filters" if all("typed_config" in each for each in document) else None
    return next((kind for member, kind in ENVOY_PARTS.items() if member in document), None)
