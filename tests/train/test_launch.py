"""Who started the processes of a command; processes that would not be used are refused, not ignored."""

import socket
import sys

import pytest

from stbench.errors import UserError
from stbench.train.launch import OWN, Launch, check_launch, is_helper, read_launch, reports_mistakes
from stbench.train.network import Meeting, interface_of, meeting_of

VARIABLES = (
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "TORCHELASTIC_RUN_ID"),
    *("SLURM_PROCID", "SLURM_NTASKS", "SLURM_NNODES", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_STEP_ID", "SLURM_JOB_ID"),
    *("SLURM_STEP_NUM_TASKS", "SLURM_STEP_NUM_NODES", "SLURM_STEP_TASKS_PER_NODE", "SLURM_STEP_NODELIST"),
    *("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "PMI_SIZE", "PMI_RANK", "MASTER_ADDR", "MASTER_PORT", OWN),
)
TORCHRUN = {
    **{"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "4", "RANK": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"},
    **{"GROUP_RANK": "1", "GROUP_WORLD_SIZE": "2"},
}
SRUN = {
    **{"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"},
    **{"SLURM_NODEID": "1", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NODELIST": "a[3-4]"},
    **{"SLURM_STEP_TASKS_PER_NODE": "2(x2)"},
}
BATCH = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_NNODES": "2", "SLURM_PROCID": "0"}


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in request.param.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["stbench", "run", "--methods", "tau", "--devices", "3", "--nodes=5"])


@pytest.mark.parametrize(
    ("launched", "expected"),
    [
        ({}, None),
        (TORCHRUN, Launch("torchrun", 4, 2, 0, 2, 1)),
        (TORCHRUN | {"WORLD_SIZE": "3"}, Launch("torchrun", 3, 2, 0, 2, 1, even=False)),
        (TORCHRUN | {"WORLD_SIZE": "1"}, None),
        (SRUN, Launch("srun", 4, 3, 1, 2, 1)),
        (SRUN | {"SLURM_STEP_TASKS_PER_NODE": "3,1"}, Launch("srun", 4, 3, 1, 2, 1, even=False)),
        (SRUN | TORCHRUN, Launch("torchrun", 4, 2, 0, 2, 1)),  # torchrun in an srun task
        (BATCH, None),
        ({OWN: "1", "WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}, Launch("stbench", 2, 1, 1)),
    ],
    indirect=["launched"],
)
def test_launches(launched: None, expected: Launch | None) -> None:
    assert read_launch() == expected


@pytest.mark.parametrize(
    ("launched", "numbers", "expected"),
    [
        (
            {},
            (1, 2),
            "On each, use: torchrun --nnodes=2 --nproc-per-node=1 -m stbench run --methods tau --dev",
        ),
        (
            TORCHRUN,
            (1, 1),
            "4 processes on 2 nodes, .* --nproc-per-node=2 -m stbench run --methods tau --devices 2",
        ),
        (TORCHRUN, (4, 1), "torchrun started 4 processes on 2 nodes, but --devices 4 and --nodes 1"),
        (TORCHRUN | {"WORLD_SIZE": "3"}, (1, 3), "same number with --nproc-per-node=1"),
        (SRUN, (1, 1), "Use: srun --nodes=2 --ntasks-per-node=2 stbench run --methods tau --devices 2 --nodes 2"),
        (SRUN | {"SLURM_STEP_TASKS_PER_NODE": "3,1"}, (2, 2), "same number with --ntasks-per-node=2"),
        (
            BATCH,
            (1, 1),
            "not started with srun: 1 process .* srun --ntasks-per-node=2 stbench run .* unset SLURM_NTASKS",
        ),
        ({"WORLD_SIZE": "4"}, (1, 1), "WORLD_SIZE is 4, but neither .* unset WORLD_SIZE"),
        ({"OMPI_COMM_WORLD_SIZE": "4"}, (1, 1), "OMPI_COMM_WORLD_SIZE is 4"),
        ({"PMI_SIZE": "4"}, (1, 1), "PMI_SIZE is 4"),
    ],
    indirect=["launched"],
)
def test_processes_that_would_not_be_used(launched: None, numbers: tuple[int, int], expected: str) -> None:
    with pytest.raises(UserError, match=expected) as refused:
        check_launch(*numbers)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("launched", "numbers"),
    [({}, (3, 1)), (TORCHRUN, (2, 2)), (SRUN, (2, 2)), (BATCH | {"SLURM_NNODES": "1"}, (4, 1))],
    indirect=["launched"],
)
def test_processes_that_are_used(launched: None, numbers: tuple[int, int]) -> None:
    check_launch(*numbers)


@pytest.mark.parametrize("launched", [BATCH], indirect=True)
def test_a_batch_script_may_evaluate_or_submit(launched: None) -> None:
    check_launch(1, 1, needs_all=False)


@pytest.mark.parametrize(
    ("launched", "helper", "reports"),
    [
        ({}, False, True),
        ({"RANK": "1"}, False, True),  # left over from another command: nobody else would talk
        ({"RANK": "1", "WORLD_SIZE": "2"}, True, False),
        ({"RANK": "0", "WORLD_SIZE": "2"}, False, True),
        (TORCHRUN, True, True),  # the first of its node, whose files may differ
        (SRUN, True, False),
        (SRUN | {"SLURM_PROCID": "0", "SLURM_LOCALID": "0"}, False, True),
        ({"WORLD_SIZE": "x"}, None, True),
    ],
    indirect=["launched"],
)
def test_who_talks(launched: None, helper: bool | None, reports: bool) -> None:
    assert reports_mistakes() is reports
    if helper is not None:
        assert is_helper() is helper


@pytest.mark.parametrize(
    ("launched", "variable"),
    [({"WORLD_SIZE": "abc"}, "WORLD_SIZE"), ({"WORLD_SIZE": "2", "RANK": "abc"}, "RANK")]
    + [(TORCHRUN | {name: "abc"}, name) for name in ("RANK", "LOCAL_RANK", "GROUP_RANK")]
    + [(SRUN | {"SLURM_PROCID": "abc"}, "SLURM_PROCID")],
    indirect=["launched"],
)
def test_a_launcher_s_number_that_is_none(launched: None, variable: str) -> None:
    with pytest.raises(UserError, match=f"{variable} is 'abc'.*unset {variable}"):
        is_helper()


@pytest.mark.parametrize(
    ("launched", "address"),
    [
        (SRUN, "a3"),
        (SRUN | {"MASTER_ADDR": "10.0.0.9"}, "10.0.0.9"),
        (SRUN | {"SLURM_STEP_NUM_NODES": "1"}, "127.0.0.1"),
    ],
    indirect=["launched"],
)
def test_slurm_tasks_meet_at_the_first_node(launched: None, address: str) -> None:
    launch = read_launch()
    assert launch is not None
    meeting = meeting_of(launch)
    assert meeting.address == address
    assert 1024 < meeting.port < 32768
    assert meeting_of(launch).port == meeting.port


def test_processes_of_one_machine_meet_where_no_other_machine_comes() -> None:
    meeting = Meeting.here()
    assert meeting.listener is not None
    with meeting.listener:
        assert meeting.listener.getsockname() == ("127.0.0.1", meeting.port)


def test_the_interface_of_an_address() -> None:
    assert interface_of("127.0.0.1") == interface_of("127.0.0.2") in [name for _, name in socket.if_nameindex()]
    assert interface_of("192.0.2.1") == interface_of("") == ""
