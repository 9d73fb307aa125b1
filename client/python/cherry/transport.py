"""How calls travel: credentials, deadlines, retries under one request id."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import random
import time
import uuid
from typing import Any, Callable, Generic, Iterator, TypeVar

import grpc
from google.protobuf.message import Message

from cherry import errors

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

API_VERSION = "1"
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
_CONNECT_TIMEOUT = 5.0  # Seconds: TCP, TLS and HTTP/2 take three round trips.
_OPTIONS: list[tuple[str, int]] = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),  # The one retry loop is below: it keeps the deadline and the request id.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.keepalive_time_ms", 330_000),  # Servers answer more than a ping in five minutes with GOAWAY.
    ("grpc.max_receive_message_length", 64 << 20),
]


@dataclasses.dataclass(frozen=True)
class Options:
    """As the flags of the command `cherry` have them; see docs/python.md."""

    coordinator: str
    token_file: pathlib.Path | None
    token_required: bool
    tls_cert: str | None
    tls_key: str | None
    tls_ca: str | None
    timeout: float

    @staticmethod
    def resolve(coordinator: str | None, home: str | os.PathLike[str] | None, token_file: str | os.PathLike[str] | None,
                tls_cert: str | None, tls_key: str | None, tls_ca: str | None, timeout: float) -> Options:
        """Fills what is None from CHERRY_COORDINATOR, CHERRY_HOME and the defaults."""
        if timeout <= 0:
            raise errors.InvalidRequest(f"timeout: {timeout} is not positive", field="timeout", remedy="give seconds")
        root = pathlib.Path(home or os.environ.get("CHERRY_HOME") or pathlib.Path.home() / ".cherry")
        address = coordinator or os.environ.get("CHERRY_COORDINATOR") or _local_address(root) or "127.0.0.1:7070"
        token = pathlib.Path(token_file) if token_file else None
        # The token of this machine's own cluster goes to no other host.
        if token is None and not any((tls_cert, tls_key, tls_ca)):
            token = root / "token"
        return Options(address, token, token_file is not None, tls_cert, tls_key, tls_ca, timeout)


def _local_address(home: pathlib.Path) -> str:
    """Where `cherry local start` has put its coordinator; empty where it has not."""
    try:
        return (home / "local.address").read_text().strip()
    except OSError:
        return ""


@dataclasses.dataclass(frozen=True)
class Method(Generic[Request, Response]):
    """A call of service cherry.v1.Cherry."""

    name: str
    request: type[Request]
    response: type[Response]

    @property
    def path(self) -> str:
        return f"/cherry.v1.Cherry/{self.name}"


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0]
    return host in ("localhost", "[::1]") or host.startswith("127.")


def _read(path: str, flag: str) -> bytes:
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise errors.InvalidRequest(f"{flag}: {error}", reason="FILE_UNREADABLE", field=flag,
                                    remedy="name a file that this user may read") from None


def _channel(options: Options) -> grpc.Channel:
    # How long connecting may take, whatever its name. Less than a call, which then knows that nobody answered.
    connect = min(_CONNECT_TIMEOUT, options.timeout / 2)
    arguments = [*_OPTIONS, ("grpc.min_reconnect_backoff_ms", int(1000 * connect))]
    given = [options.tls_cert, options.tls_key, options.tls_ca]
    if not any(given):
        if not _is_loopback(options.coordinator):
            raise errors.InvalidRequest(f"coordinator: {options.coordinator} is not on this machine", reason="TLS_REQUIRED",
                                        field="coordinator", remedy="give tls_cert, tls_key and tls_ca")
        return grpc.insecure_channel(options.coordinator, arguments)
    if options.tls_cert is None or options.tls_key is None or options.tls_ca is None:
        raise errors.InvalidRequest("tls_cert, tls_key and tls_ca go together", reason="TLS_INCOMPLETE", field="tls_cert",
                                    remedy="give all three")
    credentials = grpc.ssl_channel_credentials(_read(options.tls_ca, "tls_ca"), _read(options.tls_key, "tls_key"),
                                               _read(options.tls_cert, "tls_cert"))
    return grpc.secure_channel(options.coordinator, credentials, arguments)


class Transport:
    """One channel to a coordinator, opened when first used. Thread-safe."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._channel = _channel(options)

    def close(self) -> None:
        self._channel.close()

    def call(self, method: Method[Request, Response], request: Request) -> Response:
        """Repeats while the coordinator is unavailable, until the timeout: the same request id, so one effect."""
        if "request_id" in method.request.DESCRIPTOR.fields_by_name and not getattr(request, "request_id"):
            setattr(request, "request_id", str(uuid.uuid4()))
        invoke = self._unary(method)
        deadline = time.monotonic() + self.options.timeout
        pause = _FIRST_PAUSE
        unavailable: errors.CherryError | None = None
        while True:
            try:
                return invoke(request, timeout=max(deadline - time.monotonic(), 0.001), metadata=self._metadata())
            except grpc.RpcError as error:
                mistake = errors.from_rpc(error)
            if isinstance(mistake, errors.TimedOut) and unavailable is not None:
                raise self._unreachable(unavailable) from None
            if not isinstance(mistake, errors.Unreachable):
                raise mistake
            unavailable = mistake
            # Jitter, so that many clients do not come back in step.
            pause_now = pause * random.uniform(0.5, 1.0)
            if time.monotonic() + pause_now >= deadline:
                raise self._unreachable(mistake)
            time.sleep(pause_now)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def stream(self, method: Method[Request, Response], request: Request, timeout: float | None) -> Iterator[Response]:
        """Not repeated: the caller knows from where to go on. Closing the iterator hangs up."""
        call = self._streaming(method)(request, timeout=timeout, metadata=self._metadata())
        try:
            yield from call
        except grpc.RpcError as error:
            mistake = errors.from_rpc(error)
            raise self._unreachable(mistake) if isinstance(mistake, errors.Unreachable) else mistake from None
        finally:
            call.cancel()

    def _unary(self, method: Method[Request, Response]) -> Callable[..., Response]:
        return self._channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)

    def _streaming(self, method: Method[Request, Response]) -> Callable[..., Any]:
        return self._channel.unary_stream(method.path, method.request.SerializeToString, method.response.FromString)

    def _metadata(self) -> list[tuple[str, str]]:
        """The token is read for each try: it may have been changed."""
        metadata = [("cherry-api-version", API_VERSION)]
        if self.options.token_file is None:
            return metadata
        try:
            metadata.append(("authorization", f"Bearer {self.options.token_file.read_text().strip()}"))
        except OSError as error:
            if self.options.token_required:
                raise errors.InvalidRequest(f"token_file: {error}", reason="TOKEN_UNREADABLE", field="token_file",
                                            remedy="name the coordinator's CHERRY_HOME/token") from None
        return metadata

    def _unreachable(self, cause: errors.CherryError) -> errors.Unreachable:
        return errors.Unreachable(f"no coordinator answers at {self.options.coordinator} ({cause.message})",
                                  reason="COORDINATOR_UNREACHABLE",
                                  remedy="start one with `cherry local start`, or name it with coordinator=HOST:PORT")
