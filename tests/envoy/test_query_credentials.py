"""Who sees a key that an API wants in the query: in the recommended form the API alone, in others whom the table says.

`docs/query-credentials.md` is written from this.
"""

import contextlib
import copy
import secrets
from urllib.parse import quote_plus

import pytest
import yaml

from secrets_check import forms
from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import sha256
from support.certificates import tls_server
from support.client import Client, refusal
from support.credentials import new_secret
from support.paths import DEMO_CONFIGURATION, MODULE, OUTPUT, QUERY_CREDENTIALS_CONFIGURATION
from support.process import PATIENCE_SECONDS, Envoy, EnvoyDidNotStart, wait_until
from support.registry import remember
from support.sinks import FORMATS, RUNTIME, Sinks, admin_pages
from support.upstream import Failure, Redirect, Upstream

#: The host of the sample, which the tests of the other forms use as well.
API = "api.example"

#: Every character class that a form encodes differently.
SPECIAL = " w+&=%/?#ü"

#: What the agent sends besides.
QUERY = "q=agents&flag"

EXTENSIONS = "type.googleapis.com/envoy.extensions"


def encoded(key):
    """As an HTML form writes it: the space as a plus sign."""
    return quote_plus(key, safe="*-._")


def finder(part):
    """Whether bytes hold the key. Its random part alone is looked for: whoever writes the key writes that too."""
    needles = list(forms(part.encode()))
    return lambda data: any(needle in data for needle in needles)


def echo(key):
    """An answer that sends the caller where it was, key included."""
    return Redirect(f"http://{API}/elsewhere?apiKey={encoded(key)}&a=1")


def new_marker():
    return f"m-{secrets.token_hex(6)}"


# --- The recommended form: envoy/query-credentials.yaml ---------------------------------------------------------------

RECOMMENDED_PART = new_secret("part of the key of the API behind the second hop")
RECOMMENDED_KEY = remember("key of the API behind the second hop", RECOMMENDED_PART + SPECIAL)

#: What a caller shows at a gateway. It is not registered as a secret: Envoy's log at trace prints what callers send.
CALLER_KEY = secrets.token_urlsafe(24)

#: As the sample names them.
SYSTEM_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"


def manager(listener):
    """The connection manager of a listener."""
    ((filters,),) = [chain["filters"] for chain in listener["filter_chains"]]
    return filters["typed_config"]


def router(listener):
    """The router of a listener."""
    return manager(listener)["http_filters"][-1]["typed_config"]


def route(prefix, to, **members):
    """A route whose requests are mirrored and, where they fail, tried again."""
    action = {
        "cluster": to,
        "request_mirror_policies": [{"cluster": "mirror"}],
        "retry_policy": {"retry_on": "gateway-error,reset", "num_retries": 2},
    }
    return {"match": {"prefix": prefix}, "route": action | members}


