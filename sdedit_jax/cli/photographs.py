"""The mode strokes: photographs as a person would have painted them, to be used as guides."""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
from tqdm import tqdm

from sdedit_jax import images
from sdedit_jax.cli.guides import check_pair
from sdedit_jax.cli.results import check_apart, check_writable, require_positive, settings_of
from sdedit_jax.strokes import COLORS, simulate_strokes


def strokes(config: ConfigDict, source: str | None, out: Path) -> None:
    """Paints the photograph `source`, or every one in that folder, and writes each as NAME.png into `out`.

    ValueError for whatever is wrong with settings and pictures, before anything is written.
    """
    settings: Any = config.strokes
    if not source:
        raise ValueError("--mode strokes needs --source PHOTOGRAPH, a picture or a folder of them.")
    if settings.num_colors not in COLORS:
        raise ValueError(f"num_colors must be from {COLORS[0]} to {COLORS[-1]}, got {settings.num_colors}.")
    require_positive(settings, ("size",))
    paths = _photographs(Path(source).expanduser())
    check_apart(out, paths)
    for path in paths:
        check_pair(path, None)
    check_writable(out)
    fields = settings_of(config, ("strokes",))
    for path in tqdm(paths, unit="picture"):
        photograph = images.load_image(path)
        size = min(settings.size, *photograph.shape[:2])
        painting = simulate_strokes(images.fit_to_model(photograph, size, 1), settings.num_colors)
        images.save_image(out / f"{path.stem}.png", painting, fields | {"photograph": str(path)})
    print(f"Strokes of {len(paths)} photographs, of at most {settings.num_colors} colours: {out.resolve()}")


def _photographs(source: Path) -> list[Path]:
    """The picture, or those of the folder; ImageError if there is none, or if two would become one file."""
    paths = images.list_images(source) if source.is_dir() else [source]
    by_name = {path.stem: path for path in paths}
    for path in paths:
        if by_name[path.stem] != path:
            raise images.ImageError(f"{path} and {by_name[path.stem]} share one name: rename one of them.")
    return paths
