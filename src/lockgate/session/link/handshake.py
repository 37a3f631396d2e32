"""EDHOC between two ends of a stream. Who answers learns with message_3 who is there, so its claims are in message_4.

The initiator's claims are in message_3. Both are judged by the caller, who alone can ask ledgers, before either side
sends a byte for the application.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from lockgate.crypto.ports import Encapsulator
from lockgate.primitives.errors import LockgateError
from lockgate.session.edhoc import Established, Known, Method, receive, start
from lockgate.session.edhoc.errors import HandshakeFailed, WrongSuite
from lockgate.session.edhoc.initiator import Sent1, Sent3
from lockgate.session.edhoc.messages import KID, MAX_MESSAGE, ErrorMessage
from lockgate.session.edhoc.responder import Proven, Sent2
from lockgate.session.link.errors import LinkOver, OtherPeer
from lockgate.session.link.frames import MAX_FIRST, MAX_SECOND
from lockgate.session.meeting import UNDERSTOOD, Claims, Sides, suites_of

_C_I: Final = b"\x00"  # a stream needs no names for its ends
_C_R: Final = b"\x01"


class Step(Enum):
    """What a handshake waits for: a message, or the caller."""

    FIRST = "message_1"
    TABLE = "who may be met"
    SECOND = "message_2"
    THIRD = "message_3"
    FOURTH = "message_4"
    JUDGEMENT = "a judgement of the peer's claims"
    DONE = "nothing"


LONGEST: Final = {  # bytes of the message that a step waits for
    Step.FIRST: MAX_FIRST,
    Step.SECOND: MAX_SECOND,
    Step.THIRD: MAX_MESSAGE,
    Step.FOURTH: MAX_MESSAGE,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A message_1 has come, from anybody. Answer with everybody who may be met."""


@dataclass(frozen=True, slots=True)
class Presented:
    """The peer is authenticated. Compare its claims with the ledgers and accept it, or abort the link."""

    sides: Sides
    claims: Claims


class Handshake:
    """One exchange, of either role. A message goes in; an event, or the message to send, comes out."""

    def __init__(self, entropy: Encapsulator, endpoint: bytes = b"") -> None:
        """`endpoint`, where it is given, is the only one that may be met."""
        self._entropy: Final = entropy
        self._endpoint: Final = endpoint
        self.step = Step.FIRST
        self.initiator = False
        self.sides: Sides | None = None
        self.established: Established | None = None
        self._table: dict[bytes, Sides] = {}
        self._claims: Claims | None = None
        self._first = b""
        self._state: Sent1 | Sent2 | Sent3 | Proven | None = None

    def begin(self, sides: Sides, claims: Claims) -> bytes:
        """message_1 to one peer. Raises WrongSuite, OtherPeer."""
        self._expect(Step.FIRST)
        self._check_endpoint(sides)
        self.initiator, self.sides, self._claims = True, sides, claims
        message, self._state = start(Method.SIGN_SIGN, sides.offered, _C_I, self._entropy)
        self.step = Step.SECOND
        return message

    def answer(self, table: Sequence[Sides]) -> bytes:
        """message_2, for anybody in the table. Raises HandshakeFailed where it is empty, and what `receive` does."""
        self._expect(Step.TABLE)
        mine = [one for one in table if not self._endpoint or one.peer.endpoint == self._endpoint]
        if not mine:
            raise HandshakeFailed("there is nobody to be met")
        own = mine[0]
        if any(one.own.record != own.own.record for one in mine):
            raise LinkOver("a side answers as one key record")
        self._table = {one.peer.record: one for one in mine}
        offered = tuple(dict.fromkeys(number for one in mine for number in one.suites))
        asked = receive(self._first, offered or suites_of(own.own.key, own.own.key), understood=UNDERSTOOD)
        message, self._state = asked.message_2(_C_R, own.identity, self._entropy)
        self.step = Step.THIRD
        return message

    def receive(self, message: bytes) -> bytes | Asked | Presented:
        """The next message of the peer. Returns this side's next one, or what the caller has to do."""
        match self.step, self._state:
            case Step.FIRST, None:
                self._first, self.step = message, Step.TABLE
                return Asked()
            case Step.SECOND, Sent1() as sent:
                assert self.sides is not None
                assert self._claims is not None
                met = sent.take(message, self.sides.identity, Known([self.sides.peer.credential]), UNDERSTOOD)
                third, self._state = met.message_3(self._claims.eads())
                self.step = Step.FOURTH
                return third
            case Step.THIRD, Sent2() as sent:
                return self._proven(sent.take(message, self._known(), UNDERSTOOD))
            case Step.FOURTH, Sent3() as sent:
                assert self.sides is not None
                self.established, eads = sent.take(message, UNDERSTOOD)
                self.step, self._state = Step.JUDGEMENT, None
                return Presented(self.sides, Claims.of(eads))
            case _:
                raise LinkOver("a handshake waits for its caller", step=self.step.value)

    def accept(self, claims: Claims | None) -> bytes | None:
        """The peer's claims hold. Returns message_4 with the own `claims` where this side answers."""
        self._expect(Step.JUDGEMENT)
        state, self._state, self.step = self._state, None, Step.DONE
        if not isinstance(state, Proven):
            return None
        if claims is None:
            raise LinkOver("who answers states its claims when it accepts")
        return state.message_4(claims.eads())

    @property
    def context(self) -> bytes:
        assert self.sides is not None
        return self.sides.context(initiator=self.initiator)

    def _known(self) -> Known:
        return Known([one.peer.credential for one in self._table.values()])

    def _proven(self, proven: Proven) -> Presented:
        done, claims = proven.established, Claims.of(proven.eads)
        sides = self._table[done.peer.id_cred[KID]]
        try:
            suites = sides.offered
        except WrongSuite as error:
            raise HandshakeFailed("the suite is not one for these two identities") from error
        if done.suite.id != suites[0]:  # who it is was not known before: a weaker one than both have is a downgrade
            raise HandshakeFailed("the suite is not one for these two identities")
        self.sides, self.established, self._state, self.step = sides, done, proven, Step.JUDGEMENT
        return Presented(sides, claims)

    def _check_endpoint(self, sides: Sides) -> None:
        if self._endpoint and sides.peer.endpoint != self._endpoint:
            raise OtherPeer(expected=self._endpoint, got=sides.peer.endpoint)

    def _expect(self, step: Step) -> None:
        if self.step is not step:
            raise LinkOver("a handshake waits for something else", step=self.step.value)


def error_of(failure: LockgateError) -> ErrorMessage:
    """What a peer is told of a failed handshake: the suites that are supported, or nothing (P19)."""
    ours = failure.fields.get("ours") if isinstance(failure, WrongSuite) else None
    return ErrorMessage.wrong_suite(ours) if isinstance(ours, tuple) and ours else ErrorMessage.failed()


__all__ = ("LONGEST", "Asked", "Handshake", "Presented", "Step", "error_of")
