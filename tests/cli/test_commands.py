"""Each command does what its help says; each mistake is one line on stderr and exit code 2."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import symbn
from symbn.cli import demo
from symbn.dtypes import DTYPES, FLOAT64
from symbn.generate import files
from symbn.kernel import explain
from symbn.run import machine

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def data(tmp_path):
    """An .npz with x and gamma, and the arrays."""
    random = np.random.default_rng(0)
    arrays = {"x": random.normal(3, 2, (40, 5)).astype("float32"), "gamma": random.normal(1, 1, 5).astype("float32")}
    np.savez(tmp_path / "data.npz", **arrays)
    return tmp_path / "data.npz", arrays


def expected(x, gamma=1.0, eps=1e-5):
    x = x.astype("float64")
    return gamma * (x - x.mean(0)) / np.sqrt(x.var(0) + eps)


# ---- help and misuse ---------------------------------------------------------------------------------


def test_no_command_prints_help(command):
    code, out, err = command()
    assert code == 2
    assert "Usage" in out + err


@pytest.mark.parametrize(
    "name", ["demo", "build", "verify-doc", "generate", "run", "show", "derive", "bench", "doctor"]
)
def test_each_command_has_help_with_an_example(command, name):
    code, out, _ = command(name, "--help")
    assert code == 0
    assert f"symbn {name}" in out
    assert "Example" in out


@pytest.mark.parametrize("arguments", [["nonsense"], ["show"], ["show", "batch_norm", "--nonsense"]])
def test_misuse_exits_with_2(command, arguments):
    code, _, err = command(*arguments)
    assert code == 2
    assert "Traceback" not in err


def one_line(err):
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1
    return err.strip()


def test_unknown_operator_is_named(command):
    code, _, err = command("show", "bach_norm")
    assert code == 2
    assert "'bach_norm'" in one_line(err)
    assert "batch_norm" in err


# ---- show --------------------------------------------------------------------------------------------


def test_show_prints_equations_by_default(command):
    code, out, _ = command("show", "batch_norm")
    assert code == 0
    assert all(part in out for part in ("μ[k] =", "σ²[k] =", "y[i, k] =", "(1)", "(2)", "(3)"))


def test_show_c_is_the_committed_file(command):
    code, out, _ = command("show", "batch_norm", "--c", "--dtype", "float64")
    assert code == 0
    assert out == (ROOT / "generated" / "batch_norm_float64.c").read_text(encoding="utf-8")


def test_show_latex(command):
    code, out, _ = command("show", "batch_norm", "--latex")
    assert code == 0
    assert out == (ROOT / "generated" / "batch_norm.tex").read_text(encoding="utf-8")


def test_show_numpy_runs(command):
    code, out, _ = command("show", "batch_norm", "--numpy")
    assert code == 0
    space = {}
    exec(compile(ast.parse(out), "<shown>", "exec"), space)
    x = np.random.default_rng(0).normal(size=(50, 3))
    y, mean, var = space["reference"](x, np.ones(3), np.zeros(3), 1e-5)
    np.testing.assert_allclose(np.squeeze(mean), x.mean(0))
    np.testing.assert_allclose(np.squeeze(var), x.var(0))
    np.testing.assert_allclose(y.T, expected(x))


def test_show_explain(command):
    code, out, _ = command("show", "layer_norm_backward", "--explain", "--dtype", "float64")
    assert code == 0
    rates = {"copy_rate": machine.copy_rate(), "operation_rate": machine.operation_rate()}
    assert out == explain.explain(symbn.operators.layer_norm_backward, FLOAT64, **rates)


def test_show_takes_one_form(command):
    code, _, err = command("show", "batch_norm", "--c", "--latex")
    assert code == 2
    assert "one of" in err


def test_show_names_an_unknown_dtype(command):
    code, _, err = command("show", "batch_norm", "--c", "--dtype", "int8")
    assert code == 2
    assert "int8" in one_line(err)


# ---- generate ----------------------------------------------------------------------------------------


@pytest.fixture
def committed(monkeypatch):
    """What is made of an operator is what is committed: tests/generate compares the two."""
    kinds = (".py", ".tex", *(f"_{name}.{end}" for name in DTYPES for end in "ch"))
    kinds += tuple(f"_gradient.{end}" for end in ("tex", "md", "html"))

    def files_of(name):
        paths = [ROOT / "generated" / f"{name}{kind}" for kind in kinds]
        return {path.name: path.read_text(encoding="utf-8") for path in paths if path.is_file()}

    monkeypatch.setattr(files, "files", files_of)


@pytest.mark.usefixtures("committed")
def test_generate_writes_the_committed_files(command, tmp_path):
    code, _, _ = command("generate", "--output", tmp_path / "made")
    assert code == 0
    there = {path.name: path.read_bytes() for path in (ROOT / "generated").glob("*.*") if path.suffix != ".png"}
    assert {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()} == there


@pytest.mark.usefixtures("committed")
def test_generate_check_is_quiet_on_fresh_files(command):
    code, _, _ = command("generate", "--check", "--output", ROOT / "generated")
    assert code == 0


@pytest.mark.usefixtures("committed")
def test_generate_check_shows_what_is_stale(command, tmp_path):
    folder = tmp_path / "generated"
    shutil.copytree(ROOT / "generated", folder)
    path = folder / "batch_norm_float32.c"
    path.write_text(path.read_text(encoding="utf-8").replace("epsilon", "epsilom"), encoding="utf-8")
    (folder / "batch_norm.tex").unlink()
    before = path.read_bytes()
    code, out, err = command("generate", "--check", "--output", folder)
    assert code == 1
    assert "epsilom" in out
    assert "batch_norm.tex" in out
    assert "stale" in err
    assert path.read_bytes() == before


@pytest.mark.usefixtures("committed")
def test_generate_check_finds_files_of_no_operator(command, tmp_path):
    folder = tmp_path / "generated"
    shutil.copytree(ROOT / "generated", folder)
    (folder / "left_over_float32.c").write_text("int left_over;\n", encoding="utf-8")
    code, out, _ = command("generate", "--check", "--output", folder)
    assert code == 1
    assert "left_over" in out


def test_generate_check_without_a_folder(command, tmp_path):
    code, _, err = command("generate", "--check", "--output", tmp_path / "nothing")
    assert code == 2
    assert "no folder" in one_line(err)


@pytest.mark.usefixtures("committed")
def test_generate_into_something_that_is_not_a_folder(command, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = command("generate", "--output", tmp_path / "file")
    assert code == 2
    assert "output" in one_line(err)


# ---- run ---------------------------------------------------------------------------------------------


def test_run_npz(command, data, tmp_path):
    source, arrays = data
    code, out, _ = command("run", "batch_norm", "--input", source, "--output", tmp_path / "out.npz")
    assert code == 0
    assert "out.npz" in out
    with np.load(tmp_path / "out.npz") as result:
        assert sorted(result.files) == ["mean", "var", "y"]
        np.testing.assert_allclose(result["y"], expected(arrays["x"], arrays["gamma"]), atol=1e-6)
        np.testing.assert_allclose(result["mean"], arrays["x"].astype("float64").mean(0))


@pytest.mark.parametrize("suffix", [".npy", ".csv"])
def test_run_single_arrays(command, data, tmp_path, suffix):
    _, arrays = data
    source, target = tmp_path / f"x{suffix}", tmp_path / f"y{suffix}"
    if suffix == ".npy":
        np.save(source, arrays["x"])
    else:
        np.savetxt(source, arrays["x"], delimiter=",")
    code, _, err = command("run", "batch_norm", "-i", source, "-o", target, "--set", "eps=0.5")
    assert code == 0, err
    result = np.load(target) if suffix == ".npy" else np.loadtxt(target, delimiter=",")
    np.testing.assert_allclose(result, expected(arrays["x"], eps=0.5), atol=1e-6)


def test_run_sets_the_axis_and_casts(command, tmp_path):
    x = np.random.default_rng(0).integers(0, 9, (4, 6, 3))
    np.save(tmp_path / "x.npy", x)
    code, _, err = command(
        "run",
        "batch_norm",
        "-i",
        tmp_path / "x.npy",
        "-o",
        tmp_path / "y.npy",
        "--set",
        "axis=-1",
        "--dtype",
        "float64",
    )
    assert code == 0, err
    np.testing.assert_allclose(np.load(tmp_path / "y.npy").reshape(-1, 3), expected(x.reshape(-1, 3)), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.npz", None, "cannot be read"),
        ("broken.npz", b"PK\x03\x04 nothing", "not a npz file"),
        ("empty.npz", b"", "not a npz file"),
        ("text.npy", b"hello", "not a npy file"),
        ("words.csv", b"a,b\nc,d\n", "not a csv file"),
        ("ragged.csv", b"1,2\n3\n", "not a csv file"),
        ("empty.csv", b"", "not a csv file"),
        ("bytes.csv", b"\xff\xfe\x00,1\n", "not a csv file"),
        ("x.txt", b"1", "known kind"),
    ],
)
def test_run_names_a_bad_input_file(command, tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    code, _, err = command("run", "batch_norm", "-i", tmp_path / name, "-o", tmp_path / "out.npz")
    assert code == 2
    line = one_line(err)
    assert name in line
    assert said in line
    assert not (tmp_path / "out.npz").exists()


def test_run_refuses_pickles(command, tmp_path):
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    code, _, err = command("run", "batch_norm", "-i", tmp_path / "x.npy", "-o", tmp_path / "y.npy")
    assert code == 2
    assert "x.npy is not a npy file of numbers: it holds something other than arrays" in one_line(err)


def test_run_says_how_a_missing_number_is_given(command, tmp_path):
    np.save(tmp_path / "x.npy", np.ones((2, 4, 3), "float32"))
    code, _, err = command("run", "group_norm", "-i", tmp_path / "x.npy", "-o", tmp_path / "y.npy")
    assert code == 2
    assert "x.npy has no num_groups, which group_norm needs; a number comes from --set" in one_line(err)


def test_run_names_unknown_and_missing_arrays(command, tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones((2, 2), "float32"), gama=np.ones(2, "float32"))
    code, _, err = command("run", "batch_norm", "-i", tmp_path / "a.npz", "-o", tmp_path / "y.npz")
    assert (code, "'gama'" in one_line(err)) == (2, True)
    np.savez(tmp_path / "b.npz", gamma=np.ones(2, "float32"))
    code, _, err = command("run", "batch_norm", "-i", tmp_path / "b.npz", "-o", tmp_path / "y.npz")
    assert (code, "no x" in one_line(err)) == (2, True)


@pytest.mark.parametrize("setting", ["eps", "epsilom=1", "eps=abc", "out=1"])
def test_run_names_a_bad_setting(command, data, tmp_path, setting):
    code, _, err = command("run", "batch_norm", "-i", data[0], "-o", tmp_path / "y.npz", "--set", setting)
    assert code == 2
    assert "set" in one_line(err)


def test_run_knows_the_equations_names(command, tmp_path):
    np.savez(tmp_path / "in.npz", x=np.ones((2, 3)), mu=np.zeros(3), sigma2=np.ones(3))
    code, _, err = command(
        "run", "batch_norm_inference", "-i", tmp_path / "in.npz", "-o", tmp_path / "y.npy", "--set", "epsilon=3"
    )
    assert code == 0, err
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), np.full((2, 3), 0.5))


def test_run_names_a_bad_value(command, data, tmp_path):
    code, _, err = command("run", "batch_norm", "-i", data[0], "-o", tmp_path / "y.npz", "--set", "eps=-1")
    assert code == 2
    assert one_line(err).startswith("symbn: eps: is -1")


def test_run_leaves_nothing_half_written(command, data, tmp_path):
    code, _, err = command("run", "batch_norm", "-i", data[0], "-o", tmp_path / "no" / "y.npz")
    assert code == 2
    assert "y.npz" in one_line(err)
    cube = tmp_path / "cube.npy"
    np.save(cube, np.ones((2, 2, 2), "float32"))
    code, _, err = command("run", "batch_norm", "-i", cube, "-o", tmp_path / "y.csv")
    assert code == 2
    assert "two dimensions" in one_line(err)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cube.npy", "data.npz"]


def test_a_failed_check_exits_with_1_and_writes_nothing(command, data, tmp_path, refused):
    refused("batch_norm")
    code, _, err = command("run", "batch_norm", "-i", data[0], "-o", tmp_path / "y.npz")
    assert code == 1
    assert "scaled ulp" in err
    assert not (tmp_path / "y.npz").exists()


# ---- doctor and demo ---------------------------------------------------------------------------------


def test_doctor_finds_nothing_wrong(command):
    code, out, _ = command("doctor")
    assert code == 0
    assert all(word in out for word in ("compiler", "threads", "cache", "CPU", "nothing is wrong"))


@pytest.mark.parametrize("name", ["no-such-compiler", "[/red]"])
def test_doctor_says_what_is_wrong(command, monkeypatch, name):
    monkeypatch.setenv("CC", name)
    code, out, _ = command("doctor")
    assert code == 1
    assert name in out
    assert "install" in out


def test_doctor_names_a_bad_number_of_threads():
    environment = {"SYMBN_NUM_THREADS": "many", "PATH": "/usr/bin:/bin"}
    run = subprocess.run(
        [sys.executable, "-m", "symbn.cli.main", "doctor"], capture_output=True, text=True, env=environment, check=False
    )
    assert run.returncode == 1
    assert "SYMBN_NUM_THREADS: 'many'" in run.stdout


def test_demo_runs_checks_and_refuses(command):
    code, out, _ = command("demo")
    assert code == 0
    assert out.count("good") == 16  # a row for each function that takes such data
    assert "give the same bits as the shipped batch_norm" in out
    assert out.count("refused") == 2
    assert "8x8" in out


def test_demo_makes_its_data_without_scikit_learn_and_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    images, source = demo._images()
    assert images.shape == (1797, 8, 8)
    assert "not installed" in source


def test_a_reader_that_goes_away_is_no_error():
    script = f"{sys.executable} -m symbn.cli.main show batch_norm --c | head -n 1"
    run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert "Traceback" not in run.stderr
