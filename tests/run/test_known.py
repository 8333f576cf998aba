"""The short way of a call: it is taken, it computes the same bits, and it lets nothing through that is refused else."""

from __future__ import annotations

import importlib
import threading
from functools import partial

import numpy as np
import pytest
from sympy import Eq, Idx, IndexedBase, symbols

import symbn

FUNCTIONS = (
    "batch_norm",
    "batch_norm_inference",
    "batch_norm_backward",
    "batch_norm_relu",
    "batch_norm_relu_backward",
    "batch_norm_add_relu",
    "layer_norm",
    "layer_norm_backward",
    "rms_norm",
    "rms_norm_backward",
    "group_norm",
    "group_norm_backward",
    "instance_norm",
    "instance_norm_backward",
)


def arguments(function, rng, optional=True):
    """Arguments of an ordinary call, by name."""

    def normal(*shape):
        return rng.standard_normal(shape).astype("f4")

    name = function.removesuffix("_backward").removesuffix("_inference")
    given = {"x": normal(4, 6, 5, 3)}
    if "add" in name:
        given["residual"] = normal(4, 6, 5, 3)
    if name == "group_norm":
        given["num_groups"] = 3
    if name in ("layer_norm", "rms_norm"):
        given["axis"] = -1
    parameters = {one: normal(given["x"].shape[given.get("axis", 1)]) for one in ("gamma", "beta")}
    if name == "rms_norm":
        del parameters["beta"]
    statistics = getattr(symbn, name)(**given, **parameters)._asdict()
    del statistics["y"]
    if function != name:
        given |= statistics
    if function.endswith("_backward"):
        given["dy"] = normal(4, 6, 5, 3)
        if "relu" not in name:
            parameters.pop("beta", None)
    return given | (parameters if optional else {})


def results(found):
    return found if isinstance(found, tuple) else (found,)


def same(found, expected):
    assert type(found) is type(expected)
    for one, other in zip(results(found), results(expected), strict=True):
        assert (one is None and other is None) or (one.shape == other.shape and one.tobytes() == other.tobytes())


@pytest.fixture
def short(monkeypatch):
    """A call that must take the short way."""

    def run(function, **options):
        def refuse(*_, **__):
            pytest.fail(f"{function} took the long way")

        call = importlib.import_module(f"symbn.shipped.{function}").CALL
        with monkeypatch.context() as patch:
            patch.setattr(call, "_run", refuse)
            return getattr(symbn, function)(**options, check="off")

    return run


def channels_last(a):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) if a.ndim == 4 else a.copy()


def with_gaps(a):
    return np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a


def backwards(a):
    return a[::-1].copy()[::-1]


CHANGES = [np.array, channels_last, with_gaps, backwards]
#: (function, change) where the kernel steps over the data as it lies; it copies four axes that are not of one piece
STEPPED = [
    (function, change)
    for function in FUNCTIONS
    for change in CHANGES
    if change in (np.array, with_gaps) or not function.startswith(("layer_norm", "rms_norm"))
]


def each(change, given):
    return {name: change(one) if isinstance(one, np.ndarray) else one for name, one in given.items()}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_second_call_takes_it(short, rng, function, change):
    for optional in (True, False):
        given = each(change, arguments(function, rng, optional))
        expected = getattr(symbn, function)(**given, check="off")
        for _ in range(2):
            # other arrays of the same kind
            found = short(function, **each(lambda a: change(a.copy(order="K")), given))
            same(found, expected)
            mine = [one for one in results(found) if one is not None]
            for number, one in enumerate(mine):
                assert not any(np.shares_memory(one, other) for other in mine[:number])
                assert not any(np.shares_memory(one, a) for a in given.values() if isinstance(a, np.ndarray))
                assert not any(np.shares_memory(one, a) for a in results(expected) if a is not None)
                one[...] = np.nan  # the results of another call are not these


@pytest.mark.parametrize(("function", "change"), STEPPED)
def test_it_writes_what_out_names(short, rng, function, change):
    given = each(change, arguments(function, rng))
    expected = getattr(symbn, function)(**given, check="off")
    count = len(results(expected))
    whole = tuple(change(np.full_like(one, np.nan)) for one in results(expected))
    some = [(one if number % 2 else None) for number, one in enumerate(whole)]
    for out in (whole[0], whole, (whole[0], *[None] * (count - 1)), tuple(some)):
        getattr(symbn, function)(**given, out=out, check="off")
        for one in whole:
            one[...] = np.nan
        found = short(function, **given, out=out)
        same(found, expected)
        for one, target in zip(results(found), out if isinstance(out, tuple) else (out,), strict=False):
            assert target is None or one is target


