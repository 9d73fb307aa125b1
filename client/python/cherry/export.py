"""Recorded series to other people's tools: TensorBoard, MLflow, W&B's offline format.

Each writes all of a job's series with their steps and wall times, and its resolved spec as parameters. A second export of
the same job is a second run there, but in TensorBoard, which takes the points twice.
"""

from __future__ import annotations

import itertools
import os
import pathlib
from typing import Any, Iterator

from google.protobuf import duration_pb2
from google.protobuf.message import Message

from cherry import errors
from cherry.client import Client, Job, JobName


def _missing(package: str, extra: str) -> errors.CherryError:
    return errors.CherryError(f"{package} is not installed", reason=f"{extra.upper()}_MISSING",
                              remedy=f"pip install 'cherry-client[{extra}]'")


def parameters(job: Job) -> dict[str, str | int | float | bool]:
    """The resolved spec, flat, defaults too: {"train.steps": 300, "compress.method": "mean", ...}."""

    def flatten(message: Message, path: str) -> Iterator[tuple[str, Any]]:
        for field in message.DESCRIPTOR.fields:
            if field.has_presence and not message.HasField(field.name):
                continue
            value, at = getattr(message, field.name), path + field.name
            if isinstance(value, duration_pb2.Duration):
                yield at, f"{value.ToTimedelta().total_seconds()}s"
            elif isinstance(value, Message):
                yield from flatten(value, f"{at}.")
            elif field.is_repeated:
                if value:
                    yield at, " ".join(str(value).split())
            elif field.enum_type is not None:
                yield at, field.enum_type.values_by_number[value].name.lower()
            else:
                yield at, value

    return dict(flatten(job.resolved, ""))


def _short(job: Job) -> str:
    return job.name.rpartition("/")[2]


def _start(job: Job) -> float:
    return job.start_time.seconds + job.start_time.nanos / 1e9


def to_tensorboard(client: Client, job: JobName, log_dir: str | os.PathLike[str]) -> pathlib.Path:
    """An event file in LOG_DIR/JOB-UID; needs cherry-client[tensorboard]."""
    try:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError:
        raise _missing("tensorboard", "tensorboard") from None
    found = client.job(job)
    folder = pathlib.Path(log_dir) / f"{_short(found)}-{found.uid[:8]}"
    writer = EventFileWriter(str(folder))
    for sample in client.samples(found):
        summary = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=sample.name, simple_value=sample.value)])
        writer.add_event(event_pb2.Event(wall_time=_start(found) + sample.time, step=sample.step, summary=summary))
    writer.close()
    return folder


def to_mlflow(client: Client, job: JobName, *, tracking_uri: str | None = None, experiment: str = "cherry") -> str:
    """A run of `experiment`, ended as the job did; its id. Needs cherry-client[mlflow]."""
    try:
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient
    except ImportError:
        raise _missing("mlflow", "mlflow") from None
    found = client.job(job)
    mlflow = MlflowClient(tracking_uri=tracking_uri)
    known = mlflow.get_experiment_by_name(experiment)
    identifier = known.experiment_id if known else mlflow.create_experiment(experiment)
    run = mlflow.create_run(identifier, start_time=int(1000 * _start(found)), run_name=_short(found),
                            tags={"cherry.job": found.name, "cherry.uid": found.uid})
    batch = [Param(key, str(value)[:6000]) for key, value in parameters(found).items()]
    for params in _batches(batch, 100):
        mlflow.log_batch(run.info.run_id, params=params)
    metrics = [Metric(s.name, s.value, int(1000 * (_start(found) + s.time)), s.step) for s in client.samples(found)]
    for some in _batches(metrics, 1000):
        mlflow.log_batch(run.info.run_id, metrics=some)
    status = {Job.SUCCEEDED: "FINISHED", Job.FAILED: "FAILED", Job.CANCELLED: "KILLED"}.get(found.state)
    if status is not None:
        mlflow.set_terminated(run.info.run_id, status, end_time=1000 * found.end_time.seconds)
    return str(run.info.run_id)


def _batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    for first in range(0, len(items), size):
        yield items[first:first + size]


def to_wandb(client: Client, job: JobName, directory: str | os.PathLike[str], *, project: str = "cherry") -> pathlib.Path:
    """An offline run in DIRECTORY/wandb that `wandb sync` uploads; its folder. Needs cherry-client[wandb]."""
    try:
        import wandb
    except ImportError:
        raise _missing("wandb", "wandb") from None
    found = client.job(job)
    pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
    run = wandb.init(mode="offline", reinit="create_new", dir=str(directory), project=project, name=_short(found), config=parameters(found),
                     settings=wandb.Settings(silent=True, x_disable_stats=True, console="off"))
    # W&B takes steps in rising order, all series of one together.
    samples = sorted(client.samples(found), key=lambda sample: sample.step)
    for step, some in itertools.groupby(samples, key=lambda sample: sample.step):
        group = list(some)
        row = {sample.name: sample.value for sample in group}
        run.log({**row, "_timestamp": _start(found) + group[0].time}, step=step)
    folder = pathlib.Path(run.dir).parent
    run.finish(exit_code=0 if found.state in (Job.SUCCEEDED, Job.RUNNING) else 1)
    if wandb.run is None:
        wandb.teardown()  # W&B's own process writes the file, and may not have when finish() returns.
    return folder
