"""One viewpoint's scene: nodes, places and the inputs of their shaders."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from panda3d.core import (
    BitMask32,
    Camera,
    CardMaker,
    LPoint3f,
    LVecBase2f,
    LVecBase3f,
    LVecBase4f,
    NodePath,
    OmniBoundingVolume,
    OrthographicLens,
    PerspectiveLens,
    PTALVecBase3f,
    RenderState,
    SamplerState,
    ShaderAttrib,
    Texture,
    TransparencyAttrib,
)

from capture.game import shaders, sky, terrain
from capture.game.aircraft import aircraft
from capture.game.airframe import Aircraft, Rotor
from capture.game.clouds import cumulus_panorama, layer_noise
from capture.game.engine import make_shader
from capture.game.liveries import livery
from capture.game.mesh import Mesh
from capture.game.noise import Array
from capture.game.options import Light
from capture.game.pipeline import Pipeline
from capture.game.textures import make_node, make_texture
from capture.game.viewpoints import Viewpoint

WEATHER = {  # billow cover, wisp cover, cumulus amount, overcast of the sky behind
    "clear": (0.0, 0.12, 0.0, 0.0),
    "cirrus": (0.0, 0.85, 0.15, 0.1),
    "cumulus": (0.12, 0.15, 1.0, 0.05),
    "broken": (0.52, 0.25, 0.9, 0.25),
    "overcast": (0.78, 0.4, 0.35, 0.6),
}
DISC_RADIANCE = 50.0  # sun disc over its irradiance; the true 1/(6e-5 sr) would only overflow
DISC_DEG = 0.32
FROM_EYE, FROM_SUN = BitMask32.bit(0), BitMask32.bit(1)  # which camera sees a node


@lru_cache(maxsize=16)
def _world_textures(seed: int, biome: str, number: int) -> tuple[Texture, Texture]:
    ground = terrain.world(seed, biome, number)
    return (
        make_texture("heights", ground.height, mipmaps=False),
        make_texture("ground", ground.albedo),
    )


@lru_cache(maxsize=16)
def _cumulus_texture(seed: int, number: int) -> Texture:
    texture = make_texture("cumulus", cumulus_panorama(seed, number), mipmaps=False)
    texture.set_wrap_v(SamplerState.WM_clamp)
    return texture


@lru_cache(maxsize=2)
def _layer_texture(seed: int) -> Texture:
    return make_texture("layer", layer_noise(seed))


@lru_cache(maxsize=8)
def _livery_texture(name: str, cabin: str, seed: int) -> Texture:
    return make_texture("livery", livery(name, cabin, seed), wrap=False)


@lru_cache(maxsize=64)
def _daylight(
    azimuth: float, elevation: float, turbidity: float, overcast: float, ground: tuple[float, ...]
) -> tuple[sky.Daylight, Texture]:
    day = sky.daylight(azimuth, elevation, turbidity, overcast, np.array(ground))
    texture = make_texture("sky", day.sky_map)
    texture.set_wrap_v(SamplerState.WM_clamp)
    return day, texture


def _disc(rotor: Rotor) -> Mesh:
    """A flat square under the rotor's blurred disc."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)
    zero = np.zeros(4)
    across = corners[:, 0] * rotor.radius
    other = corners[:, 1] * rotor.radius
    columns = (across, other, zero) if rotor.lift else (across, zero, other)
    normal = np.repeat([[0.0, 0, 1] if rotor.lift else [0.0, 1, 0]], 4, axis=0)
    return Mesh(
        np.stack(columns, axis=-1) + np.array(rotor.centre),
        normal,
        corners * 0.5 + 0.5,
        np.array([[0, 1, 2], [0, 2, 3]]),
    )


def _phase(k: int) -> float:
    """Angle at which the k-th rotor stands in a still picture, in turns."""
    return (0.07 + 0.31 * k) % 1.0