def shipped(api_port, trusted_ca=None):
    """The sample as it is, but for the module, which is where it was built, and ports that are free.

    With an authority it has the lines as well that ask for TLS.
    """
    text = QUERY_CREDENTIALS_CONFIGURATION.read_text(encoding="utf-8")
    if trusted_ca is not None:
        before, mark, after = text.partition("    # transport_socket:\n")
        marked, rest = after.split("    typed_extension_protocol_options:\n")
        marked = marked.replace("    # ", "    ").replace(SYSTEM_AUTHORITIES, str(trusted_ca))
        text = f"{before}{mark.replace('# ', '')}{marked}    typed_extension_protocol_options:\n{rest}"
    configuration = yaml.safe_load(text)
    resources = configuration["static_resources"]
    configuration["admin"]["address"]["socket_address"]["port_value"] = 0
    resources["listeners"][0]["address"]["socket_address"]["port_value"] = 0
    _, api = resources["clusters"]
    (locality,) = api["load_assignment"]["endpoints"]
    locality["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]["port_value"] = api_port
    options = api["typed_extension_protocol_options"]
    (options,) = options.values()
    vm = options["http_filters"][0]["typed_config"]["config"]["vm_config"]
    vm["code"]["local"]["filename"] = str(MODULE)
    return configuration


def add_sinks(configuration, sinks):
    """Beside the sample's listeners, copies of them that have everything which could see the key.

    `zipkin` and `otlp` are the first hop with a tracer each, all access logs, and routes with rewrites, retries and
    mirrors. `api-retrying` is the second hop with retries of its own. `gateway` is a first hop that asks who is there,
    and `silent-gateway` one that does not pass on what it found out. `traceless` is one that adds no headers.
    """
    resources = configuration["static_resources"]
    first, second = resources["listeners"]
    to_second = resources["clusters"][0]
    retrying = copy.deepcopy(second)
    retrying["name"] = "api-retrying"
    (host,) = manager(retrying)["route_config"]["virtual_hosts"]
    host["routes"][0]["route"]["retry_policy"] = {"retry_on": "gateway-error,reset", "num_retries": 2}
    to_retrying = copy.deepcopy(to_second)
    to_retrying["name"] = to_retrying["load_assignment"]["cluster_name"] = "api-retrying"
    (locality,) = to_retrying["load_assignment"]["endpoints"]
    address = locality["lb_endpoints"][0]["endpoint"]["address"]
    address["envoy_internal_address"]["server_listener_name"] = "api-retrying"
    for tracer in ("zipkin", "otlp"):
        seen = copy.deepcopy(first)
        seen["name"] = tracer
        manager(seen)["tracing"] = sinks.tracing(tracer)
        if tracer == "zipkin":
            manager(seen)["access_log"] += sinks.access_logs("recommended")
            router(seen)["upstream_log"] = sinks.upstream_log("recommended")
        (host,) = manager(seen)["route_config"]["virtual_hosts"]
        host["routes"] = [
            route("/prefix", "api", prefix_rewrite="/new"),
            route("/regex", "api", regex_rewrite={"pattern": {"regex": "^/regex"}, "substitution": "/new"}),
            route("/inner", "api-retrying", retry_policy={}),
            route("/redirected", "api", internal_redirect_policy={}),
            route("/", "api"),
        ]
        resources["listeners"].append(seen)
    gateway = copy.deepcopy(first)
    gateway["name"], gateway["traffic_direction"] = "gateway", "INBOUND"
    inbound = {
        "peers": {"caller": {"tokens": {}, "api_keys": [{"sha256": sha256(CALLER_KEY)}]}},
        "rules": [
            {"name": "public", "match": {"paths": ["/public"]}, "accept": ["none"]},
            {"name": "private", "accept": ["api_key"]},
        ],
    }
    manager(gateway)["http_filters"].insert(0, peergate({"version": 1, "inbound": inbound}))
    silent = copy.deepcopy(gateway)
    silent["name"] = "silent-gateway"
    del manager(silent)["http_filters"][1]
    traceless = copy.deepcopy(first)
    traceless["name"] = "traceless"
    manager(traceless).update(generate_request_id=False, server_header_transformation="PASS_THROUGH")
    router(traceless)["suppress_envoy_headers"] = True
    resources["listeners"] += [gateway, silent, traceless, retrying]
    resources["clusters"] += [to_retrying, *sinks.clusters()]
    configuration["layered_runtime"] = RUNTIME


@pytest.fixture(scope="module")
def sinks():
    with Sinks(OUTPUT / "envoy/query-credentials") as sinks:
        yield sinks


@pytest.fixture(scope="module")
def recommended(envoy, api, sinks):
    """The sample's own listener, and the copies with the sinks; it logs as much as Envoy can."""
    configuration = shipped(api.port)
    add_sinks(configuration, sinks)
    running = envoy(configuration, {"API_KEY": RECOMMENDED_KEY})
    running.set_log_level("trace")
    return running


@pytest.mark.parametrize(
    "failures", [[], [503], [Failure.HANG_UP, 503]], ids=["at-once", "503", "hung-up-503"]
)
@pytest.mark.parametrize("way", ["plain", "prefix", "regex", "inner"])
def test_in_the_recommended_form_the_api_alone_sees_the_key(recommended, sinks, api, way, failures):
    holds_key = finder(RECOMMENDED_PART)
    marker = new_marker()
    path = f"/{'new' if way in ('prefix', 'regex') else way}/{marker}"
    target = f"{path}?{QUERY}&apiKey={encoded(RECOMMENDED_KEY)}"
    logged = len(recommended.log())
    answers = []
    for tracer in ("zipkin", "otlp"):
        api.forget()
        api.failures.extend(failures)
        with Client(recommended, tracer) as client:
            answer = client.get(f"/{way}/{marker}?{QUERY}", {"Host": API, "X-Marker": marker})
        assert answer.status_code == 200
        answers.append(repr((answer.headers, answer.content)).encode())
        assert [request.target for request in api.received] == [target] * (len(failures) + 1)
        assert not any(holds_key(repr(request.headers).encode()) for request in api.received)
    seen = sinks.seen("recommended", marker) | {
        "Envoy's log": recommended.log()[logged:].encode(),
        "administration": admin_pages(recommended),
        "answer": b"".join(answers),
    }
    assert marker.encode() in seen["Envoy's log"]
    assert [sink for sink, data in seen.items() if holds_key(data)] == []


def test_the_sample_itself_gives_the_key_and_logs_without_it(recommended, api):
    """Its own listener, to which the tests add nothing."""
    marker = new_marker()
    with Client(recommended, "outbound") as client:
        answer = client.get(f"/{marker}?apiKey=mine&api%4bey=mine&{QUERY}", {"Host": API})
        assert answer.status_code == 200
        assert client.get(f"/{marker}", {"Host": "other.example"}).status_code == 404
    assert api.only().target == f"/{marker}?{QUERY}&apiKey={encoded(RECOMMENDED_KEY)}"
    # Envoy's default format prints what the agent sent.
    recommended.await_log(f'"GET /{marker}?apiKey=mine&api%4bey=mine&{QUERY} HTTP/1.1" 200')
    assert 'peergate_requests_total{direction="outbound",outcome="allow",reason="ok",rule="api"}' in (
        recommended.admin("/stats/prometheus")
    )


def test_a_path_that_envoy_refuses_is_logged_as_it_was_sent(recommended, api):
    """No filter runs before that. What an agent writes into its own query was never the filter's to hide."""
    marker = new_marker()
    request = f"GET /{marker}?apiKey=mine#there HTTP/1.1\r\nHost: {API}\r\n\r\n"
    assert Client(recommended, "outbound").raw(request.encode()) == (400, b"")
    recommended.await_log(f'"GET /{marker}?apiKey=mine#there HTTP/1.1" 400')
    assert api.received == []


def test_the_sample_is_like_the_demo_in_what_they_share():
    demo = yaml.safe_load(DEMO_CONFIGURATION.read_text(encoding="utf-8"))
    sample = shipped(9002)
    for section in ("stats_config", "overload_manager"):
        assert sample[section] == demo[section]
    _, api = sample["static_resources"]["clusters"]
    (options,) = api["typed_extension_protocol_options"].values()
    first, _ = demo["static_resources"]["listeners"]
    ours, theirs = (
        filters[0]["typed_config"]["config"]
        for filters in (options["http_filters"], manager(first)["http_filters"])
    )
    for member in ("name", "failure_policy"):
        assert ours[member] == theirs[member]
    for member in ("vm_id", "runtime"):
        assert ours["vm_config"][member] == theirs["vm_config"][member]


def test_the_second_hop_leaves_no_trace(recommended, api):
    """Behind a first hop that leaves none either, neither the API nor the agent sees that there was another."""
    with Client(recommended, "traceless") as client:
        answer = client.get("/", {"Host": API, "X-Forwarded-For": "192.0.2.1"})
    received = api.only()
    sent = {"host", "accept", "accept-encoding", "user-agent", "x-forwarded-for"}
    # The first of these two is the first hop's.
    assert received.names() == sent | {"x-forwarded-proto", "x-envoy-original-path"}
    assert received.header("x-forwarded-for") == "192.0.2.1"
    assert received.header("x-envoy-original-path") == "/"
    assert set(answer.headers) == {"content-type", "content-length", "date", "server"}
    assert answer.headers["server"].startswith("BaseHTTP")


def test_a_caller_does_not_choose_what_is_logged_as_its_path(recommended, sinks, api):
    marker = new_marker()
    with Client(recommended, "zipkin") as client, Client(recommended, "otlp") as other:
        headers = {"Host": API, "X-Marker": marker, "X-Envoy-Original-Path": "/forged"}
        assert [each.get(f"/{marker}", headers).status_code for each in (client, other)] == [200, 200]
    seen = sinks.seen("recommended", marker)
    assert f'"GET /{marker} HTTP/1.1" 200'.encode() in seen["default access log"]
    assert [request.header("x-envoy-original-path") for request in api.received] == [f"/{marker}"] * 2


def test_a_redirect_that_the_first_hop_follows_does_not_carry_the_key(recommended, api):
    """Envoy names the URL before the redirect in a header: there it is without the key, and goes no further."""
    api.failures.append(Redirect(f"http://{API}/landed?fresh=1"))
    with Client(recommended, "zipkin") as client:
        assert client.get("/redirected?q=1", {"Host": API}).status_code == 200
    key = f"apiKey={encoded(RECOMMENDED_KEY)}"
    first, second = api.received
    assert (first.target, second.target) == (f"/redirected?q=1&{key}", f"/landed?fresh=1&{key}")
    assert second.header("x-envoy-original-url") is None
    holds_key = finder(RECOMMENDED_PART)
    assert not holds_key(repr(second.headers).encode())


def test_an_api_that_sends_the_key_back_is_not_heard(recommended, api):
    """The second hop takes it out of where the caller is sent, so that the first one's logs do not see it either.

    At trace Envoy's log would: see the test of the same name for the other forms.
    """
    api.failures.append(echo(RECOMMENDED_KEY))
    recommended.set_log_level("debug")
    logged = len(recommended.log())
    with Client(recommended, "outbound") as client:
        answer = client.get("/", {"Host": API})
    assert (answer.status_code, answer.headers["location"]) == (302, f"http://{API}/elsewhere?a=1")
    recommended.set_log_level("trace")
    log = recommended.log()[logged:]
    assert f"http://{API}/elsewhere?a=1" in log
    assert not finder(RECOMMENDED_PART)(log.encode())


def test_a_websocket_goes_through_both_hops(recommended, api):
    handshake = f"GET /socket HTTP/1.1\r\nHost: {API}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    with Client(recommended, "outbound").connection() as connection:
        connection.sendall(handshake.encode())
        stream = connection.makefile("rb")
        assert stream.readline() == b"HTTP/1.1 101 Switching Protocols\r\n"
        while stream.readline() != b"\r\n":
            pass
        connection.sendall(b"ping")
        assert stream.read(4) == b"ping"
        stream.close()
    assert api.only().target == f"/socket?apiKey={encoded(RECOMMENDED_KEY)}"


def test_the_second_hop_gives_strangers_no_key(recommended, api):
    """What an inbound filter found out on the first hop is known on the second, and of each request its own."""
    stranger, known = {"Host": API}, {"Host": API, "X-Api-Key": CALLER_KEY}
    with Client(recommended, "gateway") as client:
        for _ in range(2):
            assert refusal(client.get("/public", stranger)) == (403, "Call not allowed")
            assert client.get("/private", known).status_code == 200
        assert client.get("/private", stranger).status_code == 401
    assert [request.target for request in api.received] == [f"/private?apiKey={encoded(RECOMMENDED_KEY)}"] * 2


def test_without_set_filter_state_the_second_hop_gives_them_the_key(recommended, api):
    """This asserts the fact as it stands: it is why the sample has that filter."""
    with Client(recommended, "silent-gateway") as client:
        assert client.get("/public", {"Host": API}).status_code == 200
    assert api.only().target == f"/public?apiKey={encoded(RECOMMENDED_KEY)}"


def test_the_platform_bounds_what_the_sample_may_list(envoy, api):
    environment = {"API_KEY": RECOMMENDED_KEY, "INSECURE_QUERYPARAM_AUTH_ALLOWED_HOSTS": "other.example"}
    with pytest.raises(EnvoyDidNotStart) as refused:
        envoy(shipped(api.port), environment)
    assert f"variable `INSECURE_QUERYPARAM_AUTH_ALLOWED_HOSTS` does not list `{API}`" in str(refused.value)


@pytest.mark.parametrize("name", [API, "other.example"])
def test_over_tls_the_key_goes_to_nobody_but_the_api(envoy, tmp_path, name):
    """The lines of the sample that are marks away from use, in use."""
    authority, server = tls_server(tmp_path, name)
    with Upstream("tls", server) as upstream:
        running = envoy(shipped(upstream.port, trusted_ca=authority), {"API_KEY": RECOMMENDED_KEY})
        with Client(running, "outbound") as client:
            answer = client.get("/", {"Host": API})
        targets = [request.target for request in upstream.received]
    if name == API:
        assert (answer.status_code, targets) == (200, [f"/?apiKey={encoded(RECOMMENDED_KEY)}"])
    else:
        assert (answer.status_code, targets) == (503, [])
        assert (
            running.admin("/stats?filter=fail_verify_san$") == "cluster.api-with-key.ssl.fail_verify_san: 1\n"
        )


# --- The other forms, leaks included ----------------------------------------------------------------------------------

#: One filter of the listener, or one of the cluster without a second hop.
SIMPLE, UPSTREAM = "simple", "upstream"

#: What a route may do besides.
PLAIN, PREFIX, REGEX, RETRIED, HEDGED = "plain", "prefix", "regex", "retried", "hedged"
ROUTES = (PLAIN, PREFIX, REGEX, RETRIED, HEDGED)

NOWHERE, EVERYWHERE, WHERE_REWRITTEN = (), ROUTES, (PREFIX, REGEX)

#: On which routes a sink sees the key, as Envoy 1.40 is. An Envoy of which this is not true any more changes what
#: docs/query-credentials.md and SECURITY.md may say.
SEEN_ON = {
    # sink: (SIMPLE, UPSTREAM)
    "default access log": (WHERE_REWRITTEN, NOWHERE),
    "%REQ(XEOP?:PATH)%": (WHERE_REWRITTEN, NOWHERE),
    "%PATH(WQ:ORIG_OR_PATH)%": (WHERE_REWRITTEN, NOWHERE),
    "zipkin": (WHERE_REWRITTEN, NOWHERE),
    "OTLP": (WHERE_REWRITTEN, NOWHERE),
    "%REQ(:PATH)%": (EVERYWHERE, EVERYWHERE),
    "%PATH(WQ:PATH)%": (EVERYWHERE, EVERYWHERE),
    "%QUERY_PARAM%": (EVERYWHERE, EVERYWHERE),
    "%QUERY_PARAMS(ORIG)%": (EVERYWHERE, EVERYWHERE),
    "upstream_log": (EVERYWHERE, EVERYWHERE),
    "gRPC access log": (EVERYWHERE, EVERYWHERE),
    "mirror": (EVERYWHERE, NOWHERE),
    "Envoy's log at debug": (EVERYWHERE, NOWHERE),
    "Envoy's log at trace": (EVERYWHERE, NOWHERE),
    "%PATH(NQ:PATH)%": (NOWHERE, NOWHERE),
    "administration": (NOWHERE, NOWHERE),
}

#: These logs are to hold the key: so it is not registered for `tests/secrets_check.py`, and they are written elsewhere
#: than what that looks through.
OTHER_PART = secrets.token_urlsafe(24)
OTHER_KEY = OTHER_PART + SPECIAL


def with_filters(built, *filters):
    """A cluster with HTTP filters of its own."""
    codec = {"@type": f"{EXTENSIONS}.filters.http.upstream_codec.v3.UpstreamCodec"}
    options = {
        "@type": f"{EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http_protocol_options": {}},
        "http_filters": [*filters, {"name": "envoy.filters.http.upstream_codec", "typed_config": codec}],
    }
    name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return built | {"typed_extension_protocol_options": {name: options}}


