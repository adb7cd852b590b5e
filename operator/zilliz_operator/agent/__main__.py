"""`python -m zilliz_operator.agent`: the agent without the operator's command line."""

import sys

from zilliz_operator.agent.main import main

sys.exit(main())
