"""What people look at: the story of a trade in the terminal."""

from trader.report.story import print_story, story_rows

__all__ = ["print_story", "story_rows"]
