"""The four methods by name: two plain baselines, and SNL on such students."""

from typing import Any, Literal, get_args

from snlad.errors import ConfigError

Method = Literal["fd", "rd", "fd-snl", "rd-snl"]

_FORWARD_MAPS = {"levels": "product", "align_corners": False}
_SNL_MAPS: dict[str, Any] = {"centers": 4096, "centers_for": "alike", "center_distance": True}
_SETTINGS: dict[str, dict[str, Any]] = {
    "rd": {
        "student": {"distillation": "reverse"},
        "loss": {"flattened": 1.0},
    },
    "fd": {
        "student": {"distillation": "forward"},
        "loss": {"channel": 1.0},
        "maps": _FORWARD_MAPS,
    },
    "rd-snl": {
        "student": {"distillation": "reverse", "blocks": "auto"},
        "loss": {"spatial": 1.0},
        "maps": _SNL_MAPS,
    },
    "fd-snl": {
        "student": {"distillation": "forward"},
        "loss": {"channel": 1.0, "spatial": 1.0},
        "maps": {**_FORWARD_MAPS, **_SNL_MAPS, "levels": "sum"},
    },
}


def method_defaults(method: str) -> dict[str, Any]:
    """The settings of a method, before any of the user's.

    Raises:
        ConfigError: the method has another name.

    Source: ``rd`` is RD4AD (arXiv 2201.10703), ``fd`` is STFPM (arXiv 2103.04257); the two SNL
    methods are our reading of arXiv 2402.17091.
    """
    if method not in _SETTINGS:
        raise ConfigError(f"method is {method!r}; choose one of {', '.join(get_args(Method))}")
    return {"method": method, **_SETTINGS[method]}
