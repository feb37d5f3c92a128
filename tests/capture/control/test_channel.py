"""The control channel: what clients ask is done once, and nobody else can ask."""

from __future__ import annotations

import json
import os
import queue
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import ROOT
from helpers.processes import LIFE_S, Process, Thread
from helpers.waiting import SOON_S, soon

import capture.control.channel as channel_module
from capture.commands import Command, CommandQueue
from capture.control.channel import (
    CLIENTS,
    LINE_BYTES,
    UNIX,
    _Clients,
    control_channel,
    find_recorder,
    send_command,
)
from capture.control.endpoints import (
    Endpoint,
    endpoint_file,
    lock_recordings,
    read_endpoint,
    running_endpoints,
    runtime_folder,
)
from capture.locks import is_recorder_running, recorder_lock, session_lock
from dataset.errors import UserError

Channel = tuple[Endpoint, list[Command]]
MODES = pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")


pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_runtime")]


@contextmanager
def obedient(out: Path, unix: bool = UNIX) -> Iterator[tuple[Endpoint, list[Command]]]:
    """A channel behind which every command is remembered and answered."""
    commands: CommandQueue = queue.SimpleQueue()
    done: list[Command] = []

    def answer_all() -> None:
        while (command := commands.get(timeout=LIFE_S)).by != "program":
            done.append(command)
            assert command.reply is not None
            command.reply.set_result({"ok": True, "status": {"number": len(done)}})

    thread = Thread(target=answer_all)
    thread.start()
    try:
        with recorder_lock(out), control_channel(out, commands, unix) as endpoint:
            yield endpoint, done
    finally:
        commands.put(Command("stop"))
        thread.join()


@pytest.fixture(params=[*{UNIX, False}], ids=lambda unix: "socket" if unix else "port")
def channel(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[Endpoint, list[Command]]]:
    with obedient(tmp_path / "captures", request.param) as found:
        yield found


def connect(endpoint: Endpoint) -> socket.socket:
    if endpoint.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(SOON_S)
        connection.connect(endpoint.socket)
    else:
        assert endpoint.port
        connection = socket.create_connection(("127.0.0.1", endpoint.port), timeout=SOON_S)
    return connection


def say(endpoint: Endpoint, data: bytes) -> bytes:
    """Send bytes, and all that comes back until the server has done with us."""
    with connect(endpoint) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_command_is_done_and_answered(channel: Channel) -> None:
    endpoint, done = channel
    assert send_command(endpoint, "label", "X") == {"ok": True, "status": {"number": 1}}
    assert (done[0].name, done[0].value, done[0].by) == ("label", "X", "control")


@pytest.mark.parametrize(
    "line",
    [
        b"garbage\n",
        b"\xff\xfe\x00\n",
        b"[1, 2]\n",
        b'{"command": "explode"}\n',
        b'{"command": "label", "value": "Z"}\n',
        b'{"command": "snap", "value": "X"}\n',
        b'{"command": "light"}\n',
        b'{"command": "light", "value": 5}\n',
        b'{"command": "light", "value": "\\udcb3\\udcb7"}\n',
        b'{"command": "light", "value": "noon\\u001b[2J"}\n',
        b'{"command": "light", "value": "noon\\nfake line of the log"}\n',
        b'{"command": ["snap"]}\n',
        b'{"command": "snap", "value": NaN}\n',
        b'{"command": "snap", "value": 1e999}\n',
        b"[" * 4000 + b"\n",
    ],
)
def test_nonsense_is_answered_with_an_error_and_does_nothing(channel: Channel, line: bytes) -> None:
    endpoint, done = channel
    if endpoint.token and line.startswith(b"{"):
        line = line[:-2] + f', "token": "{endpoint.token}"}}\n'.encode()
    answer = json.loads(say(endpoint, line))
    assert answer["ok"] is False
    assert answer["error"]
    assert done == []
    assert send_command(endpoint, "status")["ok"]


def test_a_line_of_ten_megabytes_is_cut_off_and_harms_nobody(channel: Channel) -> None:
    endpoint, done = channel
    with connect(endpoint) as connection:
        try:
            connection.sendall(b"x" * 10_000_000)
            answer = connection.recv(4096)
        except OSError:
            answer = b""  # it had let us go by then
    assert answer == b"" or not json.loads(answer)["ok"]
    assert len(answer) < LINE_BYTES
    assert done == []
    assert send_command(endpoint, "status")["ok"]


