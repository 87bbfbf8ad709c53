"""Filters that do nothing, written as WebAssembly text: the floor for a module with given exports."""

from pathlib import Path

import wasmtime

#: What Envoy needs of any module, and the one callback that a filter of requests cannot be without.
NEEDED = frozenset(
    {
        "proxy_abi_version_0_2_1",
        "proxy_on_memory_allocate",
        "proxy_on_context_create",
        "proxy_on_configure",
        "proxy_on_request_headers",
    }
)

#: What callbacks return: these agree, all others say 0, which is "continue" and "nothing".
_AGREES = ("proxy_on_vm_start", "proxy_on_configure", "proxy_on_done")


#: What `jwt_authn` does on a cache hit, in the fewest calls of the host and without a decision: all headers are read,
#: the time is asked for, the token is taken off, two headers are put on.
_BARE_CALLS = """
    (drop (call $pairs (i32.const 0) (i32.const 0) (i32.const 4)))
    (drop (call $time (i32.const 8)))
    (drop (call $remove (i32.const 0) (i32.const 16) (i32.const 13)))
    (drop (call $add (i32.const 0) (i32.const 32) (i32.const 9) (i32.const 64) (i32.const 36)))
    (drop (call $add (i32.const 0) (i32.const 48) (i32.const 12) (i32.const 64) (i32.const 12)))
"""

_BARE_IMPORTS = """
    (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
    (import "env" "proxy_get_current_time_nanoseconds" (func $time (param i32) (result i32)))
    (import "env" "proxy_remove_header_map_value" (func $remove (param i32 i32 i32) (result i32)))
    (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
"""

_BARE_DATA = """
    (data (i32.const 16) "authorization")
    (data (i32.const 32) "x-jwt-sub")
    (data (i32.const 48) "x-jwt-client")
    (data (i32.const 64) "8f14e45f-ceea-467f-a8f1-1c2b3d4e5f60")
"""

#: Where the host lays what it gives: behind all of the above, in a second page.
_BARE_ALLOCATION = 65536


def like(module: Path, file: Path, only: frozenset[str] | None = None, is_bare: bool = False) -> Path:
    """Write a filter with the exported functions of another module, or only some of them, that do nothing.

    `is_bare`: nothing but the calls of the host that a cache hit cannot do without.
    """
    engine = wasmtime.Engine()
    lines = [_BARE_IMPORTS, _BARE_DATA] if is_bare else []
    lines.append('(memory (export "memory") 3)')
    for export in wasmtime.Module.from_file(engine, str(module)).exports:
        kind = export.type
        if isinstance(kind, wasmtime.FuncType) and (only is None or export.name in only):
            lines.append(_function(export.name, kind, is_bare))
    file.write_bytes(wasmtime.wat2wasm(f"(module {' '.join(lines)})"))
    return file


def _function(name: str, kind: wasmtime.FuncType, is_bare: bool) -> str:
    params = "".join(f" (param {each})" for each in kind.params)
    results = "".join(f" (result {each})" for each in kind.results)
    body = "".join(f" ({each}.const {int(name in _AGREES)})" for each in kind.results)
    if is_bare and name == "proxy_on_memory_allocate":
        body = f" (i32.const {_BARE_ALLOCATION})"
    elif is_bare and name == "proxy_on_request_headers":
        body = _BARE_CALLS + body
    return f'(func (export "{name}"){params}{results}{body})'
