"""An EVM chain through the contracts of `contracts/`.

- `artefacts`: their interfaces and creation code, as compiled; `interface`: calls, results and events by them
- `node`: a node's JSON-RPC; `answers`: its JSON as values
- `history`: which blocks were shown, which are final, and where the chain departs from them
- `chain`: reads packets and their ends; `packets`: how the host contract stores and tells them
"""

__all__ = ("answers", "artefacts", "chain", "history", "interface", "node", "packets")
