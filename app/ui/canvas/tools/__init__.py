"""The tools of the canvas, one a file."""

from app.ui.canvas.tools.base import Pointer, Tool, ToolHost
from app.ui.canvas.tools.brush import BrushTool, EraserTool
from app.ui.canvas.tools.fill import FillTool
from app.ui.canvas.tools.pan import PanTool
from app.ui.canvas.tools.pick import PickTool
from app.ui.canvas.tools.polygon import PolygonTool
from app.ui.canvas.tools.smooth import SmoothTool
from app.ui.canvas.tools.superpixels import SuperpixelTool
from app.ui.canvas.tools.wand import WandTool

TOOLS: tuple[type[Tool], ...] = (
    PanTool,
    BrushTool,
    EraserTool,
    PolygonTool,
    FillTool,
    WandTool,
    SuperpixelTool,
    SmoothTool,
    PickTool,
)

__all__ = ["TOOLS", "Pointer", "Tool", "ToolHost"]
