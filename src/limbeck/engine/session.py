"""A run by one process, or by several that ``torchrun`` started: how they come together, and how they part."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from limbeck.engine.interrupt import Interrupted
from limbeck.engine.launch import Launch, launched
from limbeck.engine.ranks import Ranks
from limbeck.errors import ConfigError

if TYPE_CHECKING:
    from limbeck.engine.links import Links

__all__ = ["together"]

DEAF_SECONDS = 10.0
"""For how long a rank that ends by an error is not ended sooner."""
ASKING_SECONDS = 1.0
"""How long a rank that is interrupted asks whether another has ended."""


@contextmanager
def together(device: str = "auto") -> Iterator[Ranks]:
    """The ranks of a run, for as long as the block takes.

    Where one rank leaves the block by an error, the others leave it by that error too, and each error's ``said`` is
    false on the one rank that is to print it. SIGTERM, which a launcher sends when a rank has died, is taken like
    Ctrl-C.

    Args:
        device: the run's; "cuda" is every rank's own GPU.

    Raises:
        ConfigError: a device that the ranks cannot share.
    """
    launch = launched()
    if launch is None:
        yield Ranks.alone()
        return
    own = _own_device(launch, device)
    from limbeck.engine.links import Links

    with _terminable():
        links = Links(launch, own)
        try:
            yield Ranks(launch.rank, launch.size, links)
        except BaseException as error:
            _turn_deaf()
            told = _explained(links, error)
            told.said = not links.leave(told)  # type: ignore[attr-defined]
            if told is error:
                raise
            raise told from error
        links.close()


def _explained(links: Links, error: BaseException) -> BaseException:
    """The error, or where this rank was told to end because another has died, that."""
    if isinstance(error, KeyboardInterrupt) and not isinstance(error, Interrupted):
        return links.known(ASKING_SECONDS) or error
    return error


def _own_device(launch: Launch, name: str) -> torch.device:
    """This rank's, which it then calls "cuda"."""
    if name.startswith("cuda:"):
        raise ConfigError(
            f"{launch.size} ranks cannot all compute on {name}", where="--device", hint="Use --device cuda or cpu."
        )
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if max(launch.here, launch.local + 1) > (count := torch.cuda.device_count()):
        error = ConfigError(
            f"there are {count} GPUs for {launch.here} ranks on this machine",
            hint="Start one rank a GPU (--nproc-per-node), or use --device cpu.",
        )
        error.said = launch.local + 1 < launch.here  # type: ignore[attr-defined]  # rank 0 may be elsewhere
        raise error
    torch.cuda.set_device(launch.local)
    return torch.device("cuda")


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM interrupts as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


def _turn_deaf() -> None:
    """For a while, so that there is time to say why: a launcher tells every rank that is left to end, and one that was
    interrupted it tells again."""
    if threading.current_thread() is not threading.main_thread():
        return
    until = time.monotonic() + DEAF_SECONDS

    def handle(number: int, _: object) -> None:
        if time.monotonic() > until:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
