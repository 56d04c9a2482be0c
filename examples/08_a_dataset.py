# SPDX-License-Identifier: Apache-2.0
"""All episodes of a folder of recordings, or of a LeRobot dataset; goes on where it stopped.

Usage: python examples/08_a_dataset.py DATASET RESULTS
"""

import sys
from pathlib import Path

from calib_all_ros import Settings
from calib_all_ros.dataset.discovery import find_episodes
from calib_all_ros.dataset.engine import SingleProcess
from calib_all_ros.dataset.episodes import DatasetSelection
from calib_all_ros.dataset.journal import Journal
from calib_all_ros.dataset.plan import DatasetPlan
from calib_all_ros.dataset.run import DatasetRun
from calib_all_ros.dataset.table import write_tables

if __name__ == "__main__":
    source, results = Path(sys.argv[1]), Path(sys.argv[2]).absolute()
    plan = DatasetPlan(results, DatasetSelection(), Settings(), reports="none")
    with Journal(results) as journal:
        rows = DatasetRun(plan, SingleProcess(), journal)(find_episodes(source))
    for row in rows:
        print(f"{row.episode}: {row.verdict} {'; '.join(row.reasons)}")
    files, _ = write_tables(results, rows)
    print("written:", *files)
