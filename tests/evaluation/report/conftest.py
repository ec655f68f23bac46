"""An evaluation with its report, made once."""

import pytest

from sdedit_jax.evaluation import report
from tests.evaluation.report.measured import HOSTILE, make_rows, settings, write_shown


@pytest.fixture(scope="session")
def reported(tmp_path_factory):
    """A folder with a report of all experiments, 2 pictures a trial, whose model has a `HOSTILE` name."""
    out = tmp_path_factory.mktemp("evaluated")
    chosen = settings(t0s=(0.3, 0.6, 0.9), colors=(3, 50), steps=(10, 100))
    write_shown(out, chosen, number=2)
    report.write(out, make_rows(chosen, model=HOSTILE))
    return out
