"""Central residual aggregation module (CRAM): features seen from learnable normality centers.

arXiv 2402.17091 states its ingredients (centers, residuals, aggregation); the wiring is ours. With
r_ik = x_i - c_k and a_ik = softmax_k(-beta_k |r_ik|^2), the aggregated residual of location i is

    e_i = sum_k a_ik r_ik = x_i - sum_k a_ik c_k

which a 1x1 convolution of [x, e] fuses back.
"""

from collections.abc import Callable, Sequence
from math import exp, log

import torch
from jaxtyping import Float
from torch import Tensor, nn

from snlad.affinity import in_full_precision
from snlad.errors import ConfigError, TrainingError
from snlad.models.clusters import k_means
from snlad.pyramid import Level, Pyramid

SAMPLE_LIMIT = 20_000
"""Most vectors that k-means sees for one module."""

START_ENTROPY = 0.3
"""Mean normalised entropy of the assignment that beta gives at the start: about K^0.3 centers share
a location, so that it is neither uniform nor one-hot. Ours."""


class Cram(nn.Module):
    """Aggregate residuals around `centers` learnable normality centers; keeps the shape.

    It starts as the identity (the fusing convolution passes x and ignores e), so training starts
    from the student without CRAM and moves away only where the loss gains by it.

    Args:
        channels: C of the input.
        centers: K, at least 2.

    Attributes:
        entropy: mean entropy of the last training batch's assignment / log K, in [0, 1].
        used_share: share of the centers nearest to some location of that batch, in (0, 1].

    Raises:
        ConfigError: fewer than 2 centers.
    """

    def __init__(self, channels: int, centers: int) -> None:
        super().__init__()
        if centers < 2:
            raise ConfigError(f"cram.centers is {centers}, but an assignment needs at least 2")
        # Inputs of unit variance get logits with a standard deviation of about 2.
        self.centers = nn.Parameter(torch.randn(centers, channels))
        self.log_beta = nn.Parameter(torch.full((centers,), log(2 / (6 * channels) ** 0.5)))
        self.entropy: Tensor | None = None
        self.used_share: Tensor | None = None
        self.fuse = nn.Conv2d(2 * channels, channels, kernel_size=1)
        nn.init.zeros_(self.fuse.weight)
        nn.init.eye_(self.fuse.weight.data[:, :channels, 0, 0])
        nn.init.zeros_(self.fuse.bias)  # type: ignore[arg-type]

    def forward(self, x: Level) -> Level:
        """Aggregate one level."""
        assignment = self.assignment(x)
        if self.training:
            self._observe(assignment.detach())
        residual = x - project_on_centers(assignment, self.centers)
        fused: Tensor = self.fuse(torch.cat([x, residual.to(x.dtype)], dim=1))
        return fused

    def assignment(self, x: Level) -> Float[Tensor, "B K H W"]:
        """Share every location out to the centers; sums to one over K."""
        return assign(x, self.centers, self.log_beta.exp())

    def _observe(self, assignment: Float[Tensor, "B K H W"]) -> None:
        self.entropy = normalised_entropy(assignment)
        used = assignment.new_zeros(assignment.shape[1])
        self.used_share = used.index_fill(0, assignment.argmax(1).flatten(), 1).mean()


class LevelCrams(nn.Module):
    """A student with a module of its own, such as ``Cram``, on each of the levels that it gives.

    Args:
        student: ``(images, teacher_pyramid) -> pyramid``.
        crams: one module a level, finest first, (B, C, H, W) to the same shape.
    """

    def __init__(self, student: nn.Module, crams: Sequence[nn.Module]) -> None:
        super().__init__()
        self.student = student
        self.crams = nn.ModuleList(crams)

    def forward(self, images: Float[Tensor, "B 3 H W"], teacher: Pyramid) -> list[Tensor]:
        """The student's levels, each through its module."""
        levels = self.student(images, teacher)
        return [cram(level) for cram, level in zip(self.crams, levels, strict=True)]


