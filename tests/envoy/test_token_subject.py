"""Whose token is exchanged, and whose is not, in each place where the filter stands, on a real Envoy with a double."""

import concurrent.futures
import threading
import time

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate, within
from support.cast import AUDIENCE, KEYS, token
from support.client import Client, refusal
from support.credentials import SigningKey
from support.exchange import (
    ENVIRONMENT,
    PROVIDERS,
    call,
    host,
    injected,
    oauth_client,
    policy,
    rule,
)
from support.process import PATIENCE_SECONDS, wait_until
from support.registry import remember
from support.token_server_double import TokenServerDouble
from support.upstream import Redirect

#: So many exchanges of one client are under way at once.
MOST_IN_FLIGHT = 16

OTHER_ISSUER = "https://other.tests.example"
OTHER_KEY = SigningKey.generate("ES256", "other-1")
OTHER_PROVIDER = {
    "issuer": OTHER_ISSUER,
    "audiences": [AUDIENCE],
    "jwks": {"inline": {"keys": [OTHER_KEY.public_jwk()]}},
}

#: Subjects that are not good, by what is wrong with them.
BAD = {
    "garbage": lambda: remember("garbage subject", "garbage-that-is-no-token"),
    "three dots": lambda: "a.b.c",
    "expired": lambda: token(exp=int(time.time()) - 600),
    "of another audience": lambda: token(aud="https://another.tests.example"),
    "of nobody's issuer": lambda: token(iss="https://attacker.tests.example"),
    "of another key": lambda: token(key=SigningKey.generate("ES256", KEYS["ES256"].kid)),
    "of another provider": lambda: token(iss=OTHER_ISSUER, key=OTHER_KEY),
    "a part cut off": lambda: token()[:-10],
}


@pytest.fixture(scope="module")
def double():
    with TokenServerDouble("token-server-subject") as double:
        yield double


@pytest.fixture(autouse=True)
def _forget_here(double):
    double.forget()


RULES = [
    rule("verified", subject={"from_header": "authorization", "verify": "tests"}),
    rule("other", subject={"from_header": "authorization", "verify": "other"}),
    rule("raw", subject={"from_header": "x-token", "verify": "tests"}),
    rule("unverified", subject={"from_header": "authorization", "insecure_unverified_subject": True}),
    rule(
        "own-if-missing",
        subject={"from_header": "authorization", "verify": "tests"},
        on_missing_subject="client_credentials",
    ),
    rule(
        "forwarded-if-missing",
        subject={"from_header": "x-token", "verify": "tests"},
        on_missing_subject="insecure_forward",
    ),
]


@pytest.fixture(scope="module")
def client(envoy, api, double):
    providers = PROVIDERS | {"other": OTHER_PROVIDER}
    built = policy({"sts": oauth_client(double.token_endpoint)}, *RULES, providers=providers)
    clusters = [cluster("api", api.port), cluster("sts", double.port)]
    outbound = listener("outbound", [peergate(built, ENVIRONMENT)], "api", "OUTBOUND")
    with Client(envoy(bootstrap([outbound], clusters), ENVIRONMENT), "outbound") as client:
        yield client


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("name", ["verified", "own-if-missing"])
def test_garbage_does_not_make_the_token_endpoint_work(client, api, double, name, what):
    """Nor is it a missing subject, in whose place the client itself would be."""
    answer = call(client, name, BAD[what]())
    assert answer.status_code == 401
    assert (api.received, double.requests) == ([], [])


def test_the_provider_that_is_named_is_the_one_that_counts(client, api, double):
    good = token(iss=OTHER_ISSUER, key=OTHER_KEY)
    assert call(client, "other", good).status_code == 200
    assert double.only_request().value("subject_token") == good
    assert injected(api)["sub"] == "mrpink"
    assert call(client, "other", token()).status_code == 401


@pytest.mark.parametrize("scheme", ["Basic bXJwaW5rOnNlY3JldA==", "Bearer", "Token x", "bearer\tx"])
def test_another_scheme_is_no_good_subject(client, api, double, scheme):
    assert call(client, "verified", authorization=scheme).status_code in (400, 401, 403)
    assert (api.received, double.requests) == ([], [])


def test_two_subjects_are_none(client, api, double):
    """Envoy joins them, and nobody can say which is meant."""
    lines = [f"Authorization: Bearer {token(subject)}".encode() for subject in ("mrpink", "mrwhite")]
    head = [b"GET / HTTP/1.1", f"Host: {host('verified')}".encode(), *lines, b"", b""]
    assert client.raw(b"\r\n".join(head))[0] in (400, 401)
    assert (api.received, double.requests) == ([], [])


