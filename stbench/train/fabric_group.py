"""What lightning-fabric is told of the group, in place of what it would read from the environment itself."""

from __future__ import annotations

from lightning_fabric.plugins.environments import ClusterEnvironment, SLURMEnvironment

from stbench.train.launch import Launch


class KnownEnvironment(ClusterEnvironment):
    """A group that exists already: nothing is started, looked for or warned of."""

    def __init__(self, launch: Launch) -> None:
        super().__init__()
        self._launch = launch

    @property
    def creates_processes_externally(self) -> bool:
        """True: all processes are there."""
        return True

    @property
    def main_address(self) -> str:
        """Of no use: the processes have met."""
        return ""

    @property
    def main_port(self) -> int:
        """Of no use: the processes have met."""
        return 0

    @staticmethod
    def detect() -> bool:
        """False: it is given."""
        return False

    def world_size(self) -> int:
        """Number of processes."""
        return self._launch.world_size

    def set_world_size(self, size: int) -> None:
        """Ignore what follows from devices and nodes; it is the same."""

    def global_rank(self) -> int:
        """Number of this process."""
        return self._launch.rank

    def set_global_rank(self, rank: int) -> None:
        """Ignore what follows from node and local number: SLURM may deal processes out in turn."""

    def local_rank(self) -> int:
        """Number of this process on its node."""
        return self._launch.local_rank

    def node_rank(self) -> int:
        """Number of the node."""
        return self._launch.node


def first_host(nodes: str) -> str:
    """Return the first machine of a SLURM list of nodes: ``a3`` of ``a[3-4],b1``."""
    return SLURMEnvironment.resolve_root_node_address(nodes)
