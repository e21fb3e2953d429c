"""The log as live streams: one tail per process, fanned out to everyone who watches."""
