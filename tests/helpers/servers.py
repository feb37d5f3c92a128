"""The fixture of tests that let commands fail: processes with everything loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeAlias

import pytest

if TYPE_CHECKING:
    from helpers.faults import Server

Servers: TypeAlias = "Callable[[bool], Server]"  # whether with torch -> the process


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """One process with torch and one without, each begun when it is first asked for."""
    from helpers.commands import HEAVY, PLAIN  # here, as every test comes by this file
    from helpers.faults import Injector

    injector = Injector(tmp_path_factory.mktemp("injector"))
    begun: dict[bool, Server] = {}
    with ExitStack() as stack:

        def server(heavy: bool) -> Server:
            if heavy not in begun:
                modules = (*PLAIN, *HEAVY) if heavy else PLAIN
                begun[heavy] = stack.enter_context(injector.server(*modules))
            return begun[heavy]

        yield server
