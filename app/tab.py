"""What a tab of the page is: ``app/ui.py`` has a list of them."""

from collections.abc import Callable
from dataclasses import dataclass

from app.catalog import Catalog


@dataclass(frozen=True)
class Tab:
    """``build`` places the components for a catalog and as many sessions (``gr.State``), a walk for each."""

    name: str
    build: Callable[..., None]
    sessions: int = 1
    wanted: Callable[[Catalog], bool] = lambda catalog: bool(catalog.names())
