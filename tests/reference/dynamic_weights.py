"""Study 4's dynamic weights as its notebook or its text has them: loops over samples. Shares nothing with the package.

f is the network, x and y the samples and labels of a batch, eta the learning rate of plain SGD.
"""

from tests.reference.co_teaching import descend, loss_of
from tests.reference.losses import softmax


def weight(confidence, threshold, mode):
    if mode == "as_described":
        return 1.0 if confidence >= threshold else confidence / threshold
    return 1.0 if confidence < threshold else 1 / confidence


def dynamic_weights_step(f, x, y, mode, threshold, eta):
    """Take a step; return the loss."""
    losses = [loss_of(f, x_i, y_i) for x_i, y_i in zip(x, y, strict=True)]
    confidences = [max(softmax(f(x_i[None])[0])) for x_i in x]
    if mode == "as_run":
        weights = [weight(c, threshold, mode) for c in confidences]  # through which the gradient flows, too
        loss = sum(losses) / len(x) * (sum(weights) / len(x))
    else:
        weights = [weight(c.item(), threshold, mode) for c in confidences]
        loss = sum(w * ell for w, ell in zip(weights, losses, strict=True)) / len(x)
    descend(f, loss, eta)
    return loss.item()
