"""Which cell is next."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from limbeck.studies.spec import Cell

__all__ = ["Queue"]


class Queue:
    """The cells of a study on their way from waiting to done or failed; what is made of a cell waits for it.

    Args:
        cells: all of them, in the order in which they are to be done.
        done: names of those that are finished.
    """

    def __init__(self, cells: Iterable[Cell], done: Collection[str]) -> None:
        self.cells = {cell.name: cell for cell in cells}
        self.done: set[str] = set(done)
        self.failed: set[str] = set()
        self.waiting = [cell for name, cell in self.cells.items() if name not in self.done]

    def take(self) -> Cell | None:
        """The next that can be worked on now, no longer waiting; None where there is none."""
        for cell in self.waiting:
            if cell.made_of is None or cell.made_of in self.done:
                self.waiting.remove(cell)
                return cell
        return None

    def settle(self, name: str, *, failed: bool) -> None:
        """Say how a cell ended."""
        (self.failed if failed else self.done).add(name)

    def orphans(self) -> list[Cell]:
        """The waiting cells that are made of one that failed; they have failed by then, too."""
        found: list[Cell] = []
        while more := [cell for cell in self.waiting if cell.made_of in self.failed]:
            found += more
            self.failed |= {cell.name for cell in more}
            self.waiting = [cell for cell in self.waiting if cell not in more]
        return found

    @property
    def settled(self) -> int:
        """Cells that are done or failed."""
        return len(self.done) + len(self.failed)
