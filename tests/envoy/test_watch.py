"""What those see who watch the proxy: metrics as Prometheus takes them, the dashboard, the alerts, spans.

One Envoy, in which everything happens twice that the filter counts, and a real Prometheus that scrapes it meanwhile.
"""

import json
import math
import re
import subprocess
import time
from typing import Any, get_args, get_type_hints
from xml.etree import ElementTree

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

import picture
from support.cast import MRPINK_SEED, MRWHITE_KEY, bearer, token
from support.credentials import totp
from support.debian import find, program
from support.documents import anchors
from support.paths import OUTPUT, ROOT
from support.process import PATIENCE_SECONDS, wait_until
from support.prometheus import Prometheus, expression, panels
from support.sinks import Sinks
from support.watched import CARD, Watched, expect

ALERTS = ROOT / "observability/alerts.yaml"
DASHBOARD = json.loads((ROOT / "observability/dashboard.json").read_text(encoding="utf-8"))
METRICS = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")

#: The stricter rule that is tried, in front of the one that it shall replace.
STRICTER = {
    "name": "stricter",
    "match": {"path_prefixes": ["/reports"]},
    "accept": ["jwt", "api_key"],
    "require": {"scopes": ["reports.delete"]},
}
SHADOW = STRICTER | {"enforcement": "shadow"}

REQUESTS = "peergate_requests_total"

#: Every series of the filter. Its labels are those of the documents, and no others.
EXPECTED = {
    REQUESTS: {
        ("inbound", "allow", "ok", "card"),
        ("inbound", "allow", "ok", "reports"),
        ("inbound", "allow", "ok", "opaque"),
        ("inbound", "allow", "ok", "once"),
        ("inbound", "allow", "ok", "agent"),
        ("inbound", "deny", "credentials_missing", "reports"),
        ("inbound", "deny", "audience_invalid", "reports"),
        ("inbound", "deny", "keys_unavailable", "reports"),
        ("inbound", "deny", "token_inactive", "opaque"),
        ("inbound", "deny", "introspection_unavailable", "opaque"),
        ("inbound", "deny", "totp_missing", "agent"),
        ("inbound", "deny", "totp_invalid", "agent"),
        ("inbound", "deny", "totp_invalid", "once"),
        ("inbound", "deny", "totp_replayed", "once"),
        ("inbound", "deny", "totp_throttled", "once"),
        ("inbound", "deny", "layer_order", "none"),
        ("inbound", "shadow_allow", "ok", "stricter"),
        ("inbound", "shadow_deny", "credentials_missing", "stricter"),
        ("inbound", "shadow_deny", "audience_invalid", "stricter"),
        ("inbound", "shadow_deny", "scope_insufficient", "stricter"),
        ("inbound", "shadow_deny", "keys_unavailable", "stricter"),
        ("outbound", "allow", "ok", "charlie"),
        ("outbound", "allow", "ok", "own"),
        ("outbound", "allow", "ok", "query"),
        ("outbound", "allow", "no_policy", "none"),
        ("outbound", "deny", "outbound_no_match", "none"),
        ("outbound", "deny", "token_refused", "charlie"),
        ("outbound", "deny", "token_unavailable", "charlie"),
    },
    "peergate_query_credential_exposed_total": {("query",)},
    "peergate_agent_cards_total": {
        ("rewritten",),
        ("passed_signed",),
        ("passed_no_card",),
        ("passed_encoded",),
    },
    "peergate_signatures_total": {("proxy",), ("module",)},
    "peergate_key_fetches_total": {("corp", "ok"), ("corp", "unchanged"), ("corp", "status")},
    "peergate_key_set_fetched_timestamp_seconds": {("corp",)},
    "peergate_keys_skipped_total": {("corp", "symmetric")},
    "peergate_key_waits_total": {("corp", "started"), ("corp", "decided")},
    "peergate_keys_stale_total": {("corp",)},
    "peergate_shared_keys_rejected_total": {("corp",)},
    "peergate_token_requests_total": {
        ("found", "ok"),
        ("sts", "ok"),
        ("sts", "refused"),
        ("sts", "unavailable"),
    },
    "peergate_metadata_requests_total": {("found", "ok")},
    "peergate_token_waits_total": {
        ("found", "started"),
        ("found", "decided"),
        ("sts", "started"),
        ("sts", "decided"),
    },
    "peergate_introspections_total": {("opaque", "ok"), ("opaque", "refused"), ("opaque", "unavailable")},
    "peergate_introspection_waits_total": {("opaque", "started"), ("opaque", "decided")},
}

#: What has no data here, and should not have: the limits of waits, which nobody has reached.
EMPTY = {"{{client}} {{outcome}}": 'outcome=~"timed_out|full"'}

