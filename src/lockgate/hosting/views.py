"""What authors saw of the ledgers, compared with what this host trusts (P20).

Every envelope carries height and hash of the newest header its author trusted, of both ledgers, with the
signed header itself where it is short. Two hashes at one height are two histories: with both signed
headers in hand that is evidence, not a claim.
"""

from __future__ import annotations

from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.courier.ports import NotYet
from lockgate.envelope.content import MAX_SIGNED_VIEW, LedgerView, SignedView
from lockgate.envelope.errors import BadEnvelope
from lockgate.hosting.reader import ProvenReader, TwoHistories
from lockgate.hosting.work import Patience, Report
from lockgate.lightclients.cometbft import decoding, encoding
from lockgate.lightclients.cometbft.hashing import header_hash
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.lightclients.follower import BelowTrusted
from lockgate.primitives.errors import PeerFault
from lockgate.primitives.ids import Hash32, Height
from lockgate.relay.rpc import RpcError


class ViewsDiffer(PeerFault):
    code = "host.views_differ"
    summary = "The author of a message saw another header of a ledger than this host trusts, and proved nothing."
    untouched = "The message was refused; the guest did not run."
    next_step = "Compare both hosts' fingerprints and nodes; one of them may be shown a false ledger."


class Views:
    """Writes this host's views into envelopes and reads those of others."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._written: dict[str, LedgerView] = {}  # the newest view of each ledger; a batch shares it

    def of(self, reader: ProvenReader) -> LedgerView:
        """The newest header this host trusts on a ledger."""
        block, known = reader.newest, self._written.get(reader.chain.chain_id)
        if known is None or known.height.height != block.height:
            known = self._written[reader.chain.chain_id] = view_of(reader, block)
        return known

    async def compare(self, reader: ProvenReader, view: LedgerView, patience: Patience) -> None:
        """Bring the follower to the author's height and compare.

        Raises TwoHistories with the evidence, BadEnvelope for a view that differs without any. Where the node does not
        show the header, NotYet or RpcError while there is patience, then BadEnvelope: no ledger of ours gets there, and
        an author who made it up must not keep a message open.
        """
        height = view.height.height
        if view.height.revision != reader.chain.revision:
            raise BadEnvelope from ViewsDiffer("another revision", height=view.height)
        try:
            await reader.reach(height)
        except BelowTrusted:
            # Older than all that is held, and than any message that is under way in good order.
            self._report("view_too_old", {"chain": reader.chain.chain_id, "height": height})
            return
        except (NotYet, RpcError) as error:
            if not patience.left:
                raise BadEnvelope from error
            patience.left -= 1
            raise
        ours = reader.follower.header_hash(height)
        if ours == view.header_hash:
            return
        block = None if view.signed is None else _block_of(reader, view.signed, view.header_hash)
        try:
            if block is not None:
                reader.judge(block)
            raise ViewsDiffer(chain=reader.chain.chain_id, height=height, ours=ours, theirs=view.header_hash)
        except TwoHistories:
            raise
        except PeerFault as error:
            raise BadEnvelope from error


def view_of(reader: ProvenReader, block: LightBlock) -> LedgerView:
    """A trusted header as a view: with its commit where that is short, and its set where it is not the first."""
    digest = Hash32(header_hash(block.header))
    header = encoding.signed_header(block.signed_header)
    validators = b"" if block.validators.hash == reader.first_set else encoding.validator_set(block.validators)
    signed = SignedView(header, validators) if len(header) + len(validators) <= MAX_SIGNED_VIEW else None
    return LedgerView(Height(reader.chain.revision, block.height), digest, signed)


def _block_of(reader: ProvenReader, signed: SignedView, digest: bytes) -> LightBlock | None:
    """The block behind a foreign view, with validator sets this host holds or was given; None without them."""
    try:
        head = decoding.signed_header(decoding.parse(wire.SignedHeader, signed.header))
        given = (
            decoding.validator_set(decoding.parse(wire.ValidatorSet, signed.validators)) if signed.validators else None
        )
    except PeerFault:
        return None
    sets = {held.hash: held for held in reader.follower.sets}
    if given is not None:
        sets[given.hash] = given
    own, following = sets.get(head.header.validators_hash), sets.get(head.header.next_validators_hash)
    if header_hash(head.header) != digest or own is None or following is None:
        return None
    return LightBlock(head, own, following)
