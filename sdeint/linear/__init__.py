"""Linear operators L of ``dX = (L X + f) dt + g dW``: their phi functions and their noise.

- `operators`: `Scalar`, `Diagonal`, `Dense`, `Transformed`, and what each refuses;
- `flow`: phi functions of ``c h L`` of one solve, computed once a step size;
- `weights`, `functionals`: the exact law of ``int w(u) dW_u`` mode by mode;
- `joining`: how the functionals of neighbouring steps make those of the whole;
- `dense_noise`: the same law for a matrix.
"""

from sdeint.linear.dense_noise import dense_functionals
from sdeint.linear.flow import Factor, Flow, Term
from sdeint.linear.functionals import conditional_functionals, gaussian_functionals
from sdeint.linear.joining import join, joining
from sdeint.linear.operators import (
    Dense,
    Diagonal,
    LinearOperator,
    Scalar,
    Transformed,
    linear_operator,
)

__all__ = [
    "Dense",
    "Diagonal",
    "Factor",
    "Flow",
    "LinearOperator",
    "Scalar",
    "Term",
    "Transformed",
    "conditional_functionals",
    "dense_functionals",
    "gaussian_functionals",
    "join",
    "joining",
    "linear_operator",
]
