"""The `lockgate` command. `main` lists the verbs, a module each noun; `output` prints for people and for programs."""

__all__ = ("main",)
