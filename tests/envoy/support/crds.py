"""Says what is wrong with a manifest of Istio, Envoy Gateway or the Gateway API, by the schemas of Kubernetes itself.

The schemas are those of their own CRDs, which `make setup` fetches. What they leave open stays open: a `pluginConfig`
may hold anything here, and is for `peergate check`. Nor is it known what only istiod's webhook refuses, or a cluster
that runs.
"""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import yaml
from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from .paths import GATEWAY_CRDS, ISTIO_CRDS

#: The groups whose kinds filters and policies of Istio have; a manifest of another one is not Istio's.
GROUP = re.compile(r"[a-z]+\.istio\.io/")


#: Those of Envoy Gateway, and of the Gateway API.
GATEWAY_GROUP = re.compile(r"gateway\.(envoyproxy|networking\.k8s)\.io/")


def is_known(manifest: dict) -> bool:
    """Whether there may be a schema for a manifest."""
    return is_istio(manifest) or GATEWAY_GROUP.match(str(manifest.get("apiVersion"))) is not None


def is_istio(manifest: dict) -> bool:
    """Whether a manifest is for a resource of Istio, be it known or not."""
    return GROUP.match(str(manifest.get("apiVersion"))) is not None


def plugin(manifest: dict) -> dict | None:
    """The part of a WasmPlugin or TrafficExtension that names a module: `url`, `pluginConfig`, `vmConfig`."""
    match manifest.get("kind"):
        case "WasmPlugin":
            return manifest["spec"]
        case "TrafficExtension":
            return manifest["spec"].get("wasm")
    return None


def discovered(manifest: dict) -> list[dict]:
    """What an EnvoyFilter says of the modules that Istio's agent is to fetch for it."""
    patches = [each for each in manifest["spec"]["configPatches"] if each["applyTo"] == "EXTENSION_CONFIG"]
    return [each["patch"]["value"]["typed_config"]["config"] for each in patches]


def policies(manifest: dict) -> list[dict]:
    """The policies of peergate that a manifest holds."""
    if manifest.get("kind") == "EnvoyExtensionPolicy":
        return [each["config"] for each in manifest["spec"].get("wasm", ()) if "config" in each]
    if manifest.get("kind") == "EnvoyFilter":
        return [vm["configuration"]["value"] for vm in discovered(manifest)]
    return [held["pluginConfig"]] if "pluginConfig" in (held := plugin(manifest) or {}) else []


def faults(manifest: dict) -> list[str]:
    """Every fault of a manifest with its place; none: Kubernetes takes it, with `--validate=strict`."""
    kind = f"{manifest.get('apiVersion')} {manifest.get('kind')}"
    schema = _schema(kind)
    if schema is None:
        whose = "Istio" if is_istio(manifest) else "Envoy Gateway"
        return [f"`{kind}`: {whose} has no such resource"]
    errors = [*_validator(kind).iter_errors(manifest)]
    found = [*_metadata_faults(manifest)]
    found += [_said(error, error.message) for error in errors if error.validator not in COMBINATIONS]
    # Rules are for values of the right form, and they say in words what combinations of members do in schemas.
    found = found or [*_rule_faults(schema, manifest, "")]
    return found or [_said(error, "these members do not go together") for error in errors]


#: Keywords of JSON Schema that say which members go together.
COMBINATIONS = {"oneOf", "anyOf", "allOf", "not"}


def _said(error: jsonschema.ValidationError, message: str) -> str:
    return f"{error.json_path.removeprefix('$.')}: {message}"


def _schema(kind: str) -> dict | None:
    return _schemas(GATEWAY_CRDS if GATEWAY_GROUP.match(kind) else ISTIO_CRDS).get(kind)


@functools.cache
def _schemas(file: Path) -> dict[str, dict]:
    """The schema of each version that is served, by `apiVersion` and `kind`."""
    documents = yaml.load_all(file.read_text(encoding="utf-8"), yaml.CSafeLoader)
    return {
        f"{crd['spec']['group']}/{version['name']} {crd['spec']['names']['kind']}": version["schema"][
            "openAPIV3Schema"
        ]
        for crd in documents
        if crd is not None
        for version in crd["spec"]["versions"]
        if version["served"]
    }


