"""Hands an attested client over to its next signer set: the present quorum's signatures, brought by anybody."""

from __future__ import annotations

from lockgate.courier.ports import Chain, Submitted, Submitter
from lockgate.lightclients.attested import SignerSet
from lockgate.lightclients.attested.messages import ROTATION, encode_rotation
from lockgate.lightclients.attested.signers import check_not_lower, check_set
from lockgate.lightclients.attested.states import CLIENT_TYPE
from lockgate.primitives.errors import Refused
from lockgate.primitives.ids import ClientId
from lockgate.relay.attestors import Attestors
from lockgate.relay.messages import update_client


class NotRotated(Refused):
    code = "relay.not_rotated"
    summary = "A client was not handed over to another signer set."
    untouched = "The client rests on the set it had."
    next_step = (
        "Read the reason: the set must follow the present one by its epoch, and the ledger must take the rotation."
    )


async def rotate(
    chain: Chain, submitter: Submitter, client: ClientId, attestors: Attestors, following: SignerSet
) -> Submitted:
    """Collect the rotation and submit it. Raises NotRotated, SignersRefused, RotationRefused, TooFewAttestors."""
    tracked = await chain.client(client)
    if tracked.kind != CLIENT_TYPE:
        raise NotRotated("no client that rests on a signer set", client=client)
    present: SignerSet = tracked.state.signers
    now = (await chain.tip()).time
    if following.epoch != present.epoch + 1:
        raise NotRotated("epochs follow one another", present=present.epoch, following=following.epoch)
    check_set(following, now)
    check_not_lower(present, following)
    rotation = await attestors.hand_over(tracked.state, following, now)
    done = await submitter.submit([update_client(client, ROTATION, encode_rotation(rotation), submitter.signer)])
    if done.code:
        raise NotRotated(done.log, client=client, refusal=f"{done.codespace}/{done.code}")
    return done


__all__ = ("NotRotated", "rotate")
