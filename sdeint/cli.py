"""The command line.

Packages that build on this one add commands under the entry-point group ``sdeint.commands``: so
`diffusion` brings ``demo`` and ``sample``, and no import runs against the order of the packages.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click

import tableaux
from tableaux import Tableau, TableauError, catalogue

__all__ = ["main", "method_option", "polite", "read_method"]

Command = Callable[..., Any]


class _Commands(click.Group):
    """This package's commands and those of the packages above it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *(p.name for p in _plugins())})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        own = super().get_command(ctx, name)
        if own is not None:
            return own
        for point in _plugins():
            if point.name == name:
                command: click.Command = point.load()
                return command
        return None


def _plugins() -> Any:
    return entry_points(group="sdeint.commands")


def polite(command: Command) -> Command:
    """Errors that are about the input end in one line, not in a traceback."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (ValueError, ArithmeticError, OSError) as error:
            raise click.ClickException(str(error)) from None

    return run


def read_method(text: str) -> Tableau:
    """A method from a catalogue name or a TOML file."""
    if text.endswith(".toml"):
        return tableaux.load(text)
    return catalogue[text]


def method_option(default: str) -> Callable[[Command], Command]:
    """The option ``--method NAME|FILE.toml``."""
    return click.option(
        "--method",
        default=default,
        show_default=True,
        help="A name of the catalogue or a TOML file.",
    )


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Stochastic Runge-Kutta methods as exact data: list, prove, measure, sample."""


@main.command()
@click.option("--calculus", default=None, help="ito or stratonovich.")
@click.option("--noise", default=None, help="A class of noise that the method must take.")
@click.option("--strong", default=None, help="Least strong order, such as 3/2.")
@click.option("--weak", default=None, help="Least weak order.")
@click.option("--most", type=int, default=None, help="Most evaluations a step, for one channel.")
@click.option("--implicit/--explicit", default=None, help="Only one kind.")
@click.option("--markdown", is_flag=True, help="As the tables of docs/methods.md.")
@polite
def methods(markdown: bool, **wanted: Any) -> None:
    """List the methods, with their orders and costs: all, or those that fit."""
    from sdeint.method_table import markdown_table, print_table, select

    found = select(**wanted)
    if markdown:
        click.echo(markdown_table(found), nl=False)
    elif found:
        print_table(found)
    else:
        click.echo("no method of the catalogue fits")


@main.command()
@click.argument("noise")
@click.option("--calculus", default="ito", show_default=True, help="ito or stratonovich.")
@click.option("--purpose", default="paths", show_default=True, help="paths or moments.")
@polite
def choose(noise: str, calculus: str, purpose: str) -> None:
    """Say which method fits NOISE, a class of noise: the one that method="auto" takes."""
    from sdeint.choosing import choose as pick

    click.echo(str(pick(noise, calculus, purpose)))


@main.command()
@click.argument("method")
@click.option("--noise", default=None, help="Judge this class of noise only.")
@click.option("--embedded", is_flag=True, help="Judge the embedded output.")
@polite
def order(method: str, noise: str | None, embedded: bool) -> None:
    """Prove the orders of METHOD, a name of the catalogue or a TOML file."""
    from sdeint.method_table import costs

    tableau = read_method(method)
    report = tableaux.order(tableau, noise=noise, embedded=embedded)
    click.echo(str(report))
    click.echo("principal error:")
    for principal in report.principal:
        click.echo(f"  {principal}")
    click.echo(f"a step evaluates {costs(tableau)}")


@main.command()
@click.option(
    "--family",
    default="sra",
    show_default=True,
    help="sra, sri, ri, rs, or a TOML file with free symbols.",
)
@click.option("--strong", default=None, help="A strong order, such as 3/2.")
@click.option("--weak", default=None, help="A weak order, such as 2.")
@click.option("--channels", default=3, show_default=True, type=int)
@click.option("--latex", is_flag=True, help="As LaTeX.")
@polite
def conditions(
    family: str, strong: str | None, weak: str | None, channels: int, latex: bool
) -> None:
    """Derive the order conditions of a family."""
    if (strong is None) == (weak is None):
        raise click.UsageError("give one of --strong and --weak, such as --strong 3/2")
    kind, wanted = ("strong", strong) if strong is not None else ("weak", weak)
    of = read_method(family) if family.endswith(".toml") else family
    found = tableaux.order_conditions(kind, str(wanted), of, channels=channels)
    click.echo(found.latex() if latex else str(found))
    if not latex:
        click.echo(f"{len(found)} independent conditions, of {found.raw} different equations")
        if any(not condition.equation.lhs.free_symbols for condition in found):
            click.echo("one of them cannot hold: no member of the family has this order")


@main.command()
@click.argument("methods_", metavar="METHOD...", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Write the plot here.")
@polite
def stability(methods_: tuple[str, ...], out: Path | None) -> None:
    """Mean-square stability of METHOD... for scalar linear problems: formula and plot."""
    from sdeint import plots
    from tableaux.stability import decimal, stability_function

    tableaux_ = [read_method(method) for method in methods_]
    for tableau in tableaux_:
        exact = str(stability_function(tableau))
        shown = exact if len(exact) < 500 else str(decimal(stability_function(tableau), 8))
        click.echo(f"{tableau.name}: E R^2 = {shown}")
    if out is not None:
        plots.save(plots.stability(tableaux_), out)
        click.echo(f"plot: {out}")


@main.command()
@click.argument("method")
@click.option("--problem", default=None, help="A problem of sdeint.problems; else a fitting one.")
@click.option("--kind", type=click.Choice(["strong", "weak"]), default="strong", show_default=True)
@click.option("--steps", default="16,32,64,128,256", show_default=True, help="Numbers of steps.")
@click.option("--paths", default=1000, show_default=True, type=int)
@click.option("--seed", default=0, show_default=True, type=int)
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Write the plot here.")
@polite
def converge(
    method: str,
    problem: str | None,
    kind: str,
    steps: str,
    paths: int,
    seed: int,
    out: Path | None,
) -> None:
    """Measure the order of METHOD, a name of the catalogue or a TOML file."""
    from sdeint import convergence, plots
    from sdeint.problems import library
    from tableaux.errors import unknown

    tableau = read_method(method)
    name = problem or FITTING[tableau.noise]
    if name not in library:
        raise TableauError(unknown("problem", name, library))
    try:
        levels = [int(n) for n in steps.split(",")]
    except ValueError:
        raise click.BadParameter(f"{steps!r} is no list of numbers such as 16,32,64") from None
    study = getattr(convergence, kind)(
        library[name], tableau, steps=levels, paths=paths, seed=seed, progress=True
    )
    click.echo(str(study))
    strong, weak = tableau.claimed(library[name].noise)
    claimed = strong if kind == "strong" else weak
    click.echo(f"claimed order: {'none' if claimed is None else claimed}")
    if out is not None:
        plots.save(study.plot(), out)
        click.echo(f"plot: {out}")


#: A nonlinear problem of the library for each class of noise.
FITTING = {
    "additive": "swirl",
    "scalar": "bounded",
    "diagonal": "bounded",
    "commutative": "bounded plane",
    "general": "bounded",
    "none": "orbit",
}
