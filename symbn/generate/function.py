"""A shipped operator as a Python function: its signature and documentation follow from the operator."""

from __future__ import annotations

import pprint
from dataclasses import dataclass
from typing import Any

import sympy

from symbn.emit import templates
from symbn.emit.interface import Interface
from symbn.equations import notation
from symbn.equations.binding import AxisBinding
from symbn.equations.names import identifier
from symbn.equations.operator import Operator
from symbn.generate import shapes
from symbn.run import arguments, reference

#: what the field calls in Python what equations write as a letter
ARGUMENT_NAMES = {"epsilon": "eps", "mu": "mean", "sigma2": "var"}


@dataclass(frozen=True)
class _Parameter:
    name: str
    default: str | None
    text: str


def module(operator: Operator, binding: AxisBinding | None, interfaces: tuple[Interface, ...]) -> str:
    """The source of the Python module with the function, its reference and its interfaces."""
    interface = interfaces[0]
    names = {name: ARGUMENT_NAMES[name] for name in (*interface.inputs, *interface.outputs) if name in ARGUMENT_NAMES}
    arrays = [identifier(name) for name in operator.inputs if name in operator.arrays]
    outputs = [names.get(name, name) for name in interface.outputs]
    parameters = _placed(
        [_parameter(operator, binding, interface, name, names) for name in operator.inputs], operator, binding
    )
    summary, _, rest = operator.description.partition("\n")
    return templates.render(
        "function.py.j2",
        name=operator.name,
        summary=summary.rstrip("."),
        description=rest.strip().splitlines(),
        equations=[f"({n}) {notation.plain(eq)}" for n, eq in enumerate(operator.equations, 1)],
        parameters=parameters,
        arrays=[{"name": names.get(name, name), "optional": name in dict(interface.defaults)} for name in arrays],
        scalars=[
            {"name": names.get(spec.name, spec.name), "lower": spec.lower, "upper": spec.upper, "choices": spec.choices}
            for spec in interface.scalars
        ],
        where=binding.argument if binding else None,
        places=tuple(binding.places.items()) if binding else None,
        names=names,
        outputs=[{"name": names.get(n, n), "text": _output(operator, binding, n)} for n in interface.outputs],
        result="".join(word.title() for word in operator.name.split("_")) + "Result" if len(outputs) > 1 else None,
        interface=pprint.pformat(interface, width=100, compact=True),
        optional=[(names.get(output, output), names.get(name, name)) for output, name in interface.optional],
        dtypes=tuple(one.dtype for one in interfaces),
        reference=reference.numpy_source(operator),
    )


def _placed(parameters: list[_Parameter], operator: Operator, binding: AxisBinding | None) -> list[_Parameter]:
    """The parameters with the one that the places of indices depend on: after those without a default, or last."""
    if binding is None or binding.argument is None:
        return parameters
    if binding.axis is not None:
        return [*parameters, _Parameter("axis", repr(binding.axis), f"int\n    {shapes.places(binding)}")]
    (groups,) = [index.split()[0] for index in binding.places if " " in index]
    text = f"int\n    The number of groups, {operator.indices[groups]}; it divides the channels."
    required = [one for one in parameters if one.default is None]
    return [*required, _Parameter(str(binding.groups), None, text), *parameters[len(required) :]]


def _parameter(
    operator: Operator, binding: AxisBinding | None, interface: Interface, name: str, names: dict[str, str]
) -> _Parameter:
    own = identifier(name)
    default = operator.defaults.get(name)
    if name in operator.arrays:
        dtype = "float64, or the data's dtype" if name in operator.statistics else "float32 or float64"
        kind = f"array, {shapes.shape(operator, binding, own)}, {dtype}"
        text = "" if default is None else f"\n    None stands for {default:g}."
        return _Parameter(names.get(own, own), None if default is None else "None", kind + text)
    domain: Any = operator.domains.get(name)
    if isinstance(domain, sympy.FiniteSet) and set(domain) <= {0, 1}:
        return _Parameter(names.get(own, own), None if default is None else str(bool(default)), "bool")
    spec = next(one for one in interface.scalars if one.name == own)
    return _Parameter(names.get(own, own), None if default is None else repr(default), arguments.domain(spec))


def _output(operator: Operator, binding: AxisBinding | None, name: str) -> str:
    original = next(one for one in operator.outputs if identifier(one) == name)
    dtype = "float64" if original in operator.statistics else "the data's dtype"
    optional = operator.optional.get(original)
    without = f"; None where {optional} is not given" if optional else ""
    return f"array, {shapes.shape(operator, binding, name)}, {dtype}{without}"
