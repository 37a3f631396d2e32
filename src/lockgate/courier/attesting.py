"""What a courier asks of an attestor, what it answers, and which of the answers make a quorum.

One request, one answer, each a length of four bytes and one item of deterministic CBOR under
`attestor.1.0.cddl`. An attestor is believed nothing: a signature counts when it verifies under the key that
the client's own signer set has for it, and for what it was asked. One signature that does not hold would
have the ledger refuse the whole message, so it is dropped here, with the name of whose it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.codec.errors import Malformed
from lockgate.codec.registry import Schema, Version, cddl_text
from lockgate.courier import evm_wire
from lockgate.courier.evm_attesting import EvmAttest, EvmAttested, EvmHandOver
from lockgate.lightclients.attested import Signer, SignerSet
from lockgate.lightclients.attested.messages import Signatures, signed
from lockgate.lightclients.attested.states import ClientState, ConsensusState
from lockgate.lightclients.forms import HASH_BYTES, items
from lockgate.lightclients.standing import MalformedState
from lockgate.primitives.errors import PeerFault
from lockgate.primitives.ids import Height
from lockgate.primitives.time import UnixNanos

PROTOCOL: Final = "lockgate-attestor/1"
MAX_FRAME: Final = 16_384  # bytes of a request or an answer: a hybrid signature has 3,373, and nothing else is long
MAX_SIGNATURE: Final = 8_192
MAX_CODE: Final = 64
MAX_DETAIL: Final = 300
LENGTH_BYTES: Final = 4


class AttestorUnusable(PeerFault):
    code = "attestor.unusable"
    summary = "What came over an attestor's connection is no frame of its protocol, or no answer to what was asked."
    untouched = "Nothing of it was used; the other attestors are asked all the same."
    next_step = "Check the address, and that both ends are of the same version."


@dataclass(frozen=True, slots=True)
class Who:
    """Whom am I speaking to?"""


@dataclass(frozen=True, slots=True)
class Attest:
    """Attest a height for clients that rest on this signer set."""

    signers: bytes  # hash of the set, which holds its epoch
    height: Height


@dataclass(frozen=True, slots=True)
class HandOver:
    """Sign that the following set takes over from the present one."""

    present: bytes
    following: bytes


@dataclass(frozen=True, slots=True)
class Known:
    """Which ledger an attestor watches, its key, and the newest height it would attest."""

    chain_id: str
    domain: bytes
    key_hash: bytes
    newest: Height


@dataclass(frozen=True, slots=True)
class Attested:
    """What an attestor says of the height it was asked for."""

    timestamp: UnixNanos
    root: bytes
    key_hash: bytes
    signature: bytes

    @property
    def consensus_state(self) -> ConsensusState:
        return ConsensusState(self.timestamp, self.root)


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A signature of a rotation."""

    key_hash: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class NotAttested:
    """The attestor's own refusal, in its words."""

    code: str
    detail: str


Request = Who | Attest | HandOver | EvmAttest | EvmHandOver
Answer = Known | Attested | HandedOver | EvmAttested | NotAttested


def encode_request(request: Request) -> bytes:
    match request:
        case Who():
            value: list[Any] = [PROTOCOL, "who"]
        case Attest():
            value = [PROTOCOL, "attest", request.signers, _height(request.height)]
        case HandOver():
            value = [PROTOCOL, "hand-over", request.present, request.following]
        case EvmAttest() | EvmHandOver():
            value = [PROTOCOL, *evm_wire.request_value(request)]
    return frame(value)


def decode_request(body: bytes) -> Request:
    """Read a frame's body. Raises AttestorUnusable."""
    try:
        kind, value = _kind_of(body, 1)
        if value[0] != PROTOCOL:
            raise AttestorUnusable("another protocol")
        match kind:
            case "who":
                items(value, str, str)
                return Who()
            case "attest":
                _, _, signers, height = items(value, str, str, bytes, tuple)
                return Attest(_hash(signers), _read_height(height))
            case "hand-over":
                _, _, present, following = items(value, str, str, bytes, bytes)
                return HandOver(_hash(present), _hash(following))
            case evm_wire.ATTEST | evm_wire.HAND_OVER:
                return evm_wire.read_request(kind, value)
    except MalformedState as fault:
        raise AttestorUnusable(str(fault)[:MAX_DETAIL]) from fault
    raise AttestorUnusable("no request of this protocol")


def encode_answer(answer: Answer) -> bytes:
    match answer:
        case Known():
            value: list[Any] = ["known", answer.chain_id, answer.domain, answer.key_hash, _height(answer.newest)]
        case Attested():
            value = ["attested", int(answer.timestamp), answer.root, answer.key_hash, answer.signature]
        case HandedOver():
            value = ["handed-over", answer.key_hash, answer.signature]
        case EvmAttested():
            value = evm_wire.answer_value(answer)
        case NotAttested():
            value = ["refused", answer.code[:MAX_CODE], answer.detail[:MAX_DETAIL]]
    return frame(value)


