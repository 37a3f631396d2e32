"""EDHOC (RFC 9528) without I/O: who the other side is, and a secret that nobody else has.

Both roles are chains of frozen states; a message in, the next state and message out. Entropy is an argument, private
keys are ports. The suites of the RFC are here for its traces and for interoperation; ours are hybrid.
"""

from lockgate.session.edhoc.credentials import Credential, Credentials, Known, ccs, certificate, cwt
from lockgate.session.edhoc.established import Established
from lockgate.session.edhoc.identity import Identity
from lockgate.session.edhoc.initiator import Met, Sent1, Sent3, start
from lockgate.session.edhoc.messages import Ead, ErrorMessage
from lockgate.session.edhoc.responder import Asked, Proven, Sent2, receive
from lockgate.session.edhoc.suites import DEFAULT, SUITES, CipherSuite, Method

__all__ = (
    "DEFAULT",
    "SUITES",
    "Asked",
    "CipherSuite",
    "Credential",
    "Credentials",
    "Ead",
    "ErrorMessage",
    "Established",
    "Identity",
    "Known",
    "Met",
    "Method",
    "Proven",
    "Sent1",
    "Sent2",
    "Sent3",
    "ccs",
    "certificate",
    "cwt",
    "receive",
    "start",
)
