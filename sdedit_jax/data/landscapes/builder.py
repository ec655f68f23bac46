"""The landscapes as a TensorFlow Datasets data set, rendered where it is used; nothing is downloaded."""

import dataclasses
import functools
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tqdm.auto import tqdm

from sdedit_jax.data.landscapes.render import render_views
from sdedit_jax.data.landscapes.terrain import STYLES
from sdedit_jax.data.processes import start_processes

NUM_VIEWS = 4
NUM_TERRAINS = {"train": 2048, "validation": 128, "test": 256}
# Far apart, and train last because it alone has no end: a split may grow without a terrain in common with another.
_FIRST_SEEDS = {"test": 0, "validation": 1_000_000, "train": 2_000_000}
_SEEDS_APART = 1_000_000


def split_seeds(split: str, num_terrains: int) -> range:
    """The seeds of the terrains in `split`: "train", "validation" or "test"."""
    return range(_FIRST_SEEDS[split], _FIRST_SEEDS[split] + num_terrains)


@dataclasses.dataclass(eq=False, kw_only=True)
class LandscapesConfig(tfds.core.BuilderConfig):
    """Size of the pictures in pixels, and number of terrains, `NUM_VIEWS` pictures each, in every split."""

    name: str = dataclasses.field(init=False)
    image_size: int
    num_terrains: Mapping[str, int]

    def __post_init__(self):
        if self.image_size < 1:
            raise ValueError(f"image_size must be 1 pixel or more, got {self.image_size}.")
        if set(self.num_terrains) != set(NUM_TERRAINS):
            raise ValueError(f"num_terrains must name the splits {list(NUM_TERRAINS)}, got {list(self.num_terrains)}.")
        for split, number in self.num_terrains.items():
            if number < 1 or (split != "train" and number > _SEEDS_APART):
                raise ValueError(f"{split} must have 1 to {_SEEDS_APART} terrains, got {number}.")
        # All that decides the content is in the name, hence in the path: another choice is another data set.
        self.name = "_".join([f"{self.image_size}px", *(str(self.num_terrains[split]) for split in NUM_TERRAINS)])


class Landscapes(tfds.core.GeneratorBasedBuilder):
    """Builder of the data set; its content depends on `config` alone, not on `num_workers`."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}

    def __init__(self, *, config: LandscapesConfig, num_workers: int, **kwargs):
        self._config, self._num_workers = config, num_workers
        super().__init__(config=config, **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        size = self._config.image_size
        return self.dataset_info_from_configs(
            description=f"Rendered landscapes: {NUM_VIEWS} views of each random terrain, which `seed` alone decides.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(size, size, 3), encoding_format="png"),
                    "seed": tfds.features.Scalar(np.int64),
                    "view": tfds.features.Scalar(np.int64),
                    "style": tfds.features.ClassLabel(names=[style.name for style in STYLES]),
                }
            ),
        )

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        del dl_manager
        return {split: self._generate_examples(split) for split in NUM_TERRAINS}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict]]:
        seeds = split_seeds(split, self._config.num_terrains[split])
        terrains = _render_all(seeds, self._config.image_size, self._num_workers)
        progress = tqdm(terrains, f"Rendering {split}", len(seeds), unit=" terrains")
        for seed, (views, style) in zip(seeds, progress, strict=True):
            for view, image in enumerate(views):
                yield f"{seed}/{view}", {"image": _encode_png(image), "seed": seed, "view": view, "style": style}


def _render_all(seeds: range, image_size: int, num_workers: int) -> Iterable[tuple[np.ndarray, str]]:
    """The views of each terrain and its style, in the order of `seeds`."""
    render = functools.partial(
        render_views, num_views=NUM_VIEWS, image_size=image_size, supersampling=2, grid_size=max(320, 4 * image_size)
    )
    if num_workers == 1:
        yield from map(render, seeds)
        return
    executor = start_processes(min(num_workers, len(seeds)))
    try:
        yield from executor.map(render, seeds)
    finally:
        executor.shutdown(cancel_futures=True)


def _encode_png(image: np.ndarray) -> io.BytesIO:
    # Encoded here because the encoder of TensorFlow Datasets needs TensorFlow.
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    file.seek(0)
    return file


def prepare_landscapes(
    data_dir: str | os.PathLike,
    image_size: int = 64,
    num_terrains: Mapping[str, int] | None = None,
    num_workers: int | None = None,
) -> Path:
    """The folder of the finished data set, for `tfds.builder_from_directory`; rendered now unless it is there.

    Features: `image` (image_size, image_size, 3) uint8; `seed` and `view`, with which `render_landscapes` makes the
    same picture; `style`, the kind of country. A run that is interrupted leaves no folder of this name.

    `data_dir` may hold other data sets too. `num_terrains` maps each split to its number of terrains, `NUM_TERRAINS`
    by default. `num_workers` processes render, by default one per core; a script that starts more than one calls this
    under `if __name__ == "__main__":`. Raises ValueError for an impossible size or number.
    """
    builder = _builder(data_dir, image_size, num_terrains, num_workers)
    tfds.disable_progress_bar()  # its bars do not know the number of pictures, hence no remaining time
    try:
        builder.download_and_prepare()
    finally:
        tfds.enable_progress_bar()
    return Path(builder.data_dir)


def landscapes_folder(
    data_dir: str | os.PathLike, image_size: int = 64, num_terrains: Mapping[str, int] | None = None
) -> Path:
    """The folder that `prepare_landscapes` makes of the same arguments, whether it is there or not."""
    return Path(_builder(data_dir, image_size, num_terrains, num_workers=1).data_dir)


def _builder(
    data_dir: str | os.PathLike, image_size: int, num_terrains: Mapping[str, int] | None, num_workers: int | None
) -> Landscapes:
    config = LandscapesConfig(image_size=image_size, num_terrains=num_terrains or NUM_TERRAINS)
    return Landscapes(
        num_workers=num_workers or os.cpu_count() or 1,
        data_dir=Path(data_dir).expanduser(),
        config=config,
        file_format="array_record",
    )
