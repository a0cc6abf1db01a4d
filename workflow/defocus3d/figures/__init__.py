"""Every picture of the report: functions that take arrays and tables and return a matplotlib Figure."""
