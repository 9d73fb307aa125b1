"""Chromium without a window, driven by its DevTools protocol over two pipes: no port, no package."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Message = dict[str, Any]
PATIENCE = 20.0  # Seconds until what is waited for must have happened.


class Browser:
    """One process. What the page asks for over the network, says on its console and throws is kept."""

    def __init__(self) -> None:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        # It reads descriptor 3 and writes 4; the shell puts them there.
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        command = ["sh", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "sh", "chromium", "--headless=new", *root]
        command += ["--remote-debugging-pipe", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        command += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"]
        command += ["--no-proxy-server", f"--user-data-dir={self._profile.name}", "about:blank"]
        self._process = subprocess.Popen(
            command, pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_browser)
        os.close(from_browser)
        self._bytes = b""
        self._next = 0
        self._session = ""
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.replies: dict[str, Any] = {}  # By path: what stands in for the coordinator's.
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "Audits"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._profile.cleanup()

    def call(self, method: str, **parameters: Any) -> Message:
        """The reply to one command."""
        self._next += 1
        number = self._next
        self._send(number, method, parameters)
        deadline = time.monotonic() + PATIENCE
        while (message := self._receive(deadline)) is not None:
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
        raise TimeoutError(method)

    def _send(self, number: int, method: str, parameters: Message) -> None:
        message: Message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")

    def _receive(self, deadline: float) -> Message | None:
        while b"\0" not in self._bytes:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return None
            chunk = os.read(self._in, 1 << 16)
            if not chunk:
                raise RuntimeError("Chromium has ended")
            self._bytes += chunk
        text, self._bytes = self._bytes.split(b"\0", 1)
        message = json.loads(text)
        self._note(message)
        return message

    def _note(self, message: Message) -> None:
        method, what = message.get("method", ""), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(what["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(what["exceptionDetails"])[:500])
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(f"console.{what['type']}: {json.dumps(what['args'])[:500]}")
        elif method == "Log.entryAdded":
            self.complaints.append(f"{what['entry']['source']}: {what['entry']['text']} {what['entry'].get('url', '')}")
        elif method == "Audits.issueAdded" and "NavigationEntryMarkedSkippable" not in json.dumps(what):
            # But for that one, which is about addresses opened without a click.
            self.complaints.append(json.dumps(what["issue"])[:500])
        elif method == "Page.javascriptDialogOpening":
            self.complaints.append(f"a dialog: {what['message']}")
        elif method == "Fetch.requestPaused":
            self._stand_in(what)

    def _stand_in(self, paused: Message) -> None:
        path = paused["request"]["url"].split("/", 3)[3].split("?")[0]
        self._next += 1
        body = base64.b64encode(json.dumps(self.replies.get(f"/{path}", {})).encode()).decode()
        headers = [{"name": "Content-Type", "value": "application/json"}]
        reply = {"requestId": paused["requestId"], "responseCode": 200, "responseHeaders": headers, "body": body}
        self._send(self._next, "Fetch.fulfillRequest", reply)

    def stand_in_for(self, replies: dict[str, Any]) -> None:
        """From here on the JSON comes from `replies`, and is empty where they have none."""
        self.replies = replies
        self.call("Fetch.enable", patterns=[{"urlPattern": "*/api/v1/*"}])

    def width(self, pixels: int, height: int = 800, dark: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=pixels, height=height, deviceScaleFactor=1, mobile=False)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{script}: {json.dumps(result['exceptionDetails'])[:500]}")
        return result["result"].get("value")

    def until(self, script: str, holds: Callable[[Any], bool] = bool) -> Any:
        """The value of the expression, once it is as wanted. Between two looks it reads what the browser reports."""
        deadline = time.monotonic() + PATIENCE
        value = None
        while time.monotonic() < deadline:
            value = self.run(script)
            if holds(value):
                return value
            self._receive(time.monotonic() + 0.1)
        raise TimeoutError(f"{script} is still {value!r}; complaints: {self.complaints}")

    def picture(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
