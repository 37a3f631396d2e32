"""The epoch thread: it ticks while calls run, parks when none do, and ends when closed."""

from __future__ import annotations

import hashlib
import threading
import time

import pytest

from lockgate.runtime.errors import SandboxClosed
from lockgate.runtime.wasm import EngineSettings, Sandbox, component_bytes, engine
from lockgate.runtime.wasm.engine import EpochTicker, ticks
from tests.support import hostile
from tests.support.guests import call, message


class CountingEngine:
    def __init__(self) -> None:
        self.epochs = 0

    def increment_epoch(self) -> None:
        self.epochs += 1


@pytest.fixture
def counting() -> CountingEngine:
    return CountingEngine()


@pytest.fixture
def ticker(counting: CountingEngine, monkeypatch: pytest.MonkeyPatch) -> EpochTicker:
    monkeypatch.setattr(engine, "TICK_MS", 1)
    monkeypatch.setattr(engine, "IDLE_TICKS", 3)
    return EpochTicker(counting)  # type: ignore[arg-type]  # a stand-in


def wait_until(condition: object, seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.001)


def test_ticks_while_running_and_parks_afterwards(ticker: EpochTicker, counting: CountingEngine) -> None:
    with ticker.ticking():
        wait_until(lambda: counting.epochs > 10)
    wait_until(lambda: ticker._parked)
    parked_at = counting.epochs
    time.sleep(0.02)
    assert counting.epochs == parked_at
    with ticker.ticking():
        wait_until(lambda: counting.epochs > parked_at)
    ticker.close()


def test_starting_calls_does_not_hurry_the_clock(ticker: EpochTicker, counting: CountingEngine) -> None:
    began = time.monotonic()
    with ticker.ticking():
        for _ in range(2_000):
            with ticker.ticking():
                pass
        elapsed_ms = (time.monotonic() - began) * 1_000
        assert counting.epochs <= elapsed_ms + 1
    ticker.close()


@pytest.mark.parametrize("running", [True, False])
def test_closing_ends_the_thread(ticker: EpochTicker, running: bool) -> None:
    with ticker.ticking():
        pass
    if not running:
        wait_until(lambda: ticker._parked)
    ticker.close()
    assert "guest-epochs" not in {thread.name for thread in threading.enumerate()}


def test_closing_an_unused_ticker_is_harmless(ticker: EpochTicker) -> None:
    ticker.close()


@pytest.mark.parametrize(("wall_ms", "epochs"), [(1, 2), (10, 2), (11, 3), (1_000, 101)])
def test_a_call_gets_no_less_than_its_time(wall_ms: int, epochs: int) -> None:
    assert ticks(wall_ms) == epochs


def test_settings_are_one_line_that_changes_with_each_of_them() -> None:
    text = EngineSettings().text()
    assert "\n" not in text
    assert "wasm_threads=False" in text
    assert EngineSettings(max_wasm_stack=1 << 19).text() != text


def test_a_closed_sandbox_is_misuse() -> None:
    sandbox = Sandbox()
    guest = sandbox.load(component_bytes(hostile.component())).guest
    sandbox.close()
    with pytest.raises(SandboxClosed):
        call(guest, message(b"x"))


def test_identity_is_the_hash_of_the_component() -> None:
    component = component_bytes(hostile.component())
    with Sandbox() as sandbox:
        assert sandbox.load(component).guest.identity == hashlib.sha256(component).digest()


def test_calls_from_many_threads_do_not_meet() -> None:
    replying = hostile.component(
        "(i32.store (i32.const 0) (i32.const 0)) (i32.store (i32.const 4) (local.get 6))"
        "(i32.store (i32.const 8) (local.get 7)) (i32.const 0)"
    )
    wrong: list[object] = []
    with Sandbox() as sandbox:
        guest = sandbox.load(component_bytes(replying)).guest

        def run(body: bytes) -> None:
            for _ in range(50):
                result = call(guest, message(body)).result
                if getattr(result, "body", None) != body:
                    wrong.append(result)

        threads = [threading.Thread(target=run, args=(bytes((n,)) * (n + 1),)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
