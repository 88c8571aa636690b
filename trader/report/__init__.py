"""What people look at: the story of a trade in the terminal."""

from trader.report.story import describe_entry, order_of_events, print_story, story_rows

__all__ = ["describe_entry", "order_of_events", "print_story", "story_rows"]
