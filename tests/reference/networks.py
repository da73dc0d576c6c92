"""Networks as their authors' code computes them, layer after layer, apart from the package.

Weights come one after another, in the order in which they are used.
"""

import torch.nn.functional as F


class Layers:
    """Layers, in evaluation, of a list of weights."""

    def __init__(self, weights):
        self.weights = iter(weights)

    def conv(self, x, stride=1, padding=1, bias=True):
        return F.conv2d(x, next(self.weights), next(self.weights) if bias else None, stride, padding)

    def norm(self, x, eps=1e-5):
        weight, bias, mean, variance, _ = (next(self.weights) for _ in range(5))
        shape = (1, -1, 1, 1)
        return (x - mean.view(shape)) / (variance.view(shape) + eps) ** 0.5 * weight.view(shape) + bias.view(shape)

    def linear(self, x):
        return x @ next(self.weights).T + next(self.weights)


def co_teaching(x, layers):
    """Nine convolutions; the last three without padding."""
    for number in range(9):
        x = F.leaky_relu(layers.norm(layers.conv(x, padding=1 if number < 6 else 0)), 0.01)
        if number in (2, 5):
            x = F.max_pool2d(x, 2, 2)
    return layers.linear(F.avg_pool2d(x, x.shape[2]).flatten(1))


def jocor(x, layers):
    for number in range(6):
        x = F.relu(layers.norm(layers.conv(x)))
        if number % 2:
            x = F.max_pool2d(x, 2, 2)
    return layers.linear(x.flatten(1))


def le_net(x, layers):
    x = F.max_pool2d(F.relu(layers.conv(x, padding=2)), 2)
    x = F.max_pool2d(F.relu(layers.conv(x, padding=0)), 2)
    return layers.linear(F.relu(layers.linear(F.relu(layers.linear(x.flatten(1))))))


def mnist_of_instance_dependent_noise(x, layers):
    x = F.max_pool2d(F.relu(layers.conv(x, padding=0)), 2, 2)
    x = F.max_pool2d(F.relu(layers.conv(x, padding=0)), 2, 2)
    return layers.linear(F.relu(layers.linear(x.flatten(1))))


def divide_mix(x, layers):
    """PreActResNet-18, every shortcut of which starts after the first activation of its block."""
    x = F.relu(layers.norm(layers.conv(x, bias=False)))
    channels = 64
    for width, first in ((64, 1), (128, 2), (256, 2), (512, 2)):
        for stride in (first, 1):
            x = F.relu(layers.norm(x))
            residual = layers.conv(x, stride, bias=False)
            residual = layers.conv(F.relu(layers.norm(residual)), bias=False)
            x = residual + (layers.conv(x, stride, 0, bias=False) if stride != 1 or channels != width else x)
            channels = width
    return layers.linear(F.avg_pool2d(x, 4).flatten(1))


def sln(x, layers):
    """WRN-28-2: biases, the stride in a block's second convolution, shortcuts of what comes into the block."""
    x = layers.conv(x)
    channels = 16
    for width, first in ((32, 1), (64, 2), (128, 2)):
        for stride in (first, 1, 1, 1):
            residual = layers.conv(F.relu(layers.norm(x)))
            residual = layers.conv(F.relu(layers.norm(residual)), stride)
            x = residual + (layers.conv(x, stride, 0) if stride != 1 or channels != width else x)
            channels = width
    return layers.linear(F.avg_pool2d(F.relu(layers.norm(x)), 8).flatten(1))


def incv(x, layers):
    """ResNet-32 with Keras's ε of 0.001; but for padding, which is of both sides."""
    x = F.relu(layers.norm(layers.conv(x), 1e-3))
    channels = 16
    for width, first in ((16, 1), (32, 2), (64, 2)):
        for stride in (first, 1, 1, 1, 1):
            residual = F.relu(layers.norm(layers.conv(x, stride), 1e-3))
            residual = layers.norm(layers.conv(residual), 1e-3)
            x = F.relu(residual + (layers.norm(layers.conv(x, stride, 0), 1e-3) if channels != width else x))
            channels = width
    return layers.linear(F.avg_pool2d(x, 8).flatten(1))
