"""The image of `make image`: reproducible, as Istio's agent takes it, with its bill, in a real registry."""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from datetime import datetime
from pathlib import Path, PurePosixPath

import jsonschema
import pytest
import referencing.jsonschema
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from support.credentials import new_secret
from support.documents import blocks
from support.image_registry import ImageRegistry
from support.paths import MODULE, ROOT

LAYOUT = ROOT / "target/image"
SBOM = ROOT / "target/peergate.cdx.json"
TOOL = ROOT / "target/tools/image"
#: What cargo has said of each crate that it compiled for the module.
COMPILED = ROOT / "target/peergate.compiled.jsonl"

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CYCLONEDX = "application/vnd.cyclonedx+json"


def blob(digest: str) -> bytes:
    return (LAYOUT / "blobs" / digest.replace(":", "/")).read_bytes()


def listed() -> tuple[dict, dict]:
    """The descriptors of the image and of its bill of materials."""
    image, bill = json.loads((LAYOUT / "index.json").read_text())["manifests"]
    return image, bill


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def agent_reads(manifest: dict, blobs) -> bytes:
    """The module that Istio's agent takes out of an image, by its rules (istio/istio, pkg/wasm/imagefetcher.go)."""
    assert manifest.get("mediaType", MANIFEST) == MANIFEST
    last = manifest["layers"][-1]
    assert last["mediaType"] == LAYER
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blobs(last["digest"])))) as archive:
        # The first of that name, in whatever folder it is.
        for member in archive:
            if PurePosixPath(member.name).name == "plugin.wasm":
                return archive.extractfile(member).read()
    raise AssertionError("no plugin.wasm")


# The layout


def test_the_agent_finds_the_module():
    image, _ = listed()
    manifest = json.loads(blob(image["digest"]))
    assert agent_reads(manifest, blob) == MODULE.read_bytes()


def test_the_layer_holds_nothing_of_the_machine():
    image, _ = listed()
    (layer,) = json.loads(blob(image["digest"]))["layers"]
    packed = blob(layer["digest"])
    # Neither a time nor the name of a file in gzip's own header.
    assert packed[3] == 0
    assert packed[4:8] == bytes(4)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == ["LICENSE", "plugin.wasm"]
    for member in members:
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
        assert (member.mode, member.isfile()) == (0o644, True)


def test_the_image_says_what_it_is():
    image, _ = listed()
    said = json.loads(blob(image["digest"]))["annotations"]
    assert {
        name.removeprefix("org.opencontainers.image."): value for name, value in said.items()
    }.items() >= {
        "title": "peergate",
        "version": version(),
        "licenses": "Apache-2.0",
        "module.wasm.image/variant": "compat",
    }.items()
    assert image["annotations"] == {"org.opencontainers.image.ref.name": version()}
    # Of the source only its owner knows where it is.
    assert "org.opencontainers.image.source" not in said


def version() -> str:
    return re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]


# The specification


@pytest.fixture(scope="module")
def schemas():
    """The schemas of the OCI image specification, in the Go module that go-containerregistry is built with."""
    text = (ROOT / "tools/image/go.mod").read_text()
    pinned = re.search(r"github.com/opencontainers/image-spec (\S+)", text)[1]
    folder = ROOT / f".venv/go/pkg/mod/github.com/opencontainers/image-spec@{pinned}/schema"

    def read(name: str) -> referencing.Resource:
        # They refer to one another by file, and to themselves by places where nothing is.
        schema = without_ids(json.loads((folder / name.rpartition("/")[2]).read_text()))
        return referencing.jsonschema.DRAFT4.create_resource(schema)

    registry = referencing.Registry(retrieve=read)

    def valid(name: str, content: bytes) -> bool:
        document = json.loads(content)
        jsonschema.Draft4Validator(read(f"{name}-schema.json").contents, registry=registry).validate(document)
        return True

    return valid


def without_ids(schema):
    match schema:
        case dict():
            return {
                name: without_ids(value)
                for name, value in schema.items()
                if not (name == "id" and isinstance(value, str))
            }
        case list():
            return [without_ids(each) for each in schema]
    return schema


def test_layout_and_manifests_are_as_the_specification_has_them(schemas):
    assert schemas("image-layout", (LAYOUT / "oci-layout").read_bytes())
    assert schemas("image-index", (LAYOUT / "index.json").read_bytes())
    for each in listed():
        assert schemas("image-manifest", blob(each["digest"]))
    image, _ = listed()
    config = blob(json.loads(blob(image["digest"]))["config"]["digest"])
    assert schemas("config", config)
    with pytest.raises(jsonschema.ValidationError):
        schemas("config", config.replace(b'"layers"', b'"leaves"'))


