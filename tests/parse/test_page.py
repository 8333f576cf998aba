"""Pages as operators: the one that symbn ships, and how other authors write."""

from pathlib import Path

import numpy as np
import pytest

import symbn
from symbn import catalogue, equations
from symbn.errors import EquationError, PageError

pytestmark = pytest.mark.usefixtures("compiled_quickly")

SHIPPED = Path(equations.__file__).with_name("batch_norm.md")
PAGE = SHIPPED.read_text(encoding="utf-8")


# ---- the shipped page ---------------------------------------------------------------------------------


def test_the_shipped_page_is_batch_norm():
    op = symbn.Operator.from_markdown(SHIPPED)
    assert op.name == "batch_norm"
    assert op.inputs == ("x", "gamma", "beta", "epsilon")
    assert op.outputs == ("y", "mu", "sigma2")
    assert op.statistics == {"mu", "sigma2"}
    assert [one.name for one in op.definitions] == ["mu", "sigma2", "x_hat", "y"]
    assert op.arrays["x"] == ("m", "k_extent")
    assert str(op.domains["epsilon"]) == "Interval.open(0, oo)"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_its_kernel_gives_the_bits_of_the_shipped_one(dtype, rng):
    x = rng.normal(100.0, 3.0, (50, 9)).astype(dtype)
    gamma, beta = rng.normal(size=(2, 9)).astype(dtype)
    kernel = symbn.build(symbn.Operator.from_markdown(SHIPPED), dtype)
    ours = kernel(x=x, gamma=gamma, beta=beta, epsilon=1e-5)
    theirs = symbn.build(catalogue.load("batch_norm")[0], dtype)(x=x, gamma=gamma, beta=beta, epsilon=1e-5)
    for one, other in zip(ours, theirs, strict=True):
        assert one.tobytes() == other.tobytes()


def test_its_formulas_are_told_with_their_lines(read):
    found = read(PAGE)
    lines = PAGE.split("\n")
    assert [one.definition.name for one in found.formulas] == ["mu", "sigma2", "x_hat", "y"]
    for one in found.formulas:
        assert lines[one.line - 1][one.column - 1 :].startswith(one.latex[:10])


# ---- how other authors write: each page against NumPy by hand -------------------------------------------

