"""What Boxoffice decides, as pure functions of plain values: no I/O, no clock, no framework."""
