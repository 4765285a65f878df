"""Limits of size, exposure and sharpness: wide, learned from good pictures, each one reached."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from snlad.data.limits import Measures, PictureLimits, find_cause, learn_limits, measure_picture

USUAL = [Measures(100, 200, 120.0, 8.0), Measures(100, 200, 130.0, 10.0)]
LIMITS = learn_limits(USUAL)

measures = st.builds(
    Measures,
    st.integers(1, 5000),
    st.integers(1, 5000),
    st.floats(0, 255),
    st.floats(2.0**-10, 255),
)


def test_a_picture_is_measured_by_hand() -> None:
    """Columns 0 and 8 in turn: a step of 8 along the rows, none along the columns."""
    fitted = np.zeros((4, 4, 3), np.uint8)
    fitted[:, 1::2] = 8
    found = measure_picture(fitted, (40, 80))
    assert found == Measures(40, 80, 4.0, 4.0)
    assert found.aspect == 0.5


def test_limits_are_worked_by_hand() -> None:
    assert LIMITS.height == (50, 200)  # half to double
    assert LIMITS.width == (100, 400)
    assert LIMITS.aspect == pytest.approx((0.5 / 1.1, 0.5 * 1.1))
    assert LIMITS.brightness == (95, 155)  # 25 levels more than the range of 10
    assert LIMITS.sharpness == pytest.approx((4, 20))


def test_a_wide_range_is_reached_once_more() -> None:
    found = learn_limits([Measures(100, 100, 50.0, 2.0), Measures(400, 100, 150.0, 16.0)])
    assert found.brightness == (-50, 250)
    assert found.height == pytest.approx((25, 1600))  # a factor of 4 to each side
    assert found.sharpness == pytest.approx((2 / 8, 16 * 8))


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({}, None),
        ({"height": 49, "width": 98}, "size"),
        ({"height": 201, "width": 402}, "size"),
        ({"height": 120}, "size"),  # its size is usual, its shape is not
        ({"brightness": 94.0}, "exposure"),
        ({"brightness": 156.0}, "exposure"),
        ({"sharpness": 3.9}, "sharpness"),
        ({"sharpness": 20.5}, "sharpness"),
        ({"height": 1, "brightness": 0.0, "sharpness": 0.1}, "size"),
        ({"brightness": 0.0, "sharpness": 0.1}, "exposure"),
    ],
)
def test_each_limit_has_its_reason_and_the_first_counts(changed, cause) -> None:
    assert find_cause({"a": LIMITS}, "a", USUAL[0]._replace(**changed)) == cause


def test_a_picture_of_unknown_class_may_be_as_in_any() -> None:
    both = {"a": LIMITS, "b": learn_limits([Measures(1000, 1000, 20.0, 1.0)])}
    for one in (USUAL[0], Measures(900, 900, 20.0, 1.0)):
        assert find_cause(both, None, one) is None
    assert find_cause(both, None, Measures(10, 10, 20.0, 1.0)) == "size"
    assert find_cause(both, "c", USUAL[0]) is None
    assert find_cause(both, "b", USUAL[0]) == "size"
    assert find_cause({}, "a", USUAL[0]) is None


@given(st.lists(measures, min_size=1, max_size=6))
@settings(deadline=None, derandomize=True)
def test_every_training_picture_is_inside_its_own_limits(some) -> None:
    limits = learn_limits(some)
    assert all(find_cause({"a": limits}, "a", one) is None for one in some)


@given(st.lists(measures, min_size=1, max_size=4), measures)
@settings(deadline=None, derandomize=True)
def test_more_training_pictures_only_widen_the_limits(some, one) -> None:
    narrow, wide = learn_limits(some), learn_limits([*some, one])
    for name in PictureLimits.model_fields:
        low, high = getattr(narrow, name)
        assert getattr(wide, name)[0] <= low + 1e-9 * abs(low)
        assert getattr(wide, name)[1] >= high - 1e-9 * abs(high)


def test_plain_pictures_have_limits_too() -> None:
    plain = measure_picture(np.full((8, 8, 3), 90, np.uint8), (8, 8))
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    limits = learn_limits([plain, plain])
    assert find_cause({"a": limits}, "a", plain) is None
    assert find_cause({"a": limits}, "a", measure_picture(noise, (8, 8))) is not None


@pytest.mark.parametrize("bad", [{}, {"height": (1, 2)}, {**LIMITS.model_dump(), "more": (0, 1)}])
def test_what_is_no_set_of_limits_is_refused(bad) -> None:
    with pytest.raises(ValidationError):
        PictureLimits.model_validate(bad)
