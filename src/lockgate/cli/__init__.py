"""The `lockgate` command. `main` has the verbs; `output` prints for people and for programs."""
