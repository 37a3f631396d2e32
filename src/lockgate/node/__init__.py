"""The real world assembled: processes, files, sockets, and what a person asks of them.

- `up`, `processes`, `spawner`, `provision`: a deployment in one process tree, and what makes its pieces know each other
- `ledger`, `host`, `relay`: one process each; `patience`: how they wait for one another
- `folder`, `identity`, `config`, `clock`: the data folder, keys, a host's configuration, the machine's clock
- `cometbft`, `cluster`, `links`, `net`, `ports`: a ledger's validators, who runs them, and what is asked of the cluster
- `socket`, `desk`, `outbox`, `bodies`, `bulk`: what a running host is asked
- `packets`, `trace`, `story`, `ledgers`, `signed`: a packet's life, read from the ledgers
- `bundle`, `prove`, `findings`, `check`: proofs that need no node
- `demo`, `chaos`, `quotes`, `doctor`, `overview`, `explain`, `rules`, `recover`, `new_app`: the verbs behind the tool
- `api`: the same for applications
"""

__all__ = (
    "api",
    "bulk",
    "check",
    "clock",
    "demo",
    "doctor",
    "explain",
    "findings",
    "folder",
    "host",
    "ledger",
    "ledgers",
    "new_app",
    "outbox",
    "overview",
    "packets",
    "prove",
    "quotes",
    "recover",
    "relay",
    "rules",
    "socket",
    "spawner",
    "story",
    "trace",
    "up",
)
