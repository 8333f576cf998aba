"""The measuring, with calls that only move a clock on."""

import pytest

from symbn.bench import measure


class World:
    """Calls that take a known time of a clock that nothing else moves, and a record of their order."""

    def __init__(self):
        self.now = 0.0
        self.ran = []

    def call(self, name, *seconds):
        """A call that takes these times one after the other, then the last one for ever."""
        left = list(seconds)

        def run():
            self.ran.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run

    def clock(self):
        return self.now


def test_everybody_runs_once_in_each_round_and_the_order_moves_on():
    world = World()
    calls = {name: world.call(name, 0.01) for name in "abc"}
    found = measure.measure(calls, 4, clock=world.clock)
    probes = 2 * len(calls)  # one untimed, and one that takes long enough
    assert "".join(world.ran[probes:]) == "abcbcacababc"
    assert {name: timing.seconds for name, timing in found.items()} == pytest.approx(dict.fromkeys("abc", 0.01))


def test_the_median_counts_and_the_spread_is_told():
    world = World()
    # untimed, probe, then five rounds of which one is disturbed
    call = world.call("a", 9.0, 0.01, 0.011, 0.010, 0.500, 0.012, 0.013)
    timing = measure.measure({"a": call}, 5, clock=world.clock)["a"]
    assert timing.seconds == pytest.approx(0.012)
    assert timing.spread == pytest.approx((0.013 - 0.011) / 2 / 0.012)


def test_a_short_call_is_repeated_until_a_sample_is_long_enough():
    world = World()
    found = measure.measure({"short": world.call("short", 1e-6), "long": world.call("long", 0.5)}, 1, clock=world.clock)
    assert found["short"].seconds == pytest.approx(1e-6)
    last = len(world.ran) - 1 - world.ran[::-1].index("long")
    assert world.ran[:last].count("short") * 1e-6 > measure.SAMPLE


def test_rounds_end_when_a_case_has_taken_its_time():
    world = World()
    measure.measure({"a": world.call("a", measure.BUDGET)}, 100, clock=world.clock)
    assert len(world.ran) == 2 + 3


def test_a_call_without_hope_is_timed_once():
    world = World()
    found = measure.measure({"a": world.call("a", 0.01), "slow": world.call("slow", 10.0)}, 5, clock=world.clock)
    assert world.ran.count("slow") == 2
    assert found["slow"] == measure.Timing(10.0)
    assert found["a"].seconds == pytest.approx(0.01)


def test_others_threads_are_waited_for_and_a_call_wakes_its_own(monkeypatch):
    world = World()
    slept = []
    monkeypatch.setattr(measure.time, "sleep", lambda seconds: slept.append((seconds, len(world.ran))))
    measure.measure({"a": world.call("a", 0.0015), "b": world.call("b", 0.01)}, 1, settle=0.02, clock=world.clock)
    assert [seconds for seconds, _ in slept] == [0.02, 0.02]
    assert world.ran[slept[0][1] :] == ["a", "a", "a", "b", "b"]  # one wakes; two calls of the first make a sample
