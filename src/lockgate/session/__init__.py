"""Keys shared by two endpoints: the handshake that makes them (`edhoc`, `meeting`), and what spends them.

- `chain`, `sending`, `receiving`: one-way chains of keys; `pair`: a session with its epochs
- `book`: all sessions of an endpoint, with the keys of what is under way
"""

from lockgate.session.book import Book
from lockgate.session.chain import Direction
from lockgate.session.pair import Epoch, Fences, Place, Session
from lockgate.session.receiving import Receiving
from lockgate.session.sending import MessageKeys, Sending

__all__ = ("Book", "Direction", "Epoch", "Fences", "MessageKeys", "Place", "Receiving", "Sending", "Session")
