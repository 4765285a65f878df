from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from snlad.data.roi import fit_roi, parse_rois
from snlad.errors import DataError, ImageError, UsageError


def test_each_option_gives_the_mask_of_one_class(
    tmp_path: Path, paint_mask: Callable[..., Path]
) -> None:
    paths = [paint_mask(tmp_path / f"{name}.png", (12, 18)) for name in ("a", "b = c")]
    rois = parse_rois([f"bolt={paths[0]}", f"große Mutter={paths[1]}"])
    assert list(rois) == ["bolt", "große Mutter"]
    assert rois["bolt"].shape == (12, 18)
    assert rois["bolt"].dtype == np.bool_
    assert 0 < rois["bolt"].sum() < 12 * 18


def test_no_option_gives_no_mask() -> None:
    assert parse_rois([]) == {}


@pytest.mark.parametrize("option", ["", "bolt", "bolt=", "=mask.png", "="])
def test_an_option_of_another_form_is_refused(option: str) -> None:
    with pytest.raises(UsageError, match=r"NAME=mask\.png"):
        parse_rois([option])


def test_a_class_named_twice_is_refused(tmp_path: Path, paint_mask: Callable[..., Path]) -> None:
    path = paint_mask(tmp_path / "m.png")
    with pytest.raises(UsageError, match="'bolt' twice"):
        parse_rois([f"bolt={path}", f"bolt={path}"])


def test_an_unreadable_mask_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png"):
        parse_rois([f"bolt={tmp_path / 'gone.png'}"])


def test_a_mask_that_inspects_nothing_is_refused(
    tmp_path: Path, paint_mask: Callable[..., Path]
) -> None:
    path = paint_mask(tmp_path / "black.png", value=0)
    with pytest.raises(DataError, match=r"black\.png' is empty"):
        parse_rois([f"bolt={path}"])


def test_fitting_is_nearest_neighbour() -> None:
    roi = np.zeros((8, 8), bool)
    roi[:, 4:] = True
    np.testing.assert_array_equal(fit_roi(roi, (4, 4)), roi[::2, ::2])


def test_a_roi_that_vanishes_at_the_size_is_refused() -> None:
    roi = np.zeros((100, 100), bool)
    roi[0, 0] = True
    with pytest.raises(DataError, match="no pixel left at 4 x 5"):
        fit_roi(roi, (4, 5))
