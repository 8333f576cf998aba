"""LaTeX names as symbn's names, their indices and their powers."""

import pytest
from sympy import Idx, IndexedBase, Symbol, sqrt

from symbn.errors import ArgumentError, PageError
from symbn.parse import formulas
from symbn.parse.source import Source

NAMES = {
    r"\mu": ("mu", ""),
    r"\mu_k": ("mu", "k"),
    r"\mu_{k}": ("mu", "k"),
    r"x_k^{(i)}": ("x", "ik"),
    r"x^{(i)}_k": ("x", "ik"),
    r"x_{ik}": ("x", "ik"),
    r"x_{i,k}": ("x", "ik"),
    r"x_{i k}": ("x", "ik"),
    r"x^{(i, j)}_{k}": ("x", "ijk"),
    r"x^{(i)(j)}": ("x", "ij"),
    r"\mathbf{x}^{(i)}": ("x", "i"),
    r"\boldsymbol\mu": ("mu", ""),
    r"\mu_{\mathcal B}": ("mu_B", ""),
    r"\mu_{\mathcal{B},k}": ("mu_B", "k"),
    r"\mu_B": ("mu_B", ""),
    r"\mu_{\text{old}}": ("mu_old", ""),
    r"\mu^{\mathrm{old}}_k": ("mu_old", "k"),
    r"\epsilon_0": ("epsilon_0", ""),
    r"x_{12}": ("x_12", ""),
    r"\lambda_{\max}": ("lambda_max", ""),
    r"\varepsilon": ("epsilon", ""),
    r"\hat{x}": ("x_hat", ""),
    r"\hat x_i": ("x_hat", "i"),
    r"\hat{x}_k^{(i)}": ("x_hat", "ik"),
    r"\hat{x_i}": ("x_hat", "i"),
    r"\widehat{\mathbf{x}}_i": ("x_hat", "i"),
    r"\bar{x}": ("x_bar", ""),
    r"\overline{x}": ("x_bar", ""),
    r"\tilde\mu": ("mu_tilde", ""),
    r"\dot{x}": ("x_dot", ""),
    r"x'": ("x_prime", ""),
    r"x'_i": ("x_prime", "i"),
    r"\mathrm{inv\_std}_k": ("inv_std", "k"),
    r"\text{gain}_k": ("gain", "k"),
    r"\mathrm{d}x_{i,k}": ("dx", "ik"),
    r"\mathrm{d}\gamma_k": ("dgamma", "k"),
    r"\mathrm{d}\mathrm{d}x_{i}": ("ddx", "i"),
    r"\mathrm{d}x_{i}^{(2)}": ("dx_2", "i"),
    r"\widehat{\mathrm{d}x}_{i}": ("dx_hat", "i"),
    r"\widehat{\sigma^{2}}_k": ("sigma2_hat", "k"),
    "μ_k": ("mu", "k"),
    "{x}_{i}": ("x", "i"),
    "{x_i}": ("x", "i"),
}


@pytest.mark.parametrize("latex", NAMES)
def test_a_name_is_read_as(value, latex):
    name, indices = NAMES[latex]
    expected = IndexedBase(name)[tuple(map(Idx, indices))] if indices else Symbol(name)
    # Extents are not what this test is about.
    assert str(value(latex)) == str(expected)


@pytest.fixture
def right(tmp_path):
    """right(page, **options) -> the right side of its last formula, as text."""

    def found(text, **options):
        return str(formulas.read(Source(tmp_path / "page.md", text), **options)[-1].definition.values[0])

    return found


SQUARE = r"$$ \sigma_k^2 = v_k $$" + "\n"


def test_a_square_is_a_power_where_nothing_defines_it(right):
    assert right(r"$$ y_k = \sigma_k^2 $$") == "sigma[k]**2"


def test_a_square_is_a_name_where_the_page_defines_it(right):
    assert right(SQUARE + r"$$ y_k = \sigma_k^2 $$") == "sigma2[k]"
    assert right(r"$$ y_k = \sigma^2_k $$" + "\n" + SQUARE + r"$$ z_k = \sigma^{2}_k $$") == "sigma2[k]"


