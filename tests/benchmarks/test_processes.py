"""Programs under measurement: their whole tree is counted and nothing is left."""

import os
import signal
import subprocess
import sys
import time

import pytest

from benchmarks.processes import (
    LOAD_CORE,
    SERVER_CORE,
    Program,
    ProgramError,
    Usage,
    can_pin,
    pinned,
)

BURN = "import time\nwhile time.process_time() < 0.4: pass\n"
PARENT_OF_BURN = (
    f"import subprocess, sys, time\n"
    f"child = subprocess.Popen([sys.executable, '-c', {BURN + 'time.sleep(60)'!r}])\n"
    f"time.sleep(60)\n"
)


def burnt_s(pid: int) -> float:
    """CPU of a tree when it has stopped growing."""
    before, now = -1.0, 0.0
    while now != before or now < 0.3:
        before = now
        time.sleep(0.3)
        now = Usage.of(pid).cpu_s
    return now


def test_cpu_of_descendants_counts() -> None:
    with Program("parent", [sys.executable, "-c", PARENT_OF_BURN]) as program:
        assert 0.4 <= burnt_s(program.pid) < 0.8


def test_memory_is_that_of_the_tree() -> None:
    alone = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(60)"]
    with Program("alone", alone, pipe=True) as program:
        program.read_line()
        assert 4e6 < Usage.of(program.pid).rss_bytes < 40e6


@pytest.mark.parametrize("core", [SERVER_CORE, LOAD_CORE])
def test_a_program_runs_on_its_core(core: int) -> None:
    code = "import os; print(sorted(os.sched_getaffinity(0)), flush=True)"
    allowed = [core] if can_pin() else sorted(os.sched_getaffinity(0))
    command = [sys.executable, "-c", code]
    # From the load's core, as the benchmark does it.
    with pinned(LOAD_CORE), Program("asks", command, core=core, pipe=True) as asks:
        assert asks.read_line() == str(allowed)


def test_pinning_ends_with_its_block() -> None:
    before = os.sched_getaffinity(0)
    with pinned(LOAD_CORE):
        inside = os.sched_getaffinity(0)

    assert inside == ({LOAD_CORE} if can_pin() else before)
    assert os.sched_getaffinity(0) == before


def test_failure_to_start_shows_the_end_of_the_log() -> None:
    code = "import sys; sys.exit('no such setting')"
    with (
        Program("broken", [sys.executable, "-c", code], pipe=True) as broken,
        pytest.raises(
            ProgramError, match="broken ended while starting\nno such setting"
        ),
    ):
        broken.read_line()


def test_a_program_dies_with_the_benchmark_also_by_sigkill() -> None:
    code = (
        "import time\n"
        "from benchmarks.processes import Program\n"
        "program = Program('sleeps', ['sleep', '60'])\n"
        "print(program.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.send_signal(signal.SIGKILL)

    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail("the program outlived the benchmark")
