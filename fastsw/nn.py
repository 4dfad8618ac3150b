"""A torch module that owns the penalties and the temperature of its alignments."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

try:
    import torch
except ImportError as error:
    raise ImportError("fastsw.nn needs torch: pip install 'fastsw[torch]'") from error
from torch import Tensor, nn
from torch.nn import functional as F

from fastsw import _api, _validation
from fastsw._alignment import Alignment
from fastsw._types import Mode

Ownership = Literal["fixed", "learned"]


class _Constant(nn.Module):
    """A value that stays as it is; part of the state."""

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value)

    def forward(self) -> Tensor:
        return self.value


class _Positive(nn.Module):
    """A learned value, kept positive: value = initial * softplus(raw) / softplus(0).

    At raw = 0 this is the initial value to the last bit; a step of `raw` is relative to it, and
    weight decay leads back to it.
    """

    initial: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("initial", value)
        self.raw = nn.Parameter(torch.zeros_like(value))

    def forward(self) -> Tensor:
        return self.initial * (F.softplus(self.raw) / F.softplus(torch.zeros_like(self.raw)))


class SmithWaterman(nn.Module):
    """Align the pairs of a batch softly, with penalties that belong to the module.

    Parameters
    ----------
    gap_open, gap_extend : float, or a tuple (for columns, for rows) of floats
        Cost of the first and of each further skipped row or column of a gap. Any finite value where
        `penalties` is "fixed", > 0 where it is "learned".
    temperature : float
        T >= 0, and T > 0 where `temperature_mode` is "learned".
    mode : {"local", "global", "fitting"}
        As in `fastsw.score`.
    penalties : {"fixed", "learned"}
        "learned" makes them parameters, kept positive by a softplus; their first values are exactly
        the given ones.
    temperature_mode : {"fixed", "learned"}
        The same for the temperature.
    device, dtype : torch.device, torch.dtype
        Where and in what precision the values are held; torch's defaults.

    Attributes
    ----------
    gap_open, gap_extend : Tensor, shape () or (2,) (for columns, for rows)
        Current penalties, differentiable where learned.
    temperature : Tensor, shape ()
        Current temperature, differentiable where learned.

    Raises
    ------
    TypeError
        If a penalty or the temperature is not a number.
    ValueError
        If a value or an option is out of its range.

    Notes
    -----
    Answers are differentiable in what they are given and in what the module learns, in reverse and
    in forward mode, as often as those of `fastsw.score`, `fastsw.posterior` and `fastsw.entropy`.

    Both the fixed and the learned values are part of the state dictionary. Penalties that a network
    predicts, one a frame or cell, go to `fastsw.score` directly.

    Examples
    --------
    >>> import torch, fastsw
    >>> align = fastsw.nn.SmithWaterman(gap_open=(1.0, 2.0), gap_extend=0.5, penalties="learned")
    >>> align(torch.eye(3).expand(4, 3, 3), lengths=torch.full((4, 2), 3)).shape
    torch.Size([4])
    """

    def __init__(
        self,
        *,
        gap_open: float | tuple[float, float] = 1.0,
        gap_extend: float | tuple[float, float] = 0.1,
        temperature: float = 1.0,
        mode: Mode = "local",
        penalties: Ownership = "fixed",
        temperature_mode: Ownership = "fixed",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Check the options and set the values up."""
        super().__init__()
        _validation.check_mode(mode)
        for name, option in (("penalties", penalties), ("temperature_mode", temperature_mode)):
            if option not in get_args(Ownership):
                raise ValueError(f"`{name}` must be 'fixed' or 'learned', got {option!r}")
        self.mode = mode
        self.penalties = penalties
        self.temperature_mode = temperature_mode
        placed = {"device": device, "dtype": torch.get_default_dtype() if dtype is None else dtype}
        self._gap_open = _owned("gap_open", gap_open, penalties, placed)
        self._gap_extend = _owned("gap_extend", gap_extend, penalties, placed)
        if isinstance(temperature, tuple):
            raise TypeError(f"`temperature` must be a number, got {temperature!r}")
        _validation.check_temperature(_number("temperature", temperature))
        self._temperature = _owned("temperature", temperature, temperature_mode, placed)

    @property
    def gap_open(self) -> Tensor:
        """Cost of the first skipped row or column of a gap; () or (2,) (for columns, for rows)."""
        return self._gap_open()

    @property
    def gap_extend(self) -> Tensor:
        """Cost of each further one; () or (2,) (for columns, for rows)."""
        return self._gap_extend()

    @property
    def temperature(self) -> Tensor:
        """Temperature, ()."""
        return self._temperature()

    def forward(self, similarity: Tensor, *, lengths: Any = None) -> Tensor:
        """Score the soft alignment of each pair.

        Parameters
        ----------
        similarity : (B, N, M) or (N, M) tensor, or a list of (N, M) tensors of different sizes
            As in `fastsw.score`.
        lengths : (B, 2) int tensor, or a tuple of two (B,) int tensors
            Valid rows and columns of each pair. Default: all.

        Returns
        -------
        (B,) or () tensor
            Soft scores, differentiable in `similarity` and in what the module learns.

        Raises
        ------
        TypeError, ValueError
            As `fastsw.score`.
        """
        return _api.score(similarity, lengths=lengths, **self._options())

    def posterior(self, similarity: Tensor, *, lengths: Any = None) -> Tensor:
        """Give the probability that each row is paired with each column.

        Parameters
        ----------
        similarity, lengths
            As in `forward`.

        Returns
        -------
        (B, N, M) or (N, M) tensor
            As `fastsw.posterior` gives it.
        """
        return _api.posterior(similarity, lengths=lengths, **self._options())

    def entropy(self, similarity: Tensor, *, lengths: Any = None) -> Tensor:
        """Measure how undecided the alignment of each pair is.

        Parameters
        ----------
        similarity, lengths
            As in `forward`.

        Returns
        -------
        (B,) or () tensor
            Entropy of the distribution over alignments, in nats.
        """
        return _api.entropy(similarity, lengths=lengths, **self._options())

    def traceback(self, similarity: Tensor, *, lengths: Any = None) -> list[Alignment] | Alignment:
        """Find one best alignment of each pair under the current penalties.

        Parameters
        ----------
        similarity, lengths
            As in `forward`.

        Returns
        -------
        list of Alignment, or one Alignment for one pair
            As `fastsw.traceback` gives them.
        """
        options = self._options()
        del options["temperature"]
        return _api.traceback(similarity, lengths=lengths, **options)

    def extra_repr(self) -> str:
        """Return the options and current values."""
        shown = {
            name: _shown(getattr(self, name)) for name in ("gap_open", "gap_extend", "temperature")
        }
        return (
            f"gap_open={shown['gap_open']}, gap_extend={shown['gap_extend']}, "
            f"temperature={shown['temperature']}, mode={self.mode!r}, "
            f"penalties={self.penalties!r}, temperature_mode={self.temperature_mode!r}"
        )

    def _options(self) -> dict[str, Any]:
        """Keyword arguments of the public functions."""
        return {
            "gap_open": _sides(self.gap_open),
            "gap_extend": _sides(self.gap_extend),
            "temperature": self.temperature,
            "mode": self.mode,
        }


