"""What a member sees, and when."""

import numpy as np
import torch

from vaefrag_core.training.batch_schedule import NOISE_BLOCK_STEPS, Schedule

SCHEDULE = Schedule(seed=3, n_images=103, batch_size=10, channels=4)


def test_an_epoch_shows_every_image_at_most_once() -> None:
    epoch = SCHEDULE.images(0, 10)
    assert epoch.shape == (10, 10)
    assert len(np.unique(epoch)) == 100
    assert not np.array_equal(epoch, SCHEDULE.images(10, 20))


def test_any_stretch_of_steps_is_the_same_however_it_is_asked_for() -> None:
    whole = SCHEDULE.images(0, 60), SCHEDULE.noise(0, 60)
    for start, stop in [(0, 1), (9, 11), (17, 58), (NOISE_BLOCK_STEPS, NOISE_BLOCK_STEPS + 1)]:
        np.testing.assert_array_equal(SCHEDULE.images(start, stop), whole[0][start:stop])
        assert torch.equal(SCHEDULE.noise(start, stop), whole[1][start:stop])


def test_another_seed_is_another_course() -> None:
    other = Schedule(seed=4, n_images=103, batch_size=10, channels=4)
    assert not np.array_equal(other.images(0, 10), SCHEDULE.images(0, 10))
    assert not torch.equal(other.noise(0, 1), SCHEDULE.noise(0, 1))


def test_noise_is_standard_normal() -> None:
    noise = Schedule(seed=0, n_images=100, batch_size=100, channels=10).noise(0, 200).numpy()
    # 200,000 draws: five standard errors of mean and variance
    assert abs(noise.mean()) < 5 / np.sqrt(noise.size)
    assert abs(noise.var() - 1) < 5 * np.sqrt(2 / noise.size)


def test_fewer_images_than_a_batch_are_all_seen_at_every_step() -> None:
    small = Schedule(seed=0, n_images=7, batch_size=64, channels=2)
    assert small.images(0, 3).shape == (3, 7)
    assert all(sorted(step) == list(range(7)) for step in small.images(0, 3).tolist())
