"""The head-up display: state and keys, over the picture. Off by default; a frame is data."""

from __future__ import annotations

from typing import Any

from panda3d.core import Camera, NodePath, OrthographicLens, TextNode, TransparencyAttrib

from capture.game.options import Light
from capture.game.viewpoints import Viewpoint

KEYS = "arrows sun   [ ] strength   n view   a aircraft   - = exposure   p pause   h hud   esc"


class Hud:
    """Two lines of text in the lower left corner of an output."""

    def __init__(self, output: Any, size: tuple[int, int]) -> None:
        self.root = NodePath("hud")
        self.root.set_depth_test(False)
        self.root.set_depth_write(False)
        lens = OrthographicLens()
        lens.set_film_size(*size)
        lens.set_near_far(-10, 10)
        region = output.make_display_region()
        region.set_sort(10)
        region.set_camera(self.root.attach_new_node(Camera("hud", lens)))
        self.text = TextNode("hud")
        self.text.set_text_color(1, 1, 1, 1)
        self.text.set_shadow(0.06, 0.06)
        self.text.set_shadow_color(0, 0, 0, 1)
        self.text.set_card_color(0, 0, 0, 0.55)
        self.text.set_card_as_margin(0.4, 0.4, 0.3, 0.2)
        self.text.set_card_decal(True)
        self.node = self.root.attach_new_node(self.text)
        self.node.set_transparency(TransparencyAttrib.M_alpha)
        self.node.set_scale(max(9, size[0] / 42))
        self.node.set_pos(-size[0] / 2 + 8, 0, -size[1] / 2 + size[0] / 42 * 1.4)
        self.node.hide()

    @property
    def shown(self) -> bool:
        """Whether the text is on the picture."""
        return not self.node.is_hidden()

    @shown.setter
    def shown(self, value: bool) -> None:
        if value:
            self.node.show()
        else:
            self.node.hide()

    def toggle(self) -> None:
        """Show or hide the text."""
        self.shown = not self.shown

    def update(self, view: Viewpoint, light: Light, exposure_ev: float, paused: bool) -> None:
        """Write the state."""
        if not self.shown:
            return
        state = (
            f"{view.number} {view.aircraft} {view.biome}   sun {light.azimuth_deg:.0f} / "
            f"{light.elevation_deg:.0f}  x{light.strength:.2f}   EV {exposure_ev:+.2f}"
        )
        self.text.set_text(state + ("   PAUSED" if paused else "") + "\n" + KEYS)
