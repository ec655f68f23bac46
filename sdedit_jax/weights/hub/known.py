"""The published models that are known by name: what they are, where they lie, and what their files do not say.

A name is that of the config, with the form behind a colon: `lsun_bedroom`, `lsun_bedroom:ncsnpp`. Of several sources
the first that can be had is used; all hold averaged (EMA) weights where that is stated. None was downloaded to write
this table: addresses, sizes and checksums are those that the hosts' pages give.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Origin:
    """A place where a model lies."""

    address: str
    """``hf://owner/name`` (a diffusers folder), ``hf://owner/name/file``, ``https://`` (a file), or what a browser
    has to open if `by_hand`."""
    files: tuple[str, ...]
    """The names of its files here, the weights last."""
    checksum: str = ""
    """Of the weights: ``sha256:`` or ``md5:`` and hexadecimal digits; empty if none is published."""
    by_hand: bool = False
    """Whether the host wants a person, as Google Drive does for files of this size."""


@dataclasses.dataclass(frozen=True)
class Model:
    """A published model."""

    title: str
    image_size: int
    """Pixels, height and width."""
    sde: Mapping[str, Any]
    """`config.sde`. Checkpoints of score_sde do not say whether their times are continuous."""
    megabytes: int
    """The size of the weights at the first of its origins."""
    origins: tuple[Origin, ...]

    @property
    def overrides(self) -> dict[str, Mapping[str, Any]]:
        """What the readers of its files are told, by section of the config."""
        return {"sde": self.sde, "data": {"image_size": self.image_size}}

    @property
    def checksums(self) -> dict[str, str]:
        """The checksum of each file of weights, by name; empty if none is published."""
        return {origin.files[-1]: origin.checksum for origin in self.origins}


def _diffusers(repository: str, checksum: str = "", suffix: str = "bin") -> Origin:
    files = ("config.json", "scheduler_config.json", f"diffusion_pytorch_model.{suffix}")
    return Origin(f"hf://{repository}", files, checksum)


def _pesser(share: str, step: int, checksum: str) -> Origin:
    """A conversion of DDPM's weights by Patrick Esser, in his share at Heidelberg University."""
    return Origin(f"https://heibox.uni-heidelberg.de/f/{share}/?dl=1", (f"model-{step}.ckpt",), checksum)


def _score_sde(folder: str, checkpoint: int) -> Origin:
    """A checkpoint of score_sde_pytorch, in Yang Song's Google Drive."""
    address = f"https://drive.google.com/drive/folders/{folder}"
    return Origin(address, (f"checkpoint_{checkpoint}.pth",), by_hand=True)


def _ddpm(title: str, *origins: Origin, image_size: int = 256, megabytes: int = 455) -> Model:
    return Model(title, image_size, {"name": "discrete_vp"}, megabytes, origins)


def _ncsnpp(title: str, sigma_max: float, *origins: Origin, image_size: int = 256, megabytes: int = 263) -> Model:
    """`sigma_max` is for [-1, 1], twice the published one."""
    sde = {"name": "ve", "sigma_min": 0.02, "sigma_max": sigma_max}
    return Model(title, image_size, sde, megabytes, origins)


def _ddpmpp(title: str, origin: Origin, megabytes: int) -> Model:
    return Model(title, 32, {"name": "vp", "beta_min": 0.1, "beta_max": 20.0}, megabytes, (origin,))


