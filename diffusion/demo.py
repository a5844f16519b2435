"""The main job, end to end: a tableau, an ensemble, digits. Numbers are printed as measured."""

from __future__ import annotations

import math
import os
import time
from importlib.resources import as_file, files
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

import sdeint
import tableaux
from diffusion.digits import load_digits, load_digits_classifier, load_digits_model
from diffusion.metrics import energy_distance, frechet_distance
from diffusion.pictures import contact_sheet
from diffusion.sampling import trajectory
from sdeint import convergence, plots, problems
from sdeint.plots import save

__all__ = ["SAMPLERS", "run"]

#: Samplers of the demo, by the names under which they are shown.
SAMPLERS = {
    "EM": "EM (DDPM)",
    "ScoreDifference": "score difference (2410.04760, rec.)",
    "SRA1": "SRA1",
    "OneStage": "one stage, F computed",
    "OneStageStored": "one stage, F stored",
    "TwoStep": "two-step (ours)",
}

console = Console(width=110, soft_wrap=True)


def run(out: Path, *, quick: bool = False) -> None:
    """Run the demo and write its pictures into the folder `out`."""
    started = time.perf_counter()
    # Half of the cores: with all of them, one other busy process makes every parallel operation wait
    # for its slowest thread, and the demo takes ten times as long instead of a little longer.
    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))
    out.mkdir(parents=True, exist_ok=True)
    _custom_tableau(out, quick)
    _ensemble(out, quick)
    _digits(out, quick)
    console.print(f"\nDone in {time.perf_counter() - started:.0f} s; pictures in {out}/")


def _custom_tableau(out: Path, quick: bool) -> None:
    console.rule("1. A method of your own, from a file")
    with as_file(files("tableaux") / "examples" / "ralston.toml") as path:
        tableau = tableaux.load(path)
    console.print(str(tableau), markup=False, highlight=False)
    study = convergence.strong(
        problems.library["bounded"],
        tableau,
        steps=(16, 32, 64, 128, 256),
        paths=200 if quick else 2000,
        progress=not quick,
    )
    console.print(str(study), markup=False, highlight=False)
    proved = tableaux.order(tableau)
    console.print(str(proved), markup=False, highlight=False)
    scalar = proved.by_noise["scalar"].strong
    console.print(
        f"strong order for scalar noise: proved {scalar}, observed {study.order:.2f}"
        if study.order is not None
        else f"strong order for scalar noise: proved {scalar}, observed none: {study.note}"
    )
    save(study.plot(), out / "convergence.png")


def _ensemble(out: Path, quick: bool) -> None:
    console.rule("2. An ensemble")
    mu, sigma, paths, steps = 0.5, 0.4, 20_000 if quick else 200_000, 100
    sde = sdeint.SDE(lambda t, y: mu * y, lambda t, y: sigma * y)
    clock = time.perf_counter()
    solution = sdeint.solve(
        sde,
        torch.ones(paths, 1),
        torch.linspace(0, 1, 21, dtype=torch.float64),
        method="SRIW1",
        steps=steps,
        seed=1,
        progress=not quick,
    )
    seconds = time.perf_counter() - clock
    end = solution.y[-1].double()
    mean, error = float(end.mean()), float(end.std()) / math.sqrt(paths)
    exact = math.exp(mu)
    console.print(repr(solution))
    console.print(
        f"geometric Brownian motion: E X(1) = {mean:.5f} +- {error:.5f} (standard error), "
        f"exactly {exact:.5f}: off by {(mean - exact) / error:+.2f} standard errors"
    )
    console.print(f"{seconds:.2f} s, {1e9 * seconds / (paths * steps):.1f} ns a path and step")
    times = solution.t
    axes = plots.fan(times, solution.y[..., 0], exact_mean=torch.exp(mu * times))
    save(axes, out / "ensemble.png")


def _digits(out: Path, quick: bool) -> None:
    console.rule("3. Digits from noise")
    count = 64 if quick else 256
    # Odd budgets: one evaluation for the last denoising leaves an even number for the steps, so that
    # methods of one and of two evaluations a step use the same number exactly.
    budgets = (9, 17) if quick else (9, 13, 17, 25, 33, 65)
    model, classifier = load_digits_model(), load_digits_classifier()
    train, held_out = load_digits()
    real = held_out.images
    features = classifier.features(real)
    halves = torch.arange(len(real)) % 2 == 0
    # The Frechet distance of finite samples is biased upwards, the more the smaller they are; so there
    # is a floor for the size of a line too: as many real digits, those of the training set.
    as_many = train.images[torch.linspace(0, len(train.images) - 1, count).long()]
    floors = {
        "real: half the held-out digits against the other": (
            energy_distance(real[halves].flatten(1), real[~halves].flatten(1)),
            frechet_distance(features[halves], features[~halves]),
        ),
        f"real: {count} training digits": (
            energy_distance(as_many.flatten(1), real.flatten(1)),
            frechet_distance(classifier.features(as_many), features),
        ),
    }
    table = Table("sampler", "budget", "evaluations", "energy distance", "Frechet distance", "s")
    curves: dict[str, tuple[list[int], list[float]]] = {}
    shown = {"held-out data": real[:64]}
    for nfe in budgets:
        for method, title in SAMPLERS.items():
            clock = time.perf_counter()
            made = trajectory(
                model,
                (count, 1, 8, 8),
                process=model.process,
                prediction=model.prediction,
                method=method,
                nfe=nfe,
                seed=7,
            )
            seconds = time.perf_counter() - clock
            images = made.final
            energy = energy_distance(images.flatten(1), real.flatten(1))
            frechet = frechet_distance(classifier.features(images), features)
            curve = curves.setdefault(title, ([], []))
            curve[0].append(made.evaluations)
            curve[1].append(frechet)
            table.add_row(
                title,
                str(nfe),
                str(made.evaluations),
                f"{energy:.4f}",
                f"{frechet:.3f}",
                f"{seconds:.2f}",
            )
            if nfe == budgets[-1 if quick else 2]:
                shown[f"{method}, {made.evaluations} ev."] = images[:64]
        table.add_section()
    for title, (energy, frechet) in floors.items():
        table.add_row(title, "", "", f"{energy:.4f}", f"{frechet:.3f}", "")
    console.print(table)
    console.print(f"{count} digits a line, against {len(real)} held-out ones.")
    contact_sheet(shown, out / "digits.png")
    floor = list(floors.values())[-1][1]
    axes = plots.work(curves, floor=floor, ylabel="Frechet distance of features")
    save(axes, out / "evaluations.png")
