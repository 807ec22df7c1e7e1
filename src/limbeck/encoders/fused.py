"""Per-channel norm, ReLU and 2x2 average pool in one pass forward and one backward, compiled for the machine.

The convolutions of the field's ConvNets are fast; what stands between them is not, because each small operation walks
through the largest tensors of the network once more. Here the three are ONE autograd function with two compiled kernels
(C++ on a CPU, Triton on a GPU), which saves nothing but its input. ``literal_block`` in convnet.py says what it
computes; the tests hold the two together. It can be differentiated once: gradient and trajectory matching use the
literal kernels.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
import torch.fx.experimental._config
from torch import Tensor
from torch.nn import functional as F

from limbeck.errors import ConfigError, MissingDependencyError

__all__ = ["available", "channels_last", "default_kernels", "fused_block"]

EPS = 1e-5
"""torch's default for GroupNorm."""
RECOMPILES = 64
"""Variants (odd or even sides, one item or many, dtype, device) one kernel may have; torch's own limit is 8."""


@cache
def available(device: str = "cpu") -> bool:
    """Whether torch.compile can work here: a C++ compiler and Python's headers, and Triton for a GPU."""
    headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
    compilers = [os.environ.get("CXX", ""), "g++", "clang++", "c++", "cl"]
    compiler = any(shutil.which(name.split()[0]) for name in compilers if name.strip())
    return compiler and headers.exists() and (device == "cpu" or find_spec("triton") is not None)


def default_kernels(device: str | torch.device = "cpu") -> Literal["literal", "fused"]:
    """The faster kernels that work on ``device``."""
    return "fused" if available(torch.device(device).type) else "literal"


def channels_last(x: Tensor) -> Tensor:
    """``x`` with channels innermost in memory, and strides that say so also where there is one channel."""
    if x.shape[1] == 1:
        return x.reshape(len(x), *x.shape[2:], 1).permute(0, 3, 1, 2)
    return x.contiguous(memory_format=torch.channels_last)


def fused_block(x: Tensor, scale: Tensor, shift: Tensor, grid: tuple[int, int] | None) -> Tensor:
    """The same numbers as ``literal_block`` to rounding: (N, C, H, W) -> (N, C, H // 2, W // 2), or ``grid``.

    Returns the input's dtype; statistics and gradients of ``scale`` and ``shift`` are float32.

    Raises:
        MissingDependencyError: torch.compile finds no working compiler.
        ConfigError: on differentiating twice.
    """
    halves = grid is None or (x.shape[2] == 2 * grid[0] and x.shape[3] == 2 * grid[1])
    y: Tensor = _NormReLUPool.apply(x, scale, shift, halves)  # type: ignore[no-untyped-call]
    return y if grid is None or halves else F.adaptive_avg_pool2d(y, grid)


class _NormReLUPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, pool: bool) -> Tensor:
        y: Tensor
        y, mean, rstd = _run(_forward, x, scale, shift, pool)
        ctx.save_for_backward(x, mean, rstd, scale, shift)
        ctx.pool = pool
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, rstd, scale, shift = ctx.saved_tensors
        arguments = (gradients[0], x, mean, rstd, scale, shift, ctx.pool)
        dx, dscale, dshift = _Once.apply(*arguments)  # type: ignore[no-untyped-call]
        return dx, dscale, dshift, None


class _Once(torch.autograd.Function):
    """The backward pass as a function of its own, so that differentiating twice is an error, not a wrong number."""

    @staticmethod
    def forward(_ctx: Any, g: Tensor, *rest: Any) -> Any:
        dx, dscale, dshift = _run(_backward, channels_last(g), *rest)
        return dx, dscale.sum(0), dshift.sum(0)

    @staticmethod
    def backward(_ctx: Any, *_gradients: Tensor) -> Any:
        raise ConfigError("the fused kernels cannot be differentiated twice", hint='Use kernels="literal".')


