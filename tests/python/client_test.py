"""The Python client against a real coordinator and worker; python_client.sh starts them and prepares dataset `text`."""

import argparse
import datetime
import os
import pathlib
import re
import socket
import struct
import tempfile
import threading
import unittest
from concurrent import futures

import grpc
import nbclient
import nbformat

import cherry
from cherry import export, frames, job_file, transport
from cherry.v1 import coordinator_pb2 as api
from cherry.v1 import resources_pb2

ROOT = pathlib.Path(__file__).resolve().parents[2]
COORDINATOR = os.environ["CHERRY_COORDINATOR"]


def pretrain(name, steps=12, **train):
    return cherry.JobSpec(
        kind="pretrain", name=name, model=cherry.ModelConfig(preset="tiny", layers=1, dim=32, heads=2, ffn_dim=64),
        data=cherry.DataConfig(train="text/train", valid="text/valid"),
        train=cherry.TrainConfig(steps=steps, sequence_length=32, global_batch_size=4, micro_batch_size=4, **train),
        validation=cherry.ValidationConfig(every_steps=4), checkpoint=cherry.CheckpointConfig(every_steps=steps))


class LosingProxy:
    """Forwards unary calls to the coordinator and loses the first replies to a method: UNAVAILABLE instead."""

    def __init__(self, method, losses):
        self.forwarded = []
        self._method, self._left, self._lock = method, losses, threading.Lock()
        self._channel = grpc.insecure_channel(COORDINATOR)
        self._server = grpc.server(futures.ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers([self])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def service(self, details):
        name = details.method.rpartition("/")[2]

        def forward(request, context):
            self.forwarded.append((name, request))
            metadata = [(k, v) for k, v in context.invocation_metadata() if k in ("authorization", "cherry-api-version")]
            reply = self._channel.unary_unary(details.method)(request, metadata=metadata, timeout=20)
            with self._lock:
                lost = name == self._method and self._left > 0
                self._left -= lost
            if lost:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the reply was lost")
            return reply

        return grpc.unary_unary_rpc_method_handler(forward)

    def stop(self):
        self._server.stop(None).wait()
        self._channel.close()


def wandb_records(data):
    """Of W&B's offline file: a header of 7 bytes, then LevelDB's log format (blocks of 32 KiB of checked pieces)."""
    place, record = 7, b""
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack_from("<HB", data, place + 4)
        record += data[place + 7:place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # Whole, or its last piece.
            yield record
            record = b""


class Submitting(unittest.TestCase):
    def setUp(self):
        self.client = cherry.Client()
        self.addCleanup(self.client.close)

    def test_a_job_is_planned_submitted_watched_and_waited_for(self):
        plan = self.client.plan(pretrain("py-first"))
        self.assertGreater(plan.parameters, 0)
        self.assertEqual([j for j in self.client.jobs() if j.name.endswith("/py-first")], [])
        job = self.client.submit(pretrain("py-first"))
        steps = [s.step for update in self.client.watch(job) for s in update.samples if s.name == "loss/train"]
        self.assertEqual(steps, sorted(set(steps)), "no sample twice")
        self.assertEqual(steps[-1], 12)
        ended = self.client.wait("py-first", timeout=60)
        self.assertEqual(ended.state, cherry.Job.SUCCEEDED)
        self.assertEqual(ended.uid, job.uid)
        self.assertEqual(self.client.checkpoints(job)[-1].step, 12)
        self.assertIn("Submitted", [event.type for event in self.client.events(job)])

    def test_a_lost_reply_retried_makes_one_job(self):
        proxy = LosingProxy("SubmitJob", losses=2)
        self.addCleanup(proxy.stop)
        with cherry.Client(proxy.address) as client:
            job = client.submit(pretrain("py-lost", steps=2))
        self.assertEqual(sum(name == "SubmitJob" for name, _ in proxy.forwarded), 3)
        self.assertEqual(len({request for _, request in proxy.forwarded}), 1, "the same request id each time")
        found = [j for j in self.client.jobs() if j.name == job.name]
        self.assertEqual([j.uid for j in found], [job.uid])
        self.client.wait(job)

    def test_a_request_id_of_ones_own_repeats_safely(self):
        id = "6f1d5f0e-4a3b-4c2d-9e8f-0a1b2c3d4e5f"
        first = self.client.submit(pretrain("py-repeat", steps=2), request_id=id)
        self.assertEqual(self.client.submit(pretrain("py-repeat", steps=2), request_id=id).uid, first.uid)
        with self.assertRaises(cherry.Conflict) as caught:
            self.client.submit(pretrain("py-other", steps=2), request_id=id)
        self.assertEqual(caught.exception.reason, "REQUEST_ID_REUSED")
        self.client.wait(first)

    def test_a_pipeline_with_a_matrix_is_waited_for_whole(self):
        arm = pretrain("py-arm", steps=3)
        arm.matrix = {"train.seed": [1, 2]}
        verdict = cherry.JobSpec(kind="evaluate", name="py-verdict", evaluate=cherry.EvaluateConfig(
            baseline=cherry.SourceRef(job="py-arm-1", checkpoint="latest"), measures=["loss"],
            models=[cherry.SourceRef(job="py-arm", checkpoint="latest")]))
        jobs = self.client.submit_pipeline("py-mini", [verdict, arm])
        self.assertEqual([j.spec.name for j in jobs], ["py-arm-1", "py-arm-2", "py-verdict"])
        self.assertEqual(len(self.client.wait_pipeline("py-mini", timeout=120)[-1].evaluation.models), 2)

    def test_a_file_is_submitted_as_the_command_does(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "one.yaml"
            path.write_text(job_file.write([pretrain("py-file", steps=2, optimizer=cherry.OptimizerConfig(learning_rate=1e-5))]))
            [job] = self.client.submit_file(path)
        self.assertEqual(job.spec.train.optimizer.learning_rate, 1e-5)
        self.client.wait(job)

    def test_what_is_wrong_is_told_by_field_value_and_remedy(self):
        with self.assertRaises(cherry.SpecError) as local:
            self.client.submit(cherry.JobSpec(kind="pretrian", name="x"))
        self.assertEqual((local.exception.field, local.exception.remedy), ("kind", "use pretrain"))
        with self.assertRaises(cherry.InvalidRequest) as remote:
            self.client.submit(pretrain("py-wrong", steps=-1))
        self.assertEqual(remote.exception.field, "train.steps")
        self.assertTrue(remote.exception.remedy)
        with self.assertRaises(cherry.NotFound):
            self.client.job("nothing-of-that-name")
        with self.assertRaises(cherry.InvalidRequest):
            self.client.jobs(states=["RUNING"])

    def test_a_job_that_is_cancelled_is_no_success(self):
        job = self.client.submit(pretrain("py-long", steps=100000))
        with self.assertRaises(cherry.TimedOut):
            self.client.wait(job, timeout=0.5)
        self.client.cancel(job, reason="no longer wanted", now=True)
        with self.assertRaises(cherry.JobEnded) as caught:
            self.client.wait(job, timeout=60)
        self.assertEqual(caught.exception.job.state, cherry.Job.CANCELLED)

    def test_nobody_there_is_unreachable_within_the_timeout(self):
        with cherry.Client("127.0.0.1:1", timeout=0.5) as nobody, self.assertRaises(cherry.Unreachable):
            nobody.server()
        with socket.create_server(("127.0.0.1", 0)) as silent:  # Takes connections, as an address whose host is gone.
            address = f"127.0.0.1:{silent.getsockname()[1]}"
            with cherry.Client(address, timeout=1) as nobody, self.assertRaises(cherry.Unreachable):
                nobody.server()
        with self.assertRaises(cherry.InvalidRequest):
            cherry.Client("example.org:7070")

    def test_the_commands_flags_are_understood(self):
        parser = argparse.ArgumentParser()
        cherry.add_flags(parser)
        flags = parser.parse_args(["--coordinator", COORDINATOR, "--timeout", "5s", "-n", "other"])
        with cherry.Client.from_flags(flags) as client:
            self.assertEqual(client.namespace, "other")
            self.assertEqual(client.server().api_major, 1)
        flags.token_file = "/nothing/here"
        with cherry.Client.from_flags(flags) as client, self.assertRaises(cherry.InvalidRequest):
            client.server()

    def test_every_example_survives_a_round_trip(self):
        files = sorted((ROOT / "examples").rglob("*.yaml"))
        self.assertGreater(len(files), 10)
        for file in files:
            jobs = job_file.read(file)
            again = job_file.parse(job_file.write(jobs))
            self.assertEqual([job.to_message() for job in again], [job.to_message() for job in jobs], file)


class BrokenStreams:
    """A coordinator whose first WatchJob breaks off amid its samples; the second sends what was asked for to the end."""

    SAMPLES = [("loss/train", step) for step in range(1, 6)] + [("loss/valid", 2), ("loss/valid", 4)]

    def __init__(self):
        self.asked = []
        self._server = grpc.server(futures.ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers([self])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def service(self, _):
        return grpc.unary_stream_rpc_method_handler(
            self.watch, api.WatchJobRequest.FromString, api.WatchJobResponse.SerializeToString)

    def watch(self, request, context):
        self.asked.append(request.after_step)
        samples = [resources_pb2.MetricSample(name=n, step=s) for n, s in self.SAMPLES if s > request.after_step]
        running, ended = cherry.Job(name=request.name, state="RUNNING"), cherry.Job(name=request.name, state="SUCCEEDED")
        yield api.WatchJobResponse(job=running, samples=samples[:3])
        if len(self.asked) == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        yield api.WatchJobResponse(job=ended, samples=samples[3:6])
        yield api.WatchJobResponse(job=ended, samples=samples[6:])

    def stop(self):
        self._server.stop(None).wait()


class Following(unittest.TestCase):
    def test_after_an_outage_every_sample_comes_once(self):
        server = BrokenStreams()
        self.addCleanup(server.stop)
        with cherry.Client(server.address, timeout=5) as client:
            got = [(s.name, s.step) for update in client.watch("any", after_step=0) for s in update.samples]
        self.assertEqual(sorted(got), sorted(server.SAMPLES))
        self.assertEqual(len(server.asked), 2)

    def test_a_wait_keeps_its_deadline_where_nobody_is(self):
        with cherry.Client("127.0.0.1:1", timeout=30) as nobody, self.assertRaises(cherry.TimedOut) as caught:
            nobody.wait("any", timeout=0.3)
        self.assertEqual(caught.exception.reason, "WAIT_TIMED_OUT")


class Writing(unittest.TestCase):
    def test_what_is_written_is_read_back(self):
        spec = cherry.JobSpec(kind="sgt", name="a", labels={"version": "1e3", "answer": "no", "team": "한국어"},
                              from_=cherry.SourceRef(job="b", checkpoint="300"),
                              limits=cherry.Limits(time=datetime.timedelta(days=12, milliseconds=1)),
                              resources=cherry.Resources(ranks=cherry.RankRange(min=1, max=4)))
        [back] = job_file.parse(job_file.write([spec]))
        self.assertEqual(back.to_message(), spec.to_message())
        self.assertEqual(back.to_message().limits.time.ToTimedelta(), spec.limits.time)
        self.assertEqual(back.labels, spec.labels)

    def test_mistakes_name_their_field(self):
        for text, field in (("limits: {time: 1.2.3s}", "limits.time"), ("limits: {time: 99999999999999h}", "limits.time"),
                            ("train: {steps: 1e400}", "train.steps"), ("matrix: {train: [{steps: 1}]}", "matrix.train"),
                            ("experts: [{jop: a}]", "experts[0].jop"), ("from: {job: a, job_uid: b}", "from.job_uid"),
                            ("labels: {a: 1}", "labels.a")):
            with self.assertRaises(cherry.SpecError, msg=text) as caught:
                job_file.parse(f"kind: fuse\nname: a\n{text}\n", where="f.yaml")
            self.assertEqual(caught.exception.field, f"f.yaml: {field}")

    def test_none_is_not_given(self):
        self.assertEqual(job_file.parse("kind: sgt\nname: a\ntrain:\n")[0].to_message(),
                         cherry.JobSpec(kind="sgt", name="a").to_message())

    def test_pipelines_are_named_as_the_command_names_them(self):
        for file, name in (("Ko mini.yaml", "ko-mini"), ("1-recovery.yaml", "pipeline-1-recovery"),
                           ("K\u0130X.yaml", "k-x"), ("a" * 80 + ".yaml", "a" * 63)):
            self.assertEqual(job_file.pipeline_name(file), name)

    def test_the_local_clusters_token_goes_to_no_other_host(self):
        tls = {"tls_cert": "c", "tls_key": "k", "tls_ca": "a"}
        plain = {"tls_cert": None, "tls_key": None, "tls_ca": None}
        resolve = transport.Options.resolve
        self.assertIsNone(resolve("far:1", "/home", None, timeout=1, **tls).token_file)
        self.assertEqual(resolve("far:1", "/home", "/t", timeout=1, **tls).token_file, pathlib.Path("/t"))
        self.assertEqual(resolve("127.0.0.1:1", "/home", None, timeout=1, **plain).token_file, pathlib.Path("/home/token"))


class Measuring(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = cherry.Client()
        cls.job = cls.client.wait(cls.client.submit(pretrain("py-measured")), timeout=60)
        cls.samples = cls.client.samples(cls.job)
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.addClassCleanup(cls.client.close)

    def losses(self):
        return {s.step: s.value for s in self.samples if s.name == "loss/train"}

    def test_series_are_frames(self):
        frame = self.client.metrics(self.job)
        self.assertEqual(len(frame), len(self.samples))
        wide = frames.wide(frame)
        self.assertEqual(wide["loss/train"].dropna().to_dict(), self.losses())
        only = self.client.metrics("py-measured", name="loss/valid")
        self.assertEqual(set(only["name"]), {"loss/valid"})

    def test_tensorboard_reads_them_back(self):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(export.to_tensorboard(self.client, self.job, self.folder.name)))
        events.Reload()
        scalars = {e.step: e.value for e in events.Scalars("loss/train")}
        self.assertEqual(scalars.keys(), self.losses().keys())
        for step, value in self.losses().items():
            self.assertAlmostEqual(scalars[step], value, places=5)

    def test_mlflow_reads_them_back(self):
        from mlflow.tracking import MlflowClient

        uri = f"file:{self.folder.name}/mlruns"
        run = export.to_mlflow(self.client, self.job, tracking_uri=uri)
        mlflow = MlflowClient(tracking_uri=uri)
        history = {m.step: m.value for m in mlflow.get_metric_history(run, "loss/train")}
        self.assertEqual(history, self.losses())
        found = mlflow.get_run(run)
        self.assertEqual(found.data.params["train.steps"], "12")
        self.assertEqual(found.info.status, "FINISHED")

    def test_wandb_reads_them_back(self):
        from wandb.proto import wandb_internal_pb2

        folder = export.to_wandb(self.client, self.job, self.folder.name)
        found = {}
        for data in wandb_records(next(folder.glob("*.wandb")).read_bytes()):
            record = wandb_internal_pb2.Record.FromString(data)
            items = {item.key or item.nested_key[0]: item.value_json for item in record.history.item}
            if "loss/train" in items:
                found[int(items["_step"])] = float(items["loss/train"])
        self.assertEqual(found, self.losses())

    def test_the_documentations_programs_run(self):
        text = (ROOT / "docs/python.md").read_text(encoding="utf-8")
        programs = re.findall(r"```python\n(.*?)```", text, re.S)
        self.assertEqual(len(programs), 2)
        names = {}
        for program in programs:
            for old, new in (("ko/", "text/"), ("steps=300", "steps=3, sequence_length=32"), ('"runs"', repr(self.folder.name)),
                             ("http://mlflow:5000", f"file:{self.folder.name}/of-docs")):
                program = program.replace(old, new)
            exec(program, names)
        self.assertEqual([job.state for job in names["jobs"]], 3 * [cherry.Job.SUCCEEDED])
        self.assertEqual(set(names["frame"]["step"]), {3})

    def test_the_notebook_runs(self):
        path = ROOT / "client/python/notebooks/first-job.ipynb"
        notebook = nbformat.read(path, as_version=4)
        self.assertTrue(all(not cell.get("outputs") for cell in notebook.cells), "is kept without outputs")
        os.environ["NOTEBOOK_DATASET"] = "text"
        nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
        images = [o for cell in notebook.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
        self.assertTrue(images, "it plots")


if __name__ == "__main__":
    unittest.main(verbosity=2)
