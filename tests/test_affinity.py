"""The cheap forms of affinity differences against loops over every pair of locations."""

import itertools

import pytest
import torch
from torch import Tensor

from snlad.affinity import (
    in_full_precision,
    root_mean,
    row_squared_difference,
    squared_difference_across_networks,
    squared_difference_within,
    unit_difference,
    unit_distance,
    unit_vectors,
)

FORMS = [
    squared_difference_within,
    squared_difference_across_networks,
    row_squared_difference,
]
CHEAP, DIRECT, SQUARE = (3, 4, 3, 2), (2, 16, 2, 3), (3, 6, 3, 2)
"""N > C; N < C; N = C."""
SHAPES = [CHEAP, DIRECT, SQUARE]


def pair(shape: tuple[int, ...], difference: float = 0.5, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features in float64, `difference` apart, mostly positive as after a ReLU."""
    generator = torch.Generator().manual_seed(seed)
    teacher, noise = torch.randn(2, *shape, dtype=torch.float64, generator=generator)
    return teacher + 0.5, teacher + 0.5 + difference * noise


def column(level: Tensor, image: int, location: int) -> Tensor:
    vector = level[image].flatten(1)[:, location].double()
    return vector / vector.norm()


def naive(teacher: Tensor, student: Tensor) -> list[Tensor]:
    """All three sums by definition, one entry at a time, in float64."""
    images, locations = teacher.shape[0], teacher.shape[2] * teacher.shape[3]
    within, networks = torch.zeros(2, images, dtype=torch.float64)
    rows = torch.zeros(images, locations, dtype=torch.float64)
    for image in range(images):
        for i, j in itertools.product(range(locations), repeat=2):
            t_i, t_j = column(teacher, image, i), column(teacher, image, j)
            s_i, s_j = column(student, image, i), column(student, image, j)
            # (s_i's_j - t_i't_j) as d_i's_j + t_i'd_j, which float64 does not blur
            entry = ((s_i - t_i) @ s_j + t_i @ (s_j - t_j)) ** 2
            rows[image, i] += entry
            within[image] += entry
            networks[image] += (t_i @ (s_j - t_j)) ** 2
    return [within, networks, rows]


@pytest.mark.parametrize("shape", SHAPES, ids=["cheap", "direct", "square"])
@pytest.mark.parametrize("difference", [1e-1, 1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-9)], ids=["f32", "f64"]
)
def test_every_form_equals_the_loop_over_pairs_at_any_difference(
    shape: tuple[int, ...], difference: float, dtype: torch.dtype, tolerance: float
) -> None:
    teacher, student = (x.to(dtype) for x in pair(shape, difference))
    for form, expected in zip(FORMS, naive(teacher, student), strict=True):
        result = form(teacher, student)
        assert result.dtype == dtype
        torch.testing.assert_close(result.double(), expected, rtol=tolerance, atol=0)


def test_the_textbook_form_would_fail_where_ours_holds() -> None:
    # |SS'|^2 + |TT'|^2 - 2 |ST'|^2 subtracts numbers that are equal to seven digits.
    teacher, student = (x.float() for x in pair((1, 8, 6, 6), 1e-3))
    t, s = (unit_vectors(x.flatten(2), dim=1)[0] for x in (teacher, student))
    textbook = (s @ s.T).square().sum() + (t @ t.T).square().sum() - 2 * (s @ t.T).square().sum()
    exact = squared_difference_within(teacher.double(), student.double())[0]
    ours = squared_difference_within(teacher, student)[0]
    assert abs(textbook - exact) > 0.01 * exact
    assert abs(ours - exact) < 2e-6 * exact


@pytest.mark.parametrize("shape", [(1, 2, 1, 2), (1, 1, 1, 2)], ids=["direct", "cheap"])
def test_two_locations_worked_by_hand(shape: tuple[int, ...]) -> None:
    if shape[1] == 2:
        # t_1 = (1, 0), t_2 = (0, 1): A_T = I.  s_1 = s_2 = (1, 0): A_S is all ones.
        teacher = torch.tensor([[[[5.0, 0.0]], [[0.0, 2.0]]]])
        student = torch.tensor([[[[3.0, 1.0]], [[0.0, 0.0]]]])
        within, networks, rows = 2.0, 2.0, [1.0, 1.0]
    else:
        # One channel has only signs: A_T is all ones, A_S has -1 off the diagonal.
        teacher, student = torch.tensor([[[[2.0, 3.0]]]]), torch.tensor([[[[1.0, -4.0]]]])
        within, networks, rows = 8.0, 8.0, [4.0, 4.0]
    assert squared_difference_within(teacher, student).tolist() == pytest.approx([within])
    assert squared_difference_across_networks(teacher, student).tolist() == pytest.approx(
        [networks]
    )
    assert row_squared_difference(teacher, student)[0].tolist() == pytest.approx(rows)


@pytest.mark.parametrize("shape", SHAPES, ids=["cheap", "direct", "square"])
def test_rows_add_up_to_the_whole(shape: tuple[int, ...]) -> None:
    teacher, student = pair(shape)
    torch.testing.assert_close(
        row_squared_difference(teacher, student).sum(1), squared_difference_within(teacher, student)
    )


@pytest.mark.parametrize("shape", SHAPES, ids=["cheap", "direct", "square"])
def test_turning_all_features_leaves_affinities_and_the_sums_never_negative(
    shape: tuple[int, ...],
) -> None:
    teacher = pair(shape)[0].float()
    generator = torch.Generator().manual_seed(1)
    rotation = torch.linalg.qr(torch.randn(shape[1], shape[1], generator=generator)).Q
    turned = torch.einsum("dc,bchw->bdhw", rotation, teacher)
    for form in (squared_difference_within, row_squared_difference):
        result = form(teacher, turned)
        assert (result >= 0).all()
        torch.testing.assert_close(result, torch.zeros_like(result), rtol=0, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES, ids=["cheap", "direct", "square"])
@pytest.mark.parametrize("form", FORMS)
def test_gradients_are_exact(form, shape: tuple[int, ...]) -> None:
    teacher, student = pair(shape)
    # Along random directions here; number by number in the tests of the losses and the map.
    inputs = (teacher.requires_grad_(), student.requires_grad_())
    assert torch.autograd.gradcheck(form, inputs, fast_mode=True)


@pytest.mark.parametrize("shape", SHAPES, ids=["cheap", "direct", "square"])
@pytest.mark.parametrize("form", FORMS)
def test_autocast_changes_nothing(form, shape: tuple[int, ...]) -> None:
    teacher, student = (x.float() for x in pair(shape, 1e-2))
    expected = form(teacher, student)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(form(teacher, student), expected, rtol=0, atol=0)


def test_low_precision_features_are_lifted_before_any_arithmetic() -> None:
    teacher, student = (x.to(torch.bfloat16) for x in pair(CHEAP))
    result = squared_difference_within(teacher, student)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, squared_difference_within(teacher.float(), student.float()))


def test_the_widest_dtype_wins_and_other_arguments_pass_untouched() -> None:
    @in_full_precision
    def dtypes(*tensors: Tensor, number: float, mask: Tensor) -> list[object]:
        return [*(x.dtype for x in tensors), number, mask.dtype]

    half, double = torch.ones(1, dtype=torch.float16), torch.ones(1, dtype=torch.float64)
    mask = torch.ones(1, dtype=torch.bool)
    assert dtypes(half, number=2.0, mask=mask) == [torch.float32, 2.0, torch.bool]
    assert dtypes(half, double, number=2.0, mask=mask)[:2] == [torch.float64, torch.float64]


@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e2], ids=["short", "equal", "long"])
def test_difference_of_unit_vectors_equals_its_definition(scale: float) -> None:
    teacher, student = pair((4, 5))
    student = student * scale
    expected = student / student.norm(dim=1, keepdim=True) - teacher / teacher.norm(
        dim=1, keepdim=True
    )
    result = unit_difference(teacher, student, dim=1)
    torch.testing.assert_close(result, expected, rtol=1e-7, atol=1e-9)


def test_a_vector_of_zeros_has_no_direction_and_a_finite_gradient() -> None:
    teacher = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0]])
    student = torch.tensor([[0.0, 0.0], [0.0, 5.0], [0.0, 0.0]], requires_grad=True)
    result = unit_difference(teacher, student, dim=1)
    torch.testing.assert_close(
        result.detach(), torch.tensor([[-0.6, -0.8], [0.0, 1.0], [0.0, 0.0]])
    )
    result.square().sum().backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1.5, 1e3], ids=["short", "equal", "near", "long"])
@pytest.mark.parametrize("apart", [0.0, 1e-3, 0.3, 3.0])
def test_distance_of_unit_vectors_and_its_gradient_in_float32(scale: float, apart: float) -> None:
    """Beside half the squared difference in float64: both formulas, and where they meet."""
    torch.manual_seed(1)
    teacher = torch.randn(2, 5, 3, 4)
    student = (scale * (teacher + apart * torch.randn_like(teacher))).requires_grad_()
    exactly = student.detach().double().requires_grad_()
    for dim in (1, (2, 3), (1, 2, 3)):
        result = unit_distance(teacher, student, dim)
        t, s = (
            x / torch.linalg.vector_norm(x, dim=dim, keepdim=True)
            for x in (teacher.double(), exactly)
        )
        expected = (s - t).square().sum(dim) / 2
        torch.testing.assert_close(result.double(), expected, rtol=1e-4, atol=3e-7)
        (gradient,) = torch.autograd.grad(result.sum(), student)
        (exact,) = torch.autograd.grad(expected.sum(), exactly)
        torch.testing.assert_close(scale * gradient.double(), scale * exact, rtol=1e-3, atol=3e-6)


@pytest.mark.parametrize("length", [1e-6, 1.0])
def test_a_small_distance_keeps_its_digits_whatever_the_length(length: float) -> None:
    torch.manual_seed(2)
    teacher = length * torch.nn.functional.normalize(torch.randn(50, 8, dtype=torch.float64), dim=1)
    student = teacher + 1e-3 * length * torch.randn(50, 8, dtype=torch.float64)
    expected = unit_difference(teacher, student, dim=1).square().sum(1) / 2
    result = unit_distance(teacher.float(), student.float(), dim=1)
    torch.testing.assert_close(result.double(), expected, rtol=2e-3, atol=0)
    assert float(expected.max()) < 1e-5


def test_a_vector_of_zeros_is_half_away_and_its_gradient_finite() -> None:
    teacher = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0]])
    student = torch.tensor([[0.0, 0.0], [0.0, 5.0], [0.0, 0.0]], requires_grad=True)
    result = unit_distance(teacher, student, dim=1)
    torch.testing.assert_close(result.detach(), torch.tensor([0.5, 0.5, 0.0]))
    result.sum().backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_root_mean_of_squares() -> None:
    assert root_mean(torch.tensor([36.0]), 4).item() == pytest.approx(3.0)
    total = torch.zeros(1, requires_grad=True)
    root_mean(total, 4).backward()
    assert total.grad is not None
    assert total.grad.isfinite()
