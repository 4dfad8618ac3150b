"""Evaluation of frame embeddings on cropped clips, always beside baselines."""

from lac.evaluation._crops import DEFAULT_PROTOCOL, PROTOCOLS, Crop, Protocol, draw_crops
from lac.evaluation._figures import draw_figures, make_figures
from lac.evaluation._measure import evaluated_split, measure
from lac.evaluation._report import print_report, short_name
from lac.evaluation._videos import write_aligned_video

__all__ = [
    "DEFAULT_PROTOCOL",
    "PROTOCOLS",
    "Crop",
    "Protocol",
    "draw_crops",
    "draw_figures",
    "evaluated_split",
    "make_figures",
    "measure",
    "print_report",
    "short_name",
    "write_aligned_video",
]
