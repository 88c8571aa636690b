"""What encrypted tests are compared with computes the same."""

import numpy as np

from benchmarks.he import Task, tenseal_test


def test_tenseal_gives_the_outputs_of_the_plain_pass():
    task = Task.make((40, 12, 3), 2)
    assert np.abs(np.array(tenseal_test(task)()) - task.plain()[0]).max() < 0.05
    assert np.abs(task.run() - task.plain()).max() < task.plan.largest_error
