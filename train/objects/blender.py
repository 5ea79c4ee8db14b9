"""One coloured object on a lit plane, drawn by Blender's path tracer (Cycles, CPU) through its ``bpy`` module.

Lengths are in Blender's metres, angles in radians, colours are linear RGB. The scene is built once; each picture only
moves, turns, scales and recolours what is there, so memory does not grow with the number of pictures.
"""

import colorsys
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

OBJECT_TYPES = ("cube", "sphere", "cylinder", "monkey")

# The numbers below were fitted to pictures of the same kind, so that new ones may be mixed with those.
# Camera: in front of the plane, looking down at a point over its centre.
CAMERA_AT = (0.0, -5.1, 3.55)
CAMERA_AIM = (0.0, 0.0, 0.475)
CAMERA_LENS_MM = 37.0  # on Blender's default sensor, 36 mm wide

# One square lamp to the right of the camera; the grey world fills the shadows.
LAMP_AT = (3.125, -3.075, 5.075)
LAMP_AIM = (0.15, -0.3, -0.6)
LAMP_SIDE = 3.0
LAMP_WATTS = 500.0
WORLD = (0.2525, 0.28, 0.305)

PLANE_SIDE = 57.5  # so wide that the world itself is seen beyond it only in the top row of pixels
PLANE_GREY = 0.8
PLANE_ROUGHNESS, PLANE_SPECULAR = 0.975, 0.8

# Objects at size 1; the label's size scales them.
CUBE_EDGE = 1.625
SPHERE_RADIUS = 1.0
CYLINDER_RADIUS, CYLINDER_HEIGHT = 0.875, 1.86
MONKEY_SIDE, MONKEY_LIFT = 2.0, 0.95
OBJECT_SATURATION, OBJECT_VALUE = 0.775, 0.775
OBJECT_ROUGHNESS, OBJECT_SPECULAR, OBJECT_METALLIC = 0.31, 0.5, 0.575

# How high the middle of each object at size 1 is over the plane.
LIFT = {"cube": CUBE_EDGE / 2, "sphere": SPHERE_RADIUS, "cylinder": CYLINDER_HEIGHT / 2, "monkey": MONKEY_LIFT}


