"""A bridge and who watches over it: `python -m firmware_bridge.supervisor --config FILE|-` (a BridgeConfig as JSON).

The supervisor imports everything, opens nothing, and forks the bridge (daemon.py). When that dies without a
farewell or stops ticking, it is ended and another one is forked, which freezes the arm where it is and stays
latched in a fault until a person rearms. Same endpoints: clients reconnect by themselves.

SIGINT, SIGTERM, SIGHUP: leave by the exit policy; once more: hold here, now. SIGUSR1: emergency stop. Words on
stdout are JSON lines: ready, takeover, stopped, error, gave_up.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import gc
import os
import select
import signal
import sys
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_bridge import registry, robots
from firmware_bridge.config import SIM, BridgeConfig
from firmware_bridge.daemon import ESTOP, LEAVING, Birth, Place, live
from firmware_bridge.drivers import load_calibration, virtual_port
from firmware_bridge.errors import BridgeError, BridgeGone, ConfigError, sentence, to_wire
from firmware_bridge.priority import SUPERVISOR, prefer
from firmware_bridge.pulse import Heard, Pulse
from firmware_bridge.words import open_standard_files, say, say_to_people, tell

TAKEOVERS = 3  # within a minute; whatever kills a fourth bridge would kill a fifth
MINUTE_S = 60.0
AGAIN_S = 0.5  # between takeovers that could not open the arm
KILL_S = 5.0  # a killed process that is still there then is stuck in the kernel: its port is not free
READINGS = 3  # that a tick may take before it counts as hung, where servos are given much time to answer
PAUSED_S = 0.2  # a wait that ends so much late means that this process did not run either


@dataclass(slots=True)
class Bridge:
    """A forked bridge, seen from its supervisor."""

    pid: int
    file: int  # the pulse's end
    heard: Heard

    def said(self, event: str) -> dict[str, Any] | None:
        return next((word for word in self.heard.words if word["event"] == event), None)


@dataclass(frozen=True, slots=True)
class End:
    """How a bridge ended."""

    bridge: Bridge
    why: str  # "" after a farewell
    noticed: float  # monotonic s
    gone: bool  # False: it was killed and is there still


def serve(config: BridgeConfig, owned: bool = False, human: bool = False) -> int:
    """Run a bridge until it has left, taking over from dead ones; the exit code.

    `owned`: leave when stdin ends. `human`: words for a terminal in place of JSON lines.
    """
    open_standard_files()
    tongue = say_to_people if human else say
    try:
        with contextlib.ExitStack() as stack:
            robot = robots.find(config.robot)
            if not config.timing.rate_hz:
                config = dataclasses.replace(config, timing=dataclasses.replace(config.timing, rate_hz=robot.rate_hz))
            if config.id:
                stack.enter_context(registry.claim(config.id, robot.name))
            own = registry.default_endpoint(config.id or robot.name, "" if config.id else str(os.getpid()))
            port = stack.enter_context(virtual_port(robot, config)) if config.port == SIM else config.port
            calibration = load_calibration(robot, config)  # here, so that a takeover imports and reads nothing
            prefer(SUPERVISOR)
            place = Place(config, robot, port, owned, os.getpid(), time.monotonic(), tongue, calibration)
            return Supervisor(place, Birth(config.endpoint or own)).run()
    except BridgeError as error:
        name, text = to_wire(error)
        tongue({"event": "error", "error": name, "text": text})
        return 1


class Supervisor:
    """Forks bridges, one after the other, and watches the one that lives."""

    def __init__(self, place: Place, birth: Birth) -> None:
        self.place = place
        self._birth = birth
        self._leaving = 0  # signals that asked so
        self._bridge: Bridge | None = None
        self._takeovers: collections.deque[float] = collections.deque(maxlen=TAKEOVERS)
        timing = place.config.timing
        reading_s = READINGS * timing.reply_timeout_s * (1 + timing.retries)
        self._patience_s = max(place.robot.hang_s, reading_s)

    def run(self) -> int:
        """Until a bridge has said its farewell, or nobody can help; the exit code."""
        gc.freeze()  # what the forks share stays shared
        for number in (*LEAVING, ESTOP):
            signal.signal(number, self._forward)
        end = self._watch(self._fork())
        if end.why and not end.bridge.said("ready"):
            return self._never_ready(end)
        while end.why:
            if not end.gone or not self._may_take_over(end.noticed):
                return self._give_up(end)
            if self._birth.adopt and not end.bridge.said("ready"):
                time.sleep(AGAIN_S)  # it could not open the arm: perhaps the next one can
            self._birth = self._next(end)
            end = self._watch(self._fork(), end)
        return 0

    # -- signals

    def _forward(self, number: int, frame: object) -> None:
        if number in LEAVING:
            self._leaving += 1
            number = signal.SIGTERM
        if self._bridge is not None:
            os.kill(self._bridge.pid, number)

    # -- one bridge

    def _fork(self) -> Bridge:
        """A new bridge. Signals wait meanwhile, in both processes, until somebody listens."""
        signal.pthread_sigmask(signal.SIG_BLOCK, (*LEAVING, ESTOP))
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            # Python 3.12 and later warn of threads: ours are none, and OpenBLAS ends its own before a fork.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            self._be_the_bridge(reader, writer)
        os.close(writer)
        self._bridge = Bridge(pid, reader, Heard(self._patience_s, self._birth.seq, self._birth.tick))
        if self._leaving and self._birth.adopt:
            os.kill(pid, signal.SIGTERM)  # what the one before was asked to do
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*LEAVING, ESTOP))
        return self._bridge

    def _be_the_bridge(self, reader: int, writer: int) -> None:
        code = 1
        try:
            os.close(reader)
            os.setsid()  # Ctrl-C in a terminal reaches the supervisor alone, which forwards it
            with contextlib.suppress(OSError):
                Path("/proc/self/comm").write_text("armside-bridge")
            code = live(self.place, self._birth, Pulse(writer))
        except BaseException:
            tell(traceback.format_exc())
        finally:
            os._exit(code)  # never back into the supervisor's own stack

    def _watch(self, bridge: Bridge, before: End | None = None) -> End:
        """Listen until the bridge has ended, or has hung and was killed."""
        poll = select.poll()
        poll.register(bridge.file, select.POLLIN)
        heard_at = time.monotonic()
        why = ""
        while not why:
            asked_at = time.monotonic()
            wait = max(0.0, heard_at + bridge.heard.allowed_s - asked_at)
            if poll.poll(wait * 1000.0):
                data = os.read(bridge.file, 65536)
                if not data:
                    break
                heard_at = time.monotonic()
                bridge.heard.hear(data)
                if before is not None and bridge.said("ready"):
                    self._say_takeover(bridge, before)
                    before = None
            elif time.monotonic() - asked_at > wait + PAUSED_S:
                heard_at = time.monotonic()  # this process did not run either: a machine that slept
            else:
                why = f"did not tick for {bridge.heard.allowed_s:g} s and was ended"
        noticed = time.monotonic()
        code = self._reap(bridge, bool(why))
        if bridge.said("stopped"):  # it has left the arm as it says: nothing to take over, however it ends
            why, code = "", 0
        return End(bridge, why or _died(code), noticed, code is not None)

    def _reap(self, bridge: Bridge, hung: bool) -> int | None:
        """Its exit code, negative for a signal; None when it does not die."""
        self._bridge = None  # from here on signals are kept for the next one
        if hung:
            os.kill(bridge.pid, signal.SIGKILL)
        deadline = time.monotonic() + KILL_S
        pid, status = os.waitpid(bridge.pid, os.WNOHANG)
        while not pid and time.monotonic() < deadline:
            time.sleep(0.001)
            pid, status = os.waitpid(bridge.pid, os.WNOHANG)
        os.close(bridge.file)
        return os.waitstatus_to_exitcode(status) if pid else None

    # -- after its end

    def _next(self, end: End) -> Birth:
        """Where the bridge begins that takes over."""
        ready = end.bridge.said("ready") or {}
        heard, rate_hz = end.bridge.heard, self.place.config.timing.rate_hz
        return dataclasses.replace(
            self._birth,
            endpoint=ready.get("endpoint", self._birth.endpoint),
            status_endpoint=ready.get("status_endpoint", self._birth.status_endpoint),
            adopt=f"the bridge {end.why}",
            number=self._birth.number + 1,
            seq=heard.seq + 1,  # the last one may have gone out without being told here
            tick=heard.tick + 1 + round((time.monotonic() - end.noticed) * rate_hz),
        )

    def _may_take_over(self, now: float) -> bool:
        often = len(self._takeovers) == TAKEOVERS and now - self._takeovers[0] < MINUTE_S
        self._takeovers.append(now)
        return not often

    def _say_takeover(self, bridge: Bridge, before: End) -> None:
        ready = bridge.said("ready")
        assert ready is not None
        held_s = float(ready["held"]) - before.noticed
        text = f"the bridge {before.why}; another one holds the arm since {held_s * 1e3:.0f} ms later, latched"
        do = "clear the arm's space, then rearm"
        tell(sentence(text, do=do))
        word = {"event": "takeover", "text": sentence(text, do=do), "pid": bridge.pid, "held_s": held_s}
        self.place.say(word)

    def _never_ready(self, end: End) -> int:
        if not end.bridge.said("error"):
            what = sentence(f"the bridge {end.why} before it was ready", do="read the lines above")
            self.place.say({"event": "error", "error": BridgeGone.__name__, "text": what})
        return 1

    def _give_up(self, end: End) -> int:
        limp = "the motors go to damping by their own watchdog: the arm sinks slowly; support it"
        holds = "the servos keep their last goal and torque: hold the arm by hand before you switch its power off"
        error = end.bridge.said("error")
        what = f"the bridge {end.why}" + (f" ({error['text']})" if error else "")
        got = "it cannot be killed" if not end.gone else f"more than {TAKEOVERS} takeovers within a minute"
        do = holds if self.place.robot.holds_alone else limp
        text = sentence(f"{what}; nobody drives the arm any more", got=got, do=do)
        tell(text)
        self.place.say({"event": "gave_up", "text": text})
        return 1


def _died(code: int | None) -> str:
    """How a bridge died that was not killed by its supervisor; "" after a farewell."""
    if code == 0:
        return ""
    if code is None:
        return "closed its pipe but does not end"
    if code > 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


def main() -> int:
    options = _options()
    open_standard_files()
    try:
        config = BridgeConfig.from_json(_config_text(options.config))
    except BridgeError as error:
        name, text = to_wire(error)
        say({"event": "error", "error": name, "text": text})
        return 1
    return serve(config, owned=options.owned)


def _config_text(path: str) -> str:
    if path == "-":
        return sys.stdin.readline()
    try:
        return Path(path).read_text()
    except OSError as error:
        raise ConfigError(sentence(f"configuration {path}", expected="a JSON file", got=error)) from error


def _options() -> argparse.Namespace:
    assert __doc__
    parser = argparse.ArgumentParser(prog="firmware_bridge.supervisor", description=__doc__.split("\n")[0])
    parser.add_argument("--config", required=True, help="a JSON file, or - for one line on stdin")
    parser.add_argument("--owned", action="store_true", help="leave when stdin ends")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
