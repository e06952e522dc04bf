"""Addresses of the group: where its processes meet, and which network interface they use."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch.distributed as dist

from stbench.train.launch import Launch

LOCAL = "127.0.0.1"
FIRST_PORT, PORTS = 15_000, 17_000
"""Ports of meetings in SLURM steps; below those that a kernel gives away by itself."""
_ADDRESS_OF_INTERFACE = 0x8915


@dataclass
class Meeting:
    """Where the processes meet; ``listener`` is the open socket of the first, if it is open already.

    ``is_given``: a launcher keeps a store there.
    """

    address: str
    port: int
    listener: socket.socket | None = None
    is_given: bool = False

    def __str__(self) -> str:
        """Return ``address:port``."""
        return f"{self.address}:{self.port}"

    @classmethod
    def here(cls) -> Meeting:
        """Return a place on this machine that no other machine reaches."""
        listener = socket.socket()
        listener.bind((LOCAL, 0))
        listener.listen(128)
        return cls(LOCAL, listener.getsockname()[1], listener)

    def store(self, launch: Launch, timeout: timedelta) -> Any:
        """Return the store of the group; the first process opens it at its address only.

        Raises:
            RuntimeError: it was not reached in time.
            OSError: the port is taken.
        """
        if self.is_given:
            found, _, _ = next(iter(dist.rendezvous("env://", launch.rank, launch.world_size, timeout=timeout)))
            return dist.PrefixStore("stbench", found)
        if launch.rank > 0:
            return dist.TCPStore(self.address, self.port, is_master=False, timeout=timeout)
        listener = self.listener
        if listener is None:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found = socket.gethostbyname(self.address)
            # some systems name themselves 127.0.1.1, which other machines do not reach
            hidden = launch.nodes > 1 and _is_loopback(found) and found != self.address
            listener.bind(("" if hidden else found, self.port))
            listener.listen(128)
        return dist.TCPStore(
            self.address, self.port, is_master=True, timeout=timeout, wait_for_workers=False,
            master_listen_fd=listener.detach(),
        )  # fmt: skip


def meeting_of(launch: Launch) -> Meeting:
    """Return where the processes of a launcher meet: as it states, or the first node of a SLURM step."""
    address, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT")
    if launch.by == "torchrun":
        return Meeting(address or LOCAL, int(port or 0), is_given=True)
    if launch.by == "srun":
        job, step = (int(os.environ[name]) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
        port = port or str(FIRST_PORT + (job * 16 + step) % PORTS)
        if launch.nodes > 1 and address is None:
            from stbench.train.fabric_group import first_host  # late: brings in lightning-fabric

            address = first_host(os.environ["SLURM_STEP_NODELIST"])
    return Meeting(address or LOCAL, int(port or 0))


def own_address(to: str) -> str:
    """Return the address from which this machine reaches another; empty if it does not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((to, 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def use_interface(launch: Launch, meeting: Meeting, store: Any) -> None:
    """Let gloo use the network interface that leads to the other processes, unless the user names one.

    By itself it takes the one of the machine's name, which may lead nowhere.
    """
    if launch.nodes == 1:
        address = LOCAL
    else:
        address = own_address(meeting.address)
        store.set(f"at {launch.node}", address)
        other = store.get("at 1").decode() if launch.node == 0 else ""
        if _is_loopback(address) and other and not _is_loopback(other):  # the first node calls itself 127.0.1.1
            address = own_address(other)
    name = interface_of(address)
    if name:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", name)


def interface_of(address: str) -> str:
    """Return the name of the network interface that has an address; empty if none is found."""
    from fcntl import ioctl

    if not address:
        return ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                found = ioctl(probe.fileno(), _ADDRESS_OF_INTERFACE, struct.pack("256s", name.encode()[:15]))
            except OSError:  # it has no address
                continue
            own = socket.inet_ntoa(found[20:24])
            if own == address or (_is_loopback(own) and _is_loopback(address)):
                return name
    return ""


def _is_loopback(address: str) -> bool:
    return bool(address) and ipaddress.ip_address(address).is_loopback
