"""The example guides edited at t0 = 0.3, 0.5 and 0.7, as one sheet: a whole sweep of t0 is one batch.

python examples/t0_sheet.py docs/images/landscapes_t0.png
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

from sdedit_jax import Ancestral, images, load_model, sdedit, sheets
from sdedit_jax.cli.guides import find_guides

T0 = (0.3, 0.5, 0.7)


def main(path: str) -> None:
    """Writes the sheet."""
    loaded = load_model("landscapes")
    guides = [images.load_image(guide) for guide, mask in find_guides("", "", "landscapes") if mask is None]
    fitted = [images.fit_to_model(x, loaded.image_size, loaded.model.downsampling_factor) for x in guides]
    x_guide = jnp.repeat(jnp.asarray(np.stack(fitted)), len(T0), axis=0)
    t0 = jnp.tile(jnp.asarray(T0), len(guides))
    x_edit = sdedit(
        loaded.params,
        jax.random.key(0),
        x_guide,
        None,
        t0,
        model=loaded.model,
        sde=loaded.sde,
        solver=Ancestral(),
        num_steps=50,
    )
    x_edit = np.asarray(x_edit).reshape(len(guides), len(T0), *x_edit.shape[1:])
    rows = [[guide, *edits] for guide, edits in zip(guides, x_edit, strict=True)]
    captions = [["guide", *(f"t0 = {t}" for t in T0)] for _ in rows]
    images.save_image(path, sheets.contact_sheet(_two_columns(rows), _two_columns(captions)))


def _two_columns(rows: list[list]) -> list[list]:
    """Two rows beside each other, so that the sheet is as wide as it is high."""
    return [left + right for left, right in zip(rows[::2], rows[1::2], strict=True)]


if __name__ == "__main__":
    main(sys.argv[1])
