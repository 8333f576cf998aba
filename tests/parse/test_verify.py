"""Pages against operators: what agrees, what differs, what is left out, and why."""

from pathlib import Path

import pytest

from symbn import catalogue, equations
from symbn.errors import PageError
from symbn.parse.verify import verify

PAGE = Path(equations.__file__).with_name("batch_norm.md").read_text(encoding="utf-8")
BATCH_NORM = catalogue.load("batch_norm")[0]


@pytest.fixture
def outcomes(write):
    """outcomes(text, operator) -> (outcome, reason) of each formula."""

    def found(text, operator=BATCH_NORM, **options):
        return [(one.outcome, one.reason) for one in verify(write(text), operator, **options)]

    return found


def words(found):
    return [outcome for outcome, _ in found]


def test_the_shipped_page_agrees(outcomes):
    assert words(outcomes(PAGE)) == ["agrees", "agrees", "skipped", "agrees"]
    assert outcomes(PAGE)[2][1] == "batch_norm has no 'x_hat'; it is followed where others read it"


#: each mistake with the formulas that differ for it, and no others
MUTANTS = {
    (r"\mu_k = \frac{1}{m}", r"\mu_k = \frac{1}{m-1}"): [0],
    (r"\sigma_k^2 = \frac{1}{m}", r"\sigma_k^2 = \frac{1}{m-1}"): [1],
    (r"\sigma_k^2 = \frac{1}{m}", r"\sigma_k^2 = 1"): [1],
    (r"- \mu_k \right)^2", r"+ \mu_k \right)^2"): [1],
    (r"- \mu_k \right)^2", r"- \mu_k \right)"): [1],
    (r"{x_k^{(i)} - \mu_k}{", r"{x_k^{(i)}}{"): [3],
    (r"\sigma_k^2 + \epsilon}}", r"\sigma_k^2} + \epsilon}"): [3],
    (r"\sigma_k^2 + \epsilon}}", r"\sigma_k^2 - \epsilon}}"): [3],
    (r"\sigma_k^2 + \epsilon}}", r"\sigma_k^2}}"): [3],
    (r"\sigma_k^2 + \epsilon}}", r"\sigma_k^2 + \epsilon^2}}"): [3],
    (r"\sqrt{\sigma_k^2 + \epsilon}", r"(\sigma_k^2 + \epsilon)"): [3],
    (r"\gamma_k \hat{x}_k^{(i)} + \beta_k", r"\beta_k \hat{x}_k^{(i)} + \gamma_k"): [3],
    (r"\gamma_k \hat{x}_k^{(i)} + \beta_k", r"\gamma_k \hat{x}_k^{(i)} - \beta_k"): [3],
    (r"\gamma_k \hat{x}_k^{(i)} + \beta_k", r"\gamma_k \hat{x}_k^{(i)}"): [3],
    (r"\sum_{i=1}^{m} x_k^{(i)}", r"\sum_{k=1}^{n} x_k^{(i)}"): None,
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one[1])
def test_each_mistake_is_found_at_its_formula(outcomes, mutant):
    before, after = mutant
    assert PAGE.count(before) == 1
    text = PAGE.replace(before, after)
    if MUTANTS[mutant] is None:
        # Nonsense is either different or not to be compared, but never right.
        assert words(outcomes(text))[0] != "agrees"
        return
    found = outcomes(text)
    assert [number for number, (outcome, _) in enumerate(found) if outcome == "differs"] == MUTANTS[mutant]
    assert "differs: " in found[MUTANTS[mutant][0]][1]


SAME = {
    "another form": (
        r"y_k^{(i)} = \gamma_k \hat{x}_k^{(i)} + \beta_k",
        r"y_k^{(i)} = \beta_k - \hat{x}_k^{(i)} (-\gamma_k)",
    ),
    "mean of squares": (
        r"\frac{1}{m} \sum_{i=1}^{m} \left( x_k^{(i)} - \mu_k \right)^2 .",
        r"\frac{1}{m} \sum_{i=1}^{m} (x_k^{(i)})^2 - \mu_k^2 .",
    ),
    "a chain": (
        r"\frac{1}{m} \sum_{i=1}^{m} \left( x_k^{(i)} - \mu_k \right)^2 .",
        r"\frac{1}{m} \sum_{i=1}^{m} (x_k^{(i)} - \mu_k)^2 = \frac{1}{m} \sum_{i=1}^{m} (x_k^{(i)})^2 - \mu_k^2",
    ),
}


@pytest.mark.parametrize("kind", SAME)
def test_another_form_of_the_same_agrees(outcomes, kind):
    before, after = SAME[kind]
    assert PAGE.count(before) == 1
    assert words(outcomes(PAGE.replace(before, after))) == ["agrees", "agrees", "skipped", "agrees"]


def test_each_link_of_a_chain_is_compared(outcomes):
    before, after = SAME["a chain"]
    assert words(outcomes(PAGE.replace(before, after.replace(r"- \mu_k^2", r"+ \mu_k^2"))))[1] == "differs"


def test_the_letters_of_indices_and_extents_do_not_matter(outcomes):
    text = PAGE.replace("(i)", "(b)").replace("{i=1}^{m}", "{b=1}^{N}").replace(r"\frac{1}{m}", r"\frac{1}{N}")
    assert words(outcomes(text.replace("_k", "_j"))) == ["agrees", "agrees", "skipped", "agrees"]


