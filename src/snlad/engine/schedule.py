"""What happens at a step: which pictures, which learning rate; pure functions of the step."""

import math

import numpy as np

from snlad.sections import TrainConfig


def learning_rate(step: int, total: int, settings: TrainConfig) -> float:
    """Linear warm-up from 0, then a cosine to 0, at optimiser step ``step`` of ``total``."""
    warmup = round(settings.warmup_share * total)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def batch_indices(step: int, n_images: int, batch_size: int, seed: int) -> list[int]:
    """The pictures of a step: each epoch a seeded shuffle of all classes, its rest dropped.

    A function of its arguments alone, so that a resumed run sees the same batches.
    """
    size = min(batch_size, n_images)
    epoch, position = divmod(step, n_images // size)
    order = np.random.default_rng([seed, epoch]).permutation(n_images)
    return [int(i) for i in order[position * size : (position + 1) * size]]
