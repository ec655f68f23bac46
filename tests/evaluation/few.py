"""An evaluation that is small enough to be made many times: 7 pictures, and metrics that need no trained network."""

import dataclasses

import numpy as np

from sdedit_jax import metrics
from sdedit_jax.evaluation import Measures, evaluate
from sdedit_jax.evaluation.running import Evaluation
from sdedit_jax.evaluation.trials import Trial
from sdedit_jax.pixels import from_uint8

SIZE, COUNT = 8, 7
PICTURES = np.random.default_rng(0).integers(0, 256, (COUNT, SIZE, SIZE, 3), dtype=np.uint8)
SDEDIT = Trial("strokes", 6, "sdedit", t0=0.4, num_steps=2, num_repeats=1)
GUIDE = Trial("strokes", 6, "guide")
MASKED = Trial("compositing", None, "sdedit", t0=0.4, num_steps=2, num_repeats=1)
TRIALS = {SDEDIT: ["synthesis", "t0"], GUIDE: ["synthesis"], MASKED: ["compositing"]}
COMMON = {"model": "small", "solver": "none", "num_real": COUNT}


@dataclasses.dataclass(frozen=True)
class MeanColors:
    """The mean colours of the four quarters of a picture."""

    name: str = "mean colours"
    resize: str = "8 px"
    size: int = 12
    pretrained: bool = True

    def __call__(self, images):
        half = SIZE // 2
        quarters = images.reshape(-1, 2, half, 2, half, 3).astype(np.float32).mean(axis=(2, 4))
        return quarters.reshape(-1, 12) / 255


@dataclasses.dataclass(frozen=True)
class AbsoluteDifference:
    """In place of LPIPS, which needs pictures of 32 pixels."""

    name: str = "none"

    def __call__(self, images_1, images_2, region=None):
        difference = np.abs(images_1 - from_uint8(images_2))
        weights = np.ones_like(difference[..., :1]) if region is None else region
        return (difference * weights).sum(axis=(1, 2, 3)) / weights.sum(axis=(1, 2, 3))


def measures():
    network = MeanColors()
    return Measures([network], [metrics.extract_features(network, [PICTURES])], AbsoluteDifference(), SIZE)  # type: ignore


class Edits:
    """Noise that depends on seed and number alone, inside the mask; the guide itself where that is the method.

    It remembers the numbers of the pictures that it was asked for, and fails at a call if told to.
    """

    def __init__(self, fail_at=None, broken=False):
        self.asked, self._fail_at, self._broken = [], fail_at, broken

    def __call__(self, trial, guides, numbers):
        if len(self.asked) == self._fail_at:
            raise KeyboardInterrupt
        self.asked.append((trial, numbers.tolist()))
        if trial.method == "guide":
            return guides.x_guide
        noise = [np.random.default_rng((trial.seed, number)).normal(0, 0.1, (SIZE, SIZE, 3)) for number in numbers]
        x = guides.x_guide + np.stack(noise) * (1.0 if guides.mask is None else guides.mask)
        return np.where(self._broken, np.nan, x)


def job(out, edits, batch_size=3):
    batches = [range(start, min(start + batch_size, COUNT)) for start in range(0, COUNT, batch_size)]
    return Evaluation(out, lambda numbers: PICTURES[np.array(numbers)], batches, edits, num_shown=5)


def run(out, edits=None, batch_size=3, trials=None):
    """The rows of an evaluation in `out`; of several processes the first gets them."""
    return list(evaluate(job(out, edits or Edits(), batch_size), trials or TRIALS, measures(), COMMON))
