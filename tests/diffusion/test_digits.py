"""The digits: data, committed weights, and what a committed network must keep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from diffusion import VP
from diffusion.digits import (
    WEIGHTS,
    load_digits,
    load_digits_classifier,
    load_digits_model,
    main,
    record,
)
from diffusion.digits_networks import DigitsClassifier, DigitsDenoiser
from diffusion.digits_training import accuracy, denoising_loss, train_classifier, train_denoiser

FILES = sorted(WEIGHTS.iterdir())


def images(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_split_is_disjoint_complete_and_balanced() -> None:
    train, held_out = load_digits()
    assert train.images.shape == (1348, 1, 8, 8)
    assert held_out.images.shape == (449, 1, 8, 8)
    together = torch.cat([train.images, held_out.images])
    assert len(torch.unique(together, dim=0)) == 1797
    assert (together.min(), together.max()) == (-1, 1)
    for part in (train, held_out):
        share = torch.bincount(part.labels, minlength=10) / len(part.labels)
        assert share.min() > 0.08
        assert share.max() < 0.12


def test_weights_are_small_safetensors_and_nothing_else() -> None:
    assert [path.suffix for path in FILES] == [".safetensors", ".safetensors"]
    for path in FILES:
        assert path.stat().st_size < 1_000_000
        # a safetensors file starts with the length of its JSON header; a pickle has neither
        raw = path.read_bytes()
        json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        with safe_open(path, framework="pt") as file:
            assert all(torch.isfinite(file.get_tensor(name)).all() for name in file.keys())  # noqa: SIM118


def test_weights_say_how_they_were_made() -> None:
    for path in FILES:
        facts = record(path)
        assert facts["command"].startswith("python -m diffusion.digits train")
        assert {"seed", "steps", "batch", "torch"} <= set(facts)


def test_classifier_is_as_accurate_as_recorded() -> None:
    _, held_out = load_digits()
    classifier = load_digits_classifier()
    stated = float(record(WEIGHTS / "digits_classifier.safetensors")["accuracy_held_out"])
    assert accuracy(classifier, *held_out) >= stated - 0.5 / len(held_out.labels)
    assert stated >= 0.98
    assert classifier.features(held_out.images).shape == (449, 32)


def test_denoiser_has_its_recorded_loss_and_beats_the_gaussian_model() -> None:
    train, held_out = load_digits()
    loss = denoising_loss(load_digits_model(), held_out.images)
    stated = float(record(WEIGHTS / "digits_denoiser.safetensors")["loss_held_out"])
    assert loss == pytest.approx(stated, abs=2e-3)
    gaussian = DigitsDenoiser().eval()
    gaussian.fit_gaussian(train.images)
    assert loss < 0.85 * denoising_loss(gaussian, held_out.images)


def test_an_untrained_denoiser_is_the_gaussian_model() -> None:
    train, _ = load_digits()
    model = DigitsDenoiser().eval()
    model.fit_gaussian(train.images)
    pixels = train.images.flatten(1).double()
    mean, covariance = pixels.mean(0), pixels.mT.cov()
    for t in (0.05, 0.4, 1.0):
        alpha, sigma = VP().alpha(t), VP().sigma(t)
        x = images(6)
        flat = x.flatten(1).double()
        gain = (
            alpha
            * covariance
            @ torch.linalg.inv(
                alpha**2 * covariance + sigma**2 * torch.eye(64, dtype=torch.float64)
            )
        )
        x0 = mean + (flat - alpha * mean) @ gain.mT
        v = (alpha * flat - x0) / sigma
        torch.testing.assert_close(model(x, t).flatten(1).double(), v, rtol=1e-3, atol=1e-4)


def test_an_output_has_the_same_bits_in_any_batch() -> None:
    model, x = load_digits_model(), images(300)
    t = torch.rand(300, generator=torch.Generator().manual_seed(1))
    for times in (0.3, t):
        whole = model(x, times)
        for n in (1, 2, 3, 17, 128, 129, 299):
            part = model(x[-n:], times if isinstance(times, float) else times[-n:])
            assert torch.equal(part, whole[-n:])
    assert torch.equal(model(x, 0.3), model(x, torch.full((300,), 0.3, dtype=torch.float64)))
    order = torch.randperm(300, generator=torch.Generator().manual_seed(2))
    assert torch.equal(model(x[order], t[order]), model(x, t)[order])


def test_outputs_are_finite_from_end_to_end_and_follow_the_dtype() -> None:
    model = load_digits_model()
    assert (model.process, model.prediction) == (VP(), "v")
    for t in (0.0, 1e-6, 0.5, 1.0):
        assert torch.isfinite(model(images(4), t)).all()
    double = model(images(4).double(), 0.5)
    assert double.dtype == torch.float64
    assert not double.requires_grad


def test_gradients_flow_to_the_state() -> None:
    x = images(2).requires_grad_()
    load_digits_model()(x, 0.3).square().sum().backward()
    assert x.grad is not None
    assert x.grad.abs().min(dim=0).values.max() > 0


def test_wrong_inputs_are_refused() -> None:
    model = load_digits_model()
    with pytest.raises(ValueError, match=r"x has shape \(2, 64\); it must be \(batch, 1, 8, 8\)"):
        model(torch.zeros(2, 64), 0.5)
    with pytest.raises(ValueError, match=r"t has shape \(3,\); it must be a number or \(2,\)"):
        model(images(2), torch.full((3,), 0.5))
    with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        model(images(2), 1.5)


def test_training_repeats_for_a_seed_and_leaves_the_global_generator_alone() -> None:
    train, held_out = load_digits()
    runs = []
    for seed in (0, 0, 1):
        torch.rand(1)  # whatever else the program draws must not matter
        before = torch.random.get_rng_state()
        runs.append(
            train_denoiser(
                train.images[:99], held_out.images[:9], steps=3, seed=seed, progress=False
            )
        )
        assert torch.equal(torch.random.get_rng_state(), before)
    states = [model.state_dict() for model, _ in runs]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])
    assert runs[0][1] == runs[1][1]


def test_training_learns() -> None:
    train, held_out = load_digits()
    model, facts = train_classifier(*train, *held_out, steps=500, progress=False)
    assert isinstance(model, DigitsClassifier)
    assert float(facts["accuracy_held_out"]) > 0.9


def test_command_line_trains_into_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["train", "--steps", "2", "--quiet", "--out", str(tmp_path)])
    for path in FILES:
        facts = record(tmp_path / path.name)
        assert facts["steps"] == "2"
        assert "--steps 2 --quiet" in facts["command"]
    load_digits_model(tmp_path)
    load_digits_classifier(tmp_path)
    main(["show"])
    assert "loss_held_out" in capsys.readouterr().out
