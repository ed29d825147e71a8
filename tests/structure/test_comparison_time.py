"""A comparison that takes long is announced, and how long follows from a part of it."""

import itertools

import pytest

from vaefrag.commands import options
from vaefrag_core.structure import comparison_time
from vaefrag_core.structure.comparison_time import comparison_seconds


@pytest.mark.parametrize(
    ("channels", "images", "seconds"), [(50, 400, 2.0), (300, 1_000, 2.0), (600, 60_000, 2.0 * 4 * 3_600)]
)
def test_time_grows_with_the_squares_of_channels_and_images(
    monkeypatch: pytest.MonkeyPatch, channels: int, images: int, seconds: float
) -> None:
    clock = itertools.count(0.0, 2.0)
    monkeypatch.setattr(comparison_time.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(comparison_time, "shared_bits", lambda rows, **_: None)
    assert comparison_seconds(channels, images) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("images", "seconds", "words"),
    [(1_000, 1e6, ""), (60_000, 100.0, ""), (60_000, 1_200.0, "about 20 minutes"), (60_000, 54_000.0, "15.0 hours")],
)
def test_a_long_comparison_is_said_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, images: int, seconds: float, words: str
) -> None:
    messages: list[str] = []
    monkeypatch.setattr(comparison_time, "comparison_seconds", lambda *_, **__: seconds)
    monkeypatch.setattr("vaefrag.terminal.print_message", messages.append)
    options.warn_of_long_comparison(300, images)
    assert len(messages) == bool(words)
    assert all(words in message for message in messages)


@pytest.mark.parametrize(("images", "words"), [(2_000, ""), (3_000, "198 times, takes about 10 minutes")])
def test_comparisons_again_and_again_are_said_of_fewer_images(
    monkeypatch: pytest.MonkeyPatch, images: int, words: str
) -> None:
    messages: list[str] = []
    monkeypatch.setattr(comparison_time, "comparison_seconds", lambda *_, **__: 600 / 198)
    monkeypatch.setattr("vaefrag.terminal.print_message", messages.append)
    options.warn_of_long_comparison(300, images, comparisons=198)
    assert len(messages) == bool(words)
    assert all(words in message for message in messages)
