"""Retries, circuits and their metrics."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from ocelake.errors import SettingError, Unreachable
from ocelake.metrics import REGISTRY
from ocelake.resilience import Guard
from ocelake.settings import Resilience

QUICK = {"seconds": 5.0, "first_wait": 0.01, "longest_wait": 0.02, "failures": 1000, "open_seconds": 0.3}
ONE_TRY = 1e-9


class Down(Exception):
    """What passes by itself."""


def guard(**settings: float) -> Guard:
    """A guard of a place of its own, as circuits are shared by all guards of a place."""
    place = f"place {uuid4().hex}"
    return Guard(
        "broker", place, lambda error: isinstance(error, Down), "Start it.", Resilience(**{**QUICK, **settings})
    )


def fails(times: int, error: type[Exception] = Down) -> Callable[[], int]:
    """A function that fails so often, and then gives the number of its calls."""
    lock, calls = threading.Lock(), 0

    def call() -> int:
        nonlocal calls
        with lock:
            calls += 1
            if calls <= times:
                raise error(f"call {calls}")
            return calls

    return call


def sample(name: str, of: Guard, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"ocelake_{name}", {"system": of.system, "place": of.place, **labels})


def test_a_call_is_made_again_until_it_succeeds(caplog: pytest.LogCaptureFixture) -> None:
    one = guard()
    with caplog.at_level(logging.WARNING):
        assert one.call(fails(3)) == 4
    assert sample("retries_total", one) == 3
    assert sample("failures_total", one) is None
    assert len(caplog.messages) == 3
    assert one.place in caplog.messages[0]
    assert "call 1" in caplog.messages[0]


def test_what_does_not_pass_is_raised_at_once_and_as_it_is() -> None:
    one, broken = guard(), fails(3, ValueError)
    with pytest.raises(ValueError, match="call 1"):
        one.call(broken)
    assert sample("retries_total", one) is None


def test_it_is_given_up_in_time_and_says_what_where_and_what_to_do() -> None:
    one, began = guard(seconds=0.4), time.monotonic()
    with pytest.raises(Unreachable) as error:
        one.call(fails(10**9))
    assert 0.2 < time.monotonic() - began < 5
    assert isinstance(error.value.__cause__, Down)
    assert "broker" in error.value.what
    assert error.value.where == one.place
    assert error.value.fix == "Start it."
    assert sample("failures_total", one) == 1


def test_waits_grow_and_differ(caplog: pytest.LogCaptureFixture) -> None:
    waits = []
    for _ in range(20):
        caplog.clear()
        assert guard(first_wait=0.01, longest_wait=0.04).call(fails(5)) == 6
        waits.append([record.args[3] for record in caplog.records])
    most = [max(column) for column in zip(*waits, strict=True)]
    assert all(0 < wait <= 0.01 * 2**n and wait <= 0.04 for row in waits for n, wait in enumerate(row))
    assert most[2] > 0.01
    assert len({tuple(row) for row in waits}) == 20


def test_a_system_that_is_down_is_left_alone_and_tried_again() -> None:
    one, call = guard(seconds=ONE_TRY, failures=3, open_seconds=1), fails(4)
    for _ in range(3):
        with pytest.raises(Unreachable, match="call"):
            one.call(call)
    assert sample("circuit_state", one, ocelake_circuit_state="opened") == 1
    began = time.monotonic()
    with pytest.raises(Unreachable, match="left alone"):  # at once, and without a call
        one.call(call)
    assert time.monotonic() - began < 0.5
    time.sleep(1.05)
    with pytest.raises(Unreachable, match="call 4"):  # it is tried, and is still down
        one.call(call)
    with pytest.raises(Unreachable, match="left alone"):
        one.call(call)
    time.sleep(1.05)
    assert one.call(call) == 5
    assert sample("circuit_state", one, ocelake_circuit_state="closed") == 1
    assert sample("circuit_state", one, ocelake_circuit_state="opened") == 0


def test_a_call_that_is_being_tried_again_waits_for_an_open_circuit() -> None:
    one, call = guard(failures=2), fails(2)
    began = time.monotonic()
    assert one.call(call) == 3  # not one call was made while it was open
    assert time.monotonic() - began > 0.3


def test_a_call_that_begins_in_an_outage_waits_as_the_others_do() -> None:
    one, call = guard(failures=2), fails(2)
    impatient = Guard(
        one.system, one.place, one.transient, one.fix, Resilience(**{**QUICK, "failures": 2, "seconds": ONE_TRY})
    )
    for _ in range(2):
        with pytest.raises(Unreachable, match="call"):
            impatient.call(call)
    assert one.call(call) == 3


def test_refusals_keep_no_trace_of_each_other() -> None:
    one = guard(seconds=ONE_TRY, failures=1, open_seconds=60)
    depths = []
    for _ in range(20):
        with pytest.raises(Unreachable) as error:
            one.call(fails(1))
        cause, frames = error.value.__cause__.__traceback__, 0
        while cause:
            cause, frames = cause.tb_next, frames + 1
        depths.append(frames)
    assert len(set(depths[1:])) == 1


def test_an_answer_closes_the_circuit_even_if_it_is_an_error() -> None:
    one = guard(seconds=ONE_TRY, failures=2)
    for _ in range(5):
        with pytest.raises(Unreachable, match="call 1"):
            one.call(fails(1))
        with pytest.raises(ValueError, match="call 1"):
            one.call(fails(1, ValueError))


def test_threads_share_a_circuit() -> None:
    one, call = guard(seconds=ONE_TRY, failures=4, open_seconds=0.05), fails(12)
    refused = 0

    def insist(_: int) -> int:
        nonlocal refused
        while True:
            try:
                return one.call(call)
            except Unreachable:
                refused += 1
                time.sleep(0.01)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(insist, range(64)))
    assert sorted(answers) == list(range(13, 77))
    assert refused > 0


def test_it_decorates() -> None:
    one, call = guard(), fails(1)

    @one
    def plus(first: int, *, second: int) -> int:
        """Add."""
        return call() + first + second

    assert plus(1, second=2) == 5
    assert plus.__doc__ == "Add."


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCELAKE_RESILIENCE__SECONDS", "7")
    assert Resilience.load() == Resilience(seconds=7)
    monkeypatch.setenv("OCELAKE_RESILIENCE__SECONDS", "-7")
    with pytest.raises(SettingError, match="OCELAKE_RESILIENCE__SECONDS"):
        Resilience.load()
    monkeypatch.delenv("OCELAKE_RESILIENCE__SECONDS")
    monkeypatch.setenv("OCELAKE_RESILIENCE__SECOND", "7")
    with pytest.raises(SettingError, match="perhaps seconds is meant"):
        Resilience.load()