def test_the_order_of_axes_does_not_matter_where_it_is_the_same_throughout(outcomes):
    text = PAGE.replace("_k^{(i)}", "_{k,i}")
    assert words(outcomes(text)) == ["agrees", "agrees", "skipped", "agrees"]
    mixed = PAGE.replace(r"\mu_k = \frac{1}{m} \sum_{i=1}^{m} x_k^{(i)}", r"\mu_k = \frac{1}{m} \sum_{i=1}^{m} x_{k,i}")
    assert words(outcomes(mixed))[0] == "differs"


PAPER = r"""
$$ \mu_{\mathcal B} = \frac{1}{m} \sum_{i=1}^m x_i $$
$$ \sigma_{\mathcal B}^2 = \frac{1}{m} \sum_{i=1}^m (x_i - \mu_{\mathcal B})^2 $$
$$ y_i = \gamma \frac{x_i - \mu_{\mathcal B}}{\sqrt{\sigma_{\mathcal B}^2 + \epsilon}} + \beta $$
"""
NAMES = {r"\mu_B": "mu", r"\sigma_{\mathcal{B}}^2": "sigma2"}


def test_a_page_may_leave_out_the_index_of_the_feature(outcomes):
    assert words(outcomes(PAPER, names=NAMES)) == ["agrees", "agrees", "agrees"]
    assert words(outcomes(PAPER.replace(r"\gamma", "2"), names=NAMES)) == ["agrees", "agrees", "differs"]


def test_names_are_not_guessed(outcomes):
    (mean, variance, y) = outcomes(PAPER)
    assert mean == ("skipped", "batch_norm has no 'mu_B'; it is followed where others read it")
    assert variance[0] == "skipped"
    assert y[0] == "agrees"  # through the page's own mean and variance


def test_the_square_is_a_name_where_the_operator_has_it(outcomes):
    inference = catalogue.load("batch_norm_inference")[0]
    text = r"$$ y_{ik} = \gamma_k \frac{x_{ik} - \mu_k}{\sqrt{\sigma_k^2 + \epsilon}} + \beta_k $$"
    assert outcomes(text, inference) == [("agrees", "")]
    assert outcomes(text + "\n" + r"$$ \mu_k = 1 + \sigma_k $$", inference)[1] == (
        "skipped",
        "'mu' is an input of batch_norm_inference",
    )


def test_a_gradient_is_compared_too(outcomes):
    backward = catalogue.load("batch_norm_backward")[0]
    text = r"""
$$ \hat{x}_{i,k} = \frac{x_{i,k} - \mu_k}{\sqrt{\sigma_k^2 + \epsilon}} $$
$$ \mathrm{d}\gamma_k = \sum_{i=1}^m \mathrm{d}y_{i,k} \hat{x}_{i,k} $$
$$ \mathrm{d}\beta_k = \sum_{i=1}^m \mathrm{d}y_{i,k} $$
$$ \mathrm{d}x_{i,k} = \frac{\gamma_k}{m \sqrt{\sigma_k^2 + \epsilon}} \Bigl( m \, \mathrm{d}y_{i,k}
   - \sum_{j=1}^m \mathrm{d}y_{j,k} - \hat{x}_{i,k} \sum_{j=1}^m \mathrm{d}y_{j,k} \hat{x}_{j,k} \Bigr) $$
"""
    assert words(outcomes(text, backward)) == ["skipped", "agrees", "agrees", "agrees"]
    assert words(outcomes(text.replace("- \\hat{x}", "+ \\hat{x}"), backward))[3] == "differs"


def test_a_name_that_nobody_knows_is_a_reason(outcomes):
    text = PAGE.replace(r"+ \beta_k", r"+ \beta_k + q_k")
    assert outcomes(text)[3] == ("skipped", "it reads 'q', which neither the page defines nor the operator knows")


def test_a_difference_has_a_place_and_both_values(outcomes):
    text = r"$$ \mu_k = \frac{2}{m} \sum_{i=1}^m x_{ik} $$"
    ((outcome, reason),) = outcomes(text)
    assert outcome == "differs"
    here, there = reason.removeprefix("'mu' differs: ").removesuffix(" there, at [1]").split(" here, ")
    assert eval(here) == pytest.approx(2 * eval(there))


def test_another_shape_is_a_difference(outcomes):
    rank = "'mu' has another shape: 'mu' has 2 indices here, 1 there"
    assert outcomes(r"$$ \mu_{ik} = x_{ik} $$") == [("differs", rank)]
    text = r"$$ \mu_k = \frac{1}{m n} \sum_{i=1}^m \sum_{l=1}^n x_{ikl} $$"
    assert outcomes(text) == [("differs", "'mu' has another shape: 'x' has 3 indices here, 2 there")]
    assert outcomes(r"$$ y_{ik} = x_{ik} + \gamma_i $$") == [("differs", "'y' has another shape")]


def test_a_difference_names_the_formulas_that_it_follows(outcomes):
    wrong = PAGE.replace(r"\sqrt{\sigma_k^2 + \epsilon}", r"\sqrt{\sigma_k^2}")
    assert wrong != PAGE
    line = next(number for number, text in enumerate(wrong.split("\n"), 1) if text.startswith(r"\hat{x}"))
    assert outcomes(wrong)[3][1].endswith(f"; it follows 'x_hat' of line {line}")


def test_a_page_of_which_nothing_can_be_compared_is_an_error(write):
    with pytest.raises(PageError) as error:
        verify(write(r"$$ z_i = x_i $$"), BATCH_NORM)
    assert "none of its formulas can be compared with batch_norm, which computes y, mu, sigma2" in str(error.value)
    assert "line 1: batch_norm has no 'z'" in str(error.value)
    with pytest.raises(PageError, match="none of its formulas can be compared"):
        verify(write("no formula"), BATCH_NORM)
