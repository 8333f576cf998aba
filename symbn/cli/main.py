"""The command ``symbn``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from symbn.cli.console import console, errors, show_code
from symbn.errors import CheckError, SymbnError

FAILED, MISUSE = 1, 2

app = typer.Typer(
    help="A normalization's equations as native code that is checked against them each time it runs.",
    epilog="Exit codes: 0 done, 1 a failed check, a stale file, a formula that differs or a slower kernel, 2 misuse.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)

OperatorName = Annotated[str, typer.Argument(metavar="OPERATOR", help="A shipped operator, such as batch_norm.")]

PageFile = Annotated[Path, typer.Argument(metavar="FILE.md", help="A Markdown page.")]
Renamed = Annotated[
    list[str] | None,
    typer.Option(metavar="LATEX=NAME", help=r"What to call a name of the page: '\nu_k=sigma2'. May be repeated."),
]


@app.command(epilog="Example: symbn demo")
def demo() -> None:
    """From the equations to a checked kernel on real data, and what the check does with a broken one."""
    from symbn.cli import demo as show

    if not show.run():
        raise typer.Exit(FAILED)


@app.command(epilog="Examples: symbn generate | symbn generate batch_norm --output /tmp/c | symbn generate --check")
def generate(
    operators: Annotated[
        list[str] | None, typer.Argument(metavar="[OPERATOR]...", help="Shipped operators; all if none is named.")
    ] = None,
    output: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write.")] = Path("generated"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; show what is stale, and exit with 1 if anything is.")
    ] = False,
) -> None:
    """Write the C, the LaTeX, the Python function and the gradient's pages of operators from their equations."""
    from symbn import catalogue
    from symbn.generate import files

    names = operators or list(catalogue.names())
    if check:
        difference = files.stale(names, output)
        if difference:
            show_code(difference, "diff")
            errors.print(f"{output} is stale; run: symbn generate --output {output}", markup=False)
            raise typer.Exit(FAILED)
        console.print(f"{output} is what the equations give", markup=False)
        return
    written = files.write(names, output)
    console.print(f"wrote {len(written)} files to {output}", markup=False)


