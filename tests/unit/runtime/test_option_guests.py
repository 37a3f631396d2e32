"""The shipped option guests: their source in process, and the built components on recorded quotes."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pycddl
import pytest
from black_scholes import Expired, NoSolution, Option, Volatility, implied_volatility
from hypothesis import given
from hypothesis import strategies as st
from iv_solver import guest as iv_solver
from lockgate_guest import Guest as SdkGuest
from lockgate_guest import Message as SdkMessage
from lockgate_guest import Refused, cbor
from lockgate_guest._host import bind
from quote_sender import guest as quote_sender
from quotes import (
    QUOTE_SCHEMA,
    BadQuote,
    decode_answer,
    decode_quote,
    encode_answer,
    encode_quote,
)

from lockgate.host.ports import (
    Acknowledged,
    Command,
    Deferred,
    Done,
    Guest,
    GuestId,
    Message,
    MessageRef,
    Refusal,
    RefusedByPeer,
    Reply,
    TimedOut,
)
from lockgate.primitives.ids import Hash32
from lockgate.runtime.errors import NotBuilt
from lockgate.runtime.imports import Imports
from lockgate.runtime.inprocess import InProcessGuest
from lockgate.runtime.wasm import Sandbox, shipped
from lockgate.runtime.wasm.testing import MemoryState, run_cases
from tests.support.guests import call, message, state
from tests.support.quotes import option_chains, recorded

CDDL = Path(__file__).parents[3] / "guests" / "options" / "options.cddl"
QUOTE = Option(True, 2_257_830_000, 2_250_000_000, 40_000_000, 41_000_000, 73)
BODY = encode_quote("SPX170317C02250000", QUOTE, 17_169)


class InProcess:
    """A guest written with the SDK, as a program of the port's fake."""

    def __init__(self, guest: SdkGuest) -> None:
        self._guest = guest

    def handle(self, received: Message, host: Imports) -> Reply | Refusal | Deferred:
        fields = {field.name: getattr(received, field.name) for field in dataclasses.fields(received)}
        result = self._called(host, lambda: self._guest.handle(SdkMessage(**fields)))
        return result if isinstance(result, Refusal) else Reply(result)

    def command(self, data: bytes, host: Imports) -> Reply | Refusal:
        result = self._called(host, lambda: self._guest.command(data))
        return result if isinstance(result, Refusal) else Reply(result)

    def acknowledged(self, sent: MessageRef, reply: bytes, host: Imports) -> None:
        self._called(host, lambda: self._guest.acknowledged(sent, reply))

    def timed_out(self, sent: MessageRef, host: Imports) -> None:
        self._called(host, lambda: self._guest.timed_out(sent))

    def refused(self, sent: MessageRef, code: str, host: Imports) -> None:
        self._called(host, lambda: self._guest.refused(sent, code))

    def _called(self, host: Imports, run: Any) -> Any:
        bind(host)
        try:
            return run()
        except Refused as refused:
            return Refusal(refused.code, refused.detail)
        finally:
            bind(None)


def in_process(guest: SdkGuest) -> Guest:
    return InProcessGuest(GuestId(Hash32(b"\0" * 32)), lambda: InProcess(guest))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(cache=shipped.code_cache()) as made:
        yield made


def from_build(sandbox: Sandbox, name: str) -> Guest:
    try:
        return sandbox.load(shipped.component(name)).guest
    except NotBuilt as absent:
        pytest.skip(f"{absent}: {absent.next_step}")


@pytest.fixture(params=["source", "component"], scope="module")
def solver(request: pytest.FixtureRequest, sandbox: Sandbox) -> Guest:
    return in_process(iv_solver) if request.param == "source" else from_build(sandbox, "iv-solver")


@pytest.fixture(params=["source", "component"], scope="module")
def sender(request: pytest.FixtureRequest, sandbox: Sandbox) -> Guest:
    return in_process(quote_sender) if request.param == "source" else from_build(sandbox, "quote-sender")


# --- iv-solver


def test_solver_answers_with_a_volatility(solver: Guest) -> None:
    result = call(solver, message(BODY, QUOTE_SCHEMA)).result
    assert isinstance(result, Reply)
    assert decode_answer(result.body) == implied_volatility(QUOTE)


