"""The contracts on a real EVM node."""

import sys

# py_ecc, which web3 imports, raises the interpreter's recursion limit to 100,000: whatever recurses without a bound
# after that ends the process instead of being refused.
_limit = sys.getrecursionlimit()
import web3  # noqa: E402, F401  # imported here so that the limit can be put back

sys.setrecursionlimit(_limit)
