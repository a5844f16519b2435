"""The four-point increment xi: its values, its law and its independence."""

from __future__ import annotations

import math

import pytest
import torch

from sdeint.brownian import GridPath

PATHS = 200_000
# Five standard deviations and more: each check fails by chance with probability below 1e-6.
SIGMAS = 5.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_four_point_increment_has_its_values_and_moments(dtype: torch.dtype) -> None:
    h = 0.25
    grid = torch.tensor([0.0, h, 2 * h], dtype=torch.float64)
    path = GridPath(7, (PATHS,), (2,), dtype=dtype)
    drawn = path.on(grid).draw(0, 2, ("xi", "sign", "eta"))
    xi = drawn["xi"].double() / math.sqrt(h)
    assert drawn["xi"].dtype == dtype
    # xi^4 = 4 xi^2 - 1 says that |xi| is one of the two values.
    assert float((xi**4 - 4 * xi**2 + 1).abs().max()) < 1e-5
    values = torch.stack([xi.min(), xi[xi < 0].max(), xi[xi > 0].min(), xi.max()])
    near, far = math.sqrt(2 - math.sqrt(3)), math.sqrt(2 + math.sqrt(3))
    assert torch.allclose(
        values, torch.tensor([-far, -near, near, far], dtype=torch.float64), atol=1e-5
    )
    moments = {1: 0, 2: 1, 3: 0, 4: 3, 6: 11, -2: 3}
    for power, mean in moments.items():
        sample = xi**power
        for one in sample.unbind(0):
            error = float(one.std()) / math.sqrt(one.numel())
            assert abs(float(one.mean()) - mean) < SIGMAS * error
    pairs = [
        xi[0, :, 0] * xi[0, :, 1],
        xi[0, :, 0] * xi[1, :, 0],
        xi[0, :, 0] * drawn["sign"][0, :, 0].double(),
        xi[0, :, 0] * drawn["eta"][0, :, 0].double(),
        (xi[0, :, 0] ** 2 - 1) * (xi[0, :, 1] ** 2 - 1),
    ]
    for sample in pairs:
        assert abs(float(sample.mean())) < SIGMAS * float(sample.std()) / math.sqrt(PATHS)