def other_policy(role, **match):
    """One rule, which gives the API its key."""
    key = {"name": "api", "match": {"hosts": [API], **match}, "query_params": {"apiKey": {"env": "API_KEY"}}}
    outbound = {
        "insecure_allow_query_param_auth": True,
        "insecure_query_param_auth_allowed_hosts": [API],
        "rules": [key],
    }
    return {"version": 1, "role": role, "outbound": outbound}


def other_forms(api_port, sinks):
    """An Envoy with both other forms, each with every sink."""
    filters_of_listeners = {
        SIMPLE: [peergate(other_policy("outbound", clusters=[SIMPLE]), ["API_KEY"])],
        UPSTREAM: [],
    }
    listeners = []
    for placement, filters in filters_of_listeners.items():
        routes = [
            route("/prefix", placement, prefix_rewrite="/new"),
            route(
                "/regex", placement, regex_rewrite={"pattern": {"regex": "^/regex"}, "substitution": "/new"}
            ),
            hedged(route("/hedged", placement)),
            route("/redirected", placement, internal_redirect_policy={}),
            # A cluster without the filter.
            route("/elsewhere", "elsewhere"),
            route("/", placement),
        ]
        for tracer in ("zipkin", "otlp"):
            built = listener(
                f"{placement}-{tracer}",
                filters,
                placement,
                "OUTBOUND",
                tracing=sinks.tracing(tracer),
                access_log=sinks.access_logs(placement) if tracer == "zipkin" else [],
                route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
            )
            if tracer == "zipkin":
                # The helper's routers are one object: this one gets a log of its own.
                http_filters = manager(built)["http_filters"]
                http_filters[-1] = copy.deepcopy(http_filters[-1])
                router(built)["upstream_log"] = sinks.upstream_log(placement)
            listeners.append(built)
    public = {"version": 1, "inbound": {"rules": [{"name": "public", "accept": ["none"]}]}}
    listeners.append(listener("upstream-gateway", [peergate(public)], UPSTREAM, access_log=[]))
    clusters = [
        cluster(SIMPLE, api_port),
        cluster("elsewhere", api_port),
        with_filters(cluster(UPSTREAM, api_port), peergate(other_policy("upstream"), ["API_KEY"])),
        *sinks.clusters(),
    ]
    return bootstrap(listeners, clusters) | {"layered_runtime": RUNTIME}