def test_a_header_without_a_scheme(client, api, double):
    mine = token()
    assert call(client, "raw", x_token=mine).status_code == 200
    assert double.only_request().value("subject_token") == mine
    assert api.only().values("x-token") == []


@pytest.mark.parametrize("name", ["verified", "raw", "unverified"])
def test_a_missing_subject_is_refused(client, api, double, name):
    assert refusal(call(client, name)) == (403, "Call not allowed")
    assert client.envoy.await_access_log(reason="subject_missing")["status"] == 403
    assert (api.received, double.requests) == ([], [])


def test_a_missing_subject_where_the_client_may_be_one(client, api, double):
    assert call(client, "own-if-missing").status_code == 200
    assert double.only_request().value("grant_type") == "client_credentials"
    assert injected(api)["sub"] == "agent"


def test_a_missing_subject_where_a_call_may_go_without_a_token(client, api, double):
    """What stands in `Authorization` is not what was asked for, and is not taken for it."""
    assert call(client, "forwarded-if-missing").status_code == 200
    assert api.only().values("authorization") == []
    assert double.requests == []


def test_what_nobody_verifies_is_exchanged_as_it_is(client, double):
    """`insecure`: the server alone says what it is worth."""
    opaque = remember("opaque subject", "opaque-token-of-a-caller")
    assert call(client, "unverified", opaque).status_code == 200
    assert double.only_request().value("subject_token") == opaque


def test_a_flood_of_subjects_that_nobody_verifies_is_bounded(client, double):
    """What finds no place is refused, and the server has no more to do at once than that."""
    double.after = threading.Event()
    callers = MOST_IN_FLIGHT + 8
    with concurrent.futures.ThreadPoolExecutor(callers) as pool:
        waiting = [pool.submit(call, client, "unverified", token()) for _ in range(callers)]
        wait_until(lambda: len(double.requests) >= MOST_IN_FLIGHT, PATIENCE_SECONDS, "they are under way")
        time.sleep(0.3)
        assert len(double.requests) == MOST_IN_FLIGHT
        double.after.set()
        answers = [each.result().status_code for each in waiting]
    assert set(answers) <= {200, 503}
    assert answers.count(200) >= MOST_IN_FLIGHT


@pytest.fixture(scope="module")
def gateway(envoy, api, double):
    """Inbound rules, then outbound ones, on one stream."""
    rules = [
        {"name": "public", "match": {"path_prefixes": ["/public"]}, "accept": ["none"]},
        {"name": "all", "accept": ["jwt"]},
    ]
    without_subject = rule("exchanged", subject=None)
    of_a_header = rule("header", subject={"from_header": "x-token"})
    own = rule("own", grant="client_credentials")
    anonymous = rule("anonymous", grant="client_credentials") | {"insecure_for_anonymous": True}
    built = policy({"sts": oauth_client(double.token_endpoint)}, without_subject, of_a_header, own, anonymous)
    built |= {"role": "gateway"}
    built["inbound"] |= {"rules": rules}
    clusters = [cluster("api", api.port), cluster("sts", double.port)]
    inbound = listener("gateway", [peergate(built, ENVIRONMENT)], "api", "UNSPECIFIED")
    with Client(envoy(bootstrap([inbound], clusters), ENVIRONMENT), "gateway") as client:
        yield client


def test_in_a_gateway_it_is_the_token_that_was_verified(gateway, api, double):
    mine = token()
    assert call(gateway, "exchanged", mine).status_code == 200
    assert double.only_request().value("subject_token") == mine
    assert injected(api)["sub"] == "mrpink"
    assert api.only().header("x-agent-sub") == "mrpink"
    assert mine not in str(api.only().headers)


def test_in_a_gateway_a_bad_token_never_gets_there(gateway, api, double):
    for what in BAD.values():
        assert call(gateway, "exchanged", what()).status_code == 401
    assert (api.received, double.requests) == ([], [])


@pytest.mark.parametrize("name", ["exchanged", "own", "header"])
def test_in_a_gateway_strangers_get_nothing(gateway, api, double, name):
    """A public path must not hand out the agent's own token."""
    assert call(gateway, name, path="/public").status_code in (401, 403)
    assert (api.received, double.requests) == ([], [])


