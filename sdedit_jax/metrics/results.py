"""A number together with all that it depends on."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Result:
    """One measured number. Two of them can be compared if `name`, `detail` and, but for KID, `counts` are the same."""

    metric: str
    """``KID``, ``FID``, ``CMMD's MMD``, ``precision``, ``recall``, ``L2``, ``LPIPS``."""
    mean: float
    std: float | None
    """Over the subsets (KID) or the pictures (L2, LPIPS), of the population; None where there is one number only."""
    features: str | None
    """The network, such as ``EfficientNet-Lite0``; None for L2, which needs none."""
    resize: str
    """The size that the pictures had when they were measured, and how they came to it."""
    counts: tuple[int, ...]
    """The number of pictures: edits and real ones, or the pairs."""
    seed: int | None = None
    """Of the random subsets; None where nothing is random."""
    detail: str = ""
    """What else the number depends on, such as ``100 subsets of 1000``."""

    @property
    def name(self) -> str:
        """The full name, such as ``KID (EfficientNet-Lite0, 64 px)``: a column of a table needs all of it."""
        return f"{self.metric} ({', '.join(part for part in (self.features, self.resize) if part)})"

    def __str__(self) -> str:
        """One line with everything: ``KID (EfficientNet-Lite0, 64 px) 0.0344 ± 0.0012; 256 against 256 pictures``."""
        value = f"{self.mean:.4f}" if self.std is None else f"{self.mean:.4f} ± {self.std:.4f}"
        parts = [f"{self.name} {value}", f"{' against '.join(map(str, self.counts))} pictures", self.detail]
        seed = [] if self.seed is None else [f"seed {self.seed}"]
        return "; ".join([part for part in parts if part] + seed)
