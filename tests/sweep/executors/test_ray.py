"""Runs as tasks of a real Ray cluster of one machine with two workers: its driver killed, a worker killed, stopped."""

import ast
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from stbench.errors import UserError
from stbench.sweep.executors import UnavailableError, get_executor, ray, ray_cluster
from tests.cli.commands import TINY, command
from tests.support.ports import free_port

WAIT_SECONDS = 280
SMALL = ["tau.hid_s=4", "tau.hid_t=8", "tau.n_t=2", "convlstm.hidden=[4]", "dataset.train_clips=32"]
FOUR_RUNS = [
    *("run", "--methods", "tau,convlstm", *TINY, "--seeds", "0,1", "--epochs", "4", "--device", "cpu"),
    *(part for setting in SMALL for part in ("--set", setting)),
]
ENV = {"OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0", "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"cpus": 0}, "cpus = 0"), ({"adress": "auto"}, "Did you mean 'address'"), ({"gpus": 2}, "gpus = 2")],
)
def test_mistakes_in_settings(settings: dict[str, object], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        get_executor("ray", settings)


@pytest.mark.parametrize("address", [None, "auto"])
def test_only_a_command_with_a_cluster_of_its_own_drops_the_history_of_tasks(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = ray.NO_HISTORY[0]
    monkeypatch.setenv(name, "unset")  # restored afterwards
    monkeypatch.delenv(name)
    started: list[dict[str, str]] = []
    monkeypatch.setattr(ray, "LocalCluster", lambda settings: (started.append(settings), object())[1])
    executor = ray.Ray(address=address)
    executor._start_cluster()
    assert name not in os.environ
    executor.prepare()
    assert (name in os.environ) == (address is None)
    assert len(started) == (1 if address is None else 0)


def test_without_ray_it_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "find_spec", lambda _: None)
    with pytest.raises(UnavailableError, match=r"pip install 'stbench\[ray\]'"):
        get_executor("ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A node with room for two workers."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    from ray.cluster_utils import Cluster

    size = {"num_cpus": 2, "object_store_memory": ray_cluster.STORE_BYTES, "include_dashboard": False}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENV.items():
            patch.setenv(name, value)
        made = Cluster(initialize_head=True, head_node_args=size)
        try:
            yield made
        finally:
            made.shutdown()


def start(cluster: Any, *arguments: str) -> subprocess.Popen[str]:
    settings = ["--executor", "ray", "--executor-set", f"address={cluster.address}"]
    return subprocess.Popen(command(*arguments, *settings), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until(what: str, true: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.1)


def processes(is_one: Callable[[bytes], bool]) -> list[int]:
    """Processes, chosen by their command line."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if is_one(file.read_bytes()):
                found.append(int(file.parent.name))
        except OSError:  # it has ended
            continue
    return found


def working() -> list[int]:
    """Processes that do a task; Ray names them after it."""
    return processes(lambda line: line.startswith(b"ray::_work"))


def holding() -> list[int]:
    """Processes that hold a local cluster."""
    return processes(lambda line: b"run_path(" in line and ray_cluster.__file__.encode() in line)


def of_ray() -> set[int]:
    """Processes of clusters, which have the size of their store on the command line."""
    return set(processes(lambda line: str(ray_cluster.STORE_BYTES).encode() in line))


def epochs(out: Path) -> int:
    return sum(len(file.read_text().splitlines()) for file in out.glob("runs/*/history.jsonl"))


def table(out: Path) -> pd.DataFrame:
    found = pd.read_csv(out / "table.csv")
    return found.drop(columns=[name for name in found if "second" in name or "finished" in name])


@pytest.mark.slow
def test_a_killed_driver_and_a_killed_worker_lose_nothing(cluster: Any, tmp_path: Path) -> None:
    """Four runs; the process that sent them is killed, then one worker; the same command ends with the local table."""
    out = tmp_path / "ray"
    arguments = [*FOUR_RUNS, "--out", str(out)]
    driver = start(cluster, *arguments)
    until("a run trains on one of two workers", lambda: epochs(out) and len(working()) == 2)
    driver.kill()
    driver.communicate()
    until("its tasks end with it", lambda: not working())
    before = epochs(out)
    done = start(cluster, *arguments)
    until("it goes on", lambda: epochs(out) > before and working())
    killed = working()[0]
    os.kill(killed, signal.SIGKILL)
    said, _ = done.communicate(timeout=WAIT_SECONDS)
    assert done.returncode == 0, said
    assert killed not in working()
    subprocess.run(
        command(*FOUR_RUNS, "--out", str(tmp_path / "local")), capture_output=True, check=True, timeout=WAIT_SECONDS
    )
    pd.testing.assert_frame_equal(table(out), table(tmp_path / "local"), check_exact=True)


@pytest.mark.slow
def test_asked_to_stop_it_saves(cluster: Any, tmp_path: Path) -> None:
    long = ["run", "--methods", "convlstm", *TINY, "--set", "convlstm.hidden=[4]", "--epochs", "500"]
    driver = start(cluster, *long, "--out", str(tmp_path))
    until("it trains", lambda: epochs(tmp_path))
    driver.send_signal(signal.SIGINT)
    said, _ = driver.communicate(timeout=WAIT_SECONDS)
    assert driver.returncode == 130, said
    assert "Repeat the command to continue" in said
    (folder,) = tmp_path.glob("runs/*convlstm*")
    assert (folder / "checkpoints" / "last.pt").stat().st_size > 0
    assert not (folder / "result.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_cluster_of_its_own_ends_with_the_command(how: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C, which reaches all processes of a terminal, lets the run save first; nothing can be done about SIGKILL."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    before = of_ray()
    long = ["run", "--methods", "convlstm", *TINY, "--set", "convlstm.hidden=[4]", "--epochs", "500"]
    driver = subprocess.Popen(
        command(*long, "--out", str(tmp_path), "--executor", "ray"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    until("it trains", lambda: epochs(tmp_path))
    assert holding()
    assert of_ray() > before
    os.killpg(driver.pid, how)
    said, _ = driver.communicate(timeout=WAIT_SECONDS)
    until("its cluster is gone", lambda: not holding() and of_ray() <= before)
    assert not working()
    if how == signal.SIGINT:
        assert driver.returncode == 130, said
        assert "Repeat the command to continue" in said
        (folder,) = tmp_path.glob("runs/*convlstm*")
        assert (folder / "checkpoints" / "last.pt").stat().st_size > 0


FAKE = """
import pathlib
def init(**_):
    raise ValueError("no room\\nat all")
def shutdown():
    pathlib.Path(__file__).with_name("shut").touch()
"""


def fake_ray(folder: Path, code: str, patch: pytest.MonkeyPatch) -> None:
    """Put a module ``ray`` into a folder, found before the real one."""
    (folder / "ray").mkdir(parents=True)
    (folder / "ray" / "__init__.py").write_text(code)
    patch.syspath_prepend(str(folder))


def test_why_a_cluster_of_its_own_did_not_start_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_ray(tmp_path, FAKE, monkeypatch)
    cluster = ray_cluster.LocalCluster({})
    with pytest.raises(RuntimeError, match=r"^no room$"):
        cluster.address()
    cluster.end()
    until("it ends", (tmp_path / "ray" / "shut").exists)


def test_the_working_folder_hides_no_library_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("runpy", "contextlib", "stbench", "ray"):
        (tmp_path / f"{name}.py").write_text("raise ImportError\n")
    fake_ray(tmp_path / "fake", FAKE, monkeypatch)
    monkeypatch.setattr(sys, "path", [*filter(None, sys.path)])
    monkeypatch.chdir(tmp_path)
    cluster = ray_cluster.LocalCluster({})
    with pytest.raises(RuntimeError, match=r"^no room$"):
        cluster.address()
    cluster.end()


@pytest.mark.parametrize("stated", [{}, {"RAY_raylet_client_num_connect_attempts": "20"}], ids=["none", "one"])
def test_patience_of_the_user_stands_as_a_whole(
    stated: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import os\ndef init(**_):\n    raise ValueError({k: v for k, v in os.environ.items() if 'connect' in k})\n"
    fake_ray(tmp_path, code + "def shutdown():\n    pass\n", monkeypatch)
    for name, value in stated.items():
        monkeypatch.setenv(name, value)
    cluster = ray_cluster.LocalCluster({})
    with pytest.raises(RuntimeError) as said:
        cluster.address()
    assert ast.literal_eval(str(said.value)) == (stated or ray_cluster.PATIENCE)
    cluster.end()


def test_a_command_that_ends_at_once_starts_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a mistake, say: the pipe has closed when Ray is imported."""
    fake_ray(tmp_path, f"import time\ntime.sleep(1)\n{FAKE.replace('raise', 'return')}", monkeypatch)
    cluster = ray_cluster.LocalCluster({})
    cluster.end()
    assert cluster._process.wait(30) == 0
    assert not (tmp_path / "ray" / "shut").exists()


def test_an_address_without_a_cluster_is_one_line() -> None:
    """Nothing listens there: Ray itself would wait for minutes."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    with pytest.raises(UserError, match=r"Connection refused.*Check --executor-set address=127.0.0.1:9"):
        get_executor("ray", {"address": "127.0.0.1:9"})._connected()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_run_larger_than_every_node_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    refused = subprocess.run(
        command(
            "run", "--methods", "persistence", *TINY, "--out", str(tmp_path),
            "--executor", "ray", "--executor-set", "cpus=999",
        ),
        capture_output=True, text=True, timeout=WAIT_SECONDS, check=False,
    )  # fmt: skip
    assert refused.returncode == 2, refused.stdout + refused.stderr
    told = [line for line in refused.stderr.splitlines() if line.startswith("Error")]
    assert len(told) == 1
    assert "the largest has" in told[0]


@pytest.mark.slow
def test_a_cluster_with_a_token_is_joined(tmp_path: Path) -> None:
    """Once a local cluster has left a token in the home folder, every 'ray start --head' asks for it."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    port = free_port()
    env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {"HOME": str(tmp_path)}
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("0123456789abcdef" * 4)
    head = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}", "--num-cpus=1",
         "--include-dashboard=false", f"--object-store-memory={ray_cluster.STORE_BYTES}"],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert head.stdout is not None
        told = next((line for line in head.stdout if "runtime started" in line), "")
        assert told, "no cluster"
        settings = ["--executor", "ray", "--executor-set", f"address=127.0.0.1:{port}", "--out", str(tmp_path / "out")]
        joined = subprocess.run(
            command("run", "--methods", "persistence", *TINY, *settings),
            env=env, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False,
        )  # fmt: skip
        assert joined.returncode == 0, joined.stdout + joined.stderr
    finally:
        head.terminate()
        head.wait(60)
