"""Cost of data loading: time of a batch from the loader relative to a TAU training step.

It uses one process and the ``paper`` protocol's frame size, batch size and TAU, and reads the frame cache as a run
does.

    python scripts/measure_loader.py --benchmarks taxinyc,mmnist --own ../shared/data/video
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from stbench.data import ClipLoader, Splits, dataset_spec, get_protocol, load_benchmark, open_dataset
from stbench.data.benchmarks.own_data import CustomOptions, custom_benchmark
from stbench.nn import METHODS, Progress, protocol_layers
from stbench.schema import Benchmark
from stbench.settings import resolve

METHOD = "tau"
LIMIT = 0.05
BATCHES = 20


def main() -> None:
    """Print one line for each dataset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--benchmarks", default="taxinyc,nyctaxi30,mmnist,moving_digits")
    parser.add_argument("--own", nargs="*", default=[], help="folders of own data")
    parser.add_argument("--data-dir", type=Path, default=Path("../shared/data"))
    parser.add_argument("--protocol", default="paper")
    parser.add_argument("--batch-size", type=int, help="instead of the protocol's, where memory is short")
    parser.add_argument("--steps", type=int, default=2, help="training steps to time")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'dataset':28} {'batch (B, T, C, H, W)':26} {'loader ms':>10} {'step ms':>10} {'share':>8}")
    for benchmark in chosen(arguments):
        line(benchmark, arguments)


def chosen(arguments: argparse.Namespace) -> Iterator[Benchmark]:
    """Return the requested benchmarks, then the user's folders."""
    yield from (load_benchmark(name) for name in arguments.benchmarks.split(",") if name)
    yield from (custom_benchmark(path, CustomOptions()) for path in arguments.own)


def line(benchmark: Benchmark, arguments: argparse.Namespace) -> None:
    """Measure one dataset."""
    protocol = get_protocol(benchmark, arguments.protocol)
    shape = protocol.shape or benchmark.shape
    dataset = open_dataset(benchmark.name, dataset_spec(benchmark, protocol), shape, (arguments.data_dir,), True)
    loader_seconds, batch = load_time(dataset, arguments.batch_size or protocol.training.batch_size)
    plugin = METHODS.get(METHOD)
    settings = resolve(protocol_layers(plugin, METHOD, benchmark, arguments.protocol, "config")).values
    method = plugin.create(shape, settings, METHOD)
    optimizer = torch.optim.Adam(method.parameters())
    step_seconds = min(step(method, optimizer, batch, shape.t_in) for _ in range(arguments.steps))
    share = loader_seconds / step_seconds
    verdict = "" if share <= LIMIT else f"  above {LIMIT:.0%}"
    sizes = str(tuple(batch.shape))
    print(
        f"{benchmark.name:28} {sizes:26} {1e3 * loader_seconds:10.2f} {1e3 * step_seconds:10.1f} {share:8.3%}{verdict}"
    )


def load_time(dataset: Splits, batch_size: int) -> tuple[float, torch.Tensor]:
    """Return the median seconds of a shuffled training batch, and one batch; the first read of files is not timed."""
    loader = ClipLoader(dataset.train, batch_size, shuffle=True, drop_last=True)
    seconds = []
    batches = loader.epoch(0)
    batch = next(batches)
    for _ in range(BATCHES):
        started = time.perf_counter()
        following = next(batches, None)
        if following is None:
            break
        seconds.append(time.perf_counter() - started)
        batch = following
    return sorted(seconds)[len(seconds) // 2] if seconds else float("nan"), batch


def step(method: torch.nn.Module, optimizer: torch.optim.Optimizer, batch: torch.Tensor, t_in: int) -> float:
    """Return the seconds of one forward pass, backward pass and update."""
    started = time.perf_counter()
    loss = method.training_losses(batch[:, :t_in], batch[:, t_in:], Progress())["loss"]  # type: ignore[operator]
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
