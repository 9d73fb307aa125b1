"""What can go wrong, by what a caller can do about it. All are CherryError; str() is message and remedy."""

from __future__ import annotations

import grpc

from cherry.v1 import coordinator_pb2, resources_pb2, rpc_status_pb2

_DETAILS = "grpc-status-details-bin"


class CherryError(Exception):
    """`reason` is stable (as "JOB_EXISTS"), `field` a path in the request or job file, `remedy` what to do."""

    def __init__(self, message: str, *, reason: str = "", field: str = "", remedy: str = "") -> None:
        super().__init__(f"{message}: {remedy}" if remedy else message)
        self.message = message
        self.reason = reason
        self.field = field
        self.remedy = remedy


class InvalidRequest(CherryError):
    """The request or the job file is wrong; sending it again changes nothing."""


class SpecError(InvalidRequest):
    """A job file, or a dataclass, is wrong; found before anything was sent."""

    def __init__(self, field: str, what: str, remedy: str) -> None:
        super().__init__(f"{field}: {what}", reason="SPEC_INVALID", field=field, remedy=remedy)
        self.what = what


class NotFound(CherryError):
    """No such job, checkpoint, dataset or worker."""


class Conflict(CherryError):
    """Something of that name exists, or is in a state that does not allow this."""


class Refused(CherryError):
    """Permission or quota."""


class Unreachable(CherryError):
    """No coordinator answered within the timeout, over all retries."""


class TimedOut(CherryError):
    """The deadline has passed; whatever was begun goes on."""


class JobEnded(CherryError):
    """A job that was waited for has not SUCCEEDED; `job` is how it ended."""

    def __init__(self, job: resources_pb2.Job) -> None:
        state = resources_pb2.Job.State.Name(job.state)
        super().__init__(f"{job.name} is {state}: {job.reason}", reason=f"JOB_{state}")
        self.job = job


_CLASSES: dict[grpc.StatusCode, type[CherryError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: Conflict,
    grpc.StatusCode.FAILED_PRECONDITION: Conflict,
    grpc.StatusCode.ABORTED: Conflict,
    grpc.StatusCode.PERMISSION_DENIED: Refused,
    grpc.StatusCode.UNAUTHENTICATED: Refused,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Refused,
    grpc.StatusCode.UNAVAILABLE: Unreachable,
    grpc.StatusCode.DEADLINE_EXCEEDED: TimedOut,
}


def from_rpc(error: grpc.RpcError) -> CherryError:
    """With the coordinator's reason, field and remedy where it sent them."""
    assert isinstance(error, grpc.Call)
    info = coordinator_pb2.ErrorInfo()
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS and isinstance(value, bytes):
            status = rpc_status_pb2.RpcStatus.FromString(value)
            if status.details:
                status.details[0].Unpack(info)
    kind = _CLASSES.get(error.code(), CherryError)
    return kind(error.details() or str(error.code()), reason=info.reason, field=info.field, remedy=info.remedy)
