"""Drives a game in another process, without loading its engine."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from capture import children
from capture.clock import now_s
from capture.game.options import GameOptions, Light
from dataset.errors import UserError
from dataset.gate import parse_json
from dataset.own_program import module_command

START_S = 60.0
TAIL_LINES = 12
ENCODING = "utf-8"  # of what the two processes say, whatever the system's


def command(options: GameOptions) -> list[str]:
    """The command line that starts the game with these options."""
    width, height = options.size
    words = ["--size", f"{width}x{height}", "--seed", str(options.seed)]
    words += ["--title", options.title, "--hold-s", str(options.hold_s)]
    words += [f"--{name}" for name in ("autopilot", "hud", "remote") if getattr(options, name)]
    if options.duration_s is not None:
        words += ["--duration-s", str(options.duration_s)]
    return module_command("capture.game", *words)


def environment(env: Mapping[str, str] | None) -> dict[str, str]:
    """`env` (default: this process's) with this installation on the other one's path, and UTF-8."""
    result = dict(os.environ if env is None else env)
    home = str(Path(__file__).resolve().parents[2])
    result["PYTHONPATH"] = os.pathsep.join(p for p in (home, result.get("PYTHONPATH")) if p)
    result["PYTHONIOENCODING"] = ENCODING
    return result


class GameProcess:
    """The game in a process of its own, under remote control.

    Parameters
    ----------
    options : GameOptions
        `remote` is set by this class.
    env : mapping, optional
        Environment of the game, with its DISPLAY; by default this process's.

    Raises
    ------
    UserError
        When the game does not start, or dies; with the tail of what it wrote to stderr.
    """

    def __init__(self, options: GameOptions, env: Mapping[str, str] | None = None) -> None:
        self.options = replace(options, remote=True)
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.process = children.start(
            command(self.options),
            environment(env),
            encoding=ENCODING,
            errors="replace",  # drivers write to stderr as they like
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.readers = [
            threading.Thread(target=reader, daemon=True)
            for reader in (self._read_answers, self._read_errors)
        ]
        for thread in self.readers:
            thread.start()
        try:
            self.ready = self._wait(START_S, "ready")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> GameProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_answers(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as answers:  # closed here: it may be open beyond the game's end
            for line in answers:
                self.lines.put(line)
        self.lines.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as errors:
            for line in errors:
                self.tail.append(line.rstrip())

    def _fault(self, what: str) -> UserError:
        if self.process.poll() is not None:
            self.readers[1].join(timeout=2.0)
        told = " | ".join(self.tail) or "It wrote nothing to stderr."
        return UserError(f"The game {what}. Its last words: {told}", exit_code=1)

    def _wait(self, timeout_s: float, key: str) -> dict[str, Any]:
        """The next answer that has `key`."""
        end = now_s() + timeout_s
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, end - now_s()))
            except queue.Empty:
                raise self._fault(f"did not answer within {timeout_s:g} s") from None
            if line is None:
                self.process.wait(timeout=5.0)
                raise self._fault(f"ended with exit status {self.process.returncode}")
            try:
                answer = parse_json(line, dict[str, Any])
            except ValueError:
                continue
            if key in answer:
                return answer

    def show(self, viewpoint: int, light: Light, timeout_s: float = 30.0) -> dict[str, Any]:
        """Show a viewpoint under a light; returns after the picture is in the window."""
        request = {
            "viewpoint": viewpoint,
            "azimuth": light.azimuth_deg,
            "elevation": light.elevation_deg,
            "strength": light.strength,
        }
        self._send(request)
        answer = self._wait(timeout_s, "drawn")
        if not answer["drawn"]:
            raise self._fault(f"refused {request}: {answer.get('error')}")
        return answer

    def _send(self, request: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except (BrokenPipeError, OSError, ValueError):
            self.process.wait(timeout=5.0)
            raise self._fault(f"ended with exit status {self.process.returncode}") from None

    def close(self) -> None:
        """Ask the game to quit; terminate it if it does not within five seconds."""
        if self.process.poll() is None:
            try:
                self._send({"quit": True})
                self.process.wait(timeout=5.0)
            except (UserError, subprocess.TimeoutExpired):
                self.process.kill()
        self.process.wait()
        for thread in self.readers:
            thread.join(timeout=2.0)
        if self.process.stdin is not None:
            with suppress(OSError):  # a line that a dead game cannot take
                self.process.stdin.close()
