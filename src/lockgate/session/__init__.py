"""Keys shared by two endpoints: the handshake that makes them (`edhoc`), and the chains that spend them."""

from lockgate.session.chain import Direction, direction_of, next_epoch, session_of
from lockgate.session.receiving import Receiving
from lockgate.session.sending import MessageKeys, Sending

__all__ = ("Direction", "MessageKeys", "Receiving", "Sending", "direction_of", "next_epoch", "session_of")
