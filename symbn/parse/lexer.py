r"""LaTeX as tokens: what a reader sees of a formula, without its spacing, sizes and styles.

Nothing is refused here: what is not known becomes a token that no rule of the grammar takes, so that a formula that
is not read need not be readable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lark import Token

from symbn.equations.names import identifier

_LEXEME = re.compile(
    r"""(?P<skip> \s+ | %[^\n]* | ~ )
      | (?P<row> \\\\\*? (?:\[ -? [\d.]+ \s* (?:pt|em|ex|mm|cm|in) \])? )
      | (?P<command> \\ (?:[A-Za-z]+ | .) )
      | (?P<number> \d+ (?:\.\d+)? (?:[eE][+-]?\d+)? | \.\d+ )
      | (?P<letter> [^\W\d_] )
      | (?P<defines> :\s*= | = )
      | (?P<other> . )""",
    re.VERBOSE | re.DOTALL,
)
_WORD = re.compile(r"\s*\*?\s*(?:\{((?:[^{}\\$]|\\[_ ,])*)\}|([A-Za-z]))")
_NO_SPACE = re.compile(r"^(?:\s|\\!)+")
_ARGUMENT = re.compile(r"\s*(?:\*\s*)?\{((?:[^{}]|\{[^{}]*\})*)\}")
#: beside a sign or a mark of alignment, it spaces them as LaTeX does between operands: x ={}& y
_EMPTY = re.compile(r"\{\s*\}")
_DELIMITER = re.compile(r"\s*(\.|\||\\vert(?![A-Za-z]))")
_GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
    "omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell "
    "varphi vartheta varrho varsigma varkappa varpi".split()
)
#: both epsilons are the one small number; of the others a page may use two, phi and varphi, for two things
_VARIANTS = {"varepsilon": "epsilon"}
_ACCENTS = {accent: accent for accent in ("hat", "bar", "tilde", "dot")} | {
    "widehat": "hat",
    "overline": "bar",
    "widetilde": "tilde",
}
_SPACING = frozenset(", ; : ! > space enspace thinspace medspace thickspace displaystyle textstyle".split())
_SIZES = frozenset("left right middle".split()) | {
    size + side for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "r", "m")
}
_STYLES = frozenset("mathbf boldsymbol bm pmb mathcal mathbb mathfrak mathscr vec".split())
_WORDS = frozenset("mathrm text textrm textit textbf operatorname mathit mathsf mathtt texttt mbox".split())
_DROPPED = frozenset([" ", "\n", *"limits nolimits nonumber notag centering".split()]) | _SPACING
_WITH_ARGUMENT = frozenset("begin end stackrel overset label tag hspace vspace phantom color".split())
_LAYOUTS = frozenset("align aligned alignat alignedat equation gather gathered multline flalign eqnarray split".split())
_MATRICES = frozenset("matrix bmatrix pmatrix vmatrix Bmatrix Vmatrix smallmatrix array".split())
#: a function's LaTeX command, or the word for it -> the name under which it is read
FUNCTIONS = {
    name: name
    for name in (
        "exp log sin cos tan sinh cosh tanh asin acos atan asinh acosh atanh erf erfc max min abs sign floor ceil "
        "relu sigmoid softplus"
    ).split()
} | {"ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "sgn": "sign", "ReLU": "relu"}
_COMMANDS = {
    "{": "LSET", "}": "RSET", "lbrace": "LSET", "rbrace": "RSET",
    "lbrack": "LBRACK", "rbrack": "RBRACK", "lparen": "LPAR", "rparen": "RPAR",
    "lvert": "LABS", "rvert": "RABS", "lfloor": "LFLOOR", "rfloor": "RFLOOR", "lceil": "LCEIL", "rceil": "RCEIL",
    "cdot": "TIMES", "times": "TIMES", "ast": "TIMES", "div": "DIVIDE",
    "frac": "FRAC", "dfrac": "FRAC", "tfrac": "FRAC", "cfrac": "FRAC", "sqrt": "SQRT", "sum": "SUM", "prod": "PROD",
    "le": "LE", "leq": "LE", "leqslant": "LE", "ge": "GE", "geq": "GE", "geqslant": "GE", "lt": "LT", "gt": "GT",
    "ne": "NE", "neq": "NE",
    "leftarrow": "DEFINES", "gets": "DEFINES", "triangleq": "DEFINES", "equiv": "DEFINES", "coloneqq": "DEFINES",
    "coloneq": "DEFINES", "doteq": "DEFINES",
    "land": "AND", "wedge": "AND", "lor": "OR", "vee": "OR", "prime": "PRIME",
    "partial": "DERIVATIVE", "nabla": "DERIVATIVE",
    "dots": "DOTS", "ldots": "DOTS", "cdots": "DOTS", "vdots": "DOTS", "ddots": "DOTS", "dotsc": "DOTS",
    "substack": "SUBSTACK", "quad": "GAP", "qquad": "GAP", "forall": "FOR",
}  # fmt: skip
_CHARACTERS = {
    "{": "LBRACE", "}": "RBRACE", "(": "LPAR", ")": "RPAR", "[": "LBRACK", "]": "RBRACK", "|": "BAR",
    "^": "SUP", "_": "SUB", "+": "PLUS", "-": "MINUS", "−": "MINUS", "*": "TIMES", "/": "DIVIDE", "<": "LT", ">": "GT",
    ",": "COMMA", ";": "SEMICOLON", ".": "PERIOD", "'": "PRIME", "&": "AMP",
    "·": "TIMES", "×": "TIMES", "≤": "LE", "≥": "GE", "≠": "NE", "…": "DOTS",
    "，": "COMMA", "；": "SEMICOLON", "。": "PERIOD", "（": "LPAR", "）": "RPAR",
}  # fmt: skip
_PROSE = {
    "if": "IF", "when": "IF", "unless": "PROSE_IF", "for": "FOR", "over": "FOR",
    "otherwise": "OTHERWISE", "else": "OTHERWISE", "and": "AND", "or": "OR",
}  # fmt: skip
_OTHER_PROSE = frozenset("where with so then thus hence given since as is the let here that which".split())
OPENING = frozenset("LBRACE LPAR LBRACK LSET LABS LFLOOR LCEIL CASES".split())
CLOSING = frozenset("RBRACE RPAR RBRACK RSET RABS RFLOOR RCEIL END".split())
_BESIDE_EMPTY = frozenset("DEFINES PLUS MINUS TIMES DIVIDE AMP ROW".split())
_ENDS_OPERAND = CLOSING | {"NAME", "NUMBER", "WORD", "PRIME"}
#: a single digit is the whole argument of these, as in x_10 and \frac12
_TAKES_A_DIGIT = frozenset(("SUB", "SUP", "FRAC", "SQRT"))


def tokens(latex: str) -> list[Token]:
    """The tokens of a formula, each with its place in the text."""
    found: list[Token] = []
    bars: list[int] = [0]
    for token in _tokens(latex, found):
        if token.type == "BAR":
            # A bar closes the magnitude that is open between these brackets, where one can end.
            closes = bars[-1] > 0 and found[-1].type in _ENDS_OPERAND
            bars[-1] += -1 if closes else 1
            token.type = "RABS" if closes else "LABS"
        elif token.type in OPENING:
            bars.append(0)
        elif token.type in CLOSING and len(bars) > 1:
            bars.pop()
        found.append(token)
    return found


def _tokens(latex: str, before: list[Token]) -> Iterator[Token]:
    """The tokens one by one, bars not yet told apart; ``before`` are those that came so far."""
    place = 0
    styled: int | None = None  # where the style or size of the next token begins
    while match := _LEXEME.match(latex, place):
        kind, text, begin, place = str(match.lastgroup), match[0], match.start(), match.end()
        if kind == "command":
            kind, text, place = _command(text[1:], latex, place)
        elif kind == "number" and _wants_a_digit(before):
            kind, text, place = "NUMBER", text[0], begin + 1
        elif kind == "letter":
            kind, text = "NAME", text if text.isascii() else identifier(text)
        elif text == "{" and (before and before[-1].type in _BESIDE_EMPTY) and (empty := _EMPTY.match(latex, begin)):
            kind, place = "skip", empty.end()
        elif kind == "other":
            kind = _CHARACTERS.get(text, "UNKNOWN")
        if kind == "style":
            styled = begin if styled is None else styled
        elif kind != "skip":
            yield Token(kind.upper(), text, start_pos=begin if styled is None else styled, end_pos=place)
            styled = None


def _command(name: str, latex: str, place: int) -> tuple[str, str, int]:
    """The kind and the text of a command's token, and where it ends; of a "style" the next token is the rest."""
    text = "\\" + name
    if name in _DROPPED:
        return "skip", text, place
    if name in _STYLES:
        return "style", text, place
    if name in _SIZES:
        # The dot of \left. stands for no delimiter. With \left a bar opens; all other delimiters speak for themselves.
        delimiter = _DELIMITER.match(latex, place) if name in ("left", "right") else None
        if delimiter is None:
            return "style", text, place
        kind = {"left": "LABS", "right": "RABS"}[name] if delimiter[1] != "." else "skip"
        return kind, "|", delimiter.end()
    if name in _WORDS:
        word = _WORD.match(latex, place)
        if word is None:
            return "style", text, place
        kind, text = _word(word[1] or word[2] or "", _NO_SPACE.sub("", latex[word.end() : word.end() + 20]))
        return kind, text, word.end()
    argument = _ARGUMENT.match(latex, place) if name in _WITH_ARGUMENT else None
    if argument is not None:
        return _with_argument(name, argument, latex)
    if name in _ACCENTS:
        return "ACCENT", _ACCENTS[name], place
    if name in FUNCTIONS:
        return "FUNC", FUNCTIONS[name], place
    if name in _GREEK or name in _VARIANTS:
        return "NAME", _VARIANTS.get(name, name), place
    return _COMMANDS.get(name, "UNKNOWN"), text, place


