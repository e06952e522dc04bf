"""The fork server under Ctrl-C, which the terminal sends to every process of the command."""

import subprocess
import sys
from pathlib import Path

SLOW = "import time; time.sleep(3)"
PROGRAM = """
import os, signal, time
from stbench.train.fork_server import hear_interrupts, start_fork_server

def mask():
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())

def work(messages):
    messages.send(mask())
    hear_interrupts()
    messages.send(mask())

if __name__ == "__main__":
    context = start_fork_server("slow_to_import")
    assert not mask(), "this process no longer hears Ctrl-C"
    time.sleep(0.5)  # the server imports
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.killpg(os.getpgrp(), signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(sender,))
    process.start()
    assert receiver.poll(30), "the server is gone"
    print(receiver.recv(), receiver.recv())
    process.join()
"""


def test_ctrl_c_leaves_the_server_to_its_imports(tmp_path: Path) -> None:
    (tmp_path / "slow_to_import.py").write_text(SLOW)
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        start_new_session=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "True False\n"
