"""The buyer's quality report: figures of an encrypted test, as a page and as JSON.

Read `figures` (what it says), then `making` (where that comes from); `classification` and `regression` are the metrics,
`page`, `charts`, `style` and `markup` the HTML. It is for the buyer alone: it is made of decrypted outputs.
"""

from trader.report.quality.figures import QualityReport, report_schema
from trader.report.quality.making import quality_report, report_of

__all__ = ["QualityReport", "quality_report", "report_of", "report_schema"]
