"""oneDNN by its C interface: the primitives that are made once and executed on prepared memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from cffi import FFI

from symbn.bench.peers import Form
from symbn.bench.problem import Problem

_ffi = FFI()
_ffi.cdef("""
typedef struct { int major, minor, patch; const char *hash; unsigned cpu_runtime, gpu_runtime; } dnnl_version_t;
typedef struct { int arg; void *memory; } dnnl_exec_arg_t;
const dnnl_version_t *dnnl_version(void);
int dnnl_engine_create(void **engine, int kind, size_t index);
int dnnl_stream_create(void **stream, void *engine, unsigned flags);
int dnnl_stream_wait(void *stream);
int dnnl_memory_desc_create_with_strides(void **desc, int ndims, const int64_t *dims, int type, const int64_t *strides);
int dnnl_memory_create(void **memory, const void *desc, void *engine, void *handle);
int dnnl_batch_normalization_forward_primitive_desc_create(void **pd, void *engine, int prop, const void *src,
    const void *dst, float epsilon, unsigned flags, const void *attr);
int dnnl_batch_normalization_backward_primitive_desc_create(void **pd, void *engine, int prop, const void *diff_src,
    const void *diff_dst, const void *src, float epsilon, unsigned flags, const void *hint, const void *attr);
int dnnl_layer_normalization_forward_primitive_desc_create(void **pd, void *engine, int prop, const void *src,
    const void *dst, const void *stat, float epsilon, unsigned flags, const void *attr);
int dnnl_layer_normalization_backward_primitive_desc_create(void **pd, void *engine, int prop, const void *diff_src,
    const void *diff_dst, const void *src, const void *stat, float epsilon, unsigned flags, const void *hint,
    const void *attr);
int dnnl_group_normalization_forward_primitive_desc_create(void **pd, void *engine, int prop, const void *src,
    const void *dst, int64_t groups, float epsilon, unsigned flags, const void *attr);
int dnnl_group_normalization_backward_primitive_desc_create(void **pd, void *engine, int prop, const void *diff_src,
    const void *diff_dst, const void *src, int64_t groups, float epsilon, unsigned flags, const void *hint,
    const void *attr);
size_t dnnl_memory_desc_get_size(const void *desc);
const void *dnnl_primitive_desc_query_md(const void *pd, int what, int index);
int dnnl_primitive_create(void **primitive, const void *pd);
int dnnl_primitive_execute(const void *primitive, void *stream, int count, const dnnl_exec_arg_t *args);
""")

_TRAINING, _INFERENCE, _BACKWARD = 64, 96, 128
_GLOBAL_STATISTICS, _SCALE, _SHIFT, _RELU, _RMS = 1, 2, 4, 8, 32
_ARGUMENTS = {
    "src": 1,
    "dst": 17,
    "mean": 49,
    "variance": 50,
    "scale": 51,
    "shift": 52,
    "workspace": 64,
    "diff_src": 129,
    "diff_dst": 145,
    "diff_scale": 255,
    "diff_shift": 256,
}
_FLOAT32, _CPU, _IN_ORDER = 3, 1, 1
_ARGUMENT_DESC = 255


class _Refused(Exception):
    """oneDNN has no such primitive."""


class _Library:
    """One build of oneDNN, its engine and its stream."""

    def __init__(self, path: str) -> None:
        self.functions = _ffi.dlopen(path)
        found = self.functions.dnnl_version()
        self.version = f"{found.major}.{found.minor}.{found.patch}"
        self.engine: Any = None
        self.stream: Any = None

    def start(self) -> None:
        self.engine = self.made("dnnl_engine_create", _CPU, 0)
        self.stream = self.made("dnnl_stream_create", self.engine, _IN_ORDER)

    def made(self, function: str, *arguments: Any) -> Any:
        """What a function puts into its first argument; _Refused where this build has no such thing."""
        result = _ffi.new("void **")
        try:
            status = getattr(self.functions, function)(result, *arguments)
        except AttributeError as error:
            raise _Refused(str(error)) from None
        if status:
            raise _Refused(f"{function} returned {status}")
        return result[0]


def _open() -> list[_Library]:
    """The builds that packages put beside this Python, which differ in version and threads; else the system's."""
    found = [str(path) for path in sorted(Path(sys.prefix, "lib").glob("libdnnl.so.3.*"))]
    try:
        return [_Library(path) for path in found or ["libdnnl.so.3"]]
    except OSError as error:
        raise ImportError(str(error).partition(".  ")[0]) from None


_libraries = _open()


def version() -> str:
    return " and ".join(library.version for library in _libraries)


def prepare(threads: int) -> None:
    """OpenMP's number of threads is in the environment; TBB's follows the CPUs of the process."""
    for library in _libraries:
        library.start()