def hedged(route):
    """The route, with a second attempt beside the first one where that takes its time."""
    route["route"]["hedge_policy"] = {"hedge_on_per_try_timeout": True}
    route["route"]["retry_policy"] |= {"per_try_timeout": "0.2s", "num_retries": 1}
    return route


class OtherForms:
    """The running Envoy with the other forms. What its sinks saw is found out once for each route."""

    def __init__(self, envoy, sinks, api):
        self.envoy, self.sinks, self.api = envoy, sinks, api
        self._seen = {}

    def seen(self, placement, route):
        """What each sink saw of a request, by its name."""
        if (placement, route) not in self._seen:
            self._seen[placement, route] = self._send(placement, route)
        return self._seen[placement, route]

    def _send(self, placement, route):
        seen = {}
        for level in ("debug", "trace"):
            marker = new_marker()
            self.envoy.set_log_level(level)
            logged = len(self.envoy.log())
            for tracer in ("zipkin", "otlp"):
                self.attempts(placement, route, marker, tracer)
            self.envoy.set_log_level("info")
            log = self.envoy.log()[logged:].encode()
            assert marker.encode() in log
            seen |= self.sinks.seen(placement, marker) | {f"Envoy's log at {level}": log}
        return seen | {"administration": admin_pages(self.envoy)}

    def attempts(self, placement, route, marker, tracer="zipkin"):
        """What reaches the API of a request."""
        failures = {RETRIED: [503, Failure.HANG_UP], HEDGED: [Failure.STALL]}.get(route, [])
        self.api.forget()
        self.api.failures.extend(failures)
        with Client(self.envoy, f"{placement}-{tracer}") as client:
            answer = client.get(f"/{route}/{marker}?{QUERY}", {"Host": API, "X-Marker": marker})
        assert answer.status_code == 200
        wait_until(lambda: len(self.api.received) > len(failures), PATIENCE_SECONDS, "each attempt arrives")
        return list(self.api.received)


