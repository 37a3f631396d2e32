"""Where private keys live, meeting the ports of `crypto` (P6, P22).

- `errors`: typed refusals
- `software`: signers in memory and the operating system's entropy
- `stretch`: what a passphrase costs, and its roots
- `sealed`: the bytes of an encrypted key file
- `file`: key files on disk
- `ports`: what a device can do; `device`: its keys as `crypto` wants them
- `place`: where keys lie, as configuration says it; `pin`: a token's PIN
- `pkcs11`, `tpm`: a token and a TPM as devices; `blobs`: what a TPM has wrapped
- `store`: the keys of one party, in a file and a device together
- `opening`: from an address to a keystore
"""

__all__ = (
    "blobs",
    "device",
    "errors",
    "file",
    "opening",
    "pin",
    "pkcs11",
    "place",
    "ports",
    "sealed",
    "software",
    "store",
    "stretch",
    "tpm",
)
