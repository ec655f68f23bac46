"""Hosted networks give the outputs that were recorded of them. Those in the local Hugging Face cache are tested."""

from pathlib import Path

import numpy as np
import pytest

from tests.weights.diffusers.hosted import LOGITS, first_pixels, torch_noise

FIRST = [-1.1258398, -1.1523602, -0.2505786, -0.4338788, 0.8487104, 0.6920092, -0.3160128, -2.1152194]
LAST = {
    32: [-0.6380098, -1.1713753, -0.8415489],
    256: [0.1129266, -1.2230978, 1.2656553],
    1024: [-0.6725342, 0.2994840, -0.3201261],
}


@pytest.mark.parametrize("size", LAST)
def test_noise_is_that_of_torch(size):
    noise = torch_noise(size).ravel()
    # torch works in float32: a rounding of the uniform number moves the normal one by about 1e-6.
    np.testing.assert_allclose(noise[:8], FIRST, rtol=0, atol=3e-6)
    np.testing.assert_allclose(noise[-3:], LAST[size], rtol=0, atol=3e-6)
    assert abs(noise.mean()) < 5 / np.sqrt(noise.size) and abs(noise.std() - 1) < 5 / np.sqrt(2 * noise.size)


def cached_folder(repository):
    """The folder of the model in the cache; skips the test if it is not there whole."""
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub, the extra [hub], is not installed")
    names = ("config.json", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
    config, *weights = (hub.try_to_load_from_cache(repository, name) for name in names)
    if not isinstance(config, str) or not any(isinstance(path, str) for path in weights):
        pytest.skip(f"{repository} is not in the local Hugging Face cache")
    return Path(config).parent


@pytest.mark.parametrize("repository", LOGITS)
def test_hosted_logits(repository):
    recorded = np.array(LOGITS[repository].split(), np.float64)
    # The tolerance of the authors' own test.
    np.testing.assert_allclose(first_pixels(cached_folder(repository)), recorded, rtol=0, atol=1e-3)
