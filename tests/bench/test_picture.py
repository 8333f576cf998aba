"""The picture: its files are there and show everybody."""

import re
from dataclasses import replace

import pytest

from symbn.bench import picture
from symbn.bench.measure import Timing

pytest.importorskip("matplotlib")


@pytest.fixture
def words(monkeypatch):
    """The words of a figure, which an SVG draws as outlines."""
    figures = []
    own = picture._figure
    monkeypatch.setattr(picture, "_figure", lambda results: figures.append(own(results)) or figures[-1])

    def read():
        from matplotlib.text import Text

        return [one.get_text() for one in figures[-1].findobj(Text)]

    return read


def test_both_files_are_written_and_are_the_same_each_time(results, tmp_path, words):
    paths = picture.draw(results, tmp_path)
    assert [path.name for path in paths] == ["bench.svg", "bench.png"]
    svg, png = (path.read_bytes() for path in paths)
    assert svg.startswith(b"<?xml")
    assert png.startswith(b"\x89PNG")
    width = int(re.search(rb'<svg [^>]*width="(\d+)', svg)[1])
    assert width == 720  # points: ten inches
    assert picture.draw(results, tmp_path)[0].read_bytes() == svg


def test_everybody_is_shown_with_time_and_error(results, tmp_path, words):
    picture.draw(results, tmp_path)
    shown = words()
    assert {"symbn", "PyTorch", "ONNX Runtime", "NumPy", "batch_norm", "rms_norm_backward"} <= set(shown)
    assert {"2.00", "4.00", "0.50", "1e5", "∞"} <= set(shown)  # the small array is not shown
    assert any("abacus" in one for one in shown)


def test_small_arrays_are_shown_where_there_are_no_others(results, tmp_path, words):
    picture.draw(replace(results, measurements=results.measurements[1:2], accuracy=()), tmp_path)
    assert "4.00" in words()


def test_a_time_far_outside_is_inside_the_picture(results, tmp_path):
    first = results.measurements[0]
    far = replace(first, times=first.times | {"NumPy": {"natural": Timing(first.copy.seconds * 700)}})
    panels = [("batch_norm", [far])]
    low, high = picture._limits(panels, results.names)
    assert low < 1 < 700 < high
