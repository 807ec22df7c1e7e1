"""What ties the ranks of a run together: torch.distributed's groups, and a board where a rank that ends says why.

On the CPU ranks meet through gloo, which notices at once when a process ends. Tensors on GPUs go through NCCL, which
does not; so ranks meet through gloo right before.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch._C._distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

import limbeck.errors
from limbeck.engine.launch import Launch
from limbeck.errors import ConfigError, LimbeckError, RankError

__all__ = ["Links"]

T = TypeVar("T")
ANSWER = timedelta(minutes=30)
"""How long a rank waits for the others inside a step [torch's own]."""
PATIENCE = timedelta(days=30)
"""How long where rank 0 trains a bank or asks the validation split."""
ASKING_SECONDS = 3.0
"""How long a rank asks why another has ended."""
KEPT = "The run is kept as it stands."
AGAIN = "Start the same command again with --resume."
_sessions = iter(range(1 << 30))
"""A name for each time this process joins others: what was said before is not heard again."""


class Links:
    """Of one process to the others of its run; every process makes its own at the same time.

    Raises:
        RankError: they do not come together.
    """

    def __init__(self, launch: Launch, device: torch.device) -> None:
        if dist.is_initialized():
            raise ConfigError("torch.distributed is in use already", hint="End its process group first.")
        self.rank, self.size, self.device = launch.rank, launch.size, device
        hook = sys.excepthook
        try:
            self.board = PrefixStore(f"limbeck/{next(_sessions)}", _store())
            dist.init_process_group("gloo", store=self.board, timeout=ANSWER, rank=self.rank, world_size=self.size)
            self._patient = dist.new_group(backend="gloo", timeout=PATIENCE)
            self._fast = dist.new_group(backend="nccl", timeout=ANSWER) if device.type == "cuda" else None
            self.board.set(f"who/{self.rank}", f"{socket.gethostname()} {os.getpid()}")
            sys.excepthook = hook  # torch puts the rank before every line, each time anew
        except RuntimeError as error:
            raise RankError(
                f"the {self.size} ranks did not come together ({_line(error)})", hint="See what the others say."
            ) from error

    def sum_(self, tensor: Tensor) -> None:
        self._meet(lambda: dist.all_reduce(tensor, group=self._ready(tensor)))

    def from_first_(self, tensor: Tensor) -> None:
        self._meet(lambda: dist.broadcast(tensor, 0, group=self._ready(tensor)))

    def any(self, flag: bool) -> bool:
        flags = torch.tensor(int(flag))
        self._meet(lambda: dist.all_reduce(flags, dist.ReduceOp.MAX))
        return bool(flags)

    def tell(self, value: Callable[[], T] | None) -> T:
        told: list[Any] = [value() if value is not None else None]
        self._meet(lambda: dist.broadcast_object_list(told, 0, group=self._patient))
        found: T = told[0]
        return found

    def every(self, value: T) -> list[T]:
        told: list[Any] = [None] * self.size
        self._meet(lambda: dist.all_gather_object(told, value))
        return told

    def close(self) -> None:
        """The others notice."""
        dist.destroy_process_group()

    def leave(self, error: BaseException) -> bool:
        """Says on the board why this rank ends; whether it is the first to."""
        about: dict[str, Any] = {"kind": "KeyboardInterrupt", "rank": self.rank}
        if isinstance(error, LimbeckError):
            where = None if error.where is None else str(error.where)
            about |= {"kind": type(error).__name__, "what": error.what, "where": where, "hint": error.hint}
        elif not isinstance(error, KeyboardInterrupt):
            about |= {"kind": "RankError", "what": f"{type(error).__name__}: {error}", "where": None, "hint": AGAIN}
        try:
            first = self.board.add("said", 1) == 1
            self.board.set(f"error/{self.rank}", json.dumps(about))
        except RuntimeError:  # the board has gone with the rank or the launcher that kept it
            first = True
        self.close()
        return first

    def why(self) -> BaseException:
        """What ended another rank."""
        found = self.known(ASKING_SECONDS)
        return found or self.stopped(f"rank {1 - self.rank}" if self.size == 2 else "another rank")

    def known(self, seconds: float) -> BaseException | None:
        """What ended another rank, in its own words if it had any; None where within ``seconds`` none is seen to have
        ended."""
        others = [rank for rank in range(self.size) if rank != self.rank]
        until = time.monotonic() + seconds
        while True:
            for rank in others:
                if (said := self._read(f"error/{rank}")) is not None:
                    return self._as_told(json.loads(said))
            if gone := [rank for rank in others if self._gone(rank)]:
                return self.stopped(f"rank {gone[0]}")
            if time.monotonic() >= until:
                return None
            time.sleep(0.05)

    def stopped(self, which: str) -> RankError:
        return RankError(f"{which} of {self.size} stopped", hint=f"{KEPT} {AGAIN}")

    def _as_told(self, about: dict[str, Any]) -> BaseException:
        if about["kind"] == "KeyboardInterrupt":
            return KeyboardInterrupt()
        kind = getattr(limbeck.errors, about["kind"], RankError)
        where, whose = about["where"], f"rank {about['rank']} of {self.size}"
        told: LimbeckError = kind(about["what"], where=where, hint=about["hint"])
        if kind is RankError and " stopped" in told.what:
            return told  # of a third rank
        return kind(told.what, where=whose if where is None else f"{whose}, {where}", hint=told.hint)

    def _ready(self, tensor: Tensor) -> Any:
        """The group for a tensor, once all are there to use it."""
        if not tensor.is_cuda:
            return None
        dist.all_reduce(torch.zeros(1))
        return self._fast

    def _meet(self, work: Callable[[], object]) -> None:
        try:
            work()
        except RuntimeError as error:  # what torch raises where a connection is closed or an answer does not come
            if isinstance(error, torch.OutOfMemoryError):
                raise
            if "imed out" in str(error):
                raise RankError(
                    f"one of {self.size} ranks does not answer ({_line(error)})", hint=f"{KEPT} {AGAIN}"
                ) from error
            raise self.why() from error

    def _read(self, key: str) -> str | None:
        try:
            return self.board.get(key).decode() if self.board.check([key]) else None
        except RuntimeError:
            return None

    def _gone(self, rank: int) -> bool:
        """Whether the process of a rank on this machine has ended."""
        host, _, pid = (self._read(f"who/{rank}") or "").rpartition(" ")
        return host == socket.gethostname() and _ended(int(pid))


@cache
def _store() -> Store:
    """The launcher's, or rank 0's where there is none."""
    store: Store = next(iter(rendezvous("env://")))[0]
    return store


def _ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    try:  # its parent has not asked for it yet
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False


def _line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
