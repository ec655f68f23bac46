"""What a run would need is known before it runs."""

import jax
import optax
import pytest

from sdedit_jax import build
from sdedit_jax.losses import DenoisingScoreMatching
from sdedit_jax.sdes import VESDE
from sdedit_jax.training import TrainStep
from sdedit_jax.training.estimate import estimate
from sdedit_jax.training.placement import Placement
from tests.training.networks import Small

SIZE = 16


@pytest.fixture(scope="module")
def of_batches():
    """The needs of two batches, one twice the other."""
    train_step = TrainStep(DenoisingScoreMatching(Small(), VESDE(0.02, 10.0)), optax.adam(1e-3), 0.9)
    return [estimate(train_step, batch_size=size, image_size=SIZE, placement=Placement()) for size in (64, 128)]


def test_the_state_is_params_average_and_two_moments(of_batches):
    shapes = jax.tree.leaves(build.param_shapes(Small(), SIZE))
    num_params = sum(leaf.size for leaf in shapes)
    small, large = of_batches
    assert small.num_params == large.num_params == num_params
    state_bytes = 4 * 4 * num_params
    pictures = [4 * batch_size * SIZE * SIZE * 3 for batch_size in (64, 128)]
    for found, batch_bytes in zip(of_batches, pictures, strict=True):
        # Besides these the step, Adam's count and the key: a few bytes each.
        assert 0 <= found.state_bytes - state_bytes - batch_bytes < 64


def test_a_step_holds_more_than_its_pictures_and_grows_with_them(of_batches):
    small, large = of_batches
    hidden = 4 * 64 * SIZE * SIZE * 8  # one activation of the 8 channels
    assert hidden < small.step_bytes < large.step_bytes <= 2.2 * small.step_bytes
