"""The image that `make image` makes, in a registry, and others like it."""

import subprocess
from pathlib import Path

from support.image_registry import ImageRegistry
from support.paths import OUTPUT, ROOT

#: Where `make image` leaves it.
LAYOUT = ROOT / "target/image"

#: What builds and pushes it.
TOOL = ROOT / "target/tools/image"


class Registry(ImageRegistry):
    """The registry of the mesh. It can be stopped and started again with the images that it has."""

    def __init__(self, directory: Path):
        directory.mkdir(parents=True, exist_ok=True)
        super().__init__("mesh", directory)
        self._directory = directory

    def start(self) -> None:
        """Start it again."""
        self.__enter__()

    def stop(self) -> None:
        """Stop it; its images stay."""
        self.__exit__()

    def pulls(self) -> int:
        """How many manifests it was asked for since it was started."""
        lines = (OUTPUT / "image-registry/mesh.log").read_text(encoding="utf-8").splitlines()
        return sum("http.request.method=GET" in line and "/manifests/" in line for line in lines)

    def image(self, name: str) -> str:
        """The URL of an image, without tag and digest."""
        return f"oci://{self.host}/{name}"

    def push(self, name: str, layout: Path = LAYOUT) -> str:
        """Push a layout, and give the URL of the image with its digest."""
        command = [TOOL, "push", "--layout", layout, f"{self.host}/{name}:v1"]
        pushed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        return f"oci://{pushed.strip()}"

    def push_another(self, name: str, module: bytes) -> str:
        """Push an image with another module."""
        file, layout = self._directory / "another.wasm", self._directory / "another"
        file.write_bytes(module)
        command = [TOOL, "build", "--layout", layout, "--module", file, "--licence", ROOT / "LICENSE"]
        subprocess.run([*command, "--sbom", ROOT / "target/peergate.cdx.json"], check=True)
        return self.push(name, layout)