@pytest.mark.parametrize(
    ("changed", "answer"),
    [
        ({"bid": 0, "ask": 0}, NoSolution("intrinsic", 15_660_000, 0)),
        ({"ask": 10**12}, NoSolution("upper", 4_515_660_000, 10**12 + 40_000_000)),
        ({"days": 0}, Expired(0)),
        ({"days": -9}, Expired(9)),
    ],
)
def test_solver_says_why_there_is_none(solver: Guest, changed: dict[str, Any], answer: object) -> None:
    body = encode_quote("X", dataclasses.replace(QUOTE, **changed), 17_169)
    result = call(solver, message(body, QUOTE_SCHEMA)).result
    assert isinstance(result, Reply)
    assert decode_answer(result.body) == answer


def spoiled(**changes: object) -> bytes:
    return cbor.encode({**cbor.decode(BODY), **changes})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        cbor.encode([]),
        cbor.encode({}),
        spoiled(series=""),
        spoiled(series="x" * 65),
        spoiled(series=5),
        spoiled(kind="straddle"),
        spoiled(kind=[]),
        spoiled(spot=0),
        spoiled(strike=-1),
        spoiled(spot=10**15 + 1),
        spoiled(bid=True),
        spoiled(bid="40"),
        spoiled(bid=42_000_000),
        spoiled(expires=-1),
        spoiled(quoted=None),
        BODY + b"\0",
        BODY[:-1],
    ],
)
def test_solver_refuses_what_is_no_quote(solver: Guest, body: bytes) -> None:
    result = call(solver, message(body, QUOTE_SCHEMA)).result
    assert isinstance(result, Refusal)
    assert result.code == "options.bad_quote"


def test_solver_passes_over_fields_of_later_versions(solver: Guest) -> None:
    later = call(solver, message(spoiled(exchange="CBOE"), "option-quote@1.4"))
    assert later.result == call(solver, message(BODY, QUOTE_SCHEMA)).result


def test_solver_refuses_other_schemas(solver: Guest) -> None:
    for schema in ("option-quote@2.0", "something@1.0"):
        result = call(solver, message(BODY, schema)).result
        assert isinstance(result, Refusal)
        assert result.code == "schema.unknown"


def test_component_answers_recorded_quotes_as_its_source_does(sandbox: Sandbox) -> None:
    guest = from_build(sandbox, "iv-solver")
    quotes = list(recorded(option_chains() / "spx_2017_sample.csv"))
    kinds: Counter[str] = Counter()
    for series, option, quoted, _ in quotes:
        outcome = call(guest, message(encode_quote(series, option, quoted), QUOTE_SCHEMA))
        assert isinstance(outcome.result, Reply)
        answer = decode_answer(outcome.result.body)
        assert answer == implied_volatility(option)
        assert outcome.writes == ()
        kinds[type(answer).__name__] += 1
    # the issue's own figures for this file: 175 mids at or below intrinsic value, six rows expired
    assert kinds == {"Volatility": len(quotes) - 181, "NoSolution": 175, "Expired": 6}


def test_the_same_quote_costs_the_same_fuel(sandbox: Sandbox) -> None:
    guest = from_build(sandbox, "iv-solver")
    assert len({call(guest, message(BODY, QUOTE_SCHEMA)).fuel_used for _ in range(3)}) == 1


# --- quote-sender


def commanded(guest: Guest, over: MemoryState, **command: object) -> Any:
    outcome = call(guest, Command(cbor.encode(command)), over)
    assert isinstance(outcome.result, Reply), outcome.result
    over.apply(outcome)
    return cbor.decode(outcome.result.body)


def sent(guest: Guest, over: MemoryState, *quotes: bytes) -> list[MessageRef]:
    batch = {"to": "bob", "timeout": 600, "quotes": list(quotes)}
    return [MessageRef(ref) for ref in commanded(guest, over, send=batch)["sent"]]


def test_sender_sends_one_message_for_each_quote(sender: Guest) -> None:
    batch = cbor.encode({"send": {"to": "bob", "timeout": 600, "quotes": [BODY, BODY]}})
    outcome = call(sender, Command(batch))
    assert [(s.to, s.schema, s.body, s.timeout_s) for s in outcome.sends] == [("bob", QUOTE_SCHEMA, BODY, 600)] * 2
    assert isinstance(outcome.result, Reply)
    assert cbor.decode(outcome.result.body) == {"sent": [s.ref for s in outcome.sends]}


