// Makes the module small: what the host need not call is no export, and what then nobody calls is not there.
//
//   node shrink.mjs <from> <to>
//
// The SDK exports every callback of the ABI, and Envoy calls each one that a module exports, on every request. The list
// below is what the filter answers; tests/host_abi.rs holds the module against it.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const KEPT = new Set([
  "memory",
  "_initialize",
  "proxy_abi_version_0_2_1",
  "proxy_on_memory_allocate",
  // The life of a root context and of a stream.
  "proxy_on_context_create",
  "proxy_on_vm_start",
  "proxy_on_configure",
  "proxy_on_tick",
  "proxy_on_done",
  "proxy_on_delete",
  "proxy_on_http_call_response",
  // A request.
  "proxy_on_request_headers",
  "proxy_on_request_body",
  "proxy_on_request_trailers",
  "proxy_on_response_headers",
  // An agent card that is rewritten on its way out.
  "proxy_on_response_body",
  "proxy_on_response_trailers",
  "proxy_on_log",
]);

// What writes backtraces, which Rust's panic hook does where RUST_BACKTRACE is set: in a module without names there is nothing
// in them, and all that reads names comes along, thirty kilobytes. It traps instead, as the panic then does. By the names of
// Rust's mangling: all of the crate that reads names, and what std has for the texts.
const BACKTRACES =
  /^_R(?:(?!Cs)\w)*Cs[0-9A-Za-z]+_14rustc_demangle|3std9backtraceNt\w+9BacktraceNtNt\w+4core3fmt7Display3fmt|13BacktraceLock5print|9symbolizeNt\w+10SymbolNameNt\w+7Display3fmt/;

const [from, to] = process.argv.slice(2);
// It stands where npm has put it, beside the working directory's environment and not beside this file.
const resolve = createRequire(`${process.cwd()}/.venv/node/`).resolve;
const { default: binaryen } = await import(pathToFileURL(resolve("binaryen")));
const { Features } = binaryen;

const module = binaryen.readBinary(readFileSync(from));
// Those of Rust's own target.
module.setFeatures(
  Features.BulkMemory |
    Features.BulkMemoryOpt |
    Features.Multivalue |
    Features.MutableGlobals |
    Features.NontrappingFPToInt |
    Features.ReferenceTypes |
    Features.SignExt,
);
const exported = Array.from({ length: module.getNumExports() }, (_, index) =>
  binaryen.getExportInfo(module.getExportByIndex(index)).name,
);
for (const name of exported.filter((name) => !KEPT.has(name))) {
  module.removeExport(name);
}
const names = Array.from({ length: module.getNumFunctions() }, (_, index) =>
  binaryen.getFunctionInfo(module.getFunctionByIndex(index)).name,
);
const traps = names.filter((name) => BACKTRACES.test(name));
if (traps.length === 0) {
  throw new Error("nothing in the module writes backtraces: Rust gives it other names now");
}
for (const name of traps) {
  const { params, results } = binaryen.getFunctionInfo(module.getFunction(name));
  module.removeFunction(name);
  module.addFunction(name, params, results, [], module.unreachable());
}
binaryen.setOptimizeLevel(2);
binaryen.setShrinkLevel(2);
// What the first round leaves the second finds; functions that are called often get short numbers. Half a percent.
module.optimize();
module.runPasses(["memory-packing", "reorder-functions", "reorder-locals"]);
module.optimize();
module.runPasses(["strip-debug"]);
if (!module.validate()) {
  throw new Error("the module is not valid");
}
writeFileSync(to, module.emitBinary());
