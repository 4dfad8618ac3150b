"""How two videos match, to look at: a picture, a video of both in step, a page with both."""

from typing import TYPE_CHECKING

from lac._lazy import lazy_attributes

if TYPE_CHECKING:
    from lac.pictures._page import write_page
    from lac.pictures._picture import draw_alignment
    from lac.pictures._shown import Shown
    from lac.pictures._side_by_side import write_side_by_side
else:
    __getattr__, __dir__ = lazy_attributes(
        __name__,
        {
            "_page": ("write_page",),
            "_picture": ("draw_alignment",),
            "_shown": ("Shown",),
            "_side_by_side": ("write_side_by_side",),
        },
    )

__all__ = ["Shown", "draw_alignment", "write_page", "write_side_by_side"]
