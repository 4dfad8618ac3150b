"""The routes of labels: carrying phases to other videos, and saving them for training."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from lac.app._job_routes import find_job
from lac.app._jobs import Job
from lac.app._library import video_id
from lac.app._models import EmbeddingRequest, JobAnswer, Problem, Seconds
from lac.app._phases import TIMES, frame_phases
from lac.app._state import State
from lac.app._submitting import MOST_OTHERS, other_videos, submit
from lac.app._videos import find_video
from lac.data._label_writing import LABELS, write_phases
from lac.data.folder import videos_by_name

_REFERENCES = 8  # at most
_Name = Annotated[str, Field(min_length=1, max_length=60)]
_Names = Annotated[list[_Name], Field(min_length=1, max_length=50)]


class Mark(BaseModel):
    """Where a phase begins."""

    phase: _Name
    begin: Seconds = Field(description="Seconds from the first frame; the first mark is at 0")


class MarkedVideo(BaseModel):
    """The phases of a video, in order."""

    video: str = Field(description="Id of the video")
    phases: Annotated[list[Mark], Field(min_length=1, max_length=1000)]


class LabelRequest(EmbeddingRequest):
    """Which videos are marked how, and to which their phases are carried."""

    phase_names: _Names = Field(description="The phases, in their order")
    references: Annotated[list[MarkedVideo], Field(min_length=1, max_length=_REFERENCES)]
    others: Annotated[list[str], Field(max_length=MOST_OTHERS)] = Field(
        default=[], description="Ids of the videos to label; all others of the folder if empty"
    )


class SaveRequest(BaseModel):
    """Phases to save, as they were carried or corrected."""

    phase_names: _Names = Field(description="The phases, in their order")
    videos: Annotated[list[MarkedVideo], Field(min_length=1, max_length=_REFERENCES + MOST_OTHERS)]
    existing: Literal["refuse", "keep"] = Field(
        "refuse", description="Where there is a file: refuse, or keep it under another name"
    )


class SavedAnswer(BaseModel):
    """What was written."""

    file: str = Field(description="`labels.json` in the folder of videos")
    clips: int = Field(description="How many of its clips are of this request")
    kept: str | None = Field(description="Where the file is kept that was there before")


def label_routes(state: State) -> APIRouter:
    """Return the routes of labels."""
    router = APIRouter(tags=["label"])
    refused: dict[int | str, dict[str, Any]] = {code: {"model": Problem} for code in (404, 422)}

    @router.post("/api/label", status_code=202, responses=refused)
    def label(asked: LabelRequest) -> JobAnswer:
        """Begin to carry phases; the same request once more is answered with the same job.

        When it is done, `carried.json` has the phases of each video with the times at which they
        begin, and, where they were carried, each frame's confidence: the probability that it has a
        partner of that phase in the videos that are marked.
        """
        marked = [find_video(state, one.video) for one in asked.references]
        if len({video.id for video in marked}) < len(marked):
            raise HTTPException(422, "`references` must be different videos")
        _require_marks("references", asked.references, asked.phase_names)
        others = other_videos(state, asked.others, marked, "references")
        videos = [*marked, *others]
        request = {
            "references": [str(one.path) for one in marked],
            "others": [str(one.path) for one in others],
            "ids": [one.id for one in videos],
            "phase_names": asked.phase_names,
            "marks": [[mark.model_dump() for mark in one.phases] for one in asked.references],
        }
        more = f" and {len(marked) - 1} more" if len(marked) > 1 else ""
        title = f"Label {len(others)} videos as {marked[0].name}{more}"
        return submit(state, "label", title, asked, videos, request)

    @router.post(
        "/api/jobs/{id}/labels",
        status_code=201,
        responses=refused
        | {
            403: {"model": Problem, "description": "The folder cannot be written to"},
            409: {"model": Problem, "description": "There are labels, or videos have changed"},
        },
    )
    def save(id: str, asked: SaveRequest) -> SavedAnswer:
        """Save phases of the videos of a labelling that is done, for training and evaluation.

        They go to `labels.json` in the folder. What it says of the split and of other videos
        stays; where there is such a file it is kept beside the new one, if `existing` says so.
        """
        job = find_job(state, id)
        if job.kind != "label" or job.state != "done":
            raise HTTPException(422, f"job {id} must be a labelling that is done")
        _require_marks("videos", asked.videos, asked.phase_names)
        phases = _frame_phases(state, job, asked)
        file = state.library.root / LABELS
        if file.exists() and not file.resolve().is_relative_to(state.library.root):
            raise HTTPException(409, f"{LABELS} must not be a link that leads out of the folder")
        try:
            kept = write_phases(
                state.library.root, phases, asked.phase_names, existing=asked.existing
            )
        except FileExistsError:
            raise HTTPException(
                409, f"`existing` must be 'keep' where there is a {LABELS}: it is kept beside"
            ) from None
        except ValueError as error:
            raise HTTPException(409, str(error).replace(f"{state.library.root}/", "")) from None
        except OSError as error:
            raise HTTPException(403, f"{LABELS} cannot be written: {error.strerror}") from None
        return SavedAnswer(file=LABELS, clips=len(phases), kept=None if kept is None else kept.name)

    return router


def _require_marks(where: str, videos: Sequence[MarkedVideo], names: Sequence[str]) -> None:
    """Refuse phases that have no name, or times that are out of order."""
    if len(set(names)) < len(names) or not all(name.strip() for name in names):
        raise HTTPException(422, "`phase_names` must differ from each other, and not be blank")
    for place, one in enumerate(videos):
        begins = [mark.begin for mark in one.phases]
        if begins[0] != 0 or any(b <= a for a, b in pairwise(begins)):
            raise HTTPException(
                422, f"`{where}[{place}].phases` must begin at 0 and one after the other"
            )
        if unknown := {mark.phase for mark in one.phases} - set(names):
            raise HTTPException(
                422,
                f"`{where}[{place}].phases` must be of `phase_names`, got {min(unknown)[:60]!r}",
            )


def _frame_phases(state: State, job: Job, asked: SaveRequest) -> dict[str, list[str]]:
    """Return the phase of every frame, by the names of clips."""
    root = state.library.root
    clips = {
        video_id(path.relative_to(root).as_posix()): name
        for name, path in videos_by_name(root).items()
    }
    stamps = dict(zip(job.request["ids"], job.stamp, strict=False))  # the encoder comes last
    phases: dict[str, list[str]] = {}
    with np.load(state.jobs.folder(job.id) / TIMES, allow_pickle=False) as times:
        for one in asked.videos:
            video = find_video(state, one.video)
            if video.id not in stamps:
                raise HTTPException(422, f"`videos` must be of job {job.id}, got {video.name}")
            if video.stamp != stamps[video.id]:
                raise HTTPException(409, f"{video.name} has changed since it was labelled")
            if video.id not in clips:
                raise HTTPException(
                    422, f"{video.name} lies beside clips/, whose videos alone are trained on"
                )
            marks = [mark.model_dump() for mark in one.phases]
            numbers = frame_phases(marks, times[video.id], asked.phase_names)
            phases[clips[video.id]] = [asked.phase_names[number] for number in numbers]
    return phases
