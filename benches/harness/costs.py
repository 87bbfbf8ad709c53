"""What single calls between Envoy and a module cost: filters that do nothing but one call, many times."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import wasmtime

from . import listeners
from .duel import Contender, Samples

#: Calls of each kind in a request, so that one stands out of the noise.
TIMES = 10

#: Where the host lays what it gives, behind the texts of the module.
ALLOCATION = 65536

IMPORTS = """
    (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
    (import "env" "proxy_get_header_map_value" (func $value (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_header_map_size" (func $size (param i32 i32) (result i32)))
    (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_replace_header_map_value" (func $replace (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_remove_header_map_value" (func $remove (param i32 i32 i32) (result i32)))
    (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_property" (func $state (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_current_time_nanoseconds" (func $time (param i32) (result i32)))
    (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
"""

DATA = """
    (memory (export "memory") 4)
    (data (i32.const 16) "authorization")
    (data (i32.const 32) "x-jwt-sub")
    (data (i32.const 64) "8f14e45f-ceea-467f-a8f1-1c2b3d4e5f60")
    (data (i32.const 112) "x-absent")
    (data (i32.const 128) "bench.state")
    (data (i32.const 160) "filter_state\\00wasm.bench.absent")
    (data (i32.const 240) "bench_counter")
"""

#: The functions that every module here has. The counter's number is kept at 12.
FUNCTIONS = f"""
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const {ALLOCATION}))
    (func (export "proxy_on_context_create") (param i32 i32))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (drop (call $define (i32.const 0) (i32.const 240) (i32.const 13) (i32.const 12)))
        (i32.const 1))
"""

#: What is called, each as the body of a callback.
CALLS = {
    "proxy_get_header_map_pairs": "(drop (call $pairs (i32.const 0) (i32.const 0) (i32.const 4)))",
    "proxy_get_header_map_value, of the token": (
        "(drop (call $value (i32.const 0) (i32.const 16) (i32.const 13) (i32.const 0) (i32.const 4)))"
    ),
    "proxy_get_header_map_value, absent": (
        "(drop (call $value (i32.const 0) (i32.const 112) (i32.const 8) (i32.const 0) (i32.const 4)))"
    ),
    "proxy_get_header_map_size": "(drop (call $size (i32.const 0) (i32.const 0)))",
    "proxy_remove_header_map_value, absent": (
        "(drop (call $remove (i32.const 0) (i32.const 112) (i32.const 8)))"
    ),
    "proxy_replace_header_map_value, present": (
        "(drop (call $replace (i32.const 0) (i32.const 32) (i32.const 9) (i32.const 64) (i32.const 36)))"
    ),
    "proxy_add_header_map_value, and its removal": (
        "(drop (call $add (i32.const 0) (i32.const 32) (i32.const 9) (i32.const 64) (i32.const 36)))"
        "(drop (call $remove (i32.const 0) (i32.const 32) (i32.const 9)))"
    ),
    "proxy_get_property, absent filter state": (
        "(drop (call $property (i32.const 160) (i32.const 30) (i32.const 0) (i32.const 4)))"
    ),
    "proxy_set_property": (
        "(drop (call $state (i32.const 128) (i32.const 11) (i32.const 64) (i32.const 36)))"
    ),
    "proxy_get_current_time_nanoseconds": "(drop (call $time (i32.const 0)))",
    "proxy_increment_metric": "(drop (call $increment (i32.load (i32.const 12)) (i64.const 1)))",
}

BASE = "nothing"


@dataclass(frozen=True)
class Cost:
    """Microseconds of one call."""

    name: str
    microseconds: float


def contenders(directory: Path, headers: list[tuple[str, str]]) -> list[Contender]:
    """A filter without any call, and one for each."""
    bodies = {BASE: ""} | {name: body * TIMES for name, body in CALLS.items()}
    built = []
    for number, (name, body) in enumerate(bodies.items()):
        file = directory / f"cost-{number}.wasm"
        file.write_bytes(wasmtime.wat2wasm(_module(body)))
        built.append(Contender(name, [listeners.wasm(name, file)], lambda: headers))
    return built


def costs(samples: dict[str, Samples]) -> list[Cost]:
    """What each takes longer than the filter without calls, for one call.

    Differences are small and other work only ever adds, so the lower quartiles of the runs are compared.
    """
    least = {name: statistics.quantiles(each.microseconds, n=4)[0] for name, each in samples.items()}
    return [Cost(name, (least[name] - least[BASE]) / TIMES) for name in CALLS]


def table(found: Sequence[Cost]) -> str:
    """In Markdown."""
    lines = ["| call | µs |", "|---|---|"]
    lines += [
        f"| `{each.name.partition(',')[0]}`{''.join(each.name.partition(',')[1:])} | {each.microseconds:.2f} |"
        for each in found
    ]
    return "\n".join(lines)


def _module(body: str) -> str:
    request = (
        f'(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {body} (i32.const 0))'
    )
    return f"(module {IMPORTS} {DATA} {FUNCTIONS} {request})"
