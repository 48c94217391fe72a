from __future__ import annotations

from faust.types import TP

from streams.engine.foreign import WriteTracker

LOG = TP("app-t-changelog", 1)


def test_records_that_follow_our_last_ones_are_ours_alone() -> None:
    tracker = WriteTracker()
    tracker.begin(LOG, 10)
    assert tracker.acknowledged(LOG, 10, 12) is None
    assert tracker.acknowledged(LOG, 12, 13) is None


def test_what_lies_before_our_records_is_another_writers_and_is_told_once() -> None:
    tracker = WriteTracker()
    tracker.begin(LOG, 10)
    assert tracker.acknowledged(LOG, 14, 16) == (10, 14)
    assert tracker.acknowledged(LOG, 16, 17) is None


def test_nothing_is_concluded_without_a_known_end() -> None:
    tracker = WriteTracker()
    assert tracker.acknowledged(LOG, 5, 6) is None
    assert tracker.acknowledged(LOG, -1, -1) is None
    assert tracker.acknowledged(LOG, 90, 91) is None
    tracker.begin(LOG, 91)
    tracker.clear()
    assert tracker.acknowledged(LOG, 95, 96) is None
