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


def like(module: Path, file: Path, only: frozenset[str] | None = None) -> Path:
    """Write a filter with the exported functions of another module, or only some of them, that do nothing."""
    engine = wasmtime.Engine()
    lines = ['(memory (export "memory") 1)']
    for export in wasmtime.Module.from_file(engine, str(module)).exports:
        kind = export.type
        if isinstance(kind, wasmtime.FuncType) and (only is None or export.name in only):
            lines.append(_function(export.name, kind))
    file.write_bytes(wasmtime.wat2wasm(f"(module {' '.join(lines)})"))
    return file


def _function(name: str, kind: wasmtime.FuncType) -> str:
    params = "".join(f" (param {each})" for each in kind.params)
    results = "".join(f" (result {each})" for each in kind.results)
    body = "".join(f" ({each}.const {int(name in _AGREES)})" for each in kind.results)
    return f'(func (export "{name}"){params}{results}{body})'
