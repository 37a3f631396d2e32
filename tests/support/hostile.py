"""Components in WebAssembly text that do one wrong thing each; the rest of them is as it should be."""

from __future__ import annotations

SEND = """
  (import "lockgate:guest/messages@0.1.0" (instance $messages
    (export "send" (func (param "to" string) (param "schema" string) (param "body" (list u8))
      (param "timeout-s" u32) (result (result (list u8) (error string)))))))
  (core func $send (canon lower (func $messages "send") (memory $m) (realloc $realloc)))"""
SEND_TYPE = '(import "host" "send" (func $send (param i32 i32 i32 i32 i32 i32 i32 i32)))'
SET = """
  (import "lockgate:guest/state@0.1.0" (instance $state
    (export "set" (func (param "key" (list u8)) (param "value" (list u8))))))
  (core func $set (canon lower (func $state "set") (memory $m)))"""
SET_TYPE = '(import "host" "set" (func $set (param i32 i32 i32 i32)))'
TIME = """
  (import "lockgate:guest/ledger@0.1.0" (instance $ledger (export "time" (func (result u64)))))
  (core func $time (canon lower (func $ledger "time")))"""
TIME_TYPE = '(import "host" "time" (func $time (result i64)))'

_HOST = {SEND: ("send", SEND_TYPE), SET: ("set", SET_TYPE), TIME: ("time", TIME_TYPE)}


def component(
    handle: str = "(i32.const 0)",
    *,
    core: str = "",
    imports: str = "",
    outside: str = "",
    command: str = "(i32.const 0)",
    without: str = "",
    memory: str = "1",
    realloc: str = "(i32.const 512)",
) -> bytes:
    """Return a component whose export `handle` has the given body.

    `core` goes into its core module, `imports` is one of SEND, SET, TIME, `outside` is text of the
    component itself, `without` names an export to leave out, `realloc` is that function's body.
    An untouched memory reads as zeros: the default `handle` replies with nothing.
    """
    name, imported = _HOST.get(imports, ("", ""))
    lifted = "(memory $m) (realloc $realloc)))\n  "
    functions = {
        "handle": f'(func $handle (param "message" $message) (result $reaction)\n'
        f'    (canon lift (core func $guest "handle") {lifted}',
        "acknowledged": '(func $acknowledged (param "sent" (list u8)) (param "reply" (list u8))\n'
        f'    (canon lift (core func $guest "acknowledged") {lifted}',
        "timed-out": '(func $timed-out (param "sent" (list u8))\n'
        f'    (canon lift (core func $guest "timed-out") {lifted}',
        "refused": '(func $refused (param "sent" (list u8)) (param "code" string)\n'
        f'    (canon lift (core func $guest "refused") {lifted}',
        "command": '(func $command (param "input" (list u8)) (result (result (list u8) (error $refusal)))\n'
        f'    (canon lift (core func $guest "command") {lifted}',
    }
    exported = [function for function in functions if function != without]
    return f"""(component
  (core module $Memory
    (memory (export "memory") {memory})
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) {realloc}))
  (core instance $memory (instantiate $Memory))
  (alias core export $memory "memory" (core memory $m))
  (alias core export $memory "realloc" (core func $realloc))
  {imports}
  {outside}
  (core module $Guest
    (import "memory" "memory" (memory 1))
    {imported}
    {core}
    (func (export "handle") (param i32 i32 i32 i32 i32 i32 i32 i32 i64) (result i32) {handle})
    (func (export "acknowledged") (param i32 i32 i32 i32))
    (func (export "timed-out") (param i32 i32))
    (func (export "refused") (param i32 i32 i32 i32))
    (func (export "command") (param i32 i32) (result i32) {command}))
  (core instance $guest (instantiate $Guest
    (with "memory" (instance $memory))
    {f'(with "host" (instance (export "{name}" (func ${name}))))' if name else ""}))
  (type $message (record (field "id" (list u8)) (field "sender" string) (field "schema" string)
    (field "body" (list u8)) (field "deadline" u64)))
  (type $refusal (record (field "code" string) (field "detail" string)))
  (type $reaction (variant (case "reply" (list u8)) (case "refuse" $refusal) (case "defer")))
  {"".join(functions[function] for function in exported)}
  (instance $handler
    (export "message" (type $message)) (export "refusal" (type $refusal)) (export "reaction" (type $reaction))
    {" ".join(f'(export "{function}" (func ${function}))' for function in exported)})
  (export "lockgate:guest/handler@0.1.0" (instance $handler)))""".encode()


def store(*words: int) -> str:
    """Return code that lays 32-bit words out from address 0, where `(i32.const 0)` points as a result."""
    return " ".join(f"(i32.store (i32.const {4 * i}) (i32.const {word}))" for i, word in enumerate(words))
