"""MixUp and CutMix as their papers' code has them: one sample, one pixel at a time, λ and π as they are drawn."""

import math


def mixed_images(x, lam, pi):
    """λ(r, c) of each pixel; x[i][channel][row][column]."""
    return [
        [
            [
                [lam(r, c) * value + (1 - lam(r, c)) * x[pi[i]][k][r][c] for c, value in enumerate(row)]
                for r, row in enumerate(channel)
            ]
            for k, channel in enumerate(image)
        ]
        for i, image in enumerate(x)
    ]


def mixed_loss(losses_of, y, lam, pi):
    """Mean over i of λ·loss(f(x̃_i), y_i) + (1 − λ)·loss(f(x̃_i), y_π(i)); losses_of(i, label)."""
    return sum(lam * losses_of(i, y[i]) + (1 - lam) * losses_of(i, y[pi[i]]) for i in range(len(y))) / len(y)


def rand_bbox(W, H, lam, cx, cy):  # noqa: N803
    """The box, as the paper's appendix defines it and its code draws it; cx and cy are the center."""
    cut_rat = math.sqrt(1.0 - lam)
    cut_w, cut_h = int(W * cut_rat), int(H * cut_rat)

    def clip(value, high):
        return 0 if value < 0 else high if value > high else value

    bbx1, bby1 = clip(cx - cut_w // 2, W), clip(cy - cut_h // 2, H)
    bbx2, bby2 = clip(cx + cut_w // 2, W), clip(cy + cut_h // 2, H)
    return bbx1, bby1, bbx2, bby2


def adjusted(W, H, box):  # noqa: N803
    bbx1, bby1, bbx2, bby2 = box
    return 1 - ((bbx2 - bbx1) * (bby2 - bby1) / (W * H))
