"""The URL is the selection."""

import pytest

from vaefrag.pages.selection import Choices, Selection, parse_search

CHOICES = Choices(
    measure="vi",
    names={f"{m}.{d}": 3 * m + d for m in range(3) for d in range(3)},
    hotspots={"nmi": 2, "vi": 0},
    labels=["digit", "a & b"],
    base_images=4,
)


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(measure="vi", layout="umap", dead=True),
        Selection().select("1.2"),
        Selection().select("1.2", "0.1"),
        Selection().select("1.2", "0.1").replace(label="a & b"),
        Selection().select("0.0", "0.1", "0.2").replace(base=3),
        Selection().select_hotspot(1).replace(base=2),
    ],
)
def test_what_is_written_to_the_url_is_read_back(selection: Selection) -> None:
    assert parse_search(selection.search(), CHOICES) == (selection, [])


def test_an_empty_url_shows_the_measure_that_was_asked_for() -> None:
    assert parse_search("", CHOICES) == (Selection(measure="vi"), [])
    assert parse_search(None, CHOICES) == (Selection(measure="vi"), [])


@pytest.mark.parametrize(
    ("search", "sentence"),
    [
        ("?measure=cosine", "The address asks for measure “cosine”; there is nmi and vi. Showing vi."),
        ("?map=tsne", "The address asks for map “tsne”; there is mds and umap. Showing mds."),
        ("?dead=yes", "The address asks for dead “yes”; there is 0 and 1. Showing 0."),
        ("?channel=7.7", "There is no channel “7.7”: channels are named member.channel, from 0.0 to 2.2."),
        ("?pair=1.1", "A pair is two different channels, such as pair=0.1,2.3."),
        ("?pair=1.1,1.1", "A pair is two different channels, such as pair=0.1,2.3."),
        ("?measure=nmi&hotspot=2", "There is no hotspot “2” by NMI: they are numbered 0 to 1."),
        ("?measure=vi&hotspot=0", "There is no hotspot “0” by VI: none was found."),
        ("?hotspot=-1&measure=nmi", "There is no hotspot “-1” by NMI: they are numbered 0 to 1."),
        ("?base=9&measure=nmi&hotspot=1", "The address asks for base “9”; there is 0, 1, 2 and 3. Showing 0."),
        ("?pair=0.0,0.1&label=size", "The address asks for label “size”; there is digit and a & b. Showing digit."),
    ],
)
def test_what_is_not_understood_is_said_and_left_out(search: str, sentence: str) -> None:
    selection, problems = parse_search(search, CHOICES)
    assert problems == [sentence]
    assert selection.focus in ("nothing", "channel", "pair", "hotspot")


def test_known_channels_stay_when_others_are_not() -> None:
    selection, problems = parse_search("?channels=0.0,8.8,1.1,2.2", CHOICES)
    assert selection.channels == ("0.0", "1.1", "2.2")
    assert len(problems) == 1


def test_a_hotspot_is_let_go_when_the_measure_changes() -> None:
    assert Selection().select_hotspot(1).with_measure("vi") == Selection(measure="vi")
    assert Selection().select("0.1").with_measure("vi").channels == ("0.1",)


def test_repeated_channels_count_once() -> None:
    assert Selection().select("0.1", "0.1").focus == "channel"
    assert Selection().select().focus == "nothing"