def _craft_node(craft: Aircraft) -> NodePath:
    """The aircraft's body and rotors under one node, without its livery."""
    root = NodePath(craft.name)
    body = make_node("airframe", craft.mesh)
    body.set_shader(make_shader(shaders.CRAFT_VERTEX, shaders.CRAFT_FRAGMENT))
    body.reparent_to(root)
    blur = make_shader(shaders.CRAFT_VERTEX, shaders.ROTOR_FRAGMENT)
    for k, rotor in enumerate(craft.rotors):
        disc = make_node("rotor", _disc(rotor))
        disc.set_shader(blur)
        disc.set_two_sided(True)
        disc.set_transparency(TransparencyAttrib.M_alpha)
        disc.set_depth_write(False)
        disc.set_bin("fixed", 10 + k)
        disc.set_shader_input("blades", LVecBase2f(rotor.blades, _phase(k)))
        disc.hide(FROM_SUN)
        disc.reparent_to(root)
    return root


def _card(shader: Any) -> NodePath:
    maker = CardMaker("sky")
    maker.set_frame_fullscreen_quad()
    card = NodePath(maker.generate())
    card.node().set_bounds(OmniBoundingVolume())
    card.node().set_final(True)
    card.set_shader(shader)
    card.set_depth_write(False)
    return card


