"""``snlad verify``: is this export whole, and does it still say here what it said there?"""

from pathlib import Path
from typing import Annotated

import typer


def run(
    export: Annotated[Path, typer.Argument(metavar="EXPORT", help="Folder of an export.")],
    masters: Annotated[
        Path | None,
        typer.Argument(metavar="MASTER.csv", help="Pictures with the verdicts they must get."),
    ] = None,
) -> None:
    """Check hashes, replay stored inputs, judge master pictures; write a dated certificate."""
    from snlad.deploy.verify import read_masters, verify

    found = verify(export, [] if masters is None else read_masters(masters))
    wrong = [one for one in found.masters if one["expected"] != one["found"]]
    for one in wrong:
        typer.echo(f"{one['path']}: {one['found']} ({one['reason']}), not {one['expected']}")
    typer.echo(
        f"{found.replayed} stored inputs: at most {found.difference:.1g} standard deviations "
        f"apart, {found.allowed:g} allowed; {len(found.masters) - len(wrong)} of "
        f"{len(found.masters)} masters as expected"
    )
    typer.echo(f"{'passed' if found.passed else 'FAILED'}: {found.save(export)}")
    if not found.passed:
        raise typer.Exit(1)
