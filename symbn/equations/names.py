"""Names: from what a symbol is called in mathematics to what it can be called in C and Python."""

from __future__ import annotations

import keyword
import re
import unicodedata

# Words that C11, Python or the generated code itself would not let stand as a name: keywords, macros, the
# functions that are called, and the generated functions' own words.
_RESERVED = frozenset(
    """
    auto break case char const continue default do double else enum extern float for goto if inline
    int long register restrict return short signed sizeof static struct switch typedef union
    unsigned void volatile while asm typeof fortran bool true false nullptr constexpr
    NULL NAN INFINITY HUGE_VAL HUGE_VALF errno isnan isinf isfinite signbit main
    linux unix i386 layout threads out check axes dtype self np ones None True False
    EOF stdin stdout stderr assert malloc free size_t ptrdiff_t SIMD SHARED_FOR smaller locate next_run take memory left
    side_by_side shared shared_left nan_max nan_min sign_of status reference
    read_window_float read_window_double open_window_float open_window_double close_window_float close_window_double
    FP_FAST_FMA rounded sum_error difference_error product_error quotient_error root_error
    sqrt pow exp log sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh fabs floor ceil log1p expm1
    exp2 log2 log10 hypot erf erfc fma
    """.split()
)


def identifier(name: str) -> str:
    r"""The C and Python identifier for a symbol's name.

    Greek letters are spelled out, whatever else is not an ASCII letter or digit becomes an
    underscore, and reserved words get an underscore at the end: ``μ`` -> ``mu``,
    ``\hat{x}`` -> ``hat_x``, ``int`` -> ``int_``.
    """
    letters = []
    for char in unicodedata.normalize("NFKD", name):
        if char.isascii():
            letters.append(char if char.isalnum() else "_")
        else:
            words = unicodedata.name(char, "").split()
            letter = words[-1].lower().replace("lamda", "lambda") if words and words[0] == "GREEK" else "_"
            letters.append(letter.title() if "CAPITAL" in words else letter)
    text = re.sub(r"_+", "_", "".join(letters)).strip("_") or "symbol"
    if text[0].isdigit():
        text = "_" + text
    if text in _RESERVED or keyword.iskeyword(text):
        text += "_"
    return text
