"""Debian's registry for images, and the module as an image in it."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import httpx
import yaml

from support.debian import program

from .control_plane import answers
from .daemon import Daemon

PORT = 5000

#: Image Spec v1: one layer with `plugin.wasm` is what Istio's agent takes.
MEDIA_TYPE = "application/vnd.oci.image"


class Registry:
    """The registry. As a context manager it runs for the length of the block."""

    def __init__(self, directory: Path):
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._daemon: Daemon | None = None

    def __enter__(self) -> "Registry":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, with the images that it has."""
        configuration = self._directory / "registry.yaml"
        content = {
            "version": 0.1,
            "log": {"level": "info"},
            "storage": {"filesystem": {"rootdirectory": str(self._directory / "images")}},
            "http": {"addr": f"127.0.0.1:{PORT}"},
        }
        configuration.write_text(yaml.safe_dump(content), encoding="utf-8")
        command = [str(program("docker-registry")), "serve", str(configuration)]
        self._daemon = Daemon("registry", command, self._directory, {"OTEL_TRACES_EXPORTER": "none"})
        self._daemon.await_serving(lambda: answers(f"http://127.0.0.1:{PORT}/v2/"))

    def stop(self) -> None:
        """Stop it; its images stay."""
        if self._daemon is not None:
            self._daemon.stop()
            self._daemon = None

    def pulls(self) -> int:
        """How many manifests it was asked for."""
        assert self._daemon is not None
        lines = self._daemon.log().splitlines()
        return sum("http.request.method=GET" in line and "/manifests/" in line for line in lines)

    def push(self, name: str, tag: str, module: bytes) -> str:
        """Push a module as an image, and give the URL with its digest."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as packed:
            member = tarfile.TarInfo("plugin.wasm")
            member.size, member.mode = len(module), 0o644
            packed.addfile(member, io.BytesIO(module))
        layer = gzip.compress(archive.getvalue(), mtime=0)
        configuration = json.dumps(
            {
                "architecture": "wasm",
                "os": "wasi",
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": [digest(archive.getvalue())]},
            }
        ).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": f"{MEDIA_TYPE}.manifest.v1+json",
                "config": self._blob(name, f"{MEDIA_TYPE}.config.v1+json", configuration),
                "layers": [self._blob(name, f"{MEDIA_TYPE}.layer.v1.tar+gzip", layer)],
            }
        ).encode()
        url = f"http://127.0.0.1:{PORT}/v2/{name}/manifests/{tag}"
        headers = {"content-type": f"{MEDIA_TYPE}.manifest.v1+json"}
        httpx.put(url, content=manifest, headers=headers, trust_env=False).raise_for_status()
        return f"{image(name)}@{digest(manifest)}"

    @staticmethod
    def _blob(name: str, media_type: str, content: bytes) -> dict:
        with httpx.Client(trust_env=False) as session:
            begun = session.post(f"http://127.0.0.1:{PORT}/v2/{name}/blobs/uploads/").raise_for_status()
            place = httpx.URL(begun.headers["location"]).copy_add_param("digest", digest(content))
            session.put(place, content=content).raise_for_status()
        return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


def image(name: str) -> str:
    """The URL of an image, without tag and digest."""
    return f"oci://127.0.0.1:{PORT}/{name}"


def digest(content: bytes) -> str:
    """As OCI writes it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
