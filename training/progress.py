"""What a long command shows while it runs: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

_BAR_STEPS = 1000


def line_of(row: Mapping[str, float]) -> str:
    """`name value` pairs with four digits; whole numbers as they are."""
    return "  ".join(f"{name} {value:.4g}" if value % 1 else f"{name} {value:.0f}" for name, value in row.items())


class Report:
    """Context manager; every `row` goes to the bar's text, and becomes a line where there is no terminal.

    quiet   shows nothing
    """

    def __init__(self, console: Console | None = None, quiet: bool = False) -> None:
        self.console = console or Console(soft_wrap=True, highlight=False, stderr=True, quiet=quiet)
        self._bar = Progress(
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task("", total=_BAR_STEPS)

    def __enter__(self) -> Report:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def row(self, row: Mapping[str, float], share_done: float, keep: bool = False) -> None:
        """Show one row.

        share_done   [0, 1] for the bar
        keep         print a line on a terminal too
        """
        text = line_of(row)
        self._bar.update(self._task, completed=share_done * _BAR_STEPS, description=text)
        if keep or not self.console.is_terminal:
            self.console.print(text, markup=False)