def decode_answer(body: bytes) -> Answer:
    """Read a frame's body. Raises AttestorUnusable."""
    try:
        kind, value = _kind_of(body, 0)
        match kind:
            case "known":
                _, chain_id, domain, key_hash, newest = items(value, str, str, bytes, bytes, tuple)
                return Known(chain_id, _hash(domain), _hash(key_hash), _read_height(newest))
            case "attested":
                _, timestamp, root, key_hash, signature = items(value, str, int, bytes, bytes, bytes)
                return Attested(UnixNanos(timestamp), _hash(root), _hash(key_hash), _signature(signature))
            case "handed-over":
                _, key_hash, signature = items(value, str, bytes, bytes)
                return HandedOver(_hash(key_hash), _signature(signature))
            case evm_wire.ATTESTED:
                return evm_wire.read_answer(value)
            case "refused":
                _, code, detail = items(value, str, str, str)
                return NotAttested(_printable(code, MAX_CODE), _printable(detail, MAX_DETAIL))
    except MalformedState as fault:
        raise AttestorUnusable(str(fault)[:MAX_DETAIL]) from fault
    raise AttestorUnusable("no answer of this protocol")


def frame(value: Sequence[Any]) -> bytes:
    body = cbor.encode(list(value))
    assert len(body) <= MAX_FRAME, "what we say is short"
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def frame_length(head: bytes) -> int:
    """How many bytes follow the four of the length. Raises AttestorUnusable for none, and for too many."""
    length = int.from_bytes(head, "big")
    if not 0 < length <= MAX_FRAME:
        raise AttestorUnusable("a frame has 1 to 16,384 bytes", length=length)
    return length


def holds(state: ClientState, signers: SignerSet, message: bytes, key_hash: bytes, signature: bytes) -> bool:
    """Whether a signer of the set signed this message."""
    signer = signers.by_hash.get(key_hash)
    return signer is not None and signer.key.verify(signed(signer.key, state, message), signature)


def smallest(signers: SignerSet, have: Mapping[bytes, bytes], now: UnixNanos) -> Signatures | None:
    """The fewest signatures that make a quorum, ascending by key hash as the ledger wants them, or None.

    `have` are signatures that hold, by key hash. Whose delegation has lapsed does not count. A quorum of weight is one
    of operators and of data sources too: no set of which that is not true is ever stored.
    """
    able = [signer for signer in signers.signers if signer.key.hash in have and signer.until > now]
    chosen: list[Signer] = []
    weight = 0
    for signer in sorted(able, key=lambda signer: (-signer.weight, signer.key.hash)):
        if weight >= signers.threshold:
            break
        chosen.append(signer)
        weight += signer.weight
    if weight < signers.threshold:
        return None
    return tuple(sorted((signer.key.hash, have[signer.key.hash]) for signer in chosen))


def missing(signers: SignerSet, have: Iterable[bytes]) -> tuple[str, ...]:
    """Operators of whom at least one signer has not signed."""
    known = set(have)
    return tuple(sorted({signer.operator for signer in signers.signers if signer.key.hash not in known}))


def _kind_of(body: bytes, place: int) -> tuple[str, tuple[Any, ...]]:
    if len(body) > MAX_FRAME:
        raise AttestorUnusable("too long", length=len(body))
    try:
        value = cbor.decode(body)
    except Malformed as fault:
        raise AttestorUnusable(fault.code) from fault
    if type(value) is not tuple or len(value) <= place or type(value[0]) is not str or type(value[place]) is not str:
        raise AttestorUnusable("not an array that says what it is")
    return value[place], value


def _height(height: Height) -> list[int]:
    return [height.revision, height.height]


def _read_height(value: tuple[Any, ...]) -> Height:
    revision, height = items(value, int, int)
    if max(revision, height) >= 1 << 63:
        raise AttestorUnusable("a height is a signed word of 64 bits")
    return Height(revision, height)


def _hash(value: bytes) -> bytes:
    if len(value) != HASH_BYTES:
        raise AttestorUnusable("a hash has 32 bytes", length=len(value))
    return value


def _signature(value: bytes) -> bytes:
    if not 0 < len(value) <= MAX_SIGNATURE:
        raise AttestorUnusable("a signature has 1 to 8,192 bytes", length=len(value))
    return value


def _printable(text: str, most: int) -> str:
    if len(text) > most:
        raise AttestorUnusable("too long", length=len(text), most=most)
    return "".join(char if char.isprintable() else "?" for char in text)


_V1: Final = Version(1, 0)
_TEXT: Final = cddl_text("attestor", _V1, package="lockgate.courier")
_RULES: Final = ("request", "answer", "evm-request")
SCHEMAS: Final = tuple(Schema(f"attestor/{rule}", _V1, f"root = {rule}\n{_TEXT}") for rule in _RULES)

__all__ = (
    "LENGTH_BYTES",
    "MAX_FRAME",
    "SCHEMAS",
    "Answer",
    "Attest",
    "Attested",
    "AttestorUnusable",
    "HandOver",
    "HandedOver",
    "Known",
    "NotAttested",
    "Request",
    "Who",
    "decode_answer",
    "decode_request",
    "encode_answer",
    "encode_request",
    "frame_length",
    "holds",
    "missing",
    "smallest",
)
