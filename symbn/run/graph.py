"""The reference as a graph: what it computes from what, so that a part of it can be evaluated by itself.

The reference (symbn.run.reference) is plain NumPy on whole arrays. Called once with ``Recorded`` stand-ins it
yields a graph of the same operations, node by node, in which each node knows on which axes of the reference it
varies. Any part of the graph can be evaluated on any block of any array.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

Array = Any


@dataclass(frozen=True, eq=False)
class Node:
    """A value; ``axes`` are those of the reference's axes on which it varies."""

    axes: frozenset[int]


@dataclass(frozen=True, eq=False)
class Number(Node):
    value: Any


@dataclass(frozen=True, eq=False)
class View(Node):
    """An input, a constant array or a reduction, laid out: for each of the reference's axes one of its own, or None.

    A reduction's own axes are numbered as in its term.
    """

    source: str | Reduction | Constant
    entries: tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class Apply(Node):
    """A function, element by element; ``stem`` stands for the same elements, wherever they are moved."""

    function: Callable[..., Any]
    args: tuple[Node, ...]
    options: tuple[tuple[str, Any], ...]
    stem: object


@dataclass(frozen=True, eq=False)
class Reduction:
    """NumPy's reduction of a term along some axes."""

    function: Callable[..., Any]
    term: Node
    axis: frozenset[int]
    options: tuple[tuple[str, Any], ...]

    @property
    def axes(self) -> frozenset[int]:
        return self.term.axes - self.axis

    def __call__(self, terms: Any) -> Any:
        return self.function(terms, axis=tuple(sorted(self.axis)), keepdims=True, **dict(self.options))


@dataclass(frozen=True, eq=False)
class Constant:
    array: Array


@dataclass(frozen=True)
class Graph:
    """The nodes of the reference's inputs that are read, and of its outputs; ``rank`` is the number of its axes."""

    rank: int
    outputs: tuple[Node, ...]


def below(node: Node | Reduction, seen: dict[Any, None] | None = None) -> Iterator[Node | Reduction]:
    """All that a node is made of, each once, what is needed first, itself last."""
    seen = {} if seen is None else seen
    if node in seen:
        return
    seen[node] = None
    if isinstance(node, Apply):
        for one in node.args:
            yield from below(one, seen)
    elif isinstance(node, Reduction):
        yield from below(node.term, seen)
    elif isinstance(node, View) and isinstance(node.source, Reduction):
        yield from below(node.source, seen)
    yield node


@lru_cache(maxsize=256)
def record(
    reference: Callable[..., tuple[Any, ...]],
    inputs: tuple[tuple[str, tuple[int, ...] | None], ...],
    scalars: tuple[tuple[str, float], ...],
    rank: int,
) -> Graph:
    """The graph of a reference on ``rank`` axes.

    ``inputs`` are its arguments in order: an array's name and shape, or a number's name and None.
    """
    recorder = _Recorder()
    numbers = dict(scalars)
    arguments = [
        recorder.number(numbers[name]) if shape is None else recorder.view(name, tuple(range(len(shape))), shape)
        for name, shape in inputs
    ]
    results = reference(*arguments)
    return Graph(rank, tuple(recorder.lift(one).node for one in results))


