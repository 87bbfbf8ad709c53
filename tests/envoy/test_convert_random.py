"""`peergate convert` on configurations by chance: nothing opens, and what is refused now was said."""

import contextlib
import random
import subprocess

import yaml

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.client import Client
from support.paths import OUTPUT, PROGRAM
from test_convert import CREDENTIALS, MAIN, NEEDS_MAIN, NEEDS_OTHER, OTHER, all_of, any_of, native, passes

#: Always the same ones. Others are as good: change the seed and the count to look for more.
CHANCE = random.Random(20261121)
COUNT = 16

PATHS = ["/", "/a", "/a/", "/ab", "/ab/c", "/a/b", "/a/b/c", "/A", "/Ab", "/b", "/v1/x/y", "/v1/x"]
PREFIXES = ["/", "/a", "/a/", "/ab", "/a/b", "/v1", "/A"]
SEPARATED = ["/a", "/a/b", "/ab", "/v1"]
PATTERNS = [
    "/a/.*",
    "/v1/[^/]+/y",
    "/a|/b",
    "/a/(b|c)",
    "/ab?",
    "/v1/.+",
    ".*",
    "/a[bc]+",
    "/ab.*",
    "/a/b/?.*",
]
HEADERS = [
    {"name": "x-open", "string_match": {"exact": "yes"}},
    {"name": "x-open", "string_match": {"exact": "yes"}, "invert_match": True},
    {"name": "x-open", "string_match": {"prefix": "ye"}},
    {"name": "x-open", "present_match": True},
]
REQUIREMENTS = [
    None,
    {},
    NEEDS_MAIN,
    NEEDS_OTHER,
    any_of(NEEDS_MAIN, NEEDS_OTHER),
    any_of(NEEDS_OTHER, {"allow_missing": {}}),
    any_of(NEEDS_MAIN, {"allow_missing_or_failed": {}}),
    all_of(NEEDS_MAIN, NEEDS_OTHER),
    all_of(NEEDS_MAIN, {"allow_missing": {}}),
    {"allow_missing": {}},
    {"allow_missing_or_failed": {}},
    {"provider_and_audiences": {"provider_name": "other", "audiences": ["x"]}},
]
CALLERS = ["nothing", "token", "token of the partner", "no token", "open"]


def match():
    kind = CHANCE.choice(["prefix", "path", "path_separated_prefix", "safe_regex"])
    values = {"prefix": PREFIXES, "path": PATHS, "path_separated_prefix": SEPARATED, "safe_regex": PATTERNS}
    value = CHANCE.choice(values[kind])
    built = {kind: {"regex": value} if kind == "safe_regex" else value}
    if CHANCE.random() < 0.2:
        built["headers"] = [CHANCE.choice(HEADERS)]
    if CHANCE.random() < 0.1 and kind != "safe_regex":
        built["case_sensitive"] = False
    return built


def rule():
    requires = CHANCE.choice(REQUIREMENTS)
    return {"match": match()} | ({} if requires is None else {"requires": requires})


def converted(configuration, file):
    file.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    done = subprocess.run([PROGRAM, "convert", file], env={}, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 3}, done.stderr
    return yaml.safe_load(done.stdout), done.returncode == 3


def test_nothing_is_opened_and_nothing_is_closed_without_a_word(envoy, agent):
    folder = OUTPUT / "convert"
    folder.mkdir(parents=True, exist_ok=True)
    listeners, said = [], []
    for index in range(COUNT):
        rules = [rule() for _ in range(CHANCE.randint(1, 4))]
        configuration = {"providers": {"main": MAIN, "other": OTHER}, "rules": rules}
        policy, has_lost = converted(configuration, folder / f"random-{index}.yaml")
        listeners.append(listener(f"before-{index}", [native(configuration)], "agent"))
        listeners.append(listener(f"after-{index}", [peergate(policy)], "agent"))
        said.append((rules, has_lost))
    started = envoy(bootstrap(listeners, [cluster("agent", agent.port)]))
    opened, unsaid = [], []
    for index, (rules, has_lost) in enumerate(said):
        with contextlib.ExitStack() as stack:
            before, after = (
                stack.enter_context(Client(started, f"{side}-{index}")) for side in ("before", "after")
            )
            for path in PATHS:
                for caller in CALLERS:
                    was, now = (
                        passes(client, "GET", path, CREDENTIALS[caller]) for client in (before, after)
                    )
                    if now and not was:
                        opened.append((rules, path, caller))
                    if was and not now and not has_lost:
                        unsaid.append((rules, path, caller))
    assert opened == []
    assert unsaid == []
