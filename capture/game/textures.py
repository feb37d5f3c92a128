"""numpy arrays to the engine's textures and meshes."""

from __future__ import annotations

import numpy as np
from panda3d.core import (
    Geom,
    GeomEnums,
    GeomNode,
    GeomTriangles,
    GeomVertexData,
    GeomVertexFormat,
    NodePath,
    OmniBoundingVolume,
    SamplerState,
    Texture,
)

from capture.game.mesh import Mesh

FORMATS = {
    (np.dtype(np.uint8), 4): (Texture.T_unsigned_byte, Texture.F_rgba),
    (np.dtype(np.float32), 1): (Texture.T_float, Texture.F_r32),
    (np.dtype(np.float32), 3): (Texture.T_float, Texture.F_rgb32),
}


def make_texture(name: str, pixels: np.ndarray, wrap: bool = True, mipmaps: bool = True) -> Texture:
    """A texture from rows bottom to top: uint8 (H, W, 4) RGBA, or float32 (H, W) or (H, W, 3)."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    kind, layout = FORMATS[(pixels.dtype, channels)]
    texture = Texture(name)
    texture.setup_2d_texture(pixels.shape[1], pixels.shape[0], kind, layout)
    if channels >= 3:  # Panda3D keeps blue first
        order = [2, 1, 0, 3][:channels]
        pixels = pixels[..., order]
    texture.set_ram_image(np.ascontiguousarray(pixels).tobytes())
    edge = SamplerState.WM_repeat if wrap else SamplerState.WM_clamp
    texture.set_wrap_u(edge)
    texture.set_wrap_v(edge)
    texture.set_minfilter(
        SamplerState.FT_linear_mipmap_linear if mipmaps else SamplerState.FT_linear
    )
    texture.set_magfilter(SamplerState.FT_linear)
    return texture


def make_node(name: str, mesh: Mesh) -> NodePath:
    """A drawable node with positions, normals and one set of texture coordinates."""
    data = GeomVertexData(name, GeomVertexFormat.get_v3n3t2(), GeomEnums.UH_static)
    rows = np.concatenate([mesh.position, mesh.normal, mesh.uv], axis=1).astype(np.float32)
    data.unclean_set_num_rows(len(rows))
    memoryview(data.modify_array(0)).cast("B")[:] = rows.tobytes()
    primitive = GeomTriangles(GeomEnums.UH_static)
    primitive.set_index_type(GeomEnums.NT_uint32)
    index = np.ascontiguousarray(mesh.triangles, dtype=np.uint32)
    vertices = primitive.modify_vertices()
    vertices.unclean_set_num_rows(index.size)
    memoryview(vertices).cast("B")[:] = index.tobytes()
    geometry = Geom(data)
    geometry.add_primitive(primitive)
    node = GeomNode(name)
    node.add_geom(geometry)
    node.set_bounds(OmniBoundingVolume())
    node.set_final(True)
    return NodePath(node)
