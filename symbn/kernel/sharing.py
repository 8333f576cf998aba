"""Expressions that occur twice are computed once; values that nobody reads are not computed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from symbn.kernel.ir import Expr, For, If, Let, Op, Row, Stmt, Var, Walk, Window, walk
from symbn.kernel.naming import Names

_CONDITIONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not"})


def share(exprs: list[Expr], names: Names) -> tuple[list[Stmt], list[Expr]]:
    """Lets for the operations that occur more than once, and the expressions that read them."""
    seen: dict[Expr, int] = {}

    def count(expr: Expr) -> None:
        if isinstance(expr, Op) and expr.args:
            seen[expr] = seen.get(expr, 0) + 1
            if seen[expr] == 1:
                for arg in expr.args:
                    count(arg)

    for expr in exprs:
        count(expr)
    lets: list[Stmt] = []
    shared: dict[Expr, Var] = {}

    def rewrite(expr: Expr) -> Expr:
        if not isinstance(expr, Op) or not expr.args:
            return expr
        if expr in shared:
            return shared[expr]
        new = Op(expr.name, tuple(rewrite(arg) for arg in expr.args))
        if seen[expr] > 1 and expr.name not in _CONDITIONS:
            shared[expr] = Var(names.fresh("t1"))
            lets.append(Let(shared[expr].name, new))
            return shared[expr]
        return new

    return lets, [rewrite(expr) for expr in exprs]


def prune(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """The statements without the local values that nothing in their scope reads."""
    result: list[Any] = []
    read: set[str] = set()
    for statement in reversed(body):
        if isinstance(statement, Let) and statement.name not in read:
            continue
        if isinstance(statement, For | If | Walk | Window):
            statement = replace(statement, body=prune(statement.body))
        for node in walk(statement):
            if isinstance(node, Var):
                read.add(node.name)
            elif isinstance(node, Window | Row):
                read.update(node.subscripts)
        result.append(statement)
    return tuple(reversed(result))
