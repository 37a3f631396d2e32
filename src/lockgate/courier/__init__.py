"""A relayer's decisions: what to move next, in which batches, and what is evidence. Pure.

- `plan`: which packets need which message now; `batches`: how many go together
- `quarantine`: packets that failed, and when they are tried again
- `evidence`: two signed histories, made into what a client freezes on
- `ports`: `Chain`, `Submitter`, and the values they speak in
"""

__all__ = ("batches", "evidence", "plan", "ports", "quarantine")
