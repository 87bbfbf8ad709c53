"""Whatever prints, sends or copies a request: access logs, tracers, mirrors, Envoy's own log, its administration.

A listener of `listener()` has every one of them; `Sinks` says what each has seen of one request.
"""

import json
from collections.abc import Iterable
from concurrent import futures
from pathlib import Path

import grpc

from . import bootstrap
from .process import PATIENCE_SECONDS, Envoy, wait_until
from .upstream import Upstream

#: Formats of an access log line that could hold a query, by the name of the sink.
FORMATS = {
    "%REQ(XEOP?:PATH)%": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "%REQ(:PATH)%": "%REQ(:PATH)%",
    "%PATH(WQ:PATH)%": "%PATH(WQ:PATH)%",
    "%PATH(WQ:ORIG_OR_PATH)%": "%PATH(WQ:ORIG_OR_PATH)%",
    "%PATH(NQ:PATH)%": "%PATH(NQ:PATH)%",
    "%QUERY_PARAM%": "%QUERY_PARAM(apiKey)%",
    "%QUERY_PARAMS(ORIG)%": "%QUERY_PARAMS(ORIG)%",
}

#: What the administration interface shows.
ADMIN_PAGES = (
    "/config_dump?include_eds",
    "/stats",
    "/stats/prometheus",
    "/clusters",
    "/certs",
    "/listeners",
    "/server_info",
    "/contention",
)


class Sinks:
    """Collectors on loopback, and the directory that file access logs go to."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.zipkin, self.otlp, self.mirror = (Upstream(name) for name in ("zipkin", "otlp", "mirror"))
        self.grpc = GrpcCollector()
        directory.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Sinks":
        for each in (self.zipkin, self.otlp, self.mirror, self.grpc):
            each.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self.zipkin, self.otlp, self.mirror, self.grpc):
            each.__exit__()

    def clusters(self) -> list[dict]:
        """The clusters that lead to the collectors."""
        return [
            bootstrap.cluster("zipkin", self.zipkin.port),
            bootstrap.cluster("otlp", self.otlp.port),
            bootstrap.cluster("mirror", self.mirror.port),
            bootstrap.cluster("collector", self.grpc.port, http2=True),
        ]

    def access_logs(self, name: str) -> list[dict]:
        """Loggers for a connection manager: two files and a gRPC service."""
        return [
            _file_log(self._file(name, "default"), {}),
            _file_log(self._file(name, "fields"), {"log_format": {"json_format": FORMATS | _MARKED}}),
            {
                "name": "envoy.access_loggers.http_grpc",
                "typed_config": {
                    "@type": f"{_EXTENSIONS}.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
                    "common_config": {
                        "log_name": name,
                        "transport_api_version": "V3",
                        "grpc_service": {"envoy_grpc": {"cluster_name": "collector"}},
                        "buffer_size_bytes": 1,
                    },
                    "additional_request_headers_to_log": ["x-envoy-original-path"],
                },
            },
        ]

    def upstream_log(self, name: str) -> list[dict]:
        """A logger for a router: one line for each attempt."""
        text = "%REQ(:PATH)% %REQ(X-MARKER)%\n"
        return [
            _file_log(
                self._file(name, "attempts"), {"log_format": {"text_format_source": {"inline_string": text}}}
            )
        ]

    def tracing(self, tracer: str) -> dict:
        """Tracing of every request by `zipkin` or `otlp`."""
        if tracer == "zipkin":
            provider = {
                "name": "envoy.tracers.zipkin",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig",
                    "collector_cluster": "zipkin",
                    "collector_endpoint": "/api/v2/spans",
                    "collector_endpoint_version": "HTTP_JSON",
                },
            }
        else:
            uri = {"uri": "http://otlp/v1/traces", "cluster": "otlp", "timeout": "5s"}
            provider = {
                "name": "envoy.tracers.opentelemetry",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                    "http_service": {"http_uri": uri},
                    "service_name": "tests",
                },
            }
        return {"provider": provider, "random_sampling": {"value": 100}, "spawn_upstream_span": True}

    def seen(self, name: str, marker: str) -> dict[str, bytes]:
        """What each sink holds of the request with a marker, once each holds something of it."""
        mark = marker.encode()

        def seen() -> dict[str, bytes]:
            fields = [line for line in _lines(self._file(name, "fields")) if mark in line]
            field_values = json.loads(fields[-1]) if fields else {}
            return {
                "default access log": _lines_with(mark, _lines(self._file(name, "default"))),
                **{
                    sink: json.dumps([field_values.get(sink), field_values.get("marker")]).encode()
                    for sink in FORMATS
                },
                "upstream_log": _lines_with(mark, _lines(self._file(name, "attempts"))),
                "gRPC access log": _lines_with(mark, self.grpc.messages),
                "zipkin": _lines_with(mark, [each.body for each in self.zipkin.received]),
                "OTLP": _lines_with(mark, [each.body for each in self.otlp.received]),
                "mirror": _lines_with(mark, [repr(each).encode() for each in self.mirror.received]),
            }

        wait_until(
            lambda: all(mark in each for each in seen().values()), PATIENCE_SECONDS, f"each sink has {marker}"
        )
        return seen()

    def forget(self) -> None:
        """Forget what the collectors have received."""
        for each in (self.zipkin, self.otlp, self.mirror):
            each.forget()
        self.grpc.messages.clear()

    def _file(self, name: str, kind: str) -> Path:
        return self.directory / f"{name}-{kind}.log"


class GrpcCollector:
    """Envoy's access log service, as far as it takes to remember the bytes of every message."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        # No serialisers: messages stay bytes.
        handler = grpc.stream_unary_rpc_method_handler(self._collect)
        service = grpc.method_handlers_generic_handler(
            "envoy.service.accesslog.v3.AccessLogService", {"StreamAccessLogs": handler}
        )
        self._server.add_generic_rpc_handlers((service,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    def __enter__(self) -> "GrpcCollector":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=None).wait()

    def _collect(self, messages: Iterable[bytes], _context: grpc.ServicerContext) -> bytes:
        self.messages.extend(messages)
        return b""


def admin_pages(envoy: Envoy) -> bytes:
    """All that the administration interface shows."""
    return "\n".join(envoy.admin(page) for page in ADMIN_PAGES).encode()


#: The tracers send each span at once: by themselves they wait for five of them, or seconds.
RUNTIME = {
    "layers": [
        {
            "name": "tests",
            "static_layer": {
                "tracing.zipkin.min_flush_spans": 1,
                "tracing.opentelemetry.min_flush_spans": 1,
            },
        }
    ]
}


def _file_log(file: Path, members: dict) -> dict:
    kind = {"@type": f"{_EXTENSIONS}.access_loggers.file.v3.FileAccessLog", "path": str(file)}
    return {"name": "envoy.access_loggers.file", "typed_config": kind | members}


def _lines(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines() if file.exists() else []


def _lines_with(mark: bytes, lines: Iterable[bytes]) -> bytes:
    return b"\n".join(line for line in list(lines) if mark in line)


#: Names the request in a line that may not show its path.
_MARKED = {"marker": "%REQ(X-MARKER)%"}

_EXTENSIONS = "type.googleapis.com/envoy.extensions"
