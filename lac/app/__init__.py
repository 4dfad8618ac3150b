"""lac in the browser: a server of one page and an HTTP API for the videos of a folder.

``python -m lac.app VIDEOS_DIR`` starts it, which is `lac.cli.app`.
"""

from typing import TYPE_CHECKING

from lac._lazy import lazy_attributes

if TYPE_CHECKING:
    from lac.app._server import create_app
else:
    __getattr__, __dir__ = lazy_attributes(__name__, {"_server": ("create_app",)})

__all__ = ["create_app"]
