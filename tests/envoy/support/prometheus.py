"""A real Prometheus as a child process, which scrapes an Envoy, and the queries that others write for it."""

import subprocess
import time
from pathlib import Path

import httpx
import yaml

from .debian import program
from .ports import free_port
from .process import PATIENCE_SECONDS, die_with_parent, stop, wait_until

#: Ours: a test has seconds, where an operator has a quarter of a minute.
SCRAPE_SECONDS = 0.5


class Prometheus:
    """The server. As a context manager it runs for the length of the block, on a free port of loopback.

    `targets` are the administration interfaces of Envoys, without a scheme. `directory` gets its configuration, its
    data and its log.
    """

    def __init__(self, directory: Path, *targets: str, rules: Path | None = None):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.url = f"http://127.0.0.1:{free_port()}"
        scrape = {
            "job_name": "envoy",
            "metrics_path": "/stats/prometheus",
            "static_configs": [{"targets": list(targets)}],
        }
        interval = f"{int(SCRAPE_SECONDS * 1000)}ms"
        configuration = {
            "global": {
                "scrape_interval": interval,
                "scrape_timeout": interval,
                "evaluation_interval": interval,
            },
            "rule_files": [str(rules)] if rules else [],
            "scrape_configs": [scrape],
        }
        (directory / "prometheus.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
        self._log = directory / "prometheus.log"

    def __enter__(self) -> "Prometheus":
        command = [
            str(program("prometheus")),
            f"--config.file={self.directory / 'prometheus.yaml'}",
            # Nothing is there from another run: it would be data that nobody has made.
            f"--storage.tsdb.path={self.directory / f'data-{time.time_ns()}'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        try:
            wait_until(self._is_ready, PATIENCE_SECONDS, "Prometheus is ready")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        stop(self._process)

    def ask(self, path: str, **parameters: str | float) -> object:
        """The data that its API answers; an error of it is one of the test."""
        answer = httpx.get(
            f"{self.url}/api/v1/{path}", params=parameters, trust_env=False, timeout=PATIENCE_SECONDS
        )
        document = answer.json()
        assert document["status"] == "success", (parameters, document)
        return document["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The labels and values of an instant vector, now."""
        data = self.ask("query", query=expression)
        assert data["resultType"] in ("vector", "scalar"), expression
        return [(each["metric"], float(each["value"][1])) for each in data["result"]]

    def query_range(
        self, expression: str, start: float, end: float, step: float
    ) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """The labels and points of each series over a time."""
        data = self.ask("query_range", query=expression, start=start, end=end, step=step)
        return [
            (each["metric"], [(at, float(value)) for at, value in each["values"]]) for each in data["result"]
        ]

    def await_scrape(self) -> None:
        """Wait until everything that was counted until now has been scraped, on the clock of the machine."""
        began = time.time()
        # A scrape has the time of its beginning.
        wait_until(
            lambda: any(value > began for _, value in self.query("timestamp(up == 1)")),
            PATIENCE_SECONDS,
            "Prometheus has scraped",
        )

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", trust_env=False).is_success
        except httpx.HTTPError:
            assert self._process.poll() is None, self._log.read_text(encoding="utf-8", errors="replace")
            return False


#: What Grafana puts in the place of its variables, for a test that lasts seconds.
VARIABLES = {
    "$namespace": ".*",
    "$instance": ".*",
    "$rule": ".*",
    "$__rate_interval": "1m",
    "$__range": "5m",
}


def panels(dashboard: dict) -> list[dict]:
    """The panels of a dashboard that ask something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expression(target: dict, variables: dict[str, str] = VARIABLES) -> str:
    """What a panel asks, with a value in the place of each variable."""
    text = target["expr"]
    for name, value in variables.items():
        text = text.replace(name, value)
    assert "$" not in text, text
    return text
