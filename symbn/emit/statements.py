"""IR statements -> lines of C."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from symbn.emit.expressions import ExpressionPrinter
from symbn.kernel.ir import (
    Array,
    Assign,
    Comment,
    Const,
    Expr,
    For,
    If,
    Int,
    Let,
    Load,
    Local,
    Nest,
    Op,
    Prefetch,
    Program,
    Row,
    Stmt,
    Var,
    Walk,
    Window,
    add,
)

_INDENT = "    "


class StatementPrinter:
    """Prints the body of one loop nest; ``data`` is the C type of the data."""

    def __init__(self, program: Program, nest: Nest, data: str) -> None:
        self.arrays: Mapping[str, Array] = {array.name: array for array in program.arrays}
        self.data = data
        self.unit = frozenset(nest.unit)
        #: views and local arrays in scope -> their C type
        self.local: dict[str, str] = {}
        #: written windows in scope -> their stream, and where their elements lie
        self.streams: dict[str, str] = {}
        self.places: dict[str, str] = {}
        self.expression = ExpressionPrinter(self.read)

    def type(self, array: Array) -> str:
        return self.data if array.kind == "data" else "double"

    # ---- elements --------------------------------------------------------------------------------

    def read(self, load: Load) -> str:
        """An element as a double."""
        element, c_type = self.element(load)
        return element if c_type == "double" else f"(double){element}"

    def element(self, load: Load) -> tuple[str, str]:
        """An element as an lvalue, and its C type."""
        if load.array in self.local:
            places = "".join(f"[{self.expression(sub)}]" for sub in load.subscripts)
            return load.array + places, self.local[load.array]
        array = self.arrays[load.array]
        places = " + ".join(self.offsets(array, tuple(self.inner(sub) for sub in load.subscripts)))
        return f"{array.name}[{places or '0'}]", self.type(array)

    def inner(self, sub: object) -> str:
        text = self.expression(sub)  # type: ignore[arg-type]
        return text if isinstance(sub, Var) else f"({text})"

    def offsets(self, array: Array, places: tuple[str, ...]) -> list[str]:
        """The terms of an element's offset; a place of "" is left out."""
        terms = []
        for number, (level, place) in enumerate(zip(array.axes, places, strict=True)):
            if not place:
                continue
            if array.role == "workspace":
                below = "".join(f" * {inner.extent}" for inner in array.axes[number + 1 :])
                terms.append(place + below)
            elif (array.name, level.name) in self.unit:
                terms.append(place)
            else:
                terms.append(f"{place} * layout->{stride(array.name, level.name)}")
        return terms

    # ---- statements ------------------------------------------------------------------------------

    def block(self, body: tuple[Stmt, ...], depth: int) -> list[str]:
        lines: list[str] = []
        label: Stmt | None = None
        for statement in body:
            if isinstance(statement, Comment):
                # One label serves the statements of an equation that follow each other.
                if statement == label:
                    continue
                label = statement
            elif not isinstance(statement, Let | Assign):
                label = None
            lines += self.statement(statement, depth)
        return lines

    def statement(self, statement: Stmt, depth: int) -> list[str]:
        pad = _INDENT * depth
        match statement:
            case Comment(text):
                return [f"{pad}/* {text} */"]
            case Let(name, value, kind):
                return [f"{pad}const {'ptrdiff_t' if kind == 'index' else 'double'} {name} = {self.expression(value)};"]
            case Local(name, shape, initial):
                self.local[name] = "double"
                extents = "".join(f"[{extent}]" for extent in shape)
                aligned = "_Alignas(64) " if shape else ""
                return [f"{pad}{aligned}double {name}{extents}{self.initial(shape, initial)};"]
            case Assign(target, Op("add", (first, second))) if first == target and self.element(target)[1] == "double":
                return [f"{pad}{self.element(target)[0]} += {self.expression(second)};"]
            case Assign(target, value):
                element, c_type = self.element(target)
                text = self.expression(value)
                return [f"{pad}{element} = {text if c_type == 'double' else f'({c_type})({text})'};"]
            case For():
                return self.loop(statement, depth)
            case If(condition, body):
                return [f"{pad}if ({self.expression(condition)}) {{", *self.block(body, depth + 1), f"{pad}}}"]
            case Prefetch(element):
                return [f"{pad}PREFETCH(&{self.element(element)[0]});"]
            case Walk():
                return self.walk(statement, depth)
            case Window():
                return self.window(statement, depth)
            case Row(name, array, subscripts, levels):
                self.local[name] = "double"
                places = (*subscripts, *("" for _ in levels))
                base = " + ".join([array, *self.offsets(self.arrays[array], places)])
                return [f"{pad}double *const {name} = {base};"]

    def initial(self, shape: tuple[int, ...], value: Expr | None) -> str:
        """How a local array starts; C fills with zeros what an initializer does not say."""
        if value is None:
            return ""
        text = self.expression(value)
        if not shape:
            return f" = {text}"
        count = 1 if value == Const(Fraction(0)) else math.prod(shape)
        return f" = {{{', '.join([text] * count)}}}"

    def loop(self, loop: For, depth: int) -> list[str]:
        pad = _INDENT * depth
        windows = [
            one.target.array for one in loop.body if isinstance(one, Assign) and one.target.array in self.streams
        ]
        if windows:
            return self.in_lines(loop, windows, depth)
        pragma = {"parallel": [f"{pad}SHARED_FOR"], "simd": [f"{pad}SIMD"], "serial": []}[loop.kind]
        step = f"{loop.index}++" if loop.step == 1 else f"{loop.index} += {loop.step}"
        start, stop = self.expression(loop.start), self.expression(loop.stop)
        head = f"{pad}for (ptrdiff_t {loop.index} = {start}; {loop.index} < {stop}; {step}) {{"
        return [*pragma, head, *self.block(loop.body, depth + 1), f"{pad}}}"]

    def in_lines(self, loop: For, windows: list[str], depth: int) -> list[str]:
        """A loop that writes windows, run by run of memory; whole lines that go past the cache leave from registers."""
        pad, inside, within, innermost = (_INDENT * (depth + more) for more in range(4))
        first, stop = windows[0], self.expression(loop.stop)
        done, left, lane, past, part = (f"{first}_{name}" for name in ("done", "left", "lane", "past", "some"))
        line = f"line_of_{self.local[first]}"
        types = {name: self.local[name] for name in windows}
        streams = {name: f"&{self.streams[name]}" for name in windows}
        alike = [f"{self.streams[name]}.past" for name in windows]
        alike += [f"same_place_in_line({first}, {name})" for name in windows[1:]]

        def some(kind: str, count: str) -> list[str]:
            """The loop over so many elements from those done on, which writes them to arrays of that kind."""
            self.local.update((f"{name}_{kind}", types[name]) for name in windows)
            body = (
                replace(one, target=Load(f"{one.target.array}_{kind}", (Var(lane),)))
                if isinstance(one, Assign) and one.target.array in windows
                else one
                for one in loop.body
                if not isinstance(one, Prefetch)
            )
            index = Let(loop.index, add(Var(done), Var(lane)), "index")
            one = replace(loop, index=lane, start=Int(0), stop=Var(count), body=(index, *body))
            return self.loop(one, depth + (2 if kind == "part" else 3))

        def advance(by: str) -> str:
            return ", ".join([f"{done} += {by}", f"{left} -= {by}", *(f"{name} += {by}" for name in windows)])

        hints = [one.at(loop.index, Var(done)) for one in loop.body if isinstance(one, Prefetch)]
        places = [f"{streams[name]}, layout->cache__bypass, {self.places[name]}" for name in windows]
        opened = [
            f"{kind} *{name} = open_run_{kind}({where}, {done}, &{left});"
            for (name, kind), where in zip(types.items(), places, strict=True)
        ]
        parts = [
            f"{kind} *const {name}_part = open_part_{kind}({streams[name]}, {past}, {name});"
            for name, kind in types.items()
        ]
        return [
            f"{pad}for (ptrdiff_t {done} = {self.expression(loop.start)}; {done} < {stop};) {{",
            f"{inside}ptrdiff_t {left} = {stop} - {done};",
            *(inside + one for one in opened),
            f"{inside}const int {past} = {' && '.join(alike) if len({*types.values()}) == 1 else '0'};",
            f"{inside}while ({left} > 0) {{",
            f"{within}const ptrdiff_t {part} = {past} ? part_of_line_{types[first]}({first}, {left}) : {left};",
            *(within + one for one in parts),
            *some("part", part),
            *(f"{within}close_part_{kind}({streams[name]}, {past}, {part});" for name, kind in types.items()),
            f"{within}{advance(part)};",
            f"{within}for (; {past} && {left} >= {line}; {advance(line)}) {{",
            *(f"{innermost}{kind} {name}_line[{line}];" for name, kind in types.items()),
            *(line for hint in hints for line in self.statement(hint, depth + 3)),
            *some("line", line),
            *(f"{innermost}write_line({name}, {name}_line);" for name in windows),
            f"{within}}}",
            f"{inside}}}",
            f"{pad}}}",
        ]

    def walk(self, walk: Walk, depth: int) -> list[str]:
        """A loop over a counter, with the levels counted like an odometer."""
        pad, inside = _INDENT * depth, _INDENT * (depth + 1)
        start, count = self.expression(walk.start), self.expression(walk.count)
        lines = []
        for number, level in enumerate(walk.levels):
            place = start
            # Zero is the first place on each level, also where one is empty.
            if walk.start != Int(0):
                place += "".join(f" / {inner.extent}" for inner in walk.levels[number + 1 :])
                place += f" % {level.extent}" if number else ""
            lines.append(f"{pad}ptrdiff_t {level.name} = {place};")
        lines.append(f"{pad}for (ptrdiff_t {walk.counter} = 0; {walk.counter} < {count}; {walk.counter}++) {{")
        lines += self.block(walk.body, depth + 1)
        for number in range(len(walk.levels) - 1, -1, -1):
            level = walk.levels[number]
            deeper = inside + _INDENT * (len(walk.levels) - 1 - number)
            if number:
                lines.append(f"{deeper}if (++{level.name} == {level.extent}) {{")
                lines.append(f"{deeper}{_INDENT}{level.name} = 0;")
            else:
                lines.append(f"{deeper}++{level.name};")
        lines += [f"{inside}{_INDENT * number}}}" for number in range(len(walk.levels) - 2, -1, -1)]
        return [*lines, f"{pad}}}"]

    def window(self, window: Window, depth: int) -> list[str]:
        pad = _INDENT * depth
        array = self.arrays[window.array]
        c_type = self.type(array)
        along = {level.name for level in window.levels}
        fixed = self.offsets(array, tuple("" if name in along else name for name in window.subscripts))
        base = " + ".join([array.name, *fixed])
        extents, strides = self.along(window)
        size = len(window.levels)
        whole = f"{base}, {size}, {window.name}_extents, {window.name}_strides"
        span = f"{self.expression(window.start)}, {self.expression(window.count)}"
        lines = [
            f"{pad}const ptrdiff_t {window.name}_extents[{size}] = {{{extents}}};",
            f"{pad}const ptrdiff_t {window.name}_strides[{size}] = {{{strides}}};",
        ]
        self.local[window.name] = c_type
        if window.written:
            self.streams[window.name] = f"{window.array}_stream"
            self.places[window.name] = f"{whole}, {self.expression(window.start)}"
            lines += self.block(window.body, depth)
            return [*lines, f"{pad}close_window_{c_type}(&{self.streams[window.name]}, {whole}, {span});"]
        lines.insert(0, f"{pad}{c_type} {window.name}_buffer[{window.capacity}];")
        read = f"read_window_{c_type}({whole}, {span}, {window.name}_buffer)"
        if window.slab:
            kept = f"{window.slab} + {self.expression(window.start)}"
            read = f"{window.slab} ? {kept} : {read}"
            if window.fresh:
                ahead = self.ahead(array, window)
                lines.append(f"{pad}if ({window.slab})")
                lines.append(f"{pad}{_INDENT}gather_{c_type}({whole}, {span}, {kept}, {ahead});")
        return [*lines, f"{pad}const {c_type} *{window.name} = {read};", *self.block(window.body, depth)]

    def along(self, window: Window) -> tuple[str, str]:
        """The extents and the strides of a window's levels."""
        array = self.arrays[window.array]
        own = dict(zip(window.subscripts, array.axes, strict=True))
        strides = (self.step(array, own[level.name].name) if level.name in own else "0" for level in window.levels)
        return ", ".join(level.extent for level in window.levels), ", ".join(strides)

    def ahead(self, array: Array, window: Window) -> str:
        """How far the next window lies from a window; 0 where there is none."""
        own = dict(zip(window.subscripts, array.axes, strict=True))
        if window.next not in own or array.role == "workspace":
            return "0"
        level = own[window.next]
        return f"{window.next} + 1 < {level.extent} ? {self.step(array, level.name)} : 0"

    def step(self, array: Array, level: str) -> str:
        """The stride of one of the array's own levels."""
        return " * ".join(self.offsets_along(array, level)) or "1"

    def offsets_along(self, array: Array, level: str) -> list[str]:
        """The factors of the stride of one of the array's own levels."""
        if array.role == "workspace":
            place = [axis.name for axis in array.axes].index(level)
            return [inner.extent for inner in array.axes[place + 1 :]]
        return [] if (array.name, level) in self.unit else [f"layout->{stride(array.name, level)}"]


def stride(array: str, level: str) -> str:
    """The layout's field for an array's stride along a level; no name has two underscores in a row."""
    return f"{array}__{level}"
