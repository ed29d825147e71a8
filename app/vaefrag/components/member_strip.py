"""The members of an ensemble at one glance."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from dash import html

from vaefrag.components.markup import aria

STATES = {
    "done": "trained",
    "running": "in training",
    "begun": "begun",
    "queued": "waiting",
    "waiting": "waiting",
    "failed": "failed",
    "cancelled": "cancelled",
}
MOST_CELLS = 1_000  # more could not be told apart, and would make every poll of a job heavy


class Member(Protocol):
    """What is shown of a member: its number, its state, and how many steps it has been trained."""

    @property
    def index(self) -> int:
        """Its number in the ensemble."""

    @property
    def state(self) -> str:
        """One of `STATES`."""

    @property
    def step(self) -> int:
        """Steps trained."""


def member_strip(members: Sequence[Member], selected: int | None = None, *, at_work: bool = True) -> html.Div:
    """Show each member as a cell, and how many are in each state in words.

    Args:
        members: in order.
        selected: the member that is marked; None when cells cannot be selected.
        at_work: whether anybody trains them; else those on the way have only begun.
    """
    states = ["begun" if member.state == "running" and not at_work else member.state for member in members]
    counts = Counter(STATES[state] for state in states)
    words = ", ".join(f"{counts[text]} {text}" for text in dict.fromkeys(STATES.values()) if counts[text])
    cells = [_cell(member, state, selected) for member, state in zip(members[:MOST_CELLS], states, strict=False)]
    more = f" Cells of the first {MOST_CELLS:,} are shown." if len(members) > MOST_CELLS else ""
    return html.Div(
        [
            html.Div(cells, className="cells", role="img", **aria(label=words)),
            html.P(f"{words}.{more}", className="note"),
        ]
    )


def _cell(member: Member, state: str, selected: int | None) -> html.Span:
    # One listener of `assets/pages.js` reads this attribute: a Dash callback on each of a thousand cells would be slow.
    clickable: dict[str, Any] = {} if selected is None else {"data-member": str(member.index)}
    style = f"cell cell-{state}" + (" on" if member.index == selected else "")
    title = f"member {member.index}: {STATES[state]}, step {member.step:,}"
    return html.Span(className=style, title=title, **clickable)