class _Recorder:
    """Makes nodes; the same operation on the same nodes is one node."""

    def __init__(self) -> None:
        self.known: dict[Any, Any] = {}

    def once(self, make: Callable[..., Any], *parts: Any) -> Any:
        key = (make, *parts)
        if key not in self.known:
            self.known[key] = make(*parts)
        return self.known[key]

    def view(self, source: Any, entries: tuple[int | None, ...], shape: tuple[int, ...]) -> Recorded:
        axes = frozenset(axis for axis, one in enumerate(entries) if one is not None)
        return Recorded(self, self.once(View, axes, source, entries), shape)

    def number(self, value: Any) -> Recorded:
        # The text tells 0 from -0, and has all digits.
        key = (Number, repr(np.longdouble(value)))
        if key not in self.known:
            self.known[key] = Number(frozenset(), np.asarray(value, np.longdouble))
        return Recorded(self, self.known[key], ())

    def lift(self, value: Any) -> Recorded:
        if isinstance(value, Recorded):
            return value
        array = np.asarray(value, np.longdouble)
        if array.ndim == 0:
            return self.number(array)
        entries = tuple(axis if size != 1 else None for axis, size in enumerate(array.shape))
        return self.view(Constant(array), entries, array.shape)

    def apply(self, function: Callable[..., Any], args: Sequence[Any], **options: Any) -> Recorded:
        nodes = tuple(self.lift(one).node for one in args)
        return Recorded(self, self.applied(function, nodes, tuple(options.items())), ())

    def applied(self, function: Any, nodes: tuple[Node, ...], options: Any, stem: object = None) -> Apply:
        axes = frozenset().union(*(node.axes for node in nodes))
        key = (Apply, function, nodes, options)
        if key not in self.known:
            self.known[key] = Apply(axes, function, nodes, options, object() if stem is None else stem)
        found: Apply = self.known[key]
        return found

    def reduce(self, function: Any, term: Recorded, axis: Any, **options: Any) -> Recorded:
        one = self.once(Reduction, function, term.node, frozenset(axis), tuple(options.items()))
        rank = max((*one.axes, *one.axis), default=-1) + 1
        return self.view(one, tuple(axis if axis in one.axes else None for axis in range(rank)), ())

    def moved(self, node: Node, order: Sequence[int]) -> Node:
        """The node with its axes in another order: axis a of the result is order[a] of the node."""
        if isinstance(node, View):
            entries = node.entries + (None,) * (len(order) - len(node.entries))
            return self.view(node.source, tuple(entries[one] for one in order), ()).node
        if isinstance(node, Apply):
            return self.applied(
                node.function, tuple(self.moved(one, order) for one in node.args), node.options, node.stem
            )
        return node


class Recorded:
    """A stand-in for an array of the reference: what is done to it is written down."""

    __array_priority__ = 100.0
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, recorder: _Recorder, node: Node, shape: tuple[int, ...]) -> None:
        self.recorder = recorder
        self.node = node
        #: of an input as it is given; of nothing else does the reference ask for it
        self.shape = shape

    def transpose(self, *order: int) -> Recorded:
        assert isinstance(self.node, View)
        return self.recorder.view(self.node.source, tuple(self.node.entries[one] for one in order), ())

    def __getitem__(self, key: Any) -> Recorded:
        assert isinstance(self.node, View)
        own = iter(self.node.entries)
        entries = tuple(None if one is None else next(own) for one in key)
        return self.recorder.view(self.node.source, entries, ())

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return self.recorder.apply(ufunc, inputs, **kwargs) if method == "__call__" else NotImplemented

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func is np.where:
            return self.recorder.apply(np.where, args)
        if func is np.moveaxis:
            term, source, target = args
            rank = max((*source, *target, *term.node.axes)) + 1
            order = [axis for axis in range(rank) if axis not in source]
            for here, there in sorted(zip(target, source, strict=True)):
                order.insert(here, there)
            return Recorded(self.recorder, self.recorder.moved(term.node, order), ())
        return self.recorder.reduce(func, args[0], kwargs.pop("axis"), **_without(kwargs, "keepdims"))

    def __and__(self, other: Any) -> Recorded:
        return self.recorder.apply(operator.and_, (self, other))

    def __or__(self, other: Any) -> Recorded:
        return self.recorder.apply(operator.or_, (self, other))

    def __invert__(self) -> Recorded:
        return self.recorder.apply(operator.invert, (self,))

    def __neg__(self) -> Recorded:
        return self.recorder.apply(np.negative, (self,))


def _without(options: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != name}


def _operator(ufunc: Any, swapped: bool = False) -> Any:
    def method(self: Recorded, other: Any) -> Recorded:
        return self.recorder.apply(ufunc, (other, self) if swapped else (self, other))

    return method


for _name, _ufunc in {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.divide,
    "pow": np.power,
}.items():
    setattr(Recorded, f"__{_name}__", _operator(_ufunc))
    setattr(Recorded, f"__r{_name}__", _operator(_ufunc, swapped=True))
for _name, _ufunc in {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}.items():
    setattr(Recorded, f"__{_name}__", _operator(_ufunc))
