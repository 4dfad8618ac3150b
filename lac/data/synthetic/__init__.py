"""Clips that are drawn here, with labels that are right by construction."""

from typing import TYPE_CHECKING

from lac._lazy import lazy_attributes

if TYPE_CHECKING:
    from lac.data.synthetic.rendered import Rendered, render
else:
    __getattr__, __dir__ = lazy_attributes(__name__, {"rendered": ("Rendered", "render")})

__all__ = ["Rendered", "render"]