def forms(problem: Problem) -> Iterator[Form]:
    """float32 only; a matrix both as it is and as an image of one pixel, and of one sample."""
    if problem.case.dtype != "float32":
        return
    for library in _libraries:
        for name, dims, strides in _views(problem):
            try:
                call, result = _Primitive(library, problem).ready(dims, strides)
            except _Refused:
                continue
            yield Form(f"{library.version} {name}", call, partial(_given, result))


def _given(result: Any, _: object) -> Any:
    """What has been filled; the call returns nothing."""
    return result


def _views(problem: Problem) -> Iterator[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """(name, extents, strides) of the data as a primitive may be told of it."""
    view = problem.channels_second(problem.x)
    yield "natural", view.shape, tuple(stride // view.itemsize for stride in view.strides)
    if problem.case.norm == "batch_norm" and view.ndim == 2:
        m, n = view.shape
        yield "as m,n,1,1", (m, n, 1, 1), (n, 1, n, n)
        yield "as 1,n,m,1", (1, n, m, 1), (m * n, 1, n, n)


class _Primitive:
    """A problem's primitive in one build."""

    def __init__(self, library: _Library, problem: Problem) -> None:
        self.library, self.problem, self.case = library, problem, problem.case
        self.flags = _SCALE | (_RMS if self.case.norm == "rms_norm" else _SHIFT)
        self.flags |= (_GLOBAL_STATISTICS if self.case.inference else 0) | (_RELU if self.case.relu else 0)
        #: oneDNN's name, and what its descriptors take between the data and epsilon
        self.kind, self.more = "group", [self.case.groups if self.case.norm == "group_norm" else self.case.shape[1]]
        if self.case.norm == "batch_norm":
            self.kind, self.more = "batch", []
        elif self.case.norm in ("layer_norm", "rms_norm"):
            self.kind, self.more = "layer", [self._desc(self.case.shape[:1], (1,))]

    def ready(self, dims: tuple[int, ...], strides: tuple[int, ...]) -> tuple[Callable[[], Any], Any]:
        """A call that executes the primitive, and the array that it fills."""
        data, result, problem = self._desc(dims, strides), self.problem.empty(), self.problem
        mean, var = (one.astype(np.float32) for one in (problem.mean, problem.var))
        held = {"src": problem.x, "scale": problem.gamma, "mean": mean, "variance": var, "workspace": None}
        desc = self._created("forward", _INFERENCE if self.case.inference else _TRAINING, data, data)
        if self.case.backward:
            desc = self._created("backward", _BACKWARD, data, data, data, hint=(desc,))
            dgamma, dbeta = np.zeros_like(problem.gamma), np.zeros_like(problem.gamma)
            held |= {"diff_src": result, "diff_dst": problem.dy, "diff_scale": dgamma, "diff_shift": dbeta}
        else:
            held["dst"] = result
        if not self.case.backward or self.kind == "layer":
            held["shift"] = problem.beta
        return self._execution(desc, held), result

    def _desc(self, dims: tuple[int, ...], strides: tuple[int, ...]) -> Any:
        return self.library.made("dnnl_memory_desc_create_with_strides", len(dims), dims, _FLOAT32, strides)

    def _created(self, direction: str, kind: int, *data: Any, hint: tuple[Any, ...] = ()) -> Any:
        function = f"dnnl_{self.kind}_normalization_{direction}_primitive_desc_create"
        given = (*data, *self.more, self.problem.eps, self.flags, *hint, _ffi.NULL)
        return self.library.made(function, self.library.engine, kind, *given)

    def _execution(self, desc: Any, arrays: Mapping[str, Any]) -> Callable[[], Any]:
        """Executes a primitive on arrays, as far as it asks for them; None is memory of oneDNN's own."""
        own, made, engine, stream = self.library.functions, self.library.made, self.library.engine, self.library.stream
        given = []
        for name, array in arrays.items():
            memory_desc = own.dnnl_primitive_desc_query_md(desc, _ARGUMENT_DESC, _ARGUMENTS[name])
            if own.dnnl_memory_desc_get_size(memory_desc):
                handle = _ffi.cast("void *", -1) if array is None else _ffi.from_buffer(array)
                given.append((_ARGUMENTS[name], made("dnnl_memory_create", memory_desc, engine, handle)))
        arguments = _ffi.new("dnnl_exec_arg_t[]", given)
        primitive, count = made("dnnl_primitive_create", desc), len(given)
        execute, wait = own.dnnl_primitive_execute, own.dnnl_stream_wait

        def call(arrays: Mapping[str, Any] = arrays) -> None:
            # The arrays are held for as long as the call is.
            if status := execute(primitive, stream, count, arguments) or wait(stream):
                raise RuntimeError(f"oneDNN failed to execute a primitive: status {status}")

        return call
