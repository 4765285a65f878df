"""A report with hostile names in a real browser: no script runs, no request leaves.

The browser is sent through a proxy that only writes down who knocks, so a request to any host by
any scheme would be seen. A page that is not ours shows that both would be noticed.
"""

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from snlad.engine.report import write_report

BROWSER = shutil.which("chromium")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")

MARK = "document.title='RAN';document.documentElement.setAttribute('data-ran','1')"
WAY_OUT = "http://leak.example"
HOSTILE = [
    f"<script>{MARK}</script>",
    f"</title></style></bdi></td><script>{MARK}</script>",
    f'" onload="{MARK}" onerror="{MARK}" x="',
    f"<img src=x onerror={MARK}>",
    f'<img src="{WAY_OUT}/img.png">',
    f"<svg onload={MARK}><script href={WAY_OUT}/x.js></script></svg>",
    f'<iframe src="{WAY_OUT}/frame" srcdoc="<script>parent.{MARK}</script>"></iframe>',
    f'<link rel=stylesheet href="{WAY_OUT}/x.css"><style>@import "{WAY_OUT}/y.css";</style>',
    f'<meta http-equiv=refresh content="0;url={WAY_OUT}/go">',
    f'<base href="{WAY_OUT}/"><form action="{WAY_OUT}/f"><input autofocus onfocus={MARK}>',
    f"javascript:{MARK}",
    f"<!--><script>{MARK}</script>-->",
    f"<details open ontoggle={MARK}>",
    "$x$",
    "🔩 שלום\u202e",
    "line\nbreak\x00",
]


@pytest.fixture
def knocks() -> Iterator[tuple[int, list[bytes]]]:
    """A port on loopback, and the first line of each connection to it."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:  # the test is over
                    return
                with connection:
                    connection.settimeout(5)
                    heard.append(connection.recv(4096).partition(b"\r\n")[0])

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield server.getsockname()[1], heard
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def dump(page: Path, port: int, profile: Path) -> str:
    """The page's elements after the browser has loaded it and would have run it."""
    command = [
        str(BROWSER),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--no-first-run", "--disable-sync", "--disable-background-networking"),
        *("--disable-component-update", "--disable-default-apps", "--disable-extensions"),
        f"--user-data-dir={profile}",
        f"--proxy-server=127.0.0.1:{port}",
        "--proxy-bypass-list=<-loopback>",
        "--virtual-time-budget=2000",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, check=True, timeout=120)
    return done.stdout.decode(errors="replace")


def leaks(heard: list[bytes]) -> list[bytes]:
    return [line for line in heard if b"leak.example" in line]


def test_hostile_names_neither_run_nor_call(write_run, scored, tmp_path, knocks):
    port, heard = knocks
    pictures = [
        one.model_copy(update={"path": name + one.path})
        for name in HOSTILE
        for one in scored({name: ([1.0, 2.0], [3.0])}, kind=name)
    ]
    run = write_run("run", pictures, {name: [0.5, 1.5] for name in HOSTILE})
    page = write_report(run, tmp_path / "page.html")
    seen = dump(page, port, tmp_path / "profile")
    assert "<title>snlad report: run</title>" in seen
    assert 'data-ran="1"' not in seen
    for element in ("<script", "<iframe", "<svg", "<base", "<form", "<link", "<input"):
        assert element not in seen
    assert "&lt;script&gt;" in seen  # shown as what it is
    assert leaks(heard) == []


def test_a_page_that_runs_and_calls_would_be_noticed(tmp_path, knocks):
    port, heard = knocks
    page = tmp_path / "page.html"
    page.write_text(f"<!DOCTYPE html><title>quiet</title>{HOSTILE[0]}{HOSTILE[4]}")
    seen = dump(page, port, tmp_path / "profile")
    assert "<title>RAN</title>" in seen
    assert 'data-ran="1"' in seen
    assert leaks(heard)


def test_the_policy_alone_would_hold_what_escaping_lets_through(
    write_run, scored, tmp_path, knocks, monkeypatch
):
    """Two walls: with the first torn down the second still stands."""
    port, heard = knocks
    run = write_run("run", scored({"a": ([1.0], [2.0])}))
    page = write_report(run, tmp_path / "page.html")
    text = page.read_text()
    for name in (HOSTILE[0], HOSTILE[3], HOSTILE[4], HOSTILE[5], HOSTILE[6], HOSTILE[7]):
        text = text.replace("</main>", f"{name}</main>")
    page.write_text(text)
    seen = dump(page, port, tmp_path / "profile")
    assert "<script>" in seen
    assert 'data-ran="1"' not in seen
    assert leaks(heard) == []