def test_clients_that_say_nothing_are_counted_and_others_turned_away(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_module, "ROOM_S", 0.1)
    monkeypatch.setattr(_Clients, "timeout", SOON_S)
    endpoint, _ = channel
    silent = [connect(endpoint) for _ in range(CLIENTS)]
    with pytest.raises(UserError, match="no answer"):
        send_command(endpoint, "status")
    for each in silent:
        each.close()

    def served() -> bool:
        with suppress(UserError):
            return bool(send_command(endpoint, "status")["ok"])
        return False

    soon(served)


def test_a_client_waits_for_the_place_of_one_that_is_about_to_go(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_module, "ROOM_S", SOON_S)
    monkeypatch.setattr(_Clients, "timeout", SOON_S)
    endpoint, _ = channel
    silent = [connect(endpoint) for _ in range(CLIENTS)]
    with connect(endpoint) as last:
        line = json.dumps({"command": "status", "token": endpoint.token}).encode() + b"\n"
        last.sendall(line)
        last.settimeout(0.3)
        with pytest.raises(TimeoutError):
            last.recv(4096)
        for each in silent:
            each.close()
        last.settimeout(SOON_S)
        assert json.loads(last.recv(4096))["ok"]


@pytest.mark.parametrize("text", ["\udcb3\udcb7", "noon\x1b[2J", "x\n", "x" * 5000])
def test_a_text_that_cannot_be_written_down_is_refused_before_it_is_sent(
    channel: Channel, text: str
) -> None:
    endpoint, done = channel
    with pytest.raises(UserError, match="The text on the light has") as found:
        send_command(endpoint, "light", text)
    assert found.value.exit_code == 2
    assert done == []
    assert send_command(endpoint, "light", "태양 20°")["ok"]


@pytest.mark.parametrize(
    "answer", [b"[1]\n", b"{}\n", b'{"ok": "yes"}\n', b"[" * 9999 + b"\n", b""]
)
def test_an_answer_that_is_none_becomes_words(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        monkeypatch.setattr("capture.control.channel._connect", lambda endpoint: ours)
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(UserError, match=r"no answer|could not do it"):
            send_command(Endpoint("captures", 1), "status")


def test_two_clients_at_once_are_both_served(channel: Channel) -> None:
    endpoint, done = channel
    answers: list[int] = []

    def ask() -> None:
        answers.extend(send_command(endpoint, "snap")["status"]["number"] for _ in range(50))

    threads = [Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == list(range(1, 101))
    assert len(done) == 100


def test_a_client_may_ask_several_times_and_leave_in_the_middle(channel: Channel) -> None:
    endpoint, done = channel
    line = json.dumps({"command": "snap", "token": endpoint.token}).encode() + b"\n"
    answers = say(endpoint, line * 3 + line[:9])
    assert [json.loads(each)["ok"] for each in answers.splitlines()] == [True, True, True, False]
    assert len(done) == 3


def test_a_wrong_token_is_refused(tmp_path: Path) -> None:
    with obedient(tmp_path / "captures", unix=False) as (endpoint, done):
        for token in ("0" * 64, None, "", 7):
            line = json.dumps({"command": "snap", "token": token}).encode() + b"\n"
            assert json.loads(say(endpoint, line)) == {
                "ok": False, "error": "wrong token", "final": True,
            }  # fmt: skip
        with pytest.raises(UserError, match="wrong token"):
            send_command(replace(endpoint, token="guess"), "snap")
        assert done == []


@MODES
@pytest.mark.usefixtures("channel")
def test_socket_and_note_are_for_this_user_only() -> None:
    folder = runtime_folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be another user"
)
@pytest.mark.parametrize("open_to_all", [False, True])
def test_another_user_is_refused_even_where_modes_are_wide_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, open_to_all: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        with obedient(tmp_path / "captures") as (endpoint, done):
            assert endpoint.socket
            if open_to_all:
                os.chmod(Path(endpoint.socket).parent, 0o755)
                os.chmod(endpoint.socket, 0o777)
            said = stop_as_another_user(endpoint.socket)
            assert said == "answer b''" if open_to_all else said.startswith("refused")
            os.chmod(Path(endpoint.socket).parent, 0o700)
            assert done == []
            assert send_command(endpoint, "status")["ok"]


def stop_as_another_user(path: str) -> str:
    """What user 65534 gets for a stop command on this socket."""
    program = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX); s.settimeout(20)\n"
        "try:\n    s.connect(sys.argv[1])\n"
        "    try:\n        s.sendall(b'{\"command\": \"stop\"}\\n'); print('answer', s.recv(100))\n"
        "    except OSError:\n        print('answer', b'')\n"
        "except OSError as error:\n    print('refused', error)\n"
    )
    command = [sys.executable, "-c", program, path]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


