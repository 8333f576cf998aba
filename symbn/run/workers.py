"""Work on several threads at a time: NumPy lets others run while it works on an array."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from symbn.run import blocks
from symbn.run.pool import Pool

#: threads at most, so that their memory (about 6 MB each) stays below 64 MB
_MOST = 8
#: NumPy copies its operands where its inner loops are shorter than its buffer, which is 8192 elements if not set
_BUFFER = 1024

Item = TypeVar("Item")


class Workers:
    """So many threads, each with its own memory for values of a dtype; the caller's is one of them."""

    def __init__(self, threads: int, dtype: Any) -> None:
        self.pools = [Pool(dtype, blocks.most()) for _ in range(min(threads, _MOST))]

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *raised: object) -> None:
        for pool in self.pools:
            pool.close()

    def each(self, items: Sequence[Item], work: Callable[[Item, Pool], None]) -> None:
        """Do the work for each item."""
        shares = [(items[number :: len(self.pools)], pool) for number, pool in enumerate(self.pools)]

        def run(share: Sequence[Item], pool: Pool) -> None:
            with quietly():
                for item in share:
                    work(item, pool)

        own, *others = [share for share in shares if share[0]] or [([], self.pools[0])]
        if not others:
            run(*own)
            return
        with ThreadPoolExecutor(len(others)) as executor:
            rest = [executor.submit(run, *share) for share in others]
            run(*own)
            for one in rest:
                one.result()


@contextmanager
def quietly() -> Iterator[None]:
    """No warnings of what is not finite, and NumPy's loops on small arrays as they should be."""
    with np.errstate(all="ignore"):
        np.setbufsize(_BUFFER)
        yield
