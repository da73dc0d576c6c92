"""SAM, ASAM and CDR as published, on plain lists of numbers: one weight at a time.

w and g are lists of lists: tensors of weights, each flattened.
"""

import math


def sam(w, g, rho):
    norm = math.sqrt(sum(g_ij**2 for g_i in g for g_ij in g_i))
    return [
        [w_ij + rho * g_ij / (norm + 1e-12) for w_ij, g_ij in zip(*pair, strict=True)]
        for pair in zip(w, g, strict=True)
    ]


def asam_authors(w, g, names, rho, eta):
    """samsung: ascent_step, where the gradient is multiplied by T before the norm is taken, and once more after."""
    t_w = [[abs(w_ij) + eta if "weight" in name else 1.0 for w_ij in w_i] for name, w_i in zip(names, w, strict=True)]
    tg_w = [[t * g_ij for t, g_ij in zip(*pair, strict=True)] for pair in zip(t_w, g, strict=True)]
    norm = math.sqrt(sum(value**2 for row in tg_w for value in row)) + 1e-16
    return [
        [w_ij + rho / norm * t * tg for w_ij, t, tg in zip(*rows, strict=True)]
        for rows in zip(w, t_w, tg_w, strict=True)
    ]


def asam_davda54(w, g, rho):
    norm = math.sqrt(
        sum((abs(w_ij) * g_ij) ** 2 for w_i, g_i in zip(w, g, strict=True) for w_ij, g_ij in zip(w_i, g_i, strict=True))
    )
    scale = rho / (norm + 1e-12)
    return [
        [w_ij + w_ij**2 * g_ij * scale for w_ij, g_ij in zip(*pair, strict=True)] for pair in zip(w, g, strict=True)
    ]


def cdr(w, g, dims, r):
    """Gradients after the mask; dims are the numbers of dimensions of the tensors."""
    to_concat = [
        abs(g_ij * w_ij)
        for w_i, g_i, dim in zip(w, g, dims, strict=True)
        if dim in (2, 4)
        for w_ij, g_ij in zip(w_i, g_i, strict=True)
    ]
    nz = int((1 - r) * len(to_concat))
    thresh = sorted(to_concat, reverse=True)[nz - 1] if nz else math.inf
    result = []
    for w_i, g_i, dim in zip(w, g, dims, strict=True):
        if dim in (2, 4):
            result.append(
                [g_ij * (1 - r) if abs(g_ij * w_ij) >= thresh else 0.0 for w_ij, g_ij in zip(w_i, g_i, strict=True)]
            )
        else:
            result.append(list(g_i))
    return result
