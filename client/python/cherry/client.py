"""The coordinator's API for programs: submit, wait, watch, measure.

    client = cherry.Client()
    job = client.submit(cherry.JobSpec(kind="pretrain", name="ko-base", data=cherry.DataConfig(train="ko/train", valid="ko/valid")))
    client.wait(job)
    client.metrics("ko-base", name="loss/valid").plot(x="step", y="value")

A job is named `JOB` or `NAMESPACE/JOB`, or given as the message that a call returned. What is returned are the API's own
messages (cherry.v1.resources_pb2), typed. Every call but logs() is repeated while no coordinator answers.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from typing import TYPE_CHECKING, Iterator, Sequence, TypeVar

from google.protobuf.message import Message

from cherry import conversion, errors, job_file, specs
from cherry.transport import Method, Options, Transport
from cherry.v1 import coordinator_pb2 as api
from cherry.v1 import job_pb2, resources_pb2

if TYPE_CHECKING:
    import pandas

Job = resources_pb2.Job
JobName = str | Job
T = TypeVar("T")
Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)

_ENDED = (Job.SUCCEEDED, Job.FAILED, Job.CANCELLED)
_PAGE = 1000

SUBMIT_JOB = Method("SubmitJob", api.SubmitJobRequest, api.SubmitJobResponse)
SUBMIT_PIPELINE = Method("SubmitPipeline", api.SubmitPipelineRequest, api.SubmitPipelineResponse)
GET_JOB = Method("GetJob", api.GetJobRequest, Job)
LIST_JOBS = Method("ListJobs", api.ListJobsRequest, api.ListJobsResponse)
WATCH_JOB = Method("WatchJob", api.WatchJobRequest, api.WatchJobResponse)
CANCEL_JOB = Method("CancelJob", api.CancelJobRequest, Job)
PAUSE_JOB = Method("PauseJob", api.PauseJobRequest, Job)
RESUME_JOB = Method("ResumeJob", api.ResumeJobRequest, Job)
EXPLAIN_JOB = Method("ExplainJob", api.ExplainJobRequest, api.ExplainJobResponse)
READ_LOGS = Method("ReadLogs", api.ReadLogsRequest, api.ReadLogsResponse)
LIST_METRICS = Method("ListMetrics", api.ListMetricsRequest, api.ListMetricsResponse)
LIST_EVENTS = Method("ListEvents", api.ListEventsRequest, api.ListEventsResponse)
LIST_CHECKPOINTS = Method("ListCheckpoints", api.ListCheckpointsRequest, api.ListCheckpointsResponse)
LIST_WORKERS = Method("ListWorkers", api.ListWorkersRequest, api.ListWorkersResponse)
LIST_DATASETS = Method("ListDatasets", api.ListDatasetsRequest, api.ListDatasetsResponse)
LIST_MODELS = Method("ListModels", api.ListModelsRequest, api.ListModelsResponse)
SERVER_INFO = Method("GetServerInfo", api.GetServerInfoRequest, api.ServerInfo)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command's own flags for a program that talks to a coordinator; Client.from_flags reads them."""
    parser.add_argument("--coordinator", help="HOST:PORT; default $CHERRY_COORDINATOR or 127.0.0.1:7070")
    parser.add_argument("--home", help="default $CHERRY_HOME or ~/.cherry")
    parser.add_argument("-n", "--namespace", default="default", help="namespace of jobs")
    parser.add_argument("--timeout", type=conversion.seconds, default=30.0, help="of a call with its retries: 30s, 2m")
    parser.add_argument("--token-file", help="default HOME/token")
    parser.add_argument("--tls-cert", help="client certificate, PEM")
    parser.add_argument("--tls-key", help="its key, PEM")
    parser.add_argument("--tls-ca", help="authority of the coordinator's certificate, PEM")


def _waited(name: str, timeout: float | None) -> errors.TimedOut:
    return errors.TimedOut(f"{name} has not ended within {timeout} s", reason="WAIT_TIMED_OUT",
                           remedy="it goes on: wait again, or cancel it")