PAGES = {
    "aligned, arrows, calligraphic letters, comments, a set and a function's name": (
        r"""
```math
\begin{aligned}
\mathcal{B} &= \{x_{1 \dots m}\} \\
\mu_{\mathcal{B}} &\leftarrow \frac{1}{m}\sum_{i=1}^m x_i && \text{mini-batch mean} \\
\sigma_{\mathcal{B}}^2 &\leftarrow \frac{1}{m}\sum_{i=1}^m (x_i-\mu_{\mathcal{B}})^2 && \text{// variance} \\
\widehat{x}_i &\leftarrow \frac{x_i - \mu_{\mathcal{B}}}{\sqrt{\sigma_{\mathcal{B}}^2 + \epsilon}} \\
y_i &\leftarrow \gamma \widehat{x}_i + \beta \equiv \mathrm{BN}_{\gamma,\beta}(x_i)
\end{aligned}
```
""",
        {"x": (7,), "gamma": (), "beta": (), "epsilon": ()},
        lambda x, gamma, beta, epsilon: {
            "y": gamma * (x - x.mean()) / np.sqrt(x.var() + epsilon) + beta,
            "mu_B": x.mean(),
            "sigma2_B": x.var(),
        },
    ),
    "two equations side by side, a range, brackets": (
        r"""
\[
\mu_i = \frac{1}{H}\sum_{j=1}^{H} x_{ij}, \qquad
\sigma_i = \sqrt{\frac{1}{H}\sum_{j=1}^{H} \left(x_{ij} - \mu_i\right)^2 + \varepsilon} \tag{1}
\]

> $$ y_{ij} = \frac{g_j}{\sigma_i} \left( x_{ij} - \mu_i \right) + b_j, \quad j = 1, \dots, H $$
""",
        {"x": (5, 7), "g": (7,), "b": (7,), "epsilon": ()},
        lambda x, g, b, epsilon: {
            "y": g * (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + epsilon) + b,
            "mu": x.mean(1),
            "sigma": np.sqrt(x.var(1) + epsilon),
        },
    ),
    "a function that the page defines, and a number's value": (
        r"""
$$\text{RMS}(x)_i = \sqrt{\frac1n \sum_{j=1}^n x_{ij}^2 + \epsilon}$$
$$\bar x_{ij} = \frac{x_{ij}}{\text{RMS}(x)_i} g_j, \quad \text{where } \epsilon = 10^{-6}.$$
""",
        {"x": (5, 7), "g": (7,)},
        lambda x, g: {
            "x_bar": g * x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-6),
            "RMS": np.sqrt((x**2).mean(1) + 1e-6),
        },
    ),
    "runs of indices, of which sums bind two": (
        r"""
$$ y_{tijk} = \frac{x_{tijk}-\mu_{ti}}{\sqrt{\sigma_{ti}^2+\epsilon}},\quad
\mu_{ti} = \frac{1}{HW}\sum_{l=1}^{W}\sum_{m=1}^{H}x_{tilm},\quad
\sigma_{ti}^2=\frac{1}{HW}\sum_{l=1}^{W}\sum_{m=1}^{H}(x_{tilm}-\mu_{ti})^2. $$
""",
        {"x": (3, 2, 4, 5), "epsilon": ()},
        lambda x, epsilon: {
            "y": (x - x.mean((2, 3), keepdims=True)) / np.sqrt(x.var((2, 3), keepdims=True) + epsilon),
            "mu": x.mean((2, 3)),
            "sigma2": x.var((2, 3)),
        },
    ),
    "an index without limits": (
        r"Text with \[ s_{i} = \frac{\exp(z_i)}{\sum_j \exp(z_j)} \] in a paragraph.",
        {"z": (9,)},
        lambda z: {"s": np.exp(z) / np.exp(z).sum()},
    ),
    "four indices, several sums, an environment of its own": (
        r"""
\begin{align}
\mu_{n,g} &= \frac{1}{DL} \sum_{d=1}^{D}\sum_{l=1}^{L} x_{n,g,d,l} \label{a}\\
v_{n,g} &= \frac{1}{DL} \sum_{d,l} (x_{n,g,d,l} - \mu_{n,g})^2 \\
y_{n,g,d,l} &= \gamma_{g,d} \cdot \frac{x_{n,g,d,l} - \mu_{n,g}}{\sqrt{v_{n,g} + \epsilon}} + \beta_{g,d}
\end{align}
""",
        {"x": (3, 2, 4, 5), "gamma": (2, 4), "beta": (2, 4), "epsilon": ()},
        lambda x, gamma, beta, epsilon: {
            "y": gamma[:, :, None]
            * (x - x.mean((2, 3), keepdims=True))
            / np.sqrt(x.var((2, 3), keepdims=True) + epsilon)
            + beta[:, :, None],
            "mu": x.mean((2, 3)),
            "v": x.var((2, 3)),
        },
    ),
    "four letters without commas, a root that the page does not name": (
        r"""
$$ \mu_{nc} = \frac{1}{HW} \sum_{h=1}^{H}\sum_{w=1}^{W} x_{nchw} $$
$$ \sigma^2_{nc} = \frac{1}{HW} \sum_{h,w} (x_{nchw} - \mu_{nc})^2 $$
$$ \hat{x}_{nchw} = \frac{x_{nchw} - \mu_{nc}}{\sigma_{nc} + \epsilon} $$
""",
        {"x": (3, 2, 4, 5), "epsilon": ()},
        lambda x, epsilon: {
            "x_hat": (x - x.mean((2, 3), keepdims=True)) / (x.std((2, 3), keepdims=True) + epsilon),
            "mu": x.mean((2, 3)),
            "sigma2": x.var((2, 3)),
        },
    ),
    "a table, weights, magnitudes, cases, out of order": (
        r"""
$$y_{i,k} = \begin{cases} \frac{x_{i,k} - \mu_k}{d_k}, & \text{if } d_k > 0 \\ 0 & \text{otherwise.} \end{cases}$$

| what | formula |
|---|---|
| mean | $$\mu_k = \frac{\sum_{i=1}^m w_i x_{i,k}}{\sum_{i=1}^m w_i}$$ |
| deviation | $$d_k = \frac{\sum_{i=1}^m w_i \lvert x_{i,k} - \mu_k \rvert}{\sum_{i=1}^m w_i}$$ |
""",
        {"x": (6, 4), "w": (6,)},
        lambda x, w: {
            "y": (x - np.average(x, 0, w)) / np.average(abs(x - np.average(x, 0, w)), 0, w),
            "mu": np.average(x, 0, w),
            "d": np.average(abs(x - np.average(x, 0, w)), 0, w),
        },
    ),
    "a chain over lines, said twice, with derivatives in between": (
        r"""
$$
\begin{aligned}
\mu_k &= \frac{1}{m}\sum_{i=1}^m x_{ik} \\
\sigma_k^2 &= \frac{1}{m}\sum_{i=1}^m (x_{ik}-\mu_k)^2 \\
 &= \frac{1}{m}\sum_{i=1}^m x_{ik}^2 \\
 &\quad - \mu_k^2
\end{aligned}
$$
$$ y_{ik} = (x_{ik} - \mu_k) / \sigma_k $$
$$ \frac{\partial L}{\partial x_{ik}} = \frac{1}{\sigma_k} $$
$$ y_{ik} = \frac{x_{ik} - \mu_k}{\sqrt{\sigma_k^2}} $$
""",
        {"x": (6, 4)},
        lambda x: {"y": (x - x.mean(0)) / x.std(0), "mu": x.mean(0), "sigma2": x.var(0)},
    ),
}


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_computes_what_it_says(read, kind, rng):
    text, shapes, by_hand = PAGES[kind]
    operator = read(text).operator
    assert set(operator.inputs) - set(operator.defaults) == set(shapes)
    inputs = {name: rng.uniform(0.5, 2.0, shape) for name, shape in shapes.items()}
    result = symbn.build(operator, "float64")(**{name: a if a.shape else float(a) for name, a in inputs.items()})
    expected = by_hand(**inputs)
    found = result._asdict() if hasattr(result, "_asdict") else {operator.outputs[0]: result}
    assert [*found] == [*expected]
    for name, one in expected.items():
        np.testing.assert_allclose(found[name], one, rtol=1e-9, atol=1e-12, err_msg=name)