@in_full_precision
def squared_distances(x: Level, centers: Float[Tensor, "K C"]) -> Float[Tensor, "B K H W"]:
    """|x_i - c_k|^2 as |x|^2 - 2 x'c + |c|^2, the centers' mean as origin against cancellation."""
    origin = centers.detach().mean(0)
    x, centers = x - origin[:, None, None], centers - origin
    cross = torch.einsum("bchw,kc->bkhw", x, centers)
    lengths = x.square().sum(1, keepdim=True) + centers.square().sum(1)[:, None, None]
    return (lengths - 2 * cross).clamp_min(0)


@in_full_precision
def assign(
    x: Level, centers: Float[Tensor, "K C"], beta: Float[Tensor, " K"]
) -> Float[Tensor, "B K H W"]:
    """a_ik = softmax_k(-beta_k |x_i - c_k|^2)."""
    return (-beta[:, None, None] * squared_distances(x, centers)).softmax(1)


@in_full_precision
def project_on_centers(
    assignment: Float[Tensor, "B K H W"], centers: Float[Tensor, "K C"]
) -> Level:
    """y_i = sum_k a_ik c_k; since the a_ik sum to one, sum_k a_ik r_ik = x_i - y_i."""
    return torch.einsum("bkhw,kc->bchw", assignment, centers)


def normalised_entropy(assignment: Float[Tensor, "B K H W"]) -> Float[Tensor, ""]:
    """Mean over locations of the entropy over centers divided by log K: 0 one-hot, 1 uniform."""
    entropy: Tensor = torch.special.entr(assignment).sum(1).mean()
    return entropy / log(assignment.shape[1])


def initialise_centers(student: nn.Module, run: Callable[[], None], *, seed: int) -> None:
    """Set the centers of every Cram in `student` to k-means of what reaches it.

    One module after the other, so that a later one sees what the earlier ones now give. All beta of
    a module are the one value for which its assignment starts at an entropy of START_ENTROPY.

    Args:
        student: the network; without a Cram nothing happens.
        run: drives a few batches through the student; called once for each Cram.
        seed: of the sample and of k-means; same seed and data, same centers.

    Raises:
        TrainingError: fewer vectors than centers reached a module.
    """
    for module in student.modules():
        if isinstance(module, Cram):
            x, count = _sample_inputs(module, run, seed), len(module.centers)
            if len(x) < count:
                raise TrainingError(
                    f"k-means got {len(x)} feature vectors for {count} centers: "
                    "lower cram.centers or train with more images"
                )
            centers = k_means(x, count, seed=seed)
            with torch.no_grad():
                module.centers.copy_(centers)
                module.log_beta.fill_(_start_log_beta(x, centers))


def _sample_inputs(module: Cram, run: Callable[[], None], seed: int) -> Float[Tensor, "n C"]:
    generator = torch.Generator().manual_seed(seed)
    kept: list[tuple[Tensor, Tensor]] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        vectors = inputs[0].detach().movedim(1, -1).flatten(0, 2).float().cpu()
        lots = torch.rand(len(vectors), generator=generator)
        kept.append((vectors, lots))
        vectors, lots = (torch.cat(parts) for parts in zip(*kept, strict=True))
        lowest = lots.argsort()[:SAMPLE_LIMIT]
        kept[:] = [(vectors[lowest], lots[lowest])]

    hook = module.register_forward_pre_hook(keep)
    try:
        with torch.no_grad():
            run()
    finally:
        hook.remove()
    return kept[0][0] if kept else module.centers.new_zeros(0, module.centers.shape[1]).cpu()


def _start_log_beta(x: Float[Tensor, "n C"], centers: Float[Tensor, "K C"]) -> float:
    distances = squared_distances(x.mT[None, :, :, None], centers)
    low, high = -30.0, 30.0  # of log beta; entropy falls as beta grows, so halving finds it
    offset = -log(max(distances.mean().item(), 1e-30))
    for _ in range(40):
        middle = (low + high) / 2
        entropy = normalised_entropy((-distances * exp(offset + middle)).softmax(1))
        low, high = (middle, high) if entropy > START_ENTROPY else (low, middle)
    return offset + (low + high) / 2
