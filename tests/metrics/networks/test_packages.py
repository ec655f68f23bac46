import hashlib
import importlib.metadata

import pytest

from sdedit_jax.metrics import MetricError
from sdedit_jax.metrics.networks.packages import check_sha256, package_file

NAME = "pytest/__init__.py"


def test_a_file_of_an_installed_package_is_found():
    content = importlib.metadata.distribution("pytest").locate_file(NAME).read_bytes()
    assert package_file("pytest", NAME, hashlib.sha256(content).hexdigest()).read_bytes() == content


def test_what_is_missing_or_damaged_says_what_to_install(tmp_path):
    with pytest.raises(MetricError, match=r'nowhere-to-be-found, which is not installed: pip install -e "\.\[eval\]"'):
        package_file("nowhere-to-be-found", "weights", "0" * 64)
    with pytest.raises(MetricError, match=r"damaged or another file .* install pytest again"):
        package_file("pytest", NAME, "0" * 64)
    with pytest.raises(MetricError, match="cannot be read .*No such file.*; look elsewhere"):
        check_sha256(tmp_path / "missing", "0" * 64, "look elsewhere")
