"""No word leaves the machine: every verb, watched at its system calls, and 60 s after its end.

The processes live in a network namespace without interfaces, so that nothing can leave while
testing. Runtimes that report from threads of their own take up to 40 s to begin.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

IDLE_S = 60
PROGRAM = f"""
import sys, time
{{before}}
sys.argv[0] = "snlad"
from snlad.cli.app import main
try:
    main()
finally:
    time.sleep({IDLE_S})
"""
SWITCHED_ON = "import snlad.runtime.silence as s; s.silence = lambda: None"
HIDDEN = ("CI", "TF_BUILD", "JENKINS_URL", "ORT_DISABLE_TELEMETRY")
"""Variables that switch telemetry off, so that a test would pass for the wrong reason."""

CACHES = {".cache/matplotlib", ".config/matplotlib", ".cache/fontconfig"}

CALLS = "connect,sendto,sendmsg,sendmmsg,openat,creat,mkdir,mkdirat,rename,renameat,renameat2"
WRITES = re.compile(r'(?:openat\(.*?, "([^"]+)", [^)]*O_(?:WRONLY|RDWR|CREAT)|mkdir\("([^"]+)")')


def can_trace() -> bool:
    """Whether this user may trace a process in a network namespace of its own."""
    if not shutil.which("strace") or not shutil.which("unshare"):
        return False
    words = ["unshare", "-n", "strace", "-o", "/dev/null", "true"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_trace(), reason="needs strace and the right to unshare a network"),
]


class Watched:
    """A verb at work in a folder of its own."""

    def __init__(self, folder: Path, words: tuple[object, ...], before: str = "") -> None:
        self.folder, self.home = folder, folder / "home"
        self.home.mkdir(parents=True)
        (folder / "tmp").mkdir()
        environment = {k: v for k, v in os.environ.items() if k not in HIDDEN}
        environment |= {
            "HOME": str(self.home),
            "TMPDIR": str(folder / "tmp"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
        }
        program = PROGRAM.format(before=before)
        trace = ["strace", "-f", "-qq", "-e", f"trace={CALLS}", "-o", folder / "trace"]
        command = ["unshare", "-n", *trace, sys.executable, "-c", program, *map(str, words)]
        self.process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def end(self) -> str:
        """What it said, once it has ended."""
        said = self.process.communicate(timeout=900)[0].decode()
        assert self.process.returncode == 0, said
        return said

    @property
    def sent(self) -> list[str]:
        """Calls that would reach another machine."""
        lines = (self.folder / "trace").read_text(errors="replace").splitlines()
        return [line for line in lines if "AF_INET" in line and "127.0.0.1" not in line]

    @property
    def written(self) -> set[str]:
        """Files and folders outside its own folder that it opened for writing or made."""
        text = (self.folder / "trace").read_text(errors="replace")
        names = {a or b for line in text.splitlines() if "= -1" not in line
                 for a, b in WRITES.findall(line)}  # fmt: skip
        inside = (str(self.folder), "/dev/", "/proc/")
        return {name for name in names if name.startswith("/") and not name.startswith(inside)}

    @property
    def kept(self) -> set[str]:
        """What it left in its home, two levels deep."""
        found = {path.relative_to(self.home) for path in self.home.rglob("*") if path.is_file()}
        return {str(Path(*path.parts[:2])) for path in found}


def test_no_verb_reaches_another_machine_or_writes_elsewhere(
    calibrated_run, exported, shared_data, other_data, tmp_path
):
    tiny = tmp_path / "tiny.toml"
    tiny.write_text(
        'image_size = [64, 64]\n[teacher]\nname = "test_efficientnet"\nweights = "random"\n'
        "[train]\nsteps = 2\n[maps]\ncenters = 8\n"
    )
    run = shutil.copytree(calibrated_run, tmp_path / "run")
    other = shutil.copytree(exported, tmp_path / "export")
    verbs = {
        "train": ("train", shared_data, "--out", "out", "--config", tiny),
        "evaluate": ("evaluate", run, shared_data),
        "predict": ("predict", run, shared_data, "--out", "out"),
        "report": ("report", run),
        "check": ("data", "check", shared_data),
        "export": ("export", run, "--out", "out", "--calibration", other_data),
        "verify": ("verify", other),
        "predict_export": ("predict", other, shared_data, "--out", "out"),
    }
    at_work = {name: Watched(tmp_path / name, words) for name, words in verbs.items()}
    for name, one in at_work.items():
        said = one.end()
        assert one.sent == [], f"{name}: {said}"
        assert one.kept <= CACHES, name
        allowed = (str(run), str(other))
        assert {path for path in one.written if not path.startswith(allowed)} == set(), name


def test_the_watch_sees_what_the_switches_prevent(exported, tmp_path, request):
    if "openvino" in request.node.callspec.id:
        pytest.skip("OpenVINO alone reports nothing when it runs a graph")
    other = shutil.copytree(exported, tmp_path / "export")
    watched = Watched(tmp_path / "on", ("verify", other), SWITCHED_ON)
    watched.end()
    assert watched.sent
    assert any("Microsoft" in path for path in watched.kept)
