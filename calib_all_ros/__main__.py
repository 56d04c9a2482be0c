# SPDX-License-Identifier: Apache-2.0
"""`python -m calib_all_ros` is the same as `calib_all`."""

import sys

from calib_all_ros.cli import main

sys.exit(main())
