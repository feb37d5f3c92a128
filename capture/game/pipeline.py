"""From the scene's radiance to the picture: float buffer, blur pyramid, glare, clipping, FXAA.

An HDR pipeline ends before clipping: its picture is the exposed light, 1 where the other clips.
"""

from __future__ import annotations

from typing import Any

from panda3d.core import GraphicsOutput, LVecBase2f, LVecBase3f, NodePath, SamplerState, Texture

from capture.game import post_shaders
from capture.game.engine import engine, full_screen_pass, make_buffer, make_shader
from capture.game.shaders import SCREEN_VERTEX

PYRAMID = (4, 8, 16, 32)  # each level's size is the picture's over this
SHADOW_SIZE = 512  # the aircraft's own shadow, seen from the sun
BLOOM = 0.07  # share of light that the lens blurs over its surroundings
GLARE = 1.25  # veil over the CIE observer's: a lens with dust on it
SUPERSAMPLED = 384 * 384  # pictures of no more pixels are rendered at twice the size


def _target(buffer: Any, to_ram: bool = False) -> Texture:
    texture = Texture(buffer.get_name())
    texture.set_wrap_u(SamplerState.WM_clamp)
    texture.set_wrap_v(SamplerState.WM_clamp)
    texture.set_minfilter(SamplerState.FT_linear)
    texture.set_magfilter(SamplerState.FT_linear)
    mode = GraphicsOutput.RTM_copy_ram if to_ram else GraphicsOutput.RTM_bind_or_copy
    buffer.add_render_texture(texture, mode, GraphicsOutput.RTP_color)
    return texture


class Pipeline:
    """The buffers of one output.

    Parameters
    ----------
    host : GraphicsOutput
        The window that shows the picture, or any offscreen buffer of the same context.
    size : (width, height)
        Of the picture, pixels.
    offscreen : bool
        True renders into `picture`, a texture in memory; False into `host` itself.
    hdr : bool
        Offscreen only: `picture` is linear light, 16-bit float, with bloom, glare and exposure,
        neither clipped nor encoded, and so without the anti-aliasing that comes after.
    """

    def __init__(
        self, host: Any, size: tuple[int, int], offscreen: bool, hdr: bool = False
    ) -> None:
        self.size = size
        self.buffers: list[Any] = []
        finer = 2 if size[0] * size[1] <= SUPERSAMPLED else 1
        self.scene_size = (size[0] * finer, size[1] * finer)
        square = (SHADOW_SIZE, SHADOW_SIZE)
        self.shadow = self._buffer(host, "shadow", square, -60, True, depth=True)
        self.shadow_map = _target(self.shadow)
        self.shadow_map.set_minfilter(SamplerState.FT_nearest)
        self.shadow_map.set_magfilter(SamplerState.FT_nearest)
        self.scene = self._buffer(host, "scene", self.scene_size, -50, True, depth=True)
        light = _target(self.scene)
        levels = self._pyramid(host, light)
        self.develop = self._develop(host, light, levels, hdr)
        developed = _target(self.buffers[-1], to_ram=hdr)
        self.picture: Texture | None = None
        if hdr:
            self.picture = developed
            return
        output = host
        if offscreen:
            output = self._buffer(host, "picture", size, 10, False)
            self.picture = _target(output, to_ram=True)
        shader = make_shader(SCREEN_VERTEX, post_shaders.FXAA_FRAGMENT)
        final = full_screen_pass(output, shader)
        final.set_shader_inputs(picture=developed, texel=LVecBase2f(1 / size[0], 1 / size[1]))

    def _buffer(
        self,
        host: Any,
        name: str,
        size: tuple[int, int],
        sort: int,
        floating: bool,
        depth: bool = False,
    ) -> Any:
        buffer = make_buffer(host, name, size, sort, floating, depth)
        self.buffers.append(buffer)
        return buffer

    def _pyramid(self, host: Any, source: Texture) -> list[Texture]:
        shader = make_shader(SCREEN_VERTEX, post_shaders.BLUR_FRAGMENT)
        levels, before = [], self.scene_size
        for k, part in enumerate(PYRAMID):
            size = (max(2, self.size[0] // part), max(2, self.size[1] // part))
            buffer = self._buffer(host, f"blur {part}", size, -40 + k, True)
            card = full_screen_pass(buffer, shader)
            card.set_shader_inputs(
                source=source,
                texel=LVecBase2f(1 / before[0], 1 / before[1]),
                ceiling=40.0 if k == 0 else 0.0,
            )
            source, before = _target(buffer), size
            levels.append(source)
        return levels

    def _develop(self, host: Any, light: Texture, levels: list[Texture], hdr: bool) -> NodePath:
        buffer = self._buffer(host, "developed", self.size, -5, hdr)
        ends = post_shaders.LIGHT_FRAGMENT if hdr else post_shaders.DEVELOP_FRAGMENT
        shader = make_shader(post_shaders.DEVELOP_VERTEX, ends)
        card = full_screen_pass(buffer, shader)
        card.set_shader_inputs(
            scene=light,
            bloom1=levels[1],
            bloom2=levels[2],
            bloom3=levels[3],
            bloom=BLOOM,
            core_deg=post_shaders.CORE_DEG,
            sun_at=LVecBase3f(0),
            glare=LVecBase3f(0),
        )
        return card

    def set_light(self, sun_at: Any, sun_size: Any, irradiance: Any, exposure: float) -> None:
        """Where the sun stands in the picture, its irradiance at the lens, and the exposure."""
        self.develop.set_shader_inputs(
            sun_at=sun_at, sun_size=sun_size, glare=irradiance * GLARE, exposure=exposure
        )

    def close(self) -> None:
        """Give the buffers back."""
        for buffer in self.buffers:
            engine().remove_window(buffer)
        self.buffers = []
