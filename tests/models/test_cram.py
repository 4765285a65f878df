"""CRAM: assignments, the aggregation, and the start of the centers."""

from math import exp, log

import pytest
import torch
from torch import nn

from snlad.errors import ConfigError, TrainingError
from snlad.models import cram as cram_module
from snlad.models.cram import (
    Cram,
    assign,
    initialise_centers,
    normalised_entropy,
    project_on_centers,
    squared_distances,
)

# One image of two locations, x_1 = (0, 0), x_2 = (3, 4); centers (0, 0) and (3, 0).
X = torch.tensor([[[[0.0, 3.0]], [[0.0, 4.0]]]])
CENTERS = torch.tensor([[0.0, 0.0], [3.0, 0.0]])
DISTANCES = [[0.0, 25.0], [9.0, 16.0]]


def clusters(noise: float = 0.1, groups: int = 4, channels: int = 6) -> torch.Tensor:
    """A batch whose locations lie around `groups` points."""
    generator = torch.Generator().manual_seed(0)
    points = 3 * torch.randn(groups, channels, generator=generator)
    owner = torch.randint(groups, (4, 8, 8), generator=generator)
    x = points[owner] + noise * torch.randn(4, 8, 8, channels, generator=generator)
    return x.movedim(-1, 1)


def test_squared_distances_by_hand() -> None:
    torch.testing.assert_close(squared_distances(X, CENTERS)[0, :, 0], torch.tensor(DISTANCES))


def test_squared_distances_equal_a_loop_far_from_the_origin() -> None:
    # |x|^2 is 3e6 here: without moving the origin the expanded form would lose all digits.
    x, centers = torch.randn(2, 3, 2, 2) + 1000, torch.randn(4, 3) + 1000
    result = squared_distances(x, centers)
    for b in range(2):
        for k in range(4):
            for y in range(2):
                for z in range(2):
                    expected = (x[b, :, y, z] - centers[k]).square().sum()
                    torch.testing.assert_close(result[b, k, y, z], expected, rtol=1e-4, atol=1e-4)


def test_squared_distances_are_never_negative() -> None:
    centers = torch.randn(50, 30) * 100
    assert squared_distances(centers.T[None, :, :, None], centers).min() >= 0


def test_assignment_by_hand() -> None:
    beta = torch.tensor([0.1, 0.2])
    result = assign(X, CENTERS, beta)[0, :, 0]
    for i in range(2):
        weights = [exp(-0.1 * DISTANCES[0][i]), exp(-0.2 * DISTANCES[1][i])]
        expected = torch.tensor(weights) / sum(weights)
        torch.testing.assert_close(result[:, i], expected)


def test_a_module_assigns_with_the_exponent_of_its_log_beta() -> None:
    module = Cram(2, 2)
    with torch.no_grad():
        module.centers.copy_(CENTERS)
        module.log_beta.copy_(torch.tensor([0.1, 0.2]).log())
    torch.testing.assert_close(module.assignment(X), assign(X, CENTERS, torch.tensor([0.1, 0.2])))


def test_projection_equals_a_loop_over_residuals() -> None:
    x = torch.randn(2, 3, 2, 2, dtype=torch.float64)
    centers = torch.randn(4, 3, dtype=torch.float64)
    assignment = assign(x, centers, torch.rand(4, dtype=torch.float64) + 0.1)
    projected = project_on_centers(assignment, centers)
    for b in range(2):
        for y in range(2):
            for z in range(2):
                residual = torch.zeros(3, dtype=torch.float64)
                for k in range(4):
                    residual += assignment[b, k, y, z] * (x[b, :, y, z] - centers[k])
                torch.testing.assert_close(x[b, :, y, z] - projected[b, :, y, z], residual)


def test_entropy_is_zero_for_one_hot_and_one_for_uniform_and_between_by_hand() -> None:
    one_hot = torch.eye(4)[None, :, :, None]
    assert normalised_entropy(one_hot).item() == 0
    assert normalised_entropy(torch.full((1, 4, 2, 2), 0.25)).item() == pytest.approx(1)
    halves = torch.tensor([0.5, 0.5, 0.0, 0.0])[None, :, None, None]
    assert normalised_entropy(halves).item() == pytest.approx(log(2) / log(4))


def test_it_starts_as_the_identity() -> None:
    x = clusters()
    assert torch.equal(Cram(6, 5)(x), x)


def test_every_parameter_learns_although_the_start_is_the_identity() -> None:
    x, module = clusters(), Cram(6, 5)
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        (module(x) - x.flip(1)).square().mean().backward()
        optimiser.step()
    for name, parameter in module.named_parameters():
        assert parameter.isfinite().all()
        assert not torch.equal(parameter, before[name]), name


def test_the_feature_and_its_residual_are_fused() -> None:
    module = Cram(2, 2)
    with torch.no_grad():
        module.fuse.weight.copy_(torch.tensor([[1.0, 0, 10, 0], [0, 1, 0, 10]])[..., None, None])
    residual = X - project_on_centers(module.assignment(X), module.centers)
    torch.testing.assert_close(module(X), X + 10 * residual)


def test_the_projection_stays_within_the_hull_of_the_centers() -> None:
    module = Cram(2, 3)
    result = project_on_centers(module.assignment(100 * torch.randn(2, 2, 4, 4)), module.centers)
    for channel in range(2):
        assert result[:, channel].max() <= module.centers[:, channel].max() + 1e-5
        assert result[:, channel].min() >= module.centers[:, channel].min() - 1e-5