def _forward(x: Tensor, scale: Tensor, shift: Tensor, pool: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Output, mean, 1 / std. Two passes for the variance: one loses digits where the mean is large, as in decibels."""
    v = x.float()
    mean = v.mean((2, 3), keepdim=True)
    centred = v - mean
    rstd = ((centred * centred).mean((2, 3), keepdim=True) + EPS).rsqrt()
    factor, shift = rstd * scale.view(1, -1, 1, 1), shift.view(1, -1, 1, 1)

    def activated(part: Tensor) -> Tensor:
        return torch.relu((part.float() - mean) * factor + shift)

    if not pool:
        return activated(x).to(x.dtype), mean, rstd
    # each corner of the windows on its own, so that the compiler never writes the unpooled map to memory: 3 x faster
    h, w = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    corners = [activated(x[:, :, i:h:2, j:w:2]) for i in (0, 1) for j in (0, 1)]
    y = (corners[0] + corners[1] + corners[2] + corners[3]) * 0.25
    return y.to(x.dtype), mean, rstd


def _backward(
    g: Tensor, x: Tensor, mean: Tensor, rstd: Tensor, scale: Tensor, shift: Tensor, pool: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to x (N, C, H, W), and per item to scale and shift (N, C)."""
    h, w = x.shape[2], x.shape[3]
    scale, shift = scale.view(1, -1, 1, 1), shift.view(1, -1, 1, 1)
    unit = (x.float() - mean) * rstd
    g = g.float()
    if pool:
        n, c = g.shape[:2]
        g = (g * 0.25)[:, :, :, None, :, None].expand(n, c, h // 2, 2, w // 2, 2).reshape(n, c, h // 2 * 2, w // 2 * 2)
        if h % 2 or w % 2:  # the pool dropped the last row or column
            g = F.pad(g, (0, w % 2, 0, h % 2))
    g = torch.where(unit * scale + shift > 0, g, 0.0)
    dshift = g.sum((2, 3), keepdim=True)
    dscale = (g * unit).sum((2, 3), keepdim=True)
    dx = (g - dshift / (h * w) - unit * (dscale / (h * w))) * (rstd * scale)
    return dx.to(x.dtype), dscale.flatten(1), dshift.flatten(1)


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    # one compilation serves every size: measured as fast as one for each, and seconds cheaper
    return torch.compile(function, dynamic=True, fullgraph=True)


_seen: set[tuple[object, ...]] = set()


def _run(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the compiled ``function``; what has not been seen before may compile."""
    compiled = _compiled(function)
    # the compiled code is chosen by requires_grad too, and would be compiled again for each mix
    arguments = tuple(a.detach() if isinstance(a, Tensor) else a for a in arguments)
    x, pool = arguments[0 if function is _forward else 1], arguments[-1]
    key = (function, pool, min(len(x), 2), *x.shape[1:], x.dtype, x.device)
    if key in _seen:
        return compiled(*arguments)
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # the compiler's own, about its own parts
        # sizes that happen to be equal (64 items of 64 channels) must not be taken for the same number
        stack.enter_context(torch.fx.experimental._config.patch("use_duck_shape", False))  # type: ignore[attr-defined]
        for name in ("recompile_limit", "cache_size_limit"):  # the same setting before and after torch 2.7
            if hasattr(torch._dynamo.config, name):
                stack.enter_context(torch._dynamo.config.patch(name, RECOMPILES))
                break
        try:
            compiled(*_example(function, x, pool))
            result = compiled(*arguments)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise MissingDependencyError(
                f"torch.compile does not work here: {type(error).__name__}: {str(error).splitlines()[0][:200]}",
                where="kernels",
                hint='Install a C++ compiler and Python\'s headers, or use kernels="literal".',
            ) from error
    _seen.add(key)
    return result


def _example(function: Callable[..., Any], x: Tensor, pool: bool) -> tuple[Any, ...]:
    """Arguments like those for ``x``, of a size that is always the same.

    The compiler looks at the sizes it meets first, for instance to share a sum among threads. Met first with these, it
    makes the same code in every process, and a resumed run has the bits of one that was never stopped.
    """
    n, c = (8 if len(x) > 1 else 1), (32 if x.shape[1] > 1 else 1)  # one of anything is code of its own
    h, w = (side if side < 4 else 12 + side % 2 for side in x.shape[2:])
    like = channels_last(torch.zeros(n, c, h, w, dtype=x.dtype, device=x.device))
    ones, zeros = (torch.full((c,), v, device=x.device) for v in (1.0, 0.0))
    if function is _forward:
        return like, ones, zeros, pool
    mean, rstd = (torch.full((n, c, 1, 1), v, device=x.device) for v in (0.0, 1.0))
    g = channels_last(torch.zeros(n, c, h // 2, w // 2, dtype=x.dtype, device=x.device)) if pool else like
    return g, like, mean, rstd, ones, zeros, pool
