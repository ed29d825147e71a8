"""The watch for collapsed members during a training."""

from collections.abc import Sequence

from vaefrag import terminal
from vaefrag_core.config import TrainConfig
from vaefrag_core.training.checkpoints import MemberStatus
from vaefrag_core.training.collapse import collapse_sentence, collapsed_members


class CollapseWatch:
    """Prints once when members collapse, and once when they recover.

    Args:
        train: the training settings of the ensemble.
        name: the name of the ensemble, where several are trained.
    """

    def __init__(self, train: TrainConfig, name: str = "") -> None:
        self._train, self._prefix = train, f"{name}: " if name else ""
        self._collapsed: set[int] = set()

    def __call__(self, statuses: Sequence[MemberStatus]) -> None:
        """Check the status of all members."""
        collapsed = set(collapsed_members(statuses, self._train))
        if collapsed - self._collapsed:
            sentence = collapse_sentence(sorted(collapsed), len(statuses))
            terminal.print_message(f"[yellow]{self._prefix}{sentence}[/]")
        if recovered := sorted(self._collapsed - collapsed):
            terminal.print_message(f"{self._prefix}Recovered: {', '.join(f'member {m}' for m in recovered)}.")
        self._collapsed = collapsed
