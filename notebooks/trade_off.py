# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Realism against faithfulness
#
# Figure 3 of [SDEdit (Meng et al. 2022)](https://arxiv.org/abs/2108.01073) on pictures of your own or on the bundled
# model's: strokes of held-out pictures are edited at many t0. As t0 goes up, KID, the distance from real pictures,
# falls, L2, the distance from the strokes, rises, and between lies the stretch that is worth using. All devices are
# used; in Colab choose a TPU or a GPU in *Runtime > Change runtime type*.

# %%
# What pip installs in Colab: a folder, wheel or archive that you uploaded, or git+https://ADDRESS of the repository.
SOURCE = "/content/sdedit_jax"

# %% [markdown]
# The package is installed beside the JAX that is here, which is the one that knows this machine's TPU or GPU, and
# which pip is therefore told to leave alone.

# %%
import importlib.metadata
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

if importlib.util.find_spec("sdedit_jax") is None:
    version = importlib.metadata.version("jax")
    if not (0, 10) <= tuple(map(int, version.split(".")[:2])) < (0, 13):
        raise RuntimeError(
            f"This machine has JAX {version}, and sdedit_jax needs 0.10 to 0.12. Choose another runtime version in "
            'Runtime > Change runtime type; or replace JAX here (%pip install "jax[tpu]>=0.10,<0.13", on a GPU '
            "jax[cuda12], on a CPU jax) and restart the session."
        )
    found = {dist.name: dist.version for dist in importlib.metadata.distributions()}
    held = [f"{name}=={found[name]}" for name in found if name.startswith("jax") or name == "libtpu"]
    constraints = Path(tempfile.mkdtemp()) / "constraints.txt"
    constraints.write_text("\n".join(held))
    wanted = f"sdedit_jax[eval] @ {SOURCE}" if "://" in SOURCE else f"{SOURCE}[eval]"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-c", str(constraints), wanted], check=True)
    importlib.invalidate_caches()

# %% [markdown]
# ## The pictures
#
# A data set that `--mode prepare` made, or a folder of pictures. Without one the landscapes of the
# bundled model are rendered, on two cores in eight minutes.

# %% tags=["parameters"]
import os

DATA = os.environ.get("SDEDIT_PICTURES", "landscapes")
MODEL = os.environ.get("SDEDIT_MODEL", "landscapes")
FAST = bool(os.environ.get("SDEDIT_FAST"))  # a rehearsal in seconds
NUM_STEPS = 2 if FAST else 25
NUM_IMAGES = 4 if FAST else 100
NUM_REAL = 8 if FAST else 2000
T0S = (0.3, 0.6) if FAST else (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

# %%
SPLIT = "test" if DATA == "landscapes" else "validation"
if DATA == "landscapes":
    # !sdedit --config landscapes --mode prepare
    pass

# %% [markdown]
# ## The evaluation
#
# Interrupted, the same command goes on where it was.

# %%
options = (
    f'--config.weights="{MODEL}" --config.data.source="{DATA}" --config.evaluation.split={SPLIT} '
    f"--config.evaluation.num_images={NUM_IMAGES} --config.evaluation.num_real={NUM_REAL} --num_steps {NUM_STEPS}"
)
tried = f"""--config.evaluation.experiments="('t0',)" --config.evaluation.t0s="{T0S}" """
networks = """--config.evaluation.networks="('efficientnet_lite0@128',)" """
alone = """--config.evaluation.baselines="()" --config.evaluation.gan= """
# !sdedit --config landscapes --mode evaluate {options} {tried} {networks} {alone} --out trade_off

# %% [markdown]
# ## The figure
#
# The bars are one standard deviation, and not of the same thing: KID's over its random subsets, each of half the
# pictures, L2's over the pictures. Neither says how far another seed or other pictures would move a point.

# %%
import json

import matplotlib.pyplot as plt

rows = json.loads(Path("trade_off/results.json").read_text())
kid, l2 = (next(name for name in rows[0] if name.startswith(metric)) for metric in ("KID", "L2"))
t0s = [row["t0"] for row in rows]
figure, left = plt.subplots(figsize=(6, 4))
right = left.twinx()
for axis, metric, color in ((left, kid, "tab:blue"), (right, l2, "tab:red")):
    means, stds = ([row[metric][part] or 0.0 for row in rows] for part in ("mean", "std"))
    axis.errorbar(t0s, means, stds, color=color, marker="o", capsize=3)
    axis.set_ylabel(metric, color=color)
left.set_xlabel("t0")
figure.tight_layout()
plt.show()

# %% [markdown]
# `trade_off/report.html` has the pictures too, and `trade_off/results.csv` the numbers. Below, the first strokes and
# their edits as t0 goes up.

# %%
from IPython.display import display
from PIL import Image

folder = Path("trade_off/shown")
shown = [folder / "strokes-6" / "0000.png", *sorted(folder.glob("*sdedit*/0000.png"))]
strip = Image.new("RGB", (128 * len(shown), 128))
for i, path in enumerate(shown):
    strip.paste(Image.open(path).resize((128, 128), Image.Resampling.NEAREST), (128 * i, 0))
display(strip)
