"""Hostile guests: each is stopped with a typed reason, leaves nothing, and harms no other guest.

Endless loop, memory bomb, table bomb, deep recursion, huge output, floods, forged calls, bad results.
After every attack an honest guest on the same engine still answers.
"""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Iterator

import pytest

from lockgate.host.ports import Command, Guest, Reply, TrapKind
from lockgate.runtime.errors import BadComponent, ForeignImport, WorldMismatch
from lockgate.runtime.wasm import Sandbox, component_bytes
from tests.support import hostile, probe
from tests.support.guests import call, message, trapped
from tests.support.hostile import component, store

LOOP = "(loop $again (br $again)) (unreachable)"
FUEL = 20_000_000  # about 30 ms
PLENTY = 5_000_000_000  # about 8 s, so that a limit that fails to bite ends the test all the same
MIB = 1 << 20


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


@pytest.fixture(scope="module")
def honest(sandbox: Sandbox) -> Guest:
    return sandbox.load(component_bytes(probe.WAT.read_bytes())).guest


@pytest.fixture(autouse=True)
def _others_are_unharmed(honest: Guest) -> Iterator[None]:
    yield
    assert call(honest, message(probe.output(b"still here"))).result == Reply(b"still here")


def load(sandbox: Sandbox, text: bytes) -> Guest:
    return sandbox.load(component_bytes(text)).guest


def attack(sandbox: Sandbox, text: bytes, **limits: int) -> TrapKind:
    return trapped(call(load(sandbox, text), message(b"x" * 16), None, **({"fuel": FUEL} | limits)))


def test_the_harmless_form_of_all_these_guests_replies(sandbox: Sandbox) -> None:
    for imports in ("", hostile.SEND, hostile.SET, hostile.TIME):
        guest = load(sandbox, component(imports=imports))
        assert call(guest, message(b"x")).result == Reply(b"")
        assert call(guest, Command(b"x")).result == Reply(b"")


def test_endless_loop_runs_out_of_fuel(sandbox: Sandbox) -> None:
    guest = load(sandbox, component(LOOP))
    outcome = call(guest, message(b"x"), fuel=FUEL)
    assert trapped(outcome) is TrapKind.FUEL
    assert outcome.fuel_used == FUEL


def test_endless_loop_while_instantiating_runs_out_of_fuel(sandbox: Sandbox) -> None:
    start = "(func $start (loop $again (br $again))) (start $start)"
    assert attack(sandbox, component(core=start)) is TrapKind.FUEL


def test_a_loop_with_much_fuel_meets_the_clock(sandbox: Sandbox) -> None:
    began = time.monotonic()
    assert attack(sandbox, component(LOOP), fuel=PLENTY, wall_ms=100) is TrapKind.EPOCH
    assert 0.08 < time.monotonic() - began < 5


def test_a_slow_guest_does_not_shorten_anothers_clock(sandbox: Sandbox) -> None:
    guest = load(sandbox, component(LOOP))
    kinds: list[TrapKind] = []

    def run() -> None:
        kinds.append(trapped(call(guest, message(b"x"), fuel=PLENTY, wall_ms=200)))

    began = time.monotonic()
    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kinds == [TrapKind.EPOCH] * 3
    assert time.monotonic() - began > 0.18


