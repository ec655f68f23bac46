"""Landscape photographs that never existed: terrain, light, water and sky rendered with NumPy alone.

A data set of natural pictures that anybody can make anew, from seeds, without a download or a licence. From a seed to a
picture: `terrain` raises a height field, `daylight` sets the sun, `ground` colours and lights the field, `sky` adds
clouds, `camera` finds a view and casts its rays, and `render` draws what they meet. `builder` stores the pictures as a
TensorFlow Datasets data set and is the only module here that needs more than NumPy.

Lengths are in map sides (the square map is 1 wide and repeats), heights too; colours are linear RGB, about [0, 1].
"""

from sdedit_jax.data.landscapes.render import render_landscapes

__all__ = ["render_landscapes"]