def test_sender_keeps_answers_and_counts(sender: Guest) -> None:
    over = state()
    references = sent(sender, over, *[BODY] * 6)
    answers = [
        encode_answer(Volatility(184_400_000)),
        encode_answer(NoSolution("intrinsic", 5, 4)),
        encode_answer(Expired(0)),
        b"garbage",
    ]
    for reference, answer in zip(references, answers, strict=False):
        over.apply(call(sender, Acknowledged(reference, answer), over))
    over.apply(call(sender, RefusedByPeer(references[4], "guest.refused"), over))
    over.apply(call(sender, TimedOut(references[5]), over))
    assert commanded(sender, over, report=True) == {
        "sent": 6,
        "acknowledged": 4,
        "refused": 1,
        "timed_out": 1,
        "volatility": 1,
        "no_solution": 1,
        "expired": 1,
        "unreadable": 1,
    }
    kept = sorted(zip(references, answers, strict=False))
    expected = [[reference, "SPX170317C02250000", answer] for reference, answer in kept]
    assert commanded(sender, over, answers={"after": b"", "limit": 10}) == expected
    assert commanded(sender, over, answers={"after": b"", "limit": 2}) == expected[:2]
    assert commanded(sender, over, answers={"after": expected[1][0], "limit": 9}) == expected[2:]
    assert commanded(sender, over, forget=[expected[0][0], b"unknown"]) == {"forgotten": 1}
    assert commanded(sender, over, answers={"after": b"", "limit": 10}) == expected[1:]


@pytest.mark.parametrize("ending", [Acknowledged(MessageRef(b"\x09" * 32), b""), TimedOut(MessageRef(b"\x09" * 32))])
def test_sender_passes_over_what_it_did_not_send(sender: Guest, ending: Acknowledged | TimedOut) -> None:
    outcome = call(sender, ending)
    assert outcome.result == Done()
    assert outcome.writes == ()


def test_sender_counts_an_ending_once(sender: Guest) -> None:
    over = state()
    (reference,) = sent(sender, over, BODY)
    for _ in range(2):
        over.apply(call(sender, TimedOut(reference), over))
    assert commanded(sender, over, report=True)["timed_out"] == 1


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (b"", "options.bad_command"),
        (cbor.encode([1]), "options.bad_command"),
        (cbor.encode({}), "options.bad_command"),
        (cbor.encode({"dance": 1}), "options.bad_command"),
        (cbor.encode({"report": 1, "send": 2}), "options.bad_command"),
        (cbor.encode({"send": 5}), "options.bad_command"),
        (cbor.encode({"send": {"to": "bob", "timeout": 600, "quotes": [BODY, b"bad"]}}), "options.bad_command"),
        (cbor.encode({"send": {"to": "eve", "timeout": 600, "quotes": [BODY]}}), "options.unknown-peer"),
        (cbor.encode({"send": {"to": "bob", "timeout": 0, "quotes": [BODY]}}), "options.bad-timeout"),
    ],
)
def test_sender_refuses_bad_commands_and_sends_nothing(sender: Guest, command: bytes, code: str) -> None:
    outcome = call(sender, Command(command))
    assert isinstance(outcome.result, Refusal)
    assert outcome.result.code == code
    assert (outcome.sends, outcome.writes) == ((), ())


def test_solver_passes_its_own_cases(solver: Guest) -> None:
    results = run_cases(solver, shipped.source_folder("iv-solver"))
    assert [result for result in results if not result.passed] == []


def test_sender_passes_its_own_cases(sender: Guest) -> None:
    results = run_cases(sender, shipped.source_folder("quote-sender"))
    assert [result for result in results if not result.passed] == []


# --- the bodies


def test_bodies_are_as_their_cddl_says() -> None:
    text = CDDL.read_text()
    quote, answer = (pycddl.Schema(f"root = {rule}\n{text}") for rule in ("option-quote", "option-answer"))
    quote.validate_cbor(BODY)
    quote.validate_cbor(spoiled(exchange="CBOE"))
    for each in (Volatility(5), NoSolution("upper", 6, 7), Expired(0)):
        answer.validate_cbor(encode_answer(each))
    for bad in (spoiled(kind="straddle"), spoiled(spot=0), cbor.encode({})):
        with pytest.raises(pycddl.ValidationError):
            quote.validate_cbor(bad)


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64),
    st.builds(
        Option,
        is_call=st.booleans(),
        spot=st.integers(1, 10**15),
        strike=st.integers(1, 10**15),
        bid=st.integers(0, 10**14),
        ask=st.integers(10**14, 10**15),
        days=st.integers(-10_000, 10_000),
    ),
)
def test_quotes_round_trip(series: str, option: Option) -> None:
    assert decode_quote(encode_quote(series, option, 20_000)) == (series, option)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_quote_or_bad(data: bytes) -> None:
    for decode in (decode_quote, decode_answer):
        with contextlib.suppress(BadQuote):
            decode(data)
