"""CometBFT chain data and its verification, without trust in whoever serves it.

- `types`: headers, commits, validator sets; every limit with its reason
- `framing`, `encoding`, `decoding`: protobuf; `rpc_json`, `rfc3339`: the RPC's JSON
- `hashing`: header hash and all hashes in it, part sets; what an engine needs to build a block
- `signing`: the bytes validators sign
- `soundness`: what must hold of a signed header in itself (`SoundBlock`)
- `commit`: who stands behind a commit; `verification`: the verdict; `bisection`: which headers to fetch
- `errors`: every refusal by name
"""

from lockgate.lightclients.cometbft.bisection import BisectionPlan, sound_light_block, trusted_state
from lockgate.lightclients.cometbft.commit import ONE_THIRD, Fraction
from lockgate.lightclients.cometbft.signing import VoteFrame, proposal_sign_bytes
from lockgate.lightclients.cometbft.soundness import SoundBlock, sound_block
from lockgate.lightclients.cometbft.types import (
    ABSENT_SIG,
    BlockID,
    BlockIdFlag,
    Commit,
    CommitSig,
    Header,
    LightBlock,
    PartSetHeader,
    SignedHeader,
    Validator,
    ValidatorSet,
    VoteType,
    address_of,
)
from lockgate.lightclients.cometbft.verification import (
    Invalid,
    NotEnoughTrust,
    Trusted,
    TrustedState,
    TrustOptions,
    Verdict,
    verify,
)

__all__ = (
    "ABSENT_SIG",
    "ONE_THIRD",
    "BisectionPlan",
    "BlockID",
    "BlockIdFlag",
    "Commit",
    "CommitSig",
    "Fraction",
    "Header",
    "Invalid",
    "LightBlock",
    "NotEnoughTrust",
    "PartSetHeader",
    "SignedHeader",
    "SoundBlock",
    "TrustOptions",
    "Trusted",
    "TrustedState",
    "Validator",
    "ValidatorSet",
    "Verdict",
    "VoteFrame",
    "VoteType",
    "address_of",
    "proposal_sign_bytes",
    "sound_block",
    "sound_light_block",
    "trusted_state",
    "verify",
)
