"""A double of the Kubernetes API: as much of it as istiod asks for, lists and watches of objects that a test applies.

It is no Kubernetes. It stores what it is given, once the schemas have passed it (`support.crds`), runs nothing, and
allows nobody to write but the test: whatever istiod wants to write is answered with 403.
"""

import copy
import itertools
import json
import re
import threading
import time
import uuid
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from support import crds
from support.loopback import Loopback
from support.paths import ISTIO_CRDS

#: The kinds of Kubernetes itself that istiod lists, by group and plural.
KINDS = {
    ("", "namespaces"): "Namespace",
    ("", "pods"): "Pod",
    ("", "services"): "Service",
    ("", "nodes"): "Node",
    ("", "secrets"): "Secret",
    ("", "configmaps"): "ConfigMap",
    ("", "serviceaccounts"): "ServiceAccount",
    ("discovery.k8s.io", "endpointslices"): "EndpointSlice",
    ("apiextensions.k8s.io", "customresourcedefinitions"): "CustomResourceDefinition",
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"): "MutatingWebhookConfiguration",
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"): "ValidatingWebhookConfiguration",
    ("networking.k8s.io", "ingresses"): "Ingress",
    ("networking.k8s.io", "ingressclasses"): "IngressClass",
    ("coordination.k8s.io", "leases"): "Lease",
}

#: What istiod asks of the server itself.
VERSION = {"major": "1", "minor": "34", "gitVersion": "v1.34.0", "platform": "linux/amd64"}

#: `/api/v1/…` and `/apis/GROUP/VERSION/…`, then maybe a namespace, a plural, maybe a name.
PATH = re.compile(r"/(?:api|apis/([^/]+))/([^/]+)(?:/namespaces/([^/]+)(?=/))?/([^/]+)(?:/([^/]+))?")

#: A watch ends after this long, and its client asks anew.
WATCH_SECONDS = 300


@dataclass(frozen=True)
class Key:
    """Where an object stands."""

    group: str
    plural: str
    namespace: str
    name: str


@dataclass(frozen=True)
class Event:
    """A change of one object, as watches tell it."""

    version: int
    kind: str
    key: Key
    value: dict