class Scene:
    """Everything that is drawn before the camera's own work.

    The camera stands at the origin and the world is laid out around it.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.root = NodePath("scene")
        self.lens = PerspectiveLens()
        eye = Camera("eye", self.lens)
        eye.set_camera_mask(FROM_EYE)
        self.camera = self.root.attach_new_node(eye)
        region = pipeline.scene.make_display_region()
        region.set_camera(self.camera)
        region.set_clear_depth_active(True)
        self._look_from_sun()
        self.sky = _card(make_shader(shaders.SKY_VERTEX, shaders.SKY_FRAGMENT))
        self.sky.reparent_to(self.root)
        self.sky.set_bin("fixed", 5)
        self.sky.hide(FROM_SUN)
        vertices, triangles = terrain.wedge()
        fan = Mesh(vertices, np.zeros_like(vertices), vertices[:, :2] * 0, triangles)
        self.ground = make_node("ground", fan)
        self.ground.set_shader(make_shader(shaders.GROUND_VERTEX, shaders.GROUND_FRAGMENT))
        self.ground.set_two_sided(True)
        self.ground.reparent_to(self.root)
        self.ground.hide(FROM_SUN)
        self.ground.set_bin("fixed", 4)
        self.crafts: dict[str, NodePath] = {}
        self.view: Viewpoint | None = None
        self.axes = np.eye(3)
        self.half = (0.3, 0.3)

    def _look_from_sun(self) -> None:
        """The camera that sees the aircraft from the sun, for its shadow on itself."""
        self.sun_lens = OrthographicLens()
        eye = Camera("sun", self.sun_lens)
        eye.set_camera_mask(FROM_SUN)
        depth = make_shader(shaders.SHADOW_VERTEX, shaders.SHADOW_FRAGMENT)
        eye.set_initial_state(RenderState.make(ShaderAttrib.make(depth, 100), 100))
        self.sun_eye = self.root.attach_new_node(eye)
        region = self.pipeline.shadow.make_display_region()
        region.set_camera(self.sun_eye)
        region.set_clear_depth_active(True)
        region.set_clear_color_active(True)
        region.set_clear_color((1, 1, 1, 1))
        self.root.set_shader_input("shadow_map", self.pipeline.shadow_map)

    def _aim_shadow(self, sun: Array) -> None:
        """Put the sun's camera two radii from the aircraft."""
        r = self.radius_m
        self.sun_lens.set_film_size(2 * r, 2 * r)
        self.sun_lens.set_near_far(r, 3 * r)
        self.sun_eye.set_pos(*map(float, self.craft_at + 2 * r * sun))
        self.sun_eye.look_at(LPoint3f(*map(float, self.craft_at)))
        turn = self.sun_eye.get_mat()
        self.root.set_shader_inputs(
            shadow_radius=r,
            craft_at=LVecBase3f(*map(float, self.craft_at)),
            shadow_x=turn.get_row3(0) / r,
            shadow_y=turn.get_row3(2) / r,
        )

    def show(self, seed: int, view: Viewpoint, light: Light, exposure_ev: float = 0.0) -> None:
        """Set up `view` under `light`; `exposure_ev` is added to the viewpoint's own exposure."""
        if (seed, view) != (getattr(self, "seed", None), self.view):
            self.seed, self.view = seed, view
            self._place_camera(view)
            self._place_ground(seed, view)
            self._place_clouds(seed, view)
            self._place_craft(view)
        self._set_light(view, light, exposure_ev)

    def spin(self, seconds: float) -> None:
        """Turn the propellers, for play only: pictures that are asked for by number stand still."""
        for craft in self.crafts.values():
            for k, disc in enumerate(craft.find_all_matches("rotor")):
                shape = disc.get_shader_input("blades").get_vector()
                phase = (_phase(k) + seconds * (0.9 + 0.1 * k)) % 1.0
                disc.set_shader_input("blades", LVecBase2f(shape[0], phase))

    def _place_camera(self, view: Viewpoint) -> None:
        width, height = self.pipeline.size
        short = min(width, height)
        half = math.tan(math.radians(view.fov_deg / 2))
        self.half = (half * width / short, half * height / short)
        self.lens.set_fov(*(math.degrees(2 * math.atan(h)) for h in self.half))
        self.camera.set_hpr(-view.heading_deg, view.look_deg, 0)
        ahead = sky.sun_vector(view.heading_deg, view.look_deg)
        right = sky.sun_vector(view.heading_deg + 90, 0)
        self.axes = np.stack([right, np.cross(right, ahead), ahead])
        rays = {
            "view_x": LVecBase3f(*(self.axes[0] * self.half[0])),
            "view_y": LVecBase3f(*(self.axes[1] * self.half[1])),
            "view_z": LVecBase3f(*ahead),
        }
        self.sky.set_shader_inputs(**rays)
        self.pipeline.develop.set_shader_inputs(**rays)

    def _place_ground(self, seed: int, view: Viewpoint) -> None:
        world = terrain.world(seed, view.biome, view.world)
        self.mean_albedo = tuple(float(c) for c in world.mean_albedo)
        heights, colours = _world_textures(seed, view.biome, view.world)
        x, y = view.place[0] * terrain.TILE_M, view.place[1] * terrain.TILE_M
        eye = terrain.height_at(world, x, y, 600.0) + view.altitude_m
        heading = math.radians(view.heading_deg)
        haze = 0.8e-5 * view.turbidity * (1.6 if view.weather == "overcast" else 1.0)
        self.ground.set_shader_inputs(
            heights=heights,
            ground=colours,
            tile_m=terrain.TILE_M,
            eye_m=eye,
            haze=haze,
            soft=1.0 if view.biome == "cloud_sea" else 0.0,
            place=LVecBase4f(x, y, math.cos(heading), math.sin(heading)),
            water_colour=LVecBase3f(0.02, 0.06 + 0.03 * view.place[0], 0.09),
        )

    def _place_clouds(self, seed: int, view: Viewpoint) -> None:
        billows, wisps, cumulus, _ = WEATHER[view.weather]
        layer = _layer_texture(seed)
        self.ground.set_shader_input("layer", layer)
        self.sky.set_shader_inputs(
            layer=layer,
            cumulus=_cumulus_texture(seed, view.clouds),
            layer_look=LVecBase4f(billows, wisps, 0.10 + 0.08 * view.place[0], view.cloud_turn),
            cumulus_look=LVecBase2f(cumulus, view.cloud_turn),
            sun_cos=math.cos(math.radians(DISC_DEG)),
        )

    def _place_craft(self, view: Viewpoint) -> None:
        craft = aircraft(view.aircraft)
        if view.aircraft not in self.crafts:
            self.crafts[view.aircraft] = _craft_node(craft)
            self.crafts[view.aircraft].reparent_to(self.root)
        for name, other in self.crafts.items():
            if name == view.aircraft:
                other.show()
            else:
                other.hide()
        node = self.crafts[view.aircraft]
        node.set_shader_input("livery", _livery_texture(view.aircraft, craft.cabin, view.livery))
        node.set_pos_hpr(0, 0, 0, -(view.heading_deg + view.yaw_deg), view.pitch_deg, view.roll_deg)
        turn = np.array([[node.get_mat().get_cell(i, j) for j in range(3)] for i in range(3)])
        extra = [_disc(r).position for r in craft.rotors]
        points = np.concatenate([craft.mesh.position, *extra]) @ turn @ self.axes.T
        place = self._frame(points, view)
        self.craft_at = place @ self.axes
        self.radius_m = float(np.linalg.norm(craft.mesh.position, axis=1).max()) * 1.02
        node.set_pos(*self.craft_at)
        near = max(0.5, float((points[:, 2] + place[2]).min()) * 0.6)
        self.lens.set_near_far(near, 90_000.0)

    def _frame(self, points: Array, view: Viewpoint) -> Array:
        """Where the aircraft must stand, in camera axes, to fill its part of the picture.

        points : (N, 3) right, up and ahead of the aircraft's origin
        """
        place = np.array([0.0, 0.0, 3.0 * np.abs(points).max() / max(self.half)])
        for _ in range(12):
            at = points + place
            depth = np.maximum(at[:, 2:], 0.05 * place[2])
            flat = at[:, :2] / depth / np.array(self.half)
            low, high = flat.min(axis=0), flat.max(axis=0)
            grow = (high - low).max() / 2 / view.fill
            slack = np.maximum(0.0, 0.96 - (high - low) / 2 / max(grow, 1e-6))
            wanted = np.array(view.offset) * slack
            place[2] *= grow**0.9
            place[:2] += (wanted - (low + high) / 2) * np.array(self.half) * place[2]
        return place

    def _set_light(self, view: Viewpoint, light: Light, exposure_ev: float) -> None:
        overcast = WEATHER[view.weather][3]
        day, sky_map = _daylight(
            light.azimuth_deg, light.elevation_deg, view.turbidity, overcast, self.mean_albedo
        )
        gain = light.strength**sky.SKY_EXPONENT if light.strength > 0 else 0.0
        sun = day.sun_irradiance * light.strength
        harmonics = PTALVecBase3f([LVecBase3f(*map(float, row * gain)) for row in day.harmonics])
        self.root.set_shader_inputs(
            sky_map=sky_map,
            sky_gain=gain,
            sun_dir=LVecBase3f(*map(float, day.sun_direction)),
            sun_light=LVecBase3f(*map(float, sun)),
            harmonics=harmonics,
            sun_disc=LVecBase3f(*map(float, sun * DISC_RADIANCE)),
        )
        self._aim_shadow(day.sun_direction)
        at = self.axes @ day.sun_direction
        off_axis_deg = math.degrees(math.acos(min(1.0, max(-1.0, float(at[2])))))
        exposure = sky.metered_exposure(day, off_axis_deg) * 2.0**exposure_ev
        depth = max(float(at[2]), 1e-3)
        x, y = (float(at[k]) / depth / self.half[k] for k in (0, 1))
        size = [math.tan(math.radians(0.9)) / h / 2 for h in self.half]
        self.pipeline.develop.set_shader_input(
            "sun_dir", LVecBase3f(*map(float, day.sun_direction))
        )
        self.pipeline.set_light(
            LVecBase3f(x * 0.5 + 0.5, y * 0.5 + 0.5, float(at[2] > 0.05)),
            LVecBase2f(*size),
            LVecBase3f(*map(float, sun)),
            exposure,
        )
