"""Where private keys live, meeting the ports of `crypto` (P6, P22).

- `errors`: typed refusals
- `software`: signers in memory and the operating system's entropy
- `stretch`: what a passphrase costs, and its roots
- `sealed`: the bytes of an encrypted key file
- `file`: key files on disk
"""

__all__ = ("errors", "file", "sealed", "software", "stretch")