@pytest.mark.parametrize(
    "bomb",
    [
        # grow until refused, then reach one page further
        component(
            "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))"
            "(i32.store (i32.mul (memory.size) (i32.const 65536)) (i32.const 1)) (i32.const 0)"
        ),
        component(memory="2000"),  # 125 MiB from the start
        component("(i32.store (i32.const -8) (i32.const 1)) (i32.const 0)"),
        component(core="(memory $other 2000)"),  # switched off: more than one memory in a module
    ],
    ids=["grow", "minimum", "outside", "second"],
)
def test_memory_bombs(sandbox: Sandbox, bomb: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        assert attack(sandbox, bomb, memory_bytes=32 * MIB) is TrapKind.MEMORY
    except BadComponent:
        assert b"$other" in bomb
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_growing_memory_in_a_loop_ends_with_the_fuel(sandbox: Sandbox) -> None:
    assert attack(sandbox, component("(loop $a (drop (memory.grow (i32.const 16))) (br $a)) (unreachable)")) is (
        TrapKind.FUEL
    )


def test_memory_in_many_instances_is_bounded(sandbox: Sandbox) -> None:
    modules = "(core module $M (memory 100))" + "".join(f"(core instance $i{n} (instantiate $M))" for n in range(20))
    assert attack(sandbox, component(outside=modules)) is TrapKind.MEMORY


@pytest.mark.parametrize(
    "bomb",
    [
        component(
            "(loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 999)) (i32.const -1))))"
            "(drop (table.get $t (table.size $t))) (i32.const 0)",
            core="(table $t 1 funcref)",
        ),
        component(core="(table 1000000 funcref)"),
        component("(call_indirect (i32.const 5)) (i32.const 0)", core="(table 1 funcref)"),
        component("(call_indirect (i32.const 0)) (i32.const 0)", core="(table 1 funcref)"),
    ],
    ids=["grow", "minimum", "outside", "null"],
)
def test_table_bombs(sandbox: Sandbox, bomb: bytes) -> None:
    assert attack(sandbox, bomb) is TrapKind.TABLE


def test_many_tables_are_bounded(sandbox: Sandbox) -> None:
    modules = "(core module $T (table 10000 funcref))" + "".join(
        f"(core instance $t{n} (instantiate $T))" for n in range(20)
    )
    assert attack(sandbox, component(outside=modules)) is TrapKind.TABLE


def test_many_instances_are_bounded(sandbox: Sandbox) -> None:
    modules = "(core module $E)" + "".join(f"(core instance $e{n} (instantiate $E))" for n in range(100))
    assert attack(sandbox, component(outside=modules)) is TrapKind.OTHER


@pytest.mark.parametrize(
    "recursion",
    [
        component("(call $f) (i32.const 0)", core="(func $f (call $f))"),
        component(
            "(i32.wrap_i64 (call $f (i64.const 0)))",
            core="(func $f (param i64) (result i64)"
            " (i64.add (call $f (i64.add (local.get 0) (i64.const 1))) (local.get 0)))",
        ),
    ],
    ids=["plain", "with a frame"],
)
def test_deep_recursion(sandbox: Sandbox, recursion: bytes) -> None:
    assert attack(sandbox, recursion) is TrapKind.STACK


def test_deep_recursion_on_a_thread(sandbox: Sandbox) -> None:
    guest = load(sandbox, component("(call $f) (i32.const 0)", core="(func $f (call $f))"))
    kinds: list[TrapKind] = []
    thread = threading.Thread(target=lambda: kinds.append(trapped(call(guest, message(b"x")))))
    thread.start()
    thread.join()
    assert kinds == [TrapKind.STACK]


@pytest.mark.parametrize("size", [128 * 1024 + 1, 3 * MIB, 60 * MIB])
def test_huge_output_is_refused_before_it_is_copied(sandbox: Sandbox, size: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    huge = component(store(0, 1024, size) + "(i32.const 0)", memory="1000")
    assert attack(sandbox, huge) is TrapKind.OUTPUT_TOO_LARGE
    # wasmtime lifts at most 128 MiB of its 32-byte values before it gives up
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 * 1024


def test_a_list_of_the_whole_address_space_is_refused(sandbox: Sandbox) -> None:
    assert attack(sandbox, component(store(0, 1024, -1 & 0xFFFFFFFF) + "(i32.const 0)")) in (
        TrapKind.BAD_RESULT,
        TrapKind.OUTPUT_TOO_LARGE,
    )


SENDING = (
    "(i32.store8 (i32.const 100) (i32.const 98)) (i32.store8 (i32.const 101) (i32.const 111))"
    "(i32.store8 (i32.const 102) (i32.const 98))"
    "(i32.store8 (i32.const 104) (i32.const 97)) (i32.store8 (i32.const 105) (i32.const 64))"  # a@1.0
    "(i32.store8 (i32.const 106) (i32.const 49)) (i32.store8 (i32.const 107) (i32.const 46))"
    "(i32.store8 (i32.const 108) (i32.const 48))"
    "(loop $a (call $send (i32.const 100) (i32.const 3) (i32.const 104) (i32.const 5)"
    " (i32.const 100) (i32.const {body}) (i32.const 60) (i32.const 0)) (br $a)) (unreachable)"
)


def test_a_flood_of_sends(sandbox: Sandbox) -> None:
    flood = component(SENDING.format(body=3), imports=hostile.SEND)
    assert attack(sandbox, flood, fuel=PLENTY) is TrapKind.TOO_MANY_SENDS


def test_a_flood_of_sends_to_nobody_pays_for_host_calls(sandbox: Sandbox) -> None:
    flood = component(SENDING.format(body=3).replace("98", "99"), imports=hostile.SEND)
    began = time.monotonic()
    assert attack(sandbox, flood, fuel=100_000_000) is TrapKind.FUEL
    assert time.monotonic() - began < 10


def test_a_send_of_everything_it_has_is_refused(sandbox: Sandbox) -> None:
    big = component(SENDING.format(body=MIB), imports=hostile.SEND, memory="64")
    began = time.monotonic()
    assert attack(sandbox, big, fuel=100_000_000) is TrapKind.FUEL
    assert time.monotonic() - began < 10


def test_a_flood_of_state(sandbox: Sandbox) -> None:
    flood = component(
        "(loop $a (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))"
        "(call $set (i32.const 0) (i32.const 4) (i32.const 1024) (i32.const 32768)) (br $a)) (unreachable)",
        imports=hostile.SET,
    )
    assert attack(sandbox, flood, fuel=PLENTY, state_quota=MIB) is TrapKind.STATE_TOO_LARGE


def test_a_flood_of_host_calls_costs_fuel(sandbox: Sandbox) -> None:
    flood = component("(loop $a (drop (call $time)) (br $a)) (unreachable)", imports=hostile.TIME)
    outcome = call(load(sandbox, flood), message(b"x"), fuel=FUEL)
    assert trapped(outcome) is TrapKind.FUEL


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ("(i32.const -4) (i32.const 100) (i32.const 0) (i32.const 1)", TrapKind.BAD_CALL),
        ("(i32.const 0) (i32.const -1) (i32.const 0) (i32.const 1)", TrapKind.BAD_CALL),
        ("(i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1)", TrapKind.BAD_CALL),
        ("(i32.const 0) (i32.const 1) (i32.const 0) (i32.const 8000000)", TrapKind.OUTPUT_TOO_LARGE),
    ],
    ids=["pointer", "length", "empty key", "huge value"],
)
def test_forged_arguments(sandbox: Sandbox, arguments: str, kind: TrapKind) -> None:
    forged = component(f"(call $set {arguments}) (i32.const 0)", imports=hostile.SET, memory="128")
    assert attack(sandbox, forged) is kind