# ---- what defines nothing --------------------------------------------------------------------------------

REASONS = {
    r"x^{(i)} = \begin{bmatrix} x_1 & x_2 \end{bmatrix}": "it lays out a matrix or vector",
    r"X = x_1, \dots, x_n": "its dots leave elements out",
    r"\mu = \frac{1}{m} (x_1 + \dots + x_m)": "its dots leave elements out",
    r"\frac{\partial L}{\partial x} = z": "it is a derivative; symbn derives gradients itself",
    r"\epsilon > 0": "it has no = and so defines nothing",
    r"\mathbf{x} \in \mathbb{R}^d": "it has no = and so defines nothing",
    r"S = \{ x_i \}": "it names a set",
    r"\sum_{i=1}^m z_i > 0": "it has no = and so defines nothing",
    r"\sum_{i=1}^m z_i = 0": "its left side is not one name",
    r"2 \mu = a": "its left side is not one name",
    r"a^{[l]} = b": "its left side is a power; an index above stands in parentheses, as in x^{(i)}",
    r"\gamma_k = 1": "it is the default of 'gamma': 1",
    r"u = \mathrm{LayerNorm}(x)": "it names a function, and does not say what that is",
    r"m = 32": "the size of 'm' is read off the arrays",
    r"c = \frac{3}{2}": "it is the default of 'c': 3/2",
    r"v_k = \frac{1}{m} \sum_{i=1}^m x_{ik}": "'v' is defined at line 1",
    r"v_j = \frac{1}{2 m} \sum_{l=1}^m (x_{lj} + x_{lj})": "'v' is defined at line 1",
}


@pytest.mark.parametrize("latex", REASONS)
def test_a_formula_that_defines_nothing_is_skipped_with_a_reason(read, latex):
    page = r"$$ v_k = \frac{1}{m} \sum_{i=1}^m x_{ik} $$" + f"\n\n$$ {latex} $$\n"
    first, second = read(page).formulas[:2]
    assert first.definition.name == "v"
    assert second.definition is None
    assert REASONS[latex] in second.reason
    assert second.line == 3


def test_a_value_is_a_default(read):
    page = r"$$ y_i = x_i + \epsilon + c $$" + "\n$$ \\epsilon = 10^{-3} $$\n$$ d = 3 $$"
    assert dict(read(page).operator.defaults) == {"epsilon": 1e-3}
    assert dict(read("$$ y_i = w_i x_i $$\n$$ w_i = 1 $$").operator.defaults) == {"w": 1.0}
    with pytest.raises(PageError, match=r"page\.md:4:4: 'epsilon' is 0.001 elsewhere on the page"):
        read(page + "\n$$ \\epsilon = 2 $$")


# ---- what is said twice ------------------------------------------------------------------------------------


def test_contradictions_are_errors_that_name_both_lines(read):
    with pytest.raises(PageError) as error:
        read("$$ v_k = \\frac{1}{m} \\sum_{i=1}^m x_{ik} $$\n\n$$ v_j = \\frac{1}{m-1} \\sum_{i=1}^m x_{ij} $$")
    assert "page.md:3:4: this contradicts line 1: 'v' differs: " in str(error.value)


