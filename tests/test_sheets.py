import numpy as np
import pytest

from sdedit_jax.sheets import CAPTION_HEIGHT, PADDING, contact_sheet

WHITE = 1.0


def flat(height, width, value, channels=3):
    return np.full((height, width, channels), value, np.float32)


def test_small_pictures_are_enlarged_by_whole_factors_with_square_pixels():
    picture = np.random.default_rng(0).choice(np.array([-1, 1], np.float32), (64, 48, 3))
    sheet = contact_sheet([[picture]], [["guide"]])
    top, left = PADDING + CAPTION_HEIGHT, PADDING
    assert sheet.shape == (top + 3 * 64 + PADDING, left + 3 * 48 + PADDING, 3)  # 3 x 48 is the first above 128
    np.testing.assert_array_equal(sheet[top:-PADDING, left:-PADDING], picture.repeat(3, axis=0).repeat(3, axis=1))


def test_large_pictures_keep_their_size_and_everything_else_is_white_or_caption():
    sheet = contact_sheet([[flat(128, 200, -1), flat(130, 128, -1)]], [["", ""]])
    dark = (sheet == -1).all(axis=-1)
    assert dark.sum() == 128 * 200 + 130 * 128
    assert (sheet[~dark] == WHITE).all()


def test_columns_and_rows_line_up_and_rows_may_end_early():
    rows = [[flat(128, 128, -1), flat(128, 128, -1)], [flat(128, 200, -1)]]
    dark = (contact_sheet(rows, [["", ""], [""]]) == -1).all(axis=-1)
    first_row, second_row = dark[PADDING + CAPTION_HEIGHT], dark[-PADDING - 1]
    np.testing.assert_array_equal(np.flatnonzero(second_row), PADDING + np.arange(200))
    np.testing.assert_array_equal(np.flatnonzero(first_row)[128:], PADDING + 200 + PADDING + np.arange(128))


def test_masks_are_shown_from_black_to_white():
    mask = np.concatenate([flat(128, 64, 0.0, 1), flat(128, 64, 1.0, 1)], axis=1)
    row = contact_sheet([[mask]], [[""]])[-PADDING - 1, PADDING:-PADDING]
    assert (row[:64] == -1).all() and (row[64:] == 1).all()


def test_captions_are_drawn_and_never_cut_off():
    short, long = (contact_sheet([[flat(128, 128, 1)]], [[text]]) for text in ("t0", "a caption of some length " * 3))
    assert (short < 0).any() and long.shape[1] > short.shape[1]
    columns_with_ink = np.flatnonzero((long < 0).any(axis=(0, 2)))
    assert columns_with_ink.min() >= PADDING - 1 and columns_with_ink.max() < long.shape[1] - PADDING


def test_a_missing_caption_and_a_batch_are_errors():
    with pytest.raises(ValueError, match=r"got rows of \[2\] pictures and \[1\] captions"):
        contact_sheet([[flat(8, 8, 0), flat(8, 8, 0)]], [["guide"]])
    with pytest.raises(ValueError, match=r"must be \(h, w, 3\), or \(h, w, 1\) for a mask, got \(1, 8, 8, 3\)"):
        contact_sheet([[flat(8, 8, 0)[None]]], [["guide"]])
