"""Program -> a C file and its header."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sympy

from symbn.dtypes import DType
from symbn.emit import templates
from symbn.emit.expressions import HELPERS
from symbn.emit.interface import CACHE_BYPASS, CACHE_BYTES, ArrayArgument, Interface, ScalarArgument
from symbn.emit.statements import StatementPrinter, stride
from symbn.equations import notation
from symbn.equations.names import identifier
from symbn.equations.operator import Operator
from symbn.kernel.ir import (
    Alternative,
    Array,
    Expr,
    Load,
    Local,
    Nest,
    Op,
    Prefetch,
    Program,
    Row,
    Var,
    Walk,
    Window,
    walk,
)
from symbn.kernel.summation import BLOCK, LANES


@dataclass(frozen=True)
class Source:
    """A kernel's C: one file, its header, and how the function is called."""

    interface: Interface
    header: str
    text: str


def emit(operator: Operator, program: Program, dtype: DType) -> Source:
    """Print a program for one dtype of data."""
    interface = _interface(operator, program, dtype)
    values = {
        "function": interface.function,
        "operator": operator.name,
        "dtype": dtype.name,
        "description": [notation.comment(line) for line in operator.description.splitlines()],
        "equations": [
            line
            for number, eq in enumerate(operator.equations, 1)
            for line in textwrap.wrap(notation.plain(eq), 96, initial_indent=f"({number}) ", subsequent_indent="      ")
        ],
        "extents": [
            {"fields": fields, "index": index, "extent": identifier(operator.indices[index])}
            for index, fields in interface.extents
        ],
        "extent_fields": list(program.level_extents()),
        "strides": [
            {"name": array.name, "fields": [field for axis in array.strides for field in axis]}
            for array in interface.arrays
            if array.strides
        ],
        "parameters": [_parameter(array, dtype) for array in program.arrays if array.role != "workspace"],
        "scalars": list(program.scalars),
        "inputs": [_written(array) for array in interface.arrays if array.role == "input"] + list(program.scalars),
        "outputs": [_written(array) for array in interface.arrays if array.role == "output"],
    }
    declarations = templates.render("declarations.h.j2", **values)
    header = templates.render("kernel.h.j2", declarations=declarations, **values)
    shared = _shared(program)
    nests = [_nest(program, nest, dtype) for nest in program.nests]
    nests_by_name = {str(nest["name"]): nest for nest in nests}
    text = templates.render(
        "kernel.c.j2",
        **values,
        nests=nests,
        shared=[{"name": name, "size": _size(program, name, dtype)} for name in shared],
        size_extents=_extents_of(
            [
                *(size for _, size in program.workspaces),
                *(one.tasks for step in program.steps for one in step if one.tasks is not None),
                *(one.keeps for step in program.steps for one in step if one.keeps is not None),
            ],
            program,
        ),
        steps=[[_alternative(program, one, nests_by_name, dtype, shared) for one in step] for step in program.steps],
        windows=bool(_windows(program)),
        read_types=_window_types(program, dtype, lambda window: not window.written),
        slab_types=_window_types(program, dtype, lambda window: window.fresh),
        written_types=_window_types(program, dtype, lambda window: window.written),
        max_levels=max((len(window.levels) for window in _windows(program)), default=1),
        allocates=bool(program.workspaces),
        unused=_unused(program),
        block=BLOCK,
        stretch=max((window.capacity for window in _windows(program) if window.written), default=0),
        lanes=LANES,
        compensated=dtype.compensated,
        reduces=any(isinstance(node, Local) and node.shape for nest in program.nests for node in walk(nest.body)),
        prefetches=any(isinstance(node, Prefetch) for nest in program.nests for node in walk(nest.body)),
        helpers=sorted(
            {
                HELPERS[node.name]
                for nest in program.nests
                for node in walk(nest.body)
                if isinstance(node, Op) and node.name in HELPERS
            }
        ),
    )
    return Source(interface, header, text)


def _window_types(program: Program, dtype: DType, kind: Callable[[Window], bool]) -> list[str]:
    """The C types of the windows of a kind."""
    return sorted({_c_type(program.array(window.array), dtype) for window in _windows(program) if kind(window)})


def _windows(program: Program) -> list[Window]:
    return [node for nest in program.nests for node in walk(nest.body) if isinstance(node, Window)]


def _c_type(array: Array, dtype: DType) -> str:
    return dtype.c_type if array.kind == "data" else "double"


def _written(array: ArrayArgument) -> str:
    return f"{array.name}[{', '.join(array.indices)}]" if array.indices else array.name


def _unused(program: Program) -> list[str]:
    """The function's arguments that no nest reads: an input that cancels out of the equations, say."""
    used = {name for nest in program.nests for name in _names(nest)}
    arrays = [array.name for array in program.arrays if array.role != "workspace"]
    return [name for name in (*arrays, *program.scalars) if name not in used]


def _parameter(array: Array, dtype: DType) -> str:
    return f"{'const ' if array.role == 'input' else ''}{_c_type(array, dtype)} *{array.name}"


def _names(nest: Nest) -> set[str]:
    """Every array, scalar and extent that a nest mentions."""
    result: set[str] = set()
    for node in walk(nest.body):
        if isinstance(node, Var):
            result.add(node.name)
        elif isinstance(node, Load):
            result.add(node.array)
        elif isinstance(node, Window | Row):
            result.add(node.array)
            result.update(level.extent for level in node.levels)
        elif isinstance(node, Walk):
            # The outermost level is not compared with its extent.
            result.update(level.extent for level in node.levels[1:])
    return result


def _used_workspaces(program: Program, nest: Nest) -> list[Array]:
    names = _names(nest)
    return [array for array in program.arrays if array.role == "workspace" and array.name in names]