@functools.cache
def _validator(kind: str) -> jsonschema.Draft202012Validator:
    schema = _closed(_schema(kind))
    # What every resource has (Kubernetes adds it to each schema); `metadata` is looked at apart.
    schema["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {}}
    schema["required"] = sorted({*schema.get("required", []), "metadata"})
    schema["properties"].pop("status", None)
    return jsonschema.Draft202012Validator(schema, format_checker=_formats())


def _closed(schema: dict) -> dict:
    """A schema of Kubernetes as JSON Schema: a member that it does not know is a fault.

    The alternatives within `oneOf` and the like only restrict what stands beside them, and so they stay open.
    """
    closed = dict(schema)
    if "properties" in schema:
        closed["properties"] = {name: _closed(each) for name, each in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            closed["additionalProperties"] = False
    elif isinstance(schema.get("additionalProperties"), dict):
        closed["additionalProperties"] = _closed(schema["additionalProperties"])
    elif schema.get("type") == "object" and not schema.get("x-kubernetes-preserve-unknown-fields"):
        closed["additionalProperties"] = False
    if "items" in schema:
        closed["items"] = _closed(schema["items"])
    if schema.get("nullable") and "type" in schema:
        closed["type"] = [schema["type"], "null"]
    return closed


def _formats() -> jsonschema.FormatChecker:
    """Those of the formats in Istio's schemas that say more than the type."""
    formats = jsonschema.FormatChecker(formats=())

    @formats.checks("int32")
    def _is_int32(value: object) -> bool:
        return not isinstance(value, int) or -(2**31) <= value < 2**31

    return formats


def _metadata_faults(manifest: dict) -> Iterator[str]:
    """What people write into `metadata`, as the API server checks it for every resource."""
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict):
        yield "metadata: is not an object"
        return
    for unknown in sorted(metadata.keys() - {"name", "namespace", "labels", "annotations"}):
        yield f"metadata: `{unknown}` is not what a manifest says"
    if not _is_name(metadata.get("name"), _SUBDOMAIN, 253):
        yield "metadata.name: is no DNS subdomain"
    if "namespace" in metadata and not _is_name(metadata["namespace"], _LABEL, 63):
        yield "metadata.namespace: is no DNS label"
    for map_name in ("labels", "annotations"):
        for name, value in (metadata.get(map_name) or {}).items():
            if not isinstance(value, str):
                yield f"metadata.{map_name}.{name}: is no string"


#: RFC 1123 §2.1, as Kubernetes reads it.
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"


def _is_name(value: object, pattern: str, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest and re.fullmatch(pattern, value) is not None


def _rule_faults(schema: dict, value: Any, place: str) -> Iterator[str]:
    """What JSON Schema cannot say: keys of lists, and the rules in CEL (`x-kubernetes-validations`)."""
    if value is None:
        return
    here = place.lstrip(".") or "manifest"
    for rule in schema.get("x-kubernetes-validations", ()):
        verdict = _rule(rule["rule"]).eval(data={"self": value})
        if verdict.value() is not True:
            yield f"{here}: {rule.get('message', rule['rule'])}"
    if isinstance(value, list):
        if keys := schema.get("x-kubernetes-list-map-keys"):
            entries = [tuple(each.get(key) for key in keys) for each in value]
            for entry in sorted({each for each in entries if entries.count(each) > 1}, key=str):
                yield f"{here}: {', '.join(keys)} {', '.join(map(str, entry))} stands more than once"
        for index, each in enumerate(value):
            yield from _rule_faults(schema.get("items", {}), each, f"{place}[{index}]")
    elif isinstance(value, dict):
        others = schema.get("additionalProperties")
        for name, each in value.items():
            known = schema.get("properties", {}).get(name, others)
            if isinstance(known, dict):
                yield from _rule_faults(known, each, f"{place}.{name}")


@functools.cache
def _rule(expression: str) -> cel.Expression:
    return _environment().compile(expression)


@functools.cache
def _environment() -> cel.Env:
    """CEL with those of Kubernetes' own functions that Istio's rules call; rules with others do not compile."""

    def function(name: str, returns: cel.Type, implementation: Any, is_member: bool = False) -> Any:
        overload = cel.Overload(
            f"{name}_string",
            return_type=returns,
            parameters=[cel.Type.STRING],
            is_member=is_member,
            impl=implementation,
        )
        return cel.FunctionDecl(name, [overload])

    return cel.NewEnv(
        variables={"self": cel.Type.DYN},
        extensions=[ext_strings.ExtStrings()],
        functions=[
            function("isURL", cel.Type.BOOL, lambda text: bool(urlsplit(text).scheme)),
            # An URL is a type of its own there; the text does as well.
            function("url", cel.Type.STRING, lambda text: text),
            function("getScheme", cel.Type.STRING, lambda text: urlsplit(text).scheme, is_member=True),
        ],
    )
