"""`peergate convert`: what comes out answers as what went in, in a real Envoy, but where it said that it is stricter.

The filters stand beside each other, each behind a listener of its own: `jwt_authn` with its configuration, and peergate
with the policy that was made of it. Every request goes through both.
"""

import contextlib
import json
import subprocess

import pytest
import yaml

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import AUDIENCE, ISSUER, KEYS, bearer, seconds_from_now, token
from support.client import Client
from support.credentials import SigningKey
from support.paths import OUTPUT, PROGRAM

OTHER_ISSUER = "https://partner.tests.example"
OTHER_KEY = SigningKey.generate("ES256", "partner-1")


def keys(*of):
    return {"inline_string": json.dumps({"keys": [key.public_jwk() for key in of]})}


MAIN = {"issuer": ISSUER, "audiences": [AUDIENCE], "local_jwks": keys(*KEYS.values())}
OTHER = {
    "issuer": OTHER_ISSUER,
    "local_jwks": keys(OTHER_KEY),
    "from_headers": [{"name": "X-Partner", "value_prefix": ""}],
}
NEEDS_MAIN = {"provider_name": "main"}
NEEDS_OTHER = {"provider_name": "other"}


def any_of(*requirements):
    return {"requires_any": {"requirements": list(requirements)}}


def all_of(*requirements):
    return {"requires_all": {"requirements": list(requirements)}}


def rule(match, requires=None):
    return {"match": match} | ({"requires": requires} if requires else {})


def method(name):
    return {"name": ":method", "string_match": {"exact": name}}


PATHS = ["/", "/health", "/healthx", "/api", "/api/tasks", "/API/tasks", "/apix", "/v1/7/tasks", "/partner/a"]

#: By name: the configuration, the exit status, and the requests of which it was said that they are refused now.
CONFIGURATIONS = {
    "everything-needs-a-token": (
        {"providers": {"main": MAIN}, "rules": [rule({"prefix": "/"}, NEEDS_MAIN)]},
        0,
        set(),
    ),
    "nothing-is-asked": ({"providers": {"main": MAIN}}, 0, set()),
    "a-path-is-public": (
        {
            "providers": {"main": MAIN},
            "rules": [rule({"path": "/health"}), rule({"prefix": "/"}, NEEDS_MAIN)],
            "bypass_cors_preflight": True,
        },
        0,
        set(),
    ),
    "a-folder-is-guarded": (
        {"providers": {"main": MAIN}, "rules": [rule({"path_separated_prefix": "/api"}, NEEDS_MAIN)]},
        0,
        set(),
    ),
    # `/apix` was guarded too: what would let it pass refuses, and with it all that nobody guards.
    "a-prefix-is-guarded": (
        {"providers": {"main": MAIN}, "rules": [rule({"prefix": "/api"}, NEEDS_MAIN)]},
        3,
        set(PATHS) - {"/api", "/api/tasks"},
    ),
    "two-providers": (
        {
            "providers": {"main": MAIN, "other": OTHER},
            "rules": [
                rule({"prefix": "/partner/"}, NEEDS_OTHER),
                rule({"safe_regex": {"regex": "/v1/[^/]+/tasks"}}, any_of(NEEDS_MAIN, NEEDS_OTHER)),
                rule({"path": "/api"}, all_of(NEEDS_MAIN, NEEDS_OTHER)),
                rule({"prefix": "/"}, NEEDS_MAIN),
            ],
        },
        3,
        set(),
    ),
    "a-token-may-be-missing": (
        {
            "providers": {"main": MAIN},
            "rules": [
                rule({"path": "/health"}, {"allow_missing": {}}),
                rule({"prefix": "/"}, any_of(NEEDS_MAIN, {"allow_missing": {}})),
            ],
        },
        0,
        set(),
    ),
    "names-and-headers": (
        {
            "providers": {"main": MAIN, "other": OTHER},
            "requirement_map": {"either": any_of(NEEDS_MAIN, NEEDS_OTHER)},
            "rules": [
                rule({"prefix": "/", "headers": [{"name": "x-open", "string_match": {"exact": "yes"}}]}),
                rule(
                    {"prefix": "/", "headers": [{"name": ":method", "string_match": {"exact": "POST"}}]},
                    NEEDS_MAIN,
                ),
                {"match": {"prefix": "/"}, "requirement_name": "either"},
            ],
        },
        0,
        set(),
    ),
    # Of these expressions nobody knows where their paths begin: every path is refused.
    **{
        f"an-expression-{index}": (
            {
                "providers": {"main": MAIN},
                "rules": [rule({"safe_regex": {"regex": expression}}, NEEDS_MAIN)],
            },
            3,
            set(PATHS),
        )
        for index, expression in enumerate(
            ["(/api/.*|/v1/.*)", ".*/tasks", ".+/tasks/?", "(?i)/api/.*", "/api/?.*", "/ap/?i", "/ap/*ix"]
        )
    },
    # The last rule takes what two others lost: `/apix` needed a token, `/healthx` did not.
    "two-prefixes-and-a-rest": (
        {
            "providers": {"main": MAIN},
            "rules": [
                rule({"prefix": "/health"}),
                rule({"prefix": "/api"}, NEEDS_MAIN),
                rule({"prefix": "/"}, any_of(NEEDS_MAIN, {"allow_missing": {}})),
            ],
        },
        3,
        {"/", "/API/tasks", "/apix", "/healthx", "/v1/7/tasks", "/partner/a"},
    ),
    "a-folder-in-any-letter-case": (
        {
            "providers": {"main": MAIN},
            "rules": [rule({"prefix": "/api/", "case_sensitive": False}, NEEDS_MAIN)],
        },
        3,
        set(PATHS) - {"/api/tasks"},
    ),
    # No request has two methods: the first rule takes none, and lets nobody in.
    "two-methods-at-once": (
        {
            "providers": {"main": MAIN},
            "rules": [
                rule({"prefix": "/", "headers": [method("GET"), method("POST")]}),
                rule({"prefix": "/"}, NEEDS_MAIN),
            ],
        },
        3,
        set(PATHS),
    ),
}

