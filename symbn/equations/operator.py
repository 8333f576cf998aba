"""The operator: an ordered list of equations, validated once, from which everything else follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import sympy
from sympy import Eq, Idx, Indexed, IndexedBase, Symbol

from symbn.equations import notation, validation
from symbn.equations.later import later
from symbn.equations.names import identifier
from symbn.equations.order import in_order
from symbn.equations.reductions import REDUCTIONS
from symbn.equations.validation import Name
from symbn.errors import EquationError


class Definition(NamedTuple):
    """``name[indices] = expression``."""

    name: str
    indices: tuple[str, ...]
    expression: Any


@dataclass(frozen=True, init=False, repr=False)
class Operator:
    """Equations over indexed arrays, in plain SymPy.

    Parameters
    ----------
    name
        What the operator is called; the generated C function is named for it.
    equations
        ``sympy.Eq(lhs, rhs)`` in the order of evaluation. A left side is ``v[i, k]`` (or a plain Symbol);
        it is defined once, and read only by later equations. An index that occurs on the right only is
        bound by a ``Sum``, a ``Product``, a ``ReduceMax`` or a ``ReduceMin``. What nothing defines is an input:
        an array where it is indexed, a scalar where it is not. Extents (``m`` in ``Sum(..., (i, 1, m))``) are
        read off the arrays at the call.
    outputs
        The defined arrays (or their names) that the kernel returns, in order.
    inputs
        The order of the inputs. Default: arrays before scalars, arrays with more indices first, then by
        first equation, then the order in which the expression is evaluated (innermost first). An input may be
        named with its indices, ``x[i, k]``: its axes are called so, and no equation need read it.
    statistics
        Arrays that are passed in the accumulator's dtype (float64) whatever the data's dtype is, because
        the data's precision would lose what they hold. Default: the outputs that other equations read.
    defaults
        The value that stands for an input that is not given: ``{gamma: 1, beta: 0}``.
    domains
        Scalar -> ``sympy.Set`` of admitted values, where the symbol's own assumptions
        (``positive=True``, ``nonnegative=True``) do not say it.
    description
        What is computed and where the formula comes from; it becomes the documentation.
    optional
        Output -> the input without which it is not returned (the gradient of an input that is not given).
    given
        Equations that hold between the inputs, such as those of the statistics that a forward pass saved for
        this one. They are not computed, but a gradient goes through them: it is that of the whole.

    Raises
    ------
    EquationError
        If the equations define no operator; the message names the equation and the symbol.

    Examples
    --------
    >>> from sympy import Eq, Idx, IndexedBase, Sum, symbols
    >>> m, n = symbols("m n", integer=True, positive=True)
    >>> i, k = Idx("i", (1, m)), Idx("k", (1, n))
    >>> x, mu = IndexedBase("x"), IndexedBase("mu")
    >>> op = Operator("mean", [Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m)], outputs=[mu])
    >>> op.inputs, op.outputs
    (('x',), ('mu',))
    """

    name: str
    equations: tuple[Eq, ...]
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    statistics: frozenset[str]
    description: str
    #: index name -> extent name, in order of first appearance
    indices: Mapping[str, str]
    #: array name -> names of the extents of its axes; what has no axes but is defined is here with ()
    arrays: Mapping[str, tuple[str, ...]]
    #: array name -> the indices it was first written with
    written: Mapping[str, tuple[str, ...]]
    #: names of the scalar inputs
    scalars: tuple[str, ...]
    #: extent name -> its fixed value, for the extents that are numbers
    fixed_extents: Mapping[str, int]
    defaults: Mapping[str, float]
    domains: Mapping[str, sympy.Set]
    optional: Mapping[str, str]
    given: tuple[Eq, ...]

    def __init__(
        self,
        name: str,
        equations: Iterable[Eq],
        outputs: Iterable[Name],
        *,
        inputs: Iterable[Name] | None = None,
        statistics: Iterable[Name] | None = None,
        defaults: Mapping[Any, float] | None = None,
        domains: Mapping[Any, sympy.Set] | None = None,
        optional: Mapping[Any, Name] | None = None,
        given: Iterable[Eq] = (),
        description: str = "",
    ) -> None:
        if not isinstance(name, str) or not name.isidentifier() or identifier(name) != name:
            raise EquationError(
                f"name: {name!r} cannot name a C function; use ASCII letters and digits, no word of C or Python"
            )
        try:
            eqs = tuple(equations)
        except TypeError:
            raise EquationError(f"equations: is a {type(equations).__name__}, expected a list of sympy.Eq") from None
        inputs = None if inputs is None else list(inputs)
        declared = [one for one in inputs or () if isinstance(one, Indexed)]
        found = validation.scan(eqs, declared)
        if given := tuple(given):
            try:
                validation.scan(tuple(_system(given, eqs)), declared)
            except ValueError as error:
                raise EquationError(f"given: {error}") from None
        put = object.__setattr__
        put(self, "name", name)
        put(self, "equations", eqs)
        put(self, "given", given)
        put(self, "description", description.strip())
        put(self, "indices", MappingProxyType(found.indices))
        put(self, "arrays", MappingProxyType(found.arrays))
        put(self, "written", MappingProxyType(found.written))
        put(self, "fixed_extents", MappingProxyType(found.fixed_extents))
        put(self, "scalars", tuple(found.scalars))
        put(self, "outputs", validation.outputs(outputs, found))
        put(self, "inputs", validation.inputs(inputs, found))
        put(self, "statistics", validation.statistics(statistics, found, self.outputs))
        put(self, "defaults", MappingProxyType(validation.defaults(defaults, found)))
        put(self, "optional", MappingProxyType(validation.optional(optional, self.inputs, self.outputs)))
        put(self, "domains", MappingProxyType(validation.domains(domains, found)))

    @classmethod
    def from_markdown(
        cls,
        path: Any,
        *,
        name: str | None = None,
        outputs: Iterable[Name] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> Operator:
        r"""The operator that the displayed formulas of a Markdown page define.

        Parameters
        ----------
        path
            A file of UTF-8 text. Formulas stand in ``$$ .. $$``, ``\[ .. \]``, a math fence or an environment.
        name
            Default: the file's name.
        outputs
            Default: what no other equation reads, then the statistics, which are reductions to fewer indices.
        names
            LaTeX of a name -> what to call it. With its square, the square is a name: ``{r"\sigma^2": "var"}``.
            Without, that is so where the page defines the square (``\sigma_k^2 = ...`` defines sigma2); else a
            square is a power.

        Raises
        ------
        PageError
            If a formula cannot be read, with file, line and place; if two contradict; if they define no operator.
        """
        return later("parse.page").read(path, name=name, outputs=outputs, names=names).operator  # type: ignore[no-any-return]

    @property
    def definitions(self) -> tuple[Definition, ...]:
        """The equations as definitions: what is defined, on which indices, by which expression."""
        return tuple(
            Definition(str(eq.lhs.base.label), tuple(str(index.name) for index in eq.lhs.indices), eq.rhs)
            if isinstance(eq.lhs, Indexed)
            else Definition(str(eq.lhs.name), (), eq.rhs)
            for eq in self.equations
        )

    @property
    def system(self) -> tuple[Eq, ...]:
        """What is given and what is computed, each equation after those that define what it reads."""
        return tuple(_system(self.given, self.equations))

    @property
    def reduced(self) -> tuple[str, ...]:
        """The indices that a reduction goes over."""
        reductions = {one for eq in self.equations for one in eq.atoms(*REDUCTIONS)}
        bound = {str(limit[0].name) for one in reductions for limit in one.limits}
        return tuple(index for index in self.indices if index in bound)

    @property
    def features(self) -> tuple[str, ...]:
        """The indices whose elements do not depend on each other: reduced by nothing, the only ones of their extent."""
        extents = list(self.indices.values())
        return tuple(
            index for index, extent in self.indices.items() if index not in self.reduced and extents.count(extent) == 1
        )

    # ---- what later stages make of an operator -----------------------------------------------------

    def gradient(self, of: Iterable[Name] | Name | None = None, wrt: Iterable[Name] | Name | None = None) -> Operator:
        """The operator that computes gradients: dx, dgamma, dbeta, ... from dy (reverse mode).

        Parameters
        ----------
        of
            Outputs whose cotangents are given. Default: those that are no statistics. Each becomes an input
            called d and the output's name.
        wrt
            Inputs to differentiate by; each has an output called d and the input's name, of its shape. Default:
            the arrays other than statistics; a scalar, or a statistic that is an input, when it is named.

        Returns
        -------
        Operator
            Its inputs are the cotangents, and of the forward pass's inputs and statistics what it needs; what the
            forward pass does not return is computed again. Where a name is taken a number follows (``ddx_2``). It
            can be differentiated further: the statistics among its inputs are known to follow from the others.

        Raises
        ------
        DerivationError
            If ``of`` or ``wrt`` names something else, or a step of the derivation fails its exact check.
        """
        return self.derivation(of, wrt).collapsed  # type: ignore[no-any-return]

    def jvp(self, of: Iterable[Name] | Name | None = None, wrt: Iterable[Name] | Name | None = None) -> Operator:
        """The operator that computes directional derivatives: dy, dmu, ... from dx (forward mode).

        ``wrt`` are the inputs that move, by a tangent called d and the input's name; ``of`` the outputs whose tangents,
        named likewise, are wanted (default: all). What else it takes is as for ``gradient``.
        """
        return later("derivation.jvp").derive(self, of, wrt)  # type: ignore[no-any-return]

    def derivation(self, of: Iterable[Name] | Name | None = None, wrt: Iterable[Name] | Name | None = None) -> Any:
        """How the gradient follows from the equations, each step proved.

        Returns
        -------
        symbn.derivation.derivation.Derivation
            ``steps`` (each with ``before``, ``after``, ``rule`` and ``reason``), ``staged`` and ``collapsed``
            (operators), and ``latex()``, ``markdown()`` and ``html()``. Arguments and errors are those of ``gradient``.
        """
        return later("derivation.gradient").derive(self, of, wrt)

    def element(self, name: str) -> Any:
        """An element of an array, on the indices that it was first written with; of a number the Symbol."""
        indices = [
            Idx(index, (1, self.fixed_extents.get(extent, Symbol(extent, integer=True))))
            for index in self.written.get(name, ())
            for extent in [self.indices[index]]
        ]
        return IndexedBase(name)[tuple(indices)] if indices else Symbol(name)

    def __reduce__(self) -> tuple[Any, ...]:
        options: dict[str, Any] = {
            "inputs": tuple(self.element(name) for name in self.inputs),
            "statistics": tuple(sorted(self.statistics)),
            "defaults": dict(self.defaults),
            "domains": dict(self.domains),
            "optional": dict(self.optional),
            "given": self.given,
            "description": self.description,
        }
        return partial(Operator, **options), (self.name, self.equations, self.outputs)

    def __hash__(self) -> int:
        return hash((self.name, self.equations, self.outputs, self.inputs))

    def __repr__(self) -> str:
        lines = [f"Operator {self.name}({', '.join(self.inputs)}) -> {', '.join(self.outputs)}"]
        lines += [f"  ({number}) {notation.plain(eq)}" for number, eq in enumerate(self.equations, 1)]
        return "\n".join(lines)

    def latex(self) -> str:
        """The equations as a LaTeX ``align`` environment, numbered by tags as the generated C numbers them."""
        return notation.align(self.equations)

    def _repr_latex_(self) -> str:
        return self.latex()

    def _repr_html_(self) -> str:
        return later("render.html").equations(self)  # type: ignore[no-any-return]


def _system(given: tuple[Eq, ...], equations: tuple[Eq, ...]) -> list[Eq]:
    def reads(eq: Eq) -> set[str]:
        return {str(symbol.name) for symbol in eq.rhs.atoms(Symbol)}

    def defines(eq: Eq) -> str:
        return str(eq.lhs.base.label if isinstance(eq.lhs, Indexed) else eq.lhs.name)

    return in_order((*given, *equations), defines, reads)
