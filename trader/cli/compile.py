"""`modelseal compile`: compile ahead what the first encrypted test of a new installation would wait for."""

from __future__ import annotations

import time

from trader.cli.output import JsonFlag, print_json_line, progress_bar, results


def compile_command(as_json: JsonFlag = False) -> None:
    """Compile the kernels of encrypted tests now, so that the first test does not wait for it."""
    from trader.rehearsal.kernels import compile_kernels

    started = time.perf_counter()
    with progress_bar("compiling") as update:
        compile_kernels(update)
    seconds = time.perf_counter() - started
    if as_json:
        print_json_line({"seconds": seconds})
    else:
        results.print(f"compiled, and tried, in {seconds:.0f} s")
