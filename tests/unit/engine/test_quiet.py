"""What the log says while brokers are away, and what is said of a group without an assignment."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from aiokafka.errors import KafkaConnectionError, NotLeaderForPartitionError, TopicAuthorizationFailedError

from streams.engine.group import describe
from streams.engine.quiet import REPEAT_S, Quiet

log = logging.getLogger("aiokafka.tests")
timers = logging.getLogger("mode.timers")


@pytest.fixture
def quiet() -> Iterator[Quiet]:
    found = Quiet()
    with found.installed():
        yield found


def test_lines_about_requests_that_did_not_get_through_are_one_line(
    quiet: Quiet, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(100):
        log.error("Unable connect to node with id %s: %s", number, KafkaConnectionError("refused"))
        log.error("Failed fetch messages from %s: %s", number, OSError("reset"))
        log.warning(
            "Got error produce response on %s, retrying. Error: %s", number, NotLeaderForPartitionError
        )
    assert len(caplog.records) == 1
    assert quiet.left_out == 299


def test_a_line_of_another_kind_passes_beside_them(quiet: Quiet, caplog: pytest.LogCaptureFixture) -> None:
    log.error("Failed fetch messages from %s: %s", 1, OSError("reset"))
    log.error("Group Coordinator Request failed: %s", TopicAuthorizationFailedError("journal"))
    assert "journal" in caplog.messages[-1]
    assert len(caplog.records) == 2


def test_nothing_of_them_passes_while_brokers_are_known_to_be_away(
    quiet: Quiet, caplog: pytest.LogCaptureFixture
) -> None:
    quiet.away = True
    log.error("Unable to update metadata from %s", [1, 2])
    log.error("Failed fetch messages from %s: %s", 1, OSError("reset"))
    assert caplog.records == []
    log.error("Topic %s is not authorized for this client", "journal")
    assert caplog.messages == ["Topic journal is not authorized for this client"]


def test_a_repeated_line_comes_back_with_the_number_of_those_left_out(
    quiet: Quiet, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1_000.0]
    monkeypatch.setattr("streams.engine.quiet.monotonic", lambda: clock[0])
    for _ in range(3):
        log.warning("Topic %s not found", "journal")
    clock[0] += REPEAT_S
    log.warning("Topic %s not found", "journal")
    assert caplog.messages == [
        "Topic journal not found",
        "Topic journal not found (and 2 more of this kind in the last 30 s)",
    ]


def test_lines_about_timers_never_pass_and_none_is_held_back_after_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    quiet = Quiet()
    with quiet.installed():
        timers.warning("Timer %s is overlapping", "commit")
    assert caplog.records == []
    timers.warning("Timer %s is overlapping", "commit")
    assert len(caplog.records) == 1


def test_the_last_complaint_is_known_although_it_was_left_out(quiet: Quiet) -> None:
    quiet.away = True
    log.error("Failed fetch messages from %s: %s", 1, OSError("reset"))
    assert quiet.last_of("aiokafka.tests", 60.0) == "Failed fetch messages from 1: reset"
    assert quiet.last_of("aiokafka.tests", -1.0) is None
    assert quiet.last_of("aiokafka.others", 60.0) is None


def test_the_members_that_hold_a_group_up_are_named() -> None:
    members = [(f"id{n}", f"worker-{n}", "/127.0.0.1") for n in range(7)]
    said = describe("PreparingRebalance", members)
    assert "state PreparingRebalance with 7 members (worker-0/127.0.0.1, worker-1/127.0.0.1" in said
    assert "and 2 more" in said
    assert "has no members" in describe("", [])