class KubernetesDouble(Loopback):
    """The server, with its objects. As a context manager it runs for the length of the block."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.kinds = dict(KINDS)
        self.objects: dict[Key, dict] = {}
        self.events: list[Event] = []
        self._versions = itertools.count(1)
        server = _Server(("127.0.0.1", 0), _Handler)
        super().__init__(server)
        server.double = self
        for crd in yaml.load_all(ISTIO_CRDS.read_text(encoding="utf-8"), yaml.CSafeLoader):
            if crd is not None:
                self.kinds[crd["spec"]["group"], crd["spec"]["names"]["plural"]] = crd["spec"]["names"][
                    "kind"
                ]
                self._store(crd)

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def version(self) -> int:
        """The version of the newest change."""
        return self.events[-1].version

    def namespaces(self, *names: str) -> None:
        """Make namespaces."""
        for name in names:
            self._store({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def apply(self, *manifests: dict) -> None:
        """Create or replace objects, as `kubectl apply` does; those of Istio must be without a fault."""
        for manifest in manifests:
            if crds.is_istio(manifest):
                assert crds.faults(manifest) == [], manifest["metadata"]
            self._store(copy.deepcopy(manifest))

    def delete(self, *manifests: dict) -> None:
        """Remove objects; those that are not there are not missed."""
        with self.changed:
            for manifest in manifests:
                key = self._key(manifest)
                if (value := self.objects.pop(key, None)) is not None:
                    self._tell("DELETED", key, value)

    def _store(self, manifest: dict) -> None:
        key = self._key(manifest)
        with self.changed:
            old = self.objects.get(key)
            manifest["metadata"] |= {
                "uid": str(uuid.uuid5(uuid.NAMESPACE_URL, repr(key))),
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "generation": 1 if old is None else old["metadata"]["generation"] + 1,
            }
            self._tell("ADDED" if old is None else "MODIFIED", key, manifest)

    def _tell(self, kind: str, key: Key, value: dict) -> None:
        value = copy.deepcopy(value)
        version = next(self._versions)
        value["metadata"]["resourceVersion"] = str(version)
        if kind != "DELETED":
            self.objects[key] = value
        self.events.append(Event(version, kind, key, value))
        self.changed.notify_all()

    def _key(self, manifest: dict) -> Key:
        group = manifest["apiVersion"].rpartition("/")[0].partition("/")[0]
        (plural,) = [
            plural for (its, plural), kind in self.kinds.items() if (its, kind) == (group, manifest["kind"])
        ]
        metadata = manifest["metadata"]
        return Key(group, plural, metadata.get("namespace", ""), metadata["name"])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    double: KubernetesDouble

    def handle_error(self, *connection: object) -> None:
        """Say nothing: istiod leaves in the middle of a watch when it stops."""


@dataclass(frozen=True)
class _Question:
    """What a GET asks for."""

    key: Key
    api: str
    kind: str
    query: dict[str, str]
    #: Only `metadata` is wanted.
    partial: bool

    def wants(self, key: Key, value: dict) -> bool:
        if (key.group, key.plural) != (self.key.group, self.key.plural):
            return False
        if self.key.namespace not in ("", key.namespace) or self.key.name not in ("", key.name):
            return False
        fields = {"metadata.name": key.name, "metadata.namespace": key.namespace}
        return _selected(self.query.get("fieldSelector"), fields) and _selected(
            self.query.get("labelSelector"), value["metadata"].get("labels") or {}
        )

    def view(self, value: dict) -> dict:
        if self.partial:
            meta = {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata"}
            return meta | {"metadata": value["metadata"]}
        return value | {"apiVersion": self.api, "kind": self.kind}


def _selected(selector: str | None, values: dict[str, str]) -> bool:
    """Whether values match a selector of labels or fields; fields that are not here match."""
    for term in filter(None, (selector or "").split(",")):
        if "!=" in term:
            name, _, value = term.partition("!=")
            matches = values.get(name) != value
        elif "=" in term:
            name, _, value = term.replace("==", "=").partition("=")
            matches = values.get(name, "") == value
        else:
            matches = (term.removeprefix("!") in values) != term.startswith("!")
        if not matches:
            return False
    return True


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Lists, watches, single objects."""
        path = urlsplit(self.path)
        if path.path == "/version":
            self._answer(200, VERSION)
            return
        question = self._question(path.path, path.query)
        if question is None:
            self._refuse(404, "NotFound")
        elif question.query.get("watch") in ("1", "true"):
            self._watch(question)
        elif question.key.name:
            self._single(question)
        else:
            self._list(question)

    def _refuse_to_write(self) -> None:
        self.rfile.read(int(self.headers["content-length"] or 0))
        self._refuse(403, "Forbidden")

    do_POST = do_PUT = do_PATCH = do_DELETE = _refuse_to_write  # noqa: N815

    def _question(self, path: str, query: str) -> _Question | None:
        if (match := PATH.fullmatch(path)) is None:
            return None
        group, version, namespace, plural, name = (part or "" for part in match.groups())
        if (kind := self.server.double.kinds.get((group, plural))) is None:
            return None
        parameters = {name: values[-1] for name, values in parse_qs(query).items()}
        partial = "PartialObjectMetadata" in (self.headers["accept"] or "")
        api = f"{group}/{version}" if group else version
        return _Question(Key(group, plural, namespace, name), api, kind, parameters, partial)

    def _single(self, question: _Question) -> None:
        value = self.server.double.objects.get(question.key)
        if value is None:
            self._refuse(404, "NotFound")
        else:
            self._answer(200, question.view(value))

    def _list(self, question: _Question) -> None:
        double = self.server.double
        with double.changed:
            found = [
                question.view(value) for key, value in double.objects.items() if question.wants(key, value)
            ]
            version = str(double.version)
        api, kind = question.api, f"{question.kind}List"
        if question.partial:
            api, kind = "meta.k8s.io/v1", "PartialObjectMetadataList"
        metadata = {"resourceVersion": version}
        self._answer(200, {"apiVersion": api, "kind": kind, "metadata": metadata, "items": found})

    def _watch(self, question: _Question) -> None:
        if question.query.get("sendInitialEvents") == "true":
            # The client lists then, as with servers that are older than this form.
            self._refuse(422, "Invalid")
            return
        double = self.server.double
        seen = int(question.query.get("resourceVersion") or 0)
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        end = time.monotonic() + WATCH_SECONDS
        while time.monotonic() < end:
            with double.changed:
                if double.version <= seen:
                    double.changed.wait(1)
                news = [event for event in double.events if event.version > seen]
            for event in news:
                seen = event.version
                if question.wants(event.key, event.value):
                    self._chunk({"type": event.kind, "object": question.view(event.value)})
        self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def _chunk(self, value: Any) -> None:
        data = json.dumps(value).encode() + b"\n"
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _refuse(self, code: int, reason: str) -> None:
        status = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason}
        self._answer(code, status)

    def _answer(self, code: int, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