def test_a_chain_with_a_wrong_link_is_an_error(read):
    with pytest.raises(PageError, match=r"page\.md:1:4: this contradicts line 1: 'v' differs"):
        read(r"$$ v_k = (a_k + b_k)^2 = a_k^2 + b_k^2 $$")
    assert read(r"$$ v_k = (a_k + b_k)^2 = a_k^2 + 2 a_k b_k + b_k^2 $$").operator.inputs == ("a", "b")


def test_something_else_under_a_known_name_is_an_error(read):
    with pytest.raises(PageError, match=r"page\.md:2:4: 'v' is defined at line 1 too, and it reads 'c', which"):
        read("$$ v_k = a_k $$\n$$ v_k = c_k $$")
    with pytest.raises(PageError, match="'v' has another shape"):
        read("$$ v_k = a_k b $$\n$$ v_{jk} = a_j a_k b $$")


# ---- outputs, names, order -------------------------------------------------------------------------------------


def test_name_outputs_and_names_can_be_given(write):
    path = write(PAGE, "1 my page.md")
    assert symbn.Operator.from_markdown(path).name == "_1_my_page"
    op = symbn.Operator.from_markdown(path, name="bn", outputs=["x_hat"], names={r"\sigma^2": "var", r"\mu": "mean"})
    assert (op.name, op.outputs) == ("bn", ("x_hat",))
    assert [one.name for one in op.definitions] == ["mean", "var", "x_hat", "y"]


def test_statistics_have_fewer_indices_than_the_data(read):
    text = (
        r"$$ c_{ij} = \sum_{l=1}^n x_{il} w_{lj} $$" + "\n$$ s_j = \\sum_{i=1}^m c_{ij} $$\n$$ y_{ij} = c_{ij} / s_j $$"
    )
    assert read(text).operator.outputs == ("y", "s")
    text = r"$$ v_i = 2 x_i $$" + "\n$$ y_i = v_i + 1 $$"
    assert read(text).operator.outputs == ("y",)


def test_definitions_are_put_in_order(read):
    operator = read("$$ y_i = z_i + 1 $$\n$$ z_i = w_i + 2 $$\n$$ w_i = x_i + 3 $$").operator
    assert [one.name for one in operator.definitions] == ["w", "z", "y"]
    assert operator.outputs == ("y",)


def test_a_circle_is_an_error(read):
    with pytest.raises(PageError, match=r"page\.md: no order of its definitions is possible: .*y, z"):
        read("$$ y_i = z_i + 1 $$\n$$ z_i = y_i + 2 $$")


def test_errors_of_equations_name_file_and_line(read):
    with pytest.raises(PageError) as error:
        read("$$ y_i = x_i $$\n\ntext\n\n$$ z_i = x_{ij} $$")
    assert "page.md:5:4: equation (2)" in str(error.value)
    assert "index 'j'" in str(error.value)
    assert isinstance(error.value, EquationError)


def test_errors_of_the_whole_name_the_file(read):
    with pytest.raises(PageError, match=r"page\.md: outputs: 'q' is not defined by any equation"):
        read("$$ y_i = x_i $$", outputs=["q"])


def test_a_page_without_formulas_or_definitions_is_an_error(read):
    with pytest.raises(PageError, match="no displayed formula; they stand in"):
        read("Only $inline$.")
    with pytest.raises(PageError, match="none of its formulas defines anything") as error:
        read("$$ a > 0 $$\n$$ b < 0 $$")
    assert "line 2: it has no =" in str(error.value)


def test_the_maximum_over_an_index_needs_a_reduction(read):
    try:
        import symbn.equations.reductions  # noqa: F401
    except ImportError:
        with pytest.raises(PageError, match="symbn has no 'max' over an index"):
            read(r"$$ y_i = x_i - \max_{j} x_j $$")
    else:
        assert "ReduceMax" in str(read(r"$$ y_i = x_i - \max_{j} x_j $$").operator.equations[0])


def test_a_word_below_is_no_run_of_indices_for_a_letter_of_a_pair(read):
    text = r"$$ \mu_t = \frac{1}{m} \sum_{i=1}^m x_{it} $$" + "\n$$ y_{it} = x_{it} - \\mu_{tot} $$"
    with pytest.raises(PageError, match="'tot' below mu: is it a word or 3 indices"):
        read(text)


def test_what_the_page_defines_as_a_function_is_no_factor(read):
    sigmoid = r"$$ \sigma(x) = \frac{1}{1 + e^{-x}} $$"
    with pytest.raises(PageError, match=r"page\.md:2:10: 'sigma' is defined for x only"):
        read(sigmoid + "\n$$ y = x \\sigma(b x + c) $$")
    assert str(read(sigmoid + "\n$$ y = 1 - \\sigma^2(x) $$").operator.equations[1].rhs) == "1 - sigma**2"
