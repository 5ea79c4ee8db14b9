"""The page's endpoints as tools of the Model Context Protocol, by which language models call programs.

Gradio serves them; here an answer is what a model can take: pictures as pictures, numbers as JSON.
"""

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import gradio.mcp

if TYPE_CHECKING:
    from mcp import types


def serve_tools() -> bool:
    """Whether the next page that is launched can have tools: only where the package ``mcp`` is."""
    if find_spec("mcp") is None:
        return False
    # Gradio's launch has no argument for it.
    gradio.mcp.GradioMCPServer = Tools  # type: ignore[misc]
    return True


class Tools(gradio.mcp.GradioMCPServer):
    """Gradio's server of tools, which would hand a picture on as a million letters of Python."""

    def postprocess_output_data(self, data: Any, root_url: str) -> "list[types.TextContent | types.ImageContent]":
        """One answer of ``app.api``: its pictures, in their order, and the rest as JSON."""
        (answer,) = data
        pictures = answer.get("pictures", []) if isinstance(answer, dict) else []
        rest = {k: v for k, v in answer.items() if k != "pictures"} if isinstance(answer, dict) else answer
        content = [self.types.ImageContent(type="image", data=png, mimeType="image/png") for png in pictures]
        return [*content, self.types.TextContent(type="text", text=json.dumps(rest))]
