"""Two processes that train and edit together are one process; and what is said when they do not find each other."""

import json
import shlex
import signal
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from configs import landscapes
from sdedit_jax import build, cli, distributed
from sdedit_jax.checkpoints import Checkpointer
from sdedit_jax.cli import models
from sdedit_jax.distributed import DistributedError
from sdedit_jax.weights import native
from tests.cli.tiny import MODEL, SIZE, Tiny, random_params, write_guide
from tests.evaluation import few
from tests.processes import finish, free_address, start
from tests.training import small

TOGETHER = """
import json
import sys
from pathlib import Path
from sdedit_jax import distributed

address, process_id, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
distributed.initialize(address, 2, process_id, timeout_seconds=120)

from tests.evaluation import few
from tests.test_distributed import edit_and_draw
from tests.training import small

edit_and_draw(folder, folder / f"pictures_{process_id}")
rows = few.run(folder / "evaluated", batch_size=2)
(folder / f"rows_{process_id}.json").write_text(json.dumps(rows))
for name in ("replicated", "sharded"):
    state = small.run(folder / name, 4, shard_state=name == "sharded")
    small.store(folder / f"{name}.npz", state)
small.run(folder / "asked", 100_000, every=100_000, log_every=5)
"""

ALONE = """
import sys
from sdedit_jax import distributed
try:
    distributed.initialize(sys.argv[1], 2, int(sys.argv[2]), timeout_seconds=1)
except distributed.DistributedError as error:
    distributed.leave(f"error: {error}")
"""


