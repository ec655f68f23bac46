"""The two sheets of the bundled model's card: edits of held-out pictures, not chosen, and what it fails at.

python examples/card_sheets.py ~/tensorflow_datasets/landscapes/64px_2048_128_256/1.0.0 docs/images
"""

import functools
import sys

import jax
import numpy as np

from sdedit_jax import DPMSolverSDE, images, load_image, load_model, save_image, sdedit, sheets, simulate_strokes
from sdedit_jax.cli.guides import find_guides
from sdedit_jax.data import pipeline
from sdedit_jax.weights import Loaded

RED, WHITE, BROWN = (0.7, -0.5, -0.6), (0.9, 0.9, 0.8), (-0.3, -0.5, -0.7)
NUM_PICTURES, T0 = 8, 0.4


def main(data: str, folder: str) -> None:
    """Writes both sheets."""
    loaded = load_model("landscapes")
    bind = functools.partial(sdedit, model=loaded.model, sde=loaded.sde, solver=DPMSolverSDE(), num_steps=25)

    @jax.jit
    def edit(x_guide, t0):
        keys = jax.random.split(jax.random.key(0), len(x_guide))
        return bind(loaded.params, keys, x_guide, None, t0)

    x = np.asarray(next(pipeline.eval_batches(pipeline.open_source(data, "test", loaded.image_size), NUM_PICTURES)))
    x_guide = simulate_strokes(x)
    rows = {"held out": x, "strokes": x_guide, "edit": np.asarray(edit(x_guide, np.full(len(x), T0, np.float32)))}
    captions = [[name] * len(row) for name, row in rows.items()]
    save_image(f"{folder}/landscapes_heldout.png", sheets.contact_sheet(list(rows.values()), captions))

    cases = failures(loaded)
    x_guide = np.stack([guide for guide, _ in cases.values()])
    x_edit = np.asarray(edit(x_guide, np.array([t0 for _, t0 in cases.values()], np.float32)))
    captions = [list(cases), [f"edit, t0 = {t0}" for _, t0 in cases.values()]]
    save_image(f"{folder}/landscapes_failures.png", sheets.contact_sheet([x_guide, x_edit], captions))


def failures(loaded: Loaded) -> dict[str, tuple[np.ndarray, float]]:
    """Guides (64, 64, 3) in [-1, 1] that the model does badly on, each with the t0 of its edit."""
    paths = {path.stem: path for path, _ in find_guides("", "", "landscapes")}
    paintings = [load_image(paths[name]) for name in ("alpine_snow", "green_hills", "island_shore")]
    fitted = [images.fit_to_model(x, loaded.image_size, loaded.model.downsampling_factor) for x in paintings]
    peak, house, bridge = fitted
    house[34:52, 24:44], house[26:34, 22:46], house[40:46, 30:36] = WHITE, RED, BROWN
    bridge[44:46], bridge[46:60, 10:12], bridge[46:60, 52:54] = BROWN, BROWN, BROWN
    return {
        "too little noise": (peak, 0.2),
        "too much noise": (peak, 0.7),
        "a house": (house, 0.4),
        "thin lines": (bridge, 0.4),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