#: What is to be looked at after this. The others need more time, or did not happen.
FIRING = {
    "PeergateNotConfigured",
    "PeergateNoPolicy",
    "PeergateSigningKeysStale",
    "PeergateSharedKeysRejected",
    "PeergateTotpThrottled",
    "PeergateQueryCredentialExposed",
    "PeergateAgentCardNotRewritten",
}


@pytest.fixture(scope="module")
def sinks():
    with Sinks(OUTPUT / "envoy/watch-sinks") as sinks:
        yield sinks


@pytest.fixture(scope="module")
def running(envoy, sinks):
    with Watched(envoy, OUTPUT / "envoy/watch", SHADOW, sinks=sinks) as watched:
        yield watched


@pytest.fixture(scope="module")
def scraping(running):
    """A Prometheus that sees all of it; none where there is none."""
    if find("prometheus") is None:
        yield None
        return
    with Prometheus(
        OUTPUT / "envoy/watch", running.envoy.admin_url.removeprefix("http://"), rules=ALERTS
    ) as prometheus:
        yield prometheus


@pytest.fixture(scope="module")
def watched(running, scraping):
    """The proxy after all of it, with what it has counted then, and since when."""
    running.began = time.time()
    running.drive()
    running.rotate()
    running.guess()
    if scraping:
        scraping.await_scrape()
    running.drive()
    if scraping:
        scraping.await_scrape()
    running.fail()
    running.overwrite()
    running.await_stale()
    running.exposition = running.envoy.admin("/stats/prometheus")
    return running


@pytest.fixture(scope="module")
def prometheus(scraping, watched):  # noqa: ARG001
    if scraping is None:
        program("prometheus")
    scraping.await_scrape()
    return scraping


def documented():
    """The metrics of the document, with their labels and their type."""
    rows = re.findall(r"^\| `(peergate_\w+)` \| (\w+) \| ([^|]*) \|", METRICS, re.MULTILINE)
    return {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_the_document_has_every_metric_of_the_source():
    source = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "src").rglob("*.rs"))
    named = re.findall(r'"peergate_(\w+_(?:total|seconds))\.([\w.{}]+)', source)
    written = {f"peergate_{name}": tuple(labels.rstrip(".").split(".")[::2]) for name, labels in named}
    assert {name: labels for name, (_, labels) in documented().items()} == written


def test_the_document_has_every_reason_to_skip_a_key():
    source = (ROOT / "src/jwks/jwk.rs").read_text(encoding="utf-8")
    (names,) = re.findall(r"pub const fn name\(&self\).*?\n    }\n", source, re.DOTALL)
    (row,) = re.findall(r"^\| \| keys skipped \|.*$", METRICS, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) == set(re.findall(r'"(\w+)"', names))


def test_every_metric_comes_out_with_its_type_and_its_labels(watched):
    families = [
        family
        for family in text_string_to_metric_families(watched.exposition)
        if family.name.startswith("peergate_")
    ]
    seen, kinds = {}, {}
    for family in families:
        for sample in family.samples:
            _, labels = documented()[sample.name]
            assert sample.labels.keys() == set(labels), sample
            seen.setdefault(sample.name, set()).add(tuple(sample.labels[label] for label in labels))
            kinds[sample.name] = family.type
            assert sample.value > 0 or family.type == "gauge", sample
    assert seen.keys() == EXPECTED.keys()
    for name, expected in EXPECTED.items():
        assert (name, seen[name] - expected, expected - seen[name]) == (name, set(), set())
    assert kinds == {name: kind for name, (kind, _) in documented().items()}


def test_promtool_has_nothing_against_the_names(watched):
    """But that there is no help, which Envoy has nobody give."""
    check = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=watched.exposition,
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line for line in (check.stdout + check.stderr).splitlines() if line.startswith("peergate_")]
    assert len(found) == len(EXPECTED)
    assert {line.partition(" ")[2] for line in found} == {"no help text"}


def test_the_rules_of_the_alerts_are_good():
    check = subprocess.run(
        [program("promtool"), "check", "rules", ALERTS], capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stdout + check.stderr


def test_each_alert_fires_when_it_should_and_not_else():
    tests = ALERTS.with_name("alerts-test.yaml")
    check = subprocess.run(
        [program("promtool"), "test", "rules", tests], capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stdout + check.stderr
    text = tests.read_text(encoding="utf-8")
    assert set(re.findall(r'alertname="(\w+)"', text)) == {rule["alert"] for rule in rules()}


def rules():
    """The alerts, without what is recorded for them."""
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for rule in group["rules"] if "alert" in rule]


def test_each_alert_says_how_bad_it_is_and_where_to_read_on():
    for rule in rules():
        anchor = re.sub(r"(?<!^)([A-Z])", r"-\1", rule["alert"]).lower()
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}, rule["alert"]
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{anchor}"
        assert anchor in anchors("docs/runbook.md")
        assert rule["labels"]["severity"] in ("critical", "warning", "info")


