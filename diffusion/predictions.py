"""What a network predicts, and the exact conversions between those conventions.

With ``x = alpha x0 + sigma epsilon``, the predictions are ``x0`` and ``epsilon`` themselves,
``v = alpha epsilon - sigma x0``, the flow velocity ``u = epsilon - x0`` and the score
``-epsilon / sigma``. All but the score are ``p x0 + q epsilon``; together with `x` that is a
two-by-two linear system, whose solution by Cramer's rule has no cancelling coefficient for the
pairs in use. Its determinant ``alpha q - sigma p`` is the conditioning of the prediction:
``alpha**2 + sigma**2`` for v and ``alpha + sigma`` for flow, which never vanish, but ``alpha`` for
epsilon and score (useless for x0 when no data are left) and ``-sigma`` for x0 (useless for epsilon
when there is no noise yet).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from tableaux.errors import unknown

Scalar = float | Tensor

# prediction -> its coefficients (p, q) in p x0 + q epsilon, given alpha and sigma
_COEFFICIENTS: Mapping[str, Callable[[Tensor, Tensor], tuple[Tensor | float, Tensor | float]]] = {
    "x0": lambda alpha, sigma: (1.0, 0.0),
    "epsilon": lambda alpha, sigma: (0.0, 1.0),
    "v": lambda alpha, sigma: (-sigma, alpha),
    "flow": lambda alpha, sigma: (-1.0, 1.0),
}

predictions: tuple[str, ...] = (*_COEFFICIENTS, "score")


def convert(
    output: Tensor, x: Tensor, alpha: Scalar, sigma: Scalar, *, source: str, target: str
) -> Tensor:
    """Turn one prediction at `x` into another.

    Parameters
    ----------
    output : Tensor
        The prediction named `source`, of the shape of `x`.
    x : Tensor
        The noisy state, ``alpha x0 + sigma epsilon``.
    alpha, sigma : float or Tensor
        Scale of the data and of the noise: a number, or a tensor that broadcasts against `x`
        (one value an item: shape ``(batch, 1, ..., 1)``). Coefficients are made in float64 and
        cast to the dtype of `x` last.
    source, target : {"x0", "epsilon", "v", "flow", "score"}
        Conversions between epsilon and score only rescale. Errors of `output` are amplified by
        ``sigma / alpha`` from epsilon to x0, ``sigma**2 / alpha`` from score to x0, and
        ``alpha / sigma`` from x0 to epsilon: at the ends, where the divisor is zero, the result is
        infinite or NaN. From v to x0 the factor is ``sigma / (alpha**2 + sigma**2)``, from flow
        ``sigma / (alpha + sigma)``: never large.

    Raises
    ------
    ValueError
        If a name is unknown, with the near ones; if `output` and `x` differ in shape.
    """
    check_prediction(source)
    check_prediction(target)
    if output.shape != x.shape:
        raise ValueError(
            f"the {source} prediction has shape {tuple(output.shape)} but x has {tuple(x.shape)}"
        )
    if source == target:
        return output
    alpha = torch.as_tensor(alpha, dtype=torch.float64)
    sigma = torch.as_tensor(sigma, dtype=torch.float64)
    if source == "score":
        output, source = _times(-sigma, output), "epsilon"
    scale: Tensor | None = None
    if target == "score":
        target, scale = "epsilon", -1 / sigma
    if source != target:
        p, q = _COEFFICIENTS[source](alpha, sigma)
        p2, q2 = _COEFFICIENTS[target](alpha, sigma)
        determinant = alpha * q - sigma * p
        of_x = torch.as_tensor((p2 * q - q2 * p) / determinant)
        of_output = (alpha * q2 - sigma * p2) / determinant
        output = _times(of_x, x) + _times(of_output, output)
    return output if scale is None else _times(scale, output)


def to_x0(output: Tensor, x: Tensor, alpha: Scalar, sigma: Scalar, prediction: str) -> Tensor:
    """The denoised state that a prediction implies; parameters as for `convert`."""
    return convert(output, x, alpha, sigma, source=prediction, target="x0")


def from_x0(x0: Tensor, x: Tensor, alpha: Scalar, sigma: Scalar, prediction: str) -> Tensor:
    """The prediction that a denoised state implies; parameters as for `convert`.

    All but x0 itself divide by `sigma`; where both x0 and epsilon are known, `compose` does not.
    """
    return convert(x0, x, alpha, sigma, source="x0", target=prediction)


def compose(x0: Tensor, epsilon: Tensor, alpha: Scalar, sigma: Scalar, prediction: str) -> Tensor:
    """The prediction made of a known `x0` and `epsilon`: a training target, or an exact model."""
    check_prediction(prediction)
    alpha = torch.as_tensor(alpha, dtype=torch.float64)
    sigma = torch.as_tensor(sigma, dtype=torch.float64)
    if prediction == "score":
        return _times(-1 / sigma, epsilon)
    p, q = _COEFFICIENTS[prediction](alpha, sigma)
    return _times(torch.as_tensor(p), x0) + _times(torch.as_tensor(q), epsilon)


def check_prediction(name: str) -> None:
    """Refuse a name that is not in `predictions`."""
    if name not in predictions:
        raise ValueError(unknown("prediction", name, predictions))


def _times(coefficient: Tensor, values: Tensor) -> Tensor:
    return coefficient.to(device=values.device, dtype=values.dtype) * values
