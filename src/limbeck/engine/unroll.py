r"""Gradients through N inner steps of plain SGD, :math:`\theta_{i+1} = \theta_i - \alpha g_i(\theta_i, X_i)`.

:func:`unrolled` keeps the graphs of all N steps. :func:`swept` gives the same gradient from one graph at a time: it
keeps the N parameter vectors only and walks back,

.. math:: v_N = \nabla L(\theta_N), \quad s_i = -\alpha \langle v_{i+1}, g_i \rangle, \quad
    \nabla_{X_i} += \partial s_i / \partial X_i, \quad v_i = v_{i+1} + \partial s_i / \partial \theta_i, \quad
    \nabla_\alpha += s_i / \alpha,

which is the chain rule in order, so exact up to rounding (docs/audio_visual.md, MTT). :func:`tesla` keeps
:math:`v_i = v_N`: it drops how later parameters depend on earlier batches, and is another gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from limbeck.errors import NumericsError, ShapeError

__all__ = ["Inner", "Unrolled", "swept", "tesla", "unrolled"]

Tensors: TypeAlias = "tuple[Tensor, ...]"
Inner: TypeAlias = Callable[[int, Tensors, Tensors], Tensor]
"""(inner step, parameter vectors, the step's rows of each input) -> scalar loss. It is called again for the same step,
so all it draws must be a function of the step; it must be differentiable twice."""


@dataclass(frozen=True)
class Unrolled:
    """What N inner steps led to.

    Args:
        loss: the outer loss, a scalar without graph.
        reached: parameter vectors after the last step, without graph.
        inputs: gradient of the loss by input, each of its input's shape.
        rates: gradient by step size.
    """

    loss: Tensor
    reached: Tensors
    inputs: Tensors
    rates: Tensors


@torch.enable_grad()
def swept(
    inner: Inner,
    outer: Callable[[Tensors], Tensor],
    start: Sequence[Tensor],
    rates: Sequence[Tensor],
    inputs: Sequence[Tensor],
    rows: Sequence[Tensor | None],
    *,
    where: str | None = None,
) -> Unrolled:
    """The exact gradient by a reverse sweep; memory of one step's graph and N + 1 parameter vectors.

    Args:
        inner: the inner loss; its gradient by the parameters is g.
        outer: parameter vectors after the last step -> scalar.
        start: the parameter vectors, each with a step size of its own; no gradient goes to them.
        rates: scalars, in the order of ``start``.
        inputs: what is learnt, such as pixels; any shapes.
        rows: for each of the N steps which rows of every input it looks at, (n,) int64; None for all.
        where: what error messages say of the place.

    Raises:
        NumericsError: the parameters stop being finite; names the inner step.
    """
    path, steps = _walk(inner, start, rates, inputs, rows, where)
    reached = tuple(p[-1].clone().requires_grad_() for p in path)
    loss = outer(reached)
    v = torch.autograd.grad(loss, reached)
    gradients = tuple(torch.zeros_like(x) for x in inputs)
    of_rates = [torch.zeros_like(a) for a in steps]
    for i in reversed(range(len(rows))):
        along, of_items, of_state = _back(inner, i, path, steps, _take(inputs, rows[i], learn=True), v)
        for whole, part in zip(gradients, of_items, strict=True):
            _add(whole, rows[i], part)
        v = tuple(u if d is None else u + d for u, d in zip(v, of_state, strict=True))
        for whole, part in zip(of_rates, along, strict=True):
            whole += part.to(whole.dtype)
    return Unrolled(loss.detach(), tuple(p.detach() for p in reached), gradients, tuple(of_rates))


@torch.enable_grad()
def tesla(
    inner: Inner,
    outer: Callable[[Tensors], Tensor],
    start: Sequence[Tensor],
    rates: Sequence[Tensor],
    inputs: Sequence[Tensor],
    rows: Sequence[Tensor | None],
    *,
    of_rates: Callable[[Tensors], Tensor] | None = None,
    where: str | None = None,
) -> Unrolled:
    r"""TESLA's gradient (Cui et al., "Scaling Up Dataset Distillation to ImageNet-1K with Constant Memory"): as if
    every :math:`\theta_i` had been given,

    .. math:: \nabla_{X_i} = -\alpha \, \partial \langle v_N, g_i \rangle / \partial X_i, \qquad
        \nabla_\alpha = -\langle v_N, \textstyle\sum_i g_i \rangle, \qquad v_N = \nabla L(\theta_N).

    For :math:`L = |\theta_N - \theta^*|^2 / D` the first is the printed :math:`2 \, \partial \langle \alpha
    (\theta^* - \theta_0) + \alpha^2 G, g_i \rangle / \partial X_i / D` with :math:`G = \sum_i g_i` held fast. The
    inner loss draws the same at both passes; in LoRS's script dropout does not.

    Args:
        of_rates: the outer loss that the step sizes go down, where it is another one: LoRS's COCO scripts divide the
            items' loss by what both towers' experts moved, and the step sizes' by each tower's own.

    Other arguments, memory and errors as of :func:`swept`.
    """
    path, steps = _walk(inner, start, rates, inputs, rows, where)
    reached = tuple(p[-1].clone().requires_grad_() for p in path)
    loss = outer(reached)
    v = torch.autograd.grad(loss, reached)
    along = v if of_rates is None else torch.autograd.grad(of_rates(reached), reached)
    gradients = tuple(torch.zeros_like(x) for x in inputs)
    totals = [torch.zeros_like(u) for u in v]
    for i, chosen in enumerate(rows):
        items = _take(inputs, chosen, learn=True)
        leaves = tuple(p[i].detach().requires_grad_() for p in path)
        g = torch.autograd.grad(inner(i, leaves, items), leaves, create_graph=True)
        ways = [-a * (u * d).sum().to(a.dtype) for a, u, d in zip(steps, v, g, strict=True)]
        found = torch.autograd.grad(torch.stack(ways).sum(), items, allow_unused=True)
        for whole, part in zip(gradients, found, strict=True):
            _add(whole, chosen, part)
        for total, d in zip(totals, g, strict=True):
            total += d.detach()
        del g, ways, found  # the step's graph, before the next one is built
    slopes = tuple(-(u * t).sum().to(a.dtype) for u, t, a in zip(along, totals, steps, strict=True))
    return Unrolled(loss.detach(), tuple(p.detach() for p in reached), gradients, slopes)


def _walk(
    inner: Inner,
    start: Sequence[Tensor],
    rates: Sequence[Tensor],
    inputs: Sequence[Tensor],
    rows: Sequence[Tensor | None],
    where: str | None,
) -> tuple[Tensors, list[Tensor]]:
    """All N + 1 parameter vectors, (N + 1, P) each and without graph, and the step sizes."""
    _check(start, rates, rows)
    # in one piece, made first: vectors that are kept one by one lie between freed ones and hold their memory back
    path = tuple(p.detach().new_empty((len(rows) + 1, *p.shape)) for p in start)
    for whole, first in zip(path, start, strict=True):
        whole[0] = first.detach()
    steps = [r.detach() for r in rates]
    for i, chosen in enumerate(rows):
        _forward(inner, i, path, steps, _take(inputs, chosen, learn=False))
    _check_finite([tuple(p[i] for p in path) for i in range(len(rows) + 1)], where)
    return path, steps


def _forward(inner: Inner, step: int, path: Tensors, rates: Sequence[Tensor], items: Tensors) -> None:
    """Writes the parameters after ``step`` behind those before it."""
    leaves = tuple(p[step].detach().requires_grad_() for p in path)
    g = torch.autograd.grad(inner(step, leaves, items), leaves)
    for whole, a, d in zip(path, rates, g, strict=True):
        whole[step + 1] = whole[step] - a * d


def _back(
    inner: Inner, step: int, path: Tensors, rates: Sequence[Tensor], items: Tensors, v: Tensors
) -> tuple[list[Tensor], Sequence[Tensor | None], Sequence[Tensor | None]]:
    """-<v, g> by vector, and the gradient of its sum, weighted by the rates, by items and by state. A function of its
    own, so that the step's graph is gone when the next one is built."""
    leaves = tuple(p[step].detach().requires_grad_() for p in path)
    g = torch.autograd.grad(inner(step, leaves, items), leaves, create_graph=True)
    along = [-(u * d).sum() for u, d in zip(v, g, strict=True)]
    total = torch.stack([a.to(s.dtype) * s for a, s in zip(rates, along, strict=True)]).sum()
    if step == 0:  # nothing is learnt about the start
        return [s.detach() for s in along], torch.autograd.grad(total, items, allow_unused=True), [None] * len(v)
    found = torch.autograd.grad(total, (*items, *leaves), allow_unused=True)
    return [s.detach() for s in along], found[: len(items)], found[len(items) :]


@torch.enable_grad()
def unrolled(
    inner: Inner,
    outer: Callable[[Tensors], Tensor],
    start: Sequence[Tensor],
    rates: Sequence[Tensor],
    inputs: Sequence[Tensor],
    rows: Sequence[Tensor | None],
    *,
    where: str | None = None,
) -> Unrolled:
    """The same as :func:`swept` from the graph of all steps: memory grows with N."""
    _check(start, rates, rows)
    learnt = tuple(x.detach().requires_grad_() for x in inputs)
    steps = tuple(a.detach().requires_grad_() for a in rates)
    states: list[Tensors] = [tuple(p.detach().requires_grad_() for p in start)]
    for i, chosen in enumerate(rows):
        taken = learnt if chosen is None else tuple(x[chosen] for x in learnt)
        g = torch.autograd.grad(inner(i, states[-1], taken), states[-1], create_graph=True)
        states.append(tuple(p - a * d for p, a, d in zip(states[-1], steps, g, strict=True)))
    _check_finite(states, where)
    loss = outer(states[-1])
    found = torch.autograd.grad(loss, (*learnt, *steps), allow_unused=True)
    whole = tuple(torch.zeros_like(x) if d is None else d for x, d in zip((*learnt, *steps), found, strict=True))
    return Unrolled(loss.detach(), tuple(p.detach() for p in states[-1]), whole[: len(learnt)], whole[len(learnt) :])


def _take(inputs: Sequence[Tensor], rows: Tensor | None, *, learn: bool) -> Tensors:
    """The step's rows as tensors of their own, so that the backward pass costs their size and not the set's."""
    return tuple((x.detach() if rows is None else x.detach()[rows]).requires_grad_(learn) for x in inputs)


def _add(whole: Tensor, rows: Tensor | None, part: Tensor | None) -> None:
    if part is None:
        return
    if rows is None:
        whole += part
    else:
        whole.index_put_((rows,), part, accumulate=True)  # a row may be there twice


def _check(start: Sequence[Tensor], rates: Sequence[Tensor], rows: Sequence[Tensor | None]) -> None:
    if not start or len(start) != len(rates) or any(a.ndim for a in rates):
        raise ShapeError(f"{len(start)} parameter vectors and {len(rates)} step sizes: each vector takes one scalar")
    if not rows:
        raise ShapeError("there is no inner step to go through")


def _check_finite(states: Sequence[Tensors], where: str | None) -> None:
    """One look at the last state: what is not finite stays so. Then the step that made it is looked for."""
    if _finite(states[-1]):
        return
    step = next(i for i, state in enumerate(states) if not _finite(state))
    what = "the parameters it starts from are" if step == 0 else f"after inner step {step - 1} the parameters are"
    raise NumericsError(
        f"{what} not finite", where=where, hint="The set is as it was. Start a new run with a lower step size or --lr."
    )


def _finite(state: Tensors) -> bool:
    return bool(torch.stack([p.detach().isfinite().all() for p in state]).all())
