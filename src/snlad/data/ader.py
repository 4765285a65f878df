"""ADer's ``meta.json``: split to class name to a list of pictures, paths from the file's folder."""

from pathlib import Path

from pydantic import BaseModel, ValidationError

from snlad.data.listing import Tree
from snlad.data.samples import Dataset, Sample, Split
from snlad.errors import DataError


class _Picture(BaseModel):
    img_path: str
    mask_path: str | None = ""
    cls_name: str
    specie_name: str = ""
    anomaly: bool


class _Meta(BaseModel):
    train: dict[str, list[_Picture]]
    test: dict[str, list[_Picture]]


def open_ader(path: Path) -> Dataset:
    """List what an ADer ``meta.json`` names, in its order.

    Raises:
        DataError: The file is not of that form, or names a file that is not there.
    """
    meta = _read(path)
    tree = Tree(path.parent)
    samples = [
        _sample(tree, picture, split, f"{str(path)!r} {split}/{name}[{index}]")
        for split, classes in _splits(meta)
        for name, pictures in classes.items()
        for index, picture in enumerate(pictures)
    ]
    return tree.dataset("ader", samples)


def _splits(meta: _Meta) -> list[tuple[Split, dict[str, list[_Picture]]]]:
    return [("train", meta.train), ("test", meta.test)]


def _read(path: Path) -> _Meta:
    try:
        return _Meta.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"{str(path)!r} cannot be read ({error.strerror}); check its permissions"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = "/".join(map(str, first["loc"])) or "the file"
        raise DataError(
            f"{str(path)!r} is no ADer meta.json: {place}: {first['msg']}; see docs/datasets.md"
        ) from error


def _sample(tree: Tree, picture: _Picture, split: Split, where: str) -> Sample:
    mask = picture.mask_path if picture.anomaly else None
    return Sample(
        path=tree.file(picture.img_path, where),
        class_name=picture.cls_name,
        split=split,
        is_anomalous=picture.anomaly,
        defect_type=(picture.specie_name or "defect") if picture.anomaly else "good",
        mask=tree.file(mask, where) if mask else None,
    )
