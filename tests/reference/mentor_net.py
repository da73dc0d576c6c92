"""MentorNet as the authors' code computes it: loops over samples, by hand. Shares nothing with the package.

f is the network, x and y the samples and labels of a batch, ell their losses, ma the moving average, e the percentage
of training, eta the learning rate of plain SGD.
"""

import math

import torch

from tests.reference.co_teaching import descend, loss_of


def dropout_rates(schedule):
    cells = schedule.split(",")
    result = []
    for t in range(0, len(cells), 2):
        result += [float(cells[t])] * int(cells[t + 1])
    return result


def percentile(losses, p):
    """Return the percentile with the interpolation 'nearest'."""
    return sorted(ell.item() for ell in losses)[round(p * (len(losses) - 1))]


def v_self_paced(ell, ma):
    return 1.0 if ell - ma <= 0 else 0.0


def v_predefined(ell, ma, e, gamma=1.0):
    if e <= 18:
        return 1.0
    if e < 90:
        return v_self_paced(ell, ma)
    return max(min(1 - (ell - ma) / gamma, 1.0), 0.0)


def mentor_net_step(f, x, y, ma, e, curriculum, p, d, rate, order, eta, weight_decay=0.0):
    """Return the moving average and v. order[n] is when sample n was drawn; curriculum: (ell, ma, e) -> v."""
    losses = [loss_of(f, x_i, y_i) for x_i, y_i in zip(x, y, strict=True)]
    ma = d * ma + (1 - d) * percentile(losses, p)
    v = [curriculum(ell.item(), ma, e) for ell in losses]
    remaining = sorted(range(len(v)), key=lambda n: order[n])[: int(round(len(v) * (1 - rate), 6))]
    v = [v[n] if n in remaining else 0.0 for n in range(len(v))]
    decay = sum((w**2).sum() / 2 for w in f.parameters() if w.dim() > 1)
    objective = sum(v_n * ell for v_n, ell in zip(v, losses, strict=True)) / len(v)
    descend(f, objective + weight_decay * decay * sum(v) / len(v), eta)
    return ma, v


def mentor(weights, ell, diff, e):
    """Return the log-odds. The bidirectional LSTM is torch's, for a sequence of one step; a state is a cell's."""
    lstm = torch.nn.LSTM(2, 1, bidirectional=True)
    cells = []
    for way, suffix in enumerate(("", "_reverse")):
        with torch.no_grad():
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(lstm, f"{name}_l0{suffix}").zero_()
            for gate, place in (("i", 0), ("g", 2)):  # torch's order is i, f, g, o
                row = way + (2 if gate == "g" else 0)
                getattr(lstm, f"weight_ih_l0{suffix}")[place] = weights["gates.weight"][row]
                getattr(lstm, f"bias_ih_l0{suffix}")[place] = weights["gates.bias"][row]
    with torch.no_grad():
        _, (_, cell) = lstm(torch.tensor([[[ell, diff]]]))
    cells = [float(cell[way]) for way in range(2)]
    features = [float(value) for value in weights["embedding"][e]] + cells
    out = float(weights["output.bias"])
    for unit in range(20):
        total = float(weights["hidden.bias"][unit])
        for n, value in enumerate(features):
            total += float(weights["hidden.weight"][unit, n]) * value
        out += float(weights["output.weight"][0, unit]) * math.tanh(total)
    return out


def adam(weights, gradients, moments, step, rate):
    """One step of Adam on lists of tensors, after the gradients' norm was cut to 5."""
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    for n, gradient in enumerate(gradients):
        g = gradient * min(1.0, 5 / (norm + 1e-6))
        m, s = moments[n]
        m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g**2
        moments[n] = m, s
        weights[n] = weights[n] - rate * (m / (1 - 0.9**step)) / (torch.sqrt(s / (1 - 0.999**step)) + 1e-8)