def test_a_name_of_which_only_the_square_is_defined_is_its_root(right):
    assert right(SQUARE + r"$$ y_k = \sigma_k $$") == str(sqrt(Symbol("sigma2"))).replace("sigma2", "sigma2[k]")
    assert right(SQUARE + r"$$ y_k = \sigma_k^4 $$") == "sigma2[k]**2"


def test_both_a_name_and_its_square_may_be_defined(right):
    both = SQUARE + r"$$ \sigma_k = \sqrt{\sigma_k^2} $$" + "\n"
    assert right(both + r"$$ y_k = \sigma_k + \sigma_k^2 $$") == "sigma2[k] + sigma[k]"


def test_a_caller_can_say_that_a_square_is_a_name(right):
    names = {r"\sigma^2": "var"}
    assert right(r"$$ y_k = \sigma_k^2 + \sigma_k $$", names=names) == "sqrt(var[k]) + var[k]"


def test_a_caller_can_rename(right):
    names = {r"\mu_{\mathcal B}": "mean", r"\hat{x}": "normalized", r"\nu_k": "nu"}
    assert right(r"$$ y_i = \hat{x}_i + \mu_B + \nu_k $$", names=names) == "mean + normalized[i] + nu[k]"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({r"\mu +": "mu"}, "cannot be read"),
        ({r"\mu^3": "mu"}, "is not a name in LaTeX"),
        ({r"(a + b)": "mu"}, "is not a name in LaTeX"),
        ({r"\mu": "my mean"}, "'my mean' for"),
        ({r"\mu": 3}, "cannot be a name"),
    ],
)
def test_renamings_that_are_none_are_refused(right, names, message):
    with pytest.raises(ArgumentError, match=r"names: ") as error:
        right("$$ y = x $$", names=names)
    assert message in str(error.value)


def test_a_letter_that_a_sum_binds_is_an_index_above_and_below(right):
    assert right(r"$$ y = \sum_{B=1}^{N} x_B + \sum_{i=1}^{N} x^i $$") == "Sum(x[B], (B, 1, N)) + Sum(x[i], (i, 1, N))"


def test_indices_without_commas_are_told_from_words_by_the_sums_of_the_page(right):
    page = r"$$ \mu_{nc} = \sum_{h=1}^{H} \sum_{w=1}^{W} x_{nchw} $$" + "\n"
    assert right(page + r"$$ y_{nchw} = x_{nchw} - \mu_{nc} $$") == "-mu[n, c] + x[n, c, h, w]"
    with pytest.raises(PageError, match="is it a word or 4 indices"):
        right(r"$$ y_{nchw} = x_{nchw} $$")


def test_functions_that_a_page_defines_are_names(right):
    page = r"$$ \mathrm{Var}[x] = \frac{1}{m} \sum_{i=1}^m x_i^2 $$" + "\n"
    assert right(page + r"$$ y_i = \frac{x_i}{\sqrt{\mathrm{Var}[x]}} $$") == "x[i]/sqrt(Var)"
    with pytest.raises(PageError, match="'Var' is defined for x only"):
        right(page + r"$$ y_i = \mathrm{Var}[z] + 1 $$")


def test_e_and_pi_are_numbers_unless_the_page_defines_them(right):
    assert right(r"$$ y = e^{x} + \pi $$") == "exp(x) + pi"
    assert right("$$ e = a + b $$\n$$ \\pi = a $$\n" + r"$$ y = e^{x} + \pi $$") == "e**x + pi"


def test_indices_at_one_axis_share_an_extent(tmp_path):
    (one,) = formulas.read(Source(tmp_path / "p", r"$$ y_i = \frac{x_i}{\sum_{j=1}^n x_j} $$"))
    assert str(one.definition.left.indices[0].upper) == "n"
    (one,) = formulas.read(Source(tmp_path / "p", r"$$ y_i = \frac{x_i}{\sum_j x_j} $$"))
    assert {str(index.upper) for index in one.definition.equation.atoms(Idx)} == {"i_extent"}
