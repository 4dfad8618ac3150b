"""How two videos match and differ, to look at: pictures, a video of both in step, a page."""

from typing import TYPE_CHECKING

from lac._lazy import lazy_attributes

if TYPE_CHECKING:
    from lac.pictures._check_picture import draw_check
    from lac.pictures._film import write_film
    from lac.pictures._layers import layer_pictures
    from lac.pictures._page import write_page
    from lac.pictures._pairs import write_pairs
    from lac.pictures._picture import draw_alignment
    from lac.pictures._shown import Shown
    from lac.pictures._side_by_side import write_side_by_side
    from lac.pictures._steps import CheckView, check_view, step_in_words, write_steps
    from lac.pictures._view import alignment_view
else:
    __getattr__, __dir__ = lazy_attributes(
        __name__,
        {
            "_check_picture": ("draw_check",),
            "_film": ("write_film",),
            "_layers": ("layer_pictures",),
            "_page": ("write_page",),
            "_pairs": ("write_pairs",),
            "_picture": ("draw_alignment",),
            "_shown": ("Shown",),
            "_side_by_side": ("write_side_by_side",),
            "_steps": ("CheckView", "check_view", "step_in_words", "write_steps"),
            "_view": ("alignment_view",),
        },
    )

__all__ = [
    "CheckView",
    "Shown",
    "alignment_view",
    "check_view",
    "draw_alignment",
    "draw_check",
    "layer_pictures",
    "step_in_words",
    "write_film",
    "write_page",
    "write_pairs",
    "write_side_by_side",
    "write_steps",
]
