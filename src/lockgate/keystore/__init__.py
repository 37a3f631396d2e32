"""Where private keys live, meeting the ports of `crypto` (P6, P22).

- `errors`: typed refusals
- `software`: signers in memory and the operating system's entropy
- `stretch`: what a passphrase costs, and its roots
- `sealed`: the bytes of an encrypted key file
- `file`: key files on disk
- `ports`: what a device can do; `device`: its keys as `crypto` wants them
- `place`: where keys lie, as configuration says it; `pin`: a token's PIN
- `pkcs11`: a token as a device
- `store`: the keys of one party, in a file and a device together
"""

__all__ = ("device", "errors", "file", "pin", "pkcs11", "place", "ports", "sealed", "software", "store", "stretch")
