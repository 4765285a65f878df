"""Shared set-up: shapes in annotations are checked at run time in every test."""

from jaxtyping import install_import_hook

CHECKED = ["snlad.affinity", "snlad.losses", "snlad.maps", "snlad.models", "snlad.metrics"]

install_import_hook(CHECKED, "beartype.beartype")