def test_each_blob_is_what_its_name_says():
    for file in (LAYOUT / "blobs/sha256").iterdir():
        assert hashlib.sha256(file.read_bytes()).hexdigest() == file.name


# The same digest from the same source


def files(directory: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(directory)): file.read_bytes()
        for file in sorted(directory.rglob("*"))
        if file.is_file()
    }


def made_elsewhere(folder: Path, **environment: str) -> tuple[str, dict[str, bytes]]:
    """The image from copies of what it is made of, by somebody else at another time; its digest, and all files."""
    (folder / "src").mkdir(parents=True)
    (folder / "benches").mkdir()
    for name in ("Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("src/lib.rs", "src/main.rs", "benches/core.rs"):
        (folder / name).touch()
    shutil.copytree(ROOT / "tools", folder / "tools")
    shutil.copy(MODULE, folder / "module.wasm")
    environment = dict(os.environ) | environment
    python = ROOT / ".venv/bin/python"
    for command in (
        [python, "tools/sbom.py", "module.wasm", "sbom.json"],
        [
            TOOL,
            "build",
            "--module=module.wasm",
            "--licence=LICENSE",
            "--sbom=sbom.json",
            "--layout=image",
            *commit(),
        ],
    ):
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
    return done.stdout.strip(), files(folder / "image") | {"sbom": (folder / "sbom.json").read_bytes()}


def commit() -> list[str]:
    """What `make image` was told of the commit."""
    image, _ = listed()
    said = json.loads(blob(image["digest"]))["annotations"]
    revision = said.get("org.opencontainers.image.revision")
    if revision is None:
        return []
    made = datetime.fromisoformat(said["org.opencontainers.image.created"])
    return [f"--revision={revision}", f"--epoch={int(made.timestamp())}"]


def test_two_builds_in_two_directories_have_one_digest(tmp_path):
    first = made_elsewhere(tmp_path / "one", TZ="Asia/Tokyo", LANG="C")
    second = made_elsewhere(tmp_path / "another/place", TZ="UTC", USER="somebody", PYTHONHASHSEED="1")
    assert first == second
    image, _ = listed()
    assert first == (image["digest"], files(LAYOUT) | {"sbom": SBOM.read_bytes()})


def test_nothing_but_an_image_is_removed(tmp_path):
    (tmp_path / "image").mkdir()
    (tmp_path / "image/mine.txt").touch()
    command = [TOOL, "build", f"--module={MODULE}", f"--licence={ROOT / 'LICENSE'}", f"--sbom={SBOM}"]
    subprocess.run([*command, f"--layout={tmp_path / 'image'}"], check=True, capture_output=True)
    assert (tmp_path / "image/mine.txt").exists()


# The bill of materials


@pytest.fixture(scope="module")
def bill() -> dict:
    return json.loads(SBOM.read_text())


def test_the_bill_is_cyclonedx():
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(SBOM.read_text()) is None


def test_the_bill_is_that_of_this_module(bill):
    (digest,) = bill["metadata"]["component"]["hashes"]
    assert f"sha256:{digest['content']}" == sha256(MODULE.read_bytes())
    assert "timestamp" not in bill["metadata"]
    assert str(ROOT) not in SBOM.read_text()


def test_the_bill_lists_what_was_compiled_and_nothing_else(bill):
    """`cargo tree` made the bill; what the compiler was run on is told by cargo itself."""
    within, besides = set(), set()
    for line in COMPILED.read_text().splitlines():
        message = json.loads(line)
        if message["reason"] != "compiler-artifact" or message["target"]["kind"] == ["custom-build"]:
            continue
        crate = re.search(r"#(?:(.+)@)?(.+)$", message["package_id"])
        name = crate[1] or message["package_id"].rpartition("/")[2].partition("#")[0]
        is_within = any("/wasm32-wasip1/" in file for file in message["filenames"])
        (within if is_within else besides).add((name, crate[2]))
    within.remove(("peergate", version()))
    crates = [each for each in bill["components"] if each["purl"].startswith("pkg:cargo/")]
    scopes = {(each["name"], each["version"]): each["scope"] for each in crates}
    assert len(scopes) == len(crates)
    assert {crate for crate, scope in scopes.items() if scope == "required"} == within
    assert {crate for crate, scope in scopes.items() if scope == "excluded"} == besides - within
    tools = {each["name"]: each["scope"] for each in bill["components"] if each not in crates}
    assert tools == {"rust-std": "required", "rustc": "excluded", "binaryen": "excluded"}


def test_each_crate_is_the_one_that_is_locked(bill):
    locked = (ROOT / "Cargo.lock").read_text()
    for each in bill["components"]:
        if each["purl"].startswith("pkg:cargo/"):
            (digest,) = each["hashes"]
            found = re.search(
                rf'name = "{each["name"]}"\nversion = "{re.escape(each["version"])}"\n.*\nchecksum = "(.+)"',
                locked,
            )
            assert found[1] == digest["content"]
            assert each["licenses"]


# In a registry


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with ImageRegistry("image", tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def pushed(registry) -> str:
    """What `make push` prints: the name with the digest."""
    command = [TOOL, "push", f"--layout={LAYOUT}", f"{registry.host}/mesh/peergate:{version()}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_is_printed_names_the_manifest(registry, pushed):
    image, _ = listed()
    assert pushed == f"{registry.host}/mesh/peergate@{image['digest']}"


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_another_client_pulls_what_was_made(registry, pushed, by):
    image, _ = listed()
    reference = version() if by == "tag" else pushed.rpartition("@")[2]
    answer = registry.get(f"mesh/peergate/manifests/{reference}", MANIFEST)
    assert answer.headers["content-type"] == MANIFEST
    assert answer.headers["docker-content-digest"] == sha256(answer.content) == image["digest"]

    def pulled(digest: str) -> bytes:
        content = registry.get(f"mesh/peergate/blobs/{digest}").content
        assert sha256(content) == digest
        return content

    assert agent_reads(answer.json(), pulled) == MODULE.read_bytes()


def test_the_bill_is_found_by_the_image(registry, pushed, schemas):
    """This registry does not know the referrers API: clients look under a tag that is made of the digest."""
    digest = pushed.rpartition("@")[2]
    index = registry.get(f"mesh/peergate/manifests/{digest.replace(':', '-')}", INDEX)
    assert schemas("image-index", index.content)
    (entry,) = [each for each in index.json()["manifests"] if each["artifactType"] == CYCLONEDX]
    manifest = registry.get(f"mesh/peergate/manifests/{entry['digest']}", MANIFEST)
    assert sha256(manifest.content) == entry["digest"]
    assert manifest.json()["subject"]["digest"] == digest
    (layer,) = manifest.json()["layers"]
    assert layer["mediaType"] == CYCLONEDX
    assert registry.get(f"mesh/peergate/blobs/{layer['digest']}").content == SBOM.read_bytes()


def test_to_push_twice_changes_nothing(registry, pushed):
    command = [TOOL, "push", f"--layout={LAYOUT}", f"{registry.host}/mesh/peergate:{version()}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == pushed
    tag = pushed.rpartition("@")[2].replace(":", "-")
    attached = registry.get(f"mesh/peergate/manifests/{tag}", INDEX).json()["manifests"]
    assert [each["artifactType"] for each in attached].count(CYCLONEDX) == 1


def test_signed_as_the_document_says(registry, pushed, tmp_path):
    cosign = ROOT / "target/tools/cosign"
    if not cosign.exists():
        pytest.skip("`make cosign` has not been called")
    (tmp_path / "cosign").symlink_to(cosign)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "COSIGN_PASSWORD": new_secret("password of the key that signs images"),
        "PUSHED": pushed,
    }
    signing = [block.text for block in blocks("docs/image.md") if block.text.startswith("cosign ")]
    assert len(signing) == 3

    def typed(command: str) -> subprocess.CompletedProcess:
        # An empty answer at a question.
        return subprocess.run(
            ["bash", "-euc", command],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    makes_keys, _, verifies = signing
    for command in signing:
        done = typed(command)
        assert done.returncode == 0, done.stderr
    # The bill of materials is still there, and another key has signed nothing.
    digest = pushed.rpartition("@")[2]
    index = registry.get(f"mesh/peergate/manifests/{digest.replace(':', '-')}", INDEX).json()
    assert [each["artifactType"] for each in index["manifests"]].count(CYCLONEDX) == 1
    (tmp_path / "cosign.key").unlink()
    (tmp_path / "cosign.pub").unlink()
    assert typed(makes_keys).returncode == 0
    assert typed(verifies).returncode != 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "error: what to do is missing: `build` or `push`\n"),
        (["push"], "error: one name of an image is needed, as registry.example/peergate:0.1.0\n"),
        (["push", f"--layout={LAYOUT}", "127.0.0.1:1/no/tag"], "tag"),
        (["push", f"--layout={ROOT / 'docs'}", "127.0.0.1:1/peergate:1"], "index.json"),
        (["push", f"--layout={LAYOUT}", "127.0.0.1:1/peergate:1"], "connection refused"),
    ],
)
def test_what_cannot_be_done_is_said(arguments, says):
    done = subprocess.run([TOOL, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
