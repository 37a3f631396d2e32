"""What our figures stand beside: programs of other projects, built here from pinned modules.

- `ibcgo`: the packet life cycle of ibc-go's own `testing` package
"""
