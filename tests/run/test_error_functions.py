"""erf and erfc, which NumPy lacks: the kernel, its check and its gradient."""

import math

import mpmath
import numpy as np
import pytest
import sympy
from sympy import Eq, Idx, IndexedBase, symbols

import symbn
from symbn.run import reference

m = symbols("m", integer=True, positive=True)
i = Idx("i", (1, m))
x, y, z = map(IndexedBase, "x y z".split())
BOTH = symbn.Operator("both", [Eq(y[i], sympy.erf(x[i])), Eq(z[i], sympy.erfc(x[i] * 2))], outputs=[y, z])
GELU = symbn.Operator("gelu", [Eq(y[i], x[i] * (1 + sympy.erf(x[i] / sympy.sqrt(2))) / 2)], outputs=[y])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_they_are_those_of_mathematics(dtype):
    points = np.array([-30, -2.5, -1e-3, 0, 1e-30, 0.7, 3, 5, 12, np.inf, -np.inf, np.nan], dtype)
    result = symbn.build(BOTH, dtype)(x=points, check="full")
    for found, function, factor in ((result.y, mpmath.erf, 1), (result.z, mpmath.erfc, 2)):
        for one, value in zip(points[:9], found[:9], strict=True):
            wanted = float(function(factor * mpmath.mpf(float(one))))
            assert value == pytest.approx(wanted, rel=2 * float(np.finfo(dtype).eps), abs=float(np.finfo(dtype).tiny))
        assert found[9:11].tolist() == [math.erf(9e9), -1.0] or found[9:11].tolist() == [0.0, 2.0]
        assert np.isnan(found[11])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_wrong_value_is_refused(dtype):
    other = symbn.Operator("both", [Eq(y[i], sympy.erf(x[i] * 1.001)), Eq(z[i], sympy.erfc(x[i] * 2))], outputs=[y, z])
    impostor = symbn.build(other, dtype)
    impostor._call._reference = reference.compile_reference(reference.numpy_source(BOTH))
    points = np.linspace(-2, 2, 50).astype(dtype)
    with pytest.raises(symbn.CheckError, match="y: "):
        impostor(x=points)


def test_the_reference_runs_as_it_stands():
    space = {"np": np}
    exec(reference.numpy_source(GELU), space)
    points = np.linspace(-3, 3, 13)
    (found,) = space["reference"](points)
    assert found == pytest.approx([p * (1 + math.erf(p / math.sqrt(2))) / 2 for p in points])


def test_the_gradient_of_gelu():
    points = np.linspace(-3, 3, 101)
    (found,) = [symbn.build(GELU.gradient(), "float64")(dy=np.ones(101), x=points)]
    wanted = [mpmath.diff(lambda v: v * (1 + mpmath.erf(v / mpmath.sqrt(2))) / 2, point) for point in points]
    assert found == pytest.approx([float(one) for one in wanted], rel=1e-13, abs=1e-15)
