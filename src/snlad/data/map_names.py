"""Names of anomaly maps in the layout that MVTec's evaluation code reads."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from snlad.data.given_maps import SUFFIXES
from snlad.errors import UsageError


class MapNames:
    """Gives each picture's map the path that the picture has below what the user gave, as TIFF.

    With a data set given, that is ``CLASS/test/DEFECT/NAME.tiff``, where MVTec's evaluation code
    and ``snlad evaluate --maps`` look. Paths are compared as they are written: links are not
    followed, so no name leads out of the folder of the maps.

    Args:
        given: pictures and folders; a picture counts as its folder. Of several, the innermost
            folder that holds all of them is where names start. What does not exist is left out.

    Raises:
        UsageError: no folder holds all of them: they lie on several drives.
    """

    def __init__(self, given: Iterable[Path]) -> None:
        there = [path for path in given if os.path.lexists(path)]
        folders = [
            _absolute(path if os.path.isdir(path) else path.parent)  # noqa: PTH112 # never raises
            for path in there
        ]
        try:
            self._root = Path(os.path.commonpath(folders))
        except ValueError:
            raise UsageError(
                "--mvtec-maps: no folder holds all that was given; inspect each drive for itself"
            ) from None

    def name(self, picture: Path | str) -> Path:
        """The relative path of a picture's map.

        Raises:
            UsageError: the picture lies in none of the folders that were given.
        """
        try:
            return _absolute(picture).relative_to(self._root).with_suffix(SUFFIXES[0])
        except ValueError:
            raise UsageError(
                f"{str(picture)!r} lies outside {str(self._root)!r}, so its map has no name"
            ) from None

    def refuse_twins(self, pictures: Iterable[Path]) -> Iterator[Path]:
        """Pass pictures on while each has a map of its own; this remembers every name.

        Raises:
            UsageError: two pictures would have one map.
        """
        first: dict[Path, Path] = {}
        for picture in pictures:
            if os.path.lexists(picture):
                name, path = self.name(picture), _absolute(picture)
                if first.setdefault(name, path) != path:
                    raise UsageError(
                        f"--mvtec-maps: {str(first[name])!r} and {str(path)!r} would both have the "
                        f"map {str(name)!r}; rename one"
                    )
            yield picture


def _absolute(path: Path | str) -> Path:
    """The path without ``..``, links not followed."""
    return Path(os.path.abspath(path))  # noqa: PTH100 # Path.absolute keeps the dots