@pytest.fixture(scope="module")
def others(api, tmp_path_factory):
    directory = tmp_path_factory.mktemp("query-credentials")
    with contextlib.ExitStack() as stack:
        sinks = stack.enter_context(Sinks(directory))
        configuration = other_forms(api.port, sinks)
        envoy = Envoy("others", configuration, directory, {"API_KEY": OTHER_KEY})
        yield OtherForms(stack.enter_context(envoy), sinks, api)


@pytest.mark.parametrize("sink", SEEN_ON)
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("placement", [SIMPLE, UPSTREAM])
def test_who_sees_the_key_in_the_other_forms(others, placement, route, sink):
    simple, upstream = SEEN_ON[sink]
    expected = route in (simple if placement == SIMPLE else upstream)
    # Words, lest a failure print what it found.
    words = {True: "leaks", False: "clean"}
    assert words[finder(OTHER_PART)(others.seen(placement, route)[sink])] == words[expected]


def test_the_table_names_every_sink(others):
    assert set(others.seen(SIMPLE, PLAIN)) == set(SEEN_ON)
    assert set(FORMATS) <= set(SEEN_ON)


@pytest.mark.parametrize(("route", "count"), [(PLAIN, 1), (RETRIED, 3), (HEDGED, 2)])
@pytest.mark.parametrize("placement", [SIMPLE, UPSTREAM])
def test_each_attempt_has_the_key_once(others, placement, route, count):
    """The attempts of a request share its headers: an upstream filter sees what it did to the one before."""
    marker = new_marker()
    received = others.attempts(placement, route, marker)
    target = f"/{route}/{marker}?{QUERY}"
    assert [request.target for request in received] == [f"{target}&apiKey={encoded(OTHER_KEY)}"] * count
    assert [request.header("x-envoy-original-path") for request in received] == [target] * count