def _owned(name: str, value: Any, ownership: Ownership, placed: Any) -> nn.Module:
    """The module that holds a value; () for a number, (2,) for a tuple."""
    if isinstance(value, tuple):
        if len(value) != 2:
            raise ValueError(
                f"`{name}` must be a number or a tuple (for columns, for rows), got {value!r}"
            )
        numbers = [_number(f"{name}[{k}]", v) for k, v in enumerate(value)]
    else:
        numbers = [_number(name, value)]
    if ownership == "learned" and min(numbers) <= 0:
        raise ValueError(f"`{name}` must be > 0 to be learned, got {value!r}")
    tensor = torch.tensor(numbers if isinstance(value, tuple) else numbers[0], **placed)
    return _Positive(tensor) if ownership == "learned" else _Constant(tensor)


def _number(name: str, value: Any) -> float:
    """A finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"`{name}` must be a number, got {value!r}") from error
    if not math.isfinite(number):
        raise ValueError(f"`{name}` must be finite, got {number}")
    return number


def _sides(penalty: Tensor) -> Any:
    """A penalty in the form that the functions take."""
    return penalty if penalty.ndim == 0 else tuple(penalty.unbind())


def _shown(value: Tensor) -> str:
    """A value for the eye."""
    numbers = [f"{number:.4g}" for number in value.detach().reshape(-1).tolist()]
    return numbers[0] if value.ndim == 0 else f"({', '.join(numbers)})"
