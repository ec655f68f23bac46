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
# # Train on your own folder
#
# A few hundred pictures of one kind turn the bundled model to them; then your strokes become such pictures ([SDEdit,
# Meng et al. 2022](https://arxiv.org/abs/2108.01073)). Every step is a command, as in a terminal. In Colab choose a
# TPU or a GPU in *Runtime > Change runtime type*; all its devices are used.

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
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-c", str(constraints), SOURCE], check=True)
    importlib.invalidate_caches()

# %% [markdown]
# ## The pictures
#
# A folder of pictures, however deep. In Colab upload it on the left, or mount your Drive (`from google.colab import
# drive; drive.mount("/content/drive")`) and give its path; a `RUN` on the Drive also outlives the session.

# %% tags=["parameters"]
import os

PICTURES = os.environ.get("SDEDIT_PICTURES", "/content/pictures")
MODEL = os.environ.get("SDEDIT_MODEL", "landscapes")  # to start from
RUN = "runs/mine"
FAST = bool(os.environ.get("SDEDIT_FAST"))  # a rehearsal in seconds
NUM_TRAINING_STEPS = 2 if FAST else 2000
BATCH_SIZE = 4 if FAST else 32
NUM_STEPS = 2 if FAST else 50

# %% [markdown]
# `prepare` brings the pictures to the model's size once, keeps a part of them for validation, and names the damaged
# ones.

# %%
# !sdedit --config landscapes --mode prepare --source "{PICTURES}" --out prepared

# %% [markdown]
# ## Training
#
# `--init_from` starts from a trained model, which needs far less than starting from nothing. The command
# may be interrupted and given again: it goes on from its newest checkpoint. The learning rate is a quarter of that from
# nothing, and Muon is left out, so that the model keeps what it knows. `--dry_run` says what it will take.

# %%
often = max(1, NUM_TRAINING_STEPS // 10)
training = (
    f"--config landscapes --mode train --config.data.source=prepared --workdir {RUN} --init_from {MODEL} "
    "--config.training.learning_rate=2e-4 --config.training.muon_learning_rate=0 "
    f"--config.training.num_steps={NUM_TRAINING_STEPS} --config.training.batch_size={BATCH_SIZE} "
    f"--config.training.checkpoint_every={often} --config.training.sample_every={NUM_TRAINING_STEPS} "
    f"--config.sampling.num_steps={NUM_STEPS} --config.editing.num_steps={NUM_STEPS}"
)
# !sdedit {training}

# %% [markdown]
# What it wrote: the losses, and edits of held-out pictures' strokes by the averaged parameters.

# %%
from IPython.display import display
from PIL import Image

for picture in sorted(Path(RUN).rglob("*.png"))[-3:]:
    print(picture)
    display(Image.open(picture))

# %% [markdown]
# ## Editing with it
#
# `strokes` paints guides of your pictures as a person would; put your own paintings beside them, or give the path of
# one as `--guide`.

# %%
photos = (path for path in Path(PICTURES).rglob("[!.]*") if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"})
photo = min(photos)
# !sdedit --mode strokes --source "{photo}" --out guides
guide = min(Path("guides").glob("*.png"))
# !sdedit --config landscapes --workdir {RUN} --guide "{guide}" --out edits --num_steps {NUM_STEPS}
display(Image.open(f"edits/{guide.stem}_sheet.png"))

# %% [markdown]
# One file to keep or to hand on, weights and settings:

# %%
# !sdedit --mode convert --source {RUN} --out mine.safetensors
