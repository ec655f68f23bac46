"""Checkpoints of the reference implementations, in the terms of this program."""

from sdedit_jax.weights.published.checkpoints import read, source

__all__ = ["read", "source"]
