"""Cryptography: `cryptography` for everything secret, own code only where it has nothing.

Nothing here draws entropy or asks the time; what must, stands behind `ports`. Verification functions
return a bool and never raise, opening and loading raise typed errors, no secret is ever printed.

- `errors`: typed failures
- `ports`: `Signer`, `Decapsulator`, `Encapsulator`, `Kem`
- `hashes`, `mac`, `kdf`, `aead`, `keywrap`: symmetric algorithms as values
- `ed25519`, `edwards25519`: strict and ZIP-215 acceptance, fixed by formula (P7)
- `ec`, `ecdsa`, `rsa`, `mldsa`: other signatures
- `bls12381`, `keccak`, `recoverable`: what Ethereum signs with, its consensus and its accounts, and hashes with
- `dh`, `dhkem`, `mlkem`, `xwing`, `kem`: key agreement and KEMs, with their registry
- `labeled`, `hpke`: RFC 9180 in four modes, with associated data and exporter
- `signatures`, `suites`: algorithms and suites as data, preference, heights, downgrade (P6)
- `families`: what a suite stands on
- `hybrid`, `keys`: what a signature covers, hybrid signatures, key records' public keys, roles
- `commitment`: key commitment (P17)
"""

__all__ = (
    "aead",
    "bls12381",
    "commitment",
    "dh",
    "dhkem",
    "ec",
    "ecdsa",
    "ed25519",
    "edwards25519",
    "errors",
    "families",
    "hashes",
    "hpke",
    "hybrid",
    "kdf",
    "keccak",
    "kem",
    "keys",
    "keywrap",
    "labeled",
    "mac",
    "mldsa",
    "mlkem",
    "ports",
    "recoverable",
    "rsa",
    "signatures",
    "suites",
    "xwing",
)
