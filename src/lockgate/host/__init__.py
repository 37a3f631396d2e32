"""An endpoint's decisions: what a host may do, decided from proven facts. Pure.

- `recovery`: which saved state stands when a host starts, and when another copy has acted (P1, P8)
- `staging`: the guest's state as a tree, on an overlay until the ledger has accepted a step
- `memory`: what a host keeps of its own under the same root (P1, P4)
- `sealing`, `keyring`: envelopes of this endpoint, and the keys it holds
- `windows`: which starts and counters of a sender were seen (P8)
- `refusal`, `evidence`: how a refusal and a finding look as bytes
- `ports`: `Guest`, and the values it speaks in
"""

__all__ = ("evidence", "keyring", "memory", "ports", "recovery", "refusal", "sealing", "staging", "windows")