def test_an_upstream_filter_gives_strangers_no_key(others, api):
    """On one hop it knows what the inbound filter before it found out."""
    with Client(others.envoy, "upstream-gateway") as client:
        assert refusal(client.get("/", {"Host": API})) == (403, "Call not allowed")
    assert api.received == []


@pytest.mark.parametrize("placement", [SIMPLE, UPSTREAM])
def test_a_redirect_that_envoy_follows_within_the_api_carries_the_key_once(others, api, placement):
    api.failures.append(Redirect(f"http://{API}/landed?x=1"))
    with Client(others.envoy, f"{placement}-zipkin") as client:
        assert client.get("/redirected?q=1", {"Host": API}).status_code == 200
    key = f"apiKey={encoded(OTHER_KEY)}"
    assert [request.target for request in api.received] == [f"/redirected?q=1&{key}", f"/landed?x=1&{key}"]
    assert [request.values("x-envoy-original-url") for request in api.received] == [[], []]


@pytest.mark.parametrize("placement", [SIMPLE, UPSTREAM])
def test_a_redirect_to_another_host_is_not_followed(others, api, placement):
    api.failures.append(Redirect("http://other.example/landed?x=1"))
    with Client(others.envoy, f"{placement}-zipkin") as client:
        assert refusal(client.get("/redirected?q=1", {"Host": API})) == (403, "Call not allowed")
    assert api.only().path == "/redirected"