def test_earlier_results_are_an_out(short, rng):
    x = rng.standard_normal((6, 4))
    result = symbn.batch_norm(x, check="off")
    symbn.batch_norm(x, out=result, check="off")
    found = short("batch_norm", x=2 * x, out=result)
    same(found, symbn.batch_norm(2 * x))
    assert all(one is other for one, other in zip(found, result, strict=True))


def test_statistics_of_the_data_s_dtype_are_converted(short, rng):
    x, mean, var = rng.standard_normal((6, 4)).astype("f4"), np.zeros(4, "f4"), np.ones(4, "f4")
    expected = symbn.batch_norm_inference(x, mean, var)
    for _ in range(2):
        same(short("batch_norm_inference", x=x, mean=mean, var=var), expected)
    # what is converted lies elsewhere, so that its place cannot be compared: the long way sees to it
    memory = np.zeros(40, "f4")
    out = memory[:24].reshape(6, 4)
    symbn.batch_norm_inference(x, memory[30:34], var, out=out, check="off")
    with pytest.raises(symbn.ArgumentError, match=r"^out: overlaps mean in part"):
        symbn.batch_norm_inference(x, memory[20:24], var, out=out, check="off")


@pytest.mark.parametrize(("function", "change"), STEPPED)
def test_it_works_in_place(short, rng, function, change):
    given = each(change, arguments(function, rng))
    expected = getattr(symbn, function)(**given, check="off")
    own = given["x"].copy(order="K")
    kept = own.copy()
    for place in (own, own[:]):
        getattr(symbn, function)(**given | {"x": place}, out=place, check="off")
        own[...] = kept
        same(short(function, **given | {"x": place}, out=place), expected)
        own[...] = kept


def test_what_may_not_be_written_while_it_is_read_takes_the_long_way(rng):
    """The statistics are known, another call wrote them elsewhere: now they go where gamma is."""
    x, gamma, other = rng.standard_normal((6, 4)), rng.standard_normal(4), np.empty(4)
    expected = symbn.batch_norm(x, gamma, check="off")
    symbn.batch_norm(x, gamma, out=(None, other, None), check="off")
    same(symbn.batch_norm(x, gamma, out=(None, gamma, None), check="off"), expected)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_overlap_in_part_is_refused_after_good_calls(short, rng, function):
    """Views of one kind, which lie apart, side by side, then in each other."""
    given = arguments(function, rng)
    expected = results(getattr(symbn, function)(**given, check="off"))[0]

    def run(call, x, out):
        kept = x.copy()
        x[...] = given["x"]
        found = results(call(**given | {"x": x}, out=out))[0]
        assert found is out
        assert np.array_equal(found, expected)
        x[...] = kept

    for turn in (1, -1):
        if turn < 0 and (function, backwards) not in STEPPED:
            continue
        memory = np.zeros((8, 6, 5, 3), "f4")[::turn]
        run(partial(getattr(symbn, function), check="off"), memory[:4], np.zeros((5, 6, 5, 3), "f4")[::turn][:4])
        for x, out in ((memory[:4], memory[4:]), (memory[4:], memory[:4])):
            run(partial(short, function), x, out)
        for first, second in ((0, 1), (1, 0), (0, 3), (3, 0), (4, 2)):
            with pytest.raises(symbn.ArgumentError, match=r"^out: overlaps x in part"):
                run(partial(getattr(symbn, function), check="off"), memory[first:][:4], memory[second:][:4])


def test_overlap_in_the_opposite_direction_is_refused(short):
    memory = np.zeros((8, 6), "f4")
    symbn.batch_norm(memory[:4], out=memory[:3:-1], check="off")
    short("batch_norm", x=memory[4:], out=memory[3::-1])
    with pytest.raises(symbn.ArgumentError, match=r"^out: overlaps x in part"):
        symbn.batch_norm(memory[:4], out=memory[3::-1][:4], check="off")


def test_memory_between_is_no_overlap(rng):
    """Arrays in each other's gaps have bounds that overlap, but no element in common."""
    memory = rng.standard_normal((6, 8))
    x, out = memory[:, ::2], memory[:, 1::2]
    expected = symbn.batch_norm(x)
    symbn.batch_norm(x, out=np.empty((6, 8))[:, ::2], check="off")
    for _ in range(2):
        same(symbn.batch_norm(x, out=out, check="off"), expected)