def _shared(program: Program) -> list[str]:
    """The workspaces that more than one step uses."""
    users: dict[str, set[int]] = {}
    for number, step in enumerate(program.steps):
        for name in (name for one in step for name in one.nests):
            for array in _used_workspaces(program, program.nest(name)):
                users.setdefault(array.name, set()).add(number)
    return [name for name, _ in program.workspaces if len(users.get(name, ())) > 1]


def _extents_of(exprs: list[object], program: Program) -> list[str]:
    used = {node.name for expr in exprs for node in walk(expr) if isinstance(node, Var)}  # type: ignore[arg-type]
    return [extent for extent in program.level_extents() if extent in used]


def _printed(program: Program, expr: Expr, dtype: DType) -> str:
    return StatementPrinter(program, program.nests[0], dtype.c_type).expression(expr)


def _size(program: Program, name: str, dtype: DType) -> str:
    return _printed(program, dict(program.workspaces)[name], dtype)


def _alternative(
    program: Program, one: Alternative, nests: Mapping[str, dict[str, object]], dtype: DType, shared: list[str]
) -> dict[str, object]:
    """The nests of an alternative, the workspaces that they alone use, and the conditions under which they run."""
    used = {array.name for name in one.nests for array in _used_workspaces(program, program.nest(name))}
    units = dict.fromkeys(stride(*pair) for name in one.nests for pair in program.nest(name).unit)
    conditions = [f"layout->{stride(*one.avoid)} != 1"] if one.avoid else []
    conditions += [f"layout->{field} == 1" for field in units]
    if one.tasks is not None:
        conditions.append(f"threads <= {_printed(program, one.tasks, dtype)}")
    if one.keeps is not None:
        size = f"(ptrdiff_t)sizeof({dtype.c_type})"
        conditions.append(f"{_printed(program, one.keeps, dtype)} * {size} <= layout->{CACHE_BYTES}")
    return {
        "nests": [nests[name] for name in one.nests],
        "conditions": conditions,
        "workspaces": [
            {"name": name, "size": _size(program, name, dtype)}
            for name, _ in program.workspaces
            if name in used and name not in shared
        ],
    }


def _nest(program: Program, nest: Nest, dtype: DType) -> dict[str, object]:
    names = _names(nest)
    extents = {level.extent for array in _used_workspaces(program, nest) for level in array.axes[1:]}
    arrays = [array for array in program.arrays if array.name in names]
    scalars = [scalar for scalar in program.scalars if scalar in names]
    printer = StatementPrinter(program, nest, dtype.c_type)
    windows = [node for node in walk(nest.body) if isinstance(node, Window)]
    slabs = {window.slab: window for window in windows if window.fresh}
    streams = {window.array: window for window in windows if window.written}
    return {
        "name": nest.name,
        "slabs": [
            {
                "name": name,
                "type": _c_type(program.array(window.array), dtype),
                "levels": len(window.levels),
                **dict(zip(("extents", "strides"), printer.along(window), strict=True)),
            }
            for name, window in slabs.items()
        ],
        "streams": [{"name": f"{name}_stream", "type": _c_type(program.array(name), dtype)} for name in streams],
        "parameters": [*(_parameter(array, dtype) for array in arrays), *(f"double {scalar}" for scalar in scalars)],
        "arguments": ["layout", *(array.name for array in arrays), *scalars],
        "extents": [extent for extent in program.level_extents() if extent in names | extents],
        "parallel": nest.is_parallel(),
        "lines": printer.block(nest.body, 1),
    }


def _interface(operator: Operator, program: Program, dtype: DType) -> Interface:
    by_name = {array.name: array for array in program.arrays}
    parts = dict(program.extents)

    def fields(name: str) -> tuple[tuple[str, ...], ...]:
        array = by_name[identifier(name)]
        left = [stride(array.name, level.name) for level in array.axes]
        counts = [len(parts[operator.indices[index]]) for index in operator.written[name]]
        return tuple(tuple(left.pop(0) for _ in range(count)) for count in counts)

    arrays = tuple(
        ArrayArgument(identifier(name), role, name in operator.statistics, operator.written[name], fields(name))
        for names, role in ((operator.inputs, "input"), (operator.outputs, "output"))
        for name in names
        if name in operator.arrays
    )
    strides = tuple(field for array in arrays for axis in array.strides for field in axis)
    return Interface(
        function=f"{operator.name}_{dtype.name}",
        dtype=dtype.name,
        arrays=arrays,
        scalars=tuple(_scalar(operator, name) for name in operator.inputs if name in operator.scalars),
        extents=tuple((index, parts[extent]) for index, extent in operator.indices.items()),
        fixed=tuple(
            (index, operator.fixed_extents[extent])
            for index, extent in operator.indices.items()
            if extent in operator.fixed_extents
        ),
        layout=(*program.level_extents(), *strides, CACHE_BYTES, CACHE_BYPASS),
        reduced=operator.reduced,
        features=operator.features,
        aliases=program.aliases,
        defaults=tuple((identifier(name), value) for name, value in operator.defaults.items()),
        optional=tuple((identifier(output), identifier(name)) for output, name in operator.optional.items()),
        inputs=tuple(identifier(name) for name in operator.inputs),
        outputs=tuple(identifier(name) for name in operator.outputs),
    )


def _scalar(operator: Operator, name: str) -> ScalarArgument:
    domain = operator.domains.get(name)
    if domain is None:
        return ScalarArgument(identifier(name))
    if isinstance(domain, sympy.FiniteSet):
        return ScalarArgument(identifier(name), choices=tuple(sorted(float(value) for value in domain)))
    return ScalarArgument(
        identifier(name),
        float(domain.inf),
        float(domain.sup),
        lower_open=bool(getattr(domain, "left_open", False)) and domain.inf.is_finite,
    )
