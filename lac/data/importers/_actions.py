"""The actions of Penn Action, and the check of one that is asked for."""

from collections.abc import Sequence

# Penn Action's, in the order in which the pickle's second list counts them.
ACTIONS = (
    *("baseball_pitch", "baseball_swing", "bench_press", "bowl", "clean_and_jerk", "golf_swing"),
    *("jumping_jacks", "pushup", "pullup", "situp", "squat", "tennis_forehand", "tennis_serve"),
)


def check_action(action: str | None, actions: Sequence[str]) -> None:
    """Refuse an action that is none of those there are."""
    if action is not None and action not in actions:
        raise ValueError(f"`action` must be one of {', '.join(actions)}, got {action!r}")
