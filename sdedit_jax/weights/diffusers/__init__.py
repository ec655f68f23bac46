"""Models of the diffusers library, read and written."""

from sdedit_jax.weights.diffusers.folder import STEM, WEIGHTS, read, recognises, write

__all__ = ["STEM", "WEIGHTS", "read", "recognises", "write"]
