"""The manifests in `istio/`, as somebody would apply them: with a place for the module."""

import re

import yaml

from support import crds

from .paths import MANIFESTS


def shipped(file: str, url: str | None = None) -> list[dict]:
    """The manifests of a file. Only where the module comes from is changed."""
    manifests = list(yaml.safe_load_all((MANIFESTS / file).read_text(encoding="utf-8")))
    for manifest in manifests:
        if (plugin := crds.plugin(manifest)) is not None:
            assert url is not None
            plugin["url"] = url
    return manifests


def exported(file: str) -> dict:
    """What a comment of the file has for the annotation `proxy.istio.io/config`."""
    (line,) = re.findall(
        r"^# +(proxyStatsMatcher: .*)$", (MANIFESTS / file).read_text(encoding="utf-8"), re.MULTILINE
    )
    return yaml.safe_load(line)
