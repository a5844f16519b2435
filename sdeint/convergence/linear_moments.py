"""Moments of linear problems without sampling: one step, all its outcomes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sdeint.brownian import BrownianPath
from sdeint.convergence.fitting import fit_exact
from sdeint.convergence.setting import ROUNDING, Setting, checked_steps, primitives, study
from sdeint.convergence.study import Study
from sdeint.errors import ProblemError
from sdeint.problems import Problem
from sdeint.solving import resolve_method, solve
from tableaux import Tableau


def moments(
    problem: Problem,
    method: str | Tableau,
    *,
    steps: Sequence[int] = (8, 16, 32, 64, 128),
    nodes: int = 8,
) -> Study:
    """Exact error of the first and second moments on a linear problem; no path is sampled.

    One step of a Runge-Kutta method is a random matrix M on a linear problem. The engine takes that
    step once for every value of its random variables; ``E M`` and ``E M (x) M`` are finite weighted
    sums, their powers are the moments after N steps, and the exact moments are matrix exponentials.

    Parameters
    ----------
    problem : Problem
        A linear one (`sdeint.problems.linear`, `pair`, `triple`, ...).
    method : str or Tableau
        Without memory.  Levy areas get the discrete law that is described below.
    steps : sequence of int
        Increasing numbers of steps.
    nodes : int
        Gauss-Hermite nodes for each Gaussian variable: exact where M has at most degree ``nodes -
        1`` in it.

    Returns
    -------
    Study
        Its error is the Euclidean norm over both moments. There is no sampling error: `lower` and
        `upper` equal the errors, and the interval of the order is the distance between the finest
        slope and its extrapolation.

    Raises
    ------
    ProblemError
        If the problem is not linear or the method not of this kind.

    Notes
    -----
    A Levy area is ``A_kl = H_k W_l - W_k H_l + R_kl`` with a rest of variance h^2/12 that is
    uncorrelated with everything; here the rest is +-h/sqrt(12).  The moments up to third degree in the
    areas are right, which is exact where M is linear in them, and costs O(h^4) a step otherwise.
    """
    tableau = resolve_method(method)
    if not isinstance(problem, Problem) or problem.linear is None:
        raise ProblemError("moments needs a linear problem, as those of sdeint.problems.linear")
    if tableau.start is not None:
        raise ProblemError(f"method {tableau.name!r} has memory; moments needs one-step methods")
    setting = Setting.of(problem, tableau, None, None, torch.float64, "cpu")
    levels = checked_steps(steps)
    y0 = torch.tensor(problem.y0, dtype=torch.float64)
    exact = torch.cat(
        (
            problem.linear.mean(y0, setting.length),
            problem.linear.second(y0, setting.length).reshape(-1),
        )
    )
    step = [setting.length / n for n in levels]
    errors = []
    for n, h in zip(levels, step):
        first, second = _one_step(setting, h, nodes)
        mean = torch.linalg.matrix_power(first, n) @ y0
        square = torch.linalg.matrix_power(second, n) @ torch.kron(y0, y0)
        errors.append(float(torch.linalg.vector_norm(torch.cat((mean, square)) - exact)))
    values = torch.tensor(errors, dtype=torch.float64)
    floor = ROUNDING * torch.finfo(torch.float64).eps * float(torch.linalg.vector_norm(exact))
    flags = ["rounding" if e < floor * n else "" for e, n in zip(errors, levels)]
    return study(
        kind="moments",
        setting=setting,
        what="exact expectations of one step",
        levels=levels,
        h=step,
        errors=values,
        lower=values,
        upper=values,
        fit=fit_exact(step, torch.log(values.clamp_min(1e-300)), flags),
        confidence=1.0,
        paths=0,
    )


class Outcomes(BrownianPath):
    """One step whose batch runs over the outcomes of its random variables, with their
    probabilities.

    Parameters
    ----------
    names : iterable of str
        Primitives in use.
    channels : int
    copies : int
        Each outcome is used for so many states; the batch is (outcomes, copies).
    nodes : int
        Gauss-Hermite nodes of a Gaussian variable.
    """

    def __init__(self, names: frozenset[str], channels: int, copies: int, nodes: int) -> None:
        self.pairs = [(k, l) for k in range(channels) for l in range(k + 1, channels)]
        if "A" in names:
            # Five nodes are exact to degree 9 in W, and three to degree 5 in H.
            rules = {name: _rule(name, min(nodes, 5)) for name in sorted(names - {"A", "H"})}
            rules |= {"H": _rule("H", 3), "rest": _rule("sign", 2)}
        else:
            rules = {name: _rule(name, nodes) for name in sorted(names)}
        numbers = {"eta": 1, "rest": len(self.pairs)}
        axes = [(name, k) for name in rules for k in range(numbers.get(name, channels))]
        total = math.prod(len(rules[name][0]) for name, _ in axes)
        if total > 1 << 20:
            raise ProblemError(
                f"one step has {total} outcomes at {nodes} nodes a variable; give fewer nodes"
            )
        grids = torch.meshgrid(*(rules[name][0] for name, _ in axes), indexing="ij")
        weights = torch.meshgrid(*(rules[name][1] for name, _ in axes), indexing="ij")
        self.weights = torch.stack([w.reshape(-1) for w in weights]).prod(0)
        flat = [g.reshape(-1) for g in grids]
        self.values = {
            name: torch.stack([v for v, (n, _) in zip(flat, axes) if n == name], -1)
            for name in rules
            if numbers.get(name, channels)
        }
        if "A" in names:
            self.values["A"] = self._areas(channels)
        self.batch, self.channels = (total, copies), (channels,)
        self.dtype, self.device = torch.float64, torch.device("cpu")
        self.seed, self.first_path = 0, 0

    def _areas(self, channels: int) -> Tensor:
        """The areas of a step of length 1, (outcomes, channels, channels)."""
        W, H = self.values["W"], self.values["H"]
        areas = torch.zeros(len(W), channels, channels, dtype=torch.float64)
        for i, (k, l) in enumerate(self.pairs):
            rest = self.values["rest"][:, i] / math.sqrt(12)
            areas[:, k, l] = H[:, k] * W[:, l] - W[:, k] * H[:, l] + rest
            areas[:, l, k] = -areas[:, k, l]
        return areas

    def on(self, grid: Tensor) -> _OutcomeSteps:
        return _OutcomeSteps(self, float(grid[1] - grid[0]))


class _OutcomeSteps:
    def __init__(self, outcomes: Outcomes, h: float) -> None:
        self.outcomes, self.h = outcomes, h

    def draw(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        total, copies = self.outcomes.batch
        drawn = {}
        for name in names:
            value = self.outcomes.values[name]
            scale = {"sign": 1.0, "eta": 1.0, "A": self.h}.get(name, math.sqrt(self.h))
            value = (scale * value)[:, None].expand(total, copies, *value.shape[1:])
            drawn[name] = value[None]
        return drawn


def _rule(name: str, nodes: int) -> tuple[Tensor, Tensor]:
    """Values (for h = 1) and probabilities of one primitive."""
    if name == "theta":
        values, weights = [-math.sqrt(3), 0.0, math.sqrt(3)], [1 / 6, 2 / 3, 1 / 6]
    elif name == "xi":
        far, near = math.sqrt(2 + math.sqrt(3)), math.sqrt(2 - math.sqrt(3))
        rare, often = (3 - math.sqrt(3)) / 12, (3 + math.sqrt(3)) / 12
        values, weights = [-far, -near, near, far], [rare, often, often, rare]
    elif name in ("sign", "eta"):
        values, weights = [-1.0, 1.0], [0.5, 0.5]
    elif name in ("W", "H", "K"):
        return _gauss_hermite(nodes, {"W": 1.0, "H": 1 / 12, "K": 1 / 720}[name])
    else:
        raise ProblemError(
            f"the variable {name!r} has no finite rule; measure this method with `strong` or `weak`"
        )
    return torch.tensor(values, dtype=torch.float64), torch.tensor(weights, dtype=torch.float64)


def _gauss_hermite(nodes: int, variance: float) -> tuple[Tensor, Tensor]:
    """Nodes and weights for N(0, variance), from the Jacobi matrix (Golub and Welsch 1969)."""
    off = torch.sqrt(torch.arange(1, nodes, dtype=torch.float64))
    values, vectors = torch.linalg.eigh(torch.diag(off, 1) + torch.diag(off, -1))
    return values * math.sqrt(variance), vectors[0] ** 2


def _one_step(setting: Setting, h: float, nodes: int) -> tuple[Tensor, Tensor]:
    """E M (d, d) and E M (x) M (d^2, d^2) for one step of size h."""
    d = len(setting.start)
    names = primitives(setting.tableau)
    path = Outcomes(names, setting.channels[0], d, nodes)
    total = path.batch[0]
    basis = torch.eye(d, dtype=torch.float64).expand(total, d, d)
    t0 = setting.t[0]
    end = solve(
        setting.sde, basis, (t0, t0 + h), method=setting.tableau, steps=1, path=path, save_at="end"
    ).y[-1]
    M = end.transpose(-1, -2)  # column i is the image of basis vector i
    first = torch.einsum("n,nij->ij", path.weights, M)
    second = torch.einsum("n,nij,nkl->ikjl", path.weights, M, M).reshape(d * d, d * d)
    return first, second
