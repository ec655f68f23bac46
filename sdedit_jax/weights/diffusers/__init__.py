"""Models of the diffusers library, read and written."""

from sdedit_jax.weights.diffusers.folder import WEIGHTS, read, recognises, write

__all__ = ["WEIGHTS", "read", "recognises", "write"]