MODELS: Mapping[str, Model] = {
    "lsun_bedroom": _ddpm(
        "LSUN bedrooms, DDPM",
        _diffusers(
            "google/ddpm-ema-bedroom-256", "sha256:73d137f32e27a033b1fbf2684e007aceef4bf458d897354f325349985662fd78"
        ),
        _pesser("b95206528f384185889b", 2388000, "md5:1921fa46b66a3665e450e42f36c2720f"),
    ),
    "lsun_bedroom:ncsnpp": _ncsnpp(
        "LSUN bedrooms, NCSN++",
        756.0,
        _diffusers(
            "google/ncsnpp-bedroom-256", "sha256:2077c1bad976dffa6fc5b00cc70a55c350893027e5bf8216c4fd3a1ca566c2f4"
        ),
        _score_sde("18GmxDvfGR8se9uFucc9uweeVrX_GzuUG", 127),
    ),
    "lsun_church": _ddpm(
        "LSUN churches, DDPM",
        _diffusers(
            "google/ddpm-ema-church-256", "sha256:0825f31de9d51f6b94f8080233432e77ee5aa9a185b7172a1fd9863916444847"
        ),
        _pesser("44ccb50ef3c6436db52e", 4432000, "md5:fdc68a23938c2397caba4a260bc2445f"),
    ),
    "lsun_church:ncsnpp": _ncsnpp(
        "LSUN churches, NCSN++",
        760.0,
        _diffusers("google/ncsnpp-church-256"),
        _score_sde("1zVChA0HrnJU66Jkt4P6KOnlREhBMc4Yh", 126),
    ),
    "lsun_cat": _ddpm(
        "LSUN cats, DDPM",
        _diffusers(
            "google/ddpm-ema-cat-256", "sha256:842b428ec548f693ffb59ed7c352706a988c6d2a0e3872ed342a581ce1212fe0"
        ),
        _pesser("0701aac3aa69457bbe34", 1761000, "md5:646f23f4821f2459b8bafc57fd824558"),
    ),
    "celebahq_256": _ddpm(
        "CelebA-HQ faces, DDPM",
        _diffusers(
            "google/ddpm-ema-celebahq-256", "sha256:3ec1b462abd49605d4f7cddfe453626e9aea1edc8c2449450a1c054efb863abf"
        ),
        Origin(
            "hf://gwang-kim/DiffusionCLIP-CelebA_HQ/celeba_hq.ckpt",
            ("celeba_hq.ckpt",),
            "sha256:6cbb630eb856ff3ebe4854fe87af3c21a052765678955999db97ea15b5eeb8a5",
        ),
    ),
    "celebahq_256:ncsnpp": _ncsnpp(
        "CelebA-HQ faces, NCSN++",
        696.0,
        _diffusers(
            "google/ncsnpp-celebahq-256", "sha256:ad2b4078adb80a651f6f2213682cdf14678ccb874da5db0cc0dfea48ed327863"
        ),
        _score_sde("19VJ7UZTE-ytGX6z5rl-tumW9c0Ps3itk", 48),
    ),
    "ffhq_256": _ncsnpp(
        "FFHQ faces, NCSN++",
        696.0,
        _diffusers("google/ncsnpp-ffhq-256", "sha256:086d81c850a2470b8049ba38f922b23b43b0c9c78810fdef5a9644abf524f535"),
        _score_sde("1KG72ZKUCUa8dDcA03hOf1BsnK8kBcdPD", 48),
    ),
    "ffhq_1024": _ncsnpp(
        "FFHQ faces, NCSN++",
        2696.0,
        _diffusers(
            "google/ncsnpp-ffhq-1024", "sha256:fcdc2b63ff4180276ad47384d66a0aa70b6822c15b0c6a057bb9d625329ae18f"
        ),
        _score_sde("1ZqLNr_kH0o9DxvwSlrQPMmkrhEnXhBm2", 60),
        image_size=1024,
        megabytes=423,
    ),
    # Of the two, only the first is known to be averaged.
    "cifar10": _ddpm(
        "CIFAR-10, DDPM",
        _pesser("2e4f01e2d9ee49bab1d5", 790000, "md5:1fa350b952534ae442b1d5235cce5cd3"),
        _diffusers(
            "google/ddpm-cifar10-32",
            "sha256:1558dbe3fb093b0857d473e376b711eeda1b186c557be5e85b3a56300cd49f0f",
            suffix="safetensors",
        ),
        image_size=32,
        megabytes=143,
    ),
    "cifar10:ddpmpp": _ddpmpp("CIFAR-10, DDPM++", _score_sde("1xYjVMx10N9ivQQBIsEoXEeu9nvSGTBrC", 8), 989),
    "cifar10:ddpmpp_deep": _ddpmpp("CIFAR-10, deep DDPM++", _score_sde("1ZMLBiu9j7-rpdTQu8M2LlHAEQq4xRYrj", 8), 1706),
    "cifar10:ncsnpp": _ncsnpp(
        "CIFAR-10, NCSN++",
        100.0,
        _score_sde("1b0gy_LLgO_DaQBgoWXwlVnL_rcAUgREh", 24),
        image_size=32,
        megabytes=1004,
    ),
    "cifar10:ncsnpp_deep": _ncsnpp(
        "CIFAR-10, deep NCSN++",
        100.0,
        _score_sde("11s6A_xM7qiztdj8AHQWqaIAUSC3I7uX2", 12),
        image_size=32,
        megabytes=1721,
    ),
}

# The last step of the same trainings, not averaged.
OTHERS = (
    _pesser("f179d4f21ebc4d43bbfe", 2388000, "md5:f70280ac0e08b8e696f42cb8e948ff1c"),  # LSUN bedrooms
    _pesser("2711a6f712e34b06b9d8", 4432000, "md5:eb619b8a5ab95ef80f94ce8a5488dae3"),  # LSUN churches
    _pesser("fac870bd988348eab88e", 1761000, "md5:bbee0e7c3d7abfb6e2539eaf2fb9987b"),  # LSUN cats
    _pesser("869980b53bf5416c8a28", 790000, "md5:82ed3067fd1002f5cf4c339fb80c4669"),  # CIFAR-10
)


def origin(address: str) -> Origin | None:
    """The origin at `address`, or of whose repository `address` is the file of weights; None if there is none."""
    for found in (*(origin for model in MODELS.values() for origin in model.origins), *OTHERS):
        if address in (found.address, f"{found.address}/{found.files[-1]}"):
            return found
    return None
