"""Is this machine ready to trade? One finding for each thing that has kept somebody from it, with the next step.

`examine` yields them in the order in which they matter: `machine` (Python, packages, processor, memory, disk), `files`
(caches, reference strings, keyfiles, party folders), `node` (chain, clock, market). Nothing is changed, and nothing is
sent but questions to the node.
"""

from trader.doctor.examination import Surroundings, examine
from trader.doctor.finding import Finding, Status

__all__ = ["Finding", "Status", "Surroundings", "examine"]
