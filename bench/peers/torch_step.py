"""GANomaly's training step in PyTorch, channels-last; `bench.training_limit` starts it in the environment of the peers.

    torch_step.py paper|features BATCH SIZE CHANNELS

Says `ready`; then for every line on standard input, a number of steps, the seconds that they took. Networks, losses
and optimiser are those of `bench.plain_step`, the generator is passed once for both updates, Adam is the fused one.
"""

import os
import sys
import time

import torch
from torch import Tensor, nn
from torch.nn import functional as f

LATENT, WIDTH = 100, 64


class Pyramid(nn.Module):
    def __init__(self, size: int, channels: int, outputs: int) -> None:
        super().__init__()
        filters, side = WIDTH, size // 2
        layers: list[nn.Module] = [nn.Conv2d(channels, filters, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
        while side > 4:
            layers += [nn.Conv2d(filters, 2 * filters, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * filters),
                       nn.LeakyReLU(0.2, True)]  # fmt: skip
            filters, side = 2 * filters, side // 2
        self.features, self.last = nn.Sequential(*layers), nn.Conv2d(filters, outputs, 4, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(x)
        return features, self.last(features)


class Decoder(nn.Module):
    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        side, filters = 4, WIDTH * size // 8
        layers: list[nn.Module] = [nn.ConvTranspose2d(LATENT, filters, 4, bias=False)]
        while 2 * side <= size:
            layers += [nn.BatchNorm2d(filters), nn.ReLU(True)]
            out = channels if 2 * side == size else filters // 2
            layers.append(nn.ConvTranspose2d(filters, out, 4, 2, 1, bias=False))
            filters, side = filters // 2, 2 * side
        self.layers = nn.Sequential(*layers, nn.Tanh())

    def forward(self, latent: Tensor) -> Tensor:
        return self.layers(latent)


class PaperGenerator(nn.Module):
    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.first, self.second = Pyramid(size, channels, LATENT), Pyramid(size, channels, LATENT)
        self.decoder = Decoder(size, channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        latent = self.first(x)[1]
        fake = self.decoder(latent)
        return latent, fake, self.second(fake)[1]


class FeatureGenerator(nn.Module):
    """112 channels to a latent of 64, and back by a memory of 6,000 places."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(112, 64, bias=False), nn.Linear(112, 64, bias=False)
        self.keys, self.values = (nn.Parameter(0.02 * torch.randn(6000, n)) for n in (64, 112))
        self.sharpness = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        latent = self.first(x + 0.5 * torch.randn_like(x))
        nearness = 2 * latent @ self.keys.T - (self.keys**2).sum(1)
        fake = torch.softmax(self.sharpness.exp() * nearness, -1) @ self.values
        return latent, fake, self.second(fake)


class FeatureDiscriminator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Linear(112, 256), nn.LeakyReLU(0.2), nn.Linear(256, 256), nn.LeakyReLU(0.2))
        self.last = nn.Linear(256, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(x)
        return features, self.last(features)


def main() -> None:
    what, batch, size, channels = sys.argv[1], *map(int, sys.argv[2:])
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if what == "paper":
        generator, judge = PaperGenerator(size, channels), Pyramid(size, channels, 1)
        shown = torch.randint(0, 256, (batch, channels, size, size), dtype=torch.uint8)
        weights, rate = (1.0, 50.0, 1.0), 2e-4
    else:
        generator, judge = FeatureGenerator(), FeatureDiscriminator()
        shown, weights, rate = torch.randn(batch * size * size, 112), (1.0, 5.0, 0.1), 1e-4
    if what == "paper":
        generator, judge = (net.to(memory_format=torch.channels_last) for net in (generator, judge))
        shown = shown.contiguous(memory_format=torch.channels_last)
    owned = [list(net.parameters()) for net in (generator, judge)]
    adams = [torch.optim.Adam(variables, rate, (0.5, 0.999), fused=True) for variables in owned]

    def step() -> None:
        real = shown.float() / 127.5 - 1 if what == "paper" else shown
        latent, fake, again = generator(real)
        real_features, real_logits = judge(real)
        fake_features, fake_logits = judge(fake)
        loss = (
            weights[0] * f.mse_loss(fake_features, real_features.detach())
            + weights[1] * f.l1_loss(fake, real)
            + weights[2] * f.mse_loss(latent, again)
        )
        entropy = f.binary_cross_entropy_with_logits
        told = 0.5 * (
            entropy(real_logits, torch.ones_like(real_logits)) + entropy(fake_logits, torch.zeros_like(fake_logits))
        )
        found = [
            torch.autograd.grad(loss, owned[0], retain_graph=True),
            torch.autograd.grad(told, owned[1]),
        ]
        for variables, gradients, adam in zip(owned, found, adams, strict=True):
            for variable, gradient in zip(variables, gradients, strict=True):
                variable.grad = gradient
            adam.step()
        loss.item()

    for _ in range(3):
        step()
    print("ready", flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        for _ in range(int(line)):
            step()
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()
