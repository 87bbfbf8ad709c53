"""Configuration that changes while Envoy runs."""

import os
from pathlib import Path

import yaml

from .bootstrap import bootstrap, listener


class Dynamic:
    """A listener, or the filter alone, that Envoy reads from a file and reads again when the file is replaced.

    `kind` is `listener` or `filter`; `name` is that of the file.
    """

    def __init__(self, kind: str, directory: Path, name: str | None = None):
        self.kind = kind
        self.file = directory / (name or kind) / f"{kind}.yaml"
        self.file.parent.mkdir(parents=True, exist_ok=True)

    @property
    def source(self) -> dict:
        """Where Envoy looks."""
        return {
            "path_config_source": {
                "path": str(self.file),
                "watched_directory": {"path": str(self.file.parent)},
            },
            "resource_api_version": "V3",
        }

    def put(self, filters: dict, **manager_members: object) -> None:
        """Replace the file at once, as a control plane or a mounted volume does."""
        if self.kind == "listener":
            resource = listener("inbound", [filters], "agent", **manager_members)
            resource = {"@type": "type.googleapis.com/envoy.config.listener.v3.Listener"} | resource
        else:
            resource = {"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"} | filters
        written = self.file.with_suffix(".new")
        written.write_text(yaml.safe_dump({"resources": [resource]}), encoding="utf-8")
        os.replace(written, self.file)  # noqa: PTH105

    def bootstrap(self, *clusters: dict) -> dict:
        """A configuration that takes what changes from the file."""
        if self.kind == "listener":
            return bootstrap([], clusters) | {"dynamic_resources": {"lds_config": self.source}}
        wasm = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
        discovered = {
            "name": "peergate",
            "config_discovery": {"config_source": self.source, "type_urls": [wasm]},
        }
        return bootstrap([listener("inbound", [discovered], "agent")], clusters)
