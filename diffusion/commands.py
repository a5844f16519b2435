"""The commands that this package adds to ``python -m sdeint``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sdeint.cli import polite, read_method
from tableaux.files import dumps

if TYPE_CHECKING:
    from torch import Tensor

    from diffusion.recorded import Request

__all__ = ["demo", "evaluate", "sample"]


def request_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what to sample; what is not given is as in `diffusion.recorded.Request`."""
    options = [
        ("model", str, "A folder or hub id of diffusers; by default the digits of this package."),
        ("method", str, "A name of the catalogue or a TOML file."),
        ("nfe", int, "Network evaluations an image, at most."),
        ("items", int, "How many images."),
        ("seed", int, "Image i is path i of this seed."),
        ("grid", str, "A time grid, such as karras."),
        ("path", str, "grid, or tree: one path for every number of steps."),
        (
            "eta",
            str,
            "Stochasticity: 0 is the ODE, 1 the reverse SDE; ETA,LOW,HIGH: between two levels.",
        ),
        ("drift", str, "What the method takes for its drift: x0, or epsilon."),
        ("churn", str, "EDM's, with eta 0: S_CHURN[,S_MIN,S_MAX[,S_NOISE]]. 0: none."),
        ("variance", str, "Of the data: a number, or a folder of images that have it. 0: unknown."),
        ("batch", int, "Images that the network sees at once."),
        ("dtype", str, "Of the network: float32, float16 or bfloat16."),
    ]
    for name, kind, text in reversed(options):
        command = click.option(f"--{name}", type=kind, default=None, help=text)(command)
    return command


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
@request_options
@click.option(
    "--record", type=click.Path(path_type=Path), help="Repeat the run of this record.json."
)
@click.option("--device", default=None, help="Such as cuda; by default the CPU.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out/samples"),
    show_default=True,
    help="Folder for the images, sheet.png and record.json.",
)
@polite
def sample(record: Path | None, device: str | None, out: Path, **wanted: Any) -> None:
    """Sample images from a model: files, a contact sheet, and a record that repeats the run."""
    from diffusion.recorded import write

    request = _request(record, wanted)
    made = write(request, out, device=device, progress=True)
    click.echo(
        f"{request.items} images by {request.tableau.name}, {made['evaluations']} evaluations each: "
        f"{out}"
    )


@click.command()
@request_options
@click.option("--record", type=click.Path(path_type=Path), help="Sample as this record.json says.")
@click.option(
    "--images", type=click.Path(path_type=Path), help="Evaluate this folder instead of sampling."
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    required=True,
    help="A folder of real images, or an .npz file with the mu and sigma of their features.",
)
@click.option(
    "--features",
    required=True,
    help="A file of Inception weights, 'digits', or module:name of a callable.",
)
@click.option("--save", type=click.Path(path_type=Path), help="Keep the statistics of --against.")
@click.option("--device", default=None, help="Such as cuda; by default the CPU.")
@polite
def evaluate(
    record: Path | None,
    images: Path | None,
    against: Path,
    features: str,
    save: Path | None,
    device: str | None,
    **wanted: Any,
) -> None:
    """Frechet distance of sampled images to real ones: the FID, with Inception's features."""
    from diffusion.frechet import load_features, load_statistics, statistics
    from diffusion.recorded import draw

    extractor = load_features(features, device)
    real = load_statistics(against, extractor)
    if save is not None:
        real.save(save)
    if images is not None:
        click.echo(
            f"{images}: Frechet distance {load_statistics(images, extractor).distance(real):.6g}"
        )
        return
    request = _request(record, wanted)
    used = list[int]()

    def made() -> Iterator[Tensor]:
        for batch, evaluations in draw(request, device=device, progress=True):
            used.append(evaluations)
            yield batch

    distance = statistics(made(), extractor).distance(real)
    click.echo(
        f"{request.items} images by {request.tableau.name}, {used[0]} evaluations each: "
        f"Frechet distance {distance:.6g}"
    )


def _request(record: Path | None, wanted: dict[str, Any]) -> Request:
    """What a record asks for, with the options that were given in place of its own."""
    from diffusion.recorded import Request

    given = {name: value for name, value in wanted.items() if value is not None}
    method = given.get("method")
    if method is not None and method.endswith(".toml"):
        given["method"] = dumps(read_method(method))
    if "eta" in given:
        eta = _numbers(given["eta"], "ETA,LOW,HIGH")
        given["eta"] = eta if len(eta) > 1 else eta[0]
    if "churn" in given:
        churn = _numbers(given["churn"], "S_CHURN,S_MIN,S_MAX,S_NOISE")
        given["churn"] = None if churn == [0.0] else churn
    if "variance" in given:
        given["variance"] = _variance(given["variance"])
    if record is None:
        return Request(**given)
    return replace(Request.read(record), **given)


def _numbers(text: str, form: str) -> list[float]:
    """The numbers of an option, of which the first suffices."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise click.BadParameter(f"{text!r} is no number and not {form}") from None


def _variance(text: str) -> float:
    """A number, or the variance of the images of a folder, in the units of a model's images."""
    try:
        return float(text)
    except ValueError:
        from diffusion.fitting import data_variance
        from diffusion.imaging import as_numbers, read_images

        return data_variance(as_numbers(batch) for batch in read_images(Path(text)))