GOOD = token()
PARTNER = OTHER_KEY.sign({"iss": OTHER_ISSUER, "sub": "partner", "exp": seconds_from_now(600)})

#: What callers come with.
CREDENTIALS = {
    "nothing": {},
    "token": bearer(GOOD),
    "token of the partner": {"X-Partner": PARTNER},
    "token in the place of another": {"X-Partner": GOOD},
    "token for another": bearer(token(aud="https://another.example")),
    "token that has expired": bearer(token(exp=seconds_from_now(-120))),
    "token of a stranger": bearer(
        SigningKey.generate("ES256", KEYS["ES256"].kid).sign({"iss": ISSUER, "aud": AUDIENCE})
    ),
    "no token": bearer("a.b.c"),
    "open": {"x-open": "yes"},
}

#: What is stricter always, as docs/migration.md says it.
STRICTER = {
    "token without exp": bearer(token(exp=None)),
    "audience with a slash": bearer(token(aud=AUDIENCE + "/")),
    "two tokens": bearer(GOOD) | {"X-Partner": PARTNER},
    "another scheme": {"Authorization": "Basic dXNlcjpwYXNz"},
}


def converted(name, configuration, status):
    folder = OUTPUT / "convert"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    done = subprocess.run([PROGRAM, "convert", file], env={}, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert ("not carried over: " in done.stderr) == (status == 3)
    policy = folder / f"{name}.policy.yaml"
    policy.write_text(done.stdout, encoding="utf-8")
    checked = subprocess.run([PROGRAM, "check", policy], env={}, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "ok\n"), checked.stderr
    return yaml.safe_load(done.stdout)


def native(configuration):
    kind = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
    return {"name": "envoy.filters.http.jwt_authn", "typed_config": {"@type": kind} | configuration}


#: A route's own requirement, in a wrapper. A file with such a route refuses what goes there.
ROUTES = [
    {
        "match": {"prefix": "/api/"},
        "route": {"cluster": "agent"},
        "typed_per_filter_config": {
            "envoy.filters.http.jwt_authn": {
                "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
                "config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig",
                    "requirement_name": "strict",
                },
            }
        },
    },
    {"match": {"prefix": "/"}, "route": {"cluster": "agent"}},
]


