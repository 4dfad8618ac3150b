"""How two videos match, to look at: a picture, a video of both in step, a page with both."""

from typing import TYPE_CHECKING

from lac._lazy import lazy_attributes

if TYPE_CHECKING:
    from lac.pictures._film import write_film
    from lac.pictures._layers import layer_pictures
    from lac.pictures._page import write_page
    from lac.pictures._pairs import write_pairs
    from lac.pictures._picture import draw_alignment
    from lac.pictures._shown import Shown
    from lac.pictures._side_by_side import write_side_by_side
    from lac.pictures._view import alignment_view
else:
    __getattr__, __dir__ = lazy_attributes(
        __name__,
        {
            "_film": ("write_film",),
            "_layers": ("layer_pictures",),
            "_page": ("write_page",),
            "_pairs": ("write_pairs",),
            "_picture": ("draw_alignment",),
            "_shown": ("Shown",),
            "_side_by_side": ("write_side_by_side",),
            "_view": ("alignment_view",),
        },
    )

__all__ = [
    "Shown",
    "alignment_view",
    "draw_alignment",
    "layer_pictures",
    "write_film",
    "write_page",
    "write_pairs",
    "write_side_by_side",
]
