"""Cores are devices where a batch is shared among them, unless somebody decided otherwise."""

import os
import subprocess
import sys

import jax
import pytest

from sdedit_jax.cli.models import MOST_CPU_DEVICES, spread_over_cores
from tests.processes import ROOT

COUNT = "from sdedit_jax.cli.models import spread_over_cores as f; import jax; f(); print(jax.local_device_count())"
CORES = min(os.cpu_count() or 1, MOST_CPU_DEVICES)


@pytest.mark.parametrize(("flags", "wanted"), [("", CORES), ("--xla_force_host_platform_device_count=3", 3)])
def test_each_core_is_a_device_unless_a_number_was_given(flags, wanted):
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    said = subprocess.run([sys.executable, "-c", COUNT], cwd=ROOT, env=environment, capture_output=True, check=True)
    assert int(said.stdout) == wanted


def test_where_jax_runs_already_nothing_changes():
    before = jax.local_device_count()
    spread_over_cores()
    assert jax.local_device_count() == before
