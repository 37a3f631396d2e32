"""The version of this package, below everything: the top package offers names that import all of it."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
