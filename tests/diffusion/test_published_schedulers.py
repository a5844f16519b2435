"""Our tableaux against diffusers' own schedulers, at the same noise levels and on the same noise."""

from __future__ import annotations

import pytest
import torch

from diffusion import GaussianMixture
from sdeint import SDE, GridPath, solve

diffusers = pytest.importorskip("diffusers")

MIXTURE = GaussianMixture([0.3, 0.5, 0.2], [[-1.5], [0.2], [2.0]], [0.09, 0.04, 0.16])
STEPS = 9
START = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]


def parts(level):
    """alpha and sigma of a variance-preserving process at sigma/alpha."""
    alpha = 1 / torch.sqrt(1 + level**2)
    return alpha, alpha * level


class Scheduled:
    """The value of a scheduler before its last step; its levels are float64, and positive."""

    def __init__(self, name, **config):
        self.scheduler = getattr(diffusers, name)(
            beta_schedule="linear", lower_order_final=False, **config
        )
        self.scheduler.set_timesteps(STEPS + 1)
        self.scheduler.sigmas = self.scheduler.sigmas.double()
        self.scheduler.sigmas[-1] = self.scheduler.sigmas[-2] / 2
        self.levels = self.scheduler.sigmas[: STEPS + 1]

    def end(self, corrected):
        """x at the last positive level; with the correction that the step after would begin with."""
        x, generator = START, torch.Generator().manual_seed(4)
        options = {"generator": generator} if "SASolver" in type(self.scheduler).__name__ else {}
        for n, t in enumerate(self.scheduler.timesteps):
            if n == STEPS and not corrected:
                return x
            alpha, sigma = parts(self.levels[n])
            noise = (x - alpha * MIXTURE.x0hat(x, alpha, sigma)) / sigma
            x = self.scheduler.step(noise, t, x, **options).prev_sample
        return self.scheduler.last_sample


class Given(GridPath):
    """Increments made of the standard normals of a generator."""

    def __init__(self, shape):
        super().__init__(0, shape[:1], shape[1:], dtype=torch.float64)
        generator = torch.Generator().manual_seed(4)
        draws = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(STEPS)]
        self.normals = torch.stack(draws)

    def on(self, grid):
        self.width = torch.diff(grid)
        return self

    def draw(self, first, count, names):
        scale = self.width[first : first + count].sqrt()[:, None, None]
        return {"W": scale * self.normals[first : first + count]}


def ours(method, levels, *, noise=False, drift="x0"):
    """x at the last level, by the engine, in the clock of the reverse SDE or of the flow."""
    alpha = parts(levels)[0]

    def x0(level, x):
        return MIXTURE.x0hat(x, *parts(level))

    if drift == "epsilon":
        sde = SDE(lambda u, X: (X - x0(u, X * parts(u)[0])) / u, noise="none")
        return solve(sde, START / alpha[0], levels, method=method).y[-1] * alpha[-1]
    clock = levels ** (-2 if noise else -1)

    def f(r, z):
        level = r ** (-0.5 if noise else -1.0)
        return x0(level, z * parts(level)[0] / r)

    z = START * clock[0] / alpha[0]
    if noise:
        sde = SDE(f, lambda r, z: 1.0, noise="additive")
        end = solve(sde, z, clock, method=method, path=Given(tuple(z.shape))).y[-1]
    else:
        end = solve(SDE(f, noise="none"), z, clock, method=method).y[-1]
    return end * alpha[-1] / clock[-1]


def agree(got, expected, rounding=1e-8):
    torch.testing.assert_close(got, expected, rtol=rounding, atol=rounding)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_deis_is_adams_in_the_logarithm_of_the_noise_level_with_the_noise_as_drift(steps):
    theirs = Scheduled("DEISMultistepScheduler", solver_order=steps)
    agree(ours(f"DEIS({steps})", theirs.levels, drift="epsilon"), theirs.end(False))


@pytest.mark.parametrize("variant", [1, 2])
@pytest.mark.parametrize("steps", [2, 3])
def test_unipc_is_its_scheduler(steps, variant):
    theirs = Scheduled("UniPCMultistepScheduler", solver_order=steps, solver_type=f"bh{variant}")
    agree(ours(f"UniPC{steps}({variant})", theirs.levels), theirs.end(True))


@pytest.mark.parametrize("method", ["DPMSolver2M", "DPMSolver2MHeun"])
def test_dpm_solver_of_two_steps_is_its_scheduler(method):
    kind = "heun" if "Heun" in method else "midpoint"
    theirs = Scheduled("DPMSolverMultistepScheduler", solver_order=2, solver_type=kind)
    agree(ours(method, theirs.levels), theirs.end(False), rounding=1e-6)  # its state is float32
