"""Published weights by name and by address."""

from sdedit_jax.weights.hub.fetching import fetch, place

__all__ = ["fetch", "place"]
