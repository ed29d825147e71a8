"""Tells on the way which members have collapsed, and which have recovered."""

from collections.abc import Sequence

from vaefrag import terminal
from vaefrag_core.config import TrainConfig
from vaefrag_core.training.checkpoints import MemberStatus
from vaefrag_core.training.collapse import collapse_sentence, collapsed_members


class CollapseWatch:
    """Says once when members collapse, and once when they recover.

    Args:
        train: how they are trained.
        name: of the ensemble, where several are trained.
    """

    def __init__(self, train: TrainConfig, name: str = "") -> None:
        self._train, self._before = train, f"{name}: " if name else ""
        self._collapsed: set[int] = set()

    def __call__(self, statuses: Sequence[MemberStatus]) -> None:
        """Look at all members as they stand."""
        now = set(collapsed_members(statuses, self._train))
        if now - self._collapsed:
            sentence = collapse_sentence(sorted(now), len(statuses))
            terminal.print_message(f"[yellow]{self._before}{sentence}[/]")
        if back := sorted(self._collapsed - now):
            terminal.print_message(f"{self._before}Recovered: {', '.join(f'member {m}' for m in back)}.")
        self._collapsed = now
