"""The command ``snlad``: verbs, and how errors become one sentence and an exit code.

Exit codes: 0 done, 1 finished with error rows or a failed gate, 2 wrong use, 130 stopped by a
signal.
"""

import io
import logging
import re
import sys

import typer

from snlad import __version__
from snlad.cli import (
    calibrate,
    compare,
    data,
    demo,
    evaluate,
    export,
    predict,
    probe,
    report,
    study,
    train,
    verify,
    weights,
)
from snlad.errors import MissingExtraError, SnladError, StoppedError, TrainingError

_EXTRAS = {
    "torch": "train",
    "torchvision": "train",
    "timm": "train",
    "sklearn": "train",
    "matplotlib": "train",
    "scipy": "evaluate",
    "skimage": "demo",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "export",
    "nncf": "export",
    "openvino": "openvino",
}

_OUT_OF_MEMORY = re.compile("out of memory|not enough memory|can't allocate", re.IGNORECASE)
"""What torch says when memory ends, in an error that is no ``MemoryError``."""

app = typer.Typer(
    name="snlad",
    help="One model that inspects every product: train on good pictures, find what is not normal.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help in half the time
    pretty_exceptions_enable=False,
)
app.command("train")(train.run)
app.command("evaluate")(evaluate.run)
app.command("compare")(compare.run)
app.command("calibrate")(calibrate.run)
app.command("probe")(probe.run)
app.command("predict")(predict.run)
app.command("export")(export.run)
app.command("verify")(verify.run)
app.command("report")(report.run)
app.command("study")(study.run)
app.command("demo")(demo.run)
app.add_typer(data.app, name="data", help="Look at a data set before training on it.")
app.add_typer(weights.app, name="weights", help="Teacher weights of your own.")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"snlad {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    for stream in (sys.stdout, sys.stderr):  # a file name may hold what no terminal can show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("timm", "PIL", "matplotlib", "jax", "onnx_ir", "onnxscript"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def main() -> None:
    """Run the command line; every error that snlad knows is one sentence on stderr."""
    try:
        app()
    except SnladError as error:
        _end(str(error), _exit_code(error))
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        verb = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
        _end(str(MissingExtraError(f"snlad {verb}", "export" if verb == "export" else extra)), 2)
    except KeyboardInterrupt:
        _end("stopped", 130)
    except OSError as error:
        _end(f"{error.strerror or error}: {error.filename or 'a file'}; make room or fix it", 1)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _OUT_OF_MEMORY.search(str(error)):
            raise
        _end("out of memory; lower train.batch_size or train.cache_gib and run again", 1)


def _exit_code(error: SnladError) -> int:
    if isinstance(error, TrainingError):
        return 130 if error.interrupted else 1
    return 130 if isinstance(error, StoppedError) else 2


def _end(sentence: str, code: int) -> None:
    typer.echo(f"snlad: {sentence}", err=True)
    raise SystemExit(code)
