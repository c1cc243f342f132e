"""A headless Chromium, driven by the DevTools protocol over a pipe: standard library only."""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import pytest

from tests.polling import wait_for

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_BOUND_S: Final = 30.0
# Chromium reads commands from descriptor 3 and writes to 4.
_LAUNCH: Final = """
import fcntl, os, sys
commands, answers = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(commands, 3)
os.dup2(answers, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
# Key codes, and what they type.
_KEYS: Final = {"Tab": (9, ""), "Enter": (13, "\r")}
_FLAGS: Final = (
    "--headless",
    "--no-sandbox",  # as root it has none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    # It is to reach nothing but this machine.
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--proxy-server=direct://",
    "--remote-debugging-pipe",
)


class BrowserError(Exception):
    """The browser refused a command, or the page failed; the text is its own."""


def needed_chromium() -> str:
    """Returns where Chromium is; without it the test fails where CI is set, and else is skipped with the reason."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        reason = "no Chromium; sh deploy/install-debian.sh --tests installs it on Debian"
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)
    return found


class Browser:
    """A browser with a new profile, from `with` to its end.

    Args:
        program: Path of Chromium.
        profile: Folder of the profile.
    """

    def __init__(self, program: str, profile: Path) -> None:
        self._program = program
        self._profile = profile
        self._last_id = 0
        self._unread = b""
        self.heard: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        chromium = [self._program, *_FLAGS, f"--user-data-dir={self._profile}", "about:blank"]
        with (self._profile.parent / "chromium.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _LAUNCH, str(commands), str(answers), *chromium],
                pass_fds=(commands, answers),
                stdout=log,
                stderr=log,
            )
        os.close(commands)
        os.close(answers)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(BrowserError, OSError, AssertionError):
            self.call("Browser.close")
        try:
            self._process.wait(10)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._commands)
            os.close(self._answers)

    def open(self, url: str) -> "Page":
        """Opens a tab."""
        page = Page(self, self.call("Target.createTarget", url="about:blank")["targetId"])
        page.go(url)
        return page

    def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        """Sends a command and returns its result; what else the browser tells meanwhile is kept in `heard`."""
        self._last_id += 1
        command = {"id": self._last_id, "method": method, "params": params}
        os.write(self._commands, json.dumps(command | ({"sessionId": session} if session else {})).encode() + b"\0")
        end = time.monotonic() + _BOUND_S
        while (answer := self._next(end)).get("id") != self._last_id:
            self.heard.append(answer)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"Chromium did not answer within {_BOUND_S} s"
            found = os.read(self._answers, 1 << 20)
            if not found:
                raise BrowserError("Chromium has ended; its log is beside its profile")
            self._unread += found
        message, _, self._unread = self._unread.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


class Page:
    """A tab.

    Args:
        browser: Its browser.
        target_id: Its id there.
    """

    def __init__(self, browser: Browser, target_id: str) -> None:
        self._browser = browser
        self._target_id = target_id
        self._session = browser.call("Target.attachToTarget", targetId=target_id, flatten=True)["sessionId"]

    def go(self, url: str) -> None:
        """Goes to another page, which ends the one it was on, and waits until that is there."""
        failed = self.call("Page.navigate", url=url).get("errorText")
        if failed:
            raise BrowserError(f"{url}: {failed}")
        wait_for(lambda: self.run("document.readyState"), lambda state: state == "complete", _BOUND_S)

    def arrived(self, title: str) -> None:
        """Waits until a page whose title begins like this is there, all of it."""
        told = "document.readyState + document.title"
        wait_for(lambda: str(self.run(told)), lambda found: found.startswith(f"complete{title}"), _BOUND_S)

    def run(self, script: str) -> Any:
        """Runs a script and returns its value, or what its promise comes to; fails when it throws."""
        done = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in done:
            thrown = done["exceptionDetails"]
            raise BrowserError(thrown.get("exception", {}).get("description") or thrown["text"])
        return done["result"].get("value")

    def listen(self) -> None:
        """From now on, what it complains of and asks for is heard."""
        for domain in ("Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def complaints(self) -> list[str]:
        """Returns the errors and warnings of its console so far, and what it threw."""
        thrown = [str(told["exceptionDetails"]) for told in self._heard("Runtime.exceptionThrown")]
        logged = [told for told in self._heard("Runtime.consoleAPICalled") if told["type"] in {"error", "warning"}]
        entries = [told["entry"] for told in self._heard("Log.entryAdded")]
        named = [each["text"] for each in entries if each["level"] in {"error", "warning"}]
        return [*thrown, *(str(told["args"]) for told in logged), *named]

    def asked_for(self) -> list[str]:
        """Returns the URLs that it asked for so far."""
        return [told["request"]["url"] for told in self._heard("Network.requestWillBeSent")]

    def emulate(self, width: int, scheme: str, height: int = 800) -> None:
        """Makes it a screen of this size, in CSS pixels, of somebody who likes it `light` or `dark`."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=True)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def click(self, selector: str) -> None:
        """Clicks into the middle of the first element that there is."""
        box = self.run(
            f"(() => {{ const found = document.querySelector({json.dumps(selector)});"
            " found.scrollIntoView({ block: 'center' }); const { x, y, width, height } = found.getBoundingClientRect();"
            " return [x + width / 2, y + height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def press(self, key: str) -> None:
        """Presses a key, such as Tab or Enter."""
        code, text = _KEYS[key]
        named = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **named)
        self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    def type(self, text: str) -> None:
        """Types into what has the focus."""
        self.call("Input.insertText", text=text)

    def picture(self) -> bytes:
        """Returns the whole page as PNG."""
        width = self.run("innerWidth")
        height = self.run("document.documentElement.scrollHeight")
        # As high as the page: what scrolls by itself is not painted outside of the screen.
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=True)
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def show(self) -> None:
        """Brings it to the front, which hides the one that was there."""
        self._browser.call("Target.activateTarget", targetId=self._target_id)

    def close(self) -> None:
        """Closes it, as a user does."""
        self._browser.call("Target.closeTarget", targetId=self._target_id)

    def _heard(self, method: str) -> list[dict[str, Any]]:
        # Whatever was told up to now is read with the next answer.
        self.call("Runtime.evaluate", expression="0")
        return [
            each["params"]
            for each in self._browser.heard
            if each.get("method") == method and each.get("sessionId") == self._session
        ]

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends a command of the protocol to this tab."""
        return self._browser.call(method, self._session, **params)
