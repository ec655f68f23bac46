"""The noise that the tests of solvers share."""

import pytest

from sdedit_jax import keys
from tests.score_sde import wave


@pytest.fixture
def wave_for_noise(monkeypatch):
    """A wave instead of random noise, which takes long to compile and differs between frameworks."""
    monkeypatch.setattr(keys, "normal", lambda key, shape, dtype: wave(shape, dtype))