@MODES
def test_a_folder_that_others_can_enter_is_not_used(own_runtime: Path) -> None:
    (own_runtime / "unclip").mkdir(mode=0o755)
    with pytest.raises(UserError, match="only you can enter"):
        runtime_folder()


def test_a_runtime_folder_that_is_a_link_is_not_used(own_runtime: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (own_runtime / "unclip").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="only you can enter"):
        runtime_folder()


def test_a_note_is_written_through_no_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    note = endpoint_file(tmp_path / "captures")
    note.symlink_to(victim)
    with obedient(tmp_path / "captures") as (endpoint, _):
        assert not note.is_symlink()
        assert send_command(endpoint, "status")["ok"]
    assert victim.read_text() == "mine"


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[" * 100_000, '{"out": 7, "pid": 1}', '{"out": "x", "pid": -1}',
     '{"out": "x", "pid": 1, "port": 70000}', '{"out": "\\u0000", "pid": 1}',
     '{"out": "x", "pid": 1, "out_bytes": "zz"}', '{"out": "x", "pid": 1, "out_bytes": 5}'],
)  # fmt: skip
def test_a_note_that_makes_no_sense_is_cleared_away(tmp_path: Path, text: str) -> None:
    note = endpoint_file(tmp_path)
    note.write_text(text)
    os.mkfifo(note.with_name("pipe.json"))
    note.with_name("folder.json").mkdir()
    with pytest.raises(UserError, match="No recorder is running"):
        find_recorder(None, tmp_path)
    assert [path.name for path in runtime_folder().iterdir()] == ["folder.json"]


@pytest.mark.skipif(os.name != "posix", reason="names of files are text on Windows")
def test_a_folder_whose_name_is_not_utf_8_has_a_recorder_like_any_other(tmp_path: Path) -> None:
    out = tmp_path / os.fsdecode(b"\xb3\xb7\xc8\xad")
    with obedient(out) as (endpoint, _):
        assert find_recorder(out, out) == endpoint
        assert find_recorder(None, tmp_path) == endpoint
        assert send_command(endpoint, "status")["ok"]


@pytest.mark.parametrize("name", ["captures", "s"])
def test_a_lock_that_is_a_link_is_refused_and_its_target_stays(tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / name
    folder.mkdir()
    (folder / ".recorder.lock").symlink_to(victim)
    lock = recorder_lock if name == "captures" else session_lock
    with pytest.raises(UserError, match="is a link to another place"), lock(folder):
        pass
    assert not is_recorder_running(folder)
    assert victim.read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="Cannot make"), recorder_lock(tmp_path / "file" / "out"):
        pass


def test_a_second_recorder_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "captures"
    who = rf"process {os.getpid()}.*cli capture stop"
    with obedient(out), pytest.raises(UserError, match=who), lock_recordings(out):
        pass
    with recorder_lock(out):
        pass


def test_the_recorder_is_found_by_folder_or_because_it_is_the_only_one(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    with pytest.raises(UserError, match="No recorder is running"):
        find_recorder(None, one)
    with obedient(one) as (first, _):
        assert find_recorder(None, tmp_path / "elsewhere") == first
        with obedient(other) as (second, _):
            assert find_recorder(None, other) == second
            assert find_recorder(one, other) == first
            with pytest.raises(UserError, match=r"Say which.*one.*other"):
                find_recorder(None, tmp_path / "elsewhere")


def test_what_a_killed_recorder_left_is_seen_as_stale(tmp_path: Path) -> None:
    out = tmp_path / "captures"
    program = (
        "import os, queue, sys, time; from pathlib import Path\n"
        "from capture.control.channel import control_channel\n"
        "from capture.locks import recorder_lock\n"
        "out = Path(sys.argv[1])\n"
        "with recorder_lock(out), control_channel(out, queue.SimpleQueue()):\n"
        "    print(os.getpid(), flush=True); time.sleep(60)\n"
    )
    process = Process(
        [sys.executable, "-c", program, str(out)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    number = int(process.stdout.readline())  # not that of the launcher of an environment
    assert [each.pid for each in running_endpoints()] == [number]
    process.kill()
    process.communicate()
    assert read_endpoint(out) is not None  # its note is still there
    with pytest.raises(UserError, match="No recorder is running"):
        find_recorder(out, out)
    assert list(runtime_folder().iterdir()) == []  # cleared away
    with obedient(out) as (endpoint, _):
        assert find_recorder(out, out) == endpoint
