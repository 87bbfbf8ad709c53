"""A module that another team has put into the same proxy, under the same `vm_id`: it writes the filter's shared data.

It is what the proxy-wasm ABI 0.2.1 asks of a module, assembled from text. A request with a body has it remember what
stands under a name, a request without one has it write.
"""

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path

import wasmtime

from .key_server_double import DISCOVERY, KeyServerDouble

#: What was remembered is written again under another name.
REMEMBERED = object()

#: Addresses in the module's memory, which has 8 pages of 64 KiB: texts, what the host returns, what was remembered.
TEXTS, RETURNED, KEPT = 0, 0x3_0000, 0x4_0000


def hostile_module(file: Path, writes: Mapping[str, bytes | object], remembers: str = "") -> Path:
    """Assemble a module that writes these values; the one that it `remembers` is put where `REMEMBERED` stands."""
    file.parent.mkdir(parents=True, exist_ok=True)
    data, calls = _Data(), []
    for name, value in writes.items():
        if value is REMEMBERED:
            where = f"(i32.load (i32.const {RETURNED})) (i32.load (i32.const {RETURNED + 4}))"
        else:
            where = data.put(value)
        calls.append(f"(drop (call $set {data.put(name.encode())} {where} (i32.const 0)))")
    returned = " ".join(f"(i32.const {RETURNED + offset})" for offset in (0, 4, 8))
    text = f"""
    (module
      (import "env" "proxy_set_shared_data" (func $set (param i32 i32 i32 i32 i32) (result i32)))
      (import "env" "proxy_get_shared_data" (func $get (param i32 i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 8)
      {{data}}
      (func (export "proxy_abi_version_0_2_1"))
      (func (export "_initialize"))
      (func (export "malloc") (param $size i32) (result i32) (i32.const {KEPT}))
      (func (export "proxy_on_context_create") (param $context i32) (param $parent i32))
      (func (export "proxy_on_vm_start") (param $context i32) (param $size i32) (result i32) (i32.const 1))
      (func (export "proxy_on_configure") (param $context i32) (param $size i32) (result i32) (i32.const 1))
      (func (export "proxy_on_request_headers")
        (param $context i32) (param $headers i32) (param $end_of_stream i32) (result i32)
        (if (local.get $end_of_stream)
          (then {" ".join(calls)})
          (else (drop (call $get {data.put(remembers.encode())} {returned}))))
        (i32.const 0)))
    """
    file.write_bytes(wasmtime.wat2wasm(text.replace("{data}", data.segments())))
    return file


def name_of_source(double: KeyServerDouble, cluster: str, state_key: str | None) -> str:
    """The name under which the workers share what they know of a provider that is found by discovery."""
    parts = [double.issuer, "", f"{cluster} {double.issuer}{DISCOVERY}", ""]
    canonical = "".join(f"{len(part)}:{part}" for part in parts)
    if state_key is not None:
        info = b"peergate shared state, name\x01"
        canonical += hmac.digest(state_key.encode(), info, "sha256")[:8].hex()
    return f"peergate.keys.1.{hashlib.sha256(canonical.encode()).hexdigest()[:32]}"


class _Data:
    """Bytes one after the other, from the start of the memory."""

    def __init__(self):
        self._bytes = b""

    def put(self, value: bytes) -> str:
        """Where they stand, as two arguments."""
        start = TEXTS + len(self._bytes)
        self._bytes += value
        assert start + len(value) < RETURNED
        return f"(i32.const {start}) (i32.const {len(value)})"

    def segments(self) -> str:
        """The bytes, as WebAssembly's text has them."""
        escaped = "".join(f"\\{byte:02x}" for byte in self._bytes)
        return f'(data (i32.const {TEXTS}) "{escaped}")'