def test_two_outputs_in_one_place_are_refused_after_good_calls(short):
    x, shared = np.zeros((6, 4)), np.empty(8)
    for out in ((None, np.empty(4), np.empty(4)), (None, shared[:4], shared[4:])):
        symbn.batch_norm(x, out=out, check="off")
        short("batch_norm", x=x, out=out)
    for first, second in ((shared[:4], shared[1:5]), (shared[:4], shared[:4]), (shared[4:], shared[4:])):
        with pytest.raises(symbn.ArgumentError, match=r"^out: two of its arrays share memory"):
            symbn.batch_norm(x, out=(None, first, second), check="off")


def test_a_part_of_an_input_is_no_place_for_an_output(short, rng):
    """Nor where the input owns its memory."""
    x, apart = rng.standard_normal((6, 4)), np.empty(8)
    symbn.batch_norm(x, out=(None, apart[:4], None), check="off")
    short("batch_norm", x=x, out=(None, apart[4:], None))
    with pytest.raises(symbn.ArgumentError, match=r"^out: overlaps x in part"):
        symbn.batch_norm(x, out=(None, x[2], None), check="off")


def locked(a):
    a = a.copy()
    a.flags.writeable = False
    return a


class Own(np.ndarray):
    """A class of its own."""


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        ({"out": locked(np.ones((6, 4), "f4"))}, symbn.ArgumentError, r"^out \(y\): is read-only"),
        ({"out": np.ones((6, 4))}, symbn.ArgumentTypeError, r"^out \(y\): has dtype float64, expected float32"),
        ({"out": np.ones((6, 5), "f4")}, symbn.ArgumentError, r"^out \(y\): has shape \(6, 5\), expected \(6, 4\)"),
        ({"out": np.ones((6, 4), "i4")}, symbn.ArgumentTypeError, r"^out \(y\): has dtype int32, expected float32"),
        ({"out": Own((6, 4), "f4")}, symbn.ArgumentTypeError, "^out: holds a Own"),
        ({"out": np.broadcast_to(np.ones(4, "f4"), (6, 4))}, symbn.ArgumentError, r"^out \(y\): is read-only"),
        ({"out": (None, None)}, symbn.ArgumentError, "^out: has 2 entries"),
        ({"out": "y"}, symbn.ArgumentTypeError, "^out: holds a str"),
        ({"x": np.ma.masked_array(np.ones((6, 4), "f4"))}, symbn.ArgumentTypeError, "^x: is a masked array"),
        ({"x": np.ones((6, 4), "i4")}, symbn.ArgumentTypeError, "^x: has dtype int32"),
        ({"x": np.ones((6, 4), "f2")}, symbn.ArgumentTypeError, "^x: has dtype float16"),
        ({"x": None}, symbn.ArgumentError, "^x: is missing"),
        ({"gamma": np.ones(5, "f4")}, symbn.ArgumentError, r"^gamma: has shape \(5,\), expected \(4,\)"),
        ({"gamma": np.ones(4, "f8")}, symbn.ArgumentTypeError, "^gamma: has dtype float64"),
        ({"axis": 1.0}, symbn.ArgumentTypeError, r"^axis: is 1\.0, expected an integer"),
        ({"axis": 2}, symbn.ArgumentError, "^axis: 2 is out of range"),
        ({"eps": 0.0}, symbn.ArgumentError, "^eps: is 0, expected a finite number greater than 0"),
        ({"eps": float("nan")}, symbn.ArgumentError, "^eps: is not a number"),
        ({"check": "none"}, symbn.ArgumentError, "^check: 'none' is not a check"),
    ],
)
def test_what_is_wrong_is_refused_after_good_calls(short, wrong, error, match):
    good = {"x": np.ones((6, 4), "f4"), "gamma": np.ones(4, "f4"), "out": np.empty((6, 4), "f4")}
    symbn.batch_norm(**good, check="off")
    short("batch_norm", **good)
    with pytest.raises(error, match=match):
        symbn.batch_norm(**{"check": "off"} | good | wrong)


def test_what_is_not_aligned_takes_another_way(short, rng):
    x = rng.standard_normal((6, 4)).astype("f4")
    expected = symbn.batch_norm(x, check="off")
    odd = np.frombuffer(bytearray(x.nbytes + 1), np.uint8)[1:].view("f4").reshape(6, 4)
    odd[...] = x
    for _ in range(2):
        same(symbn.batch_norm(odd, check="off"), expected)
    same(short("batch_norm", x=odd), expected)
    odd[...] = np.nan
    for _ in range(2):
        assert symbn.batch_norm(x, out=odd, check="off").y is odd
        assert np.array_equal(odd, expected.y)


