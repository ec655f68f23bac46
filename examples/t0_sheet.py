"""The example guides edited at t0 = 0.3, 0.5 and 0.7, as one sheet: a whole sweep of t0 is one batch.

python examples/t0_sheet.py docs/images/landscapes_t0.png
"""

import functools
import sys

import jax
import numpy as np

from sdedit_jax import DPMSolverSDE, images, load_model, sdedit, sheets, tuning
from sdedit_jax.cli.guides import find_guides

T0 = (0.3, 0.5, 0.7)


def main(path: str) -> None:
    """Writes the sheet."""
    loaded = load_model("landscapes")
    guides = [images.load_image(guide) for guide, mask in find_guides("", "", "landscapes") if mask is None]
    fitted = [images.fit_to_model(x, loaded.image_size, loaded.model.downsampling_factor) for x in guides]
    edit_fn = functools.partial(sdedit, model=loaded.model, sde=loaded.sde, solver=DPMSolverSDE(), num_steps=25)
    x_edit = tuning.sweep(loaded.params, jax.random.key(0), np.stack(fitted), None, T0, edit_fn=edit_fn)
    rows = [[guide, *edits] for guide, *edits in zip(guides, *np.asarray(x_edit), strict=True)]
    captions = [["guide", *(f"t0 = {t}" for t in T0)] for _ in rows]
    images.save_image(path, sheets.contact_sheet(_two_columns(rows), _two_columns(captions)))


def _two_columns(rows: list[list]) -> list[list]:
    """Two rows beside each other, so that the sheet is as wide as it is high."""
    return [left + right for left, right in zip(rows[::2], rows[1::2], strict=True)]


if __name__ == "__main__":
    main(sys.argv[1])
