"""``stbench predict``: predict the future of clips in a file with a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stbench.cli.run import Device
from stbench.cli.target import target
from stbench.errors import UserError
from stbench.report.encode import visible

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def predict_command(
    run: Annotated[Path, typer.Option("--run", help="Folder of a finished run.")],
    input_: Annotated[
        Path, typer.Option("--input", help=".npy file, (T, C, H, W) or (B, T, C, H, W) in physical units.")
    ],
    output: Annotated[Path, typer.Option(help=".npy file for the predicted frames, in the same units.")],
    gif: Annotated[Path | None, typer.Option(help="Also write an animation of the first clip.")] = None,
    times: Annotated[
        Path | None,
        typer.Option(help=".npy file with the times of the past frames (datetime64), for methods that use dates."),
    ] = None,
    horizon: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Number of frames to predict; default: the run's T_out.")
    ] = None,
    device: Annotated[Device, typer.Option(help="auto uses CUDA if available.")] = Device.AUTO,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing output files.")] = False,
) -> None:
    """Predict the frames that follow the clips in a file, in physical units."""
    from stbench.evaluate.predictor import load
    from stbench.schema.folder import write_with

    inputs = [path for path in (input_, times) if path is not None]
    output = target(output, overwrite, inputs)
    gif = None if gif is None else target(gif, overwrite, [*inputs, output])
    past = _read(input_)
    predictor = load(run, device.value)
    future = predictor.predict(past, horizon=horizon, times=None if times is None else _read(times, "iuM"))
    write_with(output, lambda path: _save(path, future))
    typer.echo(visible(f"{output}: {' x '.join(map(str, future.shape))} float32"))
    if gif is not None:
        from stbench.report.figures.animation import draw_prediction

        first = (past, future) if past.ndim == 4 else (past[0], future[0])
        draw_prediction(gif, *first)
        typer.echo(visible(f"{gif}: {len(first[0])} past and {len(first[1])} predicted frames"))


def _read(path: Path, kinds: str = "biuf") -> npt.NDArray[np.generic]:
    import numpy as np

    if not path.is_file():
        raise UserError(f"{path} is not a file. Give a .npy file of the past frames (or of their times).")
    try:
        array: Any = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path} cannot be read as a .npy file of numbers: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds:
        seen = array.dtype if isinstance(array, np.ndarray) else "an archive of several arrays"
        wanted = "numbers" if "f" in kinds else "dates (datetime64) or of whole seconds since 1970-01-01 00:00"
        raise UserError(f"{path} holds {seen}; give one array of {wanted}, written with numpy.save.")
    return array


def _save(path: Path, array: npt.NDArray[np.generic]) -> None:
    import numpy as np

    with path.open("wb") as stream:
        np.save(stream, array)
