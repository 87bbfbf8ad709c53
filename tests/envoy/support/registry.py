"""Remembers each secret that is used, so that `tests/secrets_check.py` can look for it in all output.

A line of the register is a label, a tab and the secret. Six-digit codes are not registered: they are short enough
to occur by chance, and of no use after a minute.
"""

import os

from .paths import SECRETS

#: Each process of the tests writes a file of its own: `pytest-xdist` names them.
FILE = SECRETS / f"envoy-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}.txt"

#: Shorter values would be found by chance.
SHORTEST_SECRET = 8


def remember(label: str, secret: str) -> str:
    """Register `secret` under `label` and give it back."""
    # A label may name what a test sends: line feeds and all.
    label = " ".join(label.split())
    if len(secret) < SHORTEST_SECRET or "\n" in secret or "\t" in secret:
        raise ValueError(f"{label}: a secret needs {SHORTEST_SECRET} characters, neither tab nor line feed")
    SECRETS.mkdir(parents=True, exist_ok=True)
    with FILE.open("a", encoding="utf-8") as register:
        register.write(f"{label}\t{secret}\n")
    return secret


def remember_token(label: str, token: str) -> str:
    """Register a token, and its last segment apart: with that segment, a part of it is as good as the whole."""
    remember(label, token)
    remember(f"signature of {label}", token.rpartition(".")[2])
    return token
