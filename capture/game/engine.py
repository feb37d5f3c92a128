"""Panda3D's engine, one per process: pipes, the window, offscreen buffers, full-screen passes."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from typing import Any

from panda3d.core import (
    Camera,
    CardMaker,
    FrameBufferProperties,
    GraphicsEngine,
    GraphicsPipe,
    GraphicsPipeSelection,
    NodePath,
    OmniBoundingVolume,
    OrthographicLens,
    RenderAttrib,
    RenderState,
    Shader,
    TransformState,
    WindowProperties,
    load_prc_file_data,
)

from dataset.errors import UserError

SETTINGS = """
gl-version 3 3
sync-video false
audio-library-name null
textures-power-2 none
notify-level warning
notify-level-display error
notify-level-x11display error
framebuffer-srgb false
dpi-aware true
"""

NO_DISPLAY = (
    "The game cannot open a window: {why}. Start it on a desktop, or under a virtual screen with "
    "`xvfb-run -a cli game`, or render without a window through capture.game.pairs."
)
NO_OPENGL = (
    "No OpenGL 3.3 offscreen: neither EGL (Debian: libegl1 libgl1-mesa-dri) nor a display worked. "
    "Install those packages, or run under `xvfb-run -a`."
)


@lru_cache(maxsize=1)
def engine() -> GraphicsEngine:
    """The process's graphics engine. Panda3D's own messages go to stderr.

    With ``dpi-aware``, Panda3D asks Windows for real pixels before it opens the first window, which
    would be enlarged otherwise where the desktop is scaled.
    """
    load_prc_file_data("unclip", SETTINGS)
    return GraphicsEngine.get_global_ptr()


def draw_frame() -> None:
    """Draw all windows and buffers once, and let go of what the pictures before needed.

    Panda3D keeps every render state, and so every texture, until somebody collects them; its own
    application framework does so once a frame, and is not in use here.
    """
    engine().render_frame()
    for cache in (TransformState, RenderState, RenderAttrib):
        cache.garbage_collect()


def _pipe(module: str) -> GraphicsPipe | None:
    engine()
    pipe = GraphicsPipeSelection.get_global_ptr().make_module_pipe(module)
    return pipe if pipe is not None and pipe.is_valid() else None


def frame_buffer(floating: bool = False, depth: bool = False) -> FrameBufferProperties:
    """RGBA, 16-bit float or 8-bit, without multisampling."""
    properties = FrameBufferProperties()
    properties.set_rgba_bits(*([16] * 4 if floating else [8] * 4))
    properties.set_float_color(floating)
    properties.set_depth_bits(24 if depth else 0)
    return properties


def open_window(title: str, size: tuple[int, int]) -> Any:
    """A real window of `size` (width, height) pixels.

    Raises
    ------
    UserError
        When there is no display or no OpenGL 3.3 on it.
    """
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        raise UserError(NO_DISPLAY.format(why="there is no display (DISPLAY is not set)"))
    pipe = _pipe("pandagl")
    if pipe is None:
        where = os.environ.get("DISPLAY", "this desktop")
        raise UserError(NO_DISPLAY.format(why=f"no OpenGL on display {where}"))
    properties = WindowProperties.size(*size)
    properties.set_title(title)
    properties.set_fixed_size(True)
    properties.set_origin(0, 0)
    buffer = frame_buffer()
    buffer.set_back_buffers(1)
    window = engine().make_output(
        pipe, title, 0, buffer, properties, GraphicsPipe.BF_require_window
    )
    if window is None:
        raise UserError(NO_DISPLAY.format(why="the display offers no OpenGL 3.3 window"))
    return window


def open_offscreen() -> Any:
    """A host buffer for offscreen rendering: EGL where it works (no display), else the display."""
    for module in ("p3headlessgl", "pandagl"):
        pipe = _pipe(module)
        if pipe is None:
            continue
        host = engine().make_output(
            pipe,
            "host",
            0,
            frame_buffer(),
            WindowProperties.size(16, 16),
            GraphicsPipe.BF_refuse_window,
        )
        if host is not None:
            host.set_active(True)
            return host
    raise UserError(NO_OPENGL)


def make_buffer(
    host: Any, name: str, size: tuple[int, int], sort: int, floating: bool, depth: bool = False
) -> Any:
    """An offscreen buffer that shares `host`'s context, drawn in the order of `sort`."""
    buffer = engine().make_output(
        host.get_pipe(),
        name,
        sort,
        frame_buffer(floating, depth),
        WindowProperties.size(*size),
        GraphicsPipe.BF_refuse_window,
        host.get_gsg(),
        host,
    )
    if buffer is None:
        raise UserError(f"The graphics driver refused the buffer {name!r} of {size} pixels.")
    buffer.set_clear_color_active(False)
    return buffer


def make_shader(vertex: str, fragment: str) -> Shader:
    """A GLSL program from two sources."""
    return Shader.make(Shader.SL_GLSL, vertex, fragment)


def full_screen_pass(output: Any, shader: Shader) -> NodePath:
    """Draw `shader` over all of `output`; the node returned takes the shader's inputs."""
    card_maker = CardMaker("pass")
    card_maker.set_frame_fullscreen_quad()
    root = NodePath("pass root")
    card = root.attach_new_node(card_maker.generate())
    card.set_shader(shader)
    card.set_depth_test(False)
    card.set_depth_write(False)
    card.node().set_bounds(OmniBoundingVolume())
    card.node().set_final(True)
    lens = OrthographicLens()
    lens.set_film_size(2, 2)
    lens.set_near_far(-10, 10)
    camera = root.attach_new_node(Camera("camera", lens))
    region = output.make_display_region()
    region.set_camera(camera)
    return card
