"""Ids, time, state access, failures: the words every layer shares.

- `errors`: the four kinds of failure and their registry
- `ids`: heights, client, domain and endpoint ids
- `time`: seconds and nanoseconds as two types
- `state`: `View`, `Outcome`, `Overlay`
- `ports`: `Clock`, `Rng`, `Observer`
- `sealed`: values that prove a check
"""

__all__ = ("errors", "ids", "ports", "quick", "sealed", "state", "time", "version")
