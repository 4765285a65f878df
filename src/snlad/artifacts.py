"""Hashed folders: a JSON manifest and the files it names, saved atomically, checked before use.

Payload files carry their own hash in their name and the manifest is replaced last, so a save that
is killed at any moment leaves the previous artefact whole. Nothing here can run code from a file.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as parse_safetensors
from safetensors.numpy import save as format_safetensors

from snlad.config import digest
from snlad.errors import ArtifactError

SCHEMA_VERSION = 1
_MAX_MANIFEST_BYTES = 16 * 2**20
_STORED_NAME = re.compile(r"[a-z0-9_]+-[0-9a-f]{16}\.(safetensors|png|onnx|xml|bin)")

Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]


class _Entry(BaseModel):
    """One payload file of a manifest."""

    model_config = ConfigDict(extra="forbid", strict=True)

    stored: str
    sha256: str
    bytes: int


class _Manifest(BaseModel):
    """What a manifest must hold beside its identity."""

    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())

    schema_: int = Field(alias="schema")
    kind: str
    payload: dict[str, Any]
    files: dict[str, _Entry]


@dataclass(frozen=True)
class Artifact:
    """A checked artefact: what its manifest says and the bytes of its files.

    Attributes:
        kind: what it is, for example ``model``, ``checkpoint`` or ``export``.
        payload: the JSON values that were saved.
        files: bytes by logical name, each verified against its SHA-256.
        identity: SHA-256 over the manifest; names this exact artefact.
    """

    kind: str
    payload: dict[str, Any]
    files: dict[str, bytes]
    identity: str

    def arrays(self, name: str) -> Arrays:
        """Finite arrays of one safetensors file.

        Raises:
            ArtifactError: the file is not safetensors or holds NaN or infinity.
        """
        return read_arrays(self.files[name], name)


def format_arrays(arrays: Arrays) -> bytes:
    """Safetensors bytes of contiguous copies of the arrays."""
    return bytes(format_safetensors({k: np.ascontiguousarray(v) for k, v in arrays.items()}))


def read_arrays(data: bytes, name: str) -> Arrays:
    """Arrays from safetensors bytes, all finite.

    Raises:
        ArtifactError: the bytes are not safetensors or hold NaN or infinity.
    """
    try:
        arrays: Arrays = parse_safetensors(data)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{name} is not a safetensors file ({error}); nothing was run"
        ) from None
    for key, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ArtifactError(f"{name}: tensor {key!r} holds NaN or infinity; it was not loaded")
    return arrays


def save_artifact(
    folder: Path, kind: str, payload: Mapping[str, Any], files: Mapping[str, bytes]
) -> str:
    """Save files and manifest so that a reader sees the old artefact or the new, never a mixture.

    Returns:
        The artefact's identity.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries = {name: _write_payload(folder, name, data) for name, data in files.items()}
    body = {"schema": SCHEMA_VERSION, "kind": kind, "payload": dict(payload), "files": entries}
    body["identity"] = digest(body)
    text = json.dumps(body, indent=1, allow_nan=False)
    write_atomically(folder / f"{kind}.json", text.encode())
    keep = {entry["stored"] for entry in entries.values()}
    for path in folder.iterdir():
        if _STORED_NAME.fullmatch(path.name) and path.name not in keep:
            path.unlink()
    return str(body["identity"])


def load_artifact(folder: Path, kind: str) -> Artifact:
    """Read an artefact after checking schema, names, sizes and hashes.

    Raises:
        ArtifactError: something is missing, changed, foreign or of another version.
    """
    manifest = _read_manifest(folder, kind)
    files = {name: _read_payload(folder, name, entry) for name, entry in manifest["files"].items()}
    return Artifact(kind, manifest["payload"], files, manifest["identity"])


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that its name holds the old bytes or the new ones, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_payload(folder: Path, name: str, data: bytes) -> dict[str, Any]:
    sha256 = hashlib.sha256(data).hexdigest()
    stem, _, suffix = name.rpartition(".")
    stored = f"{stem}-{sha256[:16]}.{suffix}"
    write_atomically(folder / stored, data)
    return {"stored": stored, "sha256": sha256, "bytes": len(data)}


def _read_manifest(folder: Path, kind: str) -> dict[str, Any]:
    path = folder / f"{kind}.json"
    if not path.is_file():
        raise ArtifactError(f"{folder} holds no {kind}.json; give the folder that training wrote")
    if path.is_symlink() or path.stat().st_size > _MAX_MANIFEST_BYTES:
        raise ArtifactError(f"{path} is a link or over 16 MiB; copy the original folder again")
    try:
        body = json.loads(path.read_bytes())
        schema, stated = body["schema"], body.pop("identity")
        found = digest(body)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ArtifactError(f"{path} is not a snlad manifest; copy the folder again") from None
    if schema != SCHEMA_VERSION or isinstance(schema, bool):
        raise ArtifactError(
            f"{path} has schema {schema!r}, this snlad reads {SCHEMA_VERSION}; "
            "use the snlad version that wrote it or train again"
        )
    if found != stated or body.get("kind") != kind:
        raise ArtifactError(f"{path} was changed after it was saved; copy the folder again")
    try:
        return {**_Manifest.model_validate(body).model_dump(), "identity": stated}
    except ValidationError:
        raise ArtifactError(f"{path} lacks or garbles a field; copy the folder again") from None


def _read_payload(folder: Path, name: str, entry: Mapping[str, Any]) -> bytes:
    stored = str(entry["stored"])
    path = folder / stored
    if not _STORED_NAME.fullmatch(stored) or path.is_symlink():
        raise ArtifactError(f"{folder}: file name {stored!r} is not allowed; nothing was read")
    if not path.is_file() or path.stat().st_size != entry["bytes"]:
        raise ArtifactError(f"{path} is missing or has another size; copy the folder again")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise ArtifactError(f"{path} ({name}) does not match its SHA-256; copy the folder again")
    return data
