"""A student's branch trained the plain way: a module, torch.optim.Adam, one batch after the other, fed given draws."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


def train_branch(
    encoder: nn.Module,
    head: nn.Linear,
    epochs: Iterable[list[tuple[Tensor, Tensor]]],
    *,
    encoder_rate: float,
    head_rate: float,
    drops: tuple[int, ...],
    augment: Callable[[int, int, Tensor], Tensor],
) -> None:
    """Changes ``encoder`` and ``head``. ``epochs`` holds lists of (items, labels); rates fall tenfold at ``drops``."""
    adam = torch.optim.Adam(
        [{"params": encoder.parameters(), "lr": encoder_rate}, {"params": head.parameters(), "lr": head_rate}],
        betas=(0.9, 0.999),
        weight_decay=1e-4,
    )
    schedule = torch.optim.lr_scheduler.MultiStepLR(adam, list(drops), gamma=0.1)
    for epoch, batches in enumerate(epochs):
        for step, (x, y) in enumerate(batches):
            loss = nn.functional.cross_entropy(head(encoder(augment(epoch, step, x))), y)
            adam.zero_grad()
            loss.backward()
            adam.step()
        schedule.step()


def train_branch_sgd(
    encoder: nn.Module,
    head: nn.Linear,
    epochs: list[list[tuple[Tensor, Tensor]]],
    *,
    rate: float,
    momentum: float,
    weight_decay: float,
    warm_up: int,
    drops: tuple[int, ...],
    clip: float,
) -> list[float]:
    """The same with torch.optim.SGD: ``warm_up`` epochs of rising rates, clip_grad_norm_; returns the norms it saw."""
    parameters = [*encoder.parameters(), *head.parameters()]
    sgd = torch.optim.SGD(parameters, lr=rate, momentum=momentum, weight_decay=weight_decay)
    norms, count = [], 0
    for epoch, batches in enumerate(epochs):
        for x, y in batches:
            count += 1
            rising = min(1.0, count / (warm_up * len(batches)))
            sgd.param_groups[0]["lr"] = rate * rising * 0.1 ** sum(epoch >= drop for drop in drops)
            sgd.zero_grad()
            nn.functional.cross_entropy(head(encoder(x)), y).backward()
            norms.append(float(nn.utils.clip_grad_norm_(parameters, clip)))
            sgd.step()
    return norms
