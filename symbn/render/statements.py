"""Which C statements each equation became: the labels of the generated file, by line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from symbn import dtypes
from symbn.emit import c
from symbn.equations.names import identifier
from symbn.equations.operator import Operator
from symbn.kernel import schedule

_LABEL = re.compile(r"^\s*/\* \(\d+\)(?:, \(\d+\))* \*/$")
_NUMBER = re.compile(r"\((\d+)\)")
_WRITTEN = re.compile(r"^\s*(?:const double )?(\w+)(?:\[[^\]]*\])* (?:\+=|=) ")
_NEST = re.compile(r"^static void (\w+)\($")


@dataclass(frozen=True)
class Statement:
    """A line of the generated C that computes what an equation defines."""

    equation: int
    nest: str
    line: int
    code: str


@dataclass(frozen=True)
class Listing:
    """The statements of one generated file, in order."""

    file: str
    statements: tuple[Statement, ...]


def listing(operator: Operator) -> Listing:
    """The labelled statements of an operator's C for float32 that write what their equation defines."""
    dtype = dtypes.dtype("float32")
    source = c.emit(operator, schedule.lower(operator, compensated=dtype.compensated), dtype)
    names = [identifier(definition.name) for definition in operator.definitions]
    found = []
    nest, wanted = "", list[int]()
    for line, code in enumerate(source.text.splitlines(), 1):
        if opened := _NEST.match(code):
            nest = opened[1]
        if _LABEL.match(code):
            wanted = [int(one) for one in _NUMBER.findall(code)]
        elif written := _WRITTEN.match(code):
            # One label may stand for several statements: each is its own array's, or that array's sum.
            for number in wanted:
                if re.fullmatch(rf"{names[number - 1]}(_(sum|hi|prod|max|min|lanes|row|part)\d*)*", written[1]):
                    found.append(Statement(number, nest, line, code.strip()))
        else:
            wanted = []
    return Listing(f"{source.interface.function}.c", tuple(found))