def _with_argument(name: str, argument: re.Match[str], latex: str) -> tuple[str, str, int]:
    """A command whose argument is no formula: an environment's name, a label, what stands over an = sign."""
    content, end = argument[1].strip(), argument.end()
    text = f"\\{name}{{{content}}}"
    if name in ("begin", "end"):
        environment = content.rstrip("*")
        if environment in ("cases", "dcases"):
            return ("CASES" if name == "begin" else "END"), text, end
        if environment in _MATRICES:
            return "MATRIX", text, end
        return ("skip" if environment in _LAYOUTS else "UNKNOWN"), text, end
    if name in ("stackrel", "overset"):
        below = _ARGUMENT.match(latex, end)
        if below is not None and below[1].strip() in ("=", ":="):
            return "DEFINES", "=", below.end()
        return "UNKNOWN", text, end
    return "skip", text, end


def _wants_a_digit(before: list[Token]) -> bool:
    if not before:
        return False
    last = before[-1]
    second = last.type == "NUMBER" and len(last) == 1 and len(before) > 1 and before[-2].type == "FRAC"
    return last.type in _TAKES_A_DIGIT or second


def _word(text: str, behind: str) -> tuple[str, str]:
    """Upright text: a function, a differential's d, a word of a sentence, or else a name."""
    text = re.sub(r"\\([_ ,])", lambda escaped: "_" if escaped[1] == "_" else " ", text)
    plain = text.strip()
    first = plain.partition(" ")[0].lower().strip(".,:;")
    if first in _PROSE:
        return _PROSE[first], plain
    if first in _OTHER_PROSE or not re.fullmatch(r"\w*[^\W\d]\w*", text):
        return "PROSE", plain
    if plain == "d" and re.match(r"[A-Za-z\\]", behind):
        return "DIFFERENTIAL", plain
    if plain in FUNCTIONS and re.match(r"[({\[|_^]|\\left|\\[bB]ig|\\[{|]", behind):
        return "FUNC", FUNCTIONS[plain]
    return "WORD", identifier(plain).rstrip("_")
