"""What others have signed about machines, statements and logs, judged without I/O and without a clock.

- `certificates`: X.509 paths to pinned anchors, at a given instant; `did_x509`: issuers named by them
- `sev_snp`: AMD SEV-SNP reports and the chip that signed them
- `statements`: COSE_Sign1 statements, known by a chain or by evidence of the machine that signed
- `receipts`: that a log holds a statement

A verdict is a value that only its check makes. What a verifier expects it states in full: an expectation that is
missing is an error.
"""

from lockgate.attest.receipts import Receipt, verify_consistency, verify_inclusion
from lockgate.attest.sev_snp import Report
from lockgate.attest.statements import Expected, Statement, verify_attested, verify_certified

__all__ = (
    "Expected",
    "Receipt",
    "Report",
    "Statement",
    "verify_attested",
    "verify_certified",
    "verify_consistency",
    "verify_inclusion",
)