def test_gradients_are_exact() -> None:
    module = Cram(2, 3).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = torch.randn(2, 2, 2, 1, dtype=torch.float64, requires_grad=True)
    names, values = zip(*module.named_parameters(), strict=True)

    def as_function(x, *parameters):
        named = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(module, named, (x,))

    assert torch.autograd.gradcheck(as_function, (x, *values), fast_mode=True)


def test_a_batch_is_its_images() -> None:
    module, x = Cram(6, 5), clusters()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    torch.testing.assert_close(module(x)[1:2], module(x[1:2]))


def test_autocast_reaches_neither_distances_nor_assignment() -> None:
    module, x = Cram(6, 5), clusters()
    expected = module.assignment(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert module(x).isfinite().all()
        torch.testing.assert_close(module.assignment(x), expected, rtol=0, atol=0)
        assert module(x.bfloat16()).dtype == torch.bfloat16


def test_training_reports_entropy_and_used_centers_and_inference_leaves_them() -> None:
    module = Cram(2, 4)
    module.eval()(X)
    assert module.entropy is None
    assert module.used_share is None
    with torch.no_grad():
        # Each location lies on its own center, the other two centers are far: half are used.
        module.centers.copy_(torch.tensor([[0.0, 0.0], [3.0, 4.0], [99.0, 0.0], [0.0, 99.0]]))
        module.log_beta.zero_()
    module.train()(X)
    assert module.used_share.item() == 0.5
    assert module.entropy.item() == pytest.approx(0, abs=1e-6)
    assert not module.entropy.requires_grad
    module.eval()(torch.randn(1, 2, 3, 3))
    assert module.used_share.item() == 0.5


def test_one_center_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"cram.centers is 1.*at least 2"):
        Cram(4, 1)


@pytest.mark.parametrize("channels", [8, 512])
def test_random_centers_start_neither_uniform_nor_one_hot_on_inputs_of_unit_variance(
    channels: int,
) -> None:
    module = Cram(channels, 50)
    entropy = normalised_entropy(module.assignment(torch.randn(2, channels, 8, 8)))
    assert 0.1 < entropy < 0.95


@pytest.mark.parametrize("noise", [0.01, 0.3, 3.0], ids=["tight", "loose", "no clusters"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_initialised_assignments_are_neither_uniform_nor_one_hot(noise, scale) -> None:
    x, module = scale * clusters(noise), Cram(6, 8)
    initialise_centers(module, lambda: module(x), seed=0)
    assert normalised_entropy(module.assignment(x)).item() == pytest.approx(0.3, abs=0.01)


def test_initialised_centers_lie_on_the_clusters() -> None:
    x, module = clusters(noise=0.01), Cram(6, 4)
    initialise_centers(module, lambda: module(x), seed=0)
    assert squared_distances(x, module.centers).amin(1).max() < 0.01
    module(x)
    assert module.used_share == 1


def test_same_seed_same_centers() -> None:
    results = []
    for _ in range(2):
        module = Cram(6, 8)
        initialise_centers(module, lambda module=module: module(clusters(3.0)), seed=5)
        results.append((module.centers.detach(), module.log_beta.detach()))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_a_later_module_starts_from_what_the_initialised_earlier_one_gives() -> None:
    # The first projects on its centers, x - e: only after its start do they lie on the clusters.
    first, second = Cram(6, 4), Cram(6, 4)
    with torch.no_grad():
        first.fuse.weight[:, 6:, 0, 0] = -torch.eye(6)
    student, x = nn.Sequential(first, second), clusters(noise=0.01)
    initialise_centers(student, lambda: student(x), seed=0)
    assert squared_distances(first(x), second.centers).amin(1).mean() < 0.1


def test_the_sample_is_bounded_and_drawn_from_every_batch(monkeypatch) -> None:
    monkeypatch.setattr(cram_module, "SAMPLE_LIMIT", 64)
    seen = []
    monkeypatch.setattr(
        cram_module, "k_means", lambda x, centers, seed: seen.append(x) or x[:centers].clone()
    )
    module = Cram(2, 2)

    def run() -> None:
        for batch in range(4):
            module(torch.full((2, 2, 8, 8), float(batch)) + 0.1 * torch.randn(2, 2, 8, 8))

    initialise_centers(module, run, seed=0)
    assert seen[0].shape == (64, 2)
    assert set(seen[0][:, 0].round().int().tolist()) == {0, 1, 2, 3}


def test_no_hook_is_left_behind_even_when_the_run_fails() -> None:
    module = Cram(2, 2)

    def run() -> None:
        raise RuntimeError("no data")

    with pytest.raises(RuntimeError, match="no data"):
        initialise_centers(module, run, seed=0)
    assert not module._forward_pre_hooks


@pytest.mark.parametrize(("locations", "message"), [(0, "got 0 feature"), (3, "got 3 feature")])
def test_fewer_vectors_than_centers_are_refused(locations: int, message: str) -> None:
    module = Cram(2, 4)

    def run() -> None:
        if locations:
            module(torch.randn(1, 2, 1, locations))

    with pytest.raises(TrainingError, match=message):
        initialise_centers(module, run, seed=0)


def test_a_student_without_cram_is_not_run() -> None:
    initialise_centers(nn.Conv2d(1, 1, 1), lambda: pytest.fail("nothing to initialise"), seed=0)


def test_fewer_different_vectors_than_centers_start_without_a_warning() -> None:
    """As with a handful of pictures that are all alike; warnings are errors here."""
    module = Cram(3, 4)
    x = torch.ones(2, 3, 4, 4)
    x[1] = 2.0
    initialise_centers(module, lambda: module(x), seed=0)
    assert {round(value, 4) for value in module.centers.flatten().tolist()} == {1.0, 2.0}
    assert torch.isfinite(module.log_beta).all()
