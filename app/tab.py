"""What a tab of the page is: ``app/ui.py`` has a list of them."""

from collections.abc import Callable
from dataclasses import dataclass

from app.catalog import Catalog
from app.keeping import Kept


@dataclass(frozen=True)
class Tab:
    """``build`` places the components for a catalog and as many sessions (``gr.State``), a walk for each.

    It returns how its settings are kept, where they are to have an address.
    """

    name: str
    build: Callable[..., Kept | None]
    sessions: int = 1
    wanted: Callable[[Catalog], bool] = lambda catalog: bool(catalog.names())

    @property
    def id(self) -> str:
        """What it is called in the page's address."""
        return self.name.lower()
