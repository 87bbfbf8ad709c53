;; A filter that lets a request without a body through and traps on one with a body, before it has decided anything.
;; It is what the proxy-wasm ABI 0.2.1 asks of a module, and no more.
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "_initialize"))
  (func (export "malloc") (param $size i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_context_create") (param $context i32) (param $parent i32))
  (func (export "proxy_on_vm_start") (param $context i32) (param $size i32) (result i32) (i32.const 1))
  (func (export "proxy_on_configure") (param $context i32) (param $size i32) (result i32) (i32.const 1))
  (func (export "proxy_on_request_headers")
    (param $context i32) (param $headers i32) (param $end_of_stream i32) (result i32)
    (if (i32.eqz (local.get $end_of_stream)) (then (unreachable)))
    (i32.const 0)))
