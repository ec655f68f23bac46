"""SDEdit and what it is compared with, as one function: a trial and its guides -> edits."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from sdedit_jax.baselines import blending, filters
from sdedit_jax.baselines.gan import inversion
from sdedit_jax.editing import sdedit
from sdedit_jax.evaluation.tasks import Guides
from sdedit_jax.evaluation.trials import SDEDIT, Trial
from sdedit_jax.parallel import pmap_batch
from sdedit_jax.sampling import sample
from sdedit_jax.sdes import SDE
from sdedit_jax.solvers import Solver

BLUR_RADIUS = 1.0  # pixels at 64 x 64, more in larger pictures


class Methods:
    """An `running.EditFn` of all methods; the networks run on every local device.

    `params`, `model`, `sde`, `solver`: of SDEdit. `gan`: the params and networks of `baselines.gan.files.load`, which
    only trials of its inversion need.
    """

    def __init__(
        self,
        params: Any,
        *,
        model: nn.Module,
        sde: SDE,
        solver: Solver,
        gan: tuple[Any, inversion.GAN] | None = None,
    ):
        self._params, self._gan = params, gan
        self._fields = {"model": model, "sde": sde, "solver": solver}
        self._bound: dict[Any, Callable] = {}  # compiled once for each number of steps and repeats

    def __call__(self, trial: Trial, guides: Guides, numbers: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) edits in [-1, 1] of the guides with these numbers (B,) in their data set."""
        x_guide = guides.x_guide
        match trial.method:
            case "guide":
                return filters.keep(x_guide)
            case "blur":
                return filters.gaussian_blur(x_guide, BLUR_RADIUS * min(x_guide.shape[1:3]) / 64)
            case "laplacian":
                return blending.laplacian_blend(guides.x_foreground, guides.x_background, _mask_of(guides))
            case "poisson":
                return blending.poisson_blend(guides.x_foreground, guides.x_background, _mask_of(guides))
            case "gan-1" | "gan-2":
                return np.asarray(self._invert(trial.method, x_guide))
        image_keys = _image_keys(trial.seed, numbers)
        if trial.method == "unconditional":
            return np.asarray(self._sample(trial, x_guide.shape[1:])(self._params, image_keys))
        assert trial.method == SDEDIT
        return np.asarray(self._edit(trial)(self._params, image_keys, x_guide, guides.mask, trial.t0))

    def _edit(self, trial: Trial) -> Callable:
        fields = self._fields | {"num_steps": trial.num_steps, "num_repeats": trial.num_repeats}
        return self._bind((SDEDIT, trial.num_steps, trial.num_repeats), functools.partial(sdedit, **fields))

    def _sample(self, trial: Trial, image_shape: tuple[int, ...]) -> Callable:
        fields = self._fields | {"num_steps": trial.num_steps, "image_shape": image_shape}
        return self._bind((trial.method, trial.num_steps), functools.partial(sample, **fields))

    def _bind(self, key: Any, fn: Callable) -> Callable:
        if key not in self._bound:
            self._bound[key] = pmap_batch(fn)
        return self._bound[key]

    def _invert(self, method: str, x_guide: np.ndarray) -> jax.Array:
        assert self._gan is not None
        params, gan = self._gan
        w = inversion.invert(params, jnp.asarray(x_guide), gan=gan)
        if method == "gan-2":
            w = inversion.refine(params, jnp.asarray(x_guide), w, gan=gan)
        return inversion.synthesize(params, w, gan=gan)


def _mask_of(guides: Guides) -> np.ndarray:
    assert guides.mask is not None
    return guides.mask


@jax.jit
def _image_keys(seed: jax.Array, numbers: jax.Array) -> jax.Array:
    """(B,) keys, one for each picture: of its number in the data set, so that batches play no part."""
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.key(seed), numbers)
