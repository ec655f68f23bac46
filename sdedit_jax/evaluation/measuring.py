"""The numbers of one trial: realism of all its pictures, faithfulness of each to its guide."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from sdedit_jax import metrics
from sdedit_jax.evaluation.errors import EvaluationError
from sdedit_jax.evaluation.tasks import Guides
from sdedit_jax.metrics import FeatureNetwork, Features, MetricError, Result
from sdedit_jax.metrics.networks import Lpips, efficientnet_lite0, inception_v3, vgg16
from sdedit_jax.metrics.networks.lpips import SMALLEST
from sdedit_jax.metrics.precision_recall import NEIGHBOURS

SUBSET_SIZE = 1000  # of KID, and at most half of the pictures: of all of them every subset would be the same
SIZED = {"efficientnet_lite0": efficientnet_lite0, "vgg16": vgg16}


@dataclasses.dataclass(frozen=True)
class Measures:
    """Feature networks, the features of the real pictures in each of them, and LPIPS."""

    networks: Sequence[FeatureNetwork]
    real: Sequence[Features]
    lpips: Lpips
    image_size: int

    @classmethod
    def load(
        cls, names: Sequence[str], real: Callable[[], Iterable[np.ndarray]], cache: Path, image_size: int
    ) -> "Measures":
        """With the networks `names` (see `network_of`) and the features of the batches `real()`, kept in `cache`.

        Raises MetricError if the weights of a network are not there, or if what is in `cache` is of other pictures.
        """
        if len(set(names)) < len(names):
            raise EvaluationError(f"Every network once, got {', '.join(names)}.")
        networks = [network_of(name) for name in names]
        paths = [cache / f"{name.replace('@', '_').replace('/', '_')[-80:]}.safetensors" for name in names]
        features = [metrics.cached_features(path, net, real) for path, net in zip(paths, networks, strict=True)]
        return cls(networks, features, Lpips.load(), image_size)

    def __call__(self, batches: Callable[[], Iterator[tuple[Guides, np.ndarray]]]) -> list[Result]:
        """All results of the batches of guides and edits, (B, H, W, 3) bytes, that `batches()` gives anew."""
        results = []
        for network, real in zip(self.networks, self.real, strict=True):
            results += self._realism(metrics.extract_features(network, (x for _, x in batches())), real)
        return results + self._faithfulness(batches())

    def _realism(self, edits: Features, real: Features) -> list[Result]:
        subset_size = min(SUBSET_SIZE, len(edits.values) // 2, len(real.values) // 2)
        results = [metrics.kid(edits, real, subset_size=subset_size)]
        if edits.network.startswith("InceptionV3"):
            results.append(metrics.fid(edits, real))
        return [*results, metrics.cmmd(edits, real), *metrics.precision_and_recall(edits, real)]

    def _faithfulness(self, batches: Iterator[tuple[Guides, np.ndarray]]) -> list[Result]:
        """L2 and LPIPS to the guide, and where there is a mask L2 inside and masked LPIPS outside of it."""
        found: dict[tuple[str, str | None, str], list[np.ndarray]] = {}
        for guides, x_edit in batches:
            lpips = self.lpips.name
            values = {
                ("L2", None, ""): metrics.l2(guides.x_guide, x_edit),
                ("LPIPS", lpips, ""): self.lpips(guides.x_guide, x_edit),
            }
            if guides.mask is not None:
                values["L2, edited", None, "inside the mask"] = metrics.l2(guides.x_guide, x_edit, guides.mask)
                kept = self.lpips(guides.x_guide, x_edit, ~guides.mask)
                values["masked LPIPS", lpips, "outside the mask"] = kept
            for key, of_pictures in values.items():
                found.setdefault(key, []).append(of_pictures)
        return [
            metrics.over_pictures(metric, np.concatenate(values), self.image_size, network, detail)
            for (metric, network, detail), values in found.items()
        ]


def check_measurable(count: int, num_real: int, image_size: int) -> None:
    """Raises EvaluationError unless every metric can be computed of so many edits and real pictures of this size.

    Without it the first to fail would do so after hours of edits.
    """
    for what, number in (("held-out", count), ("real", num_real)):
        if number <= NEIGHBOURS:
            raise EvaluationError(f"The metrics need {NEIGHBOURS + 1} {what} pictures or more, but there are {number}.")
    if image_size < SMALLEST:
        raise EvaluationError(f"LPIPS needs pictures of {SMALLEST} pixels or more, but the model's have {image_size}.")


def network_of(name: str) -> FeatureNetwork:
    """The network of ``efficientnet_lite0@128`` or ``vgg16@64``, which see pictures at that size, or of
    ``inception_v3@PATH``, the file that FID is published with or its address, which sees them as clean-fid's does.

    Raises EvaluationError for other names, MetricError for missing weights.
    """
    kind, _, detail = name.partition("@")
    if kind in SIZED and detail.isdecimal():
        return SIZED[kind](int(detail))
    if kind == "inception_v3":
        return inception_v3(*([detail] if detail else []))
    raise EvaluationError(
        f"A network is {', '.join(f'{kind}@SIZE' for kind in SIZED)} or inception_v3@PATH, got {name!r}."
    )


def as_fields(results: Sequence[Result]) -> dict[str, dict[str, float | str | None]]:
    """Each result by its full name, as it stands in a row: `mean`, `std` (None for one number), and `detail`, which
    names what else it depends on: subsets and their seed, or the region.
    """
    fields = {}
    for result in results:
        seed = [] if result.seed is None else [f"seed {result.seed}"]
        detail = ", ".join([part for part in (result.detail, *seed) if part])
        fields[result.name] = {"mean": result.mean, "std": result.std, "detail": detail}
    if len(fields) < len(results):
        raise MetricError(f"Two results have one name: {sorted(result.name for result in results)}.")
    return fields
