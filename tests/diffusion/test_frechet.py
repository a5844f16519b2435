"""Statistics of features in one pass, and the Inception network."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from diffusion.frechet import Statistics, load_features, load_statistics, statistics
from diffusion.inception import Inception, load_inception
from diffusion.metrics import frechet_distance

IMAGES = torch.randint(0, 256, (60, 3, 4, 4), generator=torch.Generator().manual_seed(0)).to(
    torch.uint8
)


def features(images: torch.Tensor) -> torch.Tensor:
    return images.float().flatten(1)[:, ::5]


def test_one_pass_gives_the_moments_of_all_whatever_the_batches():
    values = features(IMAGES).double()
    for sizes in ([60], [1, 59], [7, 20, 33], [1] * 60):
        got = statistics(IMAGES.split(sizes), features)
        torch.testing.assert_close(got.mean, values.mean(0), rtol=1e-13, atol=0)
        torch.testing.assert_close(got.covariance, torch.cov(values.mT), rtol=1e-12, atol=1e-10)


def test_far_from_zero_nothing_cancels():
    got = statistics(IMAGES.split(7), lambda images: features(images).double() + 1e8)
    torch.testing.assert_close(
        got.covariance, torch.cov(features(IMAGES).double().mT), rtol=1e-6, atol=1e-3
    )


def test_the_distance_is_that_of_the_samples(tmp_path):
    left, right = IMAGES[:30], IMAGES[30:]
    a, b = statistics([left], features), statistics([right], features)
    assert a.distance(b) == pytest.approx(frechet_distance(features(left), features(right)))
    a.save(tmp_path / "a.npz")
    kept = load_statistics(tmp_path / "a.npz", None)
    assert torch.equal(kept.mean, a.mean)
    assert torch.equal(kept.covariance, a.covariance)
    with pytest.raises(ValueError, match="a feature extractor is needed"):
        load_statistics(tmp_path, None)


def test_too_few_and_broken_features_are_refused():
    with pytest.raises(ValueError, match=r"1 image\(s\) have no covariance"):
        statistics([IMAGES[:1]], features)
    with pytest.raises(ValueError, match="infinite or NaN"):
        statistics([IMAGES], lambda images: features(images) / 0)
    assert isinstance(statistics([IMAGES], features), Statistics)


@pytest.fixture(scope="module")
def weights():
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in Inception().state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    drawn = {n: torch.randn(shape, generator=generator) / 20 for n, shape in shapes.items()}
    return {n: v.abs() + 0.5 if n.endswith("running_var") else v for n, v in drawn.items()}


def test_inception_has_the_parameters_of_the_published_network(weights):
    # 21 785 568 without its classifier, in 94 convolutions: the ports' names and shapes
    sizes = {name: tuple(value.shape) for name, value in weights.items()}
    learned = [n for n in sizes if not n.endswith(("running_mean", "running_var", "tracked"))]
    assert sum(torch.Size(sizes[n]).numel() for n in learned) == 21_785_568
    assert sum(name.endswith("conv.weight") for name in sizes) == 94
    assert sizes["Conv2d_4a_3x3.conv.weight"] == (192, 80, 3, 3)
    assert sizes["Mixed_5b.branch5x5_2.conv.weight"] == (64, 48, 5, 5)
    assert sizes["Mixed_6a.branch3x3dbl_3.conv.weight"] == (96, 96, 3, 3)
    assert sizes["Mixed_6c.branch7x7dbl_5.conv.weight"] == (192, 160, 1, 7)
    assert sizes["Mixed_7a.branch7x7x3_3.conv.weight"] == (192, 192, 7, 1)
    assert sizes["Mixed_7c.branch3x3dbl_3b.bn.weight"] == (384,)


def test_inception_pools_as_the_network_of_2015_did():
    # which later variants do not: zeros of the border are left out of means, and the last is no mean
    with torch.device("meta"):
        network = Inception()
    ones = torch.ones(1, 1, 4, 4)
    assert torch.equal(network.Mixed_5b._pooled(ones), ones)
    ramp = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert float(network.Mixed_7b._pooled(ramp)[0, 0, 0, 0]) == 2.5
    assert float(network.Mixed_7c._pooled(ramp)[0, 0, 0, 0]) == 5.0
    assert network.Mixed_6a._pooled(ones).shape == (1, 1, 1, 1)


def test_inception_is_loaded_from_a_file_and_makes_features(weights, tmp_path):
    floats = {n: v for n, v in weights.items() if not n.endswith("tracked")}
    save_file(floats, tmp_path / "w.safetensors")
    extractor = load_features(str(tmp_path / "w.safetensors"))
    with torch.no_grad():
        both = extractor(IMAGES[:2])
        grey = extractor(IMAGES[:1, :1])
        thrice = extractor(IMAGES[:1, :1].expand(-1, 3, -1, -1))
    assert both.shape == (2, 2048)
    assert bool((both >= 0).all())  # averages of rectified values
    assert torch.equal(grey, thrice)
    broken = {**floats, "Mixed_7b.branch1x1.conv.weight": torch.zeros(1)}
    save_file(broken, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"Mixed_7b.branch1x1.conv.weight is of shape \(1,\), but"):
        load_inception(tmp_path / "w.safetensors")
    del broken["Conv2d_1a_3x3.bn.bias"]
    torch.save(broken, tmp_path / "w.pth")
    with pytest.raises(
        ValueError, match=r"Conv2d_1a_3x3.bn.bias is missing, but \(32,\) is wanted"
    ):
        load_features(str(tmp_path / "w.pth"))