def test_alerts_are_evaluated_on_what_envoy_counts(prometheus):
    def evaluated() -> list[dict]:
        (group,) = prometheus.ask("rules", type="alert")["groups"]
        return group["rules"] if all(rule["health"] != "unknown" for rule in group["rules"]) else []

    wait_until(evaluated, PATIENCE_SECONDS, "the alerts are evaluated")
    assert {rule["name"]: rule.get("lastError") for rule in evaluated() if rule["health"] != "ok"} == {}
    alerts = [alert for rule in evaluated() for alert in rule["alerts"]]
    assert {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"} == FIRING
    assert [alert for alert in alerts if "error" in alert["annotations"]["summary"]] == []
    known = prometheus.ask("label/__name__/values")
    for rule in rules():
        for name in re.findall(
            r"\b(?:peergate|envoy)_\w+(?:_total|_seconds|_rejected|_success)\b", rule["expr"]
        ):
            assert name in known, f"{rule['alert']} asks for {name}, which is not there"


def test_the_dashboard_has_nothing_that_grafana_does_not_know():
    """Grafana's own library, made from its schemas, reads all of it: what it does not know would be lost."""
    register_default_plugins()
    read = Dashboard.from_json(DASHBOARD)
    assert_kept(DASHBOARD, json.loads(json.dumps(read, cls=JSONEncoder)))
    assert_typed(read)
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def assert_kept(before: Any, after: Any, place: str = "") -> None:
    """Hold every member against what came of it. There may be more: what is meant where nothing is said."""
    if isinstance(before, dict):
        assert before.keys() <= after.keys(), f"{place}: {before.keys() - after.keys()}"
        for name, value in before.items():
            assert_kept(value, after[name], f"{place}/{name}")
    elif isinstance(before, list):
        assert len(before) == len(after), place
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            assert_kept(one, other, f"{place}/{number}")
    else:
        assert before == after, place


def assert_typed(value: Any, place: str = "") -> None:
    """Hold the members of an object of that library against the types that it gives them, where these are plain."""
    if isinstance(value, list):
        for number, each in enumerate(value):
            assert_typed(each, f"{place}/{number}")
    elif hasattr(value, "from_json"):
        for name, kind in get_type_hints(type(value)).items():
            member = getattr(value, name, None)
            plain = [each for each in (get_args(kind) or (kind,)) if each in (str, int, float, bool)]
            if plain and isinstance(member, (str, int, float, bool)):
                assert isinstance(member, (*plain, int) if float in plain else tuple(plain)), (
                    f"{place}/{name}"
                )
            assert_typed(member, f"{place}/{name}")


def test_no_two_panels_of_the_dashboard_overlap():
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_panel_of_the_dashboard_has_data(prometheus, watched):
    end = time.time()
    for panel in panels(DASHBOARD):
        for target in panel["targets"]:
            asked = expression(target)
            if target["instant"]:
                values = [value for _, value in prometheus.query(asked)]
            else:
                series = prometheus.query_range(asked, watched.began, end, 1)
                values = [value for _, points in series for _, value in points]
            if EMPTY.get(target.get("legendFormat"), "nothing") in asked:
                assert values == [], asked
            else:
                assert [value for value in values if math.isfinite(value)], f"{panel['title']}: {asked}"


def test_the_dashboard_can_be_drawn(prometheus, watched):
    """What `make dashboard-picture` does, and that the picture in the documents is one of this dashboard."""
    drawn = picture.Drawing(prometheus, watched.began, time.time()).svg()
    shown = (ROOT / "docs/dashboard.svg").read_text(encoding="utf-8")
    for svg in (drawn, shown):
        titles = {text.text for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}
        assert {panel["title"] for panel in DASHBOARD["panels"]} <= titles


def test_every_variable_of_the_dashboard_has_values(prometheus):
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = re.fullmatch(
                r"label_values\((.*), (\w+)\)", variable["query"]["query"]
            ).groups()
            selector = expression({"expr": selector})
            data = prometheus.ask(f"label/{label}/values", **{"match[]": selector})
            # The job of a test has no namespace.
            assert data or label == "namespace", variable["name"]


def spans_by_otlp(sinks):
    """The tags of each span that came by OTLP, read by OpenTelemetry's own definitions."""
    messages = [ExportTraceServiceRequest.FromString(received.body) for received in sinks.otlp.received]
    return [
        {tag.key: tag.value.string_value for tag in span.attributes}
        for message in messages
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def await_span(sinks, path):
    """The tags of the span of a request."""
    found = lambda: [tags for tags in spans_by_otlp(sinks) if tags.get("http.url", "").endswith(path)]  # noqa: E731
    wait_until(found, PATIENCE_SECONDS, f"the span of {path} came")
    return found()[0]


def of_the_filter(tags):
    return {name: value for name, value in tags.items() if name.startswith("peergate.")}


def test_spans_say_what_was_decided_and_for_whom(watched, sinks):
    """By OTLP, and in Zipkin's form."""
    sinks.forget()
    code = {"X-TOTP": totp(MRPINK_SEED)}
    expect(200, watched.clients["inbound"].get("/traced", bearer(token()) | code))
    expect(403, watched.clients["outbound"].get("/", {"Host": "nowhere.tests.example"}))
    tags = await_span(sinks, "/traced")
    assert of_the_filter(tags) == {
        "peergate.reason": "ok",
        "peergate.rule": "agent",
        "peergate.peer": "mrpink",
        "peergate.sub": "mrpink",
    }
    assert tags["agent.peer"] == "mrpink"
    wait_until(lambda: sinks.zipkin.received, PATIENCE_SECONDS, "the span of the call came")
    (span,) = json.loads(sinks.zipkin.received[0].body)
    assert of_the_filter(span["tags"]) == {"peergate.reason": "outbound_no_match"}


def test_a_refusal_is_found_in_the_log_the_access_log_and_the_trace(watched, sinks):
    expect(401, watched.clients["inbound"].get("/refused", bearer(token())))
    logged = watched.envoy.await_access_log(path="/refused")
    assert (logged["status"], logged["reason"]) == (401, "totp_missing")
    watched.envoy.await_log(
        f"peergate: deny inbound reason=totp_missing rule=agent request_id={logged['request_id']}: "
    )
    tags = await_span(sinks, "/refused")
    assert tags["guid:x-request-id"] == logged["request_id"]
    assert of_the_filter(tags)["peergate.reason"] == "totp_missing"


def test_every_line_about_a_request_has_its_id(watched):
    """The same that stands in the access log: by it the two are joined, and with the span."""
    lines = re.findall(r"wasm log peergate\S* peergate: (peergate: .*)", watched.envoy.log())
    about_requests = [
        line for line in lines if re.match(r"peergate: (allow|deny|shadow|agent_card|query_cred)", line)
    ]
    kinds = {line.split(" ")[1] for line in about_requests}
    assert kinds == {"allow", "deny", "shadow_deny", "agent_card", "query_credential_exposed"}
    assert [line for line in about_requests if not re.search(r" request_id=[0-9a-f-]{36}: ", line)] == []


def test_a_stricter_rule_is_tried_and_enforced(watched, prometheus):
    """The steps of the document, and what they say at each."""
    (asked,) = re.findall(r"^ *```promql\n(.*?)^ *```", OPERATIONS, re.DOTALL | re.MULTILINE)
    asked = asked.replace("[1d]", "[5m]")
    inbound = watched.clients["inbound"]
    reading = {"X-Api-Key": MRWHITE_KEY}

    # In shadow, since the beginning: whoever has no scope is let through, and counted.
    wait_until(
        lambda: inbound.get("/reports", reading).status_code == 200 and newly_refused(prometheus, asked) > 0,
        PATIENCE_SECONDS,
        "Prometheus says what would be refused",
    )
    seen = {"peer": "mrwhite", "shadow_reason": "scope_insufficient"}
    line = watched.envoy.await_access_log(path="/reports", status=200, **seen)
    assert (line["reason"], line["rule"], line["shadow_rule"]) == ("ok", "reports", "stricter")

    # Enforced: it decides, and its callers are refused for what shadow said.
    watched.put(STRICTER)
    wait_until(
        lambda: inbound.get("/reports", reading).status_code == 403, PATIENCE_SECONDS, "the rule is enforced"
    )
    line = watched.envoy.await_access_log(path="/reports", status=403)
    assert (line["reason"], line["rule"], line["shadow_reason"]) == ("scope_insufficient", "stricter", None)

    # And back again, for somebody misses it.
    watched.put(SHADOW)
    wait_until(
        lambda: inbound.get("/reports", reading).status_code == 200, PATIENCE_SECONDS, "it is in shadow again"
    )


def newly_refused(prometheus, asked):
    """The answer of the query, 0 while there is none."""
    return sum(value for _, value in prometheus.query(asked))


def test_the_card_of_the_agent_is_still_there(watched):
    """Nothing of all this has hurt the proxy."""
    assert watched.clients["inbound"].get(CARD).status_code == 200
