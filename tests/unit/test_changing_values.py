"""Values that change are described as all of them at once."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.errors import OcelakeError
from ocelake.mining.incremental import values as module
from ocelake.mining.incremental.values import Values
from ocelake.mining.ocdfg import edge_durations, in_seconds


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[list[int], list[int], list[int]]]:
    """Draw what is left after each change, and what went and came."""
    some = st.integers(0, 9) | st.integers(0, 2**53)
    values = draw(st.lists(some, min_size=30, max_size=60))
    history = [(values, [], values)]
    for _ in range(draw(st.integers(1, 6))):
        went = draw(st.lists(st.sampled_from(sorted(values)), max_size=4)) if values else []
        went = [value for value in set(went) for _ in range(min(went.count(value), values.count(value)))]
        came = draw(st.lists(some, max_size=4))
        values = list(values)
        for value in went:
            values.remove(value)
        values = values + came
        history.append((values, went, came))
    return history


@settings(max_examples=300)
@given(changes(), st.sampled_from([1, 4, 64]))
def test_values_that_change_are_described_as_the_whole(
    history: list[tuple[list[int], list[int], list[int]]], share: int
) -> None:
    values = Values()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SHARE", share)
        for left, went, came in history:
            values = values.changed(np.array(went, dtype=np.int64), np.array(came, dtype=np.int64))
            assert (len(values), values.zeros, values.total) == (len(left), left.count(0), sum(left))
            if left:
                whole = in_seconds(pl.DataFrame({"duration": left}).select(edge_durations())).row(0, named=True)
                assert {f"duration_{name}": value for name, value in values.describe().items()} == whole


def test_little_is_kept_beside_and_much_is_woven_in() -> None:
    many, few = np.arange(1_000), np.array([7, 7, 500])
    beside = Values.of(many).changed(few[:1], few)
    assert (beside.ordered.tolist(), beside.added.tolist(), len(beside.removed)) == (many.tolist(), [7, 500], 0)
    woven = beside.changed(many[600:], many[600:] + 1_000)
    assert (len(woven.ordered), len(woven.added), len(woven.removed)) == (1_002, 0, 0)


@pytest.mark.parametrize("count", [1, 1_000])
def test_what_is_not_there_does_not_go(count: int) -> None:
    values = Values.of(np.arange(count))
    for went in ([count], [0, 0], [-1]):
        with pytest.raises(OcelakeError, match="is not there"):
            values.changed(np.array(went), np.array([5]))