def test_in_a_gateway_strangers_get_what_they_may(gateway, api):
    assert call(gateway, "anonymous", path="/public").status_code == 200
    assert injected(api)["sub"] == "agent"


@pytest.fixture(scope="module")
def placed(envoy, api, double):
    """A filter of the cluster: it runs for each attempt, and the placement says where the call goes."""
    exchanged = rule("placed")
    del exchanged["match"]
    built = policy({"sts": oauth_client(double.token_endpoint)}, exchanged) | {"role": "upstream"}
    retries = {"retry_on": "5xx", "num_retries": 2, "retry_back_off": {"base_interval": "0.001s"}}
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "api", "retry_policy": retries}}]
    outbound = listener(
        "outbound",
        [],
        "api",
        "OUTBOUND",
        route_config={"virtual_hosts": [{"name": "api", "domains": ["*"], "routes": routes}]},
    )
    clusters = [within(cluster("api", api.port), [peergate(built, ENVIRONMENT)]), cluster("sts", double.port)]
    with Client(envoy(bootstrap([outbound], clusters), ENVIRONMENT), "outbound") as client:
        yield client


def test_a_filter_of_the_cluster(placed, api, double):
    mine = token()
    assert call(placed, "placed", mine).status_code == 200
    assert double.only_request().value("subject_token") == mine
    assert injected(api)["sub"] == "mrpink"


def test_each_attempt_carries_the_token_once(placed, api, double):
    """It is not exchanged again, and what was put on is not taken for a subject."""
    api.failures.extend([503, 503])
    assert call(placed, "placed", token()).status_code == 200
    assert len(double.requests) == 1
    assert len(api.received) == 3
    assert len({received.header("authorization") for received in api.received}) == 1


@pytest.fixture(scope="module")
def redirecting(envoy, api, agent, double):
    """Envoy follows redirects itself; the filter runs again on the same stream."""
    built = policy({"sts": oauth_client(double.token_endpoint)}, rule("redirects", audience=["a"]))
    follow = {"max_internal_redirects": 2, "redirect_response_codes": [302]}
    to_api = {"cluster": "api", "internal_redirect_policy": follow}

    def virtual_host(name, **route):
        return {"name": name, "domains": [host(name)], "routes": [{"match": {"prefix": "/"}, "route": route}]}

    hosts = [virtual_host("redirects", **to_api), virtual_host("elsewhere", cluster="agent")]
    outbound = listener(
        "outbound",
        [peergate(built, ENVIRONMENT)],
        "api",
        "OUTBOUND",
        route_config={"virtual_hosts": hosts},
    )
    clusters = [cluster("api", api.port), cluster("agent", agent.port), cluster("sts", double.port)]
    with Client(envoy(bootstrap([outbound], clusters), ENVIRONMENT), "outbound") as client:
        yield client


def test_a_redirect_to_another_upstream_does_not_take_the_token_along(redirecting, api, agent, double):
    api.failures.append(Redirect(f"http://{host('elsewhere')}/there"))
    assert call(redirecting, "redirects", token()).status_code in (200, 302, 403)
    assert len(api.received) == 1
    for received in agent.received:
        assert received.values("authorization") == []
    assert len(double.requests) == 1


def test_a_redirect_that_the_proxy_follows_has_no_subject(redirecting, api, double):
    """The caller's token has gone, and what took its place is not taken for it."""
    api.failures.append(Redirect(f"http://{host('redirects')}/there"))
    assert refusal(call(redirecting, "redirects", token())) == (403, "Call not allowed")
    assert len(double.requests) == 1
    assert len(api.received) == 1


def test_the_callers_token_does_not_go_where_no_rule_matches_if_that_is_said(envoy, api, double):
    """Without it, `Authorization` goes on as the caller sent it."""
    for strip, expected in ((["authorization"], 0), ([], 1)):
        built = policy({"sts": oauth_client(double.token_endpoint)}, rule("a"), strip_headers=strip)
        clusters = [cluster("api", api.port), cluster("sts", double.port)]
        outbound = listener("outbound", [peergate(built, ENVIRONMENT)], "api", "OUTBOUND")
        with Client(envoy(bootstrap([outbound], clusters), ENVIRONMENT), "outbound") as client:
            api.forget()
            assert call(client, "unmatched", token()).status_code == 200
            assert len(api.only().values("authorization")) == expected
            if strip:
                api.forget()
                assert call(client, "a", token()).status_code == 200
                assert injected(api)["sub"] == "mrpink"
