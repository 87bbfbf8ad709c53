"""The bill of materials of the module: CycloneDX in JSON, by OWASP's own library.

    python tools/sbom.py target/peergate.wasm target/peergate.cdx.json

It lists what is in the module (scope `required`: crates, Rust's own library) and what made it and is not in it (scope
`excluded`: macros, build scripts, the compiler, the optimiser). `cargo tree` says which crates these are: what `cargo
metadata` resolves, and every tool that builds upon that, has crates more that only tests or the program use. Neither
time nor host stands in it: the same source gives the same bytes.
"""

import hashlib
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output import OutputFormat, SchemaVersion, make_outputter
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parents[1]
TARGET = "wasm32-wasip1"

#: A crate by its name and version, as every table here has it.
Crate = tuple[str, str]


def main(module: str, output: str) -> int:
    """Write the bill of a module. 0: it is written."""
    bom = bill(hashlib.sha256(Path(module).read_bytes()).hexdigest())
    text = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)
    Path(output).write_text(text + "\n", encoding="utf-8")
    return 0


def bill(sha256: str) -> Bom:
    """All that the module with this digest is made of."""
    packages = described()
    checksums = locked()
    within, all_of_them = tree("normal,no-proc-macro"), tree("normal,build")
    (root,) = [crate for crate, package in packages.items() if package["source"] is None]
    components = {
        crate: component(packages[crate], checksums.get(crate), crate in within) for crate in all_of_them
    }
    module = components.pop(root)
    module.type = ComponentType.APPLICATION
    module.hashes.add(HashType(alg=HashAlgorithm.SHA_256, content=sha256))
    metadata = BomMetaData(component=module, properties=[Property(name="target", value=TARGET)])
    # The library fills in the moment and a random number: here they follow from the module.
    metadata.timestamp = None
    bom = Bom(metadata=metadata, components=components.values())
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"sha256:{sha256}")
    components[root] = module
    tools = list(toolchain())
    for tool in tools:
        bom.components.add(tool)
    standard = [tool for tool in tools if tool.scope == ComponentScope.REQUIRED]
    for crate, dependencies in all_of_them.items():
        needed = [components[each] for each in sorted(dependencies)]
        bom.register_dependency(components[crate], needed + (standard if crate == root else []))
    return bom


def described() -> dict[Crate, dict]:
    """What each package says of itself."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", TARGET]
    packages = json.loads(run(command))["packages"]
    return {(package["name"], package["version"]): package for package in packages}


def locked() -> dict[Crate, str]:
    """The checksums of the packages, of which `cargo metadata` says nothing."""
    text = (ROOT / "Cargo.lock").read_text(encoding="utf-8")
    entry = re.compile(r'name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "(.+)"')
    return {(name, version): checksum for name, version, checksum in entry.findall(text)}


def tree(edges: str) -> dict[Crate, set[Crate]]:
    """The crates that the module needs by these edges, and what each needs."""
    command = ["cargo", "tree", "--locked", "--target", TARGET, "--edges", edges, "--prefix", "depth"]
    needs: dict[Crate, set[Crate]] = {}
    above: list[Crate] = []
    for line in run(command).splitlines():
        depth, name, version = re.match(r"(\d+)(\S+) v(\S+)", line).groups()
        crate = (name, version)
        del above[int(depth) :]
        needs.setdefault(crate, set())
        if above:
            needs[above[-1]].add(crate)
        above.append(crate)
    return needs


def component(package: dict, checksum: str | None, is_within: bool) -> Component:
    """A crate."""
    name, version = package["name"], package["version"]
    # Old crates write `MIT/Apache-2.0`, and mean that either may be taken.
    licence = (package["license"] or "").replace("/", " OR ")
    links = {ExternalReferenceType.VCS: package["repository"]}
    if checksum is not None:
        links[ExternalReferenceType.DISTRIBUTION] = (
            f"https://static.crates.io/crates/{name}/{name}-{version}.crate"
        )
    return Component(
        type=ComponentType.LIBRARY,
        bom_ref=f"{name}@{version}",
        name=name,
        version=version,
        description=package["description"],
        scope=ComponentScope.REQUIRED if is_within else ComponentScope.EXCLUDED,
        purl=PackageURL("cargo", name=name, version=version),
        licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksum)] if checksum else [],
        external_references=[
            ExternalReference(type=kind, url=XsUri(url)) for kind, url in links.items() if url is not None
        ],
    )


def toolchain() -> Iterator[Component]:
    """Rust and the optimiser, as this project pins them."""
    # The first line is `rustc 1.95.0 (59807616e 2026-04-14)`.
    release = run(["rustc", "--version"]).split()[1]
    rust = LicenseFactory().make_from_string("MIT OR Apache-2.0")
    yield Component(
        type=ComponentType.LIBRARY,
        bom_ref=f"rust-std@{release}",
        name="rust-std",
        version=release,
        description=f"Rust's standard library for {TARGET}",
        scope=ComponentScope.REQUIRED,
        purl=PackageURL("generic", name="rust-std", version=release),
        licenses=[rust],
    )
    yield Component(
        type=ComponentType.APPLICATION,
        bom_ref=f"rustc@{release}",
        name="rustc",
        version=release,
        description="The compiler",
        scope=ComponentScope.EXCLUDED,
        purl=PackageURL("generic", name="rustc", version=release),
        licenses=[rust],
    )
    packages = json.loads((ROOT / "tools/package-lock.json").read_text(encoding="utf-8"))["packages"]
    for path, package in packages.items():
        # Without a path it is the list itself.
        if path:
            name = path.removeprefix("node_modules/")
            yield Component(
                type=ComponentType.APPLICATION,
                bom_ref=f"{name}@{package['version']}",
                name=name,
                version=package["version"],
                scope=ComponentScope.EXCLUDED,
                purl=PackageURL("npm", name=name, version=package["version"]),
                licenses=[LicenseFactory().make_from_string(package["license"])],
            )


def run(command: list[str]) -> str:
    """What a command prints; where it fails, so does this."""
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
