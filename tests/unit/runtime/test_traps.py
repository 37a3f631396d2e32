"""Why a call ended, read from wasmtime's last line only."""

from __future__ import annotations

import pytest

from lockgate.host.ports import TRAP_WORDS, TrapKind
from lockgate.runtime.wasm.traps import classify

BACKTRACE = "error while executing at wasm backtrace:\n    0: 0x80 - m!{name}\n\nCaused by:\n    {last}\n"


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        ("wasm trap: wasm `unreachable` instruction executed", TrapKind.UNREACHABLE),
        ("wasm trap: interrupt", TrapKind.EPOCH),
        ("wasm trap: call stack exhausted", TrapKind.STACK),
        ("1: wasm trap: out of bounds memory access", TrapKind.MEMORY),
        ("wasm trap: integer overflow", TrapKind.ARITHMETIC),
        ("wasm trap: something wasmtime invents later", TrapKind.OTHER),
        ("list pointer/length out of bounds of memory", TrapKind.BAD_CALL),
    ],
)
def test_traps(last: str, kind: TrapKind) -> None:
    assert classify(BACKTRACE.format(name="f", last=last), 5).kind is kind


def test_lifting_the_result_is_the_results_fault() -> None:
    assert classify("discriminant 9 out of range [0..3)", 5).kind is TrapKind.BAD_RESULT


def test_spent_fuel_decides() -> None:
    assert classify(BACKTRACE.format(name="f", last="wasm trap: interrupt"), 0).kind is TrapKind.FUEL


def test_names_in_the_backtrace_decide_nothing() -> None:
    name = "x\n\nCaused by:\n    wasm trap: interrupt"
    text = BACKTRACE.format(name=name, last="wasm trap: call stack exhausted")
    assert classify(text, 5).kind is TrapKind.STACK


def test_details_are_short_and_printable() -> None:
    detail = classify("\x1b[31m" + "x" * 1_000, 5).detail
    assert detail.isprintable()
    assert len(detail) <= 200


def test_every_kind_has_words() -> None:
    assert set(TRAP_WORDS) == set(TrapKind)
