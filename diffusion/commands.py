"""The commands that this package adds to ``python -m sdeint``."""

from __future__ import annotations

from pathlib import Path

import click

from sdeint.cli import method_option, polite, read_method

__all__ = ["demo", "sample"]


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out/demo"),
    show_default=True,
    help="Folder for the pictures.",
)
@click.option(
    "--quick", is_flag=True, help="Fewer paths, digits and budgets: seconds, not minutes."
)
@polite
def demo(out: Path, quick: bool) -> None:
    """A tableau measured, an ensemble solved, digits sampled."""
    from diffusion.demo import run

    run(out, quick=quick)


@click.command()
@method_option("TwoStep")
@click.option("--nfe", default=32, show_default=True, type=int, help="Network evaluations.")
@click.option("--items", default=64, show_default=True, type=int)
@click.option("--seed", default=0, show_default=True, type=int)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("digits.png"),
    show_default=True,
    help="Contact sheet to write.",
)
@polite
def sample(method: str, nfe: int, items: int, seed: int, out: Path) -> None:
    """Sample digits with the model that comes with the package."""
    from diffusion.digits import load_digits_model
    from diffusion.pictures import contact_sheet
    from diffusion.sampling import sample as draw

    model = load_digits_model()
    images = draw(
        model,
        (items, 1, 8, 8),
        process=model.process,
        prediction=model.prediction,
        method=read_method(method),
        nfe=nfe,
        seed=seed,
        progress=True,
    )
    contact_sheet({method: images}, out, rows=max(1, round(items**0.5)))
    click.echo(f"{items} digits by {method} in {nfe} evaluations: {out}")
