"""Checks of the settings of losses."""

import math
from typing import Any


def require_positive(**settings: float) -> None:
    """Raise unless every setting is > 0 and finite."""
    for name, value in settings.items():
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"`{name}` must be > 0 and finite, got {value}")


def require_not_negative(**settings: float) -> None:
    """Raise unless every setting is >= 0 and finite."""
    for name, value in settings.items():
        if not (value >= 0 and math.isfinite(value)):
            raise ValueError(f"`{name}` must be >= 0 and finite, got {value}")


def require_one_of(choices: tuple[Any, ...], **settings: Any) -> None:
    """Raise unless every setting is one of the choices."""
    for name, value in settings.items():
        if value not in choices:
            raise ValueError(f"`{name}` must be one of {choices}, got {value!r}")
