"""A seal knows every byte of a folder, its own too."""

import pytest

from sdedit_jax.checkpoints import seals


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "file").write_bytes(bytes(3_000_000))  # more than is read at a time
    (tmp_path / "empty").write_bytes(b"")
    seals.seal(tmp_path, {"loss": 0.5})
    return tmp_path


def test_a_sealed_folder_passes_and_gives_its_facts(folder):
    seals.check(folder)
    assert seals.is_sealed(folder) and seals.facts(folder) == {"loss": 0.5}


@pytest.mark.parametrize("at", [0, 1_500_000, 2_999_999])
def test_every_byte_counts(folder, at):
    with (folder / "deep" / "er" / "file").open("r+b") as file:
        file.seek(at)
        file.write(b"\1")
    with pytest.raises(seals.SealError, match="deep/er/file is not as it was written"):
        seals.check(folder)


def test_a_file_that_is_missing_or_longer_is_named(folder):
    (folder / "empty").write_bytes(b"x")
    with pytest.raises(seals.SealError, match="empty is not as it was written"):
        seals.check(folder)
    (folder / "empty").unlink()
    with pytest.raises(seals.SealError, match="empty is missing"):
        seals.check(folder)


def test_no_byte_of_the_seal_itself_can_change(folder):
    path = folder / seals.NAME
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(seals.SealError, match=r"crc32.json (is not as it was written|cannot be read)"):
            seals.facts(folder)
        path.write_bytes(whole[:at])
        with pytest.raises(seals.SealError):
            seals.check(folder)


def test_a_folder_without_seal_says_so(tmp_path):
    assert not seals.is_sealed(tmp_path)
    with pytest.raises(seals.SealError, match="crc32.json cannot be read: .*No such file"):
        seals.check(tmp_path)
