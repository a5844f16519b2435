"""Images from the command line: files, records that repeat a run, Frechet distances; end to end."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from diffusion.churn import Churn
from diffusion.digits import load_digits
from diffusion.fitting import data_variance
from diffusion.imaging import as_bytes, read_images, save_images, sheet
from diffusion.recorded import Request
from diffusion.sampling import sample
from sdeint.cli import main


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


def pixels(images: torch.Tensor) -> torch.Tensor:
    """A feature extractor of one's own."""
    return images.float().mean((2, 3))


def hashed(folder: Path) -> str:
    images = torch.cat(list(read_images(folder)))[:, :1]
    return hashlib.sha256(images.contiguous().numpy().tobytes()).hexdigest()


def test_sample_writes_images_a_sheet_and_a_record_that_repeats_the_run(tmp_path: Path) -> None:
    text = run(
        "sample", "--nfe", 6, "--items", 9, "--batch", 4, "--seed", 3, "--out", tmp_path / "a"
    )
    assert "9 images by TwoStep, 6 evaluations each" in text
    record = json.loads((tmp_path / "a" / "record.json").read_text())
    assert record["evaluations"] == 6
    names = sorted(p.name for p in (tmp_path / "a").glob("0*.png"))
    assert names == [f"{i:06d}.png" for i in range(9)]
    with Image.open(tmp_path / "a" / "sheet.png") as picture:
        assert picture.size == (27, 27)
    (tmp_path / "a" / "sheet.png").unlink()
    assert record["sha256"] == hashed(tmp_path / "a")
    # the same run from its record, to the bit; and a part of it changed
    run("sample", "--record", tmp_path / "a" / "record.json", "--out", tmp_path / "b")
    again = json.loads((tmp_path / "b" / "record.json").read_text())
    assert again == record
    run("sample", "--record", tmp_path / "a" / "record.json", "--seed", 4, "--out", tmp_path / "c")
    other = json.loads((tmp_path / "c" / "record.json").read_text())
    assert other["request"] == {**record["request"], "seed": 4}
    assert other["sha256"] != record["sha256"]


def test_the_images_of_a_command_are_those_of_the_library(tmp_path: Path) -> None:
    options = {"method": "SRA1", "nfe": 8, "seed": 2, "grid": "karras", "path": "tree", "eta": 0.5}
    options["variance"] = 0.4
    arguments = [a for name, value in options.items() for a in (f"--{name}", value)]
    run("sample", "--items", 5, "--batch", 2, *arguments, "--out", tmp_path)
    (tmp_path / "sheet.png").unlink()
    request = Request(items=5, **options)  # type: ignore[arg-type]
    model = request.load()
    made = sample(
        model.model(0),
        (5, 1, 8, 8),
        process=model.process,
        prediction=model.prediction,
        **options,  # type: ignore[arg-type]
    )
    files = torch.cat(list(read_images(tmp_path)))[:, :1]
    assert int((files.int() - as_bytes(made).int()).abs().max()) <= 1


@pytest.mark.parametrize(
    ("arguments", "churn"),
    [
        (("--method", "AB2", "--drift", "epsilon"), None),
        (("--method", "HeunEDM", "--churn", "3,0.1,5,1.1"), [3.0, 0.1, 5.0, 1.1]),
    ],
    ids=["noise as drift", "churn"],
)
def test_drift_and_churn_are_those_of_the_library_and_kept_in_the_record(
    arguments: tuple[str, ...], churn: list[float] | None, tmp_path: Path
) -> None:
    flow = ("--eta", 0, "--nfe", 7, "--items", 3, "--batch", 2)
    run("sample", *arguments, *flow, "--out", tmp_path / "a")
    record = json.loads((tmp_path / "a" / "record.json").read_text())
    drift = "x0" if churn else "epsilon"
    assert (record["request"]["drift"], record["request"]["churn"]) == (drift, churn)
    run("sample", "--record", tmp_path / "a" / "record.json", "--out", tmp_path / "b")
    assert json.loads((tmp_path / "b" / "record.json").read_text()) == record
    model = Request().load()
    options = {"process": model.process, "prediction": model.prediction, "eta": 0.0, "nfe": 7}
    made = {
        name: sample(model.model(0), (3, 1, 8, 8), method=arguments[1], **options, **one)
        for name, one in (
            ("as asked", {"drift": drift, "churn": Churn(*churn) if churn else None}),
            ("plain", {}),
        )
    }
    (tmp_path / "a" / "sheet.png").unlink()
    files = torch.cat(list(read_images(tmp_path / "a")))[:, :1].int()
    assert int((files - as_bytes(made["as asked"]).int()).abs().max()) <= 1
    assert int((files - as_bytes(made["plain"]).int()).abs().max()) > 1