def test_a_realloc_that_lies(sandbox: Sandbox) -> None:
    assert attack(sandbox, component(realloc="(i32.const -16)")) in (TrapKind.BAD_RESULT, TrapKind.MEMORY)
    assert attack(sandbox, component(realloc="(unreachable)")) is TrapKind.UNREACHABLE


def test_a_guest_that_aborts(sandbox: Sandbox) -> None:
    assert attack(sandbox, component("(unreachable)")) is TrapKind.UNREACHABLE
    assert attack(sandbox, component("(i32.div_u (i32.const 1) (i32.const 0))")) is TrapKind.ARITHMETIC


@pytest.mark.parametrize(
    "result",
    [
        store(7) + "(i32.const 0)",  # no such case of reaction
        store(0, 0xFFFFFF0, 64) + "(i32.const 0)",  # a list outside the memory
        store(1, 64, 4, 64, 0) + "(i32.store (i32.const 64) (i32.const -1)) (i32.const 0)",  # not UTF-8
        "(i32.const 3)",  # not aligned
        "(i32.const -4)",  # outside the memory
        store(1, 64, 0, 64, 0) + "(i32.const 0)",  # a refusal without a code
    ],
    ids=["case", "list", "text", "alignment", "pointer", "code"],
)
def test_bad_results(sandbox: Sandbox, result: str) -> None:
    assert attack(sandbox, component(result)) is TrapKind.BAD_RESULT


def test_names_chosen_by_the_guest_cannot_choose_the_reason(sandbox: Sandbox) -> None:
    forged = component(
        "(call $f) (i32.const 0)",
        core='(func $f (@name "x\\n\\nCaused by:\\n    wasm trap: interrupt\\n") (unreachable))',
    )
    outcome = call(load(sandbox, forged), message(b"x"))
    assert trapped(outcome) is TrapKind.UNREACHABLE


