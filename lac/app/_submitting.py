"""What the tasks that embed videos have in common: which others they take, and how they begin."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import HTTPException

from lac.app._encoders import chosen_encoder
from lac.app._job_routes import job_answer
from lac.app._library import Video
from lac.app._models import EmbeddingRequest, JobAnswer
from lac.app._state import State
from lac.app._videos import find_video, usable_videos

MOST_OTHERS = 200  # videos of a task


def other_videos(
    state: State, identities: Sequence[str], besides: Sequence[Video], name: str
) -> list[Video]:
    """Return the videos of some ids, all of the folder without ids, but for those of `name`."""
    found = [find_video(state, identity) for identity in dict.fromkeys(identities)]
    taken = {video.id for video in besides}
    others = [video for video in found or usable_videos(state) if video.id not in taken]
    if not 0 < len(others) <= MOST_OTHERS:
        raise HTTPException(
            422, f"`others` must be 1 to {MOST_OTHERS} videos besides `{name}`, got {len(others)}"
        )
    return others


def submit(
    state: State,
    kind: str,
    title: str,
    asked: EmbeddingRequest,
    videos: Sequence[Video],
    request: Mapping[str, Any],
) -> JobAnswer:
    """Begin a task on videos; the same request once more is answered with the same job."""
    encoder = chosen_encoder(state, asked.encoder)
    job = state.jobs.submit(
        kind,
        title,
        {
            **request,
            "names": [video.name for video in videos],
            "encoder": encoder.run,
            "every": asked.every,
            "cache": str(state.cache),
        },
        shown={**asked.model_dump(), "encoder": encoder.name},
        stamp=[*(video.stamp for video in videos), *encoder.stamp],
    )
    return job_answer(state, job)
