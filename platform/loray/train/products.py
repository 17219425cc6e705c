"""Norms and singular values of `B A` without making it.

They follow from `B'B` and `AA'`, which are r x r, in float64. Values below 1e-8 of the largest are
lost so, too little to count in an entropy; QR of the factors would keep them, for 8 to 13 times the
time on those of an 8B model (one core, r = 16 and 64).
"""

import math

import torch

from loray.models import spectrum

Factors = tuple[torch.Tensor, torch.Tensor]
"""`A` (r, d_in) and `B` (d_out, r)."""
NOISE = 1e-7
"""Singular values below this share of the largest are rounding, and count as zero."""


def update_norm(a: torch.Tensor, b: torch.Tensor) -> float:
    """Frobenius norm of `b @ a` without making it: sqrt(sum((b'b) * (aa'))), of size r x r.

    Args:
        a: (r, d_in).
        b: (d_out, r).
    """
    a, b = a.detach().double(), b.detach().double()
    return float(((b.T @ b) * (a @ a.T)).sum().clamp(min=0.0).sqrt())


def singular_values(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The r singular values of `b @ a` without making it, ascending, float64; NaN if any is.

    They are the roots of the eigenvalues of `R' (b'b) R`, where `R R' = aa'`.

    Args:
        a: (r, d_in).
        b: (d_out, r).
    """
    a, b = a.detach().double(), b.detach().double()
    # r x r, so on the CPU: a device gains nothing on them, and its solvers take milliseconds each.
    of_a, of_b = (a @ a.T).cpu(), (b.T @ b).cpu()
    if not bool(torch.isfinite(of_a).all() and torch.isfinite(of_b).all()):
        return torch.full((len(a),), torch.nan, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(of_a)
    root = vectors * values.clamp(min=0.0).sqrt()
    found: torch.Tensor = torch.linalg.eigvalsh(root.T @ of_b @ root).clamp(min=0.0).sqrt()
    return found


def effective_rank(a: torch.Tensor, b: torch.Tensor) -> float:
    """Of the singular values of `b @ a`; NaN if any is. See `models.spectrum.effective_rank`."""
    values = singular_values(a, b)
    largest = float(values[-1])
    if math.isnan(largest):
        return largest
    return spectrum.effective_rank(values[values > NOISE * largest].tolist())