def test_a_record_from_before_drift_and_churn_is_read(tmp_path: Path) -> None:
    request = asdict(Request(seed=5, eta=0.0))
    old = {name: value for name, value in request.items() if name not in ("drift", "churn")}
    (tmp_path / "old.json").write_text(json.dumps({"request": old}))
    assert Request.read(tmp_path / "old.json") == Request(seed=5, eta=0.0)


def test_a_record_is_churned_and_freed_of_churn_by_the_option(tmp_path: Path) -> None:
    churned = Request(method="EM", eta=0.0, churn=[3.0], nfe=3, items=1)
    (tmp_path / "r.json").write_text(json.dumps({"request": asdict(churned)}))
    few = ("sample", "--record", tmp_path / "r.json", "--out", tmp_path / "a")
    run(*few, "--churn", 0, "--eta", 1)
    assert Request.read(tmp_path / "a" / "record.json") == replace(churned, churn=None, eta=1.0)
    assert "take eta = 0 and variance = 0" in run(*few, "--eta", 1, code=1)
    assert "'a' is no number and not S_CHURN" in run(*few, "--churn", "a", code=2)
    assert "1 to 4 numbers" in run(*few, "--churn", "1,2,3,4,5", code=1)


def test_a_tableau_from_a_file_is_kept_in_the_record(tmp_path: Path) -> None:
    from tableaux import catalogue

    catalogue["OneStage"].save(tmp_path / "mine.toml")
    run(
        "sample",
        "--method",
        tmp_path / "mine.toml",
        "--nfe",
        5,
        "--items",
        2,
        "--out",
        tmp_path / "a",
    )
    (tmp_path / "mine.toml").unlink()
    request = Request.read(tmp_path / "a" / "record.json")
    assert request.tableau == catalogue["OneStage"]
    run("sample", "--record", tmp_path / "a" / "record.json", "--out", tmp_path / "b")
    first, second = (json.loads((tmp_path / d / "record.json").read_text()) for d in "ab")
    assert first == second


def test_the_variance_of_a_folder_of_images_is_kept_as_a_number(tmp_path: Path) -> None:
    images = load_digits()[0].images[:64]
    (tmp_path / "real").mkdir()
    save_images(as_bytes(images), tmp_path / "real")
    few = ("--items", 2, "--nfe", 3)
    run("sample", *few, "--variance", tmp_path / "real", "--out", tmp_path / "a")
    record = json.loads((tmp_path / "a" / "record.json").read_text())
    assert record["request"]["variance"] == pytest.approx(data_variance(images), rel=1e-2)
    run("sample", "--record", tmp_path / "a" / "record.json", "--out", tmp_path / "b")
    assert json.loads((tmp_path / "b" / "record.json").read_text()) == record
    run("sample", *few, "--out", tmp_path / "c")
    plain = json.loads((tmp_path / "c" / "record.json").read_text())
    assert plain["request"]["variance"] == 0
    assert plain["sha256"] != record["sha256"]
    text = run("sample", *few, "--variance", tmp_path / "none", "--out", tmp_path / "d", code=1)
    assert "no images" in text


def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"other": 1}')
    assert "is no record of a run" in run("sample", "--record", tmp_path / "r.json", code=1)
    (tmp_path / "r.json").write_text('{"request": {"colour": 1}}')
    assert "'colour', which is not known" in run("sample", "--record", tmp_path / "r.json", code=1)


def test_evaluate_gives_the_frechet_distance_of_folders_statistics_and_samplers(
    tmp_path: Path,
) -> None:
    train, held_out = load_digits()
    for name, images in (("train", train.images[:96]), ("test", held_out.images[:96])):
        (tmp_path / name).mkdir()
        save_images(as_bytes(images), tmp_path / name)
    common = ("--features", "digits", "--against")
    text = run(
        "evaluate", "--images", tmp_path / "train", *common, tmp_path / "test", "--save",
        tmp_path / "real.npz",
    )  # fmt: skip
    floor = float(text.rsplit(maxsplit=1)[1])
    assert f"{floor:.6g}" in run(
        "evaluate", "--images", tmp_path / "train", *common, tmp_path / "real.npz"
    )
    same = run("evaluate", "--images", tmp_path / "test", *common, tmp_path / "real.npz")
    assert abs(float(same.rsplit(maxsplit=1)[1])) < 1e-6 < floor
    distances = []
    for nfe in (3, 16):
        text = run("evaluate", "--items", 96, "--nfe", nfe, *common, tmp_path / "real.npz")
        assert f"96 images by TwoStep, {nfe} evaluations each" in text
        distances.append(float(text.rsplit(maxsplit=1)[1]))
    assert distances[1] < distances[0]
    # the distance of the images that `sample` writes is that of the images that are never written
    run("sample", "--items", 96, "--nfe", 3, "--out", tmp_path / "made")
    (tmp_path / "made" / "sheet.png").unlink()
    text = run("evaluate", "--images", tmp_path / "made", *common, tmp_path / "real.npz")
    assert float(text.rsplit(maxsplit=1)[1]) == pytest.approx(distances[0], rel=1e-5)