@pytest.mark.parametrize(
    ("outside", "named"),
    [
        ('(import "wasi:cli/environment@0.2.0" (instance (export "f" (func))))', "wasi:cli/environment@0.2.0"),
        ('(import "wasi:sockets/tcp@0.2.0" (instance))', "wasi:sockets/tcp@0.2.0"),
        ('(import "exec" (func))', "exec"),
        (
            '(import "lockgate:guest/state@0.1.0" (instance (export "dump" (func))))',
            "lockgate:guest/state@0.1.0#dump",
        ),
        (
            '(import "lockgate:guest/state@0.2.0" (instance (export "delete" (func))))',
            "lockgate:guest/state@0.2.0",
        ),
    ],
)
def test_imports_outside_the_world_are_refused_by_name(sandbox: Sandbox, outside: str, named: str) -> None:
    with pytest.raises(ForeignImport) as refused:
        load(sandbox, component(outside=outside))
    assert refused.value.fields["imported"] == named


@pytest.mark.parametrize(
    "outside",
    [
        '(import "lockgate:guest/ledger@0.1.0" (instance (export "time" (func (result u32)))))',
        '(import "lockgate:guest/ledger@0.1.0" (instance (export "time" (func (param "a" u8) (result u64)))))',
        '(import "lockgate:guest/random@0.1.0" (instance'
        ' (export "secret-random" (func (param "count" u64) (result (list u8))))))',
        '(import "lockgate:guest/state@0.1.0" (instance'
        ' (export "get" (func (param "key" string) (result (option (list u8)))))))',
        '(import "lockgate:guest/log@0.1.0" (func))',
    ],
)
def test_imports_of_another_type_are_refused(sandbox: Sandbox, outside: str) -> None:
    with pytest.raises(WorldMismatch):
        load(sandbox, component(outside=outside))


@pytest.mark.parametrize("missing", ["handle", "acknowledged", "timed-out", "refused", "command"])
def test_a_missing_export_is_refused(sandbox: Sandbox, missing: str) -> None:
    with pytest.raises(WorldMismatch) as refused:
        load(sandbox, component(without=missing))
    assert refused.value.fields["missing"] == f"lockgate:guest/handler@0.1.0#{missing}"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0asm",
        b"\0asm\x0d\0\x01\0",  # an empty component
        b"(component)",
        b"(module)",
        b"not WebAssembly",
        b"\0asm\x0d\0\x01\0" + b"\xff" * 100,
        component()[:-5],
    ],
)
def test_what_is_no_guest_is_refused(sandbox: Sandbox, data: bytes) -> None:
    with pytest.raises((BadComponent, WorldMismatch)):
        load(sandbox, data)


@pytest.mark.parametrize(
    "core",
    [
        "(memory 1 1 shared)",
        "(memory 1) (func (param i32) (result i32) (i32.atomic.load (local.get 0)))",
        "(memory i64 1)",
        "(memory 1) (memory 1)",
        "(type (struct (field i32)))",
        "(tag $e)",
        "(func $f (return_call $f))",
        "(func (result v128) (f32x4.relaxed_min (v128.const i64x2 0 0) (v128.const i64x2 0 0)))",
        "(func (param i64 i64) (result i64 i64) (i64.mul_wide_u (local.get 0) (local.get 1)))",
        "(memory 1 (pagesize 1))",
    ],
    ids=[
        "shared memory",
        "atomics",
        "memory64",
        "several memories",
        "gc",
        "exceptions",
        "tail calls",
        "relaxed simd",
        "wide arithmetic",
        "page size",
    ],
)
def test_features_that_are_off_are_refused(sandbox: Sandbox, core: str) -> None:
    load(sandbox, component(outside="(core module $Other (memory 1))"))
    with pytest.raises(BadComponent):
        load(sandbox, component(outside=f"(core module $Other {core})"))


def test_an_oversized_component_is_refused_unread(sandbox: Sandbox) -> None:
    with pytest.raises(BadComponent, match="larger than"):
        sandbox.load(b"\0asm" + bytes(64 * MIB))
