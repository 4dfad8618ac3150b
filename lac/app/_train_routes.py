"""The routes of trainings: the list, one of them as it goes, beginning, stopping, going on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from lac._settings.options import DEFAULT_LOSS, LOSSES
from lac.app._models import Problem
from lac.app._state import State
from lac.app._training_progress import curves, figures, last_words, outcome
from lac.app._trainings import FOLDER, Training, TrainingRefused
from lac.data.folder import videos_by_name

_OFTEN, _SELDOM = 1, 5  # epochs between figures, of short trainings and of others
_SHORT = 10  # epochs


class TrainRequest(BaseModel):
    """How to train; what is absent follows from the videos, as `lac.train` does it."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")] | None = Field(
        None, description="Of the run, in `runs` of the folder; `run-1` or the next if absent"
    )
    backbone: Literal["lite0", "small"] = Field(
        "lite0", description="A frozen network with a head that is trained, or a small one whole"
    )
    loss: str = Field(DEFAULT_LOSS, description="One of `/api/losses`")
    epochs: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="By the number of clips if absent"
    )


class TrainingAnswer(BaseModel):
    """A training, as it stands."""

    id: str
    name: str
    state: Literal["running", "stopping", "finished", "stopped", "failed"]
    words: str = Field(description="The last line that it has said")
    created: float = Field(description="Seconds since 1970")
    encoder: str | None = Field(description="What it is called among `/api/encoders`, once it is")
    request: dict[str, object] = Field(description="What was asked for")


class TrainingProgress(TrainingAnswer):
    """All that a training has come to so far."""

    log: list[str] = Field(description="The last lines that it has said")
    curves: dict[str, list[tuple[int, float]]] = Field(description="Steps and values, by name")
    figures: dict[str, float] = Field(description="When which were drawn, in seconds since 1970")
    metrics: dict[str, dict[str, float]] = Field(description="By representation, once finished")
    verdict: list[str] = Field(description="What that means, in sentences")


MISSING: dict[int | str, dict[str, Any]] = {404: {"model": Problem}}
_BUSY: dict[int | str, dict[str, Any]] = {409: {"model": Problem}}


def train_routes(state: State) -> APIRouter:
    """Return the routes of trainings."""
    router = APIRouter(tags=["train"])

    @router.get("/api/losses")
    def list_losses() -> list[str]:
        """List what a training can minimise, the usual one first."""
        return sorted(LOSSES, key=lambda name: (name != DEFAULT_LOSS, name))

    @router.get("/api/trainings")
    def list_trainings() -> list[TrainingAnswer]:
        """List all trainings, the newest first; those that earlier servers began are among them."""
        return [_answer(state, training) for training in state.trainings.list()]

    @router.post("/api/trainings", status_code=202, responses=_BUSY | {403: {"model": Problem}})
    def train(asked: TrainRequest) -> TrainingAnswer:
        """Begin to train on the folder, in a process that goes on when the server ends."""
        if asked.loss not in LOSSES:
            raise HTTPException(
                422, f"`loss` must be one of {', '.join(LOSSES)}, got {asked.loss[:40]!r}"
            )
        _require_videos(state)
        with _refused():
            return _answer(
                state,
                state.trainings.start(asked.name, _settings(asked), shown=asked.model_dump()),
            )

    @router.get("/api/trainings/{id}", responses=MISSING)
    def get_training(id: str) -> TrainingProgress:
        """Tell how a training goes: its losses, figures, last words, and metrics at its end."""
        training = _find(state, id)
        run = state.trainings.run(training)
        return TrainingProgress(
            **_answer(state, training).model_dump(),
            log=_words(state, training),
            curves=curves(run),
            figures=figures(run),
            **{"metrics": {}, "verdict": []} | outcome(run),
        )

    @router.post("/api/trainings/{id}/stop", responses=MISSING)
    def stop(id: str) -> TrainingAnswer:
        """Stop a training; it can go on. Once more: at once, without waiting for it."""
        _find(state, id)
        return _answer(state, state.trainings.stop(id))

    @router.post("/api/trainings/{id}/resume", status_code=202, responses=MISSING | _BUSY)
    def resume(id: str) -> TrainingAnswer:
        """Go on with a training that was stopped or has failed."""
        _find(state, id)
        with _refused():
            return _answer(state, state.trainings.resume(id))

    @router.delete("/api/trainings/{id}", status_code=204, responses=MISSING | _BUSY)
    def forget(id: str) -> None:
        """Take a training off the list; its run stays in the folder."""
        _find(state, id)
        with _refused():
            state.trainings.forget(id)

    @router.get(
        "/api/trainings/{id}/figures/{name}", response_class=FileResponse, responses=MISSING
    )
    def get_figure(id: str, name: Literal["embedding", "similarity", "posterior"]) -> FileResponse:
        """Send a figure as it was drawn last."""
        run = state.trainings.run(_find(state, id))
        file = (run.figures / f"{name}.png").resolve()
        if not file.is_file() or not file.is_relative_to(state.library.root):
            raise HTTPException(404, f"no figure {name!r} yet")
        return FileResponse(file, headers={"Cache-Control": "no-cache"})

    return router


def _find(state: State, identity: str) -> Training:
    """Return a training; raises 404 if there is none."""
    try:
        return state.trainings.get(identity)
    except KeyError:
        raise HTTPException(404, f"no training {identity[:32]!r}") from None


@contextmanager
def _refused() -> Iterator[None]:
    """Answer to what cannot be done as things are."""
    try:
        yield
    except TrainingRefused as error:
        raise HTTPException(409, str(error)) from None
    except OSError as error:
        raise HTTPException(403, f"the folder cannot be written to: {error.strerror}") from None


def _require_videos(state: State) -> None:
    """Refuse folders without videos, and those in which training would follow links out of them."""
    root = state.library.root
    try:
        videos = videos_by_name(root)
    except (FileNotFoundError, ValueError) as error:
        raise HTTPException(422, str(error).replace(str(root), root.name)) from None
    for name, path in videos.items():
        if not path.resolve().is_relative_to(root):
            raise HTTPException(
                422, f"the folder must have no links that lead out of it, got {name}"
            )


def _settings(asked: TrainRequest) -> list[str]:
    """Return what `lac.train` is told beside the folder and the run."""
    words = [f"--model.encoder.backbone={asked.backbone}", f"--model.loss={asked.loss}"]
    short = asked.epochs is not None and asked.epochs <= _SHORT
    words.append(f"--figures_every={_OFTEN if short else _SELDOM}")
    if asked.epochs is not None:
        words.append(f"--trainer.max_epochs={asked.epochs}")
    return words


def _words(state: State, training: Training) -> list[str]:
    return last_words(state.trainings.log(training), state.library.root)


def _answer(state: State, training: Training) -> TrainingAnswer:
    """Return a training as it is shown."""
    encoder = f"{FOLDER}/{training.name}"
    return TrainingAnswer(
        id=training.id,
        name=training.name,
        state=state.trainings.state(training),
        words=next(reversed(_words(state, training)), ""),
        created=training.created,
        encoder=encoder if encoder in state.trained else None,
        request=dict(training.shown),
    )