def test_a_folder_of_diffusers_is_sampled_and_evaluated_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mine", SimpleNamespace(pixels=pixels))
    diffusers = pytest.importorskip(
        "diffusers", reason="diffusers is not installed: pip install 'sdeint-tableaux[test]'"
    )
    torch.manual_seed(0)
    network = diffusers.UNet2DModel(
        sample_size=8,
        layers_per_block=1,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        num_class_embeds=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    network.save_pretrained(tmp_path / "net")
    diffusers.DDPMScheduler().save_config(tmp_path / "net")
    out = tmp_path / "out"
    model = (
        "--model",
        tmp_path / "net",
        "--nfe",
        5,
        "--items",
        6,
        "--batch",
        3,
        "--dtype",
        "bfloat16",
    )
    assert "6 images by EM, 5 evaluations each" in run(
        "sample", *model, "--method", "EM", "--out", out
    )
    assert len(list(out.glob("0*.png"))) == 6
    # an item has the class of its number, whatever the batch
    made = []
    for batch in (2, 6):
        few = ("--model", tmp_path / "net", "--nfe", 5, "--items", 6, "--batch", batch)
        run("sample", *few, "--method", "EM", "--out", tmp_path / f"by {batch}")
        (tmp_path / f"by {batch}" / "sheet.png").unlink()
        made.append(torch.cat(list(read_images(tmp_path / f"by {batch}"))).int())
    assert int((made[0] - made[1]).abs().max()) <= 1
    noise = torch.randint(0, 256, (6, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    (tmp_path / "real").mkdir()
    save_images(noise.to(torch.uint8), tmp_path / "real")
    text = run(
        "evaluate", *model, "--method", "EM", "--against", tmp_path / "real",
        "--features", "mine:pixels",
    )  # fmt: skip
    assert float(text.rsplit(maxsplit=1)[1]) > 0
    assert "no file named" in run("sample", "--model", tmp_path / "real", code=1).lower()


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ("nothing", "is no file, not 'digits', and not module:name"),
        ("torch:nothing", "has no attribute 'nothing'"),
        ("nowhere.at.all:x", "No module named 'nowhere'"),
    ],
)
def test_features_that_are_none_are_refused(features: str, message: str, tmp_path: Path) -> None:
    text = run("evaluate", "--against", tmp_path, "--features", features, code=1)
    assert message in text


def test_statistics_that_are_none_are_refused(tmp_path: Path) -> None:
    def refusal(**arrays: Any) -> str:
        np.savez(tmp_path / "s.npz", **arrays)
        return run("evaluate", "--against", tmp_path / "s.npz", "--features", "digits", code=1)

    assert "has no 'sigma'" in refusal(mu=np.zeros(3))
    assert "must be (d,) and (d, d)" in refusal(mu=np.zeros(3), sigma=np.eye(2))
    assert "no images" in run("evaluate", "--against", tmp_path, "--features", "digits", code=1)
    np.savez(tmp_path / "s.npz", mu=np.zeros(3), sigma=np.eye(3))
    text = run(
        "evaluate", "--against", tmp_path / "s.npz", "--features", "digits", "--items", 2, "--nfe", 3,
        code=1,
    )  # fmt: skip
    assert "statistics of 32 features cannot be compared with those of 3" in text
    save_images(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), tmp_path)
    save_images(torch.zeros(1, 1, 5, 5, dtype=torch.uint8), tmp_path, 1)
    text = run("evaluate", "--against", tmp_path, "--features", "digits", code=1)
    assert "000001.png is 5 x 5 pixels, but" in text


def test_sheets_are_laid_out_in_rows() -> None:
    images = torch.arange(5, dtype=torch.uint8).reshape(5, 1, 1, 1).expand(5, 3, 2, 3)
    picture = np.asarray(sheet(images, columns=2))
    assert picture.shape == (9, 8, 3)
    assert picture[::3, ::4, 0].tolist() == [[0, 1], [2, 3], [4, 255]]
    assert (picture[2::3] == 255).all()
    assert (picture[:, 3::4] == 255).all()


def test_bytes_round_and_keep_to_their_range() -> None:
    x = torch.tensor([-2.0, -1.0, 0.0, 1 / 255, 1.0, 7.0]).reshape(1, 1, 1, 6)
    assert as_bytes(x).flatten().tolist() == [0, 0, 128, 128, 255, 255]