def test_requirements_of_routes_are_seen_in_wrappers(envoy, agent):
    configuration = {"providers": {"main": MAIN}, "requirement_map": {"strict": NEEDS_MAIN}}
    routes = {"virtual_hosts": [{"name": "agent", "domains": ["*"], "routes": ROUTES}]}
    before = listener("before", [native(configuration)], "agent", route_config=routes)
    after = listener("after", [peergate(converted("routes", before, 3))], "agent")
    started = envoy(bootstrap([before, after], [cluster("agent", agent.port)]))
    with Client(started, "before") as was, Client(started, "after") as now:
        different = list(outcomes((was, now), CREDENTIALS))
    assert [each for each in different if not each[3]] == [], "opened"
    assert {path for _, path, _, _ in different} == {"/api/tasks"}


@pytest.fixture(scope="module")
def pairs(envoy, agent):
    listeners = []
    for name, (configuration, status, _) in CONFIGURATIONS.items():
        listeners.append(listener(f"{name}-before", [native(configuration)], "agent"))
        listeners.append(
            listener(f"{name}-after", [peergate(converted(name, configuration, status))], "agent")
        )
    started = envoy(bootstrap(listeners, [cluster("agent", agent.port)]))
    with contextlib.ExitStack() as stack:

        def client(name, side):
            return stack.enter_context(Client(started, f"{name}-{side}"))

        yield {name: (client(name, "before"), client(name, "after")) for name in CONFIGURATIONS}


def passes(client, method, path, headers):
    status = client.request(method, path, headers).status_code
    assert status in {200, 400, 401, 403}, (method, path, status)
    return status == 200


def outcomes(pair, credentials):
    """What differs: method, path and credential, and whether it passed before."""
    before, after = pair
    requests = [("GET", path, name) for path in PATHS for name in credentials]
    requests += [("POST", "/", name) for name in credentials]
    for method, path, name in requests:
        passed = passes(before, method, path, credentials[name])
        if passed != passes(after, method, path, credentials[name]):
            yield method, path, name, passed


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_answers_are_the_same_but_for_what_was_said(pairs, name):
    said = CONFIGURATIONS[name][2]
    different = list(outcomes(pairs[name], CREDENTIALS))
    assert [each for each in different if not each[3]] == [], "opened"
    assert [each for each in different if each[1] not in said] == []
    assert {path for _, path, _, _ in different} == said


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_what_is_always_stricter_opens_nothing(pairs, name):
    assert [each for each in outcomes(pairs[name], STRICTER) if not each[3]] == []


def test_what_is_always_stricter(pairs):
    found = {name for _, _, name, _ in outcomes(pairs["everything-needs-a-token"], STRICTER)}
    found |= {name for _, _, name, _ in outcomes(pairs["a-token-may-be-missing"], STRICTER)}
    found |= {name for _, _, name, _ in outcomes(pairs["names-and-headers"], STRICTER)}
    assert found == STRICTER.keys()


def test_preflights_pass_as_before(pairs):
    preflight = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
    for client in pairs["a-path-is-public"]:
        assert passes(client, "OPTIONS", "/api", preflight)
    for client in pairs["everything-needs-a-token"]:
        assert not passes(client, "OPTIONS", "/api", preflight)


def test_tokens_in_the_query_as_before(pairs):
    for client in pairs["everything-needs-a-token"]:
        assert passes(client, "GET", f"/?access_token={GOOD}", {})


def test_whole_segments_are_the_authors_word(tmp_path):
    file = tmp_path / "jwt_authn.yaml"
    file.write_text(yaml.safe_dump(CONFIGURATIONS["a-prefix-is-guarded"][0]), encoding="utf-8")
    command = [PROGRAM, "convert", "--whole-segments", file]
    done = subprocess.run(command, env={}, capture_output=True, text=True, check=True)
    assert yaml.safe_load(done.stdout)["inbound"]["rules"][-1] == {"name": "rest", "accept": ["none"]}
