"""`peergate totp` beside PyOTP: each makes the codes that the other takes, and reads the other's key URIs."""

import subprocess

import pyotp
import pytest

from support.credentials import new_seed
from support.paths import PROGRAM

SEED = new_seed("TOTP seed of the program")

#: The ways of codes that both take.
WAYS = [("SHA1", 6, 30), ("SHA256", 8, 60), ("SHA512", 6, 15), ("SHA1", 8, 120)]

#: The epoch, the end of a step, its beginning, now, and the last second that the core counts.
TIMES = [0, 1234567889, 1234567890, 1795298400, 18446744073]


def peergate(*arguments: object, given: str = SEED, status: int = 0) -> str:
    command = [PROGRAM, "totp", *map(str, arguments)]
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=20)
    assert done.returncode == status, done.stderr
    return done.stdout


def options(algorithm: str, digits: int, period: int) -> list[object]:
    return ["--algorithm", algorithm, "--digits", digits, "--period", period]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_codes_are_those_of_pyotp(way):
    algorithm, digits, period = way
    other = pyotp.TOTP(SEED, digits=digits, digest=algorithm.lower(), interval=period)
    for time in TIMES:
        assert peergate("code", "--at", time, *options(*way)) == other.at(time) + "\n"


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_codes_of_pyotp_are_good_within_the_window(way, tmp_path):
    algorithm, digits, period = way
    file = tmp_path / "seed"
    file.write_text(SEED, encoding="utf-8")
    other = pyotp.TOTP(SEED, digits=digits, digest=algorithm.lower(), interval=period)
    now = 1795298400
    for steps in range(-3, 4):
        arguments = ["check", "--from", file, "--at", now, "--window-steps", 2, *options(*way)]
        said = peergate(*arguments, given=other.at(now, counter_offset=steps), status=int(abs(steps) > 2))
        assert said.startswith("good: ") is (abs(steps) <= 2)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_pyotp_reads_the_uri(way):
    algorithm, digits, period = way
    uri = peergate("uri", "--issuer", "agents of ours", "--label", "mr+pink@agents.example", *options(*way))
    read = pyotp.parse_uri(uri.strip())
    assert (read.issuer, read.name) == ("agents of ours", "mr+pink@agents.example")
    assert (read.secret, read.digits, read.interval) == (SEED, digits, period)
    assert read.digest().name == algorithm.lower()


@pytest.mark.parametrize("algorithm", ["SHA1", "SHA256", "SHA512"])
def test_pyotp_takes_new_seeds(algorithm):
    seed = peergate("new", "--algorithm", algorithm, given="").strip()
    code = pyotp.TOTP(seed, digest=algorithm.lower()).at(1795298400)
    assert peergate("code", "--at", 1795298400, "--algorithm", algorithm, given=seed) == f"{code}\n"
