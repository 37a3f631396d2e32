"""The guest SDK's home. `lockgate_guest` is put on a guest's own Python path when it is built; Lockgate
itself imports nothing from it.
"""
