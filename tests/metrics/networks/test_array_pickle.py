import pickle

import numpy as np
import pytest

from sdedit_jax.metrics import MetricError
from sdedit_jax.metrics.networks import array_pickle


def written(path, value, protocol=3):
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


def test_dicts_of_arrays_come_back(tmp_path):
    rng = np.random.default_rng(0)
    tree = {
        "a": {"kernel": rng.normal(size=(2, 3, 1)).astype("f4")},
        "b": np.ones((2, 2), "f4"),
        "c": np.zeros(0, "f4"),
    }
    tree["fortran"] = np.asfortranarray(rng.normal(size=(3, 2)).astype("f4"))
    found = array_pickle.read(written(tmp_path / "w", tree))
    assert list(found) == list(tree)
    np.testing.assert_array_equal(found["a"]["kernel"], tree["a"]["kernel"])
    for name in ("b", "c", "fortran"):
        np.testing.assert_array_equal(found[name], tree[name])


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_nothing_that_is_named_runs(tmp_path):
    trace = tmp_path / "trace"
    path = written(tmp_path / "w", {"a": Hostile(trace)})
    with pytest.raises(MetricError, match="io.open, which arrays do not need"):
        array_pickle.read(path)
    assert not trace.exists()
    pickle.loads(path.read_bytes())
    assert trace.exists()  # with another reader it would have


ITSELF = {}
ITSELF["a"] = ITSELF


@pytest.mark.parametrize(
    "value",
    [
        {"a": np.ones(2)},
        {"a": np.ones(2, ">f4")},
        {"a": np.array([None])},
        {"a": [np.ones(2, "f4")]},
        {"a": 1.0},
        {1: np.ones(2, "f4")},
        np.ones(2, "f4"),
        np.dtype("f4"),
        ITSELF,
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_data_is_refused(tmp_path, value):
    with pytest.raises(MetricError, match=r"w (cannot be read|is damaged)"):
        array_pickle.read(written(tmp_path / "w", value))


def test_damage_is_refused_or_changes_only_numbers(tmp_path):
    whole = pickle.dumps({"a": np.arange(6, dtype="f4").reshape(2, 3)}, protocol=3)
    assert array_pickle.read(written(tmp_path / "w", {"a": np.ones(1, "f4")}))
    refused = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        (tmp_path / "w").write_bytes(damaged)
        try:
            found = array_pickle.read(tmp_path / "w")
        except MetricError:
            refused += 1
        else:
            assert all(leaf.dtype == np.float32 for leaf in found.values())
    assert refused > len(whole) // 2
    (tmp_path / "w").write_bytes(whole[:-1])
    with pytest.raises(MetricError, match="damaged"):
        array_pickle.read(tmp_path / "w")
