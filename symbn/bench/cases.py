"""What is measured: operators, shapes and layouts, and the named suites of shapes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from symbn import dtypes
from symbn.errors import ArgumentError

CHANNELS_FIRST, CHANNELS_LAST = "channels-first", "channels-last"
LAYOUTS = (CHANNELS_FIRST, CHANNELS_LAST)

_FEATURES = ("batch_norm", "batch_norm_backward", "batch_norm_inference", "batch_norm_relu")
_ROWS = ("layer_norm", "layer_norm_backward", "rms_norm", "rms_norm_backward")
_CHANNELS = ("group_norm", "group_norm_backward", "instance_norm", "instance_norm_backward")
#: the shipped operators that other implementations have too
OPERATORS = (*_FEATURES, *_ROWS, *_CHANNELS)

_GROUPS = 32


@dataclass(frozen=True)
class Case:
    """One operator on data of one shape: (samples, features) or N, C, and positions, whatever lies where in memory."""

    operator: str
    shape: tuple[int, ...]
    layout: str = CHANNELS_FIRST
    dtype: str = "float32"

    def __str__(self) -> str:
        return "×".join(map(str, self.shape)) + (" channels last" if self.layout == CHANNELS_LAST else "")

    @property
    def norm(self) -> str:
        """The normalization, without what is done with it."""
        return next(name for name in (*_FEATURES[:1], *_ROWS, *_CHANNELS) if self.operator.startswith(name))

    @property
    def backward(self) -> bool:
        return self.operator.endswith("_backward")

    @property
    def inference(self) -> bool:
        """Are the statistics given, and constant?"""
        return self.operator.endswith("_inference")

    @property
    def relu(self) -> bool:
        return self.operator.endswith("_relu")

    @property
    def groups(self) -> int:
        """The groups of group_norm: 32, or as many as divide both that and the channels."""
        return math.gcd(self.shape[1], _GROUPS)

    @property
    def memory_shape(self) -> tuple[int, ...]:
        """The extents in the order of memory, outermost first."""
        n, c, *positions = self.shape
        return (n, *positions, c) if self.layout == CHANNELS_LAST else self.shape

    @property
    def nbytes(self) -> int:
        """The size of the data."""
        return math.prod(self.shape) * (8 if self.dtype == "float64" else 4)


@dataclass(frozen=True)
class Suite:
    """Shapes for some operators; those of a default run say so."""

    operators: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    default: bool = False


def _layers(batch: int, *layers: str) -> tuple[tuple[int, ...], ...]:
    return tuple((batch, *map(int, layer.split("x"))) for layer in layers)


SUITES = {
    "tiny": Suite(_FEATURES[:3], ((8, 16),), default=True),
    "networks": Suite(
        _FEATURES[:3],
        (
            *_layers(32, "64x56x56", "256x56x56", "1024x14x14", "2048x7x7"),
            *_layers(64, "224x28x28"),
            *_layers(96, "192x17x17"),
        ),
        default=True,
    ),
    "matrices": Suite(
        _FEATURES[:3],
        ((64, 32), (1009, 127), (4096, 1024), (127, 65537), (262144, 64)),
        default=True,
    ),
    "fused": Suite(_FEATURES[3:], _layers(32, "64x56x56"), default=True),
    "rows": Suite(_ROWS, ((4096, 768), (8192, 4096), (512, 50257)), default=True),
    "groups": Suite(_CHANNELS, _layers(32, "256x56x56", "512x14x14"), default=True),
    "resnet50": Suite(
        _FEATURES[:3],
        _layers(
            32,
            *("64x112x112", "64x56x56", "256x56x56", "128x56x56", "128x28x28", "512x28x28"),
            *("256x28x28", "256x14x14", "1024x14x14", "512x14x14", "512x7x7", "2048x7x7"),
        ),
    ),
    "densenet121": Suite(
        _FEATURES[:3],
        _layers(
            64,
            *("64x56x56", "96x56x56", "224x56x56", "128x28x28", "288x28x28", "480x28x28"),
            *("256x14x14", "736x14x14", "1024x14x14", "512x7x7", "928x7x7", "1024x7x7"),
        ),
    ),
    "inception3": Suite(
        _FEATURES[:3],
        _layers(
            96,
            *("32x149x149", "80x73x73", "48x35x35", "64x35x35", "96x35x35", "288x35x35"),
            *("128x17x17", "160x17x17", "192x17x17", "768x17x17", "320x8x8", "448x8x8"),
        ),
    ),
    "tall": Suite(_FEATURES[:3], ((65536, 16), (99991, 31), (524287, 3), (1048576, 64))),
    "wide": Suite(_FEATURES[:3], ((2, 1048576), (31, 99991), (256, 65536), (1021, 8191))),
}

#: where the cost of the check is measured
CHECKED = (Case("batch_norm", (32, 64, 56, 56)), Case("batch_norm_backward", (32, 64, 56, 56)))


def _accuracy_shape(operator: str) -> tuple[int, ...]:
    return (97, 769) if operator in _ROWS else (6, 64, 17, 13)


def accuracy_cases(chosen: Sequence[Case]) -> list[Case]:
    """Small cases of the same operators, layouts and dtypes."""
    kinds = dict.fromkeys((one.operator, one.layout, one.dtype) for one in chosen)
    return [Case(operator, _accuracy_shape(operator), layout, dtype) for operator, layout, dtype in kinds]


def takes(operator: str, shape: Sequence[int]) -> bool:
    """Does an operator take data of a shape?"""
    return len(shape) == 2 if operator in _ROWS else len(shape) > 2 if operator in _CHANNELS else len(shape) >= 2


def choose(
    operators: Sequence[str] = (),
    shapes: Sequence[str] = (),
    layouts: Sequence[str] = (),
    kinds: Sequence[str] = ("float32",),
) -> list[Case]:
    """The cases that the options ask for; what they leave out is that of a default run.

    A shape is ``32x64x56x56``, or the name of a suite. Batch norm is measured in both layouts; group and instance
    norm in channels last only on demand.
    """
    _known("operators", operators, OPERATORS)
    _known("layouts", layouts, LAYOUTS)
    for kind in kinds:
        dtypes.dtype(kind)
    wanted: list[tuple[tuple[str, ...], tuple[int, ...]]] = []
    for name in shapes or [name for name, suite in SUITES.items() if suite.default]:
        if name in SUITES:
            wanted += [(SUITES[name].operators, shape) for shape in SUITES[name].shapes]
        else:
            shape = _shape(name)
            wanted.append((tuple(one for one in OPERATORS if takes(one, shape)), shape))
    found = [
        Case(operator, shape, layout, kind)
        for operator in operators or OPERATORS
        for (takers, shape), kind in itertools.product(wanted, kinds)
        if operator in takers
        for layout in _layouts(operator, shape, layouts)
    ]
    if not found:
        raise ArgumentError(
            f"shapes: none of {', '.join(shapes or ['the default shapes'])} is for {', '.join(operators or OPERATORS)}"
            f" in {' or '.join(layouts or LAYOUTS)}; layer and RMS norm take two extents,"
            " group and instance norm three or more"
        )
    return list(dict.fromkeys(found))


def _layouts(operator: str, shape: Sequence[int], asked: Sequence[str]) -> Sequence[str]:
    if len(shape) == 2:
        return [one for one in asked or [CHANNELS_FIRST] if one == CHANNELS_FIRST]
    return asked or (LAYOUTS if operator in _FEATURES else [CHANNELS_FIRST])


def _known(argument: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise ArgumentError(f"{argument}: there is no {name!r}; expected some of {', '.join(known)}")


def _shape(text: str) -> tuple[int, ...]:
    parts = text.split("x")
    if not all(part.isdecimal() and int(part) for part in parts) or len(parts) < 2:
        raise ArgumentError(
            f"shapes: {text!r} is neither a shape such as 4096x768 nor a suite; those are {', '.join(SUITES)}"
        )
    return tuple(map(int, parts))
