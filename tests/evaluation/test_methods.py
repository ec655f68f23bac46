"""Every method is called with what it needs, and SDEdit as its users call it."""

import dataclasses

import jax
import numpy as np
import pytest

from sdedit_jax import Ancestral, keys, sample, sdedit
from sdedit_jax.baselines import blending
from sdedit_jax.evaluation import make_guides
from sdedit_jax.evaluation.methods import Methods
from sdedit_jax.pixels import from_uint8
from sdedit_jax.sdes import VESDE
from tests.evaluation.few import GUIDE, MASKED, PICTURES, SDEDIT, SIZE
from tests.toys import GaussianNoise

FIELDS = {"model": GaussianNoise(), "sde": VESDE(0.02, 10.0), "solver": Ancestral()}
NUMBERS = np.array([5, 2, 3])


@pytest.fixture(scope="module")
def methods():
    return Methods({}, **FIELDS)


def guides_of(trial):
    pictures = from_uint8(PICTURES)
    return make_guides(trial.task, pictures[NUMBERS], pictures[NUMBERS - 2], NUMBERS)


@pytest.mark.parametrize("trial", [SDEDIT, MASKED])
def test_sdedit_is_the_function_of_the_library_with_a_key_for_each_number(methods, trial):
    guides = guides_of(trial)
    image_keys = keys.per_image(jax.random.key(trial.seed), 6)[NUMBERS]
    steps = {"num_steps": trial.num_steps, "num_repeats": trial.num_repeats}
    wanted = sdedit({}, image_keys, guides.x_guide, guides.mask, trial.t0, **FIELDS, **steps)
    np.testing.assert_array_equal(methods(trial, guides, NUMBERS), wanted)


def test_an_edit_depends_on_its_number_and_the_seed_but_not_on_its_batch(methods):
    guides = guides_of(SDEDIT)
    together = methods(SDEDIT, guides, NUMBERS)
    alone = dataclasses.replace(guides, **{name: getattr(guides, name)[1:2] for name in ("x_guide", "x_background")})
    np.testing.assert_array_equal(methods(SDEDIT, alone, NUMBERS[1:2])[0], together[1])
    assert (methods(dataclasses.replace(SDEDIT, seed=1), guides, NUMBERS) != together).any()
    assert (methods(SDEDIT, guides, NUMBERS + 1) != together).any()


def test_unconditional_pictures_know_nothing_of_the_guide(methods):
    trial = dataclasses.replace(GUIDE, method="unconditional", num_steps=3)
    found = methods(trial, guides_of(SDEDIT), NUMBERS)
    image_keys = keys.per_image(jax.random.key(0), 6)[NUMBERS]
    wanted = sample({}, image_keys, image_shape=(SIZE, SIZE, 3), num_steps=3, **FIELDS)
    np.testing.assert_array_equal(found, wanted)


def test_blending_takes_the_whole_of_what_is_pasted(methods):
    large = from_uint8(PICTURES[:4].repeat(4, axis=1).repeat(4, axis=2))  # 32 pixels, for pyramids of three levels
    guides = make_guides("compositing", large[:2], large[2:], NUMBERS[:2])
    given = guides.x_foreground, guides.x_background, guides.mask
    for name, blend in (("laplacian", blending.laplacian_blend), ("poisson", blending.poisson_blend)):
        found = methods(dataclasses.replace(MASKED, method=name), guides, NUMBERS[:2])
        np.testing.assert_array_equal(found, blend(*given))
    # Of the guide alone the pyramid would have the seam itself, which it is to hide.
    assert (blending.laplacian_blend(*given) != blending.laplacian_blend(guides.x_guide, *given[1:])).any()


def test_the_guide_and_its_blur(methods):
    guides = guides_of(SDEDIT)
    np.testing.assert_array_equal(methods(GUIDE, guides, NUMBERS), guides.x_guide)
    constant = dataclasses.replace(guides, x_guide=np.full_like(guides.x_guide, -1.0))
    blur = dataclasses.replace(GUIDE, method="blur")
    np.testing.assert_array_equal(methods(blur, constant, NUMBERS), constant.x_guide)