def edit_and_draw(folder, out):
    """Edits the guides in `folder` with the model there, and draws five pictures, in batches of two, into `out`."""
    config = landscapes.get_config()
    config.weights, config.editing.guide = str(folder / "tiny.safetensors"), str(folder / "guides")
    config.editing.num_steps, config.editing.num_samples = 2, 2
    config.sampling.num_steps, config.sampling.num_samples = 2, 5
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(build.MODELS, "tiny", Tiny)
        patch.setattr(models, "CPU_PIXELS", 2 * SIZE**2)
        cli.edit(config, out)
        cli.sample(config, out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where two processes have worked together, one of which was asked to stop in the end."""
    folder = tmp_path_factory.mktemp("together")
    for number in range(3):
        write_guide(folder / "guides" / f"hut_{number}.png", seed=number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(build.MODELS, "tiny", Tiny)
        native.save(folder / "tiny.safetensors", random_params(), MODEL)
    address = free_address()
    processes = [start(TOGETHER, address, process_id, folder) for process_id in (0, 1)]
    metrics, deadline = folder / "asked" / "metrics.jsonl", time.monotonic() + 240
    while not (metrics.exists() and metrics.read_text()):  # the last run has begun
        assert time.monotonic() < deadline and all(process.poll() is None for process in processes), [
            process.communicate(timeout=60) for process in processes if process.poll() is not None
        ]
        time.sleep(0.05)
    processes[1].send_signal(signal.SIGTERM)
    said = [finish(process) for process in processes]
    (folder / "said.json").write_text(json.dumps(said))
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Where one process has done the same, and the state that it trained."""
    workdir = tmp_path_factory.mktemp("alone") / "run"
    return workdir, small.run(workdir, 4)


@pytest.mark.parametrize("name", ["replicated", "sharded"])
def test_training_together_is_training_alone(folder, alone, name):
    small.assert_close(small.stored(folder / f"{name}.npz"), jax.tree.leaves(alone[1]))
    found, wanted = (
        [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
        for workdir in (folder / name, alone[0])
    )
    assert [row["step"] for row in found] == [row["step"] for row in wanted] == [2, 4, 4]
    for got, want in zip(found, wanted, strict=True):
        for loss in {"loss", "validation_loss"} & want.keys():
            np.testing.assert_allclose(got[loss], want[loss], rtol=1e-4)  # the parameters' own difference


@pytest.mark.parametrize("name", ["replicated", "sharded"])
def test_what_two_processes_saved_one_reads_and_goes_on_with(folder, alone, tmp_path, name):
    small.assert_same(small.saved(folder / name, alone[1]), small.stored(folder / f"{name}.npz"))
    (folder / name).rename(tmp_path / name)
    try:
        state = small.run(tmp_path / name, 6)
    finally:
        (tmp_path / name).rename(folder / name)
    small.assert_close(jax.tree.leaves(state), jax.tree.leaves(small.run(tmp_path / "alone", 6)))


def test_pictures_made_together_are_those_made_alone(folder, tmp_path):
    """Bit for bit, with everything that is in the files, each of which one process wrote."""
    edit_and_draw(folder, tmp_path)
    shares = [{path.name: path.read_bytes() for path in (folder / f"pictures_{i}").iterdir()} for i in (0, 1)]
    assert shares[0].keys() & shares[1].keys() == set()
    assert {f"hut_{number}.json" for number in (0, 2)} < shares[0].keys() and "hut_1_sheet.png" in shares[1]
    assert shares[0] | shares[1] == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(shares[0]) + len(shares[1]) == 3 * 4 + 6


def test_one_process_that_is_asked_to_stop_stops_both_at_one_step(folder):
    with Checkpointer(folder / "asked") as checkpointer:
        [step] = checkpointer.steps()
    said = json.loads((folder / "said.json").read_text())
    what, how = said[0].split(" To go on:\n")
    assert what.endswith(f"Stopped and saved after step {step} of 100000.")
    assert shlex.split(how)[-2:] == ["0", str(folder)]
    assert json.loads((folder / "asked" / "metrics.jsonl").read_text().splitlines()[-1])["step"] == step


def test_only_the_first_process_speaks(folder):
    said = json.loads((folder / "said.json").read_text())
    assert said[0].count("written to") == 2
    assert all(line.startswith("[Gloo]") for line in said[1].splitlines())  # which JAX's C++ code prints


@pytest.mark.parametrize("process_id", [0, 1])
def test_a_process_whose_others_do_not_come_ends_with_a_sentence(process_id):
    address = free_address()
    process = start(ALONE, address, process_id)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    said = [line for line in error.splitlines() if line.startswith("error: ")]
    assert said == [
        f"error: The processes did not find each other through the coordinator {address} within 1 seconds. Are all of "
        "them running, and does each reach process 0 there?"
    ]
    assert "Traceback" not in error and "stack trace" not in error


LAUNCHED = """
import numpy as np
from sdedit_jax import distributed
distributed.initialize(timeout_seconds=120)
print(distributed.gather(np.array([7 + distributed.is_mine(0)])).tolist())
"""
SLURM = {"SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
OPEN_MPI = {"OMPI_MCA_orte_hnp_uri": "4096.0;tcp://127.0.0.1:1", "OMPI_COMM_WORLD_SIZE": "2"}


@pytest.mark.parametrize(
    ("variables", "rank", "local_rank"),
    [(SLURM, "SLURM_PROCID", "SLURM_LOCALID"), (OPEN_MPI, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK")],
)
def test_processes_of_a_launcher_find_each_other_without_flags(variables, rank, local_rank):
    variables = variables | {"JAX_COORDINATOR_PORT": free_address().split(":")[1]}
    processes = [start(LAUNCHED, variables=variables | {rank: index, local_rank: index}) for index in "01"]
    said = [finish(process) for process in processes]
    assert said[0].splitlines()[-1] == "[8, 7]"


def test_a_launcher_that_jax_cannot_ask_is_a_sentence():
    """In a pod of an indexed Job JAX needs the package `kubernetes`, which the tests do not install."""
    variables = {"KUBERNETES_SERVICE_HOST": "localhost", "JOB_COMPLETION_INDEX": "0"}
    process = start(LAUNCHED, variables=variables)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "could not be connected through Kubernetes" in error and "--num_processes 1 for a process that is" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("node1", 2, 0), "--coordinator must be HOST:PORT, .*got 'node1'"),
        (("node1:4711", 0, 0), "--num_processes must be 1 or more, got 0"),
        (("node1:4711", 2, 2), "--process_id must be 0 to 1, got 2"),
        (("node1:4711", 2, -1), "--process_id must be 0 to 1, got -1"),
        (
            ("node1:4711", 2),
            "started by hand need all of --coordinator HOST:PORT, --num_processes N and --process_id I",
        ),
        ((None, None, 1), "started by hand need all of"),
    ],
)
def test_flags_that_do_not_fit_each_other(arguments, message):
    with pytest.raises(DistributedError, match=message):
        distributed.initialize(*arguments)


@pytest.mark.parametrize("variables", [{}, {"SLURM_NTASKS": "1", "SLURM_STEP_NODELIST": "node1"}])
def test_a_process_that_nothing_tells_of_others_is_alone_and_needs_no_jax(variables):
    code = "import sys; from sdedit_jax import distributed as d; d.initialize(); sys.exit('jax' in sys.modules)"
    finish(start(code, variables=variables))


def test_one_process_gathers_what_it_has(tmp_path):
    rows = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(distributed.gather(rows), rows)
    distributed.wait_for_all()
    distributed.require_same(3, "Three")
    assert distributed.is_first() and all(distributed.is_mine(number) for number in range(3))
    with distributed.written_once(Path(tmp_path)) as written:
        assert written == tmp_path


def test_an_evaluation_together_is_that_of_one(folder, tmp_path):
    assert json.loads((folder / "rows_0.json").read_text()) == few.run(tmp_path)
    assert json.loads((folder / "rows_1.json").read_text()) == []
