"""Metrics: the seven numbers, of protocol snlad-v1 and of published tables, without torch."""

from snlad.metrics.aupro import aupro, region_areas
from snlad.metrics.evaluator import Evaluator
from snlad.metrics.protocols import PROTOCOLS, Protocol
from snlad.metrics.ranking import Ranking, auroc, average_precision, f1_max, rank
from snlad.metrics.scores import METRICS, ScoreRow, ScoreTable

__all__ = [
    "METRICS",
    "PROTOCOLS",
    "Evaluator",
    "Protocol",
    "Ranking",
    "ScoreRow",
    "ScoreTable",
    "aupro",
    "auroc",
    "average_precision",
    "f1_max",
    "rank",
    "region_areas",
]