class ObjectRenderer:
    """Draws labels of ``train.objects.render.draw_labels`` as uint8 arrays ``(size, size, 3)``.

    The path tracer's own seed is fixed, so the grain of the plane is the same in every picture.
    Raises ValueError when ``bpy`` is not installed. Blender has one global scene: use one renderer at a time.
    """

    def __init__(self, size: int, samples: int) -> None:
        self._bpy: Any = _import_bpy()
        self._bpy.ops.wm.read_factory_settings(use_empty=True)
        self._configure(size, samples)
        self._add_surroundings()
        self._material, self._colour = self._add_material("object", OBJECT_ROUGHNESS, OBJECT_SPECULAR, OBJECT_METALLIC)
        self._objects = {kind: self._add_object(kind) for kind in OBJECT_TYPES}

    def __call__(self, label: dict[str, Any]) -> npt.NDArray[np.uint8]:
        """The picture of one label."""
        rgb = colorsys.hsv_to_rgb(label["hue"], OBJECT_SATURATION, OBJECT_VALUE)
        self._colour.default_value = (*rgb, 1.0)
        for kind, thing in self._objects.items():
            thing.hide_render = kind != label["type"]
        thing = self._objects[label["type"]]
        scale = label["size"]
        thing.scale = (scale, scale, scale)
        thing.rotation_euler = (0.0, 0.0, label["theta"])
        thing.location = (label["x"], label["y"], scale * LIFT[label["type"]])
        self._bpy.ops.render.render()
        # Blender hands finished pixels only to files.
        with tempfile.TemporaryDirectory(prefix="ebm-render-") as folder:
            path = Path(folder) / "picture.png"
            self._bpy.data.images["Render Result"].save_render(str(path))
            with Image.open(path) as picture:
                return np.array(picture.convert("RGB"))

    def _configure(self, size: int, samples: int) -> None:
        scene = self._bpy.context.scene
        scene.render.engine = "CYCLES"
        scene.cycles.device = "CPU"
        scene.cycles.samples = samples
        scene.cycles.seed = 0
        scene.cycles.use_denoising = False
        scene.cycles.use_adaptive_sampling = False
        scene.render.resolution_x = scene.render.resolution_y = size
        scene.render.resolution_percentage = 100
        scene.render.image_settings.file_format = "PNG"
        scene.render.image_settings.color_mode = "RGB"
        scene.view_settings.view_transform = "Standard"  # the default (AgX) would grey the colours
        scene.render.use_persistent_data = True  # the plane and the lamp stay as they are

    def _add_surroundings(self) -> None:
        bpy = self._bpy
        scene = bpy.context.scene
        scene.world = bpy.data.worlds.new("grey")
        if scene.world.node_tree is None:  # older releases begin without nodes
            scene.world.use_nodes = True
        scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (*WORLD, 1.0)

        bpy.ops.mesh.primitive_plane_add(size=PLANE_SIDE)
        material, colour = self._add_material("plane", PLANE_ROUGHNESS, PLANE_SPECULAR, 0.0)
        colour.default_value = (PLANE_GREY, PLANE_GREY, PLANE_GREY, 1.0)
        bpy.context.object.data.materials.append(material)

        bpy.ops.object.light_add(type="AREA", location=LAMP_AT, rotation=_facing(LAMP_AT, LAMP_AIM))
        lamp = bpy.context.object.data
        lamp.energy, lamp.size = LAMP_WATTS, LAMP_SIDE

        bpy.ops.object.camera_add(location=CAMERA_AT, rotation=_facing(CAMERA_AT, CAMERA_AIM))
        bpy.context.object.data.lens = CAMERA_LENS_MM
        scene.camera = bpy.context.object

    def _add_material(self, name: str, roughness: float, specular: float, metallic: float) -> tuple[Any, Any]:
        """A material and the socket that holds its base colour."""
        material = self._bpy.data.materials.new(name)
        if material.node_tree is None:
            material.use_nodes = True
        sockets = material.node_tree.nodes["Principled BSDF"].inputs
        sockets["Roughness"].default_value = roughness
        sockets["Specular IOR Level"].default_value = specular
        sockets["Metallic"].default_value = metallic
        return material, sockets["Base Color"]

    def _add_object(self, kind: str) -> Any:
        mesh = self._bpy.ops.mesh
        if kind == "cube":
            mesh.primitive_cube_add(size=CUBE_EDGE)
        elif kind == "sphere":
            mesh.primitive_uv_sphere_add(radius=SPHERE_RADIUS, segments=48, ring_count=24)
        elif kind == "cylinder":
            mesh.primitive_cylinder_add(radius=CYLINDER_RADIUS, depth=CYLINDER_HEIGHT, vertices=48)
        else:
            mesh.primitive_monkey_add(size=MONKEY_SIDE)
        thing = self._bpy.context.object
        if kind in ("sphere", "monkey"):
            thing.data.polygons.foreach_set("use_smooth", [True] * len(thing.data.polygons))
        thing.data.materials.append(self._material)
        return thing


def _facing(at: tuple[float, float, float], aim: tuple[float, float, float]) -> tuple[float, float, float]:
    """Euler angles (xyz) of a camera or lamp ``at`` that looks to ``aim``; unturned, Blender's look down -z, y up."""
    x, y, z = (a - b for a, b in zip(aim, at))
    return math.atan2(math.hypot(x, y), -z), 0.0, math.atan2(-x, y)


def _import_bpy() -> Any:
    try:
        # Its metadata ask for numpy below 2, hence --no-deps; with numpy 2 one bundled module that is not needed here
        # prints an ImportError, and rendering works.
        import bpy
    except ImportError as error:
        raise ValueError(
            f"rendering needs Blender's Python module, which cannot be imported here ({error}); "
            "install it on Python 3.11 with: pip install --no-deps bpy==5.0.1"
        ) from error
    return bpy
