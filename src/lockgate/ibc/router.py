"""Which application answers for a port: exact names first, then prefixes.

Overlapping routes are a configuration error, found when the router is built: at most one route ever
matches a port, so the order of registration cannot matter. Source: ibc-go v11 core/api.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from lockgate.ibc.errors import NoRoute, RouteConflict
from lockgate.ibc.ports import Application

_NAME: Final = re.compile(r"[A-Za-z0-9]+\Z")


class Router:
    """Applications by port. Immutable once built."""

    __slots__ = ("_exact", "_otherwise", "_prefixes")

    def __init__(
        self,
        exact: Mapping[str, Application],
        prefixes: Mapping[str, Application] | None = None,
        otherwise: Application | None = None,
    ) -> None:
        """Bind applications to ports and to port prefixes. Raises RouteConflict.

        `otherwise` answers for ports no route names: ports that are endpoint ids have no common
        prefix. It must refuse a port that is none of its own.
        """
        prefixes = prefixes or {}
        for name in exact:
            if not _NAME.match(name):
                raise RouteConflict("a route is made of letters and digits", route=name)
        for prefix in prefixes:
            if not _NAME.match(prefix):
                raise RouteConflict("a prefix is made of letters and digits", prefix=prefix)
            for other in (*exact, *(p for p in prefixes if p != prefix)):
                if other.startswith(prefix):
                    raise RouteConflict("a prefix covers another route", prefix=prefix, route=other)
        self._exact = dict(exact)
        self._prefixes = tuple(prefixes.items())
        self._otherwise = otherwise

    def find(self, port: str) -> Application | None:
        application = self._exact.get(port)
        if application is None:
            for prefix, candidate in self._prefixes:
                if port.startswith(prefix):
                    return candidate
            return self._otherwise
        return application

    def route(self, port: str) -> Application:
        """Return the application bound to `port`. Raises NoRoute."""
        application = self.find(port)
        if application is None:
            raise NoRoute("no application", port=port)
        return application
