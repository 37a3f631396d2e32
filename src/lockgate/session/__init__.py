"""Keys shared by two endpoints: the handshake that makes them."""

__all__ = ()
