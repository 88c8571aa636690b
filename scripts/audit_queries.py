"""Ask an audit log three questions.

    python scripts/audit_queries.py demo-output/audit.sqlite

Shows what happened how often, the gas of each trade by role, and whether anybody has touched the log.
"""

import argparse
from pathlib import Path

from ledger import AuditLog, EntryKind, count_by_kind, read_by_kind, read_trade, verify_log


def main() -> None:
    """Three questions an auditor asks first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path, help="the audit log")
    path = parser.parse_args().log

    print(f"unbroken up to {verify_log(path)}")
    with AuditLog.open(path) as log:
        for kind, count in count_by_kind(log).items():
            print(f"{count:6} {kind}")
        for session in read_by_kind(log, EntryKind.SESSION_OPENED):
            story = read_trade(log, int(session.record.trade_id or 0))
            ending = story.entries[-1].record.kind
            gas = ", ".join(f"{role} {used:,}" for role, used in story.gas_used_by_role().items())
            print(f"trade {story.trade_id}: {len(story.entries)} entries, last {ending}; gas: {gas}")


if __name__ == "__main__":
    main()