@app.command(
    epilog="Examples: symbn run batch_norm --input x.npz --output y.npz | symbn run batch_norm -i x.csv -o y.csv"
)
def run(
    operator: OperatorName,
    input: Annotated[
        Path,
        typer.Option(
            "--input",
            "-i",
            metavar="FILE",
            help="Input arrays: an .npz with one entry for each (x, gamma, ...), or x alone as .npy or .csv.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="An .npz for every output, .npy or .csv for the first."),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A number, such as eps=1e-3 or axis=-1. May be repeated."),
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 or float64; default: that of the data.")] = None,
    check: Annotated[str | None, typer.Option(help="full, sample or off.")] = None,
) -> None:
    """Run a shipped operator on arrays in a file, checked against its equations."""
    from symbn.cli import data

    report = data.run(operator, input, output, settings or [], dtype, check)
    console.print(report, markup=False)


@app.command(epilog="Examples: symbn show batch_norm | symbn show batch_norm --c --dtype float64 > batch_norm.c")
def show(
    operator: OperatorName,
    equations: Annotated[bool, typer.Option("--equations", help="The equations, for a terminal (default).")] = False,
    c: Annotated[bool, typer.Option("--c", help="The generated C.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="The equations in LaTeX.")] = False,
    numpy: Annotated[bool, typer.Option("--numpy", help="The NumPy reference that runs are checked against.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="What the kernel does, visit by visit.")] = False,
    dtype: Annotated[str, typer.Option(help="The dtype of the C: float32 or float64.")] = "float32",
) -> None:
    """Print what an operator is, in one of its forms."""
    if equations + c + latex + numpy + explain > 1:
        raise typer.BadParameter("give one of --equations, --c, --latex, --numpy and --explain")
    from symbn import catalogue, dtypes, pipeline
    from symbn.equations import notation
    from symbn.kernel import explain as explaining
    from symbn.run import machine, reference

    loaded, _ = catalogue.load(operator)
    kind = dtypes.dtype(dtype)
    if c:
        show_code(pipeline.emit(loaded, kind).text, "c")
    elif latex:
        show_code(loaded.latex(), "latex")
    elif numpy:
        show_code("import numpy as np\n\n\n" + reference.numpy_source(loaded), "python")
    elif explain:
        rates = {"copy_rate": machine.copy_rate(), "operation_rate": machine.operation_rate()}
        print(explaining.explain(loaded, kind, **rates), end="")
    else:
        print(notation.terminal(loaded.equations))


@app.command(epilog="Examples: symbn derive batch_norm -o bn.html | symbn derive batch_norm --format pdf")
def derive(
    operator: OperatorName,
    form: Annotated[
        str,
        typer.Option(help="staged (a gradient for each equation), collapsed (simplified), or both."),
    ] = "both",
    format: Annotated[str | None, typer.Option(help="tex, md, html or pdf; default: that of the file, or md.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Default: print it; a PDF goes to OPERATOR_gradient.pdf."),
    ] = None,
) -> None:
    """Derive an operator's gradient, prove each step, and write it down."""
    from symbn.cli import derive as write

    text, path = write.page(operator, form, format, output)
    if path is None:
        show_code(text, "markdown")
    else:
        console.print(f"wrote {path}", markup=False)


@app.command(epilog="Examples: symbn build page.md | symbn build page.md --dtype float32 --output out")
def build(
    page: PageFile,
    dtype: Annotated[str | None, typer.Option(help="float32 or float64; default: both.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="A folder for the C, the LaTeX and the pages.")
    ] = None,
    name: Renamed = None,
) -> None:
    """The formulas of a Markdown page as kernels, forward and gradient: compiled, run and checked."""
    from symbn.cli import build as show
    from symbn.cli.verify import renamings

    if not show.run(page, renamings(name or []), dtype, output):
        raise typer.Exit(FAILED)


@app.command("verify-doc", epilog="Example: symbn verify-doc README.md --against batch_norm")
def verify_doc(
    page: PageFile,
    against: Annotated[str, typer.Option(metavar="OPERATOR", help="A shipped operator, such as batch_norm.")],
    name: Renamed = None,
) -> None:
    """Do the formulas of a Markdown page say what an operator computes? Exits with 1 where one does not."""
    from symbn.cli import verify

    if not verify.run(page, against, verify.renamings(name or [])):
        raise typer.Exit(FAILED)


@app.command(
    epilog="Examples: symbn bench | symbn bench --operators batch_norm --shapes resnet50,4096x768 --threads 1,2 --out b"
)
def bench(
    operators: Annotated[
        list[str] | None,
        typer.Option(metavar="OPERATOR,...", help="Shipped operators; default: all that others have too."),
    ] = None,
    shapes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SHAPE,...",
            help="Shapes such as 4096x768 or 32x64x56x56 (N, C, and positions), or names of suites: tiny, networks,"
            " matrices, fused, rows, groups (which a run without this option measures), resnet50, densenet121,"
            " inception3, tall, wide.",
        ),
    ] = None,
    layouts: Annotated[
        list[str] | None, typer.Option(metavar="LAYOUT,...", help="channels-first, channels-last; default: both.")
    ] = None,
    dtypes: Annotated[list[str], typer.Option(metavar="DTYPE,...", help="float32, float64.")] = ["float32"],  # noqa: B006
    threads: Annotated[
        list[str], typer.Option(metavar="NUMBER,...", help="Numbers of threads, each measured in a process of its own.")
    ] = ["1"],  # noqa: B006
    rounds: Annotated[int, typer.Option(help="How often everybody is measured; 3 are enough where it takes long.")] = 5,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A folder for bench.json, bench.md, bench.svg and bench.png."),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            metavar="OLD.json", help="The bench.json of an earlier run; exits with 1 where something is slower."
        ),
    ] = None,
) -> None:
    """Measure symbn beside PyTorch, oneDNN, JAX, ONNX Runtime, NumPy and numba, as far as they are installed.

    Speed and accuracy; it takes some minutes.
    """
    from symbn.cli import bench as measure

    if not measure.run(operators or [], shapes or [], layouts or [], dtypes, threads, rounds, out, compare):
        raise typer.Exit(FAILED)


@app.command(epilog="Example: symbn doctor")
def doctor() -> None:
    """The compiler, the CPU, the threads and the cache, and what is wrong if something is."""
    from symbn.cli import doctor as examine

    if not examine.run():
        raise typer.Exit(FAILED)


def main() -> None:
    """Run the command line; a mistake is one line on stderr, never a traceback."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # Closed by the caller (symbn show ... >&-): there is nobody to tell.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        app()
    except CheckError as error:
        errors.print(str(error), markup=False, highlight=False)
        sys.exit(FAILED)
    except SymbnError as error:
        errors.print(f"symbn: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(MISUSE)
    except BrokenPipeError:
        # The reader has gone (symbn show ... | head); stdout must not be flushed into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except OSError as error:
        errors.print(f"symbn: {error.strerror or error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(MISUSE)
    except MemoryError as error:
        errors.print(f"symbn: there is not enough memory: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(MISUSE)


if __name__ == "__main__":
    main()
