"""CBOR Object Signing and Encryption: RFC 9052, 9053, 9338, and COSE-HPKE.

- `labels`: numbers of header and key parameters, tags, key types
- `algorithms`: numbers of algorithms, and what they compute
- `wire`: bytes to the array of a message; our strict profile and foreign CBOR
- `headers`: the two buckets, their rules, and what a verifier accepts
- `keys`: COSE_Key, bound to one algorithm and use
- `structures`: what is signed, authenticated or derived from; never sent
- `sign`: COSE_Sign1, COSE_Sign; `mac`: COSE_Mac0, COSE_Mac; `encrypt`: COSE_Encrypt0, COSE_Encrypt
- `recipients`: how a key reaches a receiver; `distribution`: how a sender hands it out
- `agreement`, `hpke`: KDFs and key agreement, KEMs
- `countersign`: version 2, and verification of version 1
- `frame`: COSE_Encrypt0 framed by hand, for streams and sessions

Foreign messages are read with `Wire.FOREIGN`; whatever is verified, the caller passes the key, the
external data and an `Acceptance` in full.
"""

from lockgate.envelope.cose.agreement import NOTHING_AGREED, Agreed
from lockgate.envelope.cose.encrypt import Encrypt, Encrypt0, encrypt, encrypt0, encrypt0_hpke
from lockgate.envelope.cose.frame import Framer, NonceLabel
from lockgate.envelope.cose.headers import Acceptance, Headers
from lockgate.envelope.cose.hpke import HpkeKey
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.mac import Mac, Mac0, mac, mac0
from lockgate.envelope.cose.recipients import Receiver, Recipient, Target, target_of
from lockgate.envelope.cose.sign import Sign, Sign1, Signature, Verified, sign1
from lockgate.envelope.cose.wire import Wire

__all__ = (
    "NOTHING_AGREED",
    "Acceptance",
    "Agreed",
    "CoseKey",
    "Encrypt",
    "Encrypt0",
    "Framer",
    "Headers",
    "HpkeKey",
    "Mac",
    "Mac0",
    "NonceLabel",
    "Receiver",
    "Recipient",
    "Sign",
    "Sign1",
    "Signature",
    "Target",
    "Verified",
    "Wire",
    "encrypt",
    "encrypt0",
    "encrypt0_hpke",
    "mac",
    "mac0",
    "sign1",
    "target_of",
)
