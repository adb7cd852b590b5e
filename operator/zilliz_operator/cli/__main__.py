"""`python -m zilliz_operator.cli`: the command line without an installed script."""

import sys

from zilliz_operator.cli.main import main

sys.exit(main())
