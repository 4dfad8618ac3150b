"""Evaluation of frame embeddings on cropped clips, always beside baselines."""

from typing import TYPE_CHECKING

from lac._lazy import lazy_attributes

if TYPE_CHECKING:
    from lac.evaluation._crops import DEFAULT_PROTOCOL, PROTOCOLS, Crop, Protocol, draw_crops
    from lac.evaluation._figures import draw_figures, make_figures
    from lac.evaluation._measure import evaluated_split, measure
    from lac.evaluation._record import Report
    from lac.evaluation._report import print_report, print_verdict, short_name
    from lac.evaluation._verdict import Verdict, reach_verdict
else:
    __getattr__, __dir__ = lazy_attributes(
        __name__,
        {
            "_crops": ("DEFAULT_PROTOCOL", "PROTOCOLS", "Crop", "Protocol", "draw_crops"),
            "_figures": ("draw_figures", "make_figures"),
            "_measure": ("evaluated_split", "measure"),
            "_record": ("Report",),
            "_report": ("print_report", "print_verdict", "short_name"),
            "_verdict": ("Verdict", "reach_verdict"),
        },
    )

__all__ = [
    "DEFAULT_PROTOCOL",
    "PROTOCOLS",
    "Crop",
    "Protocol",
    "Report",
    "Verdict",
    "draw_crops",
    "draw_figures",
    "evaluated_split",
    "make_figures",
    "measure",
    "print_report",
    "print_verdict",
    "reach_verdict",
    "short_name",
]
