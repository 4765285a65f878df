"""How large an installation is that runs exports: snlad and one runtime, in a fresh environment.

python scripts/install_size.py [onnx|openvino ...]
"""

import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

LIMIT_MB = 400
ROOT = Path(__file__).resolve().parent.parent


def main(runtimes: list[str]) -> int:
    """Print the size of each; 1 where one is over the limit."""
    sizes = {runtime: measure(runtime) for runtime in runtimes or ["onnx", "openvino"]}
    for runtime, size in sizes.items():
        print(f"snlad[{runtime}]: {size:.0f} MB (<= {LIMIT_MB})")
    return int(max(sizes.values()) > LIMIT_MB)


def measure(runtime: str) -> float:
    """Megabytes on disk of all that pip installs, less pip itself."""
    with TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        empty = total(Path(folder))
        words = [python, "-m", "pip", "install", "--quiet", f"{ROOT}[{runtime}]"]
        subprocess.run(words, check=True)
        return (total(Path(folder)) - empty) / 1e6


def total(folder: Path) -> int:
    """Bytes on disk."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