def test_bytes_in_the_other_order_take_another_way(rng):
    x = rng.standard_normal((6, 4)).astype("f4")
    expected, swapped = symbn.batch_norm(x), np.empty((6, 4), np.dtype("f4").newbyteorder())
    for _ in range(3):
        assert symbn.batch_norm(x, out=swapped, check="off").y is swapped
        assert np.array_equal(swapped, expected.y)
        same(symbn.batch_norm(x.astype(swapped.dtype), check="off"), expected)


def test_windows_that_share_their_elements(rng):
    """The result of the first call is a copy: groups of channels do not lie in one piece."""
    x = np.lib.stride_tricks.sliding_window_view(rng.standard_normal(9).astype("f4"), 6)
    expected = symbn.group_norm(np.ascontiguousarray(x), 3)
    for _ in range(3):
        same(symbn.group_norm(x, 3, check="off"), expected)


@pytest.mark.parametrize("shape", [(0, 4), (0, 4, 3), (3, 0)])
def test_empty_arrays(shape):
    x = np.empty(shape, "f4")
    for _ in range(3):
        assert symbn.batch_norm(x, check="off").y.shape == shape
        assert symbn.batch_norm(x, out=x, check="off").y is x


@pytest.mark.parametrize("given", [False, True])
def test_many_threads_make_like_calls_at_once(given):
    """Each has arrays of its own, all of one plan."""
    mistakes = []
    begin = threading.Barrier(8)

    def work(seed):
        rng = np.random.default_rng(seed)
        xs = [rng.standard_normal((4, 6, 5, 3)).astype("f4") for _ in range(4)]
        gamma = rng.standard_normal(6).astype("f4")
        expected = [symbn.batch_norm(x, gamma, check="off") for x in xs]
        begin.wait()
        for turn in range(200):
            x, right = xs[turn % 4], expected[turn % 4]
            out = tuple(np.empty_like(one) for one in right) if given else None
            found = symbn.batch_norm(x, gamma, out=out, check="off")
            if any(one.tobytes() != other.tobytes() for one, other in zip(found, right, strict=True)):
                mistakes.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not mistakes


@pytest.mark.parametrize("options", [{"check": "full"}, {"check": "sample"}, {}])
def test_a_checked_call_is_checked(short, monkeypatch, rng, options):
    x = rng.standard_normal((6, 4))
    symbn.batch_norm(x, check="off")
    short("batch_norm", x=x)
    call = importlib.import_module("symbn.shipped.batch_norm").CALL
    monkeypatch.setattr(call, "_comparison", lambda *_: pytest.fail("it is checked"))
    with pytest.raises(pytest.fail.Exception, match="it is checked"):
        symbn.batch_norm(x, **options)


def test_a_kernel_takes_it_too(kernels, monkeypatch, rng):
    kernel = kernels("standardize")
    x, w = rng.standard_normal((6, 4)).astype("f4"), np.ones(4, "f4")
    expected = kernel(x=x, w=w)
    whole = tuple(np.empty_like(one) for one in expected)
    for out in (None, whole[0], whole):
        kernel(x=x, w=w, out=out, check="off")
        kernel(x=x, out=out, check="off")
    monkeypatch.setattr(kernel._call, "_run", lambda *_: pytest.fail("took the long way"))
    for out in (None, whole[0], whole):
        for given in ({"w": w}, {"w": None}, {}):
            found = kernel(x=x, **given, out=out, check="off")
            same(found, expected)
            assert found.y is whole[0] or out is None
    with pytest.raises(symbn.ArgumentTypeError, match="takes its inputs by keyword"):
        kernel(x, x=x, w=w, check="off")
    with pytest.raises(symbn.ArgumentError, match=r"^axes: 'y' is not an array input"):
        kernel(x=x, w=w, axes={"y": ("i", "k")}, check="off")


def test_names_in_a_kernel_are_its_own():
    """Those of its call's source do not stand in the way."""
    names = "function layout threaded pairs arguments signature apart get_check inf CALL RESULT call".split()
    i = Idx("i", (1, symbols("m", integer=True, positive=True)))
    y, *inputs = map(IndexedBase, ("y", *names))
    kernel = symbn.build(
        symbn.Operator("confused", [Eq(y[i], sum(one[i] for one in inputs))], outputs=[y]), dtype="float32"
    )
    for _ in range(2):
        assert kernel(**{name: np.ones(3, "f4") for name in names}, check="off").tolist() == [len(names)] * 3
