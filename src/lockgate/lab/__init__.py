"""The simulated world: the same core, with clock, entropy, network and disk from a seed.

- `entropy`: seeded bytes, signers and encapsulations
"""
