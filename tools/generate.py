"""Everything that is generated, from its sources: CRDs, the reference and security pages, then the plain manifests that contain them."""

import sys

from tools import generate_manifests
from zilliz_operator.api import generate


def main(argv: list[str] | None = None) -> int:
    """Write them; with --check write nothing and return 1 when one is stale."""
    given = sys.argv[1:] if argv is None else argv
    first = generate.main(given)
    return first or generate_manifests.main(given)


if __name__ == "__main__":
    sys.exit(main())
