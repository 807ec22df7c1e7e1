"""One AVDD step the way the papers' scripts go about it: the yardstick of benchmarks/step.py.

Networks are built as modules every step; the real set is normalised float32 and gathered item by item; classes
go one by one through forward and backward; augmentation builds batch-sized index grids; and the optimiser steps
over the whole tensors after each class. What those scripts waste beyond that (a 25.7 M-parameter layer that is
never used, grids made on the CPU for a GPU) is left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIX = ("color", "crop", "cutout", "flip", "scale", "rotate")


def network(encoder) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(encoder.blocks):
        channels = encoder.in_channels if i == 0 else encoder.channels
        layers += [nn.Conv2d(channels, encoder.channels, 3, padding=encoder.first_padding if i == 0 else 1)]
        layers += [nn.GroupNorm(encoder.channels, encoder.channels, affine=True), nn.ReLU(inplace=True)]
        last = i == encoder.blocks - 1 and encoder.grid is not None
        layers += [nn.AdaptiveAvgPool2d(encoder.grid) if last else nn.AvgPool2d(2, 2)]
    return nn.Sequential(*layers, nn.Flatten())


def augment(x: Tensor, family: str, generator: torch.Generator) -> Tensor:
    n, _, h, w = x.shape
    u = torch.rand(3, generator=generator)
    if family == "color":
        x = x + (u[0].item() - 0.5)
        grey = x.mean(1, keepdim=True)
        x = (x - grey) * (2 * u[1].item()) + grey
        centre = x.mean((1, 2, 3), keepdim=True)
        return (x - centre) * (u[2].item() + 0.5) + centre
    if family == "flip":
        return torch.where(u[0].expand(n).to(x.device).view(-1, 1, 1, 1) < 0.5, x.flip(3), x)
    if family in ("crop", "cutout"):
        grid = torch.meshgrid(
            torch.arange(n, device=x.device), torch.arange(h, device=x.device), torch.arange(w, device=x.device),
            indexing="ij",
        )  # fmt: skip
        if family == "crop":
            dy, dx = int((u[0] - 0.5) * h / 4), int((u[1] - 0.5) * w / 4)
            padded = F.pad(x, (1, 1, 1, 1))
            rows, columns = torch.clamp(grid[1] + dy + 1, 0, h + 1), torch.clamp(grid[2] + dx + 1, 0, w + 1)
            return padded.permute(0, 2, 3, 1)[grid[0], rows, columns].permute(0, 3, 1, 2)
        mask = torch.ones(n, h, w, dtype=x.dtype, device=x.device)
        top, left = int(u[0] * h / 2), int(u[1] * w / 2)
        mask[(grid[1] >= top) & (grid[1] < top + h // 2) & (grid[2] >= left) & (grid[2] < left + w // 2)] = 0
        return x * mask.unsqueeze(1)
    if family == "scale":
        theta = torch.tensor([[0.8 + 0.4 * u[0].item(), 0, 0], [0, 0.8 + 0.4 * u[1].item(), 0]])
    else:
        angle = (u[0] - 0.5) * 0.5236
        theta = torch.tensor([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0]])
    grid = F.affine_grid(theta.to(x.device).expand(n, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


class LiteralLoop:
    """Holds float32 real items in memory, as the scripts do."""

    def __init__(self, loop, *, cached: bool, autocast: bool) -> None:
        self.loop, self.cached, self.autocast = loop, cached, autocast
        seen = loop.objective
        store, self.device = seen.store, loop.device
        self.real = {m: store.batch(m, store.rows("train")).to(self.device) for m in seen.encoders}
        labels = store.labels[store.rows("train")]
        self.rows = [torch.from_numpy((labels == c).nonzero()[0]) for c in range(seen.classes)]
        self.values = {m: v.detach().clone().requires_grad_() for m, v in loop.synthetic.values.items()}
        self.optimiser = torch.optim.SGD(list(self.values.values()), lr=1e-9, momentum=0.5)
        self.means: dict[int, dict[str, Tensor]] = {}
        self.step_number = 0

    def step(self) -> float:
        torch.manual_seed(self.step_number)
        generator = torch.Generator().manual_seed(self.step_number)
        nets = {m: network(e).to(self.device) for m, e in self.loop.objective.encoders.items()}
        for net in nets.values():
            for parameter in net.parameters():
                parameter.requires_grad_(False)
        total = 0.0
        for c, rows in enumerate(self.rows):
            family = SIX[int(torch.randint(6, (), generator=generator))]
            seed = int(torch.randint(1 << 30, (), generator=generator))
            real, fake = {}, {}
            for m, net in nets.items():
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                    if self.cached:
                        real[m] = self.means.setdefault(c, {}).get(m)
                    if real.get(m) is None:
                        picked = rows[torch.randperm(len(rows))[: self.loop.settings.real_batch]]
                        batch = self.real[m][picked.to(self.device)]
                        with torch.no_grad():
                            real[m] = net(augment(batch, family, torch.Generator().manual_seed(seed))).float().mean(0)
                        self.means.setdefault(c, {})[m] = real[m]
                    n = self.loop.objective.per_class
                    items = self.decode(self.values[m][c * n : (c + 1) * n])
                    fake[m] = net(augment(items, family, torch.Generator().manual_seed(seed))).float().mean(0)
            (ra, sa), (rv, sv) = ((real[m], fake[m]) for m in nets)
            loss = ((ra - sa) ** 2).sum() + ((rv - sv) ** 2).sum()
            loss = loss + 10 * (((ra + rv) - (sa + sv)) ** 2).sum() + 10 * (((ra + sv) - (rv + sa)) ** 2).sum()
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            total += loss.item()
        self.step_number += 1
        return total

    def decode(self, x: Tensor) -> Tensor:
        if self.loop.synthetic.factor == 1:
            return x
        h, w = x.shape[2] // 2, x.shape[3] // 2
        parts = [x[:, :, :h, :w], x[:, :, h:, :w], x[:, :, :h, w:], x[:, :, h:, w:]]
        return torch.cat([F.interpolate(p, size=tuple(x.shape[2:]), mode="bilinear") for p in parts])