class Client:
    """Thread-safe. A context manager; close() ends its connection."""

    def __init__(self, coordinator: str | None = None, *, home: str | os.PathLike[str] | None = None,
                 namespace: str = "default", timeout: float = 30.0, token_file: str | os.PathLike[str] | None = None,
                 tls_cert: str | None = None, tls_key: str | None = None, tls_ca: str | None = None) -> None:
        """Connects when first used: an error here is about the arguments. `timeout`: seconds for a call with its retries."""
        self.namespace = namespace
        self._transport = Transport(Options.resolve(coordinator, home, token_file, tls_cert, tls_key, tls_ca, timeout))

    @classmethod
    def from_flags(cls, flags: argparse.Namespace) -> Client:
        """Of a parser with add_flags()."""
        return cls(flags.coordinator, home=flags.home, namespace=flags.namespace, timeout=flags.timeout,
                   token_file=flags.token_file, tls_cert=flags.tls_cert, tls_key=flags.tls_key, tls_ca=flags.tls_ca)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    # ---- submitting ----

    def submit(self, spec: specs.JobSpec, *, request_id: str = "") -> Job:
        """One job. The same `request_id` again returns the first reply; left empty, one is made for this call."""
        request = api.SubmitJobRequest(spec=self._message(spec), request_id=request_id)
        return self._call(SUBMIT_JOB, request).job

    def plan(self, spec: specs.JobSpec) -> resources_pb2.Plan:
        """What the job would cost and why it would wait; every check is run, nothing changes."""
        request = api.SubmitJobRequest(spec=self._message(spec), validate_only=True)
        return self._call(SUBMIT_JOB, request).job.plan

    def submit_pipeline(self, name: str, jobs: Sequence[specs.JobSpec], *, request_id: str = "") -> list[Job]:
        """All of them or none; matrices are expanded. Parents before children."""
        messages = [self._message(spec) for spec in jobs]
        namespace = messages[0].namespace if messages else self.namespace
        request = api.SubmitPipelineRequest(name=name, namespace=namespace, request_id=request_id, jobs=messages)
        return list(self._call(SUBMIT_PIPELINE, request).jobs)

    def submit_file(self, path: str | os.PathLike[str], *, name: str | None = None, request_id: str = "") -> list[Job]:
        """As `cherry submit FILE`: one document without a matrix is a job, else a pipeline named by the file."""
        jobs = job_file.read(path)
        if len(jobs) == 1 and jobs[0].matrix is None:
            if name is not None:
                jobs[0] = dataclasses.replace(jobs[0], name=name, generate_name=None)
            return [self.submit(jobs[0], request_id=request_id)]
        return self.submit_pipeline(name or job_file.pipeline_name(path), jobs, request_id=request_id)

    # ---- following ----

    def job(self, job: JobName) -> Job:
        """As it is now."""
        return self._call(GET_JOB, api.GetJobRequest(name=self._name(job)))

    def jobs(self, *, pipeline: str = "", states: Sequence[str] = (), labels: dict[str, str] | None = None) -> list[Job]:
        """Newest first; `states` such as "RUNNING"."""
        for state in states:
            if state not in Job.State.keys():
                raise errors.InvalidRequest(f"states: {state!r} is no state", field="states",
                                            remedy=f"use some of {', '.join(Job.State.keys()[1:])}")
        request = api.ListJobsRequest(namespace=self.namespace, labels=labels or {}, page_size=_PAGE, states=states)
        if pipeline:
            namespace, _, name = pipeline.rpartition("/")
            request.namespace = namespace or self.namespace
            request.pipeline = f"namespaces/{request.namespace}/pipelines/{name}"
        return [job for page in self._pages(LIST_JOBS, request) for job in page.jobs]

    def watch(self, job: JobName, *, after_step: int = -1, timeout: float | None = None) -> Iterator[api.WatchJobResponse]:
        """Each change of a job with the samples since the last, to its end; goes on where it was after an outage.

        `after_step`: samples recorded after it come first; -1: none of the past. Raises TimedOut after `timeout` seconds,
        Unreachable when no coordinator has answered for the client's own timeout. The job goes on either way.
        """
        name = self._name(job)
        deadline = None if timeout is None else time.monotonic() + timeout
        seen: dict[str, int] = {}     # Last step of each series.
        floor = after_step            # Of series that have not been seen.
        down_since: float | None = None
        again = ended = False
        while not ended:
            if deadline is not None and time.monotonic() >= deadline:
                raise _waited(name, timeout)
            left = None if deadline is None else max(deadline - time.monotonic(), 0.001)
            try:
                for update in self._transport.stream(WATCH_JOB, api.WatchJobRequest(name=name, after_step=floor), left):
                    down_since = None
                    if floor < 0:
                        floor = update.job.progress.step
                    if again:
                        fresh = [s for s in update.samples if s.step > seen.get(s.name, floor)]
                        update = api.WatchJobResponse(job=update.job, samples=fresh)
                    for sample in update.samples:
                        seen[sample.name] = max(sample.step, seen.get(sample.name, floor))
                    # Sent more than once where there are many samples; the stream ends after the last.
                    ended = update.job.state in _ENDED
                    yield update
                if ended:
                    return
            except errors.TimedOut:
                raise _waited(name, timeout) from None
            except errors.Unreachable:
                ended = False
                down_since = down_since or time.monotonic()
                if time.monotonic() - down_since > self._transport.options.timeout:
                    raise
            again = True
            time.sleep(0.2 if deadline is None else min(0.2, max(deadline - time.monotonic(), 0)))

    def wait(self, job: JobName, *, timeout: float | None = None) -> Job:
        """The job once it has SUCCEEDED; raises JobEnded when it failed or was cancelled, TimedOut after `timeout`."""
        last = None
        for update in self.watch(job, timeout=timeout):
            last = update.job
        assert last is not None
        if last.state != Job.SUCCEEDED:
            raise errors.JobEnded(last)
        return last

    def wait_pipeline(self, name: str, *, timeout: float | None = None) -> list[Job]:
        """Its jobs, parents before children, once all have SUCCEEDED; else JobEnded of the first that has not."""
        deadline = None if timeout is None else time.monotonic() + timeout
        jobs = list(reversed(self.jobs(pipeline=name)))
        return [self.wait(job, timeout=None if deadline is None else max(deadline - time.monotonic(), 0)) for job in jobs]

    def explain(self, job: JobName) -> api.ExplainJobResponse:
        """Why it is in its state, and what would change it soonest."""
        return self._call(EXPLAIN_JOB, api.ExplainJobRequest(name=self._name(job)))

    # ---- changing ----

    def cancel(self, job: JobName, *, reason: str = "", now: bool = False) -> Job:
        """Ends it after a last checkpoint; `now` skips that."""
        return self._call(CANCEL_JOB, api.CancelJobRequest(name=self._name(job), reason=reason, now=now))

    def pause(self, job: JobName, *, reason: str = "") -> Job:
        """Gives its slots back after a checkpoint; resume() goes on."""
        return self._call(PAUSE_JOB, api.PauseJobRequest(name=self._name(job), reason=reason))

    def resume(self, job: JobName, *, reason: str = "") -> Job:
        return self._call(RESUME_JOB, api.ResumeJobRequest(name=self._name(job), reason=reason))

    # ---- measuring ----

    def samples(self, job: JobName, *, name: str = "", after_step: int = -1) -> list[resources_pb2.MetricSample]:
        """The recorded series, all or that of `name` ("loss/train", ...), by step."""
        request = api.ListMetricsRequest(name=self._name(job), metric=name, after_step=after_step, page_size=10 * _PAGE)
        return [sample for page in self._pages(LIST_METRICS, request) for sample in page.samples]

    def metrics(self, job: JobName, *, name: str = "", after_step: int = -1) -> pandas.DataFrame:
        """samples() as a frame: name, step, value, time (seconds since the first attempt). Needs cherry-client[pandas]."""
        from cherry import frames

        return frames.of_samples(self.samples(job, name=name, after_step=after_step))

    def logs(self, job: JobName, *, rank: int = 0, attempt: int = 0, tail: int = 0, follow: bool = False) -> Iterator[bytes]:
        """Of one rank and attempt (0: the newest), oldest first; `tail`: the last lines only. Not repeated after an outage."""
        request = api.ReadLogsRequest(name=self._name(job), rank=rank, attempt=attempt, tail_lines=tail, follow=follow)
        for chunk in self._transport.stream(READ_LOGS, request, None):
            yield chunk.data

    def events(self, job: JobName | None = None) -> list[resources_pb2.Event]:
        """The timeline of a job, else the cluster's; oldest first."""
        request = api.ListEventsRequest(name="" if job is None else self._name(job), page_size=_PAGE)
        return [event for page in self._pages(LIST_EVENTS, request) for event in page.events]

    def checkpoints(self, job: JobName) -> list[resources_pb2.Checkpoint]:
        """Oldest first."""
        request = api.ListCheckpointsRequest(job=self._name(job), page_size=_PAGE)
        return [checkpoint for page in self._pages(LIST_CHECKPOINTS, request) for checkpoint in page.checkpoints]

    def workers(self) -> list[resources_pb2.Worker]:
        return [w for page in self._pages(LIST_WORKERS, api.ListWorkersRequest(page_size=_PAGE)) for w in page.workers]

    def datasets(self) -> list[resources_pb2.Dataset]:
        return [d for page in self._pages(LIST_DATASETS, api.ListDatasetsRequest(page_size=_PAGE)) for d in page.datasets]

    def models(self) -> list[resources_pb2.Model]:
        """The imported models of all namespaces, by name; of a name the newest."""
        return [m for page in self._pages(LIST_MODELS, api.ListModelsRequest(page_size=_PAGE)) for m in page.models]

    def server(self) -> api.ServerInfo:
        return self._call(SERVER_INFO, api.GetServerInfoRequest())

    # ---- within ----

    def _name(self, job: JobName) -> str:
        if isinstance(job, Job):
            return job.name
        namespace, _, name = job.rpartition("/")
        return f"namespaces/{namespace or self.namespace}/jobs/{name}"

    def _message(self, spec: specs.JobSpec) -> job_pb2.JobSpec:
        message = spec.to_message()
        assert isinstance(message, job_pb2.JobSpec)
        if not message.namespace:
            message.namespace = self.namespace
        return message

    def _call(self, method: Method[Q, R], request: Q) -> R:
        return self._transport.call(method, request)

    def _pages(self, method: Method[Q, R], request: Q) -> Iterator[R]:
        while True:
            page = self._call(method, request)
            yield page
            token = getattr(page, "next_page_token")
            if not token:
                return
            setattr(request, "page_token", token)
