"""What a cell shows, made safe for a page."""
