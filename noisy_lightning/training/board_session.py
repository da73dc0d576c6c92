"""What TensorBoard shows of a run as a whole: its row in the tab HPARAMS, and what tests measured in the tab Text."""

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from noisy_lightning.runs.files import write_bytes

_FILE = "events.out.tfevents"
FOLDER = "final"
"""Of the run within a board's run that is about the whole.

TensorBoard takes for a column of the tab whatever curves there are in the run that has the hyper-parameters: in the run
itself these would be all.
"""


def write_session(
    board: Path, parameters: Mapping[str, Any], numbers: Mapping[str, float], texts: Mapping[str, str], done: bool
) -> None:
    """Replace what a board has of a run as a whole.

    It is one small file, which later ones replace: so there is one row and one point of each number, however often a
    run goes on, is made longer, or is tested.

    Args:
        board: Its folder.
        parameters: Hyper-parameters by name.
        numbers: What came out of the run, by name.
        texts: Markdown by name.
        done: Whether the run has come to its end.
    """
    # Slow to import.
    from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]  # noqa: PLC0415
    from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]  # noqa: PLC0415
    from torch.utils.tensorboard.summary import hparams, scalar, text  # noqa: PLC0415

    _, start, end = hparams(dict(parameters), {})  # type: ignore[no-untyped-call]
    summaries = [start, *([end] if done else [])]
    summaries += [scalar(name, value) for name, value in numbers.items()]  # type: ignore[no-untyped-call]
    summaries += [text(name, content) for name, content in texts.items()]  # type: ignore[no-untyped-call]
    folder = board / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    old = sorted(folder.glob(f"{_FILE}.*"))
    # The time stays that of the first: by it TensorBoard orders the runs, and by their order it colors them.
    started = old[0].name.split(".")[3] if old else f"{time.time_ns()}"
    content = io.BytesIO()
    writer = RecordWriter(content)
    for event in [Event(file_version="brain.Event:2"), *(Event(summary=summary) for summary in summaries)]:
        event.wall_time = int(started) / 1e9
        writer.write(event.SerializeToString())
    # Of a new name, since a server that is running does not read a file again from its beginning.
    write_bytes(folder / f"{_FILE}.{started}.{time.time_ns()}", content.getvalue())
    for file in old:
        file.unlink(missing_ok=True)