def test_a_redirect_to_a_cluster_without_the_filter_carries_the_key_in_a_header(others, api):
    """This asserts the fact as it stands: no filter of a cluster is asked about another one."""
    for placement, statuses in ((SIMPLE, 403), (UPSTREAM, 200)):
        api.forget()
        api.failures.append(Redirect(f"http://{API}/elsewhere"))
        with Client(others.envoy, f"{placement}-zipkin") as client:
            assert client.get("/redirected", {"Host": API}).status_code == statuses
    _, elsewhere = api.received
    assert elsewhere.target == "/elsewhere"
    words = {True: "leaks", False: "clean"}
    url = elsewhere.header("x-envoy-original-url") or ""
    assert words[finder(OTHER_PART)(url.encode())] == "leaks"


@pytest.mark.parametrize("placement", [SIMPLE, UPSTREAM])
def test_an_api_that_sends_the_key_back_is_heard_by_envoys_log_at_trace(others, api, placement):
    """This asserts the fact as it stands: the codec prints each header of an answer before any filter sees it."""
    api.failures.append(echo(OTHER_KEY))
    others.envoy.set_log_level("trace")
    with Client(others.envoy, f"{placement}-zipkin") as client:
        logged = len(others.envoy.log())
        answer = client.get("/", {"Host": API})
    others.envoy.set_log_level("info")
    assert answer.headers["location"] == f"http://{API}/elsewhere?a=1"
    (line,) = [
        line for line in others.envoy.log()[logged:].splitlines() if "completed header: key=location" in line
    ]
    words = {True: "leaks", False: "clean"}
    assert words[finder(OTHER_PART)(line.encode())] == "leaks"
