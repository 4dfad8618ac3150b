"""The learning rate: a linear warm-up, then a cosine to zero."""

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LinearLR, SequentialLR

from lac._module import rate_factor

RATE = 1e-3


def rates(optimizer, schedule, steps):
    """The learning rate of each step."""
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize(
    ("rising", "total"), [(1, 1), (1, 2), (1, 30), (2, 7), (20, 400), (150, 3000), (9, 10)]
)
def test_rates_are_those_of_torchs_warm_up_and_cosine(rising, total):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=RATE)
    schedule = SequentialLR(
        optimizer,
        [
            LinearLR(optimizer, start_factor=1 / rising, total_iters=rising - 1),
            CosineAnnealingLR(optimizer, T_max=max(1, total - rising)),
        ],
        milestones=[rising],
    )
    ours = [RATE * rate_factor(step, rising=rising, total=total) for step in range(total)]
    # In units of the full rate: torch multiplies step by step, and rounds each time.
    assert ours == pytest.approx(rates(optimizer, schedule, total), rel=0, abs=1e-12 * RATE)


def test_the_state_of_a_run_begun_earlier_is_taken_up():
    state = {"base_lrs": [RATE], "last_epoch": 5, "_step_count": 6, "_last_lr": [0.0]}
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=RATE)
    schedule = LambdaLR(optimizer, lambda step: rate_factor(step, rising=2, total=8))
    schedule.load_state_dict({**state, "lr_lambdas": [None]})
    optimizer.step()
    schedule.step()
    assert schedule.get_last_lr() == [RATE * rate_factor(6, rising=2, total=8)]
