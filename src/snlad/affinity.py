"""Affinities between locations, compared without ever building an N x N matrix that is large.

The affinity of one image is A = X'X, where the columns of X (C x N) are the feature vectors of its
N locations, each of length one. With D = S - T and P = S + T every sum of squares of affinity
differences is a sum over C x C matrices, exactly, and nothing cancels when S is close to T:

    ||S'S - T'T||^2     = 1/2 [ <DD', PP'> + tr((DP')^2) ]
    ||T'S - T'T||^2     = <DD', TT'>
    row i of S'S - T'T  = d_i'(SS')d_i + t_i'(DD')t_i + 2 d_i'(SD')t_i

Where N <= C the direct form S'S - T'T = (D'P + P'D) / 2 is smaller and is used instead.
"""

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import torch
from jaxtyping import Float
from torch import Tensor

from snlad.pyramid import Level

P = ParamSpec("P")
R = TypeVar("R")

ROOT_EPS = 1e-12
"""Added under every root, so that its gradient is finite where teacher and student agree."""

LENGTH_EPS = 1e-6
"""Vectors much shorter than this have no direction and stay short."""


def in_full_precision(equation: Callable[P, R]) -> Callable[P, R]:
    """Run an equation in its tensors' widest dtype, at least float32, whatever autocast says."""

    @wraps(equation)
    def exact(*args: Any, **kwargs: Any) -> R:
        floats = [v for v in (*args, *kwargs.values()) if _is_float(v)]
        dtype = torch.float64 if any(v.dtype == torch.float64 for v in floats) else torch.float32
        device = floats[0].device.type

        def promote(value: Any) -> Any:
            return value.to(dtype) if _is_float(value) else value

        # Only where autocast is on: an exported graph shall not contain its region.
        on = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        with torch.autocast(device, enabled=False) if on else nullcontext():
            return equation(
                *(promote(v) for v in args),
                **{k: promote(v) for k, v in kwargs.items()},
            )

    return cast(Callable[P, R], exact)


def unit_vectors(x: Float[Tensor, "*shape"], dim: int) -> Float[Tensor, "*shape"]:
    """Scale the vectors along `dim` to length one; a vector of zeros stays zero."""
    return x / _length(x, dim)


def unit_difference(
    teacher: Float[Tensor, "*shape"], student: Float[Tensor, "*shape"], dim: int
) -> Float[Tensor, "*shape"]:
    """s^ - t^ of the vectors along `dim` scaled to length one; nothing cancels where s is near t.

    With d = s - t and |s| - |t| = d'(s + t) / (|s| + |t|): s^ - t^ = (d - t^ (|s| - |t|)) / |s|, or
    the same with s and t exchanged; the longer of the two stands below the line.
    """
    long_s, long_t = _length(student, dim), _length(teacher, dim)
    s_is_longer = long_s >= long_t
    d = student - teacher
    excess = (d * (student + teacher)).sum(dim, keepdim=True) / (long_s + long_t)
    shorter = torch.where(s_is_longer, teacher / long_t, student / long_s)
    return (d - shorter * excess) / torch.where(s_is_longer, long_s, long_t)


def unit_distance(
    teacher: Float[Tensor, "*shape"], student: Float[Tensor, "*shape"], dim: int | tuple[int, ...]
) -> Float[Tensor, "*reduced"]:
    """1 - cos of the vectors along `dim`, as |s^ - t^|^2 / 2 with unit vectors, in [0, 2].

    Made of products of whole vectors, d = s - t, without s^ - t^ itself, which would take three
    times as long: with a = |s|, b = |t| and e = LENGTH_EPS, whose square is in a^2 and b^2,

        |s^ - t^|^2 / 2 = (d'd - (a - b)^2 (1 + e^2 / ab)) / 2ab,   a - b = d'(s + t) / (a + b)
                        = (s's / a^2 + t't / b^2) / 2 - s't / ab

    in which the first cancels nothing where s is near t, lengths included; the second is for all
    others. Elsewhere float32 leaves an error of some 3e-7,
    and so may leave a distance of nothing a little below 0.
    """
    d = student - teacher

    def product(x: Tensor, y: Tensor) -> Tensor:
        return (x * y).sum(dim)

    tt, ss = product(teacher, teacher), product(student, student)
    dd, dt = product(d, d), product(d, teacher)
    a, b = (ss + LENGTH_EPS**2).sqrt(), (tt + LENGTH_EPS**2).sqrt()
    ab = a * b
    excess = (2 * dt + dd) / (a + b)
    near = (dd - excess**2 * (1 + LENGTH_EPS**2 / ab)) / (2 * ab)
    far = (ss / a**2 + tt / b**2) / 2 - product(student, teacher) / ab
    return torch.where(dd < ab / 4, near, far)


@in_full_precision
def squared_difference_within(teacher: Level, student: Level) -> Float[Tensor, " B"]:
    """Sum (A_S - A_T)^2 over the N x N entries of each image; at least 0.

    Source: identity 1 of the module docstring; arXiv 2402.17091 names the affinity, the form is
    ours.
    """
    t, d = _columns(teacher, student)
    if t.shape[2] <= t.shape[1]:
        return _affinity_difference(t, d).square().sum((1, 2))
    p = 2 * t + d
    dd, pp, dp = d @ d.mT, p @ p.mT, d @ p.mT
    return ((dd * pp + dp * dp.mT).sum((1, 2)) / 2).clamp_min(0)


@in_full_precision
def squared_difference_across_networks(teacher: Level, student: Level) -> Float[Tensor, " B"]:
    """Sum (T'S - T'T)^2 over the N x N entries of each image; at least 0.

    Source: identity 2 of the module docstring; ours.
    """
    t, d = _columns(teacher, student)
    if t.shape[2] <= t.shape[1]:
        return (t.mT @ d).square().sum((1, 2))
    return ((d @ d.mT) * (t @ t.mT)).sum((1, 2)).clamp_min(0)


@in_full_precision
def row_squared_difference(teacher: Level, student: Level) -> Float[Tensor, "B N"]:
    """Sum (A_S - A_T)_ij^2 over j for each location i, locations in row-major order; at least 0.

    Source: identity 3 of the module docstring; ours.
    """
    t, d = _columns(teacher, student)
    if t.shape[2] <= t.shape[1]:
        return _affinity_difference(t, d).square().sum(2)
    s = t + d
    rows = d * (s @ s.mT @ d) + t * (d @ d.mT @ t) + 2 * d * (s @ d.mT @ t)
    return rows.sum(1).clamp_min(0)


def root_mean(total: Float[Tensor, "*B"], entries: int) -> Float[Tensor, "*B"]:
    """Take the root of the mean of `entries` squares that sum to `total`."""
    return (total / entries + ROOT_EPS).sqrt()


def _is_float(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _length(x: Float[Tensor, "*shape"], dim: int) -> Tensor:
    return (x.square().sum(dim, keepdim=True) + LENGTH_EPS**2).sqrt()


def _columns(
    teacher: Level, student: Level
) -> tuple[Float[Tensor, "B C N"], Float[Tensor, "B C N"]]:
    """T and D."""
    t, s = teacher.flatten(2), student.flatten(2)
    return unit_vectors(t, dim=1), unit_difference(t, s, dim=1)


def _affinity_difference(
    t: Float[Tensor, "B C N"], d: Float[Tensor, "B C N"]
) -> Float[Tensor, "B N N"]:
    half = d.mT @ (2 * t + d) / 2
    return half + half.mT
